"""Numbers for people: what is not known is a question mark, and nothing that is not zero looks like it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.present import interval, percent, seconds, signed, tokens, usd

amounts = st.floats(1e-15, 1e9)


@pytest.mark.parametrize("show", [usd, seconds, percent, signed])
@pytest.mark.parametrize("value", [None, math.nan])
def test_what_is_not_known_is_a_question_mark(show: Callable[[Any], str], value: float | None) -> None:
    assert show(value) == "?"


def test_unknown_intervals_and_counts_are_question_marks_too() -> None:
    assert interval(None, 0.5) == interval(0.5, math.nan) == "[?, ?]"
    assert tokens(None) == tokens(None, estimated=True) == "?"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "$0"),
        (1234567.8, "$1,234,568"),
        (1000.0, "$1,000"),
        (999.994, "$999.99"),
        (25, "$25.00"),
        (0.1, "$0.10"),
        (0.0999, "$0.0999"),
        (0.05, "$0.0500"),
        (0.000_123, "$0.000123"),
        (1.5e-7, "$0.000000150"),
        (1e-12, "<$0.000000001"),
        (-0.5, "−$0.50"),
        (-0.000_5, "−$0.000500"),
        (math.inf, "$∞"),
    ],
)
def test_dollars_have_about_three_digits(value: float, shown: str) -> None:
    assert usd(value) == shown


@given(value=amounts)
def test_an_amount_that_is_not_nothing_does_not_look_like_nothing(value: float) -> None:
    assert usd(value).strip("<$0.,") != ""


@given(value=st.floats(1e-8, 1e8))
def test_dollars_can_be_read_back_to_three_digits_or_a_cent(value: float) -> None:
    shown = float(usd(value).lstrip("$").replace(",", ""))
    assert shown == pytest.approx(value, rel=6e-3, abs=0.00501 if value >= 0.1 else 6e-10)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0 ms"),
        (0.0004, "0 ms"),
        (0.0123, "12 ms"),
        (0.25, "0.2 s"),
        (59.94, "59.9 s"),
        (60, "60 s"),
        (3600, "3600 s"),
    ],
)
def test_seconds_have_a_unit(value: float, shown: str) -> None:
    assert seconds(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0, "+0.0"), (-0.0, "+0.0"), (-0.0004, "+0.0"), (-0.0123, "−1.2"), (0.5, "+50.0")]
)
def test_a_difference_has_a_sign_unless_it_rounds_to_nothing(value: float, shown: str) -> None:
    assert signed(value) == shown


def test_shares_and_counts() -> None:
    assert percent(0.12345, 2) == "12.35 %"
    assert interval(-0.02, 0.013) == "[−2.0, 1.3]"
    assert (tokens(0), tokens(1_234_567), tokens(80, estimated=True)) == ("0", "1,234,567", "~80")
