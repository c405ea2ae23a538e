"""Charts of caches: their rows are the bench's own figures, nothing hostile is drawn, and what is not known is not drawn as 0."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from charted import HOSTILE

from routelab.core.errors import ConfigError
from routelab.lab.caches.curve import curve
from routelab.lab.caches.stream import Setting, grid
from routelab.lab.caches.streamed import stream
from routelab.lab.caches.traffic import Traffic
from routelab.lab.charts import CACHES, chart
from routelab.lab.charts.cachecurve import EXACT, SEMANTIC, TRUE, cache_thresholds, course_of_curve, course_of_tallies
from routelab.lab.charts.cachehits import Arrivals, arrivals_of, cache_hits
from routelab.lab.charts.cachescores import Alike, cache_similarity

N = 200


def made() -> tuple[Any, Any]:
    rng = np.random.default_rng(1)
    same = rng.random(N) < 0.5
    scores = np.clip(np.where(same, 0.9, 0.8) + rng.normal(0, 0.08, N), 0, 1)
    return scores, same


def course(**given: Any) -> Any:
    scores, same = made()
    found = curve(scores, same, np.arange(2 * N).reshape(N, 2))
    return found, course_of_curve(found, **{"name": "made", "about": "pairs", "budget": 0.05, **given})


def drawn(found: Any) -> str:
    return json.dumps(found.figure.to_plotly_json(), default=str)


def test_a_course_holds_what_the_curve_says_of_every_threshold() -> None:
    found, drawn_course = course(thresholds=[0.9, 0.7, 0.8])
    assert drawn_course.thresholds.tolist() == [0.7, 0.8, 0.9]
    for k, threshold in enumerate((0.7, 0.8, 0.9)):
        point = found.at(threshold)
        assert drawn_course.hits[TRUE][k] == point.true_hit_rate
        assert drawn_course.false[k] == point.false_hit_rate
        assert (drawn_course.low[k], drawn_course.high[k]) == point.false_hit_ci
        assert drawn_course.upper[k] == point.false_hit_upper


def test_where_nothing_hits_the_false_hit_rate_is_unknown_and_not_zero() -> None:
    found, nothing = course(thresholds=[0.8, 2.0])
    assert found.at(2.0).hits == 0
    assert math.isnan(nothing.false[1])
    shown = cache_thresholds(nothing, chosen=2.0)
    assert shown.table.rows[1] == ("→ 2.0000", "0.0 %", "?", "?")
    line = next(t for t in shown.figure.data if t.name == "false-hit rate")
    assert line.y[1] is None


def test_the_threshold_that_was_chosen_is_marked_in_the_figure_and_in_the_table() -> None:
    shown = cache_thresholds(course()[1], chosen=0.85)
    assert [row[0] for row in shown.table.rows if "→" in row[0]] == ["→ " + f"{float(row_at(shown)):.4f}"]
    assert shown.figure.layout.shapes[0].x0 == 0.85
    assert "budget of 5.00 %" in shown.caption


def row_at(shown: Any) -> str:
    return next(str(row[0]).removeprefix("→ ") for row in shown.table.rows if "→" in row[0])


def traffic(**given: Any) -> Traffic:
    texts = [["one", "two", "three"][i % 3] for i in range(60)]
    return Traffic.of(
        texts,
        **{
            "at_s": [float(i) for i in range(60)],
            "labels": texts,
            "cost_usd": np.full(60, 0.5),
            "latency_s": np.full(60, 2.0),
            **given,
        },
    )


def test_the_course_of_traffic_holds_the_tallies_and_leaves_out_what_has_no_threshold() -> None:
    played = stream(traffic(), grid(thresholds=[None, 0.9, 0.5]), embedder="lexical")
    tallies = played.tallies("earlier")
    found = course_of_tallies(tallies, name="t", about="a", budget=0.01, simulated=True)
    assert found.thresholds.tolist() == [0.5, 0.9]
    first = next(t for t in tallies if t.threshold == 0.5)
    assert (found.hits[EXACT][0], found.hits[SEMANTIC][0]) == (
        first.exact_hits / first.n,
        first.semantic_hits / first.n,
    )
    assert (found.saved_usd[0], found.saved_s[0]) == (first.saved_usd, first.saved_s)
    shown = cache_thresholds(found)
    assert "(simulated)" in shown.title
    assert shown.table.head[-2:] == ("saved", "waits saved")


def test_similarities_are_counted_once_each_right_above_and_wrong_below() -> None:
    scores, same = made()
    passed = np.arange(N) % 3 > 0
    shown = cache_similarity(Alike(name="made", about="pairs", scores=scores, same=same, passed=passed), threshold=0.9)
    bars = {trace.name: trace.y for trace in shown.figure.data}
    assert sum(abs(v) for y in bars.values() for v in y) == N
    assert sum(v for y in bars.values() for v in y if v > 0) == int(same.sum())
    assert sum(int(row[1].replace(",", "")) for row in shown.table.rows) == int((same & passed).sum())
    assert shown.figure.layout.shapes[0].x0 == 0.9
    assert f"median of the right pairs {np.median(scores[same]):.3f}" in shown.caption


def test_verdicts_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(ValueError, match="do not go together"):
        Alike(name="a", about="b", scores=np.zeros(3), same=np.zeros(2, dtype=bool), passed=np.ones(3, dtype=bool))


def test_who_answered_is_what_the_pass_says_in_order_of_arrival() -> None:
    played = stream(traffic(), [Setting(exact=True, ttl_s=5.0, stale_s=2.0)], embedder="lexical")
    found = arrivals_of(played)
    trace = played.trace(0)
    assert found.at_s.tolist() == trace["at_s"].tolist()
    expected = [
        "miss" if by == "model" else "stale" if stale else by
        for by, stale in zip(trace["answered_by"], trace["stale"], strict=True)
    ]
    assert list(found.level) == expected
    assert {"exact", "stale", "miss"} == set(expected)
    early = arrivals_of(played, within=played.early)
    assert list(early.level) == expected[: int(played.early.sum())]


def test_shares_over_time_add_up_to_all_requests() -> None:
    level = ["miss", "exact", "exact", "semantic", "stale"] * 20
    shown = cache_hits(Arrivals(name="a", about="b", level=level, at_s=np.zeros(0)))
    assert sum(int(row[1]) for row in shown.table.rows) == 100
    whole = np.sum([trace.y for trace in shown.figure.data], axis=0)
    assert np.allclose(whole, 100)
    assert shown.table.head[0] == "from request"


def test_the_log_s_times_are_told_in_utc() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()
    shown = cache_hits(
        Arrivals(name="a", about="b", level=["miss"] * 8, at_s=np.array([at + i for i in range(8)]), clock=True)
    )
    assert shown.table.rows[0][0] == "01-02 03:04:05"
    assert shown.figure.layout.xaxis.type == "date"


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_and_one_request_are_drawn_too(n: int) -> None:
    shown = cache_hits(Arrivals(name="a", about="", level=["exact"] * n, at_s=np.zeros(n)))
    assert sum(int(row[1]) for row in shown.table.rows) == n
    assert drawn(shown)


def test_names_of_others_are_only_text_in_every_chart_of_a_cache() -> None:
    name = " ".join(HOSTILE)
    scores, same = made()
    everything = [
        cache_thresholds(course(name=name, about=name)[1]),
        cache_similarity(Alike(name=name, about=name, scores=scores, same=same, passed=~same)),
        cache_hits(Arrivals(name=name, about=name, level=["miss"] * 9, at_s=np.zeros(0))),
    ]
    for shown in everything:
        assert "<img" not in drawn(shown)
        assert "<script" not in drawn(shown)
        assert "<img" not in shown._repr_mimebundle_()["text/html"]


def test_the_table_of_kinds_draws_each_from_its_own_value() -> None:
    scores, same = made()
    values = {
        "cache thresholds": course()[1],
        "cache similarity": Alike(name="a", about="b", scores=scores, same=same, passed=same),
        "cache hits": Arrivals(name="a", about="b", level=["miss"], at_s=np.zeros(0)),
    }
    assert set(values) == set(CACHES)
    for kind, value in values.items():
        assert chart(kind, value).kind == kind
    with pytest.raises(ConfigError, match="is drawn from Course, not from Arrivals"):
        chart("cache thresholds", values["cache hits"])
    with pytest.raises(ConfigError, match="unknown option 'chosn'; did you mean 'chosen'"):
        chart("cache thresholds", values["cache thresholds"], chosn=0.9)
    with pytest.raises(ConfigError, match="did you mean 'cache hits'"):
        chart("cache hit", values["cache hits"])
