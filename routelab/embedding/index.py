"""Nearest neighbours among unit vectors: exact in NumPy, or through Chroma; both give the same rows in the same order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from routelab.core.errors import ConfigError, suggest

Vectors = NDArray[np.float32]
Ints = NDArray[np.intp]
Floats = NDArray[np.float64]

# More than the rounding of a float32 product of unit vectors, whichever way it is summed (measured: below 5e-7).
SLACK = 2e-6
FEW = 4
_BLOCK_BYTES = 64_000_000


class Index(Protocol):
    """Finds the nearest of the vectors that it was made of."""

    def __len__(self) -> int: ...

    def nearest(self, vectors: Vectors, k: int) -> tuple[Ints, Floats]:
        """Return the positions of each vector's k nearest and their cosines, both n × min(k, len), nearest first.

        Of equally near ones the first comes first. A row depends on its own vector only, to the last digit.
        """


@dataclass(frozen=True, kw_only=True, eq=False)
class Exact:
    """Compares with every vector (`rows`, m × d, unit length): no approximation, nothing to keep on disk."""

    rows: Vectors

    def __len__(self) -> int:
        return len(self.rows)

    def nearest(self, vectors: Vectors, k: int) -> tuple[Ints, Floats]:
        """Return positions and cosines of the k nearest; see `Index`."""
        k = min(k, len(self))
        block = max(1, _BLOCK_BYTES // max(1, 4 * len(self)))
        found = [
            self._of(vector, row, k)
            for start in range(0, len(vectors), block)
            for vector, row in self._compared(vectors[start : start + block])
        ]
        return stacked(found, k)

    def _compared(self, vectors: Vectors) -> Any:
        # One product for many is ten times as fast as one at a time. For a few, one dot product a row: a threaded product
        # waits for threads that a busy machine has put aside (0.9 ms against 17 at the 90th percentile, 15,000 rows).
        few = len(vectors) < FEW
        return zip(vectors, np.vecdot(self.rows[None], vectors[:, None]) if few else vectors @ self.rows.T, strict=True)

    def _of(self, vector: Vectors, cosines: Vectors, k: int) -> tuple[Ints, Floats]:
        if k < len(cosines):
            least = np.partition(cosines, len(cosines) - k)[len(cosines) - k]
            near = np.flatnonzero(cosines >= least - SLACK)
        else:
            near = np.arange(len(cosines))
        return ranked(vector, self.rows[near], near, k)


def ranked(vector: Vectors, rows: Vectors, positions: Ints, k: int) -> tuple[Ints, Floats]:
    """Return the k nearest of a few candidates and their cosines, summed in one fixed way, ties by position."""
    cosines = (rows.astype(np.float64) * vector.astype(np.float64)).sum(axis=1)
    best = np.lexsort((positions, -cosines))[:k]
    return positions[best], cosines[best]


def stacked(found: list[tuple[Ints, Floats]], k: int) -> tuple[Ints, Floats]:
    """Return rows of positions and cosines as two arrays, n × k."""
    positions = np.array([p for p, _ in found], dtype=np.intp).reshape(len(found), k)
    return positions, np.array([c for _, c in found], dtype=float).reshape(len(found), k)


def _exact(rows: Vectors) -> Index:
    return Exact(rows=rows)


def _chroma(rows: Vectors, **options: Any) -> Index:
    from routelab.embedding.chroma import Chroma

    return Chroma(rows=rows, **options)


_OPTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType({"exact": (), "chroma": ("folder",)})
_MADE = MappingProxyType({"exact": _exact, "chroma": _chroma})


def checked(spec: Mapping[str, Any] | str) -> dict[str, Any]:
    """Return an index's mapping with its kind; ConfigError for what is not one.

    >>> checked("chrome")
    Traceback (most recent call last):
    routelab.core.errors.ConfigError: index: unknown 'chrome'; did you mean 'chroma'?
      hint: one of exact, chroma
    """
    values = {"kind": spec} if isinstance(spec, str) else dict(spec) if isinstance(spec, Mapping) else {}
    kind = values.get("kind")
    if not isinstance(kind, str) or kind not in _OPTIONS:
        near = suggest(kind, _OPTIONS)
        raise ConfigError(
            f"index: unknown {kind!r}" + (f"; {near}" if near else ""), hint=f"one of {', '.join(_OPTIONS)}"
        )
    for key, value in values.items():
        if key != "kind" and key not in _OPTIONS[kind]:
            raise ConfigError(f"index.{key}: unknown key", hint=f"keys: {', '.join(('kind', *_OPTIONS[kind]))}")
        if not isinstance(value, str) or not value:
            raise ConfigError(f"index.{key}: must be a text (got {value!r})")
    return values


def index_of(spec: Mapping[str, Any] | str, rows: Vectors) -> Index:
    """Return an index over unit vectors (m × d): "exact", "chroma", or ``{"kind": "chroma", "folder": "log.index"}``."""
    values = checked(spec)
    return _MADE[values.pop("kind")](np.ascontiguousarray(rows, dtype=np.float32), **values)
