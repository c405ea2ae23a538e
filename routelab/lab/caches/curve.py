"""Every threshold at once: hits, false hits and what can be said of their share, from one sorting of the cosines.

`true_hit_rate` is hits over the pairs labelled 1, `false_hit_rate` is false hits over all hits; with no hits it is unknown.
Bounds are Clopper and Pearson's (Biometrika 1934, 26:404–413), on counts divided by the design effect of shared texts (`sharing`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from routelab.core.ports import Floats
from routelab.lab.caches.sharing import effects, kinship

Bools = NDArray[np.bool_]
Ints = NDArray[np.intp]

LEVEL = 0.95
BUDGET = 0.01
STEPS = 10_000
"""Thresholds have four decimals: a config that states one decides as the bench did."""


def upper_bound(false: float, hits: float, level: float = LEVEL) -> float | None:
    """Return Clopper and Pearson's one-sided upper bound for the share of false hits; None without hits.

    Counts may be fractions: those that a design effect leaves.

    >>> round(upper_bound(0, 299), 4), upper_bound(0, 0)
    (0.01, None)
    """
    return None if hits <= 0 else float(_upper(np.array([false]), np.array([hits]), level)[0])


def interval(false: float, hits: float, level: float = LEVEL) -> tuple[float, float] | None:
    """Return Clopper and Pearson's two-sided interval for the share of false hits; None without hits."""
    if hits <= 0:
        return None
    low = 0.0 if false <= 0 else float(special.betaincinv(false, hits - false + 1, (1 - level) / 2))
    high = 1.0 if false >= hits else float(special.betaincinv(false + 1, hits - false, (1 + level) / 2))
    return low, high


def hits_needed(false: int, budget: float = BUDGET, level: float = LEVEL) -> int:
    """Return the least number of hits of which `false` may be false for the upper bound to be within the budget.

    >>> hits_needed(0), hits_needed(1)
    (299, 473)
    """
    low, high = false, max(2 * false, 64)
    while _upper(np.array([false]), np.array([high]), level)[0] > budget:
        low, high = high, 2 * high
    while high - low > 1:
        half = (low + high) // 2
        low, high = (low, half) if _upper(np.array([false]), np.array([half]), level)[0] <= budget else (half, high)
    return high


def auc(scores: Floats, same: Bools) -> float | None:
    """Return the chance that a pair labelled 1 scores higher than one labelled 0, ties half; None without one of either."""
    up, down = int(same.sum()), int((~same).sum())
    if not up or not down:
        return None
    ranks = stats.rankdata(scores)[same]
    return float((ranks.sum() - up * (up + 1) / 2) / (up * down))


@dataclass(frozen=True, kw_only=True)
class Point:
    """What a threshold does on n pairs, `positives` of which are labelled 1; a rate that is not known is None.

    `false_hit_ci` is two-sided and `false_hit_upper` one-sided, both 95 %, for `design_effect` times fewer hits than there are.
    """

    threshold: float
    n: int
    positives: int
    hits: int
    false_hits: int
    design_effect: float = 1.0

    @property
    def true_hits(self) -> int:
        """Hits labelled 1."""
        return self.hits - self.false_hits

    @property
    def true_hit_rate(self) -> float | None:
        """True hits over the pairs labelled 1."""
        return self.true_hits / self.positives if self.positives else None

    @property
    def false_hit_rate(self) -> float | None:
        """False hits over all hits."""
        return self.false_hits / self.hits if self.hits else None

    @property
    def false_hit_ci(self) -> tuple[float, float] | None:
        """The interval of the false-hit rate."""
        return interval(self.false_hits / self.design_effect, self.hits / self.design_effect)

    @cached_property
    def false_hit_upper(self) -> float | None:
        """The one-sided upper bound of the false-hit rate: what a budget is held against."""
        return upper_bound(self.false_hits / self.design_effect, self.hits / self.design_effect)


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """What every threshold does, most cautious first: arrays of one value a threshold; `upper` is never NaN, for all have hits.

    `scores` are those of the pairs that can be hits, highest first, and `false_after` and `effect_after` say for each number of
    them (none, the first, the first two …) how many are false and what the design effect is.
    """

    n: int
    positives: int
    scores: Floats
    false_after: Ints
    effect_after: Floats
    thresholds: Floats

    def __len__(self) -> int:
        return len(self.thresholds)

    @cached_property
    def hits(self) -> Ints:
        """Hits by threshold."""
        return self._count(self.thresholds)

    @cached_property
    def false_hits(self) -> Ints:
        """False hits by threshold."""
        return np.asarray(self.false_after[self.hits])

    @cached_property
    def effect(self) -> Floats:
        """Design effects by threshold."""
        return np.asarray(self.effect_after[self.hits])

    @cached_property
    def upper(self) -> Floats:
        """One-sided upper bounds of the false-hit rate by threshold."""
        return _upper(self.false_hits / self.effect, self.hits / self.effect, LEVEL)

    def at(self, threshold: float) -> Point:
        """Return what any threshold does, also one that is not among `thresholds`."""
        hits = int(self._count(np.array([threshold]))[0])
        return Point(
            threshold=float(threshold),
            n=self.n,
            positives=self.positives,
            hits=hits,
            false_hits=int(self.false_after[hits]),
            design_effect=float(self.effect_after[hits]),
        )

    @cached_property
    def points(self) -> tuple[Point, ...]:
        """One point a threshold, most cautious first."""
        return tuple(self.at(t) for t in self.thresholds)

    def promises(self, budget: float = BUDGET) -> Floats:
        """Return by threshold the chance that as many new hits would again be within the budget; 0 where these are not.

        The share of false hits is taken to be Beta(false + ½, true + ½), the new false hits beta-binomial. A threshold that
        only just passes here is the luckiest of many, and would fail on new pairs about every other time.
        """
        hits, false = np.floor(self.hits / self.effect), self.false_hits / self.effect
        most = _most_false(hits, budget)
        found = stats.betabinom.cdf(most, np.maximum(hits, 1), false + 0.5, np.maximum(hits - false, 0) + 0.5)
        return np.where((self.upper <= budget) & (most >= 0), found, 0.0)

    def _count(self, thresholds: Floats) -> Ints:
        return np.asarray(np.searchsorted(-self.scores, -thresholds, side="right"), dtype=np.intp)


