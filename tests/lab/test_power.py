"""Plans: what a margin needs, what a budget buys, and what a pilot cannot say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.core.errors import DataError
from routelab.lab.power import Aim, margin_reached, pilot_sd, plan, prompts_for_difference, prompts_needed
from routelab.lab.replay import replay
from routelab.lab.statistics import items_for_margin, paired_difference
from routelab.strategies import Fixed


def pairs(n: int, discordant: float, seed: int = 0) -> np.ndarray:
    u = np.random.default_rng(seed).random(n)
    return np.where(u < discordant / 2, 1.0, np.where(u < discordant, -1.0, 0.0))


@pytest.mark.parametrize(
    ("sd", "margin", "published"), [(0.266, 0.02, 1092), (0.411, 0.01, 10_472), (0.213, 0.05, 113), (0.334, 0.03, 766)]
)
def test_the_published_table_is_met_up_to_the_correction_for_t(sd: float, margin: float, published: int) -> None:
    needed = prompts_needed(sd, margin, Aim(alpha=0.05))
    assert needed == pytest.approx(published, rel=0.015, abs=2)
    assert needed == pytest.approx(items_for_margin(sd, margin) + 1.36, abs=1)


@given(st.floats(0.05, 0.9), st.floats(0.005, 0.2), st.integers(1, 20), st.booleans())
def test_the_margin_that_n_prompts_reach_is_the_inverse_of_the_prompts_it_needs(
    sd: float, margin: float, arms: int, rates: bool
) -> None:
    aim = Aim(arms=arms)
    n = prompts_needed(sd, margin, aim, rates=rates)
    assert n is not None
    assert margin_reached(sd, n, aim, rates=rates) <= margin + 1e-9
    assert margin_reached(sd, n - 1, aim, rates=rates) >= margin - 1e-9 or n == 2


@given(st.floats(0.05, 0.9), st.floats(0.005, 0.2))
def test_rights_and_wrongs_never_need_fewer_prompts(sd: float, margin: float) -> None:
    plain, rates = prompts_needed(sd, margin), prompts_needed(sd, margin, rates=True)
    assert plain is not None
    assert rates is not None
    assert rates >= plain


@given(st.floats(0.05, 1), st.floats(0.01, 0.1), st.floats(0.0, 0.2))
def test_a_true_loss_needs_more_and_the_whole_margin_can_never_be_certified(
    sd: float, margin: float, loss: float
) -> None:
    none, some = prompts_needed(sd, margin), prompts_needed(sd, margin, Aim(loss=loss))
    assert none is not None
    assert (some is None) == (loss >= margin)
    assert some is None or some >= none


def test_two_hundred_prompts_certify_five_points_and_no_less() -> None:
    assert margin_reached(0.266, 200, Aim(alpha=0.05)) == pytest.approx(0.047, abs=0.001)
    assert math.isinf(margin_reached(0.266, 1))


def test_a_difference_needs_about_a_thousand_questions_by_millers_example() -> None:
    assert prompts_for_difference(0.03, 1 / 9) == pytest.approx(969, abs=1)
    asked_once = prompts_for_difference(0.03, 1 / 9, (1 / 6, 1 / 6), repeats=1)
    asked_often = prompts_for_difference(0.03, 1 / 9, (1 / 6, 1 / 6), repeats=10)
    assert prompts_for_difference(0.03, 1 / 9) < asked_often < asked_once


def test_a_plan_from_differences_prices_the_tune_split_as_well() -> None:
    found = plan(pairs(400, 0.1), Aim(margins=(0.02, 0.05), confirm=0.4), usd_per_prompt=0.01)
    small, large = found.rows
    assert small.prompts is not None
    assert large.prompts is not None
    assert 5 * large.prompts < small.prompts < 6.25 * large.prompts  # rights and wrongs: less than the square
    assert small.all_prompts == math.ceil(small.prompts / 0.4)
    assert small.usd == pytest.approx(0.01 * small.all_prompts)
    assert small.cautious_prompts is not None
    assert small.watched_prompts is not None
    assert small.prompts < small.cautious_prompts < 1.2 * small.prompts
    assert small.watched_prompts > small.prompts


def test_a_plan_prints_itself_with_what_it_rests_on() -> None:
    text = repr(plan(pairs(400, 0.1), Aim(margins=(0.05,)), usd_per_prompt=0.01))
    assert "prompts to certify “no worse than the margin” with power 80 % at a true loss of 0 points" in text
    assert "5 points" in text
    assert "pilot of 400 prompts, standard deviation of a pair" in text
    unknown = plan(pairs(400, 0.1), Aim(margins=(0.05,), loss=0.05))
    assert (unknown.rows[0].prompts, unknown.rows[0].usd) == (None, None)
    assert "never" in repr(unknown)
    assert "<table" in unknown._repr_mimebundle_()["text/html"]


def test_a_pilot_in_which_nothing_differed_does_not_promise_that_nothing_ever_will() -> None:
    found = plan(np.zeros(60), Aim(margins=(0.02,)))
    assert found.rows[0].prompts is not None
    assert found.rows[0].prompts > 500
    assert plan(np.zeros(600), Aim(margins=(0.02,))).rows[0].prompts < found.rows[0].prompts  # type: ignore[operator]


def test_clusters_of_equal_answers_multiply_what_is_needed() -> None:
    d = pairs(120, 0.2).repeat(5)
    plain = plan(d, Aim(margins=(0.05,))).rows[0].prompts
    whole = plan(d, Aim(margins=(0.05,)), clusters=np.arange(120).repeat(5)).rows[0].prompts
    assert plain is not None
    assert whole is not None
    assert whole == pytest.approx(5 * plain, rel=0.05)


def test_a_pilot_without_an_interval_is_refused_with_the_next_move() -> None:
    with pytest.raises(DataError, match="the pilot has no interval") as caught:
        plan(pairs(12, 0.5), clusters=np.arange(12) % 3)
    assert caught.value.hint is not None
    assert "at least 5 groups" in caught.value.hint


def test_a_comparison_as_pilot_plans_every_arm_that_differs_at_its_own_cost(cube: Any) -> None:
    rng = np.random.default_rng(0)
    dear = (rng.random(500) < 0.8).astype(float)
    cheap = np.where(rng.random(500) < 0.1, 1 - dear, dear)
    outcomes = cube(np.column_stack([cheap, dear]), cost_usd=[[0.001, 0.01]] * 500, models=("cheap", "dear"))
    arms = {"cheap": Fixed(model="cheap"), "same": Fixed(model="dear")}
    found = plan(replay(outcomes, arms, baseline="dear"), Aim(margins=(0.02, 0.05)))
    assert {row.arm for row in found.rows} == {"cheap"}
    first = found.rows[0]
    assert first.prompts is not None
    assert first.usd == pytest.approx(0.011 * first.prompts)
    affordable = found.affordable(first.usd)
    assert affordable == first
    assert found.affordable(first.usd * 0.99) == found.rows[1]
    assert found.affordable(0.0) is None
    with pytest.raises(DataError, match="no arm that differs"):
        plan(replay(outcomes, {"same": Fixed(model="dear")}, baseline="dear"))


def test_an_arm_that_was_hardly_recorded_does_not_stop_the_plan_of_the_others(cube: Any) -> None:
    q = (np.random.default_rng(3).random((200, 3)) < 0.8).astype(float)
    q[:150, 0] = np.nan
    arms = {"hardly": Fixed(model="a"), "whole": Fixed(model="b")}
    found = plan(replay(cube(q, cost_usd=1.0), arms, baseline="c", confirm=0), Aim(margins=(0.05,)))
    assert [row.arm for row in found.rows] == ["whole"]
    assert "hardly: not planned, the pilot has no interval (recorded for 50 of 200 prompts only)" in repr(found)


def test_unknown_costs_stay_unknown(cube: Any) -> None:
    outcomes = cube((np.random.default_rng(1).random((200, 2)) < 0.8).astype(float))
    found = plan(replay(outcomes, {"a": Fixed(model="a")}, baseline="b"), Aim(margins=(0.05,)))
    assert found.rows[0].usd is None
    assert found.affordable(1e9) is None
    assert "?" in repr(found)


@pytest.mark.parametrize(
    "wrong",
    [
        {"margins": ()},
        {"margins": (0.0,)},
        {"alpha": 0.5},
        {"power": 1.0},
        {"confirm": 0.0},
        {"arms": 0},
    ],
)
def test_an_aim_that_means_nothing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Aim(**wrong)


def test_the_deviation_of_a_pair_is_read_off_the_interval() -> None:
    d = np.random.default_rng(2).normal(size=300) / 10
    assert pilot_sd(paired_difference(d, np.zeros(300))) == pytest.approx(d.std(ddof=1))
