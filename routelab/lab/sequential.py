"""Figures that stay valid while somebody watches: confidence sequences, and the sample-ratio check of an A/B test.

A fixed-n interval holds at one look that was planned; looking again and again and stopping when it pleases makes it
wrong in a third of the cases. What is here holds at all looks at once.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from routelab.core.ports import Floats
from routelab.lab.statistics import TOO_FEW_CLUSTERS, Estimate, NonInferiority, mean, non_inferiority

TIGHTEST_AT = 100.0
"""Where the boundary is tightest, in units of n · variance: about 100 prompts of variance 1, or 1,000 of variance 0.1."""
RATIO_ALARM = 0.001
"""A sample ratio whose p value lies below this stops a comparison: the assignment is broken, not the arms."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Band:
    """The mean after each prompt, with the band that is valid at every look and the one that is valid at one.

    All arrays are (n,); ends are NaN as long as there is none. `fixed_low` and `fixed_high` hold only where the
    number of prompts was planned.
    """

    value: Floats
    low: Floats
    high: Floats
    fixed_low: Floats
    fixed_high: Floats


def confidence_sequence(differences: Floats, *, level: float = 0.95, tightest_at: float = TIGHTEST_AT) -> Band:
    """Return the asymptotic confidence sequence of paired differences in the order in which they came.

    margin_n = √((n·v·ρ² + 1)/(n²ρ²) · ln((n·v·ρ² + 1)/α²)), v the variance so far, ρ = √((−2 ln α + ln(−2 ln α) +
    1)/tightest_at): Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, Annals of Statistics 52(6), 2024. It is
    asymptotic: the first handful of prompts is covered by the "+ 1" only.
    """
    d = np.asarray(differences, dtype=float)
    if d.ndim != 1 or np.isnan(d).any():
        raise ValueError("a confidence sequence needs one dimension and no NaN")
    n = np.arange(1, len(d) + 1, dtype=float)
    value = np.cumsum(d) / n
    # Around the first value, so that a large mean does not drown a small variance.
    offset = d[0] if len(d) else 0.0
    shifted = d - offset
    spread = np.maximum(0.0, np.cumsum(shifted**2) - n * (value - offset) ** 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = spread / (n - 1)
        # t quantiles of every n are slow, and near enough to each other to be read off a coarser grid.
        reach = _t_quantiles(n, level) * np.sqrt(variance / n)
    margin = np.where(n >= 2, _margin(n, n * variance, 1 - level, tightest_at), np.nan)
    reach = np.where(n >= 2, reach, np.nan)
    return Band(value=value, low=value - margin, high=value + margin, fixed_low=value - reach, fixed_high=value + reach)


def anytime(
    differences: Floats,
    clusters: NDArray[np.intp] | None = None,
    *,
    level: float = 0.95,
    tightest_at: float = TIGHTEST_AT,
) -> Estimate:
    """Return the mean of paired differences with the confidence sequence's interval at this look.

    The formula is `confidence_sequence`'s with n·v = n²·SE², the SE clustered where clusters are given (they must
    be whole: a cluster that is half asked waits for the next look).
    """
    fixed = mean(differences, clusters, level=level)
    if fixed.se is None or (fixed.clusters is not None and fixed.clusters < TOO_FEW_CLUSTERS):
        return dataclasses.replace(fixed, low=None, high=None, method="confidence sequence")
    n = float(fixed.n)
    margin = float(_margin(np.array(n), np.array((n * fixed.se) ** 2), 1 - level, tightest_at))
    return dataclasses.replace(fixed, low=fixed.value - margin, high=fixed.value + margin, method="confidence sequence")


def anytime_non_inferiority(
    differences: Floats,
    margin: float,
    clusters: NDArray[np.intp] | None = None,
    *,
    level: float = 0.95,
    tightest_at: float = TIGHTEST_AT,
) -> NonInferiority:
    """Return the verdict at this look, which may be any look: stop as soon as it is not "inconclusive".

    The p values are always-valid: the level at which the sequence, its ρ unchanged, would just exclude the bound,
    halved for one side. `n_needed` is the number of prompts at which the boundary is expected to decide.
    """
    found = anytime(differences, clusters, level=level, tightest_at=tightest_at)
    verdict = non_inferiority(found, margin)
    if found.se is None or found.low is None:
        return verdict
    n = float(found.n)
    total = (n * found.se) ** 2
    needed = None
    if verdict.verdict == "inconclusive":
        planned = anytime_needed(total / n, margin, level=level, tightest_at=tightest_at)
        needed = planned if planned > found.n else None
    return dataclasses.replace(
        verdict,
        p=_p_above(found.value + margin, n, total, 1 - level, tightest_at),
        p_better=_p_above(found.value, n, total, 1 - level, tightest_at),
        n_needed=needed,
    )


def anytime_cost_ratio(
    new: Floats, base: Floats, clusters: NDArray[np.intp] | None = None, *, level: float = 0.95
) -> Estimate | None:
    """Return R = Σ new / Σ base with a confidence sequence's interval, linearised as in `spread.cost_ratio`; None when base is free."""
    base_mean = float(np.mean(base))
    if not base_mean > 0:
        return None
    ratio = float(np.sum(new) / np.sum(base))
    residual = anytime((new - ratio * base) / base_mean, clusters, level=level)
    reach = None if residual.low is None or residual.high is None else (residual.high - residual.low) / 2
    return dataclasses.replace(
        residual,
        value=ratio,
        low=None if reach is None else max(0.0, ratio - reach),
        high=None if reach is None else ratio + reach,
    )


def anytime_needed(
    variance: float, margin: float, *, level: float = 0.95, power: float = 0.8, tightest_at: float = TIGHTEST_AT
) -> int:
    """Return the prompts at which the sequence certifies the margin with this power, for a true loss of 0.

    The least n with margin_n + z_power·√(v/n) ≤ margin; stopping earlier is likely, so the power is a lower bound.
    """
    z = float(stats.norm.ppf(power))

    def decided(n: int) -> bool:
        reach = float(_margin(np.array(float(n)), np.array(n * variance), 1 - level, tightest_at))
        return reach + z * math.sqrt(variance / n) <= margin

    low, high = 1, 2
    while not decided(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if decided(middle) else (middle, high)
    return high


@dataclass(frozen=True, kw_only=True)
class SampleRatio:
    """Whether arms got the shares that were intended; `alarm` says that they did not, so no figure can be trusted."""

    counts: tuple[int, ...]
    shares: tuple[float, ...]
    p: float
    alarm: bool
    method: str

    def __str__(self) -> str:
        got = " : ".join(f"{c:,}" for c in self.counts)
        meant = " : ".join(f"{100 * s:g} %" for s in self.shares)
        said = "sample-ratio mismatch, do not read the figures" if self.alarm else "the shares are as intended"
        return f"{said}: {got} prompts for {meant} (p = {self.p:.2g}, {self.method})"


def sample_ratio(counts: Sequence[int], shares: Sequence[float], *, alarm: float = RATIO_ALARM) -> SampleRatio:
    """Return Pearson's χ² check of the assignment, valid at one look (Fabijan et al., KDD 2019); alarm at p < .001.

    An arm with an intended share of 0 must have no prompt; ValueError when no share is above 0.
    """
    meant, got = _shares(counts, shares)
    total = int(got.sum())
    open_ = meant > 0
    if got[~open_].any():
        p = 0.0
    elif total == 0 or open_.sum() < 2:
        p = 1.0
    else:
        p = float(stats.chisquare(got[open_], total * meant[open_]).pvalue)
    return SampleRatio(
        counts=tuple(int(c) for c in got), shares=tuple(map(float, meant)), p=p, alarm=p < alarm, method="χ², one look"
    )


def sample_ratio_sequence(
    assigned: NDArray[np.intp], shares: Sequence[float], *, prior: float = 1000.0, alarm: float = RATIO_ALARM
) -> tuple[SampleRatio, Floats]:
    """Return the check that is valid at every look, and its p value after each assignment, (n,), which never rises.

    `assigned` names each prompt's arm by its number, in order. The p value is 1 / (the largest Bayes factor so far)
    of a Dirichlet(prior · shares) alternative against the intended shares: Lindon and Malek, "Anytime-valid
    inference for multinomial count data", NeurIPS 2022. A large prior looks for small deviations.
    """
    got = np.bincount(assigned, minlength=len(shares)) if len(assigned) else np.zeros(len(shares), dtype=np.intp)
    meant, _ = _shares(got, shares)
    never = meant == 0
    open_ = np.flatnonzero(~never)
    weights = prior * meant[open_]
    seen = np.cumsum(assigned[:, None] == open_[None, :], axis=0)
    n = seen.sum(axis=1)
    log_factor = (
        special.gammaln(prior)
        - special.gammaln(prior + n)
        + (special.gammaln(weights + seen) - special.gammaln(weights) - seen * np.log(meant[open_])).sum(axis=1)
    )
    p = np.minimum.accumulate(np.minimum(1.0, np.exp(-np.maximum(log_factor, 0.0))))
    p = np.where(np.cumsum(never[assigned]) > 0, 0.0, p)
    last = float(p[-1]) if len(p) else 1.0
    found = SampleRatio(
        counts=tuple(int(c) for c in got),
        shares=tuple(map(float, meant)),
        p=last,
        alarm=last < alarm,
        method="multinomial, any look",
    )
    return found, np.asarray(p)


def _shares(counts: Sequence[int] | NDArray[np.intp], shares: Sequence[float]) -> tuple[Floats, Floats]:
    meant, got = np.asarray(shares, dtype=float), np.asarray(counts, dtype=float)
    if meant.ndim != 1 or meant.shape != got.shape or (meant < 0).any() or not meant.sum() > 0 or (got < 0).any():
        raise ValueError("a sample ratio needs one count and one intended share of at least 0 for each arm")
    return meant / meant.sum(), got


def _rho2(alpha: float, tightest_at: float) -> float:
    return (-2 * math.log(alpha) + math.log(-2 * math.log(alpha)) + 1) / tightest_at


def _margin(n: Floats, total: Floats, alpha: float, tightest_at: float) -> Floats:
    """Return the half-width after n prompts whose differences have the total variance n·v."""
    rho2 = _rho2(alpha, tightest_at)
    scaled = total * rho2 + 1
    return np.asarray(np.sqrt(scaled / (n**2 * rho2) * np.log(scaled / alpha**2)))


def _p_above(distance: float, n: float, total: float, alpha: float, tightest_at: float) -> float:
    if distance <= 0:
        return 1.0
    rho2 = _rho2(alpha, tightest_at)
    scaled = total * rho2 + 1
    two_sided = math.sqrt(scaled) * math.exp(-((n * distance) ** 2) * rho2 / (2 * scaled))
    return min(1.0, two_sided / 2)


def _t_quantiles(n: Floats, level: float) -> Floats:
    if len(n) < 2:
        return np.full(len(n), np.nan)
    knots = np.unique(np.concatenate([np.arange(1, min(200, len(n))), np.geomspace(1, len(n) - 1, 50).astype(int)]))
    exact = stats.t.ppf((1 + level) / 2, knots)
    return np.concatenate([[np.nan], np.interp(1 / n[:-1], 1 / knots[::-1], exact[::-1])])
