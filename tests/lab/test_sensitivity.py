"""Prices, traffic and models that change: what the verdict rests on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from routelab.core.errors import DataError
from routelab.core.plan import Gate, Plan
from routelab.core.values import Price
from routelab.lab.compare import Comparison
from routelab.lab.outcomes import Outcomes
from routelab.lab.replay import replay
from routelab.lab.search import search
from routelab.lab.sensitivity import (
    at_prices,
    break_even,
    leave_one_out,
    mix_table,
    price_table,
    reweighted,
    spend_by_model,
    task_ranges,
    without_table,
)
from routelab.lab.sources import PLAIN
from routelab.lab.statistics import paired_difference
from routelab.strategies import Fixed, Rules, Split


@dataclasses.dataclass(frozen=True)
class Gated:
    """Asks the models in their order, with a judge between them."""

    def plan(self, prompts: Any, roster: Any) -> Plan:
        order = np.tile(np.arange(len(roster), dtype=np.intp), (len(prompts), 1))
        plan = Fixed(model=roster.names[0]).plan(prompts, roster)
        return dataclasses.replace(plan, order=order, gate=Gate(scorer="judge", at_least=0.5))


def two_tasks(cube: Any, n: int = 800, *, gap: float = 0.3, **given: Any) -> Outcomes:
    """Return a cheap model that is as good on "easy" and worse on "hard", one prompt in ten."""
    rng = np.random.default_rng(0)
    tasks = ["hard" if i % 10 == 0 else "easy" for i in range(n)]
    dear = rng.random(n) < 0.9
    cheap = dear & ~((np.array(tasks) == "hard") & (rng.random(n) < gap))
    made: Outcomes = cube(
        np.column_stack([cheap, dear]),
        **{"tasks": tasks, "cost_usd": [[1, 4]] * n, "models": ("cheap", "dear"), **given},
    )
    return made


def compared(outcomes: Outcomes, arm: Any, **given: Any) -> Comparison:
    return replay(outcomes, {"it": arm}, **{"confirm": 0, "baseline": "dear", "margin": 0.05, **given})


def test_what_each_model_is_paid_adds_up_to_the_arms_cost_with_refused_attempts(cube: Any) -> None:
    rng = np.random.default_rng(1)
    judge = rng.random((60, 3))
    failed = rng.random((60, 3)) < 0.2
    outcomes = cube(np.ones((60, 3)), failed=failed, cost_usd=[[1, 2, 4]] * 60, gates={"judge": judge})
    arm = replay(outcomes, {"it": Gated()}, confirm=0)["it"]
    spent = spend_by_model(arm, outcomes)
    assert spent.sum(axis=1) == pytest.approx(arm.walked.cost_usd)
    assert set(spent[:, 0]) == {1.0}
    assert set(spent[:, 2]) == {0.0, 4.0}


def test_the_price_at_which_a_mix_costs_as_much_as_the_dear_model_is_known_by_hand(cube: Any) -> None:
    outcomes = dataclasses.replace(
        two_tasks(cube), prices={"cheap": Price(usd_per_mtok_in=0.1, usd_per_mtok_out=0.4, usd_per_mtok_cached_in=0.02)}
    )
    found = compared(outcomes, Rules(table={"hard": ("dear",)}, default=("cheap",), patterns={}, tasks="given"))
    both = {b.model: b for b in break_even(found, "it")}
    # nine in ten are cheap: equal to the dear model where the cheap one costs as much, whichever of the two moves
    assert both["cheap"].factor == pytest.approx(4.0)
    assert both["dear"].factor == pytest.approx(0.25)
    assert both["cheap"].arm_share == pytest.approx(0.9 / 1.3)
    assert both["cheap"].sure_factor == pytest.approx(4.0)
    assert both["cheap"].price == Price(
        usd_per_mtok_in=pytest.approx(0.4),
        usd_per_mtok_out=pytest.approx(1.6),
        usd_per_mtok_cached_in=pytest.approx(0.08),
    )
    assert both["dear"].price is None
    equal = at_prices(found, "it", {"cheap": 4.0})
    assert equal is not None
    assert equal.value == pytest.approx(1.0)
    text = price_table(tuple(both.values())).text()
    assert "× 4" in text
    assert "0.4 · 1.6" in text


def test_with_costs_that_vary_the_sure_price_lies_before_the_break_even_price(cube: Any) -> None:
    rng = np.random.default_rng(2)
    costs = rng.lognormal(size=(800, 2)) * [1, 4]
    found = compared(two_tasks(cube, cost_usd=costs), Fixed(model="cheap"))
    cheap = next(b for b in break_even(found, "it") if b.model == "cheap")
    assert cheap.factor is not None
    assert cheap.sure_factor is not None
    assert 1 < cheap.sure_factor < cheap.factor
    edge = at_prices(found, "it", {"cheap": cheap.sure_factor})
    assert edge is not None
    assert edge.high == pytest.approx(1.0, abs=1e-6)


def test_a_model_that_both_pay_alike_can_change_nothing_and_one_that_nobody_asks_is_not_listed(cube: Any) -> None:
    outcomes = cube(np.ones((50, 3)), cost_usd=[[1, 4, 9]] * 50)
    arms = {"half": Split(weights={"a": 1, "b": 1}), "base": Split(weights={"a": 1, "b": 1})}
    found = replay(outcomes, arms, confirm=0, baseline="base")
    both = break_even(found, "half")
    assert [(b.model, b.factor, b.sure_factor) for b in both] == [("b", None, None), ("a", None, None)] or [
        (b.model, b.factor, b.sure_factor) for b in both
    ] == [("a", None, None), ("b", None, None)]
    assert "never" in price_table(both).text()


def test_unknown_costs_and_live_comparisons_have_no_break_even(cube: Any) -> None:
    found = compared(two_tasks(cube, cost_usd=np.nan), Fixed(model="cheap"))
    with pytest.raises(DataError, match="not every cost"):
        break_even(found, "it")
    with pytest.raises(DataError, match="live comparison"):
        break_even(dataclasses.replace(found, outcomes=None), "it")


def test_todays_mix_gives_todays_verdict_and_interval(cube: Any) -> None:
    found = compared(two_tasks(cube), Fixed(model="cheap"))
    mix = reweighted(found, "it", {"easy": 9, "hard": 1})
    today = found["it"].figures
    assert today.against is not None
    assert today.cost_ratio is not None
    assert mix.against.difference.interval == pytest.approx(today.against.difference.interval)
    assert mix.cost_ratio is not None
    assert mix.cost_ratio.interval == pytest.approx(today.cost_ratio.interval)
    assert mix.survives
    assert mix.shares == (("easy", 0.9), ("hard", 0.1))


def test_a_mix_of_hard_prompts_only_is_the_difference_on_the_hard_ones(cube: Any) -> None:
    outcomes = two_tasks(cube)
    hard = np.array([p.task == "hard" for p in outcomes.prompts])
    mix = reweighted(compared(outcomes, Fixed(model="cheap")), "it", {"hard": 1.0})
    alone = paired_difference(outcomes.quality[hard, 0], outcomes.quality[hard, 1])
    assert mix.against.difference.value == pytest.approx(alone.value)
    assert mix.against.difference.interval == pytest.approx(alone.interval)
    assert (mix.against.verdict, mix.survives) == ("worse", False)


def test_grouped_prompts_stay_grouped_under_another_mix(cube: Any) -> None:
    outcomes = two_tasks(cube, groups=[f"g{i // 20}" for i in range(800)])
    mix = reweighted(compared(outcomes, Fixed(model="cheap")), "it", {"easy": 1, "hard": 1})
    assert mix.against.difference.clusters == 40
    same = reweighted(
        compared(two_tasks(cube, groups=[f"g{i // 20}" for i in range(800)], gap=0.0), Fixed(model="cheap")),
        "it",
        {"hard": 1},
    )
    assert same.against.difference.low is not None
    assert same.against.difference.low < 0


def test_weighted_intervals_cover_the_mix_that_was_asked_for(cube: Any) -> None:
    held, rounds = 0, 300
    for seed in range(rounds):
        rng = np.random.default_rng(seed)
        task = rng.random(400) < 0.2
        loss = np.where(task, 0.2, 0.05)
        dear = np.ones(400)
        cheap = (rng.random(400) > loss).astype(float)
        found = compared(
            cube(np.column_stack([cheap, dear]), tasks=["x" if t else "y" for t in task], models=("cheap", "dear")),
            Fixed(model="cheap"),
        )
        interval = reweighted(found, "it", {"x": 0.5, "y": 0.5}).against.difference.interval
        assert interval is not None
        held += interval[0] <= -0.125 <= interval[1]
    assert 0.92 <= held / rounds <= 0.985


def test_the_verdict_turns_where_the_share_of_hard_prompts_leaves_its_range(cube: Any) -> None:
    found = compared(two_tasks(cube), Fixed(model="cheap"))
    ranges = {r.task: r for r in task_ranges(found, "it")}
    hard = ranges["hard"]
    assert (hard.verdict, hard.share, hard.low) == ("non-inferior", pytest.approx(0.1), 0.0)
    assert 0.1 < hard.high < 0.5
    assert ranges["easy"].low == pytest.approx(1 - hard.high, abs=0.011)
    assert reweighted(found, "it", {"hard": hard.high, "easy": 1 - hard.high}).survives
    assert not reweighted(found, "it", {"hard": hard.high + 0.011, "easy": 1 - hard.high - 0.011}).survives
    assert "hard" in mix_table(tuple(ranges.values())).text()


def test_tasks_that_are_not_there_are_named(cube: Any) -> None:
    found = compared(two_tasks(cube), Fixed(model="cheap"))
    with pytest.raises(DataError, match="no prompts of task 'poems'"):
        reweighted(found, "it", {"poems": 1})
    with pytest.raises(DataError, match="shares"):
        reweighted(found, "it", {"easy": 0})
    with pytest.raises(DataError, match="no prompt has a task"):
        reweighted(compared(two_tasks(cube, tasks=[None] * 800), Fixed(model="cheap")), "it", {"x": 1})
    with pytest.raises(DataError, match="one task"):
        task_ranges(compared(two_tasks(cube, tasks=["x"] * 800), Fixed(model="cheap")), "it")
    some = compared(two_tasks(cube, tasks=["x", None] * 400), Fixed(model="cheap"))
    assert [task for task, _ in reweighted(some, "it", {"x": 1}).shares] == ["(no task)", "x"]


def test_without_the_model_that_saves_nothing_is_adopted_and_without_another_the_finding_stays(cube: Any) -> None:
    rng = np.random.default_rng(3)
    tasks = ["hard" if i % 4 == 0 else "easy" for i in range(2000)]
    dear = rng.random(2000) < 0.9
    cheap = dear & (np.array(tasks) == "easy")
    poor = rng.random(2000) < 0.2
    outcomes = cube(
        np.column_stack([cheap, dear, poor]),
        tasks=tasks,
        cost_usd=[[1, 10, 9]] * 2000,
        models=("cheap", "dear", "poor"),
    )
    found = {o.model: o for o in leave_one_out(outcomes, partial(search, sources=PLAIN))}
    assert {m: o.survives for m, o in found.items()} == {"cheap": False, "dear": False, "poor": True}
    assert found["poor"].winner is not None
    assert found["poor"].baseline == "dear"
    assert found["cheap"].why.startswith(("keep the baseline", "do not route"))
    assert "yes" in without_table(tuple(found.values())).text()


def test_an_arm_that_names_the_model_left_out_cannot_be_replayed_and_says_so(cube: Any) -> None:
    outcomes = two_tasks(cube, 2000, gap=0.0)
    found = leave_one_out(outcomes, lambda o: replay(o, {"it": Fixed(model="cheap")}, baseline="dear"), ["cheap"])
    assert [(o.comparison, o.survives) for o in found] == [(None, False)]
    assert found[0].why == "arm 'it': model 'cheap' has no recorded outcomes"
    alone = leave_one_out(outcomes.only(["cheap"]), lambda o: replay(o, {"it": Fixed(model="cheap")}))
    assert [o.why for o in alone] == ["no model is left"]
    with pytest.raises(DataError, match="'poor' has no recorded outcomes"):
        leave_one_out(outcomes, search, ["poor"])


def test_on_the_recorded_tasks_the_verdict_survives_what_the_block_says(recorded: Callable[..., Outcomes]) -> None:
    found = search(recorded("llmrouter", priced=True), sources=PLAIN)
    winner = found.winner()
    assert winner is not None
    prices = break_even(found, winner.name)
    assert sum(b.arm_share for b in prices) == pytest.approx(1.0)
    today = at_prices(found, winner.name, {})
    assert today is not None
    assert winner.figures.cost_ratio is not None
    assert today.interval == pytest.approx(winner.figures.cost_ratio.interval)
    for b in prices:
        if b.factor is not None:
            moved = at_prices(found, winner.name, {b.model: b.factor})
            assert moved is not None
            assert moved.value == pytest.approx(1.0)
    assert all(r.low <= r.share <= r.high for r in task_ranges(found, winner.name, step=0.1))
