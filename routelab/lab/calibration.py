"""Whether confidence can be trusted: calibration, what remains of the risk when the least confident are left out.

`confidence` and `quality` are arrays (n,) of the same answers, both in 0..1, without NaN: a predicted quality, or what a gate gave,
against the quality that was measured. Rights and wrongs are qualities of 1 and 0; graded qualities are taken as they are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from routelab.core.ports import Floats
from routelab.lab.outcomes import Ints
from routelab.lab.statistics import Estimate, mean, quality_mean
from routelab.present import Table, interval, percent

BINS = 10
ROUNDS = 400


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Answers of about the same confidence: its range, its mean, and what they were worth."""

    low: float
    high: float
    confidence: float
    quality: Estimate


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """How far confidence and quality agree.

    `ece` is Σ_b n_b/n · |mean confidence − mean quality| over bins of equal mass; `ece_expected` is what confidences
    that are exactly right would show with as many answers, and `p` the share of such draws that reach `ece` (both None
    for graded qualities). `brier` is the mean of (confidence − quality)², `skill` 1 − brier / variance of the quality
    (0: no better than always saying the mean), `gap` the mean of confidence − quality: above 0 is overconfident.
    """

    n: int
    ece: float
    ece_expected: float | None
    p: float | None
    brier: Estimate
    skill: float | None
    gap: Estimate
    bins: tuple[Bin, ...]

    def table(self, caption: str = "") -> Table:
        """Return the reliability table: one row a bin."""
        rows = [
            (
                f"{b.low:.2f} to {b.high:.2f}",
                f"{b.quality.n:,}",
                percent(b.confidence),
                f"{percent(b.quality.value)} {interval(b.quality.low, b.quality.high)}",
            )
            for b in self.bins
        ]
        return Table(
            head=("confidence", "n", "mean confidence", "quality [95 %]"),
            rows=rows,
            numbers=frozenset({1, 2, 3}),
            caption=caption,
            notes=(self.said(),),
        )

    def said(self) -> str:
        """Return one line: the error, what chance would show, Brier score, and in which direction it errs."""
        chance = "" if self.ece_expected is None else f" (exact confidences: about {100 * self.ece_expected:.1f})"
        lean = "" if self.gap.interval is None else _lean(self.gap)
        return f"ECE {100 * self.ece:.1f} points{chance}; Brier {self.brier.value:.3f}{lean}; n = {self.n:,}"


def calibration(
    confidence: Floats, quality: Floats, clusters: Ints | None = None, *, bins: int = BINS, seed: int = 0
) -> Calibration:
    """Return the calibration of confidences; ValueError for NaN, for confidences outside 0..1 and for no answers."""
    confidence, quality = _checked(confidence, quality)
    where, edges = equal_mass(confidence, bins)
    brier = _cut(mean((confidence - quality) ** 2, clusters))
    spread = float(quality.var())
    expected, p = _by_chance(confidence, quality, where, seed)
    found = []
    for k in np.unique(where):
        inside = where == k
        groups = None if clusters is None else clusters[inside]
        found.append(
            Bin(
                low=float(edges[k]),
                high=float(edges[k + 1]),
                confidence=float(confidence[inside].mean()),
                quality=quality_mean(quality[inside], groups),
            )
        )
    return Calibration(
        n=len(quality),
        ece=expected_error(confidence, quality, where),
        ece_expected=expected,
        p=p,
        brier=brier,
        skill=None if spread == 0 else 1 - brier.value / spread,
        gap=mean(confidence - quality, clusters),
        bins=tuple(found),
    )


def equal_mass(confidence: Floats, bins: int = BINS) -> tuple[Ints, Floats]:
    """Return the bin of each answer and the bins' edges: quantiles, so that each holds about as many (equal values stay together)."""
    edges = np.percentile(confidence, np.linspace(0.0, 1.0, bins + 1) * 100)
    return np.searchsorted(edges[1:-1], confidence).astype(np.intp), edges


def expected_error(confidence: Floats, quality: Floats, where: Ints) -> float:
    """Return Σ_b n_b/n · |mean confidence − mean quality|, the expected calibration error (Naeini et al. 2015)."""
    return float(np.abs(np.bincount(where, weights=confidence - quality)).sum() / len(where))


@dataclass(frozen=True, kw_only=True, eq=False)
class Selective:
    """What risk remains when only the most confident answers are kept (El-Yaniv and Wiener 2010).

    `coverage` (n,) is the share kept and `risk` (n,) the mean of 1 − quality among them, the most confident first; `aurc` is
    the mean risk over all coverages (Geifman and El-Yaniv 2017), `best` that of the same answers in the best possible
    order and `chance` that of no order at all. Answers of equal confidence count in every order, each as likely.
    """

    coverage: Floats
    risk: Floats
    aurc: Estimate
    best: float
    chance: float
    confidence: Floats
    quality: Floats
    clusters: Ints | None = None

    def at(self, coverage: float) -> Estimate:
        """Return the quality of the most confident share of the answers, and of those that are as confident as its last."""
        if not 0 < coverage <= 1:
            raise ValueError(f"a coverage lies above 0 and up to 1, not at {coverage}")
        least = np.sort(self.confidence)[::-1][math.ceil(coverage * len(self.confidence)) - 1]
        kept = self.confidence >= least
        return quality_mean(self.quality[kept], None if self.clusters is None else self.clusters[kept])


