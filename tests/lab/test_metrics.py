"""Router metrics on cases that can be checked by hand, and their laws."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.core.errors import DataError
from routelab.lab.controls import mean_costs, mean_qualities, oracle, single, zero_router
from routelab.lab.metrics import (
    Aiq,
    Crossing,
    VersusSingle,
    above_mixing,
    aiq,
    apgr,
    arena,
    arena_score,
    cpt,
    curve,
    dominance,
    ibc_lift,
    optimal_selection,
    pareto_distance,
    pgr,
    pgr_bootstrap,
    standings,
    standings_table,
    versus_single,
)
from routelab.lab.outcomes import Outcomes
from routelab.lab.replay import replay
from routelab.strategies import Fixed, Split

POINTS = st.lists(st.tuples(st.floats(0.01, 10), st.floats(0, 1)), min_size=1, max_size=8)
UNITS = st.floats(0, 1)


def tiers(seed: int, n: int = 600) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    strong = (rng.random(n) < 0.85).astype(float)
    return np.minimum(strong, rng.random(n) < 0.7).astype(float), strong


def test_the_weak_model_recovers_nothing_and_the_strong_one_everything() -> None:
    weak, strong = tiers(0)
    assert (pgr(weak, weak, strong).value, pgr(strong, weak, strong).value) == (0.0, 1.0)
    assert pgr(weak, weak, strong).low == pytest.approx(0, abs=1e-12)
    assert pgr(strong, weak, strong).high == pytest.approx(1, abs=1e-12)


def test_a_share_of_a_gap_that_is_not_there_is_undefined() -> None:
    rng = np.random.default_rng(1)
    equal = pgr(*(rng.random((3, 100))))
    assert (equal.value, equal.low, equal.note) == (None, None, "the interval of the gap between the models holds 0")
    weak, strong = tiers(1)
    assert pgr(weak, strong, weak).note == "the strong model is worse than the weak one"
    assert str(pgr(weak, strong, weak)).startswith("undefined: ")
    few = pgr(weak[:8], weak[:8], strong[:8], np.arange(8) % 3)
    assert few.value is None
    assert "3 clusters" in few.note
    assert pgr_bootstrap(*(rng.random((3, 100))), seed=0).value is None


def test_fieller_and_the_bootstrap_agree_where_the_gap_is_wide() -> None:
    weak, strong = tiers(2, 2000)
    router = np.where(np.random.default_rng(3).random(2000) < 0.6, strong, weak)
    groups = np.arange(2000) // 4
    for clusters in (None, groups):
        exact, drawn = pgr(router, weak, strong, clusters), pgr_bootstrap(router, weak, strong, clusters, seed=0)
        assert exact.value == pytest.approx(drawn.value)
        assert (exact.low, exact.high) == pytest.approx((drawn.low, drawn.high), abs=0.02)


def test_clusters_widen_the_interval_of_a_share() -> None:
    weak, strong = (v.repeat(5) for v in tiers(4, 300))
    router = np.where((np.arange(300) % 2 == 0).repeat(5), strong, weak)
    plain, whole = pgr(router, weak, strong), pgr(router, weak, strong, np.arange(300).repeat(5))
    assert plain.value == whole.value
    assert None not in (plain.low, plain.high, whole.low, whole.high)
    assert whole.high - whole.low > 1.8 * (plain.high - plain.low)  # type: ignore[operator]


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.9]), UNITS, UNITS), min_size=2, max_size=30))
def test_the_area_by_ranks_is_the_area_under_the_curve(rows: list[tuple[float, float, float]]) -> None:
    need, weak, strong = (np.array(x) for x in zip(*rows, strict=True))
    strong = weak + 0.1 + strong  # a gap that is there
    found = curve(need, np.column_stack([weak, strong]))
    assert found.recovered is not None
    area = float(np.trapezoid(found.recovered, found.strong_share))
    value = apgr(need, weak, strong).value
    assert value is None or value == pytest.approx(area, abs=1e-9)


def test_knowing_the_need_is_better_than_chance_and_the_contrary_worse() -> None:
    weak, strong = tiers(5)
    knowing, contrary = apgr(strong - weak, weak, strong), apgr(weak - strong, weak, strong)
    assert knowing.value is not None
    assert contrary.value is not None
    assert contrary.value < 0.2
    assert knowing.value > 0.8
    assert apgr(np.zeros(600), weak, strong).value == pytest.approx(0.5)


def test_a_curve_runs_from_the_weak_to_the_strong_model_and_sends_ties_together() -> None:
    quality = np.array([[0.0, 1.0], [1.0, 1.0], [0.0, 0.0], [1.0, 0.0]])
    found = curve(np.array([0.9, 0.5, 0.5, 0.1]), quality, np.array([[1.0, 3.0]] * 4))
    assert found.strong_share.tolist() == [0.0, 0.25, 0.75, 1.0]
    assert found.quality.tolist() == [0.5, 0.75, 0.75, 0.5]
    assert found.cost_usd is not None
    assert found.cost_usd.tolist() == [1.0, 1.5, 2.5, 3.0]
    assert found.recovered is None
    assert curve(np.arange(4.0), quality, cuts=2).strong_share.tolist() == [0.0, 0.5, 1.0]


def test_the_threshold_is_the_first_crossing_also_where_the_curve_falls_again() -> None:
    # Quality by share: 0, .75, .25, 1: PGR = .5 is first reached on the way up to .75.
    quality = np.array([[0.0, 1.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
    need = np.array([5.0, 5.0, 5.0, 4.0, 4.0, 3.0, 3.0, 3.0])
    found = curve(need, quality, np.array([[1.0, 9.0]] * 8))
    assert found.recovered is not None
    assert found.recovered.tolist() == [0.0, 0.75, 0.25, 1.0]
    crossed = cpt(found, 0.5)
    assert crossed is not None
    assert crossed.strong_share == pytest.approx(0.25)
    assert crossed.cost_usd == pytest.approx(3.0)
    assert crossed.cost_share == pytest.approx(1 / 3)
    assert cpt(found, 0.0) == Crossing(strong_share=0.0, cost_usd=1.0, cost_share=1 / 9)
    assert cpt(found, 1.1) is None
    assert cpt(curve(need, quality[:, ::-1]), 0.5) is None


@given(UNITS, UNITS, st.integers(0, 99))
def test_more_recovered_never_takes_fewer_calls(one: float, other: float, seed: int) -> None:
    weak, strong = tiers(seed, 80)
    found = curve(np.random.default_rng(seed).random(80), np.column_stack([weak, strong]))
    low, high = cpt(found, min(one, other)), cpt(found, max(one, other))
    assert low is not None
    assert high is not None
    assert low.strong_share <= high.strong_share + 1e-12


def test_both_normalisations_of_the_quality_over_cost_are_given_by_hand() -> None:
    found = aiq([(1.0, 0.5), (3.0, 0.9)])
    assert found == Aiq(over_range=0.7, over_max=pytest.approx(1.4 / 3), low_usd=1.0, high_usd=3.0)
    wider = aiq([(1.0, 0.5), (3.0, 0.9)], low_usd=0.0, high_usd=4.0)
    assert wider is not None
    assert (wider.over_range, wider.over_max) == (pytest.approx((0.25 + 1.4 + 0.9) / 4),) * 2
    assert aiq([(1.0, 0.5)]) is None
    assert aiq([]) is None
    assert aiq([(1.0, 0.5)], low_usd=1.0, high_usd=2.0) == Aiq(over_range=0.5, over_max=0.25, low_usd=1.0, high_usd=2.0)


@given(POINTS, UNITS, st.floats(1, 3))
def test_a_dominated_point_does_not_move_the_quality_over_cost(
    points: list[tuple[float, float]], less: float, dearer: float
) -> None:
    worse = (points[0][0] * dearer + 0.01, points[0][1] * less)
    assert aiq([*points, worse]) == aiq(points)


@given(POINTS)
def test_the_mean_height_of_a_hull_lies_between_its_ends(points: list[tuple[float, float]]) -> None:
    found = aiq(points)
    if found is not None:
        qualities = [q for _, q in points]
        assert min(qualities) - 1e-9 <= found.over_range <= max(qualities) + 1e-9
        assert found.over_max <= found.over_range + 1e-12


@pytest.mark.parametrize(("accuracy", "usd", "printed"), [(0.7597, 0.11, 75.38), (0.7632, 0.94, 72.82)])
def test_the_arena_score_gives_the_leaderboards_numbers(accuracy: float, usd: float, printed: float) -> None:
    assert 100 * arena_score(accuracy, usd) == pytest.approx(printed, abs=0.15)  # the board rounds its costs


@given(st.floats(0.01, 1), st.floats(0.005, 190), st.floats(1.01, 3))
def test_the_arena_score_rises_with_accuracy_and_falls_with_cost(accuracy: float, usd: float, more: float) -> None:
    assert arena_score(accuracy, usd) > arena_score(accuracy / more, usd)
    assert arena_score(accuracy, usd) > arena_score(accuracy, usd * more)


def test_the_arena_score_has_edges() -> None:
    assert (arena_score(0.0, 1.0), arena_score(0.5, 200.0), arena_score(0.5, 900.0)) == (0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="arena score"):
        arena_score(0.5, 0.0)
    with pytest.raises(ValueError, match="arena score"):
        arena_score(1.1, 1.0)
    assert arena(np.ones(10), np.zeros(10)) is None
    dear = arena(np.ones(10), np.ones(10))
    assert dear is not None
    assert (dear.value, dear.low) == (0.0, None)


def test_the_interval_of_an_arena_score_is_that_of_the_bootstrap() -> None:
    rng = np.random.default_rng(6)
    quality, cost = (rng.random(3000) < 0.7).astype(float), rng.lognormal(sigma=1.0, size=3000) / 1000
    found = arena(quality, cost)
    drawn = rng.integers(0, 3000, (800, 3000))
    scores = [arena_score(float(quality[d].mean()), 1000 * float(cost[d].mean())) for d in drawn]
    assert found is not None
    assert found.se == pytest.approx(np.std(scores, ddof=1), rel=0.1)
    assert found.value == pytest.approx(arena_score(float(quality.mean()), 1000 * float(cost.mean())))


def test_gains_and_savings_are_against_the_best_single_model() -> None:
    points = [(2.0, 0.84), (1.0, 0.8), (0.5, 0.7)]
    assert versus_single(points, (4.0, 0.8)) == VersusSingle(
        perf_gain=pytest.approx(0.05), perf_gain_points=pytest.approx(0.04), cost_save=0.75
    )
    assert versus_single(points, (4.0, 0.9)).cost_save is None
    with pytest.raises(ValueError, match="at least one"):
        versus_single([], (1.0, 0.5))


def test_the_distance_to_the_frontier_is_0_on_it() -> None:
    frontier = [(1.0, 0.5), (3.0, 0.9)]
    assert pareto_distance([(1.0, 0.5)], frontier) == 0.0
    assert pareto_distance([(3.0, 0.5)], frontier) == pytest.approx(1.0)
    assert pareto_distance([(1.0, 0.5)], [(1.0, 0.9)]) is None


def test_a_dollars_lift_is_0_on_the_line_between_the_models() -> None:
    weak, strong = (1.0, 0.5), (11.0, 0.9)
    assert ibc_lift((6.0, 0.7), weak, strong) == pytest.approx(0.0)
    assert ibc_lift((6.0, 0.9), weak, strong) == pytest.approx(1.0)
    assert ibc_lift((1.0, 0.6), weak, strong) is None
    assert ibc_lift((6.0, 0.7), weak, (11.0, 0.5)) is None


def test_hindsight_always_chooses_the_cheapest_right_model_and_the_dear_one_when_it_must(cube: Any) -> None:
    outcomes = cube([[1, 1], [0, 1], [0, 0], [1, 0]], cost_usd=[[1, 5]] * 4)
    assert optimal_selection(oracle(outcomes), outcomes) == 1.0
    assert optimal_selection(single(outcomes, 0), outcomes) == pytest.approx(2 / 3)
    assert optimal_selection(single(outcomes, 1), outcomes) == pytest.approx(1 / 3)
    assert optimal_selection(single(outcomes, 0), cube([[0, 0]] * 4, cost_usd=1.0)) is None


def test_an_arm_is_dominated_in_the_draws_in_which_another_is_cheaper_and_better() -> None:
    rng = np.random.default_rng(7)
    n = 400
    cost = np.tile([1.0, 2.0, 0.5], (n, 1))
    quality = (rng.random((n, 3)) < [0.8, 0.6, 0.6]).astype(float)
    found = dominance(cost, quality, seed=0, rounds=500)
    assert found[0] == 0.0
    assert found[1] > 0.99
    assert found[2] == 0.0
    grouped = dominance(cost, quality, seed=0, rounds=500, clusters=np.arange(n) // 20)
    assert grouped.tolist() == pytest.approx(found.tolist(), abs=0.02)
    assert dominance(cost[:, :1], quality[:, :1], seed=0, rounds=10).tolist() == [0.0]


def test_a_mix_of_models_lies_on_the_line_of_mixing() -> None:
    hull = zero_router(["a", "b"], np.array([1.0, 3.0]), np.array([0.5, 0.9]))
    assert hull is not None
    assert above_mixing((2.0, 0.7), hull) == pytest.approx(0.0)
    assert above_mixing((0.5, 0.7), hull) is None


def test_on_the_published_pair_the_gap_and_hindsight_are_as_published(recorded: Callable[..., Outcomes]) -> None:
    outcomes = recorded("routellm_mmlu", priced=True)
    names = {name.lower().split("-")[0].split("/")[-1]: k for k, name in enumerate(outcomes.models)}
    weak, strong = outcomes.quality[:, names["mixtral"]], outcomes.quality[:, names["gpt"]]
    both = ~np.isnan(weak) & ~np.isnan(strong)
    weak, strong = weak[both], strong[both]
    found = pgr(strong, weak, strong)
    assert found.gap.value == pytest.approx(0.1249, abs=5e-4)
    assert found.gap.se == pytest.approx(0.0039, abs=1e-4)
    hindsight = apgr(strong - weak, weak, strong).value
    chance = apgr(np.random.default_rng(0).random(len(weak)), weak, strong).value
    assert hindsight is not None
    assert chance is not None
    assert hindsight > 1
    assert chance == pytest.approx(0.5, abs=0.02)
    points = list(zip(mean_costs(outcomes), mean_qualities(outcomes), strict=True))
    assert not any(math.isnan(x) for point in points for x in point)
    assert aiq([(float(c), float(q)) for c, q in points]) is not None


def test_a_comparison_has_the_metrics_of_its_arms(cube: Any) -> None:
    rng = np.random.default_rng(8)
    dear = rng.random(600) < 0.9
    cheap = dear & (rng.random(600) < 0.7)
    outcomes = cube(np.column_stack([cheap, dear]), cost_usd=[[0.001, 0.01]] * 600, models=("cheap", "dear"))
    arms = {"half": Split(weights={"cheap": 1, "dear": 1}), "weak": Fixed(model="cheap"), "strong": Fixed(model="dear")}
    comparison = replay(outcomes, arms, confirm=0)
    found = {s.arm: s for s in standings(comparison)}
    assert found["weak"].recovered is not None
    assert found["strong"].recovered is not None
    assert found["half"].recovered is not None
    assert (found["weak"].recovered.value, found["strong"].recovered.value) == (0.0, 1.0)
    assert found["half"].recovered.value == pytest.approx(0.5, abs=0.1)
    assert (found["weak"].strong_share, found["strong"].strong_share) == (0.0, 1.0)
    assert (found["weak"].cost_share, found["strong"].cost_share) == (pytest.approx(0.1), 1.0)
    assert found["strong"].versus == VersusSingle(perf_gain=0.0, perf_gain_points=0.0, cost_save=0.0)
    assert found["half"].above_mixing == pytest.approx(0.0, abs=0.05)
    assert found["weak"].above_mixing == pytest.approx(0.0)
    assert "half" in standings_table(tuple(found.values())).text()
    assert standings(replay(cube(np.ones((50, 2))), {"a": Fixed(model="a")}, confirm=0))[0].arena is None
    with pytest.raises(DataError, match="router metrics need"):
        standings(dataclasses.replace(comparison, controls=None))
