"""What can be turned at an arm: its knobs, the arm at any setting of them, and what it does then over recorded outcomes.

One way a kind of strategy, found by `way_of`. What takes long (predictions, a gate's look at every answer, draws) is held
once for some rows; a setting then costs array operations only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from routelab.config import RouteConfig
from routelab.core.plan import NOBODY, Gate, Plan
from routelab.core.ports import Floats
from routelab.core.values import Prompt, Roster, draw
from routelab.gates import All
from routelab.gates import kind_of as kind_of_gate
from routelab.lab.family import Tunable
from routelab.lab.outcomes import Ints, Outcomes
from routelab.lab.referees import InTurn, referee_of
from routelab.lab.replay import planned, walked
from routelab.lab.walk import Referee, Rulings, Walked, walk
from routelab.strategies import Semantic, Split, gated
from routelab.strategies.cascade import spoken

Setting: TypeAlias = Mapping[str, float]
"""The value of each knob, by its key."""

POSITIONS = 121
STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
ABOVE = 0.01


@dataclass(frozen=True, kw_only=True)
class Knob:
    """A number of an arm that a slider moves: its key, what it is in words, its positions in rising order, and its own place.

    `unit` is "" or "%", for shares.
    """

    key: str
    says: str
    values: tuple[float, ...]
    start: float
    unit: str = ""

    def label(self, value: float) -> str:
        """Return a position in words."""
        return f"{100 * value:.4g} %" if self.unit == "%" else f"{value:.6g}"


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A knob before its positions are known: where it stands, and how positions are made of the values that decide something."""

    key: str
    says: str
    start: float
    positions: Callable[[Floats, float], tuple[float, ...]]
    unit: str = ""

    def knob(self, cuts: Floats) -> Knob:
        """Return the knob with positions for these values."""
        known = cuts[np.isfinite(cuts)]
        values = tuple(sorted({*self.positions(known, self.start), self.start}))
        return Knob(key=self.key, says=self.says, values=values, start=self.start, unit=self.unit)


class Held(Protocol):
    """A fitted version of an arm over some rows."""

    def __call__(self, setting: Setting) -> Walked:
        """Return what it does at a setting."""

    def cuts(self, key: str) -> Floats:
        """Return the values of a knob at which some decision changes."""

    def sums(self, key: str, values: Floats, setting: Setting) -> Floats:
        """Return `sums_of` the walk at every value of one knob, (4, values), the others being as they are set."""


class Way(Protocol):
    """How the strategies of one kind are turned."""

    def turns(self, strategy: Any) -> tuple[Turn, ...]:
        """Return what can be turned."""

    def member(self, strategy: Any, setting: Setting) -> Any:
        """Return the strategy at a setting; what it learned stays."""

    def held(self, config: RouteConfig, rows: Outcomes) -> Held:
        """Return a fitted config over some rows."""


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


def sums_of(walk: Walked) -> Floats:
    """Return four sums of a walk: prompts scored, their quality, costs known, those costs."""
    scored, priced = ~np.isnan(walk.quality), ~np.isnan(walk.cost_usd)
    return np.array(
        [scored.sum(), walk.quality[scored].sum(), priced.sum(), walk.cost_usd[priced].sum()],
        dtype=float,
    )


def ruled(cuts: Floats, start: float) -> tuple[float, ...]:
    """Return round positions within 0 to 1 that span the values, one beyond them on each side where there is room."""
    low, high = (float(cuts.min()), float(cuts.max())) if len(cuts) else (0.0, 1.0)
    low, high = min(low, start), max(high, start)
    step = next((s for s in STEPS if (high - low) / s <= POSITIONS), STEPS[-1])
    first, last = int(np.floor(low / step)) - 1, int(np.ceil(high / step)) + 1
    return tuple(v for v in (round(k * step, 6) for k in range(first, last + 1)) if 0 <= v <= 1)


def climbing(cuts: Floats, start: float) -> tuple[float, ...]:
    """Return 0 and positions of three digits that span the positive values evenly in the logarithm."""
    positive = np.append(cuts[cuts > 0], [start] if start > 0 else [])
    if len(positive) == 0:
        return (0.0,)
    ends = 0.8 * positive.min(), 1.25 * positive.max()
    return (0.0, *(float(f"{v:.3g}") for v in np.geomspace(*ends, POSITIONS - 1)))


