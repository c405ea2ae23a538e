"""What every value of one number of an arm would have done with recorded outcomes: a strategy's knob, or the bar of a gate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from routelab.config import RouteConfig
from routelab.core.errors import ConfigError, suggest
from routelab.core.plan import NOBODY
from routelab.core.ports import Floats
from routelab.core.values import Roster
from routelab.lab.controls import best_single, mean_qualities, single
from routelab.lab.knobs import Held, Knob
from routelab.lab.outcomes import Bools, Ints, Outcomes
from routelab.lab.replay import handed, walked
from routelab.lab.spread import cost_ratio
from routelab.lab.statistics import Estimate, paired_difference
from routelab.lab.walk import ARRAYS, Walked, joined
from routelab.lab.ways import way_of

POINTS = 101
"""A curve has at most about so many values: a knob's positions may be more."""
BEYOND = 2.0
"""Knobs that reach further than scores and shares do are weights, whose values span decades."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Turning:
    """One knob of an arm over fixed prompts: `walk(value)` is what the arm does with that one at the value, the others staying.

    `cuts` are the values at which a decision changes, rising; without any, every value may decide in its own way. `others` are the
    keys of the arm's other knobs.
    """

    knob: Knob
    walk: Callable[[float], Walked]
    cuts: Floats
    others: tuple[str, ...] = ()

    def marks(self, values: Floats) -> Ints:
        """Return a number per value, equal for values that decide every prompt alike."""
        if len(self.cuts) == 0:
            return np.unique(values, return_inverse=True)[1].reshape(-1).astype(np.intp)
        return np.searchsorted(self.cuts, values, side="left").astype(np.intp)

    @property
    def values(self) -> Floats:
        """The knob's positions, thinned to POINTS; the place where it stands is always among them."""
        every = np.array(self.knob.values)
        kept = np.linspace(0, len(every) - 1, min(POINTS, len(every))).round().astype(int)
        return np.unique(np.append(every[kept], self.knob.start))

    @property
    def logarithmic(self) -> bool:
        """Whether values differ by factors rather than by differences."""
        return bool(self.values.max() > BEYOND)


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """Figures for each value of a knob, arrays (values,) over the same prompts; NaN is what is not known.

    `quality` is the mean, `delta` its paired difference from the baseline's with the interval `delta_low` to `delta_high`, which is
    the band `low` to `high` around the quality; `cost_usd` a call, `ratio` to the baseline's cost with its interval; `shares` (values, models) of the prompts that each model answered. `n` prompts were scored for both; `strongest`
    is the model of the best quality among those that answer at some value.
    """

    turning: Turning
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
    def chosen(self) -> float:
        """Where the knob stands in the arm itself."""
        return self.turning.knob.start

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
    knob: str | None = None,
    baseline: Walked | None = None,
    versions: Sequence[tuple[Bools, Any]] = (),
) -> Curve:
    """Return what an arm (a RouteConfig or a strategy, fitted) does with the outcomes at each value of a knob (default: its first).

    `values` default to the knob's positions; the baseline is the best single model of these outcomes unless its walk is given.
    `versions` are the folds of `nomination.folds` with the arm fitted without them: over outcomes that it learned from, each prompt is
    then decided by a version that has not seen it. Raises ConfigError for an arm without that knob.
    """
    found = turning_of(arm, outcomes, knob, versions)
    if found is None:
        raise ConfigError(
            "this strategy has no threshold",
            hint="arbitrage has min_quality or cost_weight, a cascade the bar of its gate, semantic routes a threshold",
        )
    return curve_of(found, outcomes, values, baseline=baseline)


