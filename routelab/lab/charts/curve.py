"""What every value of a threshold would have done with recorded outcomes: a strategy's knob, or the bar of a cascade's gate."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from routelab.core.errors import ConfigError
from routelab.core.plan import NOBODY, Gate, Plan
from routelab.core.ports import Floats
from routelab.core.values import Roster
from routelab.lab.controls import best_single, single
from routelab.lab.family import Tunable
from routelab.lab.outcomes import Bools, Ints, Outcomes
from routelab.lab.referees import referee_of
from routelab.lab.replay import handed, planned, walked
from routelab.lab.spread import cost_ratio
from routelab.lab.statistics import Estimate, paired_difference
from routelab.lab.walk import Referee, Rulings, Walked, joined, walk

BAR = "gate.at_least"
POINTS = 101
# An agreement is there or not, and several gates at once give yes or no: no bar lies in between.
YES_OR_NO = ("agreement", "all")


@dataclass(frozen=True, kw_only=True, eq=False)
class Knob:
    """One number of an arm over fixed prompts: `walk(value)` is what the arm does with the number at that value.

    `chosen` is the value that the arm has, None when it has several (a bar for each model, in `bars`); `values` are worth a look:
    0 to 1, or the range in which decisions change. `marks(values)` is equal for values that decide every prompt alike.
    """

    name: str
    chosen: float | None
    walk: Callable[[float], Walked]
    marks: Callable[[Floats], Ints]
    values: Floats
    bars: tuple[tuple[str, float], ...] = ()

    @property
    def logarithmic(self) -> bool:
        """Whether values differ by factors rather than by differences."""
        return bool(len(self.values) and self.values.max() > 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """Figures for each value of a knob, arrays (values,) over the same prompts; NaN is what is not known.

    `quality` is the mean, `delta` its paired difference from the baseline's with the interval `delta_low` to `delta_high`, which is
    the band `low` to `high` around the quality; `cost_usd` a call, `ratio` to the baseline's cost with its interval; `shares` (values, models) of the prompts that each model answered. `n` prompts were scored for both.
    """

    knob: Knob
    values: Floats
    n: int
    models: tuple[str, ...]
    strongest: str
    base_quality: float
    quality: Floats
    delta: Floats
    delta_low: Floats
    delta_high: Floats
    cost_usd: Floats
    ratio: Floats
    ratio_low: Floats
    ratio_high: Floats
    shares: Floats

    @property
    def low(self) -> Floats:
        """The lower end of the band of quality."""
        return self.quality - self.delta + self.delta_low

    @property
    def high(self) -> Floats:
        """The upper end of the band of quality."""
        return self.quality - self.delta + self.delta_high

    @property
    def strong_share(self) -> Floats:
        """The share of the prompts that the strongest model answered, (values,)."""
        found: Floats = self.shares[:, self.models.index(self.strongest)]
        return found

    def nearest(self, value: float) -> int:
        """Return the index of the value that is nearest."""
        return int(np.abs(self.values - value).argmin())


def curve(
    arm: Any,
    outcomes: Outcomes,
    values: Sequence[float] | Floats | None = None,
    *,
    baseline: Walked | None = None,
    versions: Sequence[tuple[Bools, Any]] = (),
) -> Curve:
    """Return what an arm (a RouteConfig or a strategy, fitted) does with the outcomes at each value of its knob or bar.

    `values` default to those worth a look and the arm's own; the baseline is the best single model of these outcomes unless its walk is
    given. `versions` are the folds of `nomination.folds` with the arm fitted without them: over outcomes that it learned from, each
    prompt is then decided by a version that has not seen it. Raises ConfigError for an arm without a knob.
    """
    return curve_of(knob_of(arm, outcomes, versions), outcomes, values, baseline=baseline)


def curve_of(
    knob: Knob | None,
    outcomes: Outcomes,
    values: Sequence[float] | Floats | None = None,
    *,
    baseline: Walked | None = None,
) -> Curve:
    """Return the curve of a knob; see `curve`."""
    if knob is None:
        raise ConfigError(
            "this strategy has no threshold",
            hint="arbitrage has min_quality or cost_weight, a cascade the bar of its gate (at_least)",
        )
    at = knob.values if values is None else np.asarray(values, dtype=float)
    if values is None and knob.chosen is not None:
        at = np.unique(np.append(at, knob.chosen))
    best = best_single(outcomes)
    if best is None:
        raise ConfigError("no quality was recorded, so no threshold can be judged", hint="score the answers first")
    base = single(outcomes, best) if baseline is None else baseline
    _, first, back = np.unique(knob.marks(at), return_index=True, return_inverse=True)
    clusters = outcomes.clusters
    found = [_figures(knob.walk(float(at[k])), base, clusters, len(outcomes.models)) for k in first]
    columns = {name: np.array([row[name] for row in found])[back.reshape(-1)] for name in found[0]}
    scored = columns.pop("n")
    known = base.quality[~np.isnan(base.quality)]
    return Curve(
        knob=knob,
        values=at,
        n=int(scored.min()),
        models=outcomes.models,
        strongest=outcomes.models[best],
        base_quality=float(known.mean()) if len(known) else float("nan"),
        **columns,
    )


def _figures(own: Walked, base: Walked, clusters: Ints | None, models: int) -> dict[str, Any]:
    both = ~np.isnan(own.quality) & ~np.isnan(base.quality)
    groups = None if clusters is None else clusters[both]
    nothing = Estimate(value=np.nan, low=None, high=None, se=None, n=0)
    difference = paired_difference(own.quality[both], base.quality[both], groups) if both.any() else nothing
    cost, other = own.cost_usd[both], base.cost_usd[both]
    priced = both.any() and not np.isnan(cost).any() and not np.isnan(other).any()
    ratio = (cost_ratio(cost, other, groups) if priced else None) or nothing
    known = (own.model != NOBODY) | ~np.isnan(own.quality)
    counts = np.bincount(own.model[known] + 1, minlength=models + 1)[1:]
    return {
        "n": int(both.sum()),
        "quality": own.quality[both].mean() if both.any() else np.nan,
        "delta": difference.value,
        "delta_low": _or_nan(difference.low),
        "delta_high": _or_nan(difference.high),
        "cost_usd": cost.mean() if both.any() else np.nan,
        "ratio": ratio.value,
        "ratio_low": _or_nan(ratio.low),
        "ratio_high": _or_nan(ratio.high),
        "shares": counts / max(1, int(known.sum())),
    }


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value


def knob_of(arm: Any, outcomes: Outcomes, versions: Sequence[tuple[Bools, Any]] = ()) -> Knob | None:
    """Return the arm's knob over these outcomes, None when it has none; `versions` are as in `curve`."""
    if not versions:
        return _knob(arm, outcomes)
    parts = [(rows, _knob(version, outcomes.take(rows))) for rows, version in versions]
    own = _knob(arm, outcomes)
    held = [(rows, part) for rows, part in parts if part is not None]
    if own is None or len(held) < len(parts):
        return None

    def marks(values: Floats) -> Ints:
        every = np.stack([part.marks(values) for _, part in held], axis=1)
        return np.unique(every, axis=0, return_inverse=True)[1].reshape(-1).astype(np.intp)

    return dataclasses.replace(
        own, walk=lambda value: joined([(rows, part.walk(value)) for rows, part in held]), marks=marks
    )


