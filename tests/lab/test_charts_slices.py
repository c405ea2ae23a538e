"""The charts of slices and of calibration: what stands where, and what the caption must say."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from routelab.core.errors import ConfigError
from routelab.core.plan import Plan
from routelab.core.values import Prompt, Roster
from routelab.lab.charts import chart
from routelab.lab.compare import Comparison
from routelab.lab.evaluation import ALL
from routelab.lab.replay import replay
from routelab.strategies import Fixed


@dataclass(frozen=True)
class Sure:
    """Ask the first model and be as sure as the prompt's number says."""

    def plan(self, prompts: Sequence[Prompt], roster: Roster) -> Plan:
        own = Fixed(model=roster.names[0]).plan(prompts, roster)
        said = np.array([int(p.id[1:]) % 10 / 10 for p in prompts])
        return dataclasses.replace(own, quality=np.tile(said[:, None], (1, len(roster))))


def compared(cube: Any, **given: Any) -> Comparison:
    rng = np.random.default_rng(0)
    n = 400
    quality = (rng.random((n, 3)) < np.array([0.4, 0.7, 0.9])).astype(float)
    values = {"tasks": ["big" if i % 8 else "small" if i % 80 else "tiny" for i in range(n)], **given}
    arms = {"sure": Sure(), "b": Fixed(model="b"), "twin": Fixed(model="c")}
    return replay(cube(quality, **values), arms, confirm=0, baseline="c")


def test_slices_stand_in_order_with_their_difference_and_margin(cube: Any) -> None:
    comparison = compared(cube)
    drawn = chart("slices", comparison)
    held = comparison.by("task")
    figure: Any = drawn.figure
    assert [t.name for t in figure.data] == ["sure", "b"]  # the twin gives the baseline's answers
    assert list(figure.layout.yaxis.ticktext) == ["big<br>n = 350", "small<br>n = 45"]
    part = held["big", "b"]
    assert part.difference is not None
    assert figure.data[1].x[0] == 100 * part.difference.value
    assert figure.data[1].error_x.arrayminus[0] == pytest.approx(
        100 * (part.difference.value - (part.difference.low or 0))
    )
    lines = [s.x0 for s in figure.layout.shapes if s.yref == "paper"]
    assert lines == [0, -2]
    assert "1 slice of fewer than 30 prompts not drawn" in drawn.caption
    assert "Holm's correction over 4 differences" in drawn.caption
    assert ("tiny", "b", "5", "–", "–", "n too small") in drawn.table.rows


def test_slices_can_be_of_anything_that_an_evaluation_can(cube: Any) -> None:
    comparison = compared(cube)
    drawn = chart("slices", comparison, by=lambda p: "even" if int(p.id[1:]) % 2 == 0 else "odd")
    assert {row[0] for row in drawn.table.rows} == {"even", "odd"}
    assert "Δ points [95 %]" in drawn.table.head
    with pytest.raises(ConfigError, match="no prompt has a tag 'lang'"):
        chart("slices", comparison, by="lang")
    with pytest.raises(ConfigError, match="chart 'frontier': unknown option 'by'"):
        chart("frontier", comparison, by="task")


def test_a_filled_mark_is_a_difference_that_survived_the_correction(cube: Any) -> None:
    figure: Any = chart("slices", compared(cube)).figure
    sure, b = figure.data
    assert sure.marker.color[0] != "rgba(0,0,0,0)"
    held = compared(cube).by("task")
    hollow = [held[s, "b"].verdict == "no difference shown" for s in ("big", "small")]
    assert [c == "rgba(0,0,0,0)" for c in b.marker.color] == hollow


def test_no_arm_but_the_baseline_is_an_empty_chart_that_says_so(cube: Any) -> None:
    comparison = replay(cube(np.ones((60, 2))), {"a": Fixed(model="a")}, confirm=0, baseline="a")
    drawn = chart("slices", comparison)
    assert drawn.table.rows == [("–", "–", "0", "–", "–", "no arm but the baseline")]
    assert drawn.figure.data


def test_calibration_draws_the_bins_against_the_diagonal(cube: Any) -> None:
    comparison = compared(cube)
    drawn = chart("calibration", comparison)
    held = comparison.by()[ALL, "sure"].calibration
    assert held is not None
    figure: Any = drawn.figure
    assert [t.name for t in figure.data] == ["exact", "sure"]
    assert list(figure.data[1].x) == [100 * b.confidence for b in held.bins]
    assert list(figure.data[1].y) == [100 * b.quality.value for b in held.bins]
    assert "confidence: predicted" in drawn.caption
    assert drawn.table.rows[0][4] == held.said()
    assert len(drawn.table.rows) == 1 + len(held.bins)


def test_calibration_can_be_that_of_a_gate(cube: Any) -> None:
    rng = np.random.default_rng(1)
    drawn = chart("calibration", compared(cube, gates={"judge": rng.random((400, 3))}), confidence="judge", bins=4)
    assert "confidence: judge" in drawn.caption
    assert "4 bins of equal mass" in drawn.caption
    # The baseline and three arms, each with its own diagonal, in two rows of small diagrams.
    figure: Any = drawn.figure
    assert [(t.name, t.xaxis, t.yaxis) for t in figure.data if t.name != "exact"] == [
        (name, f"x{i}", f"y{i}") for name, i in (("c", ""), ("sure", 2), ("b", 3), ("twin", 4))
    ]
    assert [a.text for a in figure.layout.annotations] == [t.name for t in figure.data if t.name != "exact"]
    assert len(figure.data) == 8


def test_without_confidences_the_chart_says_so(cube: Any) -> None:
    comparison = replay(cube(np.ones((60, 2))), {"a": Fixed(model="a")}, confirm=0)
    drawn = chart("calibration", comparison)
    assert "no arm of this comparison has confidences" in drawn.caption
    assert {row[1] for row in drawn.table.rows} == {"no confidence"}