def curve_of(
    turning: Turning,
    outcomes: Outcomes,
    values: Sequence[float] | Floats | None = None,
    *,
    baseline: Walked | None = None,
) -> Curve:
    """Return the curve of a knob; see `curve`."""
    at = turning.values if values is None else np.asarray(values, dtype=float)
    best = best_single(outcomes)
    if best is None:
        raise ConfigError("no quality was recorded, so no threshold can be judged", hint="score the answers first")
    base = single(outcomes, best) if baseline is None else baseline
    _, first, back = np.unique(turning.marks(at), return_index=True, return_inverse=True)
    clusters = outcomes.clusters
    found = [_figures(turning.walk(float(at[k])), base, clusters, len(outcomes.models)) for k in first]
    columns = {name: np.array([row[name] for row in found])[back.reshape(-1)] for name in found[0]}
    scored = columns.pop("n")
    asked = columns["shares"].any(axis=0)
    # The best of those that it asks at some value: the best of all may be none of the arm's.
    means = np.where(asked, mean_qualities(outcomes), np.nan)
    strongest = best if np.isnan(means).all() else int(np.nanargmax(means))
    known = base.quality[~np.isnan(base.quality)]
    return Curve(
        turning=turning,
        values=at,
        n=int(scored.min()),
        models=outcomes.models,
        strongest=outcomes.models[strongest],
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


def turning_of(
    arm: Any, outcomes: Outcomes, knob: str | None = None, versions: Sequence[tuple[Bools, Any]] = ()
) -> Turning | None:
    """Return the named knob of an arm (default: its first) over these outcomes, None when it has none; `versions` as in `curve`.

    Raises ConfigError for a name that is none of its knobs.
    """
    config = _config(arm, outcomes)
    way = way_of(config.ranking)
    turns = {turn.key: turn for turn in way.turns(config.ranking)}
    if not turns:
        return None
    key = next(iter(turns)) if knob is None else knob
    if key not in turns:
        near = suggest(key, turns)
        said = "" if near is None else f"; {near}"
        raise ConfigError(f"knob: this arm has no '{key}'{said}", hint=f"its knobs: {', '.join(turns)}")
    parts = [(rows, _held(_config(version, outcomes), outcomes.take(rows))) for rows, version in versions]
    held = parts or [(np.ones(len(outcomes), dtype=np.bool_), _held(config, outcomes))]
    cuts = np.concatenate([part.cuts(key).ravel() for _, part in held])
    start = {name: turn.start for name, turn in turns.items()}

    def at(value: float) -> Walked:
        return joined([(rows, part({**start, key: value})) for rows, part in held])

    return Turning(
        knob=turns[key].knob(cuts),
        walk=at,
        cuts=np.unique(cuts[np.isfinite(cuts)]),
        others=tuple(name for name in turns if name != key),
    )


def _config(arm: Any, outcomes: Outcomes) -> RouteConfig:
    return arm if isinstance(arm, RouteConfig) else RouteConfig(name="arm", models=outcomes.models, strategy=arm)


def _held(config: RouteConfig, rows: Outcomes) -> Held:
    held = way_of(config.ranking).held(config, rows)
    strategy: Any = config.ranking
    if not callable(getattr(strategy, "family", None)):
        return held
    names = rows.roster.names
    own = Roster(models=tuple(rows.roster.models[names.index(model)] for model in config.models))
    family = strategy.family(rows.prompts, own)
    return _Picking.of(held, config, family, rows, strategy.knob) if hasattr(family, "picks") else held


@dataclass(frozen=True, kw_only=True, eq=False)
class _Picking:
    """A family over some rows whose alternatives are walked once: a value only picks one of them for each prompt."""

    held: Held
    key: str
    family: Any
    every: dict[str, Any]

    @staticmethod
    def of(held: Held, config: RouteConfig, family: Any, rows: Outcomes, key: str) -> Held:
        walks = [
            walked(config.name, config, rows, lambda *_, plan=plan: handed(config, plan, rows.roster))
            for plan in family.alternatives()[:-1]
        ]
        every = {name: np.stack([getattr(w, name) for w in walks]) for name in ARRAYS}
        return _Picking(held=held, key=key, family=family, every=every)

    def __call__(self, setting: Any) -> Walked:
        picks = self.family.picks(np.array([setting[self.key]], dtype=float))[0]
        if (picks == NOBODY).any():
            # Where nothing was predicted the default answers, which is none of the alternatives.
            return self.held(setting)
        rows = np.arange(len(picks))
        return Walked(**{name: values[picks, rows] for name, values in self.every.items()})

    def cuts(self, key: str) -> Floats:
        return self.held.cuts(key)

    def sums(self, key: str, values: Floats, setting: Any) -> Floats:
        return self.held.sums(key, values, setting)