def _knob(arm: Any, outcomes: Outcomes) -> Knob | None:
    strategy = getattr(arm, "ranking", arm)
    if isinstance(strategy, Tunable):
        return _of_family(arm, strategy, outcomes)
    return _of_gate(arm, outcomes) if callable(getattr(strategy, "plan", None)) else None


def _of_family(arm: Any, strategy: Any, outcomes: Outcomes) -> Knob:
    """Return the knob of a family: each alternative is walked once, and a value only picks among these."""
    config = hasattr(arm, "ranking")
    roster = outcomes.roster
    own = Roster(models=tuple(roster.models[roster.names.index(m)] for m in arm.models)) if config else roster
    family: Any = strategy.family(outcomes.prompts, own)

    def played(plan: Plan) -> Walked:
        return walked("", arm, outcomes, lambda *_: handed(arm, plan, roster) if config else plan)

    def member(value: float) -> Walked:
        # The last alternative stands for the choice -1, as in an index.
        return choices(family.picks(np.array([value]))[0]) if alternatives else played(family.plan(value))

    alternatives = [played(plan) for plan in family.alternatives()] if hasattr(family, "picks") else []
    choices = stacked(alternatives)
    name = strategy.knob
    return Knob(
        name=name,
        chosen=float(getattr(strategy, name)),
        walk=member,
        marks=family.marks,
        values=np.linspace(0, 1, POINTS) if name == "min_quality" else _range(family.marks),
    )


