"""Nearest neighbours of all texts of a traffic at once: found by blocks, kept where they are near enough, judged once a pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from routelab.core.ports import Floats
from routelab.embedding.index import SLACK

Ints: TypeAlias = NDArray[np.intp]
Vectors: TypeAlias = NDArray[np.float32]

BLOCK_BYTES = 64_000_000
_PAIRS = 40_000


class Guard(Protocol):
    """Objects to a near miss; the guards of `routelab.caching.guard` are such."""

    @property
    def id(self) -> str: ...

    def __call__(self, asked: str, known: str, /) -> Any:
        """Return an objection, or None; the same both ways round."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Neighbours:
    """For each of n keys (namespace, text) the others of its namespace that are near, nearest first, of equals the first.

    Those of key i are `near[start[i] : start[i + 1]]`, with their cosines; `pair` numbers each pair once, whichever way round.
    """

    keys: tuple[tuple[str, str], ...]
    start: Ints
    near: Ints
    cosine: Floats
    at_least: float

    def __len__(self) -> int:
        return len(self.keys)

    @cached_property
    def pair(self) -> Ints:
        """The number of each neighbour's pair, from 0; twice the same for the two ways round."""
        mine = np.repeat(np.arange(len(self)), np.diff(self.start))
        code = np.minimum(mine, self.near).astype(np.int64) * len(self) + np.maximum(mine, self.near)
        return np.unique(code, return_inverse=True)[1].astype(np.intp)

    @property
    def pairs(self) -> int:
        """How many pairs there are."""
        return len(self.near) // 2

    def of(self, key: int) -> tuple[Ints, Floats, Ints]:
        """Return the neighbours of a key, their cosines and the numbers of their pairs."""
        row = slice(int(self.start[key]), int(self.start[key + 1]))
        return self.near[row], self.cosine[row], self.pair[row]


def neighbours(
    keys: Sequence[tuple[str, str]], vectors: Vectors, *, at_least: float, comparable: NDArray[np.bool_] | None = None
) -> Neighbours:
    """Return the neighbours of keys (namespace, text) with a cosine of at least `at_least`; `vectors` are n × d unit rows.

    Keys that are not `comparable` (default: all are) have no neighbours.
    Every cosine is summed anew from its two rows in one fixed way, as a live index does it: it depends on nothing else.
    """
    n = len(keys)
    if vectors.shape[0] != n:
        raise ValueError(f"{n} keys need {n} vectors, not {vectors.shape[0]}")
    spaces = {space: k for k, space in enumerate(dict.fromkeys(space for space, _ in keys))}
    space = np.array([spaces[s] for s, _ in keys], dtype=np.intp)
    rows: list[Ints] = []
    cols: list[Ints] = []
    able = np.ones(n, dtype=np.bool_) if comparable is None else comparable
    for which in (np.flatnonzero((space == k) & able) for k in range(len(spaces))):
        found = _near(np.ascontiguousarray(vectors[which]), at_least)
        rows.append(which[found[0]])
        cols.append(which[found[1]])
    row, col = _joined(rows), _joined(cols)
    cosine = cosines(vectors, row, col)
    enough = cosine >= at_least
    row, col, cosine = row[enough], col[enough], cosine[enough]
    row, col, cosine = np.concatenate([row, col]), np.concatenate([col, row]), np.concatenate([cosine, cosine])
    order = np.lexsort((col, -cosine, row))
    start = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=n))]).astype(np.intp)
    return Neighbours(keys=tuple(keys), start=start, near=col[order], cosine=cosine[order], at_least=at_least)


def cosines(vectors: Vectors, one: Ints, other: Ints) -> Floats:
    """Return the cosines of pairs of unit rows, summed in double precision as `embedding.index.ranked` does."""
    found = np.empty(len(one))
    for at in range(0, len(one), _PAIRS):
        part = slice(at, at + _PAIRS)
        found[part] = (vectors[one[part]].astype(np.float64) * vectors[other[part]].astype(np.float64)).sum(axis=1)
    return found


def _near(vectors: Vectors, at_least: float) -> tuple[Ints, Ints]:
    """Return the pairs (i < j) whose product is not clearly below `at_least`."""
    n = len(vectors)
    block = max(1, BLOCK_BYTES // max(1, 4 * n))
    rows, cols = [], []
    for at in range(0, n, block):
        product = vectors[at : at + block] @ vectors[at:].T
        i, j = np.nonzero(product >= at_least - SLACK)
        later = j > i
        rows.append(i[later] + at)
        cols.append(j[later] + at)
    return _joined(rows), _joined(cols)


def _joined(parts: Sequence[Ints]) -> Ints:
    return np.concatenate(parts).astype(np.intp) if parts else np.zeros(0, dtype=np.intp)


@dataclass(frozen=True, kw_only=True, eq=False)
class Verdicts:
    """What a guard says of pairs, asked once a pair and only when somebody wants to know."""

    guard: Guard
    held: Neighbours
    said: NDArray[np.int8] = field(repr=False)
    words: dict[int, str] = field(default_factory=dict, repr=False)

    @staticmethod
    def of(guard: Guard, held: Neighbours) -> Verdicts:
        """Return verdicts that nobody has asked for yet."""
        return Verdicts(guard=guard, held=held, said=np.full(held.pairs, -1, dtype=np.int8))

    def objects(self, key: int, near: Ints, pair: Ints) -> NDArray[np.bool_]:
        """Return to which of a key's neighbours the guard objects."""
        for place in np.flatnonzero(self.said[pair] < 0).tolist():
            objection = self.guard(self.held.keys[key][1], self.held.keys[int(near[place])][1])
            number = int(pair[place])
            self.said[number] = objection is not None
            if objection is not None:
                self.words[number] = str(objection)
        return np.asarray(self.said[pair] == 1)
