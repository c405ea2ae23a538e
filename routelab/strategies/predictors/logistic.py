"""Quality by logistic regression on vector, surface and task, for all models at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from routelab.core.ports import Floats
from routelab.strategies.predictors.features import Design, Inputs
from routelab.strategies.predictors.lesson import Lesson, at_least, overall, sigmoid

_STEPS = 60
_CLOSE = 1e-3
_SMALL = 1e-3


@dataclass(frozen=True, kw_only=True)
class Logistic:
    """Expects σ(x·w + b) of each model: cross-entropy with a penalty of `l2` / 2 · |w|².

    A quality between 0 and 1 counts as that share of a success. `vectors` weighs the embedding against the surface
    features (0 leaves it out), `task` adds a column a task.
    """

    l2: float = 1000.0
    vectors: float = 1.0
    task: bool = True

    def __post_init__(self) -> None:
        at_least("l2", self.l2, 1e-9)
        at_least("vectors", self.vectors, 0.0)

    def fit(self, inputs: Inputs, quality: Floats) -> Lesson:
        """Return the coefficients."""
        design = Design.of(inputs, vectors=self.vectors, tasks=self.task)
        columns = design(inputs)
        weights, bias = regress(columns, quality, self.l2)
        return Lesson(arrays={**design.arrays(), "weights": weights, "bias": bias}, about={"tasks": list(design.tasks)})

    def predict(self, lesson: Lesson, inputs: Inputs) -> Floats:
        """Return the probabilities."""
        columns = Design.read(lesson.arrays, lesson.about["tasks"])(inputs)
        return sigmoid(columns @ lesson.arrays["weights"] + lesson.arrays["bias"])


def logits(quality: Floats) -> Floats:
    """Return the logit of every model's mean quality, which keeps a distance from 0 and 1."""
    mean = np.clip(overall(quality), _SMALL, 1 - _SMALL)
    return np.asarray(np.log(mean) - np.log1p(-mean))


def regress(columns: Floats, quality: Floats, l2: float, *, rank: int | None = None) -> tuple[Floats, Floats]:
    """Return weights (k × models) and biases (models,) of the least penalised cross-entropy; the bias is not penalised.

    With a `rank`, of the least one among weights of at most that rank. Every step minimises the quadratic that lies above
    the loss everywhere (its curvature is a quarter of XᵀX, Böhning and Lindsay 1988), so the loss never rises, the matrix
    is factored once for all models, and in its own measure the best step of a rank is a truncated SVD.
    """
    known = (~np.isnan(quality)).astype(float)
    # A model that was never wrong (or never right) has no finite bias; a prior of one thousandth keeps it in sight.
    target = np.clip(np.where(known > 0, quality, 0.0), _SMALL, 1 - _SMALL)
    k, m = columns.shape[1], quality.shape[1]
    factor = np.linalg.cholesky(0.25 * columns.T @ columns + l2 * np.eye(k))
    whole = np.linalg.solve(factor, columns.T).T  # columns in which the curvature is the same in every direction
    weights, bias = np.zeros((k, m)), logits(quality)
    inverse = np.linalg.inv(factor)
    penalty = l2 * inverse @ inverse.T
    counts = 0.25 * np.maximum(known.sum(axis=0), 1.0)
    for _ in range(_STEPS):
        sums = whole @ weights
        slope = known * (sigmoid(sums + bias) - target)
        # Biases and weights in turn, each within its own bound.
        shift = slope.sum(axis=0) / counts
        bias = bias - shift
        slope = known * (sigmoid(sums + bias) - target)
        new = weights - (whole.T @ slope + penalty @ weights)
        if rank is not None and rank < min(k, m):
            left, size, right = np.linalg.svd(new, full_matrices=False)
            new = (left[:, :rank] * size[:rank]) @ right[:rank]
        change = max(float(np.abs(new - weights).max()), float(np.abs(shift).max()))
        weights = new
        if change < _CLOSE:
            break
    return np.linalg.solve(factor.T, weights), bias
