"""What is not a mean: the ratio of two costs, and the quantiles of a wait."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from routelab.core.ports import Floats
from routelab.lab.statistics import Estimate, mean


def cost_ratio(
    new: Floats, base: Floats, clusters: NDArray[np.intp] | None = None, *, level: float = 0.95
) -> Estimate | None:
    """Return R = Σ new / Σ base over the same prompts, by the paired delta method; None when base is free.

    SE = sd(new − R·base) / (mean(base)·√n), clustered where clusters are given.
    """
    base_mean = float(np.mean(base))
    if len(base) == 0 or not base_mean > 0:
        return None
    ratio = float(np.sum(new) / np.sum(base))
    residual = mean((new - ratio * base) / base_mean, clusters, level=level)
    reach = None if residual.low is None or residual.high is None else (residual.high - residual.low) / 2
    return Estimate(
        value=ratio,
        low=None if reach is None else max(0.0, ratio - reach),
        high=None if reach is None else ratio + reach,
        se=residual.se,
        n=residual.n,
        clusters=residual.clusters,
        method="paired delta",
        note=residual.note,
    )


def cost_ratio_bootstrap(
    new: Floats, base: Floats, *, seed: int, rounds: int = 2000, level: float = 0.95
) -> Estimate | None:
    """Return the same ratio with a BCa bootstrap interval over prompts (Efron 1987), for skewed costs; seeded."""
    if len(base) < 2 or not float(np.mean(base)) > 0:
        return None
    ratio = float(np.sum(new) / np.sum(base))
    if float(np.ptp(new - ratio * base)) == 0:
        return Estimate(value=ratio, low=ratio, high=ratio, se=0.0, n=len(base), method="BCa bootstrap")
    found = stats.bootstrap(
        (new, base),
        lambda a, b, axis: a.sum(axis=axis) / b.sum(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=rounds,
        batch=max(1, 2_000_000 // len(base)),
        confidence_level=level,
        method="BCa",
        rng=np.random.default_rng(seed),
    )
    low, high = (float(x) for x in found.confidence_interval)
    se = float(found.standard_error)
    return Estimate(value=ratio, low=low, high=high, se=se, n=len(base), method="BCa bootstrap")


def top_share(costs: Floats, share: float = 0.01) -> float | None:
    """Return the part of the whole cost that the dearest prompts make up; None when nothing was paid."""
    total = float(np.sum(costs))
    if len(costs) == 0 or not total > 0:
        return None
    dearest = max(1, math.ceil(share * len(costs)))
    return float(np.sort(costs)[-dearest:].sum() / total)


def quantile(values: Floats, q: float, *, level: float = 0.95) -> Estimate | None:
    """Return a quantile with the interval of order statistics, or None when n is too small for a two-sided one.

    With x_(1) ≤ … ≤ x_(n) the ends are the order statistics whose ranks leave at most (1−level)/2 of the binomial
    (n, q) on each side: 95 % needs n ≥ 6 for the median, 72 for q = .95 and 368 for q = .99.
    """
    n = len(values)
    if n == 0:
        return None
    tail = (1 - level) / 2
    lower = int(stats.binom.ppf(tail, n, q))
    if stats.binom.cdf(lower - 1, n, q) > tail:
        lower -= 1
    upper = int(stats.binom.ppf(1 - tail, n, q)) + 1
    # P(x_(r) > quantile) = P(B < r), so the lower rank needs cdf(r − 1) ≤ tail and the upper one sf(r − 1) ≤ tail.
    if lower < 1 or upper > n:
        return None
    ordered = np.sort(values)
    return Estimate(
        value=float(np.quantile(ordered, q)),
        low=float(ordered[lower - 1]),
        high=float(ordered[upper - 1]),
        se=None,
        n=n,
        method=f"ranks {lower} to {upper}",
    )