def selective(
    confidence: Floats, quality: Floats, clusters: Ints | None = None, *, seed: int = 0, rounds: int = ROUNDS
) -> Selective:
    """Return the curve of risk over coverage; the interval of its area is a seeded percentile bootstrap over prompts or clusters."""
    confidence, quality = _checked(confidence, quality)
    n = len(quality)
    risk = _risks(confidence, quality)
    value = float(risk.mean())
    low, high, se = _resampled(confidence, quality, clusters, seed=seed, rounds=rounds)
    return Selective(
        coverage=np.arange(1, n + 1) / n,
        risk=risk,
        aurc=Estimate(value=value, low=low, high=high, se=se, n=n, method="bootstrap"),
        best=float(_risks(quality, quality).mean()),
        chance=float(1 - quality.mean()),
        confidence=confidence,
        quality=quality,
        clusters=clusters,
    )


def confidently_wrong(
    confidence: Floats, wrong: Floats, clusters: Ints | None = None, *, at_least: float
) -> Estimate | None:
    """Return which share of the wrong answers (`wrong` is 1) was given with a confidence of at least so much; None without any."""
    rows = wrong == 1
    if not rows.any():
        return None
    return quality_mean((confidence[rows] >= at_least).astype(float), None if clusters is None else clusters[rows])


def _risks(confidence: Floats, quality: Floats) -> Floats:
    order = np.argsort(-confidence, kind="stable")
    _, tied = np.unique(-confidence[order], return_inverse=True)
    tied = tied.reshape(-1)
    # Each of equal confidence stands for the mean of them: the expectation over their orders.
    loss = (np.bincount(tied, weights=1 - quality[order]) / np.bincount(tied))[tied]
    found: Floats = np.cumsum(loss) / np.arange(1, len(loss) + 1)
    return found


def _resampled(
    confidence: Floats, quality: Floats, clusters: Ints | None, *, seed: int, rounds: int
) -> tuple[float | None, float | None, float | None]:
    n = len(quality)
    rng = np.random.default_rng(seed)
    members = None
    if clusters is not None:
        _, of = np.unique(clusters, return_inverse=True)
        members = np.split(np.argsort(of, kind="stable"), np.cumsum(np.bincount(of))[:-1])
    units = n if members is None else len(members)
    if units < 5:
        return None, None, None
    areas = np.empty(rounds)
    for k in range(rounds):
        drawn = rng.integers(0, units, units)
        rows = drawn if members is None else np.concatenate([members[int(u)] for u in drawn])
        areas[k] = _risks(confidence[rows], quality[rows]).mean()
    low, high = np.quantile(areas, (0.025, 0.975))
    return float(low), float(high), float(areas.std(ddof=1))


def _by_chance(confidence: Floats, quality: Floats, where: Ints, seed: int) -> tuple[float | None, float | None]:
    """Return the error that exact confidences would show, on average, and the share of draws that reach the one observed."""
    if not np.isin(quality, (0.0, 1.0)).all():
        return None, None
    rng = np.random.default_rng(seed)
    errors = np.array(
        [
            expected_error(confidence, (rng.random(len(confidence)) < confidence).astype(float), where)
            for _ in range(ROUNDS)
        ]
    )
    observed = expected_error(confidence, quality, where)
    return float(errors.mean()), float((1 + (errors >= observed - 1e-12).sum()) / (ROUNDS + 1))


def _lean(gap: Estimate) -> str:
    low, high = gap.interval or (0.0, 0.0)
    if low > 0:
        return f", overconfident by {100 * gap.value:.1f} points"
    return f", underconfident by {-100 * gap.value:.1f} points" if high < 0 else ""


def _cut(estimate: Estimate) -> Estimate:
    if estimate.low is None or estimate.high is None:
        return estimate
    return Estimate(**{**estimate.__dict__, "low": max(0.0, estimate.low), "high": min(1.0, estimate.high)})


def _checked(confidence: Floats, quality: Floats) -> tuple[Floats, Floats]:
    confidence, quality = np.asarray(confidence, dtype=float), np.asarray(quality, dtype=float)
    if len(quality) == 0 or confidence.shape != quality.shape or confidence.ndim != 1:
        raise ValueError("calibration needs one confidence a quality, and at least one")
    if not ((confidence >= 0) & (confidence <= 1)).all() or np.isnan(quality).any():
        raise ValueError("confidences lie in 0 to 1, and every answer has a quality")
    return confidence, quality