def curve(scores: Floats, same: Bools, nodes: Ints, passed: Bools | None = None) -> Curve:
    """Return the curve of n pairs by their scores; `passed` (default: all) are those to which no guard objects.

    `nodes` (n × 2) numbers the texts (`Pairs.nodes`). A hit is a pair that passed and scores at least the threshold.
    """
    through = np.ones(len(scores), dtype=bool) if passed is None else passed
    order = np.argsort(-scores, kind="stable")
    order = order[through[order]]
    kin = kinship(nodes[order], ~same[order])
    false = ~same[order]
    ranked = np.asarray(scores[order], dtype=float)
    return Curve(
        n=len(scores),
        positives=int(same.sum()),
        scores=ranked,
        false_after=np.concatenate([[0], np.cumsum(false)]).astype(np.intp),
        effect_after=np.concatenate([[1.0], effects(nodes[order], false, kin)]),
        thresholds=np.unique(np.floor(ranked * STEPS) / STEPS)[::-1].copy(),
    )


def recommended(points: Iterable[Point], budget: float = BUDGET) -> Point | None:
    """Return the point with the highest true-hit rate whose upper bound of false hits is within the budget, or None.

    Of equals it is the most cautious. It is chosen on these pairs, so its figures flatter it: other pairs must confirm it.
    """
    able = [p for p in points if p.false_hit_upper is not None and p.false_hit_upper <= budget]
    return max(able, key=lambda p: (p.true_hit_rate or 0.0, p.threshold), default=None)


def nominated(found: Curve, budget: float = BUDGET) -> tuple[Point, float] | None:
    """Return the point with the most true hits to expect where other pairs must confirm it, and the chance that they do.

    None when the bound is within the budget nowhere.
    """
    chance = found.promises(budget)
    if not len(found) or not (found.upper <= budget).any():
        return None
    gain = np.where(found.upper <= budget, (found.hits - found.false_hits) * chance, -1.0)
    best = int(gain.argmax())
    return found.points[best], float(chance[best])


def safest(found: Curve) -> Point | None:
    """Return the point with the lowest upper bound, the one with more hits of equals; None where nothing can be a hit."""
    if not len(found):
        return None
    lowest = np.flatnonzero(found.upper <= found.upper.min() + 1e-12)
    return found.points[int(lowest[-1])]


def _upper(false: NDArray[Any], hits: NDArray[Any], level: float) -> Floats:
    left = hits - false
    found = special.betaincinv(false + 1, np.where(left > 0, left, 1.0), level)
    return np.where(left > 0, found, 1.0)


def _most_false(hits: Floats, budget: float) -> Floats:
    """Return for each number of hits how many may be false with the bound within the budget; −1 where none may."""
    largest = int(hits.max(initial=0))
    needed: list[int] = []
    while (least := hits_needed(len(needed), budget)) <= largest:
        needed.append(least)
    return np.asarray(np.searchsorted(np.array(needed), hits, side="right") - 1, dtype=float)
