"""Turning what a gate asks of an answer: what it gives every answer is looked up once, and then any bar is quick."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from routelab.config import RouteConfig
from routelab.core.plan import NOBODY, Gate, Plan
from routelab.core.ports import Floats
from routelab.gates import All
from routelab.gates import kind_of as kind_of_gate
from routelab.lab.knobs import Held, Setting, Turn, Walking, levels
from routelab.lab.outcomes import Ints, Outcomes
from routelab.lab.referees import InTurn, referee_of
from routelab.lab.replay import planned
from routelab.lab.walk import Referee, Rulings, Walked, walk
from routelab.strategies import gated
from routelab.strategies.cascade import spoken


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
