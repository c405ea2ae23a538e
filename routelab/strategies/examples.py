"""Labelled texts: which route each belongs to, or none of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routelab.core.errors import DataError, suggest
from routelab.core.files import text_of
from routelab.core.values import digest, draw

Ints = NDArray[np.intp]
COLUMNS = ("text", "label")


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Texts with their labels, in order; the label None says that a text belongs to no route (out of scope)."""

    texts: tuple[str, ...] = ()
    labels: tuple[str | None, ...] = ()

    def __post_init__(self) -> None:
        if len(self.texts) != len(self.labels):
            raise ValueError(f"{len(self.texts)} texts and {len(self.labels)} labels do not go together")

    @staticmethod
    def of(texts: Iterable[str], labels: Iterable[str | None]) -> Examples:
        """Return the examples; an empty label means out of scope, and what comes twice is kept once."""
        pairs = dict.fromkeys((str(t), label or None) for t, label in zip(texts, labels, strict=True))
        return Examples(texts=tuple(t for t, _ in pairs), labels=tuple(label for _, label in pairs))

    @staticmethod
    def read(path: str | Path) -> Examples:
        """Return the examples in a .csv or .csv.gz file with the columns text and label; an empty label: out of scope.

        Raises DataError, which names the file and the line.
        """
        rows = list(_rows(Path(path)))
        if not rows:
            raise DataError(f"{path}: has no rows", hint="one row an example: text,label")
        return Examples(texts=tuple(text for text, _ in rows), labels=tuple(label or None for _, label in rows))

    def __len__(self) -> int:
        return len(self.texts)

    def __add__(self, other: Examples) -> Examples:
        return Examples.of(self.texts + other.texts, self.labels + other.labels)

    def __getitem__(self, which: Sequence[int] | NDArray[Any]) -> Examples:
        """Return the examples at the positions."""
        at = [int(i) for i in which]
        return Examples(texts=tuple(self.texts[i] for i in at), labels=tuple(self.labels[i] for i in at))

    @property
    def names(self) -> tuple[str, ...]:
        """The labels, in order of first mention."""
        return tuple(dict.fromkeys(label for label in self.labels if label is not None))

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that depend on the texts and labels, in any order."""
        return digest(sorted((t, label or "") for t, label in zip(self.texts, self.labels, strict=True)))

    def numbers(self, names: Sequence[str]) -> Ints:
        """Return each label's position among the names, -1 where it is none of them."""
        position = {name: i for i, name in enumerate(names)}
        return np.array([-1 if label is None else position.get(label, -1) for label in self.labels], dtype=np.intp)

    def folds(self, n: int, *, seed: int = 0, groups: Ints | None = None) -> Ints:
        """Return a fold, 0 to n − 1, for each example; each label is spread over all of them.

        Equal texts are always in one fold, and so are those of one label's group, unless the label has fewer groups than
        there are folds.
        """
        alike = np.arange(len(self)) if groups is None else groups
        members: dict[str | None, dict[str, list[int]]] = {}
        for i, label in enumerate(self.labels):
            members.setdefault(label, {}).setdefault(str(alike[i]), []).append(i)
        fold: dict[str, int] = {}
        for row in members.values():
            bunches = list(row.values()) if len(row) >= n else [[i] for bunch in row.values() for i in bunch]
            named = sorted((draw(seed, "fold", min(_same(self.texts[i]) for i in bunch)), bunch) for bunch in bunches)
            filled = [0] * n
            for _, bunch in named:
                least = filled.index(min(filled))
                for i in bunch:
                    filled[fold.setdefault(_same(self.texts[i]), least)] += 1
        return np.array([fold[_same(text)] for text in self.texts], dtype=np.intp)


def _same(text: str) -> str:
    return " ".join(text.casefold().split())


def _rows(path: Path) -> Iterable[tuple[str, str]]:
    text = text_of(path)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        head = next(reader, [])
        at = [_column(path, head, name) for name in COLUMNS]
        for row in reader:
            if not row:
                continue
            if len(row) != len(head):
                raise DataError(f"{path}:{reader.line_num}: has {len(row)} fields, the head has {len(head)}")
            values = [row[i].strip() for i in at]
            if not values[0]:
                raise DataError(f"{path}:{reader.line_num}: text: is empty", hint="leave the row out")
            yield values[0], values[1]
    except csv.Error as trouble:
        raise DataError(f"{path}:{reader.line_num}: not CSV ({trouble})") from None


def _column(path: Path, head: Sequence[str], name: str) -> int:
    names = [column.strip() for column in head]
    if names.count(name) == 1:
        return names.index(name)
    if name in names:
        raise DataError(f"{path}:1: the column '{name}' is there twice", hint="keep one")
    near = suggest(name, names)
    raise DataError(
        f"{path}:1: the column '{name}' is missing",
        hint=near or f"columns here: {', '.join(names) or 'none'}; wanted: {', '.join(COLUMNS)}",
    )


def examples_of(given: Any) -> Examples:
    """Return examples from examples, a file's path, a mapping of labels to texts, or (text, label) pairs."""
    if isinstance(given, Examples):
        return given
    if isinstance(given, (str, Path)):
        return Examples.read(given)
    if isinstance(given, Mapping):
        pairs = [(text, str(label)) for label, texts in given.items() for text in texts]
    else:
        pairs = [tuple(pair) for pair in given]
    return Examples.of([t for t, _ in pairs], [label for _, label in pairs])
