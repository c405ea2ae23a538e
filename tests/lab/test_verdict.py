"""Who wins: the cheapest nominated that may be adopted, else the cheapest of the good ones, by figures nobody learned from."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from routelab.core.errors import DataError
from routelab.core.plan import Plan, plan_of
from routelab.core.values import Prompt, Roster
from routelab.lab.compare import Arm, Comparison
from routelab.lab.outcomes import Outcomes
from routelab.lab.replay import halve, held_out, replay
from routelab.lab.verdict import standing
from routelab.strategies import Arbitrage, Fixed


def three_tiers(cube: Any, n: int = 1500) -> Outcomes:
    """Return a cheap and a middle model that lose next to nothing to the dear one."""
    dear = (np.random.default_rng(1).random(n) < 0.8).astype(float)
    made: Outcomes = cube(
        np.column_stack([dear * (np.arange(n) % 100 > 0), dear, dear]),
        cost_usd=[[1, 5, 10]] * n,
        models=("cheap", "middle", "dear"),
    )
    return made


def replayed(cube: Any) -> Comparison:
    """Return both of the smaller models against the dear one: both may be adopted."""
    return replay(three_tiers(cube), {m: Fixed(model=m) for m in ("middle", "cheap")}, baseline="dear")


def nominating(comparison: Comparison, *names: str) -> Comparison:
    """Return the comparison as if tune had nominated these, in this order."""
    return dataclasses.replace(comparison, terms=dataclasses.replace(comparison.terms, nominated=names))


def name_of(comparison: Comparison) -> str | None:
    """Return the winner's name."""
    winner = comparison.winner()
    return None if winner is None else winner.name


@dataclass(frozen=True, kw_only=True)
class Crammer:
    """Remembers the best model of every prompt it learned from; of any other prompt it knows nothing and asks the last model."""

    known: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def fit(self, outcomes: Outcomes) -> Crammer:
        best = outcomes.quality.argmax(axis=1)
        return Crammer(known=tuple((p.id, outcomes.models[k]) for p, k in zip(outcomes.prompts, best, strict=True)))

    def plan(self, prompts: Sequence[Prompt], roster: Roster) -> Plan:
        found = dict(self.known)
        names = [found.get(p.id, roster.names[-1]) for p in prompts]
        return plan_of([[roster.names.index(name)] for name in names], names)


def on_tune(comparison: Comparison, name: str, quality: float, cost_usd: float) -> Comparison:
    """Return the comparison as if every tune prompt had brought the arm this quality and cost."""

    def again(arm: Arm) -> Arm:
        if arm.name != name or arm.tune is None:
            return arm
        n = len(arm.tune.quality)
        return dataclasses.replace(
            arm, tune=dataclasses.replace(arm.tune, quality=np.full(n, quality), cost_usd=np.full(n, cost_usd))
        )

    return dataclasses.replace(comparison, arms=tuple(again(arm) for arm in comparison.arms))


def test_of_several_nominated_that_may_be_adopted_the_cheapest_on_tune_wins_in_whatever_order_they_came(
    cube: Any,
) -> None:
    found = replayed(cube)
    assert name_of(nominating(found, "middle", "cheap")) == "cheap"
    assert name_of(nominating(found, "cheap", "middle")) == "cheap"
    assert name_of(nominating(found, "middle")) == "middle"


def test_among_the_nominated_a_loss_on_tune_beyond_the_margin_of_the_best_is_no_hindrance(cube: Any) -> None:
    found = on_tune(nominating(replayed(cube), "middle", "cheap"), "cheap", quality=0.5, cost_usd=1.0)
    assert name_of(found) == "cheap"
    assert name_of(dataclasses.replace(found, terms=dataclasses.replace(found.terms, nominated=None))) == "middle"


def test_which_of_the_nominated_is_cheaper_on_confirm_has_no_say(cube: Any) -> None:
    found = on_tune(nominating(replayed(cube), "cheap", "middle"), "cheap", quality=0.8, cost_usd=6.0)
    assert [found[name].figures.cost_usd for name in ("cheap", "middle")] == [1.0, 5.0]
    assert name_of(found) == "middle"


def test_of_equally_cheap_nominated_the_better_on_tune_wins_and_of_equals_the_first_nominated(cube: Any) -> None:
    alike = on_tune(replayed(cube), "cheap", quality=0.8, cost_usd=5.0)
    for quality, winners in ((0.9, ("middle", "middle")), (0.7, ("cheap", "cheap")), (0.8, ("middle", "cheap"))):
        found = on_tune(alike, "middle", quality=quality, cost_usd=5.0)
        orders = (("middle", "cheap"), ("cheap", "middle"))
        assert tuple(name_of(nominating(found, *order)) for order in orders) == winners


def test_where_tune_cannot_speak_for_every_nominated_one_the_first_nominated_wins(cube: Any) -> None:
    found = replayed(cube)
    found = dataclasses.replace(
        found, arms=tuple(dataclasses.replace(arm, in_sample=arm.name == "cheap") for arm in found.arms)
    )
    assert name_of(nominating(found, "middle", "cheap")) == "middle"
    assert name_of(nominating(found, "cheap", "middle")) == "cheap"


