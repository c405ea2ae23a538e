"""Positions of knobs, and plans that are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.core.plan import Plan
from routelab.lab.knobs import POSITIONS, Decided, Knob, Turn, climbing, levels, ruled

CUTS = st.lists(st.floats(0, 1), max_size=40).map(np.array)


@given(cuts=CUTS, start=st.floats(0, 1))
def test_round_positions_span_what_decides_something_within_0_to_1(cuts: np.ndarray, start: float) -> None:
    found = ruled(cuts, start)
    assert list(found) == sorted(set(found))
    assert 1 <= len(found) <= POSITIONS + 4
    assert found[0] >= 0
    assert found[-1] <= 1
    if len(cuts):
        assert found[0] <= cuts.min() + 1e-6
        assert found[-1] >= cuts.max() - 1e-6


@given(cuts=st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=40).map(np.array))
def test_a_weight_of_the_cost_climbs_from_0_over_all_that_decides_something(cuts: np.ndarray) -> None:
    found = climbing(cuts, 0.0)
    assert found[0] == 0.0
    assert found[1] < cuts.min()
    assert found[-1] > cuts.max()


@given(cuts=st.lists(st.floats(-5, 5), min_size=1, max_size=200).map(np.array))
def test_the_last_level_lies_above_every_score_and_the_first_below_or_at_the_least(cuts: np.ndarray) -> None:
    found = levels(cuts, 0.0)
    assert found[-1] > cuts.max()
    assert found[0] <= cuts.min() + 1e-4
    assert len(found) <= POSITIONS


def test_a_probability_has_no_level_above_1() -> None:
    assert levels(np.array([0.2, 1.0]), 0.5, most=1.0)[-1] == 1.0
    assert levels(np.zeros(0), 0.5) == (0.5,)


def test_a_knob_can_always_stand_where_it_was_given_and_ignores_what_is_not_known() -> None:
    turn = Turn(key="k", says="k", start=0.123456, positions=ruled)
    knob = turn.knob(np.array([np.nan, 0.1, 0.2, -np.inf]))
    assert knob.start in knob.values
    assert knob.label(0.5) == "0.5"
    assert Knob(key="w", says="share of b", values=(0.25,), start=0.25, unit="%").label(0.25) == "25 %"


def test_a_plan_that_is_known_is_for_its_own_prompts_only() -> None:
    made = Plan(
        order=np.zeros((2, 1), dtype=np.intp), propensity=np.ones(2), reason=np.zeros(2, dtype=np.intp), reasons=("",)
    )
    with pytest.raises(ValueError, match="cannot be cut"):
        Decided(made=made).plan((), None)  # type: ignore[arg-type]
