"""Families against their members, and which prompts a strategy cannot tell apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from routelab.core.plan import Plan
from routelab.core.values import Model, Prompt, Roster
from routelab.lab.family import Tunable, disagreement, likeness
from routelab.strategies import Fixed, Random, Rules
from routelab.strategies.fitting.thresholds import Thresholds, thresholds


@dataclass(frozen=True, kw_only=True)
class Guessed:
    """A strategy with predictions by the prompt's number; `off` makes its plan differ from its family."""

    quality: tuple[tuple[float, ...], ...]
    at_least: float = 0.5
    off: float = 0.0
    knob = "at_least"

    def family(self, prompts: Sequence[Prompt], roster: Roster) -> Thresholds:
        """Return the family; the models' order is their cost."""
        rows = np.array([self.quality[int(p.id)] for p in prompts])
        return thresholds(rows, np.arange(len(roster), dtype=float))

    def plan(self, prompts: Sequence[Prompt], roster: Roster) -> Plan:
        """Return the member's plan."""
        return self.family(prompts, roster).plan(self.at_least + self.off)


def test_a_family_that_differs_from_its_members_is_found() -> None:
    prompts = tuple(Prompt(id=str(i), messages=()) for i in range(2))
    roster = Roster(models=tuple(Model(name=m, provider="p", upstream=m) for m in ("a", "b")))
    right = Guessed(quality=((0.5, 0.9), (0.2, 0.3)))
    wrong = dataclasses.replace(right, off=0.2)
    assert isinstance(right, Tunable)

    def found(strategy: Guessed) -> str | None:
        return disagreement(
            strategy, (0.0, 0.4, 0.9), prompts, roster, lambda v: dataclasses.replace(strategy, at_least=v)
        )

    assert found(right) is None
    assert found(wrong) == "at_least=0.4, prompt 0: the family asks (0, 1), the plan (1,)"


def test_rules_cannot_tell_prompts_of_one_task_apart_and_a_draw_can() -> None:
    prompts = tuple(Prompt(id=str(i), messages=(), task=task) for i, task in enumerate(["x", "y", "x", None]))
    rules = Rules(table={"x": ("a",)}, patterns={}, tasks="given")
    like, other = likeness(rules), likeness(dataclasses.replace(rules, table={"y": ("b",)}))
    assert like is not None
    assert other is not None
    assert like.labels(prompts) == ["x", "y", "x", None]
    assert like.key == other.key
    assert likeness(Fixed(model="a")).labels(prompts) == [None] * 4  # type: ignore[union-attr]
    assert likeness(Random()) is None
