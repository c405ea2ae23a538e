"""Texts that were cut, and what was found in them: plain values that the viewer shows."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routelab.chunking import ADAPTED, KINDS, Chunk, chunker_of, missing
from routelab.core.errors import Cancelled
from routelab.core.ports import Embedder
from routelab.embedding import embedder_of, vectors
from routelab.lab.chunks.ledger import Ledger
from routelab.lab.chunks.measures import Scores, scored
from routelab.lab.chunks.questions import Questions
from routelab.panels.chunktexts import Texts
from routelab.present import Table, percent
from routelab.retrieval import Hit, Library, Search
from routelab.retrieval.windows import Windowed, minilm_windows

EMBEDDERS = ("minilm", "lexical")
PACKAGES: Mapping[str, str] = {"langchain": "langchain_text_splitters", "chonkie": "chonkie"}
BATCH = 32
"""Texts that are embedded between two looks at whether to stop."""


def kinds() -> tuple[str, ...]:
    """Return the kinds of chunkers that can be used here: an adapted one needs its package."""
    return tuple(k for k in KINDS if k not in ADAPTED or importlib.util.find_spec(PACKAGES[k]) is not None)


class Watched:
    """An embedder of this process that counts what it has embedded, and stops when it is told to: `halt` is set."""

    def __init__(self, spec: str, halt: threading.Event, tell: Callable[[int], None] = lambda _: None) -> None:
        self._spec, self._halt, self._tell = spec, halt, tell
        made = embedder_of(spec)
        self.id, self.dimensions = made.id, made.dimensions

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one unit vector a text, n × dimensions; Cancelled when it was stopped."""
        made = np.empty((len(texts), self.dimensions), dtype=np.float32)
        for at in range(0, len(texts), BATCH):
            stopped(self._halt)
            batch = texts[at : at + BATCH]
            made[at : at + len(batch)] = vectors(self._spec, batch)
            self._tell(len(batch))
        return made


def stopped(halt: threading.Event) -> None:
    """Raise Cancelled when the event is set."""
    if halt.is_set():
        raise Cancelled("it was stopped")


def reading(spec: str, halt: threading.Event, tell: Callable[[int], None] = lambda _: None) -> Embedder:
    """Return the embedder that reads passages to their end (`retrieval.whole`), and can be stopped."""
    made = Watched(spec, halt, tell)
    return Windowed(embedder=made, divide=minilm_windows()) if spec == "minilm" else made


@dataclass(frozen=True, kw_only=True, eq=False)
class Cut:
    """All documents of some texts, cut by the chunker that `spec` describes; tokens are o200k_base's, whatever cut them."""

    texts: Texts
    spec: Mapping[str, Any]
    chunks: Mapping[str, tuple[Chunk, ...]]
    ledger: Ledger

    @cached_property
    def passages(self) -> tuple[Chunk, ...]:
        """The chunks of all documents, in order."""
        return tuple(chain.from_iterable(self.chunks.values()))

    @cached_property
    def tokens(self) -> NDArray[np.int64]:
        """How many tokens each passage has."""
        return np.array([self.ledger.tokens(p.source, (p.start, p.end)) for p in self.passages], dtype=np.int64)

    @cached_property
    def first(self) -> Mapping[str, int]:
        """The position of each document's first passage."""
        found, at = {}, 0
        for name, chunks in self.chunks.items():
            found[name], at = at, at + len(chunks)
        return found

    @property
    def name(self) -> str:
        """What it was cut by, in a few words."""
        unit = self.spec.get("unit", "characters" if self.spec["kind"] == "characters" else "tokens")
        overlap = float(self.spec.get("overlap", 0))
        more = f", overlap {overlap:.0%}" if overlap else ""
        if self.spec["kind"] == "semantic":
            more += f", breaks above percentile {self.spec['percentile']:g} ({self.spec['embedder']})"
        return f"{self.spec['kind']} {self.spec['size']:,} {unit}{more}"

    def figures(self) -> Table:
        """Return how many chunks there are, how long, and how much of them stands twice."""
        lengths, chunks = self.tokens, self.passages
        whole = sum(chunk.end - chunk.start for chunk in chunks)
        twice = sum(chunk.repeated for chunk in chunks)
        lost = sum(b - a for name, made in self.chunks.items() for a, b in missing(made, self.texts.documents[name]))
        rows = [
            ("chunks", f"{len(chunks):,}"),
            ("tokens in them", f"{int(lengths.sum()):,}"),
            ("duplicated", percent(twice / whole if whole else 0.0)),
        ]
        if len(lengths):
            low, middle, high = np.percentile(lengths, [10, 50, 90])
            rows.append(("tokens a chunk, median", f"{middle:,.0f}"))
            rows.append(("80 % have", f"{low:,.0f} – {high:,.0f}"))
            rows.append(("shortest, longest", f"{lengths.min():,}, {lengths.max():,}"))
        if lost:
            rows.append(("characters in no chunk", f"{lost:,}"))
        return Table(head=("all documents", ""), rows=rows, numbers=frozenset({1}))


