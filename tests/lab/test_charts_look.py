"""The look: labels, ticks and scales."""

from __future__ import annotations

import html
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.lab.charts.look import PALETTE, SYMBOLS, Heading, dollars, duration, hover, label, layout, marks, scale

positive = st.floats(1e-7, 1e4, allow_nan=False)


@given(st.text(max_size=200))
def test_a_label_is_one_line_without_tags_formulas_or_entities_of_its_own(text: str) -> None:
    made = label(text)
    assert "<" not in made
    assert "$" not in made
    assert "\n" not in made
    assert len(html.unescape(made)) <= 32
    assert not any(ord(c) < 32 for c in made)


def test_a_long_label_keeps_its_beginning_and_its_end() -> None:
    made = label("tasks-claude-3-haiku-20240307-tol0.05-shrink50")
    assert made == "tasks-claude-3-haiku-…5-shrink50"
    assert len(made) == 32


def test_hover_text_breaks_only_between_its_lines() -> None:
    assert hover("a<br>b", "", "c\nd") == "a&lt;br&gt;b<br>c d"


def test_a_name_keeps_its_mark_when_others_follow_and_42_names_differ() -> None:
    names = [f"arm {i}" for i in range(42)]
    assert {k: marks(names)[k] for k in names[:5]} == marks(names[:5])
    assert len({(m.colour, m.symbol) for m in marks(names).values()}) == 42
    assert math.gcd(len(PALETTE), len(SYMBOLS)) == 1


def test_colours_are_legible_on_white_and_on_black() -> None:
    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(one: str, other: str) -> float:
        high, low = sorted((luminance(one), luminance(other)), reverse=True)
        return (high + 0.05) / (low + 0.05)

    from routelab.lab.charts.look import INK

    assert min(contrast(INK, "#ffffff"), contrast(INK, "#111111")) > 4.2
    assert all(contrast(colour, page) > 1.9 for colour in PALETTE for page in ("#ffffff", "#111111"))


@given(st.lists(positive, min_size=2, max_size=30), st.booleans())
def test_a_scale_keeps_the_order_of_values_and_its_range_holds_them(values: list[float], free: bool) -> None:
    everything = [*values, *([0.0] if free else [])]
    at = scale(everything, dollars)
    placed = [at.at(v) for v in sorted(everything)]
    assert placed == sorted(placed)
    low, high = at.axis["range"]
    shown = [math.log10(p) for p in placed] if at.log else placed
    assert all(low <= p <= high for p in shown)
    assert len(at.axis["tickvals"]) == len(at.axis["ticktext"])
    assert at.log is (max(values) / min(values) >= 30)


@given(st.lists(positive, min_size=2, max_size=30))
def test_a_logarithmic_scale_gives_nothing_a_place_of_its_own_left_of_a_break(values: list[float]) -> None:
    at = scale([0.0, *values], dollars, log=True, zero="free")
    assert at.zero_at is not None
    assert at.break_at is not None
    assert at.at(0.0) == at.zero_at < at.break_at < min(values)
    assert at.axis["ticktext"][0] == "free"
    assert all(t > at.break_at for t in at.axis["tickvals"][1:])


def test_a_wide_spread_is_logarithmic_and_a_narrow_one_is_not() -> None:
    assert scale([1, 29], dollars).log is False
    assert scale([1, 30], dollars).log is True
    assert scale([1, 1000], dollars, log=False).log is False
    assert scale([1, 2], dollars, log=True).log is True
    assert scale([0.0, 0.0], dollars).log is False
    assert scale([], dollars).axis["type"] == "linear"


@pytest.mark.parametrize("span", [1.5, 3, 10, 40, 300, 4000, 1e6])
def test_ticks_are_few_enough_to_stand_side_by_side_and_never_none(span: float) -> None:
    at = scale([0.0001, 0.0001 * span], dollars)
    low, high = at.axis["range"]
    inside = [t for t in at.axis["tickvals"] if low <= (math.log10(t) if at.log else t) <= high]
    assert 2 <= len(inside) <= 8


def test_axis_texts_have_no_noise() -> None:
    assert [dollars(v) for v in (0.0, 0.00003, 0.25, 1.0, 2.5, 1200)] == [
        "$0",
        "$0.00003",
        "$0.25",
        "$1",
        "$2.5",
        "$1,200",
    ]
    assert [duration(v) for v in (0.0, 0.003, 0.3, 1.0, 300)] == ["0 s", "3 ms", "0.3 s", "1 s", "300 s"]


def test_a_long_caption_is_wrapped_and_makes_room_for_itself() -> None:
    short = layout(Heading(title="t", caption="n = 3"), plot=100, below=0, x={}, y={})
    long = layout(Heading(title="t", caption="many words " * 40), plot=100, below=0, x={}, y={})
    lines = long["title"]["subtitle"]["text"].split("<br>")
    assert len(lines) > 3
    assert max(map(len, lines)) <= 104
    assert long["height"] - short["height"] == 15 * (len(lines) - 1) == long["margin"]["t"] - short["margin"]["t"]
