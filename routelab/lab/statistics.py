"""Means, rates and paired differences with honest intervals, and the three words of a non-inferiority verdict.

Everything takes float arrays (n,) of one value a prompt and ignores nothing silently: NaN is a ValueError, so that
callers say what they leave out. Intervals are two-sided 95 % unless a level is given.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from routelab.core.ports import Floats

Verdict = Literal["non-inferior", "worse", "inconclusive"]

FEW_CLUSTERS, TOO_FEW_CLUSTERS = 30, 5
POWER = 0.8


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A value with its interval; `low` and `high` are None when there is too little data, and `note` says so."""

    value: float
    low: float | None
    high: float | None
    se: float | None
    n: int
    clusters: int | None = None
    method: str = ""
    note: str = ""

    @property
    def interval(self) -> tuple[float, float] | None:
        """The two ends, or None."""
        return None if self.low is None or self.high is None else (self.low, self.high)


def mean(values: Floats, clusters: NDArray[np.intp] | None = None, *, level: float = 0.95) -> Estimate:
    """Return the mean with a t interval: SE = √(Σ(x−x̄)²/(n(n−1))), or cluster-robust when clusters are given.

    Clustered: SE² = C/(C−1) · n⁻² Σ_c (Σ_{i∈c}(x_i−x̄))², t with C−1 degrees of freedom (Miller, arXiv 2411.00640,
    with Inspect's small-sample factor). Below 30 clusters the note warns; below 5 there is no interval.
    """
    values = _checked(values)
    n = len(values)
    centre = float(values.mean())
    if clusters is None:
        if n < 2:
            return Estimate(
                value=centre, low=None, high=None, se=None, n=n, method="t", note="one value has no interval"
            )
        se = float(values.std(ddof=1) / math.sqrt(n))
        reach = float(stats.t.ppf((1 + level) / 2, n - 1)) * se
        return Estimate(value=centre, low=centre - reach, high=centre + reach, se=se, n=n, method="t")
    _, member = np.unique(clusters, return_inverse=True)
    sums = np.bincount(member.reshape(-1), weights=values - centre)
    c = len(sums)
    if c < TOO_FEW_CLUSTERS:
        note = f"{c} clusters are too few for an interval (at least {TOO_FEW_CLUSTERS})"
        return Estimate(value=centre, low=None, high=None, se=None, n=n, clusters=c, method="clustered t", note=note)
    se = math.sqrt(c / (c - 1) * float(sums @ sums)) / n
    reach = float(stats.t.ppf((1 + level) / 2, c - 1)) * se
    note = f"only {c} clusters: the interval may be too narrow" if c < FEW_CLUSTERS else ""
    return Estimate(
        value=centre, low=centre - reach, high=centre + reach, se=se, n=n, clusters=c, method="clustered t", note=note
    )


def wilson(successes: float, n: int, *, level: float = 0.95) -> Estimate:
    """Return a rate with Wilson's score interval; with a sum of fractions as successes it is cautious."""
    if n <= 0 or not 0 <= successes <= n:
        raise ValueError(f"a rate needs 0 ≤ successes ≤ n and n > 0 (got {successes} of {n})")
    z = float(stats.norm.ppf((1 + level) / 2))
    rate = successes / n
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    se = math.sqrt(rate * (1 - rate) / n)
    low = 0.0 if successes == 0 else max(0.0, centre - reach)
    high = 1.0 if successes == n else min(1.0, centre + reach)
    return Estimate(value=rate, low=low, high=high, se=se, n=n, method="Wilson")


def quality_mean(values: Floats, clusters: NDArray[np.intp] | None = None, *, level: float = 0.95) -> Estimate:
    """Return the mean of qualities in 0..1: Wilson for rights and wrongs, else t, cut at 0 and 1."""
    values = _checked(values)
    if clusters is None and (np.isin(values, (0.0, 1.0)).all() or np.ptp(values) == 0):
        return wilson(float(values.sum()), len(values), level=level)
    estimate = mean(values, clusters, level=level)
    if estimate.low is None or estimate.high is None:
        return estimate
    return Estimate(
        **{**estimate.__dict__, "low": max(0.0, estimate.low), "high": min(1.0, estimate.high)},
    )


