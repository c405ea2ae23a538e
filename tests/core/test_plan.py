"""Plans: rankings as integers, and what fallbacks add to them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.core.plan import NOBODY, Plan, plan_of, with_fallbacks

rankings = st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=4, unique=True), max_size=12)
tables = st.dictionaries(st.integers(0, 5), st.lists(st.integers(0, 5), max_size=4, unique=True), max_size=4)


def rows(plan: Plan) -> list[list[int]]:
    return [[int(m) for m in row if m != NOBODY] for row in plan.order]


@given(orders=rankings)
def test_a_plan_keeps_every_ranking_and_every_reason(orders: list[list[int]]) -> None:
    reasons = [f"because {len(o)}" for o in orders]
    plan = plan_of(orders, reasons)
    assert rows(plan) == orders
    assert [plan.why(i) for i in range(len(plan))] == reasons
    assert len(plan.reasons) == len(set(reasons))
    assert (plan.propensity == 1.0).all()


@given(orders=rankings, table=tables)
def test_fallbacks_come_after_the_ranking_in_order_and_nobody_twice(
    orders: list[list[int]], table: dict[int, list[int]]
) -> None:
    expected = []
    for order in orders:
        longer = list(order)
        for model in order:
            for fallback in table.get(model, []):
                if fallback not in longer:
                    longer.append(fallback)
        expected.append(longer)
    assert rows(with_fallbacks(plan_of(orders, ["r"] * len(orders)), table)) == expected


def test_two_models_that_fall_back_to_each_other_are_asked_once_each() -> None:
    assert rows(with_fallbacks(plan_of([[0], [1]], ["r", "r"]), {0: [1], 1: [0]})) == [[0, 1], [1, 0]]


def test_what_belongs_to_the_prompt_stays_with_it() -> None:
    plan = with_fallbacks(plan_of([[1], [0], [1]], ["x", "y", "z"], [0.25, 0.5, 0.75]), {1: [2]})
    assert rows(plan) == [[1, 2], [0], [1, 2]]
    assert list(plan.propensity) == [0.25, 0.5, 0.75]
    assert [plan.why(i) for i in range(3)] == ["x", "y", "z"]


def test_a_plan_of_uneven_arrays_is_refused() -> None:
    with pytest.raises(ValueError, match=r"order \(n × depth\)"):
        Plan(
            order=np.zeros((2, 1), dtype=np.intp),
            propensity=np.ones(3),
            reason=np.zeros(2, dtype=np.intp),
            reasons=("r",),
        )
