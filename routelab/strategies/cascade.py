"""Ask the cheapest model first; a gate decides whether its answer is good enough or the next one is asked.

The cascade of Chen, Zaharia and Zou, "FrugalGPT" (2023): an order of models, a scorer of answers, and a bar a model, of
which fit chooses what costs least on the tune split at a quality that is wanted.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from routelab.core.errors import ConfigError
from routelab.core.plan import Gate, Plan
from routelab.core.ports import Outcomes
from routelab.core.values import Prompt, Roster, Tokens
from routelab.strategies import gated
from routelab.strategies.agreement import FIRST, LAST
from routelab.strategies.fitting.learned import Learned

USUAL = Tokens(input=500, output=250)
"""What a call is priced at to put models in order of cost when nothing was recorded."""


@dataclass(frozen=True, kw_only=True)
class Cascade:
    """Ask models in `order` until the `gate` accepts an answer; the last one's answer counts without a judge.

    `order` lists models, or is "cost": the config's models, the cheapest first by list price, by what they cost on
    tune once fitted. `gate` says who judges and what an answer needs: ``{scorer: json, schema: ...}``, ``{scorer: judge,
    model: gemini-flash, at_least: 0.8}``, ``{scorer: agreement, k: 2}``, ``{scorer: learned}``, ``{recorded: NAME}`` or
    ``{all: [...]}``; `at_least` is a number, a mapping from models to numbers, or `fit`: the bars that cost least on
    tune at a quality of at least the best single model's minus `tolerance`. `most` is how many models fit keeps at
    most, chosen along with the bars; None keeps them all. `learned` is what fit learned for a learned gate.
    """

    gate: Mapping[str, Any]
    order: str | tuple[str, ...] = "cost"
    tolerance: float = 0.0
    most: int | None = None
    learned: Learned | None = None

    instant = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "gate", _frozen(self.gate))
        gated.check(self.gate)
        if isinstance(self.order, str):
            if self.order != "cost":
                raise ValueError(f"order: must be `cost` or a list of models (got {self.order!r})")
        else:
            twice = next((m for i, m in enumerate(self.order) if m in self.order[:i]), None)
            if twice is not None:
                raise ValueError(f"order: '{twice}' is named twice")
            if len(self.order) < 2:
                raise ValueError("order: name at least two models")
            whose = self.gate.get("answer", LAST) if self.gate.get("scorer") == "agreement" else LAST
            if whose not in (FIRST, LAST, *self.order):
                raise ValueError(f"gate.answer: must be {FIRST}, {LAST} or a model in `order`, not {whose!r}")
        if not 0 <= self.tolerance < 1:
            raise ValueError(f"tolerance: must be at least 0 and less than 1, not {self.tolerance}")
        if self.most is not None and self.most < 2:
            raise ValueError(f"most: must be at least 2, not {self.most}")

    @property
    def models(self) -> tuple[str, ...]:
        """The models this strategy names: those of its order; none when it takes the config's."""
        return () if isinstance(self.order, str) else self.order

    @property
    def bar(self) -> object:
        """What the gate's mapping says an answer needs; a learned gate without a bar fits it."""
        learns = self.gate.get("scorer") == "learned"
        return self.gate.get("at_least", gated.FIT if learns else 1.0)

    @property
    def unfitted(self) -> bool:
        """Whether something is still to be learned before it can plan."""
        return self.bar == gated.FIT or (self.gate.get("scorer") == "learned" and self.learned is None)

    @property
    def learns(self) -> bool:
        """Whether fit would change anything."""
        return self.unfitted or isinstance(self.order, str)

    @property
    def accepts(self) -> Gate:
        """The gate; ConfigError while it is not fitted."""
        if self.unfitted:
            raise ConfigError(
                "cascade: not fitted yet",
                hint="lab.replay fits it on tune, or cascade.fit(outcomes); or give gate.at_least",
            )
        gate = gated.gate_of(self.gate)
        if self.learned is None or gate.scorer != "learned":
            return gate
        return dataclasses.replace(gate, spec={**gate.spec, "learned": self.learned, "digest": self.learned.digest})

    def plan(self, prompts: Sequence[Prompt], roster: Roster) -> Plan:
        """Rank the models in order for every prompt."""
        names = by_price(roster) if isinstance(self.order, str) else self.order
        ranking = np.array([roster.names.index(m) for m in names], dtype=np.intp)
        n, gate = len(prompts), self.accepts
        return Plan(
            order=np.tile(ranking, (n, 1)),
            propensity=np.ones(n),
            reason=np.zeros(n, dtype=np.intp),
            reasons=(told(names, gate),),
            gate=gate,
        )

    def fit(self, outcomes: Outcomes) -> Cascade:
        """Return the cascade with its order by recorded cost, and with models, bars and learned gate where these are to be learned.

        Raises ConfigError when the gate's scores, the texts or the costs that fitting needs were not recorded.
        """
        from routelab.strategies.fitting import tuning

        named = outcomes.models if isinstance(self.order, str) else self.order
        missing = [m for m in named if m not in outcomes.models]
        if missing:
            raise ConfigError(f"cascade: '{missing[0]}' has no recorded outcomes")
        order = tuning.by_cost(outcomes, named) if isinstance(self.order, str) else self.order
        if not self.unfitted:
            return self if len(order) < 2 else dataclasses.replace(self, order=order)
        if self.bar != gated.FIT:
            return dataclasses.replace(self, order=order, learned=tuning.taught(self, outcomes, order))
        found = tuning.tuned(self, outcomes, order)
        bars = dict(zip(found.models[:-1], found.bars, strict=True))
        return dataclasses.replace(
            self, order=found.models, gate={**self.gate, "at_least": bars}, most=None, learned=found.learned
        )


def by_price(roster: Roster) -> tuple[str, ...]:
    """Return the names of a roster, the cheapest first by list price for a usual call; a model without a price comes last."""
    prices = [m.price.cost_usd(USUAL) if m.price is not None else None for m in roster.models]
    order = sorted(range(len(roster)), key=lambda k: (math.inf if (p := prices[k]) is None else p, k))
    return tuple(roster.names[k] for k in order)


def told(names: Sequence[str], gate: Gate) -> str:
    """Return the cascade in words: who is asked first, and who next if the gate gives too little.

    >>> told(["small", "large"], Gate(scorer="judge", at_least=0.8))
    'small; if judge gives less than 0.8, large'
    """
    bars = [gate.bar(name) for name in names[:-1]]
    if not bars:
        return names[0]
    if len(set(bars)) == 1:
        return f"{names[0]}; if {spoken(gate)} gives less than {bars[0]:g}, {', then '.join(names[1:])}"
    steps = [f"if {spoken(gate)} gives it less than {bar:g}, {name}" for bar, name in zip(bars, names[1:], strict=True)]
    return "; ".join([names[0], *steps])


def _frozen(value: Any) -> Any:
    # As YAML's door makes them, so that a gate written in Python is equal to the one that comes back from a file.
    if isinstance(value, Mapping):
        return {k: _frozen(v) for k, v in value.items()}
    return tuple(_frozen(v) for v in value) if isinstance(value, (list, tuple)) else value


def spoken(gate: Gate) -> str:
    """Return the gate in a word or two: its kind and, where it asks a model or has a name, which."""
    if gate.scorer == "all":
        parts = [gated.gate_of(part) for part in gate.spec.get("all", ())]
        return " and ".join(spoken(part) for part in parts)
    model = gate.spec.get("model")
    name = gate.spec.get("recorded")
    if isinstance(name, str):
        return name
    return f"{gate.scorer} ({model})" if isinstance(model, str) else str(gate.scorer)
