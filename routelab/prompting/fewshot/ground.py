"""What every way of choosing stands on: the pool with its vectors, and who may be shown to which prompt."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from routelab.core.ports import Embedder
from routelab.core.values import Prompt
from routelab.embedding import Cached, VectorStore, content_hash, embedder_of, remember, vectors
from routelab.embedding.index import Exact, Floats, Vectors
from routelab.embedding.vectors import Memory
from routelab.prompting.fewshot.example import Pool

MORE = 16
"""How many neighbours beyond those wanted are looked at first: an answer's cap or a bar for duplicates may turn some away."""


class FewShot(Protocol):
    """A way of choosing examples, as a frozen value: which pool, how many, by what; one file each."""

    @property
    def examples(self) -> Pool:
        """The pool; a file's path or a list when the value is made."""

    @property
    def k(self) -> int | None:
        """How many examples are shown, at most; never None once the value is made."""

    @property
    def per_answer(self) -> int | None:
        """How many of them may have the same answer."""

    @property
    def duplicate_at(self) -> float | None:
        """The cosine to the prompt from which on an example is taken for the prompt itself, and held out."""

    @property
    def embedder(self) -> Any:
        """What turns questions into vectors, where that is needed."""

    def choose(self, ground: Ground, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Return the positions of the examples to show to each prompt, in the order of showing; a row depends on its prompt only."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Ground:
    """A pool and who of it may be shown: the examples' vectors are made once, when they are first needed.

    `embedder` is what `embedder_of` takes, or an embedder; `store` (a log) keeps the pool's vectors beyond this process.
    """

    pool: Pool
    embedder: Any = "minilm"
    duplicate_at: float | None = None
    per_answer: int | None = None
    store: VectorStore | None = None
    _memory: Memory = field(default_factory=Memory, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @cached_property
    def rows(self) -> Vectors:
        """One unit vector an example."""
        # Who waits here finds the vectors in the process's memory.
        with self._lock:
            return self._embedded()

    def _embedded(self) -> Vectors:
        texts = self.pool.questions
        if self.store is None:
            return np.ascontiguousarray(self.vectors(texts), dtype=np.float32)
        named = isinstance(self.embedder, (str, Mapping))
        made: Embedder = embedder_of(self.embedder) if named else self.embedder
        known = Cached(embedder=made, store=self.store)(texts)
        if named:
            # The prompts of a data set are often in the pool too.
            remember(self.embedder, {content_hash(t): v for t, v in zip(texts, known, strict=True)})
        return np.ascontiguousarray(known, dtype=np.float32)

    @cached_property
    def _index(self) -> Exact:
        return Exact(rows=self.rows)

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """Return one unit vector a text, embedding only what was not embedded before."""
        if isinstance(self.embedder, (str, Mapping)):
            return vectors(self.embedder, texts)
        return Cached(embedder=self.embedder, store=self._memory)(texts)

    def shown(self, prompts: Sequence[Prompt], orders: Iterable[Iterable[int]], k: int) -> list[list[int]]:
        """Return the first k of each prompt's order that may be shown to it."""
        asked = None if self.duplicate_at is None else self.vectors([p.text for p in prompts])
        found = []
        for i, (prompt, order) in enumerate(zip(prompts, orders, strict=True)):
            door = self._door(prompt, None if asked is None else asked[i])
            found.append(door.first(order, k))
        return found

    def nearest(self, prompts: Sequence[Prompt], k: int, *, capped: bool = True) -> list[list[int]]:
        """Return the k nearest examples that may be shown to each prompt, nearest first, ties by position.

        Without `capped`, any number of them may have the same answer.
        """
        asked = self.vectors([p.text for p in prompts])
        doors = [self._door(p, v, capped=capped) for p, v in zip(prompts, asked, strict=True)]
        found: list[list[int]] = [[] for _ in prompts]
        depth = {i: min(len(self.pool), k + len(door.out) + MORE) for i, door in enumerate(doors)}
        while depth:
            deepest = max(depth.values())
            waiting = [i for i, d in depth.items() if d == deepest]
            positions, _ = self._index.nearest(asked[waiting], deepest)
            for i, order in zip(waiting, positions, strict=True):
                found[i] = doors[i].first((int(p) for p in order), k)
                del depth[i]
                if len(found[i]) < k and deepest < len(self.pool):
                    depth[i] = min(len(self.pool), 4 * deepest)
        return found

    def cosines(self, vector: Vectors, positions: Sequence[int]) -> Floats:
        """Return the cosine of a vector with the examples at the positions, summed as `embedding.index` sums them."""
        near = self.rows[np.asarray(positions, dtype=np.intp)].astype(np.float64)
        summed: Floats = (near * vector.astype(np.float64)).sum(axis=1)
        return summed

    def _door(self, prompt: Prompt, vector: Vectors | None, *, capped: bool = True) -> _Door:
        return _Door(
            ground=self,
            out=frozenset(self.pool.overlaps(prompt)),
            vector=vector,
            per_answer=self.per_answer if capped else None,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Door:
    """Who may be shown to one prompt."""

    ground: Ground
    out: frozenset[int]
    vector: Vectors | None
    per_answer: int | None

    def first(self, order: Iterable[int], k: int) -> list[int]:
        chosen: list[int] = []
        said: Counter[str] = Counter()
        for position in self._admitted(order):
            answer = self.ground.pool.examples[position].answer
            if self.per_answer is not None and said[answer] >= self.per_answer:
                continue
            said[answer] += 1
            chosen.append(position)
            if len(chosen) == k:
                break
        return chosen

    def _admitted(self, order: Iterable[int]) -> Iterator[int]:
        bar = self.ground.duplicate_at
        for position in order:
            if position in self.out:
                continue
            if bar is not None and self.vector is not None and self.ground.cosines(self.vector, [position])[0] >= bar:
                continue
            yield position
