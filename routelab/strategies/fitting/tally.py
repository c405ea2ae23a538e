"""What was learned about each model from its rewards, and two ways to turn that into chances of being asked.

Both work on the same sums, so a log gathered by one can be gone on with by the other. NumPy, and SciPy's t distribution.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.intp]

PRIOR_COUNT, PRIOR_MEAN, PRIOR_VARIANCE = 1.0, 0.5, 0.25
"""What is believed of a model that nobody asked: one answer of a half, with the variance of a coin."""
QUANTILES = 256
LEAST_GAP = 1e-6
"""Means nearer than this count as so far apart: equal ones would need for ever to be told apart."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Tally:
    """Weighted sums of rewards, (models,) each: how many, their sum, the sum of their squares."""

    count: Floats
    total: Floats
    squares: Floats

    @staticmethod
    def empty(models: int) -> Tally:
        """Return the tally of models that nobody asked."""
        return Tally(count=np.zeros(models), total=np.zeros(models), squares=np.zeros(models))

    def plus(self, model: Ints, reward: Floats, weight: Floats | None = None) -> Tally:
        """Return the tally with more rewards; `model` (n,) are positions, `weight` (n,) is 1 unless given."""
        w = np.ones(len(reward)) if weight is None else weight
        size = len(self.count)
        return Tally(
            count=self.count + np.bincount(model, weights=w, minlength=size),
            total=self.total + np.bincount(model, weights=w * reward, minlength=size),
            squares=self.squares + np.bincount(model, weights=w * reward * reward, minlength=size),
        )

    def faded(self, factor: float) -> Tally:
        """Return the tally with every sum multiplied by the factor: what is old counts less."""
        return Tally(count=self.count * factor, total=self.total * factor, squares=self.squares * factor)

    def take(self, columns: Ints) -> Tally:
        """Return the tally of some models, in the order given; -1 stands for one that nobody asked."""
        return Tally(**{n: np.append(getattr(self, n), 0.0)[columns] for n in ("count", "total", "squares")})

    @property
    def mean(self) -> Floats:
        """The mean rewards, shrunk to the prior's as if one answer had been worth a half."""
        return np.asarray((self.total + PRIOR_COUNT * PRIOR_MEAN) / (self.count + PRIOR_COUNT))

    @property
    def plain_mean(self) -> Floats:
        """The plain mean rewards, NaN for a model without one."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.total / self.count)

    @property
    def variance(self) -> Floats:
        """The variance of a reward, with one coin's variance added to the sum of squares: ten equal rewards prove nothing."""
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = np.maximum(0.0, self.squares - np.where(self.count > 0, self.total**2 / self.count, 0.0))
        return np.asarray((spread + PRIOR_VARIANCE) / np.maximum(self.count, 1.0))


def with_floor(chances: Floats, floor: float) -> Floats:
    """Return floor + (1 − models·floor)·chances, summing to 1 in each row; the floor must leave something to choose."""
    lifted = floor + (1 - chances.shape[-1] * floor) * chances
    return np.asarray(lifted / lifted.sum(axis=-1, keepdims=True))


def thompson(tally: Tally) -> Floats:
    """Return each model's chance of being the best under the posterior, (models,), which is Thompson sampling's choice.

    Rewards are taken as normal with an unknown mean and variance under a normal-inverse-gamma prior, so that a mean is
    a Student t: Thompson (Biometrika 1933); Honda and Takemura (AISTATS 2014) for this family. The chance is the
    integral of the product of the others' distribution functions, over every model's quantiles.
    """
    n, k0 = tally.count, PRIOR_COUNT
    held = k0 + n
    spread = np.maximum(0.0, tally.squares - np.divide(tally.total**2, n, out=np.zeros_like(n), where=n > 0))
    plain = np.divide(tally.total, n, out=np.full_like(n, PRIOR_MEAN), where=n > 0)
    shape = 1 + n / 2
    scale = PRIOR_VARIANCE + spread / 2 + k0 * n * (plain - PRIOR_MEAN) ** 2 / (2 * held)
    rows = np.stack([tally.mean, np.sqrt(scale / (shape * held)), 2 * shape])
    return np.array(_best(tuple(map(tuple, rows.tolist()))))


# A posterior is asked once for every live prompt, and answers the same until it learns.
@lru_cache(maxsize=64)
def _best(posterior: tuple[tuple[float, ...], ...]) -> tuple[float, ...]:
    from scipy import special

    place, scale, freedom = (np.array(row) for row in posterior)
    if len(place) == 1:
        return (1.0,)
    u = (np.arange(QUANTILES) + 0.5) / QUANTILES
    # Beyond the outermost quantiles the tails of a t are long: a few more points follow them out.
    u = np.concatenate([[1e-6, 1e-4, 5e-4], u, [1 - 5e-4, 1 - 1e-4, 1 - 1e-6]])
    points = np.unique(place[:, None] + scale[:, None] * special.stdtrit(freedom[:, None], u[None, :]))
    below = special.stdtr(freedom[:, None], (points[None, :] - place[:, None]) / scale[:, None])
    chances = np.empty(len(place))
    for k in range(len(place)):
        others = np.prod(np.delete(below, k, axis=0), axis=0)
        chances[k] = np.sum(np.diff(below[k]) * (others[1:] + others[:-1]) / 2)
    return tuple((chances / chances.sum()).tolist())


def proportions(mean: Floats, variance: Floats, *, epsilon: float = 0.0) -> tuple[Floats, float]:
    """Return the shares (models,) that tell the best model apart soonest, and the characteristic time T*.

    The shares w maximise min over the others j of (μ_best − μ_j + ε)²/(2(σ²_best/w_best + σ²_j/w_j)), and T* is one over
    that maximum, so no rule that errs with chance δ needs fewer than T*·kl(δ, 1 − δ) answers on average: Garivier and
    Kaufmann, "Optimal best arm identification with fixed confidence" (COLT 2016), with the normal distribution's
    divergence. With a = σ²_best/w_best, w_j = σ²_j/(gap_j² − a); the sum of all w is convex in a, and its least value is
    a root in one dimension.
    """
    from scipy import optimize

    best = int(np.argmax(mean))
    others = np.arange(len(mean)) != best
    if not others.any():
        return np.ones(1), 0.0
    gaps = np.maximum(mean[best] - mean[others] + epsilon, LEAST_GAP) ** 2
    own, theirs = float(variance[best]), variance[others]
    least = float(gaps.min())

    def slope(share: float) -> float:
        a = share * least
        return float(-own / a**2 + (theirs / (gaps - a) ** 2).sum())

    a = least * float(optimize.brentq(slope, 1e-9, 1 - 1e-9, xtol=1e-12))
    shares = np.empty(len(mean))
    shares[best], shares[others] = own / a, theirs / (gaps - a)
    needed = float(shares.sum())
    return shares / needed, 2 * needed


def track(tally: Tally, *, minimum: float) -> Floats:
    """Return the chances (models,) that track the optimal proportions; models below the minimum come first, equally."""
    few = tally.count < max(minimum, 1.0)
    if few.any():
        return np.asarray(few / few.sum())
    return proportions(tally.plain_mean, tally.variance)[0]
