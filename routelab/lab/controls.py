"""What an arm must be held against: the best single model, the cheapest, chance, hindsight and mixing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from routelab.core.plan import NOBODY
from routelab.core.ports import Floats
from routelab.lab.compare import ENOUGH_RECORDED, Arm, Figures, against, figures_from
from routelab.lab.outcomes import Ints, Outcomes
from routelab.lab.statistics import Estimate, paired_difference
from routelab.lab.walk import Walked

LUCK = "an upper bound, inflated by luck: it picks with hindsight, so no router can be expected to reach it"


@dataclass(frozen=True, kw_only=True, eq=False)
class Shuffle:
    """An arm's own model shares, handed out at random: `lift` is the arm's quality minus this one's, paired.

    A lift whose interval holds 0 says that the arm spent its money on no better prompts than chance would.
    """

    of: str
    shares: tuple[tuple[str, float], ...]
    figures: Figures
    lift: Estimate | None


@dataclass(frozen=True, kw_only=True)
class Hull:
    """The zero router: the best quality for a cost that random mixing of single models reaches.

    Corners in increasing cost, as (model, mean cost in USD, mean quality); quality increases and the line is concave.
    """

    corners: tuple[tuple[str, float, float], ...]

    def quality_at(self, cost_usd: float) -> float | None:
        """Return the quality that mixing reaches at a mean cost, or None below the cheapest corner."""
        costs = [c for _, c, _ in self.corners]
        if not costs or cost_usd < costs[0]:
            return None
        return float(np.interp(cost_usd, costs, [q for _, _, q in self.corners]))


@dataclass(frozen=True, kw_only=True, eq=False)
class Controls:
    """The four controls and the hull; None where costs are not known."""

    best_single: Arm
    cheapest: Arm | None
    shuffle: Shuffle
    oracle: Arm
    hull: Hull | None


def single(outcomes: Outcomes, column: int) -> Walked:
    """Return the walk of one model asked for everything; a recorded failure is a missing answer."""
    n = len(outcomes)
    failed = outcomes.failed[:, column]
    return Walked(
        model=np.where(failed, NOBODY, column).astype(np.intp),
        quality=np.where(failed, 0.0, outcomes.quality[:, column]),
        cost_usd=outcomes.cost_usd[:, column],
        latency_s=outcomes.latency_s[:, column],
        attempts=np.ones(n, dtype=np.intp),
        escalations=np.zeros(n, dtype=np.intp),
        judging_usd=np.zeros(n),
    )


def mean_qualities(outcomes: Outcomes) -> Floats:
    """Return each model's mean quality, (models,); NaN for one that was recorded on too few of the prompts."""
    scored = ~np.isnan(outcomes.quality)
    counts = scored.sum(axis=0)
    sums = np.where(scored, outcomes.quality, 0.0).sum(axis=0)
    enough = counts >= max(1.0, ENOUGH_RECORDED * counts.max(initial=0))
    return np.where(enough, sums / np.maximum(counts, 1), np.nan)


def mean_costs(outcomes: Outcomes) -> Floats:
    """Return each model's mean cost of a call in USD, (models,); NaN unless every prompt with a quality has a cost."""
    scored = ~np.isnan(outcomes.quality)
    missing = (scored & np.isnan(outcomes.cost_usd)).any(axis=0) | ~scored.any(axis=0)
    sums = np.where(scored & ~np.isnan(outcomes.cost_usd), outcomes.cost_usd, 0.0).sum(axis=0)
    return np.where(missing, np.nan, sums / np.maximum(scored.sum(axis=0), 1))


def best_single(outcomes: Outcomes) -> int | None:
    """Return the column with the highest mean quality, the cheaper one of equals; choose on the tune split."""
    quality, cost = mean_qualities(outcomes), mean_costs(outcomes)
    if np.isnan(quality).all():
        return None
    ties = np.flatnonzero(quality >= np.nanmax(quality) - 1e-12)
    return int(min(ties, key=lambda k: (np.inf if np.isnan(cost[k]) else cost[k], outcomes.models[int(k)])))


