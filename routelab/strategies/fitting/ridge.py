"""What was learned about each model from prompts' features: one ridge regression a model, for LinUCB."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from routelab.core.values import Prompt, digest

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.intp]

LOOKED_AT: Mapping[str, float] = {
    "characters": 1 / 8,
    "digits": 1.0,
    "capitals": 1.0,
    "foreign": 1.0,
    "code": 1 / 3,
    "formulas": 1 / 3,
    "questions": 1 / 2,
    "options": 1 / 3,
    "reasoning": 1 / 3,
    "turns": 1 / 2,
}
"""The columns of `predictors.features.surface` that count, and what brings each to about 0 to 1: nothing has to be fitted first."""
SURFACE = 1 + len(LOOKED_AT)
"""How many features come from the prompt's text alone, the constant included."""


@dataclass(frozen=True, kw_only=True)
class Features:
    """Which numbers describe a prompt: its surface, its task where that is known, and a projection of its embedding.

    `tasks` are those met so far; a task that was not met has none of their features. `dimensions` is what is kept of the
    embedding: a Gaussian random projection, so that nothing must be fitted (Johnson and Lindenstrauss 1984).
    """

    tasks: tuple[str, ...] = ()
    embedder: str | Mapping[str, Any] | None = None
    dimensions: int = 16

    @property
    def size(self) -> int:
        """How many features there are."""
        return SURFACE + len(self.tasks) + (0 if self.embedder is None else self.dimensions)

    def __call__(self, prompts: Sequence[Prompt]) -> Floats:
        """Return the features, prompts × size: surface, embedding, tasks. The embedding stands before the tasks, which grow."""
        surface = np.array([_surface(p) for p in prompts], dtype=float).reshape(len(prompts), SURFACE)
        tasks = np.array([[float(p.task == t) for t in self.tasks] for p in prompts], dtype=float)
        return np.concatenate([surface, self._embedded(prompts), tasks.reshape(len(prompts), len(self.tasks))], axis=1)

    def met(self, prompts: Sequence[Prompt]) -> Features:
        """Return the features with the tasks of more prompts, new ones last."""
        tasks = tuple(dict.fromkeys([*self.tasks, *(p.task for p in prompts if p.task is not None)]))
        return Features(tasks=tasks, embedder=self.embedder, dimensions=self.dimensions)

    def _embedded(self, prompts: Sequence[Prompt]) -> Floats:
        if self.embedder is None or not prompts:
            return np.zeros((len(prompts), 0 if self.embedder is None else self.dimensions))
        from routelab.embedding import vectors

        found = np.asarray(vectors(self.embedder, [p.text for p in prompts]), dtype=float)
        return np.asarray(found @ _projection(found.shape[1], self.dimensions))


@lru_cache(maxsize=8)
def _projection(inputs: int, outputs: int) -> Floats:
    rng = np.random.default_rng(int(digest("bandit projection", inputs, outputs), 16))
    return np.asarray(rng.normal(size=(inputs, outputs)) / math.sqrt(outputs))


def _surface(prompt: Prompt) -> tuple[float, ...]:
    from routelab.strategies.predictors.features import SURFACE as COLUMNS
    from routelab.strategies.predictors.features import surface

    found = dict(zip(COLUMNS, surface(prompt), strict=True))
    return (1.0, *(found[name] * scale for name, scale in LOOKED_AT.items()))


@dataclass(frozen=True, kw_only=True, eq=False)
class Ridge:
    """Weighted sums over what was seen: `gram` (models × d × d) of x·xᵀ, `moment` (models × d) of reward·x, `count` (models,)."""

    gram: Floats
    moment: Floats
    count: Floats

    @staticmethod
    def empty(models: int, size: int) -> Ridge:
        """Return the sums of models that nobody asked."""
        return Ridge(gram=np.zeros((models, size, size)), moment=np.zeros((models, size)), count=np.zeros(models))

    def plus(self, model: Ints, x: Floats, reward: Floats, weight: Floats | None = None) -> Ridge:
        """Return the sums with more rewards; row i of x (n × d) describes the prompt that brought reward i."""
        w = np.ones(len(reward)) if weight is None else weight
        gram, moment = self.gram.copy(), self.moment.copy()
        for k in np.unique(model):
            mine = model == k
            weighted = x[mine] * w[mine, None]
            gram[k] += weighted.T @ x[mine]
            moment[k] += weighted.T @ reward[mine]
        count = self.count + np.bincount(model, weights=w, minlength=len(self.count))
        return Ridge(gram=gram, moment=moment, count=count)

    def faded(self, factor: float) -> Ridge:
        """Return every sum multiplied by the factor."""
        return Ridge(gram=self.gram * factor, moment=self.moment * factor, count=self.count * factor)

    def grown(self, size: int) -> Ridge:
        """Return the same sums over more features, of which nothing was seen yet."""
        more = size - self.moment.shape[1]
        return Ridge(
            gram=np.pad(self.gram, ((0, 0), (0, more), (0, more))),
            moment=np.pad(self.moment, ((0, 0), (0, more))),
            count=self.count,
        )

    def take(self, columns: Ints) -> Ridge:
        """Return the sums of some models, in the order given; -1 stands for one that nobody asked."""
        nobody = Ridge.empty(1, self.moment.shape[1])
        return Ridge(
            **{n: np.concatenate([getattr(self, n), getattr(nobody, n)])[columns] for n in ("gram", "moment", "count")}
        )

    def predict(self, x: Floats, *, prior: float) -> tuple[Floats, Floats]:
        """Return the expected rewards and their widths, both n × models: x·θ and √(xᵀA⁻¹x) with A = 1 + gram.

        Rewards are regressed around the prior, so that a model of which nothing is known is expected to bring it.
        """
        inverse = np.linalg.inv(np.eye(self.gram.shape[1]) + self.gram)
        # The constant is the first feature: around the prior, the sum of rewards loses the prior times the sum of features.
        theta = np.einsum("kde,ke->kd", inverse, self.moment - prior * self.gram[:, :, 0])
        expected = prior + np.einsum("nd,kd->nk", x, theta)
        width = np.sqrt(np.maximum(0.0, np.einsum("nd,kde,ne->nk", x, inverse, x)))
        return expected, width

    @property
    def packed(self) -> Floats:
        """The upper triangles of the symmetric sums, models × d(d+1)/2."""
        rows, columns = np.triu_indices(self.gram.shape[1])
        return np.asarray(self.gram[:, rows, columns])

    @staticmethod
    def unpacked(packed: Floats, moment: Floats, count: Floats) -> Ridge:
        """Return the sums whose triangles were packed."""
        models, size = moment.shape
        rows, columns = np.triu_indices(size)
        gram = np.zeros((models, size, size))
        gram[:, rows, columns] = packed
        gram[:, columns, rows] = packed
        return Ridge(gram=gram, moment=moment, count=count)
