"""Estimates with cluster-robust standard errors: sums of influence, and two regressions.

Sandwich: V = A⁻¹ (Σ_c s_c s_cᵀ) A⁻¹ · C/(C−1) · (n−1)/(n−k), t with C−1 degrees of freedom (Liang & Zeger 1986, with the usual
small-sample factor; the same as statsmodels' `cov_type="cluster"`). Without clusters every row is its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from routelab.core.ports import Floats
from routelab.lab.statistics import FEW_CLUSTERS, TOO_FEW_CLUSTERS, Estimate

Ints = NDArray[np.intp]


def absent(why: str, n: int = 0) -> Estimate:
    """Return the estimate of what could not be measured: NaN, without an interval, and the reason as its note."""
    return Estimate(value=math.nan, low=None, high=None, se=None, n=n, method="not measured", note=why)


def numbered(labels: Sequence[str]) -> Ints:
    """Return each label's number, in the order of first appearance."""
    seen: dict[str, int] = {}
    return np.array([seen.setdefault(label, len(seen)) for label in labels], dtype=np.intp)


def influenced(value: float, pull: Floats, clusters: Ints | None = None, *, level: float = 0.95) -> Estimate:
    """Return an estimate from each row's influence on it: SE² = C/(C−1) · Σ_c (Σ_{i∈c} pull_i)².

    `pull` (n,) is (n times the derivative's share)/n already: for a mean it is (x_i − x̄)/n. Rows whose pull is 0 because
    they took no part still belong to their cluster.
    """
    n = len(pull)
    sums = pull if clusters is None else np.bincount(clusters, weights=pull)
    sums = sums if clusters is None else sums[np.bincount(clusters) > 0]
    c = len(sums)
    if c < TOO_FEW_CLUSTERS:
        return Estimate(
            value=value,
            low=None,
            high=None,
            se=None,
            n=n,
            clusters=c,
            method="influence",
            note=f"{c} clusters are too few for an interval (at least {TOO_FEW_CLUSTERS})",
        )
    se = math.sqrt(c / (c - 1) * float(sums @ sums))
    reach = float(stats.t.ppf((1 + level) / 2, c - 1)) * se
    few = clusters is not None and c < FEW_CLUSTERS
    return Estimate(
        value=value,
        low=value - reach,
        high=value + reach,
        se=se,
        n=n,
        clusters=None if clusters is None else c,
        method="clustered influence" if clusters is not None else "influence",
        note=f"only {c} clusters: the interval may be too narrow" if few else "",
    )


def within(estimate: Estimate, low: float, high: float) -> Estimate:
    """Return the estimate with its interval cut to what the quantity can be."""
    if estimate.low is None or estimate.high is None:
        return estimate
    return replace(estimate, low=max(low, estimate.low), high=min(high, estimate.high))


def slope(y: Floats, x: Floats, others: Floats, clusters: Ints | None = None, *, level: float = 0.95) -> Estimate:
    """Return the slope of y on x in a least-squares fit that also holds `others` (n × k), with its clustered interval.

    x is first freed of what the others explain (Frisch, Waugh and Lovell), so that collinear others do no harm; NaN when
    nothing of x is left.
    """
    n = len(y)
    design = np.column_stack([others]) if others.size else np.empty((n, 0))
    rank = int(np.linalg.matrix_rank(design)) if design.size else 0
    rest = x - design @ np.linalg.lstsq(design, x, rcond=None)[0] if rank else x
    left = float(rest @ rest)
    if n <= rank + 1 or left <= 1e-10 * max(1.0, float(x @ x)):
        return absent("the length does not vary once the rest is held fixed", n)
    whole = np.column_stack([rest, design])
    fitted = np.linalg.lstsq(whole, y, rcond=None)[0]
    residual = y - whole @ fitted
    value = float(rest @ y / left)
    correction = math.sqrt((n - 1) / (n - rank - 1))
    return influenced(value, correction * rest * residual / left, clusters, level=level)


def logistic(y: Floats, design: Floats, clusters: Ints | None = None, *, level: float = 0.95) -> tuple[Estimate, ...]:
    """Return the coefficients of P(y) = 1/(1+e^−xβ), in log-odds, by maximum (quasi-)likelihood; y may be any share in 0..1.

    Every coefficient is NaN when the data separate or a column says nothing new, because then no finite estimate exists.
    """
    n, k = design.shape
    if n <= k or np.linalg.matrix_rank(design) < k:
        return tuple(absent("the length does not vary", n) for _ in range(k))
    beta = np.zeros(k)
    for _ in range(60):
        p = special.expit(design @ beta)
        information = design.T @ (design * (p * (1 - p))[:, None])
        try:
            step = np.linalg.solve(information, design.T @ (y - p))
        except np.linalg.LinAlgError:
            break
        beta = beta + step
        if not np.isfinite(beta).all() or np.abs(design @ beta).max() > 30:
            break
        if np.abs(step).max() < 1e-10:
            inverse = np.linalg.inv(information)
            pulls = (design * (y - special.expit(design @ beta))[:, None]) @ inverse * math.sqrt((n - 1) / (n - k))
            return tuple(influenced(float(beta[j]), pulls[:, j], clusters, level=level) for j in range(k))
    return tuple(absent("the verdicts are separated: no finite slope fits them best", n) for _ in range(k))
