"""What can be turned at an arm: numbers with positions for a slider, and what a version of the arm does at any of them.

The ways to turn strategies are in `ways`, one a kind. What takes long (predictions, a gate's look at every answer, draws) is
held once for some rows; a setting then costs array operations only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from routelab.config import RouteConfig
from routelab.core.plan import Plan
from routelab.core.ports import Floats
from routelab.core.values import Prompt, Roster
from routelab.lab.outcomes import Outcomes
from routelab.lab.replay import planned, walked
from routelab.lab.walk import Walked

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
