"""Quality by cluster: prompts are sorted into a few kinds by their vectors, and models judged by kind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from routelab.core.plan import Ints
from routelab.core.ports import Floats
from routelab.strategies.predictors.features import Inputs
from routelab.strategies.predictors.lesson import Lesson, Tasks, at_least, grouped

_ROUNDS = 20
_DECIMALS = 9


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Expects of a model what it did on the tune prompts of the `near` nearest of `clusters`, shrunk to its standing.

    Clusters are k-means over unit vectors (k-means++ seeding, Lloyd's rounds), as in Avengers-Pro (Zhang et al. 2025);
    several near ones are averaged by their closeness. There are at most a tenth as many clusters as prompts. With `task`,
    the means are of what is left over when the prompt's task is known.
    """

    clusters: int = 40
    near: int = 3
    shrinkage: float = 20.0
    task: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        at_least("clusters", self.clusters, 1)
        at_least("near", self.near, 1)
        at_least("shrinkage", self.shrinkage, 0.0)
        at_least("seed", self.seed, 0)

    def fit(self, inputs: Inputs, quality: Floats) -> Lesson:
        """Return the centres and the shrunk means in each cluster."""
        tasks = Tasks.of(inputs, quality, use=self.task)
        residual = quality - tasks.left_out(inputs, quality)
        count = min(self.clusters, max(1, len(inputs) // 10))
        centres = inputs.once(("kmeans", count, self.seed), lambda: kmeans(inputs.vectors, count, self.seed))
        own = _closeness(inputs.vectors, centres).argmax(axis=1)
        table = grouped(own, len(centres), residual, np.zeros(quality.shape[1]), self.shrinkage)
        return Lesson(arrays={**tasks.arrays(), "centres": centres, "table": table}, about={"tasks": list(tasks.names)})

    def predict(self, lesson: Lesson, inputs: Inputs) -> Floats:
        """Return the task's mean plus the rows of the nearest clusters, the nearer the heavier."""
        centres, table = lesson.arrays["centres"], lesson.arrays["table"]
        close = _closeness(inputs.vectors, centres)
        k = min(self.near, len(centres))
        least = np.partition(close, -k, axis=1)[:, [-k]]
        # The temperature of a softmax over half squared distances; about what separates neighbouring centres.
        weight = np.exp((close - close.max(axis=1, keepdims=True)) / 0.05) * (close >= least)
        return np.asarray(Tasks.read(lesson)(inputs) + (weight / weight.sum(axis=1, keepdims=True)) @ table)


def kmeans(points: Floats, count: int, seed: int) -> Floats:
    """Return `count` centres (fewer where points coincide), the same for equal points, count and seed."""
    chance = np.random.default_rng(seed)
    chosen = [int(chance.integers(len(points)))]
    far = _square(points, points[chosen[0]])
    while len(chosen) < count and far.sum() > 1e-9:
        # Drawn by squared distance (Arthur and Vassilvitskii 2007).
        chosen.append(
            int(np.searchsorted(np.cumsum(far), chance.random() * far.sum(), side="right").clip(0, len(far) - 1))
        )
        far = np.minimum(far, _square(points, points[chosen[-1]]))
    centres = points[chosen]
    labels = np.full(len(points), -1, dtype=np.intp)
    for _ in range(_ROUNDS):
        new = _closeness(points, centres).argmax(axis=1)
        if np.array_equal(new, labels):
            break
        labels = new
        centres = _means(points, labels, centres)
    return centres


def _means(points: Floats, labels: Ints, before: Floats) -> Floats:
    member = np.zeros((len(before), len(points)))
    member[labels, np.arange(len(points))] = 1.0
    size = member.sum(axis=1, keepdims=True)
    return np.where(size > 0, (member @ points) / np.maximum(size, 1.0), before)


def _square(points: Floats, centre: Floats) -> Floats:
    return np.asarray(np.round(((points - centre) ** 2).sum(axis=1), _DECIMALS))


def _closeness(points: Floats, centres: Floats) -> Floats:
    """Return minus half the squared distances, up to a number that depends on the point only."""
    return np.asarray(np.round(points @ centres.T - 0.5 * (centres**2).sum(axis=1), _DECIMALS))
