"""Threshold families against plain loops."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.core.plan import NOBODY
from routelab.lab.family import rankings
from routelab.strategies.fitting.thresholds import thresholds

LEVELS = [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0]
TAUS = np.array([-1.0, *LEVELS, 0.3, 0.6, 2.0])


def chosen(quality: Sequence[float], cost: Sequence[float], tau: float) -> int:
    """Return the choice for one prompt as a plain loop makes it."""
    known = [k for k in range(len(quality)) if not math.isnan(quality[k])]
    by_cost = sorted(known, key=lambda k: math.inf if math.isnan(cost[k]) else cost[k])
    best = NOBODY
    for k in by_cost:
        if quality[k] >= tau:
            return k
        if best == NOBODY or quality[k] > quality[best]:
            best = k
    return best


@st.composite
def predicted(draw: Any) -> tuple[Any, Any]:
    """Draw predicted qualities with ties and gaps, and costs a model or a prompt and model."""
    n, m = draw(st.integers(0, 8)), draw(st.integers(1, 5))
    level = st.sampled_from([*LEVELS, math.nan])
    price = st.sampled_from([0.0, 1.0, 2.0, 3.0, math.nan])
    quality = np.array(draw(st.lists(level, min_size=n * m, max_size=n * m)), dtype=float).reshape(n, m)
    each = draw(st.booleans())
    size = n * m if each else m
    cost = np.array(draw(st.lists(price, min_size=size, max_size=size)), dtype=float)
    return quality, cost.reshape(n, m) if each else cost


@given(predicted())
def test_every_pick_is_the_one_of_the_plain_loop(drawn: tuple[Any, Any]) -> None:
    quality, cost = drawn
    n, m = quality.shape
    costs = np.broadcast_to(cost, (n, m))
    plain = [[chosen(quality[i], costs[i], tau) for i in range(n)] for tau in TAUS]
    assert thresholds(quality, cost).picks(TAUS).tolist() == plain


@given(predicted(), st.integers(0, 5))
def test_totals_are_the_sums_over_the_picks(drawn: tuple[Any, Any], seed: int) -> None:
    quality, cost = drawn
    n, m = quality.shape
    worth = np.random.default_rng(seed).integers(-9, 9, (2, n, m + 1)).astype(float)
    family = thresholds(quality, cost)
    picks = family.picks(TAUS)
    plain = [[sum(worth[w, i, picks[t, i]] for i in range(n)) for t in range(len(TAUS))] for w in range(2)]
    assert family.totals(worth, TAUS).tolist() == plain


@given(predicted())
def test_equal_marks_are_equal_picks_and_different_marks_are_not(drawn: tuple[Any, Any]) -> None:
    family = thresholds(*drawn)
    marks, picks = family.marks(TAUS), [tuple(row) for row in family.picks(TAUS).tolist()]
    assert [[a == b for a in marks] for b in marks] == [[a == b for a in picks] for b in picks]


@given(predicted(), st.integers(1, 40))
def test_chunks_put_together_are_the_picks(drawn: tuple[Any, Any], cells: int) -> None:
    family = thresholds(*drawn)
    parts = list(family.chunks(TAUS, cells=cells))
    assert np.array_equal(np.concatenate([p for _, p in parts]), family.picks(TAUS))
    assert [i for s, _ in parts for i in range(s.start, s.stop)] == list(range(len(TAUS)))
    assert all(p.size <= max(cells, len(family)) for _, p in parts)


@given(predicted())
def test_a_higher_threshold_never_predicts_less_nor_costs_less(drawn: tuple[Any, Any]) -> None:
    quality, cost = drawn
    n, m = quality.shape
    costs = np.where(np.isnan(np.broadcast_to(cost, (n, m))), 99.0, np.broadcast_to(cost, (n, m)))
    picks = thresholds(quality, cost).picks(np.sort(TAUS)).astype(int)
    for i in range(n):
        climbing = [k for k in picks[:, i] if k != NOBODY]
        assert [quality[i, k] for k in climbing] == sorted(quality[i, k] for k in climbing)
        assert [costs[i, k] for k in climbing] == sorted(costs[i, k] for k in climbing)


def test_a_plan_asks_the_choice_and_then_the_best_one() -> None:
    family = thresholds(np.array([[0.5, 0.9], [0.9, 0.5], [np.nan, np.nan]]), np.array([1.0, 2.0]))
    assert rankings(family.plan(0.4).order) == [(0, 1), (0,), ()]
    assert rankings(family.plan(0.8).order) == [(1,), (0,), ()]
    assert [rankings(p.order) for p in family.alternatives()] == [
        [(0, 1), (0,), (0,)],
        [(1,), (1, 0), (1,)],
        [(), (), ()],
    ]


def test_a_decision_takes_one_byte_and_two_with_many_models() -> None:
    few, many = thresholds(np.zeros((3, 9)), np.zeros(9)), thresholds(np.zeros((3, 300)), np.zeros(300))
    assert (few.picks(TAUS).dtype, many.picks(TAUS).dtype) == (np.dtype("int8"), np.dtype("int16"))


@pytest.mark.parametrize(
    ("quality", "cost", "said"),
    [
        (np.zeros(3), np.zeros(3), "prompts × models"),
        (np.zeros((3, 0)), np.zeros(0), "prompts × models"),
        (np.zeros((3, 2)), np.zeros(3), "costs must be"),
        (np.array([[0.5, np.inf]]), np.zeros(2), "finite"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(quality: Any, cost: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        thresholds(quality, cost)


def test_a_threshold_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="none of them NaN"):
        thresholds(np.zeros((3, 2)), np.zeros(2)).picks(np.array([0.5, np.nan]))
