"""Best single, cheapest, oracle, shuffle and the zero router, on cubes that can be checked by hand."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.core.plan import NOBODY
from routelab.lab.compare import Arm, figures_from
from routelab.lab.controls import best_single, cheapest, mean_costs, oracle, shuffle, single, zero_router
from routelab.lab.outcomes import Outcomes
from routelab.lab.walk import Walked

NAN = float("nan")
CELLS = st.lists(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=3, max_size=3), min_size=1, max_size=8)
COSTS = st.lists(st.sampled_from([0.1, 1.0, 3.0]), min_size=3, max_size=3)


def asked(outcomes: Outcomes, columns: list[int]) -> Arm:
    """Return an arm that asked these columns, one a prompt."""
    rows = np.arange(len(outcomes))
    picked = np.array(columns)
    nobody = picked == NOBODY
    walked = Walked(
        model=picked,
        quality=np.where(nobody, 0.0, outcomes.quality[rows, picked]),
        cost_usd=np.where(nobody, 0.0, outcomes.cost_usd[rows, picked]),
        latency_s=outcomes.latency_s[rows, picked],
        attempts=np.ones(len(rows), dtype=np.intp),
        escalations=np.zeros(len(rows), dtype=np.intp),
        judging_usd=np.zeros(len(rows)),
    )
    figures = figures_from(walked.quality, walked.cost_usd, walked.latency_s)
    return Arm(name="arm", config=None, walked=walked, figures=figures)


def test_the_best_single_model_has_the_highest_mean_and_the_cheaper_of_equals_wins(cube: Any) -> None:
    assert best_single(cube([[0, 1, 1], [0, 1, 1]], cost_usd=[[1, 9, 5]] * 2)) == 2
    assert best_single(cube([[0, 1, 1], [0, 1, 1]])) == 1
    assert best_single(cube([[NAN, NAN]])) is None


def test_a_model_recorded_on_few_prompts_is_not_the_best(cube: Any) -> None:
    assert best_single(cube([[0.0, 1.0], *[[1.0, NAN]] * 9])) == 0


def test_failures_count_against_a_model(cube: Any) -> None:
    assert best_single(cube([[1, 1], [1, 1], [0, 1]], failed=[[0, 1], [0, 1], [0, 0]])) == 0


def test_nobody_is_the_cheapest_when_a_cost_is_unknown(cube: Any) -> None:
    assert cheapest(cube(np.ones((2, 2)), cost_usd=[[2, 1], [2, 1]])) == 1
    assert cheapest(cube(np.ones((2, 2)), cost_usd=[[2, NAN], [2, NAN]])) is None


def test_a_mean_cost_is_unknown_as_soon_as_one_of_a_scored_prompt_is(cube: Any) -> None:
    found = mean_costs(cube([[1, 1, 1], [1, 1, NAN]], cost_usd=[[1, 1, 3], [3, NAN, NAN]]))
    assert found == pytest.approx([2, NAN, 3], nan_ok=True)


@given(CELLS, COSTS)
def test_hindsight_asks_the_cheapest_of_the_best_and_beats_every_model(
    cube: Any, quality: list[list[float]], costs: list[float]
) -> None:
    outcomes = cube(quality, cost_usd=[costs] * len(quality))
    found = oracle(outcomes)
    for i, row in enumerate(quality):
        best = [c for c, q in zip(costs, row, strict=True) if q == max(row)]
        assert (found.quality[i], found.cost_usd[i]) == (max(row), min(best))
    assert found.quality.mean() >= max(single(outcomes, k).quality.mean() for k in range(3))


def test_hindsight_without_costs_still_asks_one_of_the_best(cube: Any) -> None:
    found = oracle(cube([[0, 1], [NAN, NAN], [0, 0]], failed=[[0, 0], [0, 0], [1, 1]]))
    assert found.model.tolist() == [1, NOBODY, NOBODY]
    assert found.quality == pytest.approx([1, NAN, 0], nan_ok=True)


@given(CELLS.filter(lambda rows: len(rows) <= 5), st.data())
def test_the_shuffle_is_the_mean_over_all_assignments_with_the_same_shares(
    cube: Any, quality: list[list[float]], data: Any
) -> None:
    outcomes = cube(quality, cost_usd=[[0.1, 1.0, 3.0]] * len(quality))
    n = len(quality)
    picked = data.draw(st.lists(st.sampled_from([0, 1, 2, NOBODY]), min_size=n, max_size=n))
    arm = asked(outcomes, picked)
    found = shuffle(arm, single(outcomes, 0), outcomes, margin=0.02)
    every = [
        (
            np.mean([0.0 if m == NOBODY else outcomes.quality[i, m] for i, m in enumerate(order)]),
            np.mean([0.0 if m == NOBODY else outcomes.cost_usd[i, m] for i, m in enumerate(order)]),
        )
        for order in itertools.permutations(picked)
    ]
    assert found.figures.quality is not None
    assert found.lift is not None
    assert (found.figures.quality.value, found.figures.cost_usd) == pytest.approx(np.mean(every, axis=0))
    assert found.lift.value == pytest.approx(arm.walked.quality.mean() - np.mean(every, axis=0)[0])


def test_an_arm_that_knows_the_prompts_beats_its_shuffle_and_a_blind_one_does_not(cube: Any) -> None:
    rng = np.random.default_rng(0)
    hard = rng.random(600) < 0.5
    outcomes = cube(np.column_stack([~hard, np.ones(600)]), cost_usd=[[1, 10]] * 600)
    knowing = shuffle(asked(outcomes, list(hard.astype(int))), single(outcomes, 1), outcomes, margin=0.02)
    blind = shuffle(asked(outcomes, list(rng.integers(0, 2, 600))), single(outcomes, 1), outcomes, margin=0.02)
    assert knowing.lift is not None
    assert blind.lift is not None
    assert knowing.lift.low > 0.15  # type: ignore[operator]
    assert blind.lift.low < 0 < blind.lift.high  # type: ignore[operator]


POINTS = st.lists(st.tuples(st.floats(0.01, 10), st.floats(0, 1)), min_size=1, max_size=8)


@given(POINTS)
def test_the_hull_is_above_every_model_rises_is_concave_and_is_its_own_hull(points: list[tuple[float, float]]) -> None:
    costs, qualities = np.array([c for c, _ in points]), np.array([q for _, q in points])
    hull = zero_router([f"m{i}" for i in range(len(points))], costs, qualities)
    assert hull is not None
    for cost, quality in points:
        reached = hull.quality_at(cost)
        assert reached is not None
        assert reached >= quality - 1e-9
    corners = [(c, q) for _, c, q in hull.corners]
    slopes = [(q1 - q0) / (c1 - c0) for (c0, q0), (c1, q1) in itertools.pairwise(corners)]
    assert all(slope > 0 for slope in slopes)
    assert all(later <= sooner + 1e-9 for sooner, later in itertools.pairwise(slopes))
    again = zero_router([m for m, _, _ in hull.corners], *(np.array(x) for x in zip(*corners, strict=True)))
    assert again == hull


@given(POINTS, st.floats(0, 1), st.floats(1, 3))
def test_a_dominated_model_does_not_move_the_hull(
    points: list[tuple[float, float]], less: float, dearer: float
) -> None:
    names = [f"m{i}" for i in range(len(points))]
    costs, qualities = np.array([c for c, _ in points]), np.array([q for _, q in points])
    worse = (float(costs[0] * dearer + 0.01), float(qualities[0] * less))
    assert zero_router([*names, "x"], np.append(costs, worse[0]), np.append(qualities, worse[1])) == zero_router(
        names, costs, qualities
    )


def test_mixing_reaches_a_straight_line_between_two_models_and_nothing_below_the_cheapest() -> None:
    hull = zero_router(["a", "b"], np.array([1.0, 3.0]), np.array([0.5, 0.9]))
    assert hull is not None
    assert (hull.quality_at(2.0), hull.quality_at(5.0), hull.quality_at(0.5)) == (pytest.approx(0.7), 0.9, None)
    assert zero_router(["a"], np.array([NAN]), np.array([0.5])) is None
