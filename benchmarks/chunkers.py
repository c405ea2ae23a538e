"""MB/s and peak memory of each chunker beside langchain-text-splitters and chonkie, in one process, as docs/results/chunkers.md.

    python -m venv chunkers && chunkers/bin/pip install -r benchmarks/requirements-chunkers.txt
    PYTHONPATH=. chunkers/bin/python benchmarks/chunkers.py ../shared/data/rag_chunking/corpora > docs/results/chunkers.md

Every contestant of a kind cuts the same text to the same size and overlap, one after the other, round after round, in CPU time,
since all of them run on one thread and the machine may be shared. Who is faster is told by the ratios of the rounds: the two
times of a round are taken within seconds of each other, so what slows the machine slows both. Theirs are called as their
documentation does, without our adaptor. Memory is measured in a process for each.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import logging
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routelab.chunking import chunker_of, document
from routelab.embedding.lexical import Lexical
from routelab.providers.tokens import bundled

SIZES = {"characters": 1600, "tokens": 400}
SHARE = 0.2
ROUNDS = 7
MILLION = 1_000_000
EMBEDDER = Lexical(dimensions=256)
OURS, LANGCHAIN, CHONKIE = "routelab", "langchain", "chonkie"

Cut = Callable[[str], Iterable[Any]]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One row: what is cut, how, and which of the two others have that kind; `unlike` ones do other work under that name."""

    name: str
    unit: str
    ours: Mapping[str, Any]
    langchain: Callable[[int, int], Cut] | None = None
    chonkie: Callable[[int, int], Cut] | None = None
    share: float = SHARE
    code: bool = False
    unlike: bool = False
    note: str = ""


def _langchain(name: str, **options: Any) -> Callable[[int, int], Cut]:
    def made(size: int, overlap: int) -> Cut:
        import langchain_text_splitters as library

        cut: Cut = getattr(library, name)(chunk_size=size, chunk_overlap=overlap, **options).split_text
        return cut

    return made


def _langchain_tokens(size: int, overlap: int) -> Cut:
    from langchain_text_splitters.base import Tokenizer, split_text_on_tokens

    encoding = _encoding()
    tokenizer = Tokenizer(
        chunk_overlap=overlap, tokens_per_chunk=size, decode=encoding.decode, encode=encoding.encode_ordinary
    )
    return lambda text: split_text_on_tokens(text=text, tokenizer=tokenizer)


def _chonkie(name: str, *, tokens: bool = False, overlaps: bool = True, **options: Any) -> Callable[[int, int], Cut]:
    def made(size: int, overlap: int) -> Cut:
        import chonkie as library

        keywords = {**options, **({"tokenizer": _encoding()} if tokens else {})}
        keywords |= {"chunk_overlap": overlap} if overlaps else {}
        cut: Cut = getattr(library, name)(chunk_size=size, **keywords).chunk
        return cut

    return made


def _chonkie_semantic(size: int, overlap: int) -> Cut:
    import chonkie as library
    from chonkie.embeddings.base import BaseEmbeddings

    class Same(BaseEmbeddings):
        def embed(self, text: str) -> NDArray[np.float32]:
            return np.asarray(EMBEDDER([text])[0])

        def embed_batch(self, texts: list[str]) -> list[NDArray[np.float32]]:
            return list(EMBEDDER(texts))

        @property
        def dimension(self) -> int:
            return EMBEDDER.dimensions

        def get_tokenizer(self) -> Any:
            return _encoding()

    cut: Cut = library.SemanticChunker(embedding_model=Same(), chunk_size=size).chunk
    return cut


def _encoding() -> Any:
    encoding = bundled()
    assert encoding is not None
    return encoding


def _count(text: str) -> int:
    return len(_encoding().encode_ordinary(text))