def test_who_may_not_be_adopted_is_passed_over_however_early_it_was_nominated(cube: Any) -> None:
    outcomes = three_tiers(cube)
    outcomes = dataclasses.replace(
        outcomes, quality=np.column_stack([outcomes.quality[:, 0] * 0.5, outcomes.quality[:, 1:]])
    )
    found = replay(outcomes, {m: Fixed(model=m) for m in ("cheap", "middle")}, baseline="dear")
    assert name_of(nominating(found, "cheap", "middle")) == "middle"
    assert name_of(nominating(found, "cheap")) is None
    assert nominating(found).why.startswith("keep the baseline dear: no other arm was good enough")


def test_without_a_nomination_the_cheapest_within_the_margin_of_the_best_wins(cube: Any) -> None:
    assert name_of(replayed(cube)) == "cheap"


def test_figures_of_tune_choose_only_where_every_arm_has_them(cube: Any) -> None:
    middle, cheap = (
        dataclasses.replace(arm, figures=dataclasses.replace(arm.figures, cost_usd=3.0)) for arm in replayed(cube).arms
    )
    held = standing([middle, cheap])
    assert held == {a.name: (a.tune_quality, a.tune_cost_usd) for a in (middle, cheap)}
    assert [cost for _, cost in held.values()] == [5.0, 1.0]
    learned = dataclasses.replace(cheap, in_sample=True)
    assert (learned.tune_quality, learned.tune_cost_usd, learned.optimism) == (None, None, None)
    assert standing([middle, learned]) == {a.name: (a.figures.quality.value, 3.0) for a in (middle, cheap)}  # type: ignore[union-attr]
    unpriced = dataclasses.replace(learned, figures=dataclasses.replace(cheap.figures, cost_usd=None, quality=None))
    assert standing([unpriced]) == {"cheap": (0.0, np.inf)}


def test_what_was_learned_by_heart_has_the_tune_figures_of_one_who_never_saw_the_prompt(cube: Any) -> None:
    outcomes = cube(
        np.random.default_rng(5).random((800, 2)) < [0.5, 0.6], cost_usd=[[1, 10]] * 800, models=("cheap", "dear")
    )
    found = replay(outcomes, {"crammer": Crammer(), "dear": Fixed(model="dear")})
    arm, tune = found["crammer"], halve(outcomes, 0.4, 0).tune
    # By heart it would reach the best of both on every prompt; of a prompt that it has not seen it knows nothing.
    assert tune.quality.max(axis=1).mean() == pytest.approx(0.8, abs=0.05)
    assert (arm.tune_quality, arm.tune_cost_usd) == (found["dear"].tune_quality, 10.0)
    assert arm.optimism == found["dear"].optimism
    assert not arm.in_sample
    assert len(arm.config.known) == len(tune)


def test_what_was_fitted_before_has_no_figures_on_tune(cube: Any) -> None:
    tasks = ["x", "y"] * 200
    right = np.array([[1.0, 0.0], [0.0, 1.0]] * 200)
    outcomes = cube(right, tasks=tasks, cost_usd=[[1, 1]] * 400, models=("one", "two"))
    new = Arbitrage(predictor={"kind": "lookup", "tasks": "given"}, min_quality=0.5)
    found = replay(outcomes, {"fresh": new, "exported": new.fit(outcomes)})
    assert found["fresh"].tune_quality == 1.0
    exported = found["exported"]
    assert (exported.in_sample, exported.tune_quality, exported.optimism) == (True, None, None)
    assert exported.tune is not None
    assert found.frame.set_index("arm")["tune_quality"].isna().to_dict() == {"fresh": False, "exported": True}


def test_where_the_tune_split_is_one_cluster_there_is_nobody_who_never_saw_it(cube: Any) -> None:
    outcomes = cube(np.ones((60, 2)), cost_usd=[[1, 2]] * 60, groups=["left"] * 30 + ["right"] * 30)
    seed = next(s for s in range(100) if len(set(held_out(outcomes.prompts, 0.5, s).tolist())) == 2)
    arm = replay(outcomes, {"crammer": Crammer()}, confirm=0.5, seed=seed)["crammer"]
    assert (arm.in_sample, arm.tune_quality) == (True, None)


def test_where_a_fold_leaves_too_little_to_learn_from_there_are_no_figures_on_tune(cube: Any) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Greedy(Crammer):
        """Learns from the whole of tune only."""

        def fit(self, outcomes: Outcomes) -> Crammer:
            if len(outcomes) < whole:
                raise DataError("greedy: too few prompts to learn from")
            return super().fit(outcomes)

    outcomes = cube(np.ones((200, 2)), cost_usd=[[1, 2]] * 200)
    whole = len(halve(outcomes, 0.4, 0).tune)
    arm = replay(outcomes, {"greedy": Greedy()})["greedy"]
    assert (arm.in_sample, arm.tune_quality, len(arm.config.known)) == (True, None, whole)
