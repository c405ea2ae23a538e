"""Indexes that entries come and go in: exact in NumPy, or through Chroma; both give the same cosines."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from routelab.core.errors import ConfigError, DataError
from routelab.embedding.index import SLACK, Floats, Ints, Vectors, checked, ranked

Floats32: TypeAlias = NDArray[np.float32]

UNIT = 1e-3
"""How far from 1 the squared length of a unit vector may be."""
LEADING = 48
"""Coordinates that are compared first: 47 of a basis, and the length of the rest.

Of 9,000 MiniLM vectors of one domain (banking77), 48 coordinates leave 10 to compare whole at the median and 91 at the 95th
percentile; 32 leave 31 and 399, 64 leave 6 and 30, and take a third longer."""
FIRST_FIT = 512
"""Entries from which on comparing in two steps is faster than comparing everything."""
_SAMPLE = 2048
_TURNS = 3
# A bound that is off by more than rounding (1e-6) would lose a neighbour; one that is 1e-5 too wide costs nothing.
_WIDER = 1e-5
_SQUARED_WIDER = 1e-6
# OpenBLAS computes a product of a matrix and a vector on one thread below this many elements. Above it, it waits for
# threads that a busy machine has put aside (12 ms instead of 0.08 for 10,000 × 64 on two cores with other work).
_ONE_THREAD = 9216
_LEAST_CAPACITY = 512
_FEW = 8


class Growing(Protocol):
    """Finds the nearest of the entries that are in it now; safe among threads."""

    def __len__(self) -> int: ...

    def add(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Add an entry for each row (n × d, unit length); one whose id is there is replaced and counts as added now.

        Raises DataError, and adds nothing, for rows of another width, not of unit length, or of another number than the ids.
        """

    def remove(self, ids: Iterable[str]) -> None:
        """Remove the entries; unknown ids are ignored."""

    def nearest(self, vector: Floats32, k: int, at_least: float = -1.0) -> list[tuple[str, float]]:
        """Return the ids and cosines of the k nearest whose cosine is `at_least`, nearest first, ties by time of adding.

        Cosines are sums in float64 of our own float32 rows, so that every implementation gives the same digits.
        """


