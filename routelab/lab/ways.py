"""How the strategies of each kind are turned, found by `way_of`: a family's knob, a gate's bars, shares, a threshold."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from routelab.config import RouteConfig
from routelab.core.plan import NOBODY, Plan
from routelab.core.ports import Floats
from routelab.core.values import Roster, draw
from routelab.lab.bars import ByBars
from routelab.lab.family import Tunable
from routelab.lab.knobs import Held, Setting, Turn, Walking, Way, climbing, decided, ruled
from routelab.lab.outcomes import Ints, Outcomes
from routelab.lab.replay import planned, walked
from routelab.lab.walk import Walked
from routelab.strategies import Semantic, Split


def way_of(strategy: Any) -> Way:
    """Return the way to turn a strategy; one that has nothing to turn stays as it is."""
    if isinstance(strategy, Tunable):
        return ByFamily()
    if isinstance(getattr(strategy, "gate", None), Mapping):
        return ByBars()
    if isinstance(strategy, Split) and len(strategy.weights) > 1:
        return ByShares()
    if isinstance(strategy, Semantic) and strategy.default:
        return ByThreshold()
    return Still()


@dataclass(frozen=True, kw_only=True)
class Still:
    """Has no knob."""

    def turns(self, strategy: Any) -> tuple[Turn, ...]:
        """Return nothing."""
        return ()

    def member(self, strategy: Any, setting: Setting) -> Any:
        """Return the strategy."""
        return strategy

    def held(self, config: RouteConfig, rows: Outcomes) -> Held:
        """Return what the config does."""
        walk = walked(config.name, config, rows, planned)
        return Walking(walk=lambda _: walk)


@dataclass(frozen=True, kw_only=True)
class ByFamily:
    """Turns the knob of a strategy that belongs to a family (`family.Tunable`)."""

    def turns(self, strategy: Any) -> tuple[Turn, ...]:
        """Return the one knob; its positions are round numbers within 0 to 1, or logarithmic for a weight of the cost."""
        weight = strategy.knob == "cost_weight"
        return (
            Turn(
                key=strategy.knob,
                says="cost_weight (λ, quality per USD)" if weight else strategy.knob,
                start=float(getattr(strategy, strategy.knob)),
                positions=climbing if weight else ruled,
            ),
        )

    def member(self, strategy: Any, setting: Setting) -> Any:
        """Return the strategy with its knob at the value."""
        return dataclasses.replace(strategy, **setting)

    def held(self, config: RouteConfig, rows: Outcomes) -> Held:
        """Return the family over the rows; every alternative is walked once."""
        strategy: Any = config.ranking
        family = strategy.family(rows.prompts, _roster(config, rows))
        key: str = strategy.knob
        bars = getattr(family, "bars", np.zeros(0))
        walking = Walking(
            walk=lambda setting: decided(config, family.plan(setting[key]), rows),
            at={key: bars[np.isfinite(bars)]},
        )
        # Where nothing was predicted the default answers, which is none of the alternatives.
        plain = bool((family.plan(0.0).order[:, 0] != NOBODY).all())
        return _Climbing(walking=walking, config=config, rows=rows, family=family) if plain else walking


@dataclass(frozen=True, kw_only=True, eq=False)
class _Climbing:
    walking: Walking
    config: RouteConfig
    rows: Outcomes
    family: Any

    def __call__(self, setting: Setting) -> Walked:
        return self.walking(setting)

    def cuts(self, key: str) -> Floats:
        return self.walking.cuts(key)

    def sums(self, key: str, values: Floats, setting: Setting) -> Floats:
        n = len(self.rows)
        *asked, _ = self.family.alternatives()
        worth = np.zeros((4, n, len(asked) + 1))
        for k, plan in enumerate(asked):
            walk = decided(self.config, plan, self.rows)
            known = [~np.isnan(walk.quality), ~np.isnan(walk.cost_usd)]
            worth[..., k] = np.stack(
                [known[0], np.where(known[0], walk.quality, 0.0), known[1], np.where(known[1], walk.cost_usd, 0.0)]
            )
        sums: Floats = self.family.totals(worth, values)
        return sums


@dataclass(frozen=True, kw_only=True)
class ByShares:
    """Turns the shares of a split: of two models the second one's, of more the weight of each."""

    def turns(self, strategy: Split) -> tuple[Turn, ...]:
        """Return a knob a model, or one knob for two."""
        total = sum(strategy.weights.values())
        names = list(strategy.weights)
        return tuple(
            Turn(
                key=f"weights.{model}",
                says=f"share of {model}" if len(names) == 2 else f"weight of {model}",
                start=strategy.weights[model] / total,
                positions=lambda _, start: tuple(round(k / 100, 2) for k in range(101)),
                unit="%",
            )
            for model in (names[1:] if len(names) == 2 else names)
        )

    def member(self, strategy: Split, setting: Setting) -> Split:
        """Return the split with the weights."""
        return dataclasses.replace(strategy, weights=_weights(strategy, setting))

    def held(self, config: RouteConfig, rows: Outcomes) -> Held:
        """Return the split over the rows: each prompt is drawn once, a share says to whom."""
        strategy: Any = config.ranking
        roster = _roster(config, rows)
        # The hash of a prompt takes most of a plan's time, and does not depend on the shares.
        chance = np.array([draw(strategy.seed, "split", p.id) for p in rows.prompts], dtype=float)

        def at(setting: Setting) -> Walked:
            return decided(config, _shared(self.member(strategy, setting), chance, roster), rows)

        return Walking(walk=at, usable=lambda setting: any(_weights(strategy, setting).values()))


