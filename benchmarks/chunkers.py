"""MB/s and peak memory of each chunker beside langchain-text-splitters and chonkie, in one process, as a Markdown section.

    python -m venv chunkers && chunkers/bin/pip install -r benchmarks/requirements-chunkers.txt
    PYTHONPATH=. chunkers/bin/python benchmarks/chunkers.py ../shared/data/rag_chunking/corpora

Every contestant of a kind cuts the same text to the same size and overlap, one after the other, round after round; the
figure is the median of the rounds' CPU time, since all of them run on one thread and the machine may be shared. Theirs are
called as their documentation does, without our adaptor. Memory is measured in a process for each.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import logging
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
    """One row: what is cut, how, and which of the two others have that kind."""

    name: str
    unit: str
    ours: Mapping[str, Any]
    langchain: Callable[[int, int], Cut] | None = None
    chonkie: Callable[[int, int], Cut] | None = None
    share: float = SHARE
    code: bool = False
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
        note="langchain's reads no syntax tree",
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


def timed(kind: Kind, text: str, rounds: int) -> dict[str, tuple[float, int]]:
    """Return the median CPU seconds and the number of chunks of each, measured in turns."""
    took: dict[str, list[float]] = {name: [] for name in contestants(kind)}
    made: dict[str, int] = {}
    for number in range(rounds):
        # Made anew, since some remember what they have seen; what is loaded at the first call is loaded before.
        cuts = contestants(kind)
        for cut in cuts.values():
            list(cut(text[:2_000]))
        names = list(cuts)
        # Who comes first changes, so that nobody always meets a cold or a warm cache.
        for name in names[number % len(names) :] + names[: number % len(names)]:
            start = time.process_time()
            made[name] = len(list(cuts[name](text)))
            took[name].append(time.process_time() - start)
    return {name: (statistics.median(took[name]), made[name]) for name in took}


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


def section(folder: Path, *, rounds: int = ROUNDS, kinds: Sequence[Kind] = KINDS, peaks: bool = True) -> str:
    """Return the Markdown section with the figures measured now."""
    text, code = corpora(folder), programs()
    many = long(text)
    lines = [
        "## Throughput of the chunkers",
        "",
        f"Corpora of {len(text.encode()) / 1e6:.2f} MB ({folder.name}), a million tokens made of them ({len(many.encode()) / 1e6:.1f} MB), "
        f"and for code {len(code.encode()) / 1e6:.2f} MB of the standard library; chunks of {SIZES['characters']} characters or "
        f"{SIZES['tokens']} tokens (o200k_base) with {SHARE:.0%} overlap. MB of UTF-8 per second of CPU time, the median of {rounds} rounds "
        f"taken in turns. Peak: by how many MB a fresh process grows while it cuts the million tokens; ours streamed, theirs as the lists they return. "
        f"{LANGCHAIN}-text-splitters {importlib.metadata.version('langchain-text-splitters')}, chonkie {importlib.metadata.version('chonkie')}, "
        f"Python {platform.python_version()}, {platform.machine()}.",
        "",
        "| kind | unit | routelab MB/s | langchain | chonkie | ours ÷ best other | 10⁶ tokens: routelab | langchain | chonkie | peak MB: routelab | langchain | chonkie |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for number, kind in enumerate(KINDS):
        if kind not in kinds:
            continue
        short = _speeds(kind, code if kind.code else text, rounds)
        whole = {} if kind.code else _speeds(kind, many, max(1, rounds // 3))
        grown = {}
        if peaks and not kind.code:
            with tempfile.TemporaryDirectory() as place:
                kept = Path(place, "long.md")
                kept.write_bytes(many.encode("utf-8"))
                grown = {who: peak_mb(number, who, kept) for who in short}
        best = max((speed for who, speed in short.items() if who != OURS), default=float("nan"))
        cells = [_cells(found, "{:.1f}") for found in (short, whole)] + [_cells(grown, "{:.0f}")]
        lines.append(f"| {kind.name} | {kind.unit} | {cells[0]} | {short[OURS] / best:.1f} | {cells[1]} | {cells[2]} |")
        print(lines[-1], file=sys.stderr, flush=True)
    notes = dict.fromkeys(f"{kind.name}: {kind.note}." for kind in kinds if kind.note)
    return "\n".join([*lines, "", *(f"- {note[0].upper()}{note[1:]}" for note in notes), ""])


def _speeds(kind: Kind, text: str, rounds: int) -> dict[str, float]:
    size_mb = len(text.encode()) / 1e6
    return {who: size_mb / seconds for who, (seconds, _) in timed(kind, text, rounds).items()}


def _cells(found: Mapping[str, float], form: str) -> str:
    return " | ".join(form.format(found[who]) if who in found else "–" for who in (OURS, LANGCHAIN, CHONKIE))


def main() -> None:
    """Print the section, or one figure of it."""
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
    print(section(args.corpora, rounds=args.rounds, kinds=kinds, peaks=not args.no_memory))


if __name__ == "__main__":
    main()