def paired_difference(
    new: Floats, base: Floats, clusters: NDArray[np.intp] | None = None, *, level: float = 0.95
) -> Estimate:
    """Return the mean of new − base over the same prompts, qualities in 0..1, with its interval.

    The interval ends at −1 and 1 at the latest. SE_d = √(Σ(d−d̄)²/(n(n−1))), or clustered as in `mean`. The t interval is too narrow when few pairs differ (with
    none at all it would have no width), so without clusters it is widened to hold Tango's score interval as well
    (Statistics in Medicine 1998, 17:891–908), on the counts of better and worse pairs.
    """
    d = _checked(new) - _checked(base)
    estimate = _within_one(mean(d, clusters, level=level))
    if clusters is not None or not np.isin(d, (-1.0, 0.0, 1.0)).all():
        if clusters is not None and estimate.se == 0.0 and estimate.clusters is not None:
            # No cluster differs: what n independent clusters without a difference can say, and no more.
            reach = _rule_of_three(estimate.clusters, level)
            wide = Estimate(**{**estimate.__dict__, "low": estimate.value - reach, "high": estimate.value + reach})
            return _within_one(wide)
        if clusters is not None or (d != 0).sum() >= 10:
            return estimate
    low, high = tango(int((d > 0).sum()), int((d < 0).sum()), len(d), level=level)
    return Estimate(
        **{
            **estimate.__dict__,
            "low": low if estimate.low is None else min(low, estimate.low),
            "high": high if estimate.high is None else max(high, estimate.high),
            "method": "paired t and score",
            "note": "",
        }
    )


def _within_one(difference: Estimate) -> Estimate:
    """Return a difference of two qualities with its interval cut at −1 and 1, as `quality_mean` cuts at 0 and 1."""
    if difference.low is None or difference.high is None:
        return difference
    return Estimate(
        **{**difference.__dict__, "low": max(-1.0, difference.low), "high": min(1.0, difference.high)},
    )


def tango(better: int, worse: int, n: int, *, level: float = 0.95) -> tuple[float, float]:
    """Return Tango's score interval for (better − worse) / n of n matched pairs.

    The ends are where |better − worse − nδ| / √(n(2q + δ(1−δ))) meets the normal quantile; q is the restricted
    maximum-likelihood estimate of the share of worse pairs under the difference δ.
    """
    z = float(stats.norm.ppf((1 + level) / 2))
    estimate = (better - worse) / n

    def score(delta: float) -> float:
        b = -better - worse + (2 * n - better + worse) * delta
        c = -worse * delta * (1 - delta)
        q = (math.sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n)
        spread = n * (2 * q + delta * (1 - delta))
        return (better - worse - n * delta) / math.sqrt(spread) if spread > 1e-300 else 0.0

    edge = 1 - 1e-12
    low = -1.0 if estimate <= -edge else float(optimize.brentq(lambda x: score(x) - z, -edge, estimate - 1e-13))
    high = 1.0 if estimate >= edge else float(optimize.brentq(lambda x: score(x) + z, estimate + 1e-13, edge))
    return low, high


@dataclass(frozen=True, kw_only=True)
class NonInferiority:
    """A verdict at a margin that was fixed before the data were seen.

    `worse_within_margin`: the interval lies below 0 and yet above −margin, so both facts hold. `p` is one-sided,
    for the loss being at least the margin; `n_needed` how many prompts a verdict would need in all, when this one
    is inconclusive.
    """

    verdict: Verdict
    difference: Estimate
    margin: float
    p: float
    p_better: float
    worse_within_margin: bool
    n_needed: int | None