def _weights(strategy: Split, setting: Setting) -> dict[str, float]:
    if len(strategy.weights) == 2:
        first, second = strategy.weights
        share = setting[f"weights.{second}"]
        return {first: round(1 - share, 12), second: share}
    return {model: setting.get(f"weights.{model}", own) for model, own in strategy.weights.items()}


def _shared(split: Split, chance: Floats, roster: Roster) -> Plan:
    """Return the split's plan for prompts whose draws are known."""
    names = sorted(name for name, weight in split.weights.items() if weight > 0)
    shares = np.array([split.weights[name] for name in names], dtype=float)
    shares = np.ldexp(shares, -np.frexp(shares.max())[1])
    shares /= shares.sum()
    drawn = np.minimum(np.searchsorted(np.cumsum(shares), chance, side="right"), len(names) - 1)
    columns = np.array([roster.names.index(name) for name in names], dtype=np.intp)
    return _ranked(columns[drawn].reshape(-1, 1))


@dataclass(frozen=True, kw_only=True)
class ByThreshold:
    """Turns the common threshold of semantic routes, below which the default ranking answers."""

    def turns(self, strategy: Semantic) -> tuple[Turn, ...]:
        """Return the one knob; without a threshold it stands at 0, where every route is confident enough."""
        start = 0.0 if strategy.threshold is None else strategy.threshold
        return (Turn(key="threshold", says="threshold", start=start, positions=ruled),)

    def member(self, strategy: Semantic, setting: Setting) -> Semantic:
        """Return the strategy with the threshold, which no fit replaces."""
        return dataclasses.replace(strategy, reject=None, threshold=setting["threshold"])

    def held(self, config: RouteConfig, rows: Outcomes) -> Held:
        """Return the routes' decisions about the rows, made once."""
        strategy: Any = config.ranking
        found = strategy.decide([p.text for p in rows.prompts])
        roster = _roster(config, rows)
        rankings = [*(strategy.routes[name]["models"] for name in found.names), strategy.default]
        table = np.full((len(rankings), max(len(r) for r in rankings)), NOBODY, dtype=np.intp)
        for i, ranking in enumerate(rankings):
            table[i, : len(ranking)] = [roster.names.index(model) for model in ranking]
        own = np.array([strategy.routes[name].get("threshold", np.nan) for name in found.names], dtype=float)

        def at(setting: Setting) -> Walked:
            bars = np.where(np.isnan(own), setting["threshold"], own)
            route = np.where(found.confidence >= bars[found.ballot.route], found.ballot.route, len(found.names))
            return decided(config, _ranked(table[route]), rows)

        return Walking(walk=at, at={"threshold": found.confidence})


def _ranked(order: Ints) -> Plan:
    n = len(order)
    return Plan(order=order, propensity=np.ones(n), reason=np.zeros(n, dtype=np.intp), reasons=("given",))


def _roster(config: RouteConfig, rows: Outcomes) -> Roster:
    """Return the config's own models, as its strategy sees them."""
    whole = rows.roster
    return Roster(models=tuple(whole.models[whole.names.index(name)] for name in config.models))