def cheapest(outcomes: Outcomes) -> int | None:
    """Return the column with the lowest mean cost, the better one of equals; None when a cost is not known."""
    quality, cost = mean_qualities(outcomes), mean_costs(outcomes)
    # With one cost unknown nobody can be called the cheapest.
    if len(cost) == 0 or np.isnan(cost).any():
        return None
    ties = np.flatnonzero(cost <= cost.min() * (1 + 1e-12))
    return int(min(ties, key=lambda k: (-(0.0 if np.isnan(quality[k]) else quality[k]), outcomes.models[int(k)])))


def oracle(outcomes: Outcomes) -> Walked:
    """Return the walk that hindsight would choose: per prompt the cheapest best answer, else the cheapest model.

    "Best" is the highest recorded quality of the prompt; where that is 0 nothing can be won and the cheapest is asked.
    """
    n = len(outcomes)
    quality = np.where(outcomes.failed, 0.0, outcomes.quality)
    seen = ~np.isnan(quality)
    top = np.where(seen, quality, -np.inf).max(axis=1, initial=-np.inf)
    best = seen & (quality >= top[:, None])
    cost = np.where(np.isnan(outcomes.cost_usd), np.inf, outcomes.cost_usd)
    pick = np.where(best, cost, np.inf).argmin(axis=1)
    # Where no cost is known argmin points to column 0, which need not be among the best.
    pick = np.where(best[np.arange(n), pick], pick, best.argmax(axis=1)).astype(np.intp)
    rows = np.arange(n)
    none = ~np.isfinite(top)
    return Walked(
        model=np.where(outcomes.failed[rows, pick] | none, NOBODY, pick).astype(np.intp),
        quality=np.where(none, np.nan, top),
        cost_usd=outcomes.cost_usd[rows, pick],
        latency_s=outcomes.latency_s[rows, pick],
        attempts=np.ones(n, dtype=np.intp),
        escalations=np.zeros(n, dtype=np.intp),
        judging_usd=np.zeros(n),
    )


def shuffle(arm: Arm, base: Walked, outcomes: Outcomes, *, margin: float, clusters: Ints | None = None) -> Shuffle:
    """Return the cost-matched control of an arm, as the exact expectation over all assignments with the arm's shares.

    Prompt i gets Σ_m share_m · quality_im, and the cost in the same way; nobody's share has quality 0. An arm that
    asks several models for one prompt is matched in the shares of who answered, not in what the refused answers
    cost.
    """
    picked = arm.walked.model
    known = picked[~np.isnan(arm.walked.quality)]
    columns, counts = np.unique(known, return_counts=True)
    shares = counts / max(1, len(known))
    answered = columns != NOBODY
    weights, of = shares[answered], columns[answered]
    quality = np.where(outcomes.failed[:, of], 0.0, outcomes.quality[:, of]) @ weights
    cost = outcomes.cost_usd[:, of] @ weights
    blank = np.full(len(outcomes), np.nan)
    figures = figures_from(quality, cost, blank, clusters=clusters)
    figures = against(figures, (quality, cost), (base.quality, base.cost_usd), margin=margin, clusters=clusters)
    both = ~np.isnan(quality) & ~np.isnan(arm.walked.quality)
    groups = None if clusters is None else clusters[both]
    return Shuffle(
        of=arm.name,
        shares=tuple((outcomes.models[int(c)], float(w)) for c, w in zip(of, weights, strict=True)),
        figures=figures,
        lift=paired_difference(arm.walked.quality[both], quality[both], groups) if both.any() else None,
    )


def zero_router(models: Sequence[str], costs: Floats, qualities: Floats) -> Hull | None:
    """Return the non-decreasing upper concave hull of (cost, quality), or None when no model has both."""
    points = sorted(
        (float(c), -float(q), m)
        for m, c, q in zip(models, costs, qualities, strict=True)
        if not np.isnan(c) and not np.isnan(q)
    )
    corners: list[tuple[str, float, float]] = []
    for cost, minus, model in points:
        quality = -minus
        if corners and quality <= corners[-1][2]:
            continue  # dearer and no better
        while len(corners) > 1 and _below(corners[-2], corners[-1], (cost, quality)):
            corners.pop()
        corners.append((model, cost, quality))
    return Hull(corners=tuple(corners)) if corners else None


def _below(left: tuple[str, float, float], middle: tuple[str, float, float], right: tuple[float, float]) -> bool:
    _, x0, y0 = left
    _, x1, y1 = middle
    return (y1 - y0) * (right[0] - x0) <= (right[1] - y0) * (x1 - x0)