class GrowingExact:
    """Gives what comparing with every entry gives, and compares with few of them.

    Rows are also kept in an orthonormal basis taken from the data: 47 leading coordinates and the length r of what is
    left. By Cauchy–Schwarz u·v ≤ Σ uᵢvᵢ + r(u) r(v), one short product that bounds the cosine from above, so only rows
    whose bound reaches `at_least` and the k-th best are compared whole. Whatever the basis, the answer is that of
    comparing everything; the basis decides how few are left. It is taken anew each time that the entries have doubled.
    """

    def __init__(self, *, dimensions: int) -> None:
        self._dimensions = dimensions
        self._lock = threading.Lock()
        self._ids: list[str] = []
        self._slots: dict[str, int] = {}
        self._added = 0
        # Zeros: products run over whole blocks, and what is beyond the last entry must at least be numbers.
        self._rows = np.zeros((_LEAST_CAPACITY, dimensions), dtype=np.float32)
        self._order = np.zeros(_LEAST_CAPACITY, dtype=np.int64)
        self._basis: Floats32 | None = None  # 47 × d
        self._leading = np.zeros((0, LEADING), dtype=np.float32)
        self._fitted = FIRST_FIT // 2

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, entry: str) -> bool:
        return entry in self._slots

    def add(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Add or replace entries; see `Growing`."""
        rows = unit_rows(vectors, self._dimensions)
        if len(ids) != len(rows):
            raise DataError(f"index: {len(ids)} ids came with {len(rows)} vectors")
        last = sorted({entry: i for i, entry in enumerate(ids)}.values())
        if not last:
            return
        with self._lock:
            self._drop(ids)
            start, end = len(self._ids), len(self._ids) + len(last)
            self._reserve(end)
            self._rows[start:end] = rows[last]
            self._order[start:end] = np.arange(self._added, self._added + len(last))
            self._added += len(last)
            for slot, i in enumerate(last, start):
                self._ids.append(ids[i])
                self._slots[ids[i]] = slot
            if self._dimensions >= 2 * LEADING and end >= 2 * self._fitted:
                # Many small products: on threads they take 1.9 s where another process keeps a core busy, 0.1 s on one.
                with threadpool_limits(limits=1, user_api="blas"):
                    self._fit()
            elif self._basis is not None:
                self._leading[start:end] = self._led(self._rows[start:end])

    def remove(self, ids: Iterable[str]) -> None:
        """Remove entries; see `Growing`."""
        with self._lock:
            self._drop(ids)

    def nearest(self, vector: Floats32, k: int, at_least: float = -1.0) -> list[tuple[str, float]]:
        """Return the k nearest; see `Growing`."""
        vector = unit_rows(vector, self._dimensions, one=True)[0]
        with self._lock:
            near = self._near(vector, k, at_least) if k > 0 else np.empty(0, dtype=np.intp)
            return self._ranked(vector, near, k, at_least)

    def among(self, vector: Floats32, ids: Iterable[str], k: int, at_least: float = -1.0) -> list[tuple[str, float]]:
        """Return the k nearest of these entries, as `nearest` does; unknown ids are ignored."""
        vector = unit_rows(vector, self._dimensions, one=True)[0]
        with self._lock:
            slots = {self._slots[entry] for entry in ids if entry in self._slots}
            return self._ranked(vector, np.array(sorted(slots), dtype=np.intp), max(k, 0), at_least)

    def rows_of(self, ids: Iterable[str]) -> tuple[list[str], Vectors]:
        """Return those of the ids that are there, with a copy of their rows."""
        with self._lock:
            known = [entry for entry in ids if entry in self._slots]
            return known, self._rows[[self._slots[entry] for entry in known]]

    def ids(self) -> list[str]:
        """Return the ids of all entries, in no particular order."""
        with self._lock:
            return list(self._ids)

    def _drop(self, ids: Iterable[str]) -> None:
        for entry in ids:
            slot = self._slots.pop(entry, None)
            if slot is None:
                continue
            # The last entry moves into the gap, so that rows stay packed; `_order` keeps who came first.
            moved, end = self._ids.pop(), len(self._ids)
            if slot != end:
                self._ids[slot], self._slots[moved] = moved, slot
                self._rows[slot], self._order[slot] = self._rows[end], self._order[end]
                if self._basis is not None:
                    self._leading[slot] = self._leading[end]

    def _reserve(self, wanted: int) -> None:
        capacity = len(self._rows)
        if wanted <= capacity:
            return
        while capacity < wanted:
            capacity *= 2
        n = len(self._ids)
        self._rows = _larger(self._rows, n, capacity)
        self._order = _larger(self._order, n, capacity)
        if self._basis is not None:
            self._leading = _larger(self._leading, n, capacity)

    def _fit(self) -> None:
        """Take the basis anew, by subspace iteration on a sample; the result only decides about speed."""
        n = len(self._ids)
        sample = self._rows[:n][:: -(-n // _SAMPLE)].astype(np.float64)
        basis = np.random.default_rng(0).normal(size=(self._dimensions, LEADING - 1))
        for _ in range(_TURNS):
            basis = np.linalg.qr(sample.T @ (sample @ basis))[0]
        self._basis = np.ascontiguousarray(basis.T, dtype=np.float32)
        self._leading = np.zeros((len(self._rows), LEADING), dtype=np.float32)
        self._leading[:n] = self._led(self._rows[:n])
        self._fitted = n

    def _led(self, rows: Vectors) -> Vectors:
        """Return the leading coordinates of the rows and, last, a length that what is left does not exceed."""
        assert self._basis is not None
        few = len(rows) < _FEW
        led = np.empty((len(rows), LEADING), dtype=np.float32)
        led[:, :-1] = np.vecdot(rows[:, None], self._basis[None]) if few else rows @ self._basis.T
        left = np.vecdot(rows, rows) - np.vecdot(led[:, :-1], led[:, :-1])
        led[:, -1] = np.sqrt(np.maximum(left, 0.0) + _SQUARED_WIDER)
        return led

    def _near(self, vector: Floats32, k: int, at_least: float) -> Ints:
        """Return the slots of all entries that can be among the k nearest and reach `at_least`, and of few others."""
        n = len(self._ids)
        least = at_least - SLACK
        if self._basis is None or n < FIRST_FIT:
            return _best(np.arange(n), _products(self._rows, vector, n), k, least)
        bounds = _products(self._leading, self._led(vector[None])[0], n)
        near = np.flatnonzero(bounds >= least - _WIDER)
        if k < len(near):
            reach = bounds[near]
            first = near[np.argpartition(reach, len(near) - k)[len(near) - k :]]
            least = max(least, float(np.vecdot(self._rows[first], vector).min()) - SLACK)
            near = near[reach >= least - _WIDER]
        if _FEW * len(near) > n:
            # Gathering that many rows costs more than passing over all of them.
            return _best(near, _products(self._rows, vector, n)[near], k, least)
        return _best(near, np.vecdot(self._rows[near], vector), k, least)

    def _ranked(self, vector: Floats32, near: Ints, k: int, at_least: float) -> list[tuple[str, float]]:
        near = near[np.argsort(self._order[near])]
        best, cosines = ranked(vector, self._rows[near], np.arange(len(near)), k)
        found = zip(near[best].tolist(), cosines.tolist(), strict=True)
        return [(self._ids[slot], cosine) for slot, cosine in found if cosine >= at_least]


def unit_rows(vectors: NDArray[Any], dimensions: int, *, one: bool = False) -> Vectors:
    """Return the vectors as n × d float32, n = 1 for a single one; DataError for what are no unit vectors of that width."""
    rows = np.asarray(vectors, dtype=np.float32)
    if one and rows.ndim == 1:
        rows = rows[None]
    if rows.ndim != 2 or (rows.shape[1] != dimensions and rows.size) or (one and len(rows) != 1):
        wanted = f"{'1' if one else 'n'} × {dimensions}"
        raise DataError(
            f"index: vectors of shape {np.shape(vectors)} where {wanted} is wanted",
            hint="an index holds the vectors of one embedder; make another one for another embedder",
        )
    # The comparison is written so that NaN fails it.
    if not (np.abs(np.vecdot(rows, rows) - 1.0) <= UNIT).all():
        raise DataError("index: a vector does not have length 1", hint="divide it by its length")
    return rows


def _products(rows: Vectors, vector: Floats32, n: int) -> Floats32:
    """Return the products of the first n rows with the vector, in blocks small enough to stay on one thread."""
    block = 1
    while 2 * block * rows.shape[1] < _ONE_THREAD and 2 * block <= _LEAST_CAPACITY:
        block *= 2
    whole = rows[: -(-n // block) * block].reshape(-1, block, rows.shape[1])
    products: Floats32 = (whole @ vector).reshape(-1)[:n]
    return products


def _best(slots: Ints, cosines: Floats32 | Floats, k: int, least: float) -> Ints:
    """Return the slots whose cosine reaches `least` and, but for rounding, the k-th best."""
    if k < len(slots):
        least = max(least, float(np.partition(cosines, len(cosines) - k)[len(cosines) - k]) - SLACK)
    return slots[cosines >= least]


def _larger(array: NDArray[Any], used: int, capacity: int) -> NDArray[Any]:
    grown = np.zeros((capacity, *array.shape[1:]), dtype=array.dtype)
    grown[:used] = array[:used]
    return grown


def growing_of(spec: Mapping[str, Any] | str, *, dimensions: int) -> Growing:
    """Return an empty index: "exact", "chroma" (in memory), or ``{"kind": "chroma", "folder": "cache.index"}``.

    Raises ConfigError for anything else.

    >>> index = growing_of("exact", dimensions=2)
    >>> index.add(["east", "north"], np.eye(2, dtype=np.float32))
    >>> index.nearest(np.array([0.6, 0.8]), 1)
    [('north', 0.800000011920929)]
    """
    values = checked(spec)
    if isinstance(dimensions, bool) or not isinstance(dimensions, int) or dimensions < 1:
        raise ConfigError(f"index: a whole number of dimensions from 1 is wanted, not {dimensions!r}")
    if values.pop("kind") == "exact":
        return GrowingExact(dimensions=dimensions)
    from routelab.embedding.growingchroma import GrowingChroma

    return GrowingChroma(dimensions=dimensions, **values)
