"""Tokens by task and model: parts that do not overlap, counts that are estimates, and what nobody counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from charted import live, said

from routelab.core.errors import DataError
from routelab.core.events import Recalled, Unanswered
from routelab.core.values import Tokens
from routelab.lab.charts import chart
from routelab.lab.charts.calls import calls_of
from routelab.lab.charts.tokens import Use, uses
from routelab.lab.outcomes import Outcomes
from routelab.lab.replay import replay
from routelab.strategies import Fixed, Rules

Cube = Callable[..., Outcomes]


def call(**given: Any) -> dict[str, Any]:
    return {
        "arm": "a",
        "requested_model": "x",
        "task": "code",
        "status": "answered",
        "cached": False,
        "simulated": False,
        "input_tokens": 100,
        "cached_tokens": None,
        "output_tokens": 40,
        "reasoning_tokens": None,
        "tokens_source": "usage",
        **given,
    }


def used(*rows: dict[str, Any], by: str = "model") -> tuple[Use, ...]:
    return uses(calls_of(list(rows), needs="input_tokens", by=by).calls)


def test_parts_do_not_overlap_and_add_up() -> None:
    found = used(call(cached_tokens=30, reasoning_tokens=25), call(input_tokens=10, output_tokens=2, cached_tokens=0))
    assert found == (
        Use(task="code", name="x", calls=2, unknown=0, estimated=0, input=80, output=17, cached=30, reasoning=25),
    )
    assert found[0].total == 152


def test_what_no_call_says_is_none_and_never_0() -> None:
    (found,) = used(call(), call(input_tokens=None, output_tokens=None))
    assert found == Use(
        task="code", name="x", calls=1, unknown=1, estimated=0, input=100, output=40, cached=None, reasoning=None
    )
    drawn = chart("tokens", [call(), call(input_tokens=None, output_tokens=None)])
    assert drawn.table.rows == [("code", "x", "1 (+1 not known)", "100", "?", "40", "?", "140", "140")]
    assert "tokens not known for 1 call, so more were used" in drawn.caption


@pytest.mark.parametrize("source", ["tiktoken", "estimate", None, "a new one"])
def test_estimates_are_striped_and_have_a_tilde(source: str | None) -> None:
    rows = [call(), call(tokens_source=source, requested_model="y")]
    assert {u.name: u.estimated for u in used(*rows)} == {"x": 0, "y": 1}
    drawn = chart("tokens", rows)
    assert "estimated for 1 call (striped, ~)" in drawn.caption
    assert [row[3] for row in drawn.table.rows] == ["100", "~100"]
    assert list(drawn.figure.data[0].marker.pattern.shape) == ["", "/"]
    assert "~100 tokens of ~140" in drawn.figure.data[0].hovertext[1]


def test_where_all_is_estimated_nothing_is_striped_and_everything_says_so() -> None:
    drawn = chart("tokens", [call(tokens_source="estimate"), call(tokens_source="tiktoken", requested_model="y")])
    assert "all counts are estimates (~)" in drawn.caption
    assert list(drawn.figure.data[0].marker.pattern.shape) == ["", ""]
    assert drawn.figure.layout.xaxis.title.text == "tokens (estimates)"
    assert {row[3] for row in drawn.table.rows} == {"~100"}


def test_cache_hits_and_calls_that_failed_before_anything_was_counted_do_not_count() -> None:
    hit = call(status="recalled", cached=True, input_tokens=None, output_tokens=None)
    lost = call(status="TimedOut", input_tokens=None, output_tokens=None)
    broken = call(status="StreamBroken")
    found = used(call(), hit, lost, broken)
    assert [(u.calls, u.unknown) for u in found] == [(2, 0)]
    assert "cache hits used none: 1" in chart("tokens", [call(), hit, lost, broken]).caption


def test_rows_are_by_model_unless_arms_are_asked_for() -> None:
    rows = [call(), call(arm="b"), call(requested_model="y", task=None)]
    assert [(u.task, u.name) for u in used(*rows)] == [("code", "x"), ("no task", "y")]
    drawn = chart("tokens", rows)
    assert (drawn.title, drawn.table.head[1]) == ("Tokens by task and model", "model")
    by_arm = chart("tokens", rows, by="arm")
    assert [row[:2] for row in by_arm.table.rows] == [("code", "a"), ("code", "b"), ("no task", "a")]


def test_the_largest_are_drawn_and_the_table_has_all() -> None:
    rows = [call(task=f"task {i}", input_tokens=100 + i) for i in range(20)]
    drawn = chart("tokens", rows, limit=3)
    assert [t.split("<br>")[0] for t in drawn.figure.layout.yaxis.ticktext] == ["task 19", "task 18", "task 17"]
    assert len(drawn.table.rows) == 20
    assert "17 smaller bars in the table only" in drawn.caption


def test_rows_without_tokens_are_refused_in_one_line() -> None:
    with pytest.raises(DataError, match="the rows have no column 'input_tokens'"):
        chart("tokens", [{"requested_model": "x"}])
    with pytest.raises(DataError, match="row 0: output_tokens is 'many', not a number"):
        chart("tokens", [call(output_tokens="many")])


def test_a_live_comparison_has_every_call_of_every_arm() -> None:
    hit = Recalled(cache="exact", key="k", text="x", model="small", source_run="cheap-0")
    lost = Unanswered(model="small", provider="p", error="E", message="m", retry=True)
    guess = said("small", tokens=Tokens(input=7, output=3, source="estimate"))
    comparison = live(large=[[said("large")]] * 4, cheap=[[lost, said("small")], [guess], [hit], [said("large")]])
    drawn = chart("tokens", comparison)
    assert drawn.table.rows == [
        ("code", "large", "3", "300", "?", "150", "?", "450", "150"),
        ("code", "small", "1", "~7", "?", "~3", "?", "~10", "~10"),
        ("no task", "large", "2", "200", "?", "100", "?", "300", "150"),
        ("no task", "small", "1", "100", "?", "50", "?", "150", "150"),
    ]
    assert "cache hits used none: 1" in drawn.caption
    alone = chart("tokens", comparison, arm="cheap", by="arm")
    assert alone.title == "Tokens by task and arm of cheap"
    assert [row[:3] for row in alone.table.rows] == [("code", "cheap", "2"), ("no task", "cheap", "1")]


def test_a_replay_has_the_answers_that_counted_of_one_arm(cube: Cube) -> None:
    outcomes = cube(
        np.ones((40, 2)),
        input_tokens=[10, 20],
        output_tokens=[1, 2],
        cost_usd=[0.1, 0.2],
        tasks=["a", "b"] * 20,
        models=("x", "y"),
        cost_kind=("recorded", "estimated"),
    )
    arms = {"rules": Rules(table={"a": ("x",)}, default=("y",), tasks="given"), "all-y": Fixed(model="y")}
    drawn = chart("tokens", replay(outcomes, arms, confirm=0, baseline="y"), arm="rules")
    assert drawn.title == "Tokens by task and model of rules"
    assert drawn.table.rows == [
        ("b", "y", "20", "~400", "?", "~40", "?", "~440", "~22"),
        ("a", "x", "20", "200", "?", "20", "?", "220", "11"),
    ]
    assert "40 answers, those that counted" in drawn.caption


def test_bars_lie_end_to_end(cube: Cube) -> None:
    rows = [call(cached_tokens=30, reasoning_tokens=25), call(requested_model="y", cached_tokens=1)]
    figure = chart("tokens", rows).figure
    assert figure.layout.barmode == "stack"
    assert [t.name for t in figure.data] == ["input", "input from the provider's cache", "output", "reasoning"]
    assert [sum(t.x[i] for t in figure.data) for i in range(2)] == [140, 140]
    assert [a.text for a in figure.layout.annotations] == ["per call × calls", "140 × 1", "140 × 1"]