def levels(cuts: Floats, start: float, *, most: float = np.inf) -> tuple[float, ...]:
    """Return quantiles of a gate's scores and one position above them all, at which every answer is refused, if `most` allows."""
    if len(cuts) == 0:
        return (start,)
    found = np.unique(np.round(np.quantile(cuts, np.linspace(0, 1, POSITIONS - 1)), 4))
    top = float(np.round(found[-1] + ABOVE, 4))
    return tuple(v for v in (*(float(c) for c in found), top) if v <= most)


@dataclass(frozen=True, kw_only=True, eq=False)
class Walking:
    """Rows of a version that is walked anew at each setting, by a plan for it; `at` gives the values that decide something.

    `usable` says which settings there are; the sums at any other are not known.
    """

    walk: Callable[[Setting], Walked]
    at: Mapping[str, Floats] = dataclasses.field(default_factory=dict)
    usable: Callable[[Setting], bool] = lambda _: True

    def __call__(self, setting: Setting) -> Walked:
        """Return what it does at a setting."""
        return self.walk(setting)

    def cuts(self, key: str) -> Floats:
        """Return the values of a knob at which some decision changes."""
        return self.at.get(key, np.zeros(0))

    def sums(self, key: str, values: Floats, setting: Setting) -> Floats:
        """Return the sums of the walk at every value of one knob."""
        settings = [{**setting, key: float(v)} for v in values]
        unknown = np.full(4, np.nan)
        return np.stack([sums_of(self(s)) if self.usable(s) else unknown for s in settings], axis=1)


@dataclass(frozen=True, kw_only=True)
class Decided:
    """A strategy whose plan for certain prompts is known: so that the replay's own door is the only one plans go through."""

    made: Plan

    def plan(self, prompts: Sequence[Prompt], roster: Roster) -> Plan:
        """Return the plan; ValueError for other prompts than it was made for."""
        if len(prompts) != len(self.made):
            raise ValueError("a plan that is known cannot be cut")
        return self.made


def decided(config: RouteConfig, made: Plan, rows: Outcomes) -> Walked:
    """Return the walk of a config whose strategy decided so, in positions of the config's models."""
    return walked(config.name, dataclasses.replace(config, strategy=Decided(made=made)), rows, planned)


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
class ByBars:
    """Turns what a gate asks of an answer: one bar, a bar a model, or the bars of several gates at once."""

    def turns(self, strategy: Any) -> tuple[Turn, ...]:
        """Return a knob a bar; for a strategy whose bars were fitted these are where the knobs stand."""
        return tuple(
            Turn(
                key=key,
                says=says,
                start=bar,
                positions=lambda cuts, start, spec=spec: levels(cuts, start, most=_most(spec)),  # type: ignore[misc]
            )
            for key, (says, bar, spec) in _bars(strategy.gate).items()
        )

    def member(self, strategy: Any, setting: Setting) -> Any:
        """Return the strategy with its gate's bars at the values."""
        return dataclasses.replace(strategy, gate=_with_bars(strategy.gate, setting))

    def held(self, config: RouteConfig, rows: Outcomes) -> Held:
        """Return the config over the rows, with what its gate says of every answer that may be asked for."""
        strategy: Any = config.ranking
        plan = planned(config, rows.prompts, rows.roster)
        kind = kind_of_gate(plan.gate)
        gates = {"gate": plan.gate}
        if isinstance(kind, All):
            gates = {f"gate.all.{i}": part for i, (part, _) in enumerate(kind.parts)}
        kept = {key: _kept(config.name, dataclasses.replace(plan, gate=gate), rows) for key, gate in gates.items()}
        columns = np.arange(len(rows.models), dtype=np.intp)

        def at(setting: Setting) -> Walked:
            gate = gated.gate_of(_with_bars(strategy.gate, setting))
            referee: Referee = kept.get("gate") or _in_turn(gate, kept, rows)
            return walk(dataclasses.replace(plan, gate=gate), rows, columns, referee)

        return Walking(walk=at, at=_scores(strategy.gate, kept, rows))