def non_inferiority(difference: Estimate, margin: float) -> NonInferiority:
    """Return the verdict: non-inferior above −margin, worse below 0 (the whole interval), else inconclusive."""
    if not margin > 0:
        raise ValueError(f"the margin must be more than 0, not {margin}")
    low, high = difference.low, difference.high
    if low is None or high is None:
        return NonInferiority(
            verdict="inconclusive",
            difference=difference,
            margin=margin,
            p=1.0,
            p_better=1.0,
            worse_within_margin=False,
            n_needed=None,
        )
    inferior_excluded = low > -margin
    verdict: Verdict = "non-inferior" if inferior_excluded else "worse" if high < 0 else "inconclusive"
    return NonInferiority(
        verdict=verdict,
        difference=difference,
        margin=margin,
        p=_p_above(difference, -margin),
        p_better=_p_above(difference, 0.0),
        worse_within_margin=inferior_excluded and high < 0,
        n_needed=n_needed(difference, margin) if verdict == "inconclusive" else None,
    )


def n_needed(difference: Estimate, margin: float, *, level: float = 0.95, power: float = POWER) -> int | None:
    """Return how many prompts in all a verdict needs with this power, or None when no feasible number is enough.

    n = ((z_α + z_β)·sd / margin)², one-sided at (1−level)/2, for a true loss of 0 (facts: Miller's formula with δ =
    margin); the sd is the interval's, so clustering counts. When that many were already seen, the observed
    difference takes the place of 0.
    """
    if difference.low is None or difference.high is None:
        return None
    z = float(stats.norm.ppf((1 + level) / 2))
    sd = (difference.high - difference.low) / (2 * z) * math.sqrt(difference.n)
    reach = (z + float(stats.norm.ppf(power))) * sd
    needed = math.ceil((reach / margin) ** 2)
    if needed <= difference.n:
        gap = abs(difference.value + margin) if difference.value > -margin else abs(difference.value)
        if gap == 0 or (reach / gap) ** 2 > 1e8:
            return None
        needed = max(math.ceil((reach / gap) ** 2), difference.n + 1)
    return needed


def items_for_margin(sd: float, margin: float, *, alpha: float = 0.05, power: float = POWER) -> int:
    """Return the prompts that certify a margin when the true loss is 0: n = ((z_{1−α} + z_power)·sd/margin)².

    >>> items_for_margin(0.266, 0.02)
    1094
    """
    z = float(stats.norm.ppf(1 - alpha) + stats.norm.ppf(power))
    return math.ceil((z * sd / margin) ** 2)


def p_below(estimate: Estimate | None, bound: float) -> float:
    """Return the one-sided p value of a value of at least the bound, in keeping with the interval; 1 when it is not known.

    >>> p_below(None, 1.0)
    1.0
    """
    if estimate is None or estimate.high is None:
        return 1.0
    mirrored = dataclasses.replace(estimate, value=-estimate.value, low=-estimate.high, high=None)
    return _p_above(mirrored, -bound)


def _p_above(difference: Estimate, bound: float) -> float:
    """Return the one-sided p value of a difference of at most the bound, in keeping with the interval."""
    if difference.low is None:
        return 1.0
    df = (difference.clusters or difference.n) - 1
    if df < 1:
        return 1.0
    t95 = float(stats.t.ppf(0.975, df))
    # The interval may be wider than its SE says (see `paired_difference`); the p value follows the interval.
    se = (difference.value - difference.low) / t95
    if se <= 0:
        return 0.0 if difference.value > bound else 1.0
    return float(stats.t.sf((difference.value - bound) / se, df))


def _rule_of_three(n: int, level: float) -> float:
    return float(1 - ((1 - level) / 2) ** (1 / n))


def _checked(values: Floats) -> Floats:
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or len(values) == 0 or np.isnan(values).any():
        raise ValueError("statistics need at least one value, one dimension and no NaN")
    return values
