"""Sources and questions as files: a folder of texts, and a CSV whose rows say where each question's answer stands."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from routelab.chunking import document
from routelab.core.errors import DataError, suggest
from routelab.lab.chunks.spans import Span
from routelab.lab.readers import Rejected, read_table, refuse, texts

Ints: TypeAlias = NDArray[np.intp]

COLUMNS = ("question", "references", "corpus_id")
ENDINGS = (".md", ".txt")
FORM = '[{"content": "...", "start_index": 0, "end_index": 3}]'


@dataclass(frozen=True, kw_only=True, eq=False)
class Questions:
    """Questions with the source and the spans (from, to, in characters) of each one's answer, row by row.

    `corpora` are the sources' whole texts by name.
    """

    texts: tuple[str, ...]
    sources: tuple[str, ...]
    spans: tuple[tuple[Span, ...], ...]
    corpora: Mapping[str, str]
    rejected: tuple[Rejected, ...] = ()

    @staticmethod
    def read(path: str | Path, corpora: str | Path) -> Questions:
        """Return the questions of a file (question, references, corpus_id) about the texts of a folder.

        `references` is a JSON list of objects with `start_index`, `end_index` and, to be checked, `content`; `corpus_id` is
        a file's name without its ending. A few unusable rows are set aside, in `rejected`; DataError names file, line and
        column when there are more, and the folder or the file that cannot be read.
        """
        found = sources(corpora)
        table = read_table(path, COLUMNS)
        table.require(COLUMNS)
        asked, cells, names = (texts(table, column) for column in COLUMNS)
        spans: list[tuple[Span, ...]] = []
        bad: list[tuple[int, str, str]] = []
        for i in range(len(table)):
            column, reason, read = _row(asked[i], cells[i], names[i], found)
            spans.append(read)
            if reason:
                bad.append((i, column, reason))
        rejected = refuse(table, bad)
        gone = {row for row, _, _ in bad}
        kept = [i for i in range(len(table)) if i not in gone]
        if not kept:
            raise DataError(f"{table.name}: has no questions", hint=f"columns: {', '.join(COLUMNS)}")
        return Questions(
            texts=tuple(asked[i] for i in kept),
            sources=tuple(names[i] for i in kept),
            spans=tuple(spans[i] for i in kept),
            corpora=found,
            rejected=rejected,
        )

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def clusters(self) -> Ints:
        """The number of each question's source."""
        number = {name: i for i, name in enumerate(sorted(set(self.sources)))}
        return np.array([number[name] for name in self.sources], dtype=np.intp)

    @property
    def asked_about(self) -> int:
        """How many sources have a question."""
        return len(set(self.sources))

    @property
    def span_count(self) -> int:
        """How many spans there are in all."""
        return sum(len(spans) for spans in self.spans)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was not used, and why, one sentence each."""
        if not self.rejected:
            return ()
        more = f" (and {len(self.rejected) - 1:,} more)" if len(self.rejected) > 1 else ""
        return (f"{len(self.rejected):,} row{'s' * (len(self.rejected) > 1)} rejected: {self.rejected[0]}{more}",)


def sources(folder: str | Path) -> dict[str, str]:
    """Return the .md and .txt texts of a folder by name without ending; DataError names what is missing or not UTF-8."""
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(
            f"{folder}: {'is a file' if folder.exists() else 'there is no such folder'}",
            hint=f"--corpora takes a folder of {' and '.join(ENDINGS)} files",
        )
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in ENDINGS or not path.is_file():
            continue
        if path.stem in found:
            raise DataError(
                f"{folder}: {found[path.stem].name} and {path.name} have one name",
                hint="a corpus_id is a file's name without its ending; rename one of them",
            )
        found[path.stem] = path
    if not found:
        raise DataError(f"{folder}: has no text", hint=f"files that end in {' or '.join(ENDINGS)} are read")
    return {name: document(path) for name, path in found.items()}


def halves(questions: Questions, *, seed: int = 0) -> tuple[Ints, Ints]:
    """Return the positions of two halves of the questions of each source, dealt out by a hash of the text and the seed.

    A question that is asked twice is in one half only. The order of the rows does not matter.
    """
    sides: dict[str, int] = {}
    filled = [0, 0]
    for source in sorted(set(questions.sources)):
        asked = {t for t, s in zip(questions.texts, questions.sources, strict=True) if s == source}
        for text in sorted(asked - sides.keys(), key=lambda text: (_digest(seed, text), text)):
            sides[text] = int(filled[0] > filled[1])
            filled[sides[text]] += 1
    side = np.array([sides[text] for text in questions.texts], dtype=np.intp)
    return np.flatnonzero(side == 0), np.flatnonzero(side == 1)


def _digest(seed: int, text: str) -> str:
    return hashlib.sha256(f"{seed}\n{text}".encode("utf-8", "surrogatepass")).hexdigest()


def _row(
    asked: str | None, cell: str | None, name: str | None, corpora: Mapping[str, str]
) -> tuple[str, str, tuple[Span, ...]]:
    """Return (column, reason, ()) of a row that cannot be used, else ("", "", its spans)."""
    if asked is None or not asked.strip():
        return "question", "is empty", ()
    if name is None:
        return "corpus_id", "is empty", ()
    if name not in corpora:
        near = suggest(name, corpora)
        return "corpus_id", f"there is no text '{name}'{'; ' + near if near else ''}", ()
    if cell is None:
        return "references", "is empty", ()
    try:
        spans = tuple(_references(cell, corpora[name], name))
    except ValueError as trouble:
        return "references", str(trouble), ()
    return "", "", spans


def _references(cell: str, text: str, name: str) -> Iterator[Span]:
    try:
        listed = json.loads(cell)
    except ValueError:
        raise ValueError(f"is not JSON; the form is {FORM}") from None
    if not isinstance(listed, list) or not listed or not all(isinstance(one, Mapping) for one in listed):
        raise ValueError(f"is no list of objects; the form is {FORM}")
    for number, one in enumerate(listed, start=1):
        yield _span(number, one, text, name)


def _span(number: int, one: Mapping[str, Any], text: str, name: str) -> Span:
    ends = []
    for key in ("start_index", "end_index"):
        value = one.get(key)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"{key} of reference {number} is no whole number ({value!r})")
        ends.append(value)
    start, end = ends
    if not 0 <= start < end <= len(text):
        raise ValueError(f"reference {number} is from {start} to {end}, and {name} has {len(text):,} characters")
    content = one.get("content")
    if content is not None and text[start:end] != content:
        raise ValueError(f"reference {number}: characters {start} to {end} of {name} are not its content")
    return start, end
