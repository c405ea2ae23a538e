"""Cost against quality: where the points stand, who is on the frontier, and what is said of those that have no place."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from charted import compared
from hypothesis import given
from hypothesis import strategies as st

from routelab.lab.charts import chart
from routelab.lab.charts.points import Point, pareto, points
from routelab.lab.compare import Comparison
from routelab.lab.outcomes import Outcomes
from routelab.lab.replay import replay
from routelab.lab.search import search
from routelab.lab.sources import PLAIN
from routelab.lab.statistics import Estimate
from routelab.strategies import Fixed

Cube = Callable[..., Outcomes]


def at(value: float) -> Estimate:
    return Estimate(value=value, low=None, high=None, se=None, n=1)


def trace(figure: Any, name: str) -> Any:
    return next(t for t in figure.data if t.name == name)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.booleans()), max_size=12))
def test_the_frontier_is_what_nobody_beats_and_somebody_on_it_beats_the_rest(
    given: list[tuple[int, int, bool]],
) -> None:
    arms = [Point(name=str(i), part="arm", cost=at(c), quality=at(q), partly=p) for i, (c, q, p) in enumerate(given)]
    found = pareto(arms)
    whole = [i for i, (_, _, partly) in enumerate(given) if not partly]
    assert found <= set(whole)
    assert bool(found) == bool(whole)

    def beats(i: int, j: int) -> bool:
        (c, q, _), (d, r, _) = given[i], given[j]
        return c <= d and q >= r and (c, q) != (d, r)

    assert not any(beats(i, j) for i in whole for j in found)
    assert all(any(beats(i, j) for i in found) for j in whole if j not in found)


def test_points_carry_the_figures_of_the_arms_and_intervals_both_ways(cube: Cube) -> None:
    comparison = compared(cube)
    by = {p.name: p for p in points(comparison)}
    top = comparison["always-mid"]
    assert by["always-mid"].quality == top.figures.quality
    cost = by["always-mid"].cost
    assert cost is not None
    assert top.figures.cost_usd == pytest.approx(cost.value)
    assert cost.low is not None
    assert cost.high is not None
    assert 0 <= cost.low < cost.value < cost.high
    assert [p.part for p in points(comparison)] == [
        "baseline",
        "arm",
        "arm",
        "arm",
        "arm",
        "cheapest",
        "shuffle",
        "oracle",
    ]
    assert {p.name for p in points(comparison) if p.efficient} >= {"always-free", "always-mid"}


def test_the_controls_have_open_marks_of_their_own(cube: Cube) -> None:
    figure = chart("frontier", compared(cube)).figure
    symbols = {t.name: t.marker.symbol for t in figure.data if t.marker.symbol and "open" in t.marker.symbol}
    assert symbols == {"cheapest: free": "diamond-open", "shuffle of by-task": "x-open", "oracle": "star-open"}


def test_a_free_arm_stands_left_of_a_break_on_a_logarithmic_axis(cube: Cube) -> None:
    drawn = chart("frontier", compared(cube))
    axis = drawn.figure.layout.xaxis
    assert axis.type == "log"
    assert axis.ticktext[0] == "free (&#36;0)"
    x = trace(drawn.figure, "always-free").x[0]
    assert x == axis.tickvals[0] < drawn.figure.layout.shapes[0].x0 < trace(drawn.figure, "always-mid").x[0]
    assert "free, so left of the break in the axis: always-free" in drawn.caption
    row = next(r for r in drawn.table.rows if r[0] == "always-free")
    assert row[1] == "$0"


def test_an_axis_of_like_costs_is_linear(cube: Cube) -> None:
    costs = np.array([0.001, 0.002, 0.003])
    drawn = chart("frontier", compared(cube, cost_usd=costs))
    assert drawn.figure.layout.xaxis.type == "linear"
    assert not drawn.figure.layout.shapes
    assert chart("frontier", compared(cube, cost_usd=costs), log=True).figure.layout.xaxis.type == "log"


def test_the_winner_is_named_in_words_on_the_chart_and_in_the_table(cube: Cube) -> None:
    rng = np.random.default_rng(3)
    same = (rng.random(600) < 0.9).astype(float)
    outcomes = cube(
        np.column_stack([same, same]), cost_usd=[0.0001, 0.01], models=("cheap", "dear"), latency_s=1.0, dataset="twins"
    )
    comparison = replay(outcomes, {"go-cheap": Fixed(model="cheap")}, baseline="dear")
    winner = comparison.winner()
    assert winner is not None
    drawn = chart("frontier", comparison)
    assert [a.text for a in drawn.figure.layout.annotations] == ["★ winner"]
    annotation = drawn.figure.layout.annotations[0]
    mark = trace(drawn.figure, "★ go-cheap (winner)")
    assert 10**annotation.x == pytest.approx(mark.x[0])
    assert annotation.y == mark.y[0]
    assert drawn.table.rows[1][0] == "★ go-cheap (winner)"


def test_the_hull_has_a_band_where_every_model_is_known_and_none_where_not(cube: Cube) -> None:
    rng = np.random.default_rng(1)
    quality = (rng.random((200, 2)) < [0.6, 0.9]).astype(float)
    drawn = chart("frontier", replay(cube(quality, cost_usd=[[1, 10]] * 200), {"a": Fixed(model="a")})).figure
    band, line = trace(drawn, "95 % band of random mixing"), trace(drawn, "zero router (random mixing)")
    half = len(band.x) // 2
    assert list(band.x[:half]) == list(line.x) == list(band.x[half:])[::-1]
    assert all(low <= y <= high for low, y, high in zip(list(band.y[half:])[::-1], line.y, band.y[:half], strict=True))
    quality[:5, 0] = np.nan
    holes = chart("frontier", replay(cube(quality, cost_usd=[[1, 10]] * 200), {"b": Fixed(model="b")})).figure
    assert "95 % band of random mixing" not in [t.name for t in holes.data]


def test_the_hull_is_drawn_through_its_corners(cube: Cube) -> None:
    comparison = compared(cube)
    assert comparison.controls is not None
    hull = comparison.controls.hull
    assert hull is not None
    line = trace(chart("frontier", comparison).figure, "zero router (random mixing)")
    drawn = list(zip(line.x, line.y, strict=True))
    for _, cost, quality in hull.corners[1:]:
        assert any(x == pytest.approx(cost) and y == pytest.approx(100 * quality) for x, y in drawn)
    assert list(line.y) == sorted(line.y)


def test_an_arm_without_a_cost_is_in_the_table_and_said_to_be_missing(cube: Cube) -> None:
    drawn = chart("frontier", compared(cube, cost_usd=[0.001, math.nan, 0.01]))
    assert "not drawn, cost not known: always-mid" in drawn.caption
    assert next(r for r in drawn.table.rows if r[0] == "always-mid")[1] == "?"
    assert not any(t.name == "always-mid" for t in drawn.figure.data)


def test_without_any_cost_the_figure_says_so(cube: Cube) -> None:
    drawn = chart("frontier", compared(cube, cost_usd=math.nan))
    assert len(drawn.figure.data) == 0
    assert (
        drawn.figure.layout.annotations[0].text
        == "no arm has both a known cost and a quality; chart('quality') shows the quality alone"
    )
    assert {row[1] for row in drawn.table.rows} == {"?"}


def test_a_cost_that_is_known_in_part_is_marked_and_not_on_the_frontier(cube: Cube) -> None:
    rng = np.random.default_rng(1)
    cost = rng.lognormal(-7, 0.3, size=(120, 3)) * np.array([1, 5, 30])
    cost[:30, 1] = math.nan
    comparison = compared(cube, cost_usd=cost)
    mid = next(p for p in points(comparison) if p.name == "always-mid")
    assert (mid.partly, mid.efficient) == (True, False)
    row = next(r for r in chart("frontier", comparison).table.rows if r[0] == "always-mid")
    assert row[1].endswith("(90 known)")


def test_arms_beyond_the_limit_are_grey_dots_and_counted(cube: Cube) -> None:
    drawn = chart("frontier", compared(cube), limit=2)
    dots = trace(drawn.figure, "3 other arms")
    assert len(dots.x) == 3
    assert "3 arms as grey dots without a name" in drawn.caption
    assert sum(row[5] in ("on it", "") for row in drawn.table.rows) == 5


def test_arms_with_the_same_answers_are_said_to_hide_each_other(cube: Cube) -> None:
    assert "same answers as best-single: always-top" in chart("frontier", compared(cube)).caption


def test_intervals_never_reach_below_a_cost_of_0_nor_off_a_logarithmic_axis(cube: Cube) -> None:
    cost = np.zeros((120, 3))
    cost[0] = [0.1, 5.0, 500.0]  # one call pays for all: the t interval would reach below 0
    figure = chart("frontier", compared(cube, cost_usd=cost)).figure
    for t in figure.data:
        if t.error_x.arrayminus is not None:
            assert all(x - m > 0 for x, m in zip(t.x, t.error_x.arrayminus, strict=True))


def test_recorded_outcomes_are_drawn_whole(recorded: Callable[..., Outcomes]) -> None:
    comparison = search(recorded("bfcl_2024-08-11"), sources=PLAIN)
    drawn = chart("frontier", comparison)
    assert drawn.figure.layout.xaxis.type == "log"
    assert "n = 287 confirm prompts" in drawn.caption
    assert "costs: tokens × list price" in drawn.caption
    low, high = drawn.figure.layout.yaxis.range
    named = [t for t in drawn.figure.data if t.error_y.array is not None]
    assert len(named) >= 8
    assert all(low <= y <= high for t in named for y in t.y)
    # gpt-4o-2024-08-06 scores .258 for its output format; it must not squeeze all others into a corner.
    assert "below the axis: gpt-4o-2024-08-06" in drawn.caption


def test_a_comparison_without_controls_is_drawn_without_them(cube: Cube) -> None:
    comparison: Comparison = dataclasses.replace(compared(cube), controls=None)
    assert {p.part for p in points(comparison)} == {"baseline", "arm"}
    assert len(chart("frontier", comparison).figure.data) == 6


def test_an_arm_below_the_frontier_is_called_beaten_only_when_resamples_agree(
    recorded: Callable[..., Outcomes],
) -> None:
    drawn = chart("frontier", search(recorded("bfcl_2024-08-11"), sources=PLAIN))
    standing = {row[0]: row[5] for row in drawn.table.rows}
    assert standing["gpt-4o-2024-08-06"] == "beaten (100 %)"
    assert standing["gemini-1.5-flash-preview-0514"] == "on it"
    # 0.7 points below the best of 287 and the dearest of all: that may be chance.
    assert standing["gpt-4-turbo-2024-04-09"].startswith("open (")


def test_the_hull_of_a_free_model_starts_where_free_arms_stand(cube: Cube) -> None:
    figure = chart("frontier", compared(cube)).figure
    line = trace(figure, "zero router (random mixing)")
    assert line.x[0] == figure.layout.xaxis.tickvals[0]
    assert list(line.x) == sorted(line.x)
