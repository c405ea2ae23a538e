"""Charts of rows of the log: what is read, what is left out and said, and what is refused."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.core.errors import ConfigError, DataError
from routelab.lab.charts import chart
from routelab.lab.charts.calls import calls_of
from routelab.lab.charts.spend import STEPS, lines
from routelab.lab.spread import quantile, top_share

NOON = datetime(2026, 11, 21, 12)


def call(**given: Any) -> dict[str, Any]:
    return {
        "arm": "a",
        "requested_model": "x",
        "status": "answered",
        "cost_usd": 0.01,
        "latency_s": 1.0,
        "cached": False,
        "simulated": False,
        "started_at": NOON,
        **given,
    }


def test_calls_are_grouped_by_arm_where_one_is_named_else_by_model() -> None:
    assert calls_of([call(), call(arm="")], needs="cost_usd").names == ("a", "no arm, x")
    assert calls_of([call(arm=""), call(arm=None, requested_model="y")], needs="cost_usd").names == ("x", "y")
    assert calls_of([call(), call(arm="b")], needs="cost_usd", by="model").names == ("x",)


def test_a_frame_and_its_records_are_read_alike() -> None:
    rows = [call(), call(cost_usd=None, latency_s=None, arm=None, cached=None, started_at=None)]
    frame = pd.DataFrame(rows)
    assert calls_of(frame, needs="cost_usd") == calls_of(rows, needs="cost_usd")
    nullable = frame.convert_dtypes()
    assert calls_of(nullable, needs="cost_usd") == calls_of(rows, needs="cost_usd")


def test_what_is_not_known_is_none_and_never_0() -> None:
    (read,) = calls_of([call(cost_usd=math.nan, latency_s=pd.NA, started_at=pd.NaT)], needs="cost_usd").calls
    assert (read.cost_usd, read.latency_s, read.at) == (None, None, None)


@pytest.mark.parametrize(
    "given",
    [
        NOON,
        "2026-11-21 12:00:00",
        np.datetime64("2026-11-21T12:00:00"),
        pd.Timestamp(NOON),
        NOON.replace(tzinfo=UTC),
        (NOON + timedelta(hours=2)).replace(tzinfo=timezone(timedelta(hours=2))),
    ],
)
def test_times_of_every_spelling_are_the_same_moment_in_utc(given: Any) -> None:
    assert calls_of([call(started_at=given)], needs="started_at").calls[0].at == NOON


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"cost_usd": "much"}, "row 1: cost_usd is 'much', not a number"),
        ({"latency_s": -1}, "row 1: latency_s is -1; it cannot be negative"),
        ({"started_at": "yesterday"}, "row 1: started_at is 'yesterday', not a time"),
        ({"started_at": 7}, "row 1: started_at is int, not a time"),
    ],
)
def test_a_value_that_cannot_be_read_is_named_with_its_row(row: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError) as caught:
        calls_of([call(), call(**row)], needs="cost_usd")
    assert caught.value.message == says


def test_a_missing_column_names_the_nearest_one() -> None:
    with pytest.raises(DataError, match="the rows have no column 'cost_usd'; did you mean 'costs_usd'"):
        chart("cost", [{"requested_model": "x", "costs_usd": 1}])
    with pytest.raises(DataError, match="there are no calls to draw"):
        chart("cost", [])
    with pytest.raises(DataError, match="row 0 is int, not a mapping"):
        chart("cost", [3])
    with pytest.raises(ConfigError, match="by: unknown 'task'"):
        chart("cost", [call()], by="task")


def test_the_cost_chart_shows_quantiles_of_the_statistics_module_and_the_share_of_the_dearest() -> None:
    costs = np.random.default_rng(5).lognormal(-6, 1.0, size=400)
    drawn = chart("cost", [call(cost_usd=c) for c in costs])
    p50, p95 = quantile(costs, 0.5), quantile(costs, 0.95)
    assert p50 is not None
    assert p95 is not None
    assert p50.low is not None
    shown = {t.marker.symbol: t for t in drawn.figure.data if t.marker.symbol and t.x[0] is not None}
    assert shown["line-ns-open"].x[0] == p50.value
    assert shown["line-ns-open"].error_x.arrayminus[0] == pytest.approx(p50.value - p50.low)
    assert shown["diamond"].x[0] == p95.value
    assert shown["x-thin-open"].x[0] == pytest.approx(costs.mean())
    share = top_share(costs)
    assert share is not None
    assert drawn.table.rows[0][6] == f"{100 * share:.0f} %"
    assert f"top 1 %: {100 * share:.0f} %" in [a.text for a in drawn.figure.layout.annotations]


def test_cache_hits_and_free_failures_are_left_out_of_costs_and_counted() -> None:
    rows = [
        call(),
        call(status="recalled", cached=True, cost_usd=0.0),
        call(status="RateLimited", cost_usd=0.0),
        call(cost_usd=None),
    ]
    drawn = chart("cost", rows)
    assert (
        drawn.caption
        == "n = 2 calls by arm; cache hits left out: 1; failed calls that cost nothing left out: 1; costs not known: 1"
    )
    assert drawn.table.rows[0][1] == "1 (+1 not known)"


def test_a_timeout_counts_as_a_wait_and_another_failure_does_not() -> None:
    rows = [call(latency_s=1.0), call(status="TimedOut", latency_s=60.0), call(status="AuthFailed", latency_s=0.01)]
    drawn = chart("latency", rows)
    assert drawn.table.rows[0][4:] == ("1.0 s", "60 s")
    assert drawn.caption == (
        "n = 2 calls by arm; failed calls left out: 1; timed out, counted with the time until they were given up: 1"
    )


def test_a_quantile_without_an_interval_is_said_to_lack_data() -> None:
    few = chart("latency", [call(latency_s=1.0 + i / 10) for i in range(40)])
    assert few.table.rows[0][2].startswith("2.9 s [") or few.table.rows[0][2].startswith("3.0 s [")
    assert few.table.rows[0][3] == "n too small"
    assert few.figure.layout.annotations[1].text.endswith("/ n small")
    assert not any(t.marker.symbol == "diamond" for t in few.figure.data)
    assert few.table.notes[1] == "n too small: a 95 % interval needs 6 values for p50 and 72 for p95"
    enough = chart("latency", [call(latency_s=1.0 + i / 10) for i in range(100)])
    assert "n too small" not in str(enough.table.rows)


def test_an_arm_without_any_time_is_not_recorded_rather_than_fast() -> None:
    drawn = chart("latency", [call(latency_s=None), call(arm="b")])
    assert drawn.table.rows[0] == ("a", "0 (+1 not known)", "?", "?", "?", "?")
    assert [a.text for a in drawn.figure.layout.annotations][1] == "not recorded"


def test_the_mix_of_calls_is_by_arm_and_else_one_bar() -> None:
    rows = [call(), call(requested_model="y"), call(requested_model="y"), call(status="TimedOut")]
    drawn = chart("mix", rows)
    assert drawn.table.rows == [("a", "4", "y 50 %, x 25 %, no answer 25 %")]
    assert sum(t.x[0] for t in drawn.figure.data) == pytest.approx(100)
    assert [t.name for t in drawn.figure.data] == ["y", "x", "no answer"]
    assert chart("mix", rows, by="model").table.rows[0][0] == "all calls"


def test_more_models_than_colours_are_merged_and_listed_in_the_table() -> None:
    rows = [call(requested_model=f"m{k}") for k in range(9) for _ in range(9 - k)]
    drawn = chart("mix", rows)
    assert [t.name for t in drawn.figure.data] == ["m0", "m1", "m2", "m3", "m4", "4 other models"]
    assert all(f"m{k} " in drawn.table.rows[0][2] for k in range(9))


moments = st.integers(0, 10_000).map(lambda s: NOON + timedelta(seconds=s))


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.none() | st.floats(0, 1), st.none() | moments), min_size=1, max_size=60
    )
)
def test_a_running_total_never_falls_and_ends_at_the_sum_of_what_is_known(
    given: list[tuple[str, float | None, datetime | None]],
) -> None:
    rows = [call(arm=arm, cost_usd=cost, started_at=at) for arm, cost, at in given]
    for line in lines(calls_of(rows, needs="started_at")):
        known = [c for arm, c, at in given if arm == line.name and c is not None and at is not None]
        assert list(line.at) == sorted(line.at)  # type: ignore[type-var]
        assert all(b >= a for a, b in zip(line.total, line.total[1:], strict=False))
        assert line.spent == pytest.approx(sum(known))
        assert line.unknown == sum(arm == line.name for arm, _, _ in given) - len(known)


def test_spend_is_thinned_but_keeps_its_first_and_last_point() -> None:
    rows = [call(started_at=NOON + timedelta(seconds=i), cost_usd=0.5) for i in range(5000)]
    drawn = chart("spend", rows)
    (line,) = drawn.figure.data
    assert len(line.x) <= STEPS
    assert (line.y[0], line.y[-1]) == (0.5, 2500.0)
    assert line.line.shape == "hv"
    assert drawn.table.rows == [("a", "5,000", "$2,500", "2026-11-21 12:00:00", "2026-11-21 13:23:19")]
    assert drawn.caption == "$2,500 in 5,000 calls by arm, times in UTC"


def test_an_unknown_cost_is_said_to_make_the_spend_higher() -> None:
    drawn = chart("spend", [call(), call(cost_usd=None)])
    assert "calls of unknown cost: 1, so more was spent" in drawn.caption
    with pytest.raises(DataError, match="no call has both a time and a cost"):
        chart("spend", [call(cost_usd=None)])


def test_simulated_calls_are_never_added_to_real_ones() -> None:
    drawn = chart("spend", [call(), call(simulated=True), call(arm="b", simulated=True)])
    assert drawn.title == "Spend over time · partly simulated"
    assert [row[0] for row in drawn.table.rows] == ["a", "a (simulated)", "b (simulated)"]
    assert chart("spend", [call(simulated=True)]).title == "Spend over time · simulated"
    assert chart("spend", [call(simulated=True)]).table.rows[0][0] == "a"


def test_only_the_busiest_are_drawn_and_the_table_has_all() -> None:
    rows = [call(arm=f"arm {k}") for k in range(5) for _ in range(k + 1)]
    for kind in ("cost", "latency", "spend"):
        drawn = chart(kind, rows, limit=2)
        assert "3 more arms not drawn (limit=5 draws all)" in drawn.caption
        assert len(drawn.table.rows) == 5
