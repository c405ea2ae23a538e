"""Diverse: examples near to what is asked, and unlike each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from routelab.core.values import Prompt
from routelab.embedding.index import Vectors
from routelab.prompting.fewshot.ground import Ground
from routelab.prompting.fewshot.nearest import Place
from routelab.prompting.fewshot.settings import settle


@dataclass(frozen=True, kw_only=True)
class Diverse:
    """Show `k` of the `among` nearest examples by maximal marginal relevance (MMR; Carbonell and Goldstein 1998).

    Each next one has the greatest ``relevance · cos(example, prompt) − (1 − relevance) · max cos(example, chosen)``; the
    first is the nearest, and with a `relevance` of 1 all are. Chosen for what is asked, unlike a k-centre cover of the pool,
    which shows everybody the same and so is a list for `fixed`. `nearest` places them by their cosine to the prompt.
    """

    examples: Any
    k: int = 4
    embedder: Any = field(default="minilm", hash=False)
    relevance: float = 0.5
    among: int = 32
    nearest: Place = "last"
    per_answer: int | None = None
    duplicate_at: float | None = None

    def __post_init__(self) -> None:
        settle(self)
        if not 0 <= self.relevance <= 1:
            raise ValueError(f"relevance: must lie between 0 and 1, not {self.relevance}")
        if self.among < self.k:
            raise ValueError(f"among: {self.k} of the {self.among} nearest cannot be shown; give at least `k`")

    def choose(self, ground: Ground, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Return the k chosen of the nearest that may be shown to each prompt, the nearest where `nearest` says."""
        near = ground.nearest(prompts, self.among, capped=False)
        asked = ground.vectors([p.text for p in prompts])
        rows = [self._picked(ground, vector, row) for vector, row in zip(asked, near, strict=True)]
        return [row[::-1] for row in rows] if self.nearest == "last" else rows

    def _picked(self, ground: Ground, vector: Vectors, near: Sequence[int]) -> list[int]:
        """Return the chosen of `near` (nearest first) in its order."""
        rows = ground.rows[np.asarray(near, dtype=np.intp)].astype(np.float64)
        relevant = self.relevance * ground.cosines(vector, near)
        alike = np.full(len(near), -np.inf)
        left = np.ones(len(near), dtype=bool)
        said: Counter[str] = Counter()
        chosen: list[int] = []
        while left.any() and len(chosen) < self.k:
            worth = relevant if not chosen else relevant - (1 - self.relevance) * alike
            # The first of equal ones, which is the nearer.
            best = int(np.argmax(np.where(left, worth, -np.inf)))
            left[best] = False
            answer = ground.pool.examples[near[best]].answer
            if self.per_answer is not None and said[answer] >= self.per_answer:
                continue
            said[answer] += 1
            chosen.append(best)
            alike = np.maximum(alike, (rows * rows[best]).sum(axis=1))
        return [near[i] for i in sorted(chosen)]
