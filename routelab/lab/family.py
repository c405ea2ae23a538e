"""Strategies that differ in one number only, decided for all its values at once: what a sweep asks of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from routelab.core.plan import NOBODY, Plan
from routelab.core.ports import Floats
from routelab.core.values import Prompt, Roster
from routelab.lab.outcomes import Ints
from routelab.strategies import Fixed, Rules


class Family(Protocol):
    """What the strategies of a family do with the same n prompts, each naming one of a few alternatives per prompt."""

    def alternatives(self) -> Sequence[Plan]:
        """Return the alternatives as plans for all prompts; the last one stands for the choice -1."""

    def totals(self, worth: Floats, values: Floats) -> Floats:
        """Return the sums over the prompts of what each one's choice is worth, (..., values); worth is (..., n, alternatives)."""

    def marks(self, values: Floats) -> Ints:
        """Return a number per value, equal for values that decide every prompt alike, (values,)."""

    def plan(self, value: float) -> Plan:
        """Return the plan of one member."""


@runtime_checkable
class Tunable(Protocol):
    """A strategy that belongs to a family: a sweep over the field named `knob` asks for the family instead of plans.

    `replace(strategy, knob=v).plan(prompts, roster)` must rank like `strategy.family(prompts, roster).plan(v)`, and
    what a strategy learns must not depend on the knob; `disagreement` checks the first.
    """

    @property
    def knob(self) -> str: ...

    def family(self, prompts: Sequence[Prompt], roster: Roster) -> Family:
        """Return the family for these prompts."""


def disagreement(
    strategy: Any, values: Sequence[float], prompts: Sequence[Prompt], roster: Roster, member: Callable[[float], Any]
) -> str | None:
    """Return where a tunable strategy's family and its members rank a prompt differently, or None; for tests.

    `member(v)` is the strategy with the knob at v.
    """
    family = strategy.family(prompts, roster)
    for value in values:
        told, planned = family.plan(value), member(value).plan(prompts, roster)
        for i, (one, other) in enumerate(zip(rankings(told.order), rankings(planned.order), strict=True)):
            if one != other:
                return f"{strategy.knob}={value!r}, prompt {prompts[i].id}: the family asks {one}, the plan {other}"
    return None


def rankings(order: Ints) -> list[tuple[int, ...]]:
    """Return the rankings of a plan's order without what follows NOBODY."""
    return [tuple(row[: row.index(NOBODY)]) if NOBODY in row else tuple(row) for row in order.tolist()]


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """Which prompts a strategy cannot tell apart: `labels(prompts)`; strategies of equal `key` have equal labels."""

    key: Hashable
    labels: Callable[[Sequence[Prompt]], list[Hashable]]


def likeness(strategy: Any) -> Likeness | None:
    """Return how a strategy sorts prompts before it looks at its models, or None when each prompt is its own case."""
    if type(strategy) is Fixed:
        return Likeness(key="one", labels=lambda prompts: [None] * len(prompts))
    if type(strategy) is Rules:
        rules: Rules = strategy
        patterns = tuple((task, tuple(row)) for task, row in rules.patterns.items())
        return Likeness(key=(rules.tasks, patterns), labels=lambda prompts: [rules.task(p)[0] for p in prompts])
    return None
