"""A library of passages: found by their meaning, by their words, or by both."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from routelab.core.errors import ConfigError
from routelab.core.ports import Embedder, Floats
from routelab.embedding.index import Exact, Index, Ints, Vectors, checked, index_of
from routelab.retrieval.bm25 import BM25
from routelab.retrieval.passage import Passage
from routelab.retrieval.search import Search

_FIRST = 200
"""Characters of a passage that the first search is made with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """A passage that was found, at its rank from 1; `score` is what ranked it, `cosine` and `bm25` are None where not used.

    `position` is the passage's place in the library.
    """

    position: int
    rank: int
    passage: Passage
    score: float
    cosine: float | None = None
    bm25: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Library:
    """Passages with an embedder and the kind of index over its vectors; both indexes are made when they are first needed.

    Nothing in it cannot be made again from the passages. `embedder` None searches words only; `rows` gives vectors that are
    known already (passages × dimensions, unit length), else all passages are embedded at the first search.
    """

    passages: Sequence[Passage]
    embedder: Embedder | None = None
    index: Mapping[str, Any] | str = "exact"
    rows: Vectors | None = None

    def __post_init__(self) -> None:
        checked(self.index)
        if self.rows is not None and len(self.rows) != len(self.passages):
            raise ConfigError(f"library.rows: {len(self.rows)} vectors for {len(self.passages)} passages")

    def __len__(self) -> int:
        return len(self.passages)

    @cached_property
    def vectors(self) -> Vectors:
        """One unit vector a passage."""
        if self.rows is not None:
            return np.ascontiguousarray(self.rows, dtype=np.float32)
        return np.ascontiguousarray(self._embedder([p.text for p in self.passages]), dtype=np.float32)

    @cached_property
    def words(self) -> BM25:
        """The weights of the passages' words."""
        return BM25.of([p.text for p in self.passages])

    def search(self, prompts: Sequence[str], search: Search) -> tuple[tuple[Hit, ...], ...]:
        """Return the hits of each prompt, best first, at most `search.k`.

        Of equal scores the earlier passage comes first. Raises ConfigError when vectors are asked for without an embedder,
        and what the embedder raises.
        """
        allowed = self._allowed(search)
        if len(allowed) == 0 or not prompts:
            return ((),) * len(prompts)
        if search.by == "words":
            return tuple(self._by_words(prompt, search, allowed) for prompt in prompts)
        asked = np.ascontiguousarray(self._embedder(prompts), dtype=np.float32)
        deep = search.k if search.by == "vectors" else max(search.pool, search.k)
        near = self._nearest(asked, deep, allowed)
        if search.by == "vectors":
            return tuple(
                self._hits([(c, int(p), float(c), None) for p, c in zip(*found, strict=True)], search)
                for found in zip(*near, strict=True)
            )
        return tuple(
            self._fused(prompt, vector, (positions, cosines), search, allowed)
            for prompt, vector, positions, cosines in zip(prompts, asked, *near, strict=True)
        )

    def prepare(self, search: Search) -> None:
        """Make now what a search needs: the vectors and their index, the weights of words, or both."""
        if search.by != "vectors":
            _ = self.words
        if search.by != "words" and len(self.passages):
            self.search([self.passages[0].text[:_FIRST]], search)

    @property
    def _embedder(self) -> Embedder:
        if self.embedder is None:
            raise ConfigError("search.by: the library has no embedder", hint="give it one, or search by: words")
        return self.embedder

    @cached_property
    def _index(self) -> Index:
        return index_of(self.index, self.vectors)

    def _allowed(self, search: Search) -> Ints:
        mask = np.fromiter((search.admits(p) for p in self.passages), dtype=bool, count=len(self.passages))
        return np.flatnonzero(mask)

    def _nearest(self, asked: Vectors, k: int, allowed: Ints) -> tuple[Ints, Floats]:
        if len(allowed) == len(self.passages):
            try:
                return self._index.nearest(asked, k)
            except _lost(self._index) as trouble:
                # Somebody took the folder away, or the disk is full: the vectors are all here.
                self.__dict__["_index"] = Exact(rows=self.vectors)
                said = " ".join(str(trouble).split())[:120] or type(trouble).__name__
                warnings.warn(f"the index can no longer be read ({said}); it is searched in memory now", stacklevel=2)
                return self._index.nearest(asked, k)
        # A graph cannot be asked for some of its vectors only without missing more of them; a part is compared as a whole.
        positions, cosines = Exact(rows=self.vectors[allowed]).nearest(asked, k)
        return allowed[positions], cosines

    def _by_words(self, prompt: str, search: Search, allowed: Ints) -> tuple[Hit, ...]:
        ranked = self._worded(self.words.scores(prompt), allowed, search.k)
        return self._hits([(score, position, None, score) for position, score in ranked], search)

    def _worded(self, scores: Floats, allowed: Ints, k: int) -> list[tuple[int, float]]:
        having = allowed[scores[allowed] > 0]
        best = having[np.lexsort((having, -scores[having]))[:k]]
        return [(int(i), float(scores[i])) for i in best]

    def _fused(
        self, prompt: str, vector: Vectors, near: tuple[Ints, Floats], search: Search, allowed: Ints
    ) -> tuple[Hit, ...]:
        scores = self.words.scores(prompt)
        cosines = {int(p): float(c) for p, c in zip(*near, strict=True)}
        lists = (list(cosines), [p for p, _ in self._worded(scores, allowed, max(search.pool, search.k))])
        fused: dict[int, float] = {}
        for found in lists:
            for rank, position in enumerate(found, start=1):
                fused[position] = fused.get(position, 0.0) + 1.0 / (search.smoothing + rank)
        # The cosine of what only the words found: summed as `index.ranked` sums, to the last digit.
        for position in fused:
            if position not in cosines:
                cosines[position] = float((self.vectors[position].astype(np.float64) * vector.astype(np.float64)).sum())
        ranked = sorted(((score, p, cosines[p], float(scores[p])) for p, score in fused.items()), key=_order)
        return self._hits(ranked, search)

    def _hits(self, ranked: Sequence[tuple[float, int, float | None, float | None]], search: Search) -> tuple[Hit, ...]:
        """Return (score, position, cosine, bm25) in their order as hits, without those below the floor."""
        kept = [row for row in ranked if search.passes(row[0] if row[2] is None else row[2])][: search.k]
        return tuple(
            Hit(position=p, rank=rank, passage=self.passages[p], score=float(score), cosine=cosine, bm25=bm25)
            for rank, (score, p, cosine, bm25) in enumerate(kept, start=1)
        )


def _lost(index: Index) -> tuple[type[Exception], ...]:
    """Return what an index that is kept elsewhere may raise when it is no longer there."""
    if isinstance(index, Exact):
        return ()
    import sqlite3

    from chromadb.errors import ChromaError

    return ChromaError, sqlite3.Error, OSError


def _order(row: tuple[float, int, float | None, float | None]) -> tuple[float, int]:
    return -row[0], row[1]