def _range(marks: Callable[[Floats], Ints]) -> Floats:
    """Return the values, by equal factors, between the first and the last that change a decision."""
    wide = np.geomspace(1e-9, 1e12, 1001)
    found = np.flatnonzero(np.diff(marks(wide)))
    if len(found) == 0:
        return np.array([1.0])
    return np.geomspace(wide[found[0]], wide[found[-1] + 1], POINTS)


def stacked(walks: Sequence[Walked]) -> Callable[[Ints], Walked]:
    """Return the function from choices (prompts,) among the walks to the walk that takes each prompt from the one chosen."""
    every = {f.name: np.stack([getattr(w, f.name) for w in walks]) for f in dataclasses.fields(Walked)} if walks else {}

    def chosen(picks: Ints) -> Walked:
        rows = np.arange(len(picks))
        return Walked(**{name: values[picks, rows] for name, values in every.items()})

    return chosen


@dataclass(frozen=True, kw_only=True, eq=False)
class _Overheard:
    """A referee who writes down the score at every step, (prompts, steps), and whether an earlier answer could stand."""

    referee: Referee
    score: Floats
    stood: list[bool]

    def __call__(self, rows: Ints, cells: Ints, before: Ints) -> Rulings:
        given = self.referee(rows, cells, before)
        self.score[rows, before.shape[1]] = given.score
        self.stood.append(given.stands is not None and bool((given.stands != NOBODY).any()))
        return given


def _of_gate(arm: Any, outcomes: Outcomes) -> Knob | None:
    """Return the bar of a gate, one for every model, as the knob of its cascade."""
    plan = planned(arm, outcomes.prompts, outcomes.roster)
    gate, n = plan.gate, len(plan)
    if gate.scorer is None or gate.scorer in YES_OR_NO:
        return None
    referee = referee_of("", gate, outcomes)
    assert referee is not None  # the gate has a scorer
    columns = np.arange(len(outcomes.models), dtype=np.intp)

    def played(bar: float, order: Ints, by: Referee) -> Walked:
        barred = dataclasses.replace(gate, at_least=bar, bars={})
        changed = dataclasses.replace(plan, gate=barred, order=order, rungs=plan.ladder)
        return walk(changed, outcomes, columns, by)

    rungs = max(1, int(plan.ladder.max(initial=1)))
    heard = _Overheard(referee=referee, score=np.full((n, plan.order.shape[1]), np.nan), stood=[])
    last = played(np.inf, plan.order, heard)
    if any(heard.stood):
        return None
    # A bar that nothing reaches ends where the ranking does, so cutting the ranking short is being accepted there.
    stops = [played(np.inf, plan.order[:, : k + 1], referee) for k in range(rungs - 1)]
    choices = stacked([*stops, last])
    reached = np.maximum.accumulate(np.nan_to_num(heard.score[:, : rungs - 1], nan=-np.inf), axis=1)
    steps = np.unique(reached[np.isfinite(reached)])
    asked = _bars(gate, plan, outcomes)
    alone = set(asked.values())
    return Knob(
        name=BAR,
        chosen=float(next(iter(alone))) if len(alone) == 1 else None,
        walk=lambda value: choices((reached < value).sum(axis=1)),
        marks=lambda values: np.searchsorted(steps, values, side="left").astype(np.intp),
        values=np.linspace(0, 1, POINTS),
        bars=tuple(asked.items()) if len(alone) > 1 else (),
    )


def _bars(gate: Gate, plan: Plan, outcomes: Outcomes) -> dict[str, float]:
    """Return what the answers of each model that is judged must reach."""
    judged = {int(k) for row in np.unique(plan.order, axis=0) for k in row[row != NOBODY][:-1]}
    return {outcomes.models[k]: gate.bar(outcomes.models[k]) for k in sorted(judged)}
