"""Budgets: what is reserved cannot be spent twice, and nothing that is no amount of money lifts the limit."""

from __future__ import annotations

import math

import pytest

from routelab.core.errors import BudgetExceeded, ConfigError
from routelab.stages import Budget


def test_a_reservation_is_replaced_by_the_cost() -> None:
    budget = Budget(1.0)
    ticket = budget.reserve(0.75, what="a call")
    assert ticket is not None
    assert (budget.spent_usd, budget.committed_usd) == (0.0, 0.75)
    budget.settle(ticket, 0.25)
    assert (budget.spent_usd, budget.committed_usd) == (0.25, 0.25)


def test_what_others_only_hold_may_come_free() -> None:
    budget = Budget(1.0)
    first = budget.reserve(0.75, what="a call")
    assert first is not None
    assert budget.reserve(0.5, what="another") is None
    budget.settle(first, 0.0)
    assert budget.reserve(0.5, what="another") is not None


def test_what_can_never_fit_is_refused_with_what_is_left_and_the_next_move() -> None:
    budget = Budget(1.0)
    ticket = budget.reserve(0.75, what="a call")
    assert ticket is not None
    budget.settle(ticket, None)
    with pytest.raises(BudgetExceeded) as caught:
        budget.reserve(0.5, what="a call of gpt-5")
    assert caught.value.message == "stopped at $0.75 of $1.00: a call of gpt-5 could cost $0.50 more"
    assert "--budget" in (caught.value.hint or "")


@pytest.mark.parametrize("cost", [None, math.nan, math.inf, -1.0])
def test_a_cost_that_is_no_amount_of_money_counts_as_the_whole_reservation(cost: float | None) -> None:
    budget = Budget(1.0)
    ticket = budget.reserve(0.5, what="a call")
    assert ticket is not None
    budget.settle(ticket, cost)
    assert budget.spent_usd == 0.5


@pytest.mark.parametrize("worst", [None, math.nan, math.inf, -0.1])
def test_a_worst_case_that_is_not_known_is_refused(worst: float | None) -> None:
    with pytest.raises(BudgetExceeded, match="has no known price"):
        Budget(1.0).reserve(worst, what="a call")


@pytest.mark.parametrize("limit", [math.nan, math.inf, -1.0])
def test_a_limit_that_is_no_amount_of_money_is_refused(limit: float) -> None:
    with pytest.raises(ConfigError, match="budget_usd: must be a number of at least 0"):
        Budget(limit)


def test_ten_dimes_are_a_little_more_than_a_dollar_and_eleven_are_not_spent() -> None:
    budget = Budget(1.0)
    tickets = [budget.reserve(0.1, what="a dime") for _ in range(9)]
    for ticket in tickets:
        assert ticket is not None
        budget.settle(ticket, 0.1)
    with pytest.raises(BudgetExceeded):
        budget.reserve(0.1, what="a dime")
    assert budget.spent_usd == 0.9


def test_a_budget_of_nothing_allows_what_is_free() -> None:
    budget = Budget(0)
    ticket = budget.reserve(0.0, what="a local call")
    assert ticket is not None
    budget.settle(ticket, 0.0)
    with pytest.raises(BudgetExceeded):
        budget.reserve(1e-12, what="a call")


def test_a_ticket_is_settled_once() -> None:
    budget = Budget(1.0)
    ticket = budget.reserve(0.5, what="a call")
    assert ticket is not None
    budget.settle(ticket, 0.5)
    with pytest.raises(KeyError):
        budget.settle(ticket, 0.5)