def _bars(spec: Mapping[str, Any], where: str = "gate") -> dict[str, tuple[str, float, Mapping[str, Any]]]:
    """Return every bar of a gate's mapping by its key: in words, its value, and the mapping it stands in."""
    if "all" in spec:
        parts = [_bars(part, f"{where}.all.{i}") for i, part in enumerate(spec["all"])]
        return {key: bar for part in parts for key, bar in part.items()}
    bar = spec.get("at_least", 1.0)
    name = spoken(gated.gate_of(spec))
    if isinstance(bar, Mapping):
        return {f"{where}.at_least.{model}": (f"bar for {model} ({name})", float(v), spec) for model, v in bar.items()}
    return {f"{where}.at_least": (f"bar of {name}", float(bar), spec)}


def _with_bars(spec: Mapping[str, Any], setting: Setting, where: str = "gate") -> dict[str, Any]:
    if "all" in spec:
        return {
            **spec,
            "all": tuple(_with_bars(part, setting, f"{where}.all.{i}") for i, part in enumerate(spec["all"])),
        }
    bar = spec.get("at_least", 1.0)
    if isinstance(bar, Mapping):
        return {
            **spec,
            "at_least": {model: setting.get(f"{where}.at_least.{model}", own) for model, own in bar.items()},
        }
    return {**spec, "at_least": setting.get(f"{where}.at_least", bar)}


def _most(spec: Mapping[str, Any]) -> float:
    # A bar for log-probabilities is a probability.
    return 1.0 if spec.get("scorer") in ("mean_logprob", "min_logprob") else np.inf


@dataclass(frozen=True, kw_only=True, eq=False)
class _Kept:
    """Gives what a gate gave every answer that the plan may come to; arrays are prompts × models."""

    score: Floats
    cost_usd: Floats
    latency_s: Floats
    stands: Ints

    def __call__(self, rows: Ints, cells: Ints, before: Ints) -> Rulings:
        return Rulings(
            score=self.score[rows, cells],
            cost_usd=self.cost_usd[rows, cells],
            latency_s=self.latency_s[rows, cells],
            stands=self.stands[rows, cells],
        )


def _kept(arm: str, plan: Plan, outcomes: Outcomes) -> _Kept:
    """Return what the plan's gate gave, learned by refusing every answer: nothing further down can be asked for."""
    shape = (len(outcomes), len(outcomes.models))
    kept = _Kept(
        score=np.full(shape, np.nan),
        cost_usd=np.full(shape, np.nan),
        latency_s=np.full(shape, np.nan),
        stands=np.full(shape, NOBODY, dtype=np.intp),
    )
    ask = referee_of(arm, plan.gate, outcomes)
    assert ask is not None  # a gate that was configured has a scorer

    def refuse(rows: Ints, cells: Ints, before: Ints) -> Rulings:
        given = ask(rows, cells, before)
        kept.score[rows, cells] = given.score
        kept.cost_usd[rows, cells], kept.latency_s[rows, cells] = given.cost_usd, given.latency_s
        if given.stands is not None:
            kept.stands[rows, cells] = given.stands
        return dataclasses.replace(given, score=np.full(len(rows), -np.inf), stands=None)

    refusing = dataclasses.replace(plan, gate=dataclasses.replace(plan.gate, at_least=np.inf, bars={}))
    walk(refusing, outcomes, np.arange(shape[1], dtype=np.intp), refuse)
    return kept


def _in_turn(gate: Gate, kept: Mapping[str, _Kept], rows: Outcomes) -> Referee:
    kind = kind_of_gate(gate)
    assert isinstance(kind, All)
    parts = tuple((part, kept[f"gate.all.{i}"]) for i, (part, _) in enumerate(kind.parts))
    return InTurn(parts=parts, models=rows.models)


def _scores(spec: Mapping[str, Any], kept: Mapping[str, _Kept], rows: Outcomes) -> dict[str, Floats]:
    """Return the scores that each bar decides about."""
    found = {}
    for key in _bars(spec):
        place, _, model = key.partition(".at_least")
        score = kept[place].score
        found[key] = score[:, rows.models.index(model[1:])] if model else score.ravel()
    return found


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
