"""From a score to the chance of being right: Platt's curve, isotonic regression, and what tells how well either fits."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Method = Literal["platt", "isotonic"]

BINS = 15


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """A rising curve through points (`x`, `y`): linear between them, flat beyond; Platt's is σ(y₀·score + y₁), with no x."""

    method: Method
    x: Floats
    y: Floats

    def __call__(self, scores: Floats) -> Floats:
        """Return the chance of being right for each score, between 0 and 1."""
        scores = np.asarray(scores, dtype=float)
        if self.method == "platt":
            return _sigmoid(self.y[0] * scores + self.y[1])
        found: Floats = np.interp(scores, self.x, self.y)
        return found


def fitted(method: Method, scores: Floats, right: NDArray[np.bool_]) -> Curve:
    """Return the curve that fits how often scores, 0 to 1, were right (arrays n long); ValueError when n is 0."""
    if len(scores) == 0:
        raise ValueError("a calibration needs at least one score")
    return _FITS[method](np.asarray(scores, dtype=float), np.asarray(right, dtype=float))


def _platt(scores: Floats, right: Floats) -> Curve:
    """Minimise the log loss of σ(a·score + b) against Platt's smoothed targets (1999), which keep it from certainty.

    Newton's method with step halving, as Lin, Lin and Weng (2007) advise. A falling curve would turn the order of
    scores round, so it becomes a level one.
    """
    positive = right.sum()
    target = np.where(right > 0.5, (positive + 1) / (positive + 2), 1 / (len(right) - positive + 2))
    design = np.column_stack([scores, np.ones_like(scores)])
    level = float(target.mean())
    at = np.array([0.0, math.log(level / (1 - level))])
    for _ in range(100):
        chance = _sigmoid(design @ at)
        slope = design.T @ (chance - target)
        bend = (design * (chance * (1 - chance))[:, None]).T @ design + 1e-10 * np.eye(2)
        step = np.linalg.solve(bend, slope)
        size = 1.0
        while size > 1e-8 and _loss(design @ (at - size * step), target) > _loss(design @ at, target):
            size /= 2
        at = at - size * step
        if np.abs(size * step).max() < 1e-10:
            break
    if at[0] <= 0:
        at = np.array([0.0, math.log(level / (1 - level))])
    return Curve(method="platt", x=np.zeros(0), y=at)


def _loss(logits: Floats, target: Floats) -> float:
    return float((np.logaddexp(0.0, logits) - target * logits).sum())


def _isotonic(scores: Floats, right: Floats) -> Curve:
    """Pool adjacent violators, then draw the curve through the pools' centres (Oron and Flournoy 2017).

    Through centres rather than along steps, so that two scores of one pool keep their order, as a threshold needs it.
    """
    order = np.argsort(scores, kind="stable")
    pools: list[tuple[float, float, float]] = []  # sum of scores, sum of rights, count
    for score, hit in zip(scores[order], right[order], strict=True):
        pool = (float(score), float(hit), 1.0)
        while pools and pools[-1][1] * pool[2] >= pool[1] * pools[-1][2]:
            last = pools.pop()
            pool = (last[0] + pool[0], last[1] + pool[1], last[2] + pool[2])
        pools.append(pool)
    n = len(scores)
    x = np.array([s / c for s, _, c in pools])
    # No pool is sure: as many chances as there were scores could have shown one miss more.
    y = np.clip(np.array([h / c for _, h, c in pools]), 1 / (n + 2), (n + 1) / (n + 2))
    distinct = np.concatenate([[True], np.diff(x) > 0])
    x, y = x[distinct], y[distinct]
    if x[0] > 0:
        # Below the first centre the curve falls on towards a score of 0, for the same reason.
        x, y = np.concatenate([[0.0], x]), np.concatenate([[0.0], y])
    return Curve(method="isotonic", x=x, y=y)


_FITS: Mapping[Method, Callable[[Floats, Floats], Curve]] = MappingProxyType({"platt": _platt, "isotonic": _isotonic})


def brier(chances: Floats, right: NDArray[np.bool_]) -> float:
    """Return the mean squared difference of stated chance and outcome: 0 is best."""
    return float(np.mean((np.asarray(chances, dtype=float) - np.asarray(right, dtype=float)) ** 2))


def calibration_error(chances: Floats, right: NDArray[np.bool_], *, bins: int = BINS) -> float:
    """Return the expected calibration error: |mean chance − share right| over bins of equal width, by their share of n.

    >>> calibration_error(np.array([0.8, 0.8, 0.8, 0.8, 0.8]), np.array([1, 1, 1, 1, 0], dtype=bool))
    0.0
    """
    chances, right = np.asarray(chances, dtype=float), np.asarray(right, dtype=float)
    where = np.minimum((chances * bins).astype(int), bins - 1)
    gaps = np.bincount(where, weights=chances, minlength=bins) - np.bincount(where, weights=right, minlength=bins)
    return round(float(np.abs(gaps).sum() / len(chances)), 12)


def _sigmoid(x: Floats) -> Floats:
    # Through tanh, which does not overflow.
    return 0.5 * (1.0 + np.tanh(0.5 * x))
