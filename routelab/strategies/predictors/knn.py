"""Quality by neighbours: what the models did on the tune prompts that are most alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from routelab.core.ports import Floats
from routelab.strategies.predictors.features import Inputs
from routelab.strategies.predictors.lesson import Lesson, Tasks, at_least, shrunk

_BLOCK = 512
_DECIMALS = 9
"""Cosines are rounded so far: a batch and a single prompt are multiplied in different orders, and ties must stay ties."""


@dataclass(frozen=True, kw_only=True)
class Knn:
    """Averages over the `k` nearest tune prompts by cosine, each weighing e^(cosine / temperature), or all the same.

    With `task`, the average is of what is left over when the prompt's task is known. It is shrunk as if `shrinkage`
    prompts had shown the model's general standing; neighbours count for as many prompts as their weights are worth
    (Kish's effective number). Prompts as near as the k-th all count. k nearest neighbours are the baseline that learned
    routers have to beat (Hu et al. 2024, RouterBench).
    """

    k: int = 80
    temperature: float | None = None
    shrinkage: float = 20.0
    task: bool = True

    def __post_init__(self) -> None:
        at_least("k", self.k, 1)
        at_least("temperature", 1.0 if self.temperature is None else self.temperature, 1e-3)
        at_least("shrinkage", self.shrinkage, 0.0)

    def fit(self, inputs: Inputs, quality: Floats) -> Lesson:
        """Return the vectors and what each model did beyond its task's mean."""
        tasks = Tasks.of(inputs, quality, use=self.task)
        residual = quality - tasks.left_out(inputs, quality)
        return Lesson(
            arrays={
                **tasks.arrays(),
                "vectors": inputs.vectors.astype(np.float32),
                "residual": residual.astype(np.float32),
            },
            about={"tasks": list(tasks.names)},
        )

    def predict(self, lesson: Lesson, inputs: Inputs) -> Floats:
        """Return the task's mean plus the shrunk mean of the neighbours."""
        near = lesson.arrays["vectors"].astype(np.float64)
        residual = lesson.arrays["residual"].astype(np.float64)
        known = ~np.isnan(residual)
        filled = np.where(known, residual, 0.0)
        nothing = np.zeros(residual.shape[1])
        k = min(self.k, len(near))
        out = Tasks.read(lesson)(inputs)
        for start in range(0, len(inputs), _BLOCK):
            part = slice(start, start + _BLOCK)
            cosine = np.round(inputs.vectors[part] @ near.T, _DECIMALS)
            least = np.partition(cosine, -k, axis=1)[:, [-k]]
            weight = (cosine >= least) * self._weights(cosine)
            mass, square = weight @ known, (weight**2) @ known
            worth = np.where(square > 0, mass**2 / np.where(square > 0, square, 1.0), 0.0)
            means = (weight @ filled) / np.where(mass > 0, mass, 1.0)
            out[part] += shrunk(means, worth, nothing, self.shrinkage)
        return out

    def _weights(self, cosine: Floats) -> Floats:
        if self.temperature is None:
            return np.ones_like(cosine)
        # Far neighbours weigh nothing rather than the smallest of numbers.
        return np.asarray(np.exp(np.maximum((cosine - cosine.max(axis=1, keepdims=True)) / self.temperature, -100.0)))