KINDS = (
    Kind(
        name="characters",
        unit="characters",
        ours={"kind": "characters"},
        langchain=_langchain("CharacterTextSplitter", separator=""),
        chonkie=_chonkie("TokenChunker"),
    ),
    Kind(
        name="tokens",
        unit="tokens",
        ours={"kind": "tokens"},
        langchain=_langchain_tokens,
        chonkie=_chonkie("TokenChunker", tokens=True),
    ),
    Kind(
        name="sentences",
        unit="characters",
        ours={"kind": "sentences", "unit": "characters"},
        chonkie=_chonkie("SentenceChunker"),
        note="langchain-text-splitters' own need a model of NLTK or spaCy",
    ),
    Kind(name="sentences", unit="tokens", ours={"kind": "sentences"}, chonkie=_chonkie("SentenceChunker", tokens=True)),
    Kind(
        name="recursive",
        unit="characters",
        ours={"kind": "recursive", "unit": "characters"},
        langchain=_langchain("RecursiveCharacterTextSplitter"),
    ),
    Kind(
        name="recursive, no overlap",
        unit="characters",
        ours={"kind": "recursive", "unit": "characters"},
        langchain=_langchain("RecursiveCharacterTextSplitter"),
        chonkie=_chonkie("RecursiveChunker", overlaps=False),
        share=0.0,
        note="chonkie's knows no other",
    ),
    Kind(
        name="recursive",
        unit="tokens",
        ours={"kind": "recursive"},
        langchain=_langchain("RecursiveCharacterTextSplitter", length_function=_count),
    ),
    Kind(
        name="recursive, no overlap",
        unit="tokens",
        ours={"kind": "recursive"},
        langchain=_langchain("RecursiveCharacterTextSplitter", length_function=_count),
        chonkie=_chonkie("RecursiveChunker", tokens=True, overlaps=False),
        share=0.0,
        note="chonkie's knows no other",
    ),
    Kind(
        name="markdown",
        unit="characters",
        ours={"kind": "markdown", "unit": "characters"},
        langchain=_langchain("MarkdownTextSplitter"),
        note="chonkie's downloads a recipe",
    ),
    Kind(
        name="markdown",
        unit="tokens",
        ours={"kind": "markdown"},
        langchain=_langchain("MarkdownTextSplitter", length_function=_count),
    ),
    Kind(
        name="code, by layout",
        unit="characters",
        ours={"kind": "code", "unit": "characters", "language": "other"},
        langchain=_langchain("PythonCodeTextSplitter"),
        code=True,
        note="langchain's looks for `class`, `def` and blank lines; chonkie's needs a tree-sitter grammar",
    ),
    Kind(
        name="code, Python by syntax tree",
        unit="characters",
        ours={"kind": "code", "unit": "characters", "language": "python"},
        langchain=_langchain("PythonCodeTextSplitter"),
        code=True,
        unlike=True,
        note="langchain's reads no syntax tree, so it does other work: it is in the table and not in the count",
    ),
    Kind(
        name="semantic",
        unit="tokens",
        ours={"kind": "semantic", "embedder": EMBEDDER, "around": 3},
        chonkie=_chonkie_semantic,
        share=0.0,
        note=f"both with {EMBEDDER.id}, uncached and without overlap, which chonkie's has not; langchain's is not in the package",
    ),
)


def contestants(kind: Kind) -> dict[str, Cut]:
    """Return what cuts a text, by whose it is."""
    size = SIZES[kind.unit]
    overlap = int(kind.share * size)
    spec = dict(kind.ours)
    embedder = spec.pop("embedder", None)
    chunker: Any = chunker_of({**spec, "size": size, "overlap": overlap})
    if embedder is not None:
        import dataclasses

        chunker = dataclasses.replace(chunker, embedder=embedder)
    found: dict[str, Cut] = {OURS: chunker}
    if kind.langchain is not None:
        found[LANGCHAIN] = kind.langchain(size, overlap)
    if kind.chonkie is not None:
        found[CHONKIE] = kind.chonkie(size, overlap)
    return found


@dataclass(frozen=True, kw_only=True)
class Times:
    """CPU seconds of each contestant, round by round, and how many MB they cut."""

    took: Mapping[str, Sequence[float]]
    size_mb: float

    @property
    def speeds(self) -> dict[str, float]:
        """The median MB/s of each."""
        return {who: self.size_mb / statistics.median(took) for who, took in self.took.items()}

    def ratios(self, other: str) -> list[float]:
        """How many times as fast as another ours was, in each round."""
        return [theirs / ours for ours, theirs in zip(self.took[OURS], self.took[other], strict=True)]

    @property
    def fastest_other(self) -> str | None:
        """Who is the fastest of the others, None where there is nobody."""
        others = {who: speed for who, speed in self.speeds.items() if who != OURS}
        return max(others, key=lambda who: others[who]) if others else None


def timed(kind: Kind, text: str, rounds: int) -> Times:
    """Return the CPU seconds of each, measured in turns."""
    took: dict[str, list[float]] = {name: [] for name in contestants(kind)}
    for number in range(rounds):
        # Made anew, since some remember what they have seen; what is loaded at the first call is loaded before.
        cuts = contestants(kind)
        for cut in cuts.values():
            list(cut(text[:2_000]))
        names = list(cuts)
        # Who comes first changes, so that nobody always meets a cold or a warm cache.
        for name in names[number % len(names) :] + names[: number % len(names)]:
            start = time.process_time()
            made = cuts[name](text)
            for _ in made:
                pass
            took[name].append(time.process_time() - start)
    return Times(took=took, size_mb=len(text.encode()) / 1e6)


