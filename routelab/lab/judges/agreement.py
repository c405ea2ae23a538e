"""How far a judge agrees with what is known for certain, and judges with one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from routelab.core.ports import Floats
from routelab.lab.judges.bias import rate
from routelab.lab.judges.judged import Judged, column
from routelab.lab.judges.robust import absent, influenced, numbered, within
from routelab.lab.statistics import Estimate

Scale = Literal["nominal", "interval"]
ROUNDS = 1000


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """A judge against exact scorers (or people), on the answers that have both.

    Verdicts count as "right" from `at_least` on, the truth from `right_from` on. `sensitivity` is the share of right answers that
    the judge takes, `specificity` the share of wrong ones that it refuses, `kappa` Cohen's: agreement beyond chance.
    """

    accuracy: Estimate
    sensitivity: Estimate
    specificity: Estimate
    kappa: Estimate
    at_least: float
    right_from: float


def agreement(judgements: Judged, *, at_least: float = 0.5, right_from: float = 0.5) -> Agreement:
    """Return the agreement of the marks with their truths; every estimate is NaN when no answer has both."""
    rows = [m for m in judgements.marks if m.quality is not None and m.truth is not None]
    took = column(rows, lambda m: m.quality) >= at_least
    right = column(rows, lambda m: m.truth) >= right_from
    labels = np.array([m.cluster for m in rows])
    none = absent("no answer has both a verdict and an exact score")

    def share(hit: np.ndarray, of: np.ndarray, what: str) -> Estimate:
        if not rows:
            return none
        return rate(hit[of].astype(float), list(labels[of])) if of.any() else absent(f"no answer is {what}", len(rows))

    return Agreement(
        accuracy=share(took == right, np.ones(len(rows), dtype=bool), ""),
        sensitivity=share(took, right, "right"),
        specificity=share(~took, ~right, "wrong"),
        kappa=cohen(took.astype(float), right.astype(float), list(labels)) if rows else none,
        at_least=at_least,
        right_from=right_from,
    )


def cohen(one: Floats, other: Floats, labels: Sequence[str]) -> Estimate:
    """Return Cohen's κ of two raters who each say 0 or 1, with a clustered delta-method interval (Fleiss, Cohen & Everitt 1969).

    NaN when both say the same of everything: then no agreement beyond chance can show.
    """
    n = len(one)
    p, q, same = float(one.mean()), float(other.mean()), (one == other).astype(float)
    chance, seen = p * q + (1 - p) * (1 - q), float(same.mean())
    if chance > 1 - 1e-12:
        return absent("all verdicts and all truths are the same: chance agreement is 1", n)
    moved = (2 * q - 1) * (one - p) + (2 * p - 1) * (other - q)
    pull = ((same - seen) * (1 - chance) - moved * (1 - seen)) / (1 - chance) ** 2 / n
    clusters = numbered(labels) if len(set(labels)) < n else None
    return within(influenced((seen - chance) / (1 - chance), pull, clusters), -1.0, 1.0)


def krippendorff(
    ratings: Floats, *, scale: Scale = "interval", seed: int = 0, rounds: int = ROUNDS, level: float = 0.95
) -> Estimate:
    """Return Krippendorff's α of ratings (units × raters, NaN where a rater gave none), with a bootstrap interval over units.

    α = 1 − observed / expected disagreement over the coincidences (Krippendorff, Computing α-reliability, 2011); `scale` says how far two
    ratings disagree: equal or not, or the square of their difference. Units with fewer than two ratings say nothing.
    """
    ratings = ratings[(np.isfinite(ratings)).sum(axis=1) >= 2]
    if len(ratings) == 0:
        return absent("no answer was judged by two")
    values, codes = np.unique(ratings[np.isfinite(ratings)], return_inverse=True)
    counts = np.zeros((len(ratings), len(values)))
    np.add.at(counts, (np.nonzero(np.isfinite(ratings))[0], codes.reshape(-1)), 1.0)
    if len(values) == 1:
        return absent("all ratings are the same: nothing to disagree about", len(ratings))
    apart = (
        (values[:, None] != values[None, :]).astype(float)
        if scale == "nominal"
        else np.subtract.outer(values, values) ** 2
    )
    sizes = counts.sum(axis=1)
    observed = np.einsum("uv,vw,uw->u", counts, apart, counts, optimize=True) / (sizes - 1)

    def alpha(weights: Floats) -> Floats:
        totals, n = weights @ counts, weights @ sizes
        expected = np.einsum("bv,vw,bw->b", totals, apart, totals, optimize=True) / (n - 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(1.0 - (weights @ observed) / expected)

    value = float(alpha(np.ones((1, len(ratings))))[0])
    if len(ratings) < 5:
        return Estimate(
            value=value,
            low=None,
            high=None,
            se=None,
            n=len(ratings),
            method="bootstrap",
            note=f"{len(ratings)} answers are too few for an interval (at least 5)",
        )
    draws = np.random.default_rng(seed).multinomial(len(ratings), np.full(len(ratings), 1 / len(ratings)), size=rounds)
    again = alpha(draws.astype(float))
    again = again[np.isfinite(again)]
    low, high = np.quantile(again, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(
        value=value,
        low=float(low),
        high=float(high),
        se=float(again.std(ddof=1)),
        n=len(ratings),
        method=f"bootstrap over answers, {scale}",
    )


def between(judgements: Judged, *, scale: Scale = "interval", seed: int = 0) -> Estimate:
    """Return Krippendorff's α between all the judges of the marks; NaN when there is only one judge."""
    if len(judgements.judges) < 2:
        return absent("there is only one judge")
    place = {judge: k for k, judge in enumerate(judgements.judges)}
    given: dict[tuple[str, str], dict[int, list[float]]] = {}
    for mark in judgements.marks:
        if mark.quality is not None:
            given.setdefault((mark.prompt_id, mark.model), {}).setdefault(place[mark.judge], []).append(mark.quality)
    table = np.full((len(given), len(place)), np.nan)
    for row, marks in enumerate(given.values()):
        for k, several in marks.items():
            table[row, k] = float(np.mean(several))
    return krippendorff(table, scale=scale, seed=seed)