def cut(texts: Texts, spec: Mapping[str, Any], ledger: Ledger, halt: threading.Event) -> Cut:
    """Return the documents cut; raises ConfigError for a chunker that cannot be, DataError for a text that it cannot cut, Cancelled."""
    wanted = dict(spec)
    if wanted["kind"] == "semantic":
        wanted["embedder"] = Watched(str(spec["embedder"]), halt)
    chunker = chunker_of(wanted)
    made: dict[str, tuple[Chunk, ...]] = {}
    for name, text in texts.documents.items():
        stopped(halt)
        made[name] = chunker(text, name)
    return Cut(texts=texts, spec=dict(spec), chunks=made, ledger=ledger)


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """What a prompt found in a cut: hits, best first; `question` is its number among the texts' own, or None."""

    cut: Cut
    prompt: str
    search: Search
    embedder: str
    hits: tuple[Hit, ...]
    question: int | None = None
    scores: Scores | None = None

    def told(self) -> str:
        """Return what was found, in one line."""
        by = "by words (BM25)" if self.search.by == "words" else f"by {self.search.by} ({self.embedder})"
        head = f"{len(self.hits)} of {len(self.cut.passages):,} chunks {by}"
        if self.scores is None:
            return head
        s = self.scores
        return (
            f"{head}: recall {s.recall[0]:.2f}, precision {s.precision[0]:.3f}, IoU {s.iou[0]:.3f}, precision-Ω {s.omega[0]:.2f}, "
            f"reciprocal rank {s.reciprocal_rank[0]:.2f}, nDCG {s.ndcg[0]:.2f}; context of {s.context_tokens[0]:,.0f} tokens"
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Wish:
    """What is asked for: texts, a chunker's mapping, and a prompt, empty where nothing is searched."""

    texts: Texts
    ledger: Ledger
    spec: Mapping[str, Any]
    prompt: str = ""
    question: int | None = None
    search: Search = Search()
    embedder: str = "minilm"

    @property
    def slow(self) -> bool:
        """Whether it may embed for longer than a person waits without being told."""
        return self.spec["kind"] == "semantic" or (bool(self.prompt) and self.search.by != "words")


@dataclass(frozen=True, kw_only=True, eq=False)
class Held:
    """The vectors of a cut's passages, so that another prompt need not wait for them."""

    cut: Cut
    embedder: str
    rows: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """What came of a wish."""

    cut: Cut
    found: Found | None
    held: Held | None


def result(wish: Wish, before: Cut | None, held: Held | None, halt: threading.Event) -> Result:
    """Return what a wish asks for, taking what is known already from before; raises what `cut` raises."""
    same = before is not None and before.texts is wish.texts and before.spec == wish.spec
    made = before if same and before is not None else cut(wish.texts, wish.spec, wish.ledger, halt)
    if not wish.prompt or not made.passages:
        return Result(cut=made, found=None, held=held)
    embedder = reading(wish.embedder, halt)
    if held is None or held.cut is not made or held.embedder != wish.embedder:
        held = None
        if wish.search.by != "words":
            rows = np.asarray(embedder([passage.text for passage in made.passages]), dtype=np.float32)
            held = Held(cut=made, embedder=wish.embedder, rows=rows)
    library = Library(passages=made.passages, embedder=embedder, rows=None if held is None else held.rows)
    [hits] = library.search([wish.prompt], wish.search)
    there = Found(
        cut=made,
        prompt=wish.prompt,
        search=wish.search,
        embedder=wish.embedder,
        hits=hits,
        question=wish.question,
        scores=_scores(made, wish, hits),
    )
    return Result(cut=made, found=there, held=held)


def _scores(made: Cut, wish: Wish, hits: Sequence[Hit]) -> Scores | None:
    """Return the measures of one of the texts' own questions, None for any other prompt."""
    asked = wish.texts.questions
    if wish.question is None or asked is None:
        return None
    at = wish.question
    one = Questions(
        texts=(asked.texts[at],), sources=(asked.sources[at],), spans=(asked.spans[at],), corpora=asked.corpora
    )
    return scored(one, made.passages, [[hit.position for hit in hits]], made.ledger, k=wish.search.k)