def corpora(folder: Path) -> str:
    """Return all texts of a folder, one after the other."""
    return "\n\n".join(document(path) for path in sorted(folder.glob("*.md")))


def programs() -> str:
    """Return a megabyte of Python that every machine has: modules of the standard library."""
    parts = [
        p.read_text(encoding="utf-8", errors="replace") for p in sorted(Path(json.__file__).parent.parent.glob("*.py"))
    ]
    whole: list[str] = []
    while sum(map(len, whole)) < MILLION * 0.9:
        part = parts[len(whole)]
        whole.append(part if "from __future__" not in part else "")
    return "\n\n".join(whole)[:MILLION]


def long(text: str) -> str:
    """Return the text again and again until it has a million tokens."""
    times = -(-MILLION // _count(text))
    # No two copies are the same: chonkie remembers how many tokens a text had.
    copies = (text.replace(" of ", f" of{k} ") for k in range(times))
    return "\n\n".join(copies)[: int(len(text) * MILLION / _count(text)) + 1]


def peak_mb(kind: int, who: str, text: Path) -> float:
    """Return by how many MB cutting the text of a file raises a fresh process's peak memory; ours is streamed."""
    out = subprocess.run(
        [sys.executable, __file__, str(text), "--memory", f"{kind}:{who}"], capture_output=True, text=True, check=True
    )
    return float(out.stdout.split()[-1])


def memory(kind: Kind, who: str, path: Path) -> float:
    """Return what `peak_mb` asks for, in this process."""
    text = path.read_bytes().decode("utf-8")
    cut = contestants(kind)[who]
    list(cut(text[:100_000]))
    # The peak so far is forgotten (Linux), so that what reading the file took hides nothing.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _peak_kb()
    if who == OURS:
        for _ in cut.stream(text):  # type: ignore[attr-defined]
            pass
    else:
        list(cut(text))
    return (_peak_kb() - before) / 1024


def _peak_kb() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return int(status.partition("VmHWM:")[2].split()[0])


@dataclass(frozen=True, kw_only=True)
class Row:
    """What was measured of one kind: the corpora, the million tokens (None for code), and the growth of a process in MB."""

    kind: Kind
    short: Times
    whole: Times | None
    grown: Mapping[str, float]

    def cells(self) -> str:
        """Return the row in Markdown."""
        whole = {} if self.whole is None else self.whole.speeds
        parts = [
            self.kind.name,
            self.kind.unit,
            _cells(self.short.speeds, "{:.1f}"),
            ratio(self.short),
            _cells(whole, "{:.1f}"),
            "–" if self.whole is None else ratio(self.whole),
            _cells(self.grown, "{:.0f}"),
        ]
        return f"| {' | '.join(parts)} |"


def ratio(times: Times) -> str:
    """Return ours over the fastest other, round by round: the median, and the least and the most of all rounds."""
    if times.fastest_other is None:
        return "–"
    found = times.ratios(times.fastest_other)
    return f"{statistics.median(found):.2f} [{min(found):.2f}, {max(found):.2f}]"


def measured(kind: Kind, number: int, text: str, many: str | None, *, rounds: int, peaks: bool) -> Row:
    """Return what one kind does."""
    short = timed(kind, text, rounds)
    whole = None if many is None else timed(kind, many, max(3, rounds // 2))
    grown: dict[str, float] = {}
    if peaks and many is not None:
        with tempfile.TemporaryDirectory() as place:
            kept = Path(place, "long.md")
            kept.write_bytes(many.encode("utf-8"))
            grown = {who: peak_mb(number, who, kept) for who in short.took}
    return Row(kind=kind, short=short, whole=whole, grown=grown)


def page(folder: Path, *, rounds: int = ROUNDS, kinds: Sequence[Kind] = KINDS, peaks: bool = True) -> str:
    """Return the page with the figures measured now."""
    text, code = corpora(folder), programs()
    many = long(text)
    load = [os.getloadavg()[0]]
    rows: list[Row] = []
    for number, kind in enumerate(KINDS):
        if kind in kinds:
            corpus, whole = (code, None) if kind.code else (text, many)
            rows.append(measured(kind, number, corpus, whole, rounds=rounds, peaks=peaks))
            load.append(os.getloadavg()[0])
            print(rows[-1].cells(), file=sys.stderr, flush=True)
    notes = dict.fromkeys(f"{kind.name}: {kind.note}." for kind in kinds if kind.note)
    return "\n".join(
        [
            "# Throughput of the chunkers",
            "",
            "Made by `PYTHONPATH=. python benchmarks/chunkers.py ../shared/data/rag_chunking/corpora > docs/results/chunkers.md` in an environment with `benchmarks/requirements-chunkers.txt`.",
            "",
            f"Corpora of {len(text.encode()) / 1e6:.2f} MB ({folder.parent.name}), a million tokens made of them ({len(many.encode()) / 1e6:.1f} MB), "
            f"and for code {len(code.encode()) / 1e6:.2f} MB of the standard library; chunks of {SIZES['characters']} characters or "
            f"{SIZES['tokens']} tokens (o200k_base) with {SHARE:.0%} overlap. MB of UTF-8 per second of CPU time, median of {rounds} rounds ({max(3, rounds // 2)} for the million tokens) "
            "taken in turns. *Ratio*: ours over the fastest other, paired by round: median, and least and most of all rounds. Peak: by how many MB a fresh process grows while it cuts the "
            f"million tokens; ours streamed, theirs as the lists they return. {LANGCHAIN}-text-splitters {importlib.metadata.version('langchain-text-splitters')}, "
            f"chonkie {importlib.metadata.version('chonkie')}, Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores.",
            "",
            beside(load),
            "",
            *verdict(rows),
            "",
            "| kind | unit | routelab MB/s | langchain | chonkie | ratio | 10⁶ tokens: routelab | langchain | chonkie | ratio | peak MB: routelab | langchain | chonkie |",
            "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
            *(row.cells() for row in rows),
            "",
            *(f"- {note[0].upper()}{note[1:]}" for note in notes),
            "",
        ]
    )


def beside(load: Sequence[float]) -> str:
    """Return whether the machine did other work meanwhile, by its load: this process alone makes a load of 1 to 1.7 (libraries have threads)."""
    cores = os.cpu_count() or 1
    most = max(load)
    said = f"Load of the machine while this was measured: {min(load):.1f} to {most:.1f} on {cores} cores."
    if most <= 0.9 * cores:
        return f"{said} Nothing else was running."
    return f"{said} **Other work was running beside it**: MB/s are lower than on an idle machine, and ratios are what to read."


def verdict(rows: Sequence[Row]) -> list[str]:
    """Return the answer in sentences, made of the figures."""
    told = {"faster": 0, "level": 0, "slower": 0}
    behind = []
    for row in rows:
        for times, what in ((row.short, ""), (row.whole, ", 10⁶ tokens")):
            if times is None or times.fastest_other is None or row.kind.unlike:
                continue
            found = times.ratios(times.fastest_other)
            word = "faster" if min(found) > 1 else "slower" if max(found) < 1 else "level"
            told[word] += 1
            if word == "slower":
                behind.append(
                    f"{row.kind.name} ({row.kind.unit}{what}): {statistics.median(found):.2f} times {times.fastest_other}'s speed"
                )
    lines = [
        f"**Against the fastest other of each kind, ours is faster in all rounds in {told['faster']} comparisons, level (faster in some rounds, slower in others) in {told['level']}, "
        f"slower in all rounds in {told['slower']}**" + (": " + "; ".join(behind) + "." if behind else ".")
    ]
    grown = [row for row in rows if row.grown]
    if grown:
        ours = max(row.grown[OURS] for row in grown)
        theirs = [mb for row in grown for who, mb in row.grown.items() if who != OURS]
        beside_ours = f"; the others' from {min(theirs):,.0f} to {max(theirs):,.0f} MB" if theirs else ""
        most = "less than 1 MB" if ours < 1 else f"at most {ours:,.0f} MB"
        lines += [
            "",
            f"Ours hold a bounded part of a text besides the text itself: {most} while a million tokens pass{beside_ours}.",
        ]
    return lines


def _cells(found: Mapping[str, float], form: str) -> str:
    return " | ".join(form.format(found[who]) if who in found else "–" for who in (OURS, LANGCHAIN, CHONKIE))


def main() -> None:
    """Print the page, or one figure of it."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("corpora", type=Path, help="a folder of .md files, such as rag_chunking's corpora")
    ask.add_argument("--rounds", type=int, default=ROUNDS)
    ask.add_argument("--only", nargs="*", default=[], help="names of kinds")
    ask.add_argument("--no-memory", action="store_true")
    ask.add_argument("--memory", help=argparse.SUPPRESS)
    args = ask.parse_args()
    logging.disable(logging.WARNING)
    if args.memory:
        number, _, who = args.memory.partition(":")
        print(memory(KINDS[int(number)], who, args.corpora))
        return
    kinds = [kind for kind in KINDS if not args.only or kind.name in args.only]
    print(page(args.corpora, rounds=args.rounds, kinds=kinds, peaks=not args.no_memory), end="")


if __name__ == "__main__":
    main()
