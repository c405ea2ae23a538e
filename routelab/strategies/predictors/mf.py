"""Quality by matrix factorisation: prompts and models meet in a space of a few dimensions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from routelab.core.ports import Floats
from routelab.strategies.predictors.features import Design, Inputs
from routelab.strategies.predictors.lesson import Lesson, at_least, sigmoid
from routelab.strategies.predictors.logistic import regress


@dataclass(frozen=True, kw_only=True)
class Mf:
    """Expects σ(u_m · W x + b_m): `rank` hidden traits of a prompt, and how much each of them asks of each model.

    The form of RouteLLM's matrix factorisation (Ong et al. 2024), trained on recorded qualities instead of battles:
    cross-entropy with a penalty of `l2` / 2 · |u W|². The models' factors u are orthonormal, so that the factors are
    unique up to their signs.
    """

    rank: int = 4
    l2: float = 1000.0
    vectors: float = 1.0
    task: bool = True

    def __post_init__(self) -> None:
        at_least("rank", self.rank, 1)
        at_least("l2", self.l2, 1e-9)
        at_least("vectors", self.vectors, 0.0)

    def fit(self, inputs: Inputs, quality: Floats) -> Lesson:
        """Return the traits' coefficients and the models' factors."""
        design = Design.of(inputs, vectors=self.vectors, tasks=self.task)
        weights, bias = regress(design(inputs), quality, self.l2, rank=self.rank)
        left, size, right = np.linalg.svd(weights, full_matrices=False)
        # The sign of a pair of singular vectors is free, and must not depend on the library.
        sign = np.sign(right[np.arange(len(right)), np.abs(right).argmax(axis=1)])
        traits = (left * size * sign)[:, : self.rank]
        factors = (right * sign[:, None])[: self.rank].T
        return Lesson(
            arrays={**design.arrays(), "traits": traits, "factors": factors, "bias": bias},
            about={"tasks": list(design.tasks)},
        )

    def predict(self, lesson: Lesson, inputs: Inputs) -> Floats:
        """Return the probabilities."""
        arrays = lesson.arrays
        columns = Design.read(arrays, lesson.about["tasks"])(inputs)
        return sigmoid((columns @ arrays["traits"]) @ arrays["factors"].T + arrays["bias"])
