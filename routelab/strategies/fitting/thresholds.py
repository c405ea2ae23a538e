"""The cheapest model that is predicted good enough, else the best one: for one threshold or for all at once.

As τ rises over one prompt the choice climbs a staircase: only a model that is predicted better than every cheaper one
is ever chosen. So n prompts × m models hold at most n·(m − 1) steps in all, whatever the number of thresholds, and the
totals of every threshold come from one sort of these steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from routelab.core.plan import NOBODY, Ints, Plan
from routelab.core.ports import Floats

Picks: TypeAlias = NDArray[np.signedinteger[Any]]

CHUNK_CELLS = 1_000_000
"""How many decisions are held at once, so that what is made of them stays near the processor."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Thresholds:
    """The cheapest model whose predicted quality is at least τ, else the best one, for n prompts and any τ.

    `models` (n × levels) is who is chosen on each level, in rising cost and rising quality, its last one repeated;
    `bars` (n × levels) the quality predicted of them, the highest τ that still chooses them, +inf on the last level
    and beyond. A prompt for which nothing was predicted has NOBODY (-1) on every level. `count` is the number of
    models.
    """

    models: Picks
    bars: Floats
    count: int
    after: Picks | None = None

    def __len__(self) -> int:
        return len(self.models)

    @property
    def best(self) -> Picks:
        """Who is predicted to be the best, and asked after every other choice, (n,)."""
        last: Picks = self.models[:, -1] if self.after is None else self.after
        return last

    def picks(self, thresholds: Floats) -> Picks:
        """Return the choices, thresholds × prompts: one byte a decision for up to 127 models."""
        taus = _finite(thresholds)[:, None]
        chosen = np.repeat(self.models[None, :, 0], len(taus), axis=0)
        above, change = np.empty(chosen.shape, dtype=np.bool_), np.empty_like(chosen)
        for level in range(1, self.models.shape[1]):
            # Adding differences of small integers is 20 times as fast as overwriting where a mask says so; that a
            # difference of models wraps around does no harm, because the sum is a model again.
            np.greater(taus, self.bars[None, :, level - 1], out=above)
            np.multiply(above.view(np.int8), self.models[:, level] - self.models[:, level - 1], out=change)
            chosen += change
        return chosen

    def chunks(self, thresholds: Floats, *, cells: int = CHUNK_CELLS) -> Iterator[tuple[slice, Picks]]:
        """Yield (which thresholds, their picks), so that at most about `cells` decisions are held at once."""
        taus = _finite(thresholds)
        rows = max(1, cells // max(1, len(self)))
        for start in range(0, len(taus), rows):
            part = slice(start, min(start + rows, len(taus)))
            yield part, self.picks(taus[part])

    @cached_property
    def steps(self) -> tuple[Floats, Ints, Picks, Picks]:
        """The steps of all staircases in the order of their bars: τ above `bar` leads `row` from one model to another."""
        row, level = np.nonzero(np.isfinite(self.bars))
        bar = self.bars[row, level]
        order = np.argsort(bar, kind="stable")
        row, level, bar = row[order], level[order], bar[order]
        return bar, row, self.models[row, level], self.models[row, level + 1]

    def totals(self, worth: Floats, values: Floats) -> Floats:
        """Return the sums over the prompts of what their choices are worth, one a threshold.

        `worth` is (..., n, models + 1), its last column what asking nobody is worth. Equal to summing `picks`, up to
        rounding, at the cost of one pass over the steps and a binary search a threshold.
        """
        taus = _finite(values)
        bar, row, left, came = self.steps
        start = worth[..., np.arange(len(self)), self.models[:, 0]].sum(axis=-1)
        gains = np.cumsum(worth[..., row, came] - worth[..., row, left], axis=-1)
        sums = start[..., None] + np.concatenate([np.zeros((*gains.shape[:-1], 1)), gains], axis=-1)
        reached: Floats = sums[..., np.searchsorted(bar, taus, side="left")]
        return reached

    def marks(self, values: Floats) -> Ints:
        """Return how many steps lie below each threshold: equal counts are equal choices."""
        return np.searchsorted(self.steps[0], _finite(values), side="left").astype(np.intp)

    def alternatives(self) -> tuple[Plan, ...]:
        """Return one plan a model, that model and then the best one, and a last one in which nobody is asked."""
        n = len(self)
        asked = [self._ranked(np.full(n, model, dtype=np.intp)) for model in range(self.count)]
        return (*asked, _plan(np.full((n, 1), NOBODY, dtype=np.intp), "nothing was predicted"))

    def plan(self, value: float) -> Plan:
        """Return the plan at one threshold: the choice, then the best one."""
        return self._ranked(self.picks(np.array([value], dtype=float))[0].astype(np.intp), f"at least {value:g}")

    def _ranked(self, first: Ints, reason: str = "given") -> Plan:
        best = self.best.astype(np.intp)
        return _plan(np.column_stack([first, np.where(first == best, NOBODY, best)]), reason)


def thresholds(quality: Floats, cost: Floats) -> Thresholds:
    """Return the family of predicted qualities (n × models) at costs (models,) or (n × models).

    Of equal costs the earlier model counts as the cheaper; a cost that is NaN is the dearest; a quality that is NaN
    was not predicted, and such a model is not asked. Raises ValueError for shapes that do not fit.
    """
    quality = np.asarray(quality, dtype=float)
    if quality.ndim != 2 or quality.shape[1] == 0:
        raise ValueError(f"predicted qualities must be prompts × models, not {quality.shape}")
    cost = np.asarray(cost, dtype=float)
    if cost.shape not in (quality.shape, quality.shape[1:]):
        raise ValueError(f"costs must be {quality.shape[1:]} or {quality.shape}, not {cost.shape}")
    if np.isinf(quality).any():
        raise ValueError("predicted qualities must be finite, or NaN where nothing was predicted")
    n, m = quality.shape
    order = np.argsort(np.where(np.isnan(cost), np.inf, cost), axis=-1, kind="stable")
    order = np.broadcast_to(order, (n, m))
    sorted_ = np.take_along_axis(quality, order, axis=1)
    rising = np.where(np.isnan(sorted_), -np.inf, sorted_)
    before = np.maximum.accumulate(rising, axis=1)
    climbs = ~np.isnan(sorted_)
    climbs[:, 1:] &= rising[:, 1:] > before[:, :-1]
    level = climbs.cumsum(axis=1) - 1
    depth = max(1, int(level.max(initial=0)) + 1)
    row, place = np.nonzero(climbs)
    small = np.min_scalar_type(-max(1, m))
    models = np.full((n, depth), NOBODY, dtype=small)
    bars = np.full((n, depth), np.inf)
    models[row, level[row, place]] = order[row, place]
    bars[row, level[row, place]] = rising[row, place]
    top = level[:, -1]  # -1 where nothing was predicted: those rows are nobody's throughout
    bars[np.arange(n), top] = np.inf
    last = models[np.arange(n), top]
    for k in range(depth):
        models[:, k] = np.where(k > top, last, models[:, k])
    # Levels are read one after the other, each for all prompts.
    return Thresholds(models=np.asfortranarray(models), bars=np.asfortranarray(bars), count=m)


def envelope(quality: Floats, cost: Floats) -> Thresholds:
    """Return the family of λ ≥ 0: who is worth most by predicted quality − λ · cost, for predictions as in `thresholds`.

    As λ rises the choice moves along the upper envelope of the models' lines, from the best (of equals the cheaper) to
    the cheapest: a staircase as well. Where two are worth the same, the better one is asked. A cost that is NaN is the
    dearest: such a model is asked at λ = 0 only, unless no cost is known. The best one is asked after every other.
    """
    best = thresholds(quality, cost).best.astype(
        np.intp
    )  # refuses shapes that do not fit, and prefers the cheaper of equals
    quality = np.asarray(quality, dtype=float)
    n, m = quality.shape
    costs = np.broadcast_to(np.where(np.isnan(cost), np.inf, cost), (n, m))
    worth = np.where(np.isnan(quality), -np.inf, quality)
    rows = np.arange(n)
    now, reached, models, bars = best.copy(), np.full(n, -np.inf), [best], []
    for _ in range(m - 1):
        own_cost, own_worth = costs[rows, now][:, None], worth[rows, now][:, None]
        cheaper = (costs < own_cost) & np.isfinite(worth) & (now >= 0)[:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            meets = np.where(cheaper, (own_worth - worth) / (own_cost - costs), np.inf)
        first = meets.min(axis=1)
        if not np.isfinite(first).any():
            break
        # Of lines that meet at one point the cheapest lies above the others beyond it; a line that falls at once leads
        # to the best of the others.
        at_first = meets == first[:, None]
        top = np.where(at_first, worth, -np.inf).max(axis=1, keepdims=True)
        at_first &= (worth == top) | np.isfinite(own_cost)
        dear = np.where(at_first, costs, np.inf)
        ties = at_first & (dear == dear.min(axis=1, keepdims=True))
        nearest = np.where(ties, worth, -np.inf).argmax(axis=1)
        moves = np.isfinite(first)
        now = np.where(moves, nearest, now)
        reached = np.where(moves, np.maximum(first, reached), np.inf)
        models.append(now)
        bars.append(reached)
    small = np.min_scalar_type(-max(1, m))
    return Thresholds(
        models=np.asfortranarray(np.column_stack(models).astype(small)),
        bars=np.asfortranarray(np.column_stack([*bars, np.full(n, np.inf)])),
        count=m,
        after=best.astype(small),
    )


def _plan(order: Ints, reason: str) -> Plan:
    n = len(order)
    return Plan(order=order, propensity=np.ones(n), reason=np.zeros(n, dtype=np.intp), reasons=(reason,))


def _finite(values: Floats) -> Floats:
    taus = np.asarray(values, dtype=float)
    if taus.ndim != 1 or np.isnan(taus).any():
        raise ValueError("thresholds must be one list of numbers, none of them NaN")
    return taus
