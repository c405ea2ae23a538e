"""Charts of chunkings: every arm and every chunk is there, in numbers too, and names are only text."""

from __future__ import annotations

import numpy as np
import pytest

from routelab.core.errors import ConfigError
from routelab.lab.charts import VALUES, chart
from routelab.lab.charts.chart import PLOTLY_MIME
from routelab.lab.charts.chunklengths import Lengths, binned, chunk_lengths
from routelab.lab.charts.chunkrecall import Reach, Reached, chunk_recall, reach_of
from routelab.lab.chunks.against import interval_of
from routelab.lab.chunks.bench import Plan, bench
from routelab.lab.chunks.questions import Questions
from routelab.lab.chunks.settings import settings
from routelab.lab.datasets import shipped
from routelab.lab.statistics import Estimate

HOSTILE = "<b>a</b> $x$ <script>alert(1)</script>"


def estimate(value: float, half: float | None) -> Estimate:
    low, high = (None, None) if half is None else (value - half, value + half)
    return Estimate(value=value, low=low, high=high, n=9, method="t", se=0.1)


def reach() -> Reach:
    arms = (
        Reached(name="one", recall=estimate(0.7, 0.1), tokens=estimate(900, 40), course=((500, 0.5), (1000, 0.72))),
        Reached(name=HOSTILE, recall=estimate(0.8, None), tokens=estimate(700, None), chosen=True),
    )
    return Reach(what="5 passages", about="9 questions", arms=arms)


def test_every_arm_is_a_point_with_its_intervals_and_a_row() -> None:
    made = chunk_recall(reach())
    data = made.draw()["data"]
    points = {trace["name"]: trace for trace in data if "name" in trace}
    assert (points["one"]["x"], points["one"]["y"]) == ([900], [70.0])
    assert points["one"]["error_y"]["array"] == pytest.approx([10.0])
    assert points["one"]["error_x"]["arrayminus"] == pytest.approx([40.0])
    [line] = [trace for trace in data if trace["mode"] == "lines"]
    assert (line["x"], line["y"]) == ([500, 1000], [50.0, 72.0])
    [ring] = [t for t in data if t.get("marker", {}).get("symbol") == "circle-open"]
    assert ring["x"] == [700]
    assert made.table.rows[0] == ("one", "70.0 %", "[60.0, 80.0]", "900", "[860, 940]", "0.778")
    assert made.table.rows[1][0] == f"→ {HOSTILE}"
    assert made.table.rows[1][2] == "[?, ?]"
    shown = made._repr_mimebundle_()
    assert "<script" not in shown["text/html"]
    assert "<script" not in str(shown[PLOTLY_MIME])


def test_points_at_one_context_stand_apart() -> None:
    arms = tuple(Reached(name=f"a{i}", recall=estimate(0.5, 0.1), tokens=estimate(1000, 0)) for i in range(5))
    data = chunk_recall(Reach(what="", about="", arms=arms)).draw()["data"]
    at = [trace["x"][0] for trace in data]
    assert at == sorted(set(at))
    assert (min(at), max(at)) == (pytest.approx(976), pytest.approx(1024))


def test_a_bench_is_drawn_at_its_passages_and_at_equal_tokens() -> None:
    handbook = shipped("datasets") / "handbook"
    asked = Questions.read(handbook / "questions.csv", handbook / "corpora")
    found = bench(
        asked, settings(("tokens",), (150, 5000, 6000), (0.0,)), embedders={}, plan=Plan(by=("words",), budgets=(500,))
    )
    made = reach_of(found, asked)
    assert [arm.name for arm in made.arms] == ["tokens 150, words", "tokens 5000, words"]
    assert made.arms[0].recall == interval_of(found.scores["tokens 150, words"].recall, asked)
    assert made.about == "123 questions, 12 sources; 95 % intervals, clustered by source (12)"
    assert sum(arm.chosen for arm in made.arms) == (found.recommended is not None)
    equal = reach_of(found, asked, at=500)
    assert equal.what == "a context of 500 tokens"
    assert equal.arms[0].recall.value == pytest.approx(found.scores["tokens 150, words"].recall_at[500].mean())


def test_every_chunk_is_in_a_bin() -> None:
    lengths = np.array([0.0, 1.0, 199.0, 200.0, 200.0])
    counts, edges = binned(lengths)
    assert counts.sum() == 5
    assert edges[0] == 0
    assert edges[-1] > 200
    assert set(np.diff(edges)) == {edges[1]}
    assert binned(np.zeros(0))[0].sum() == 0


def test_lengths_are_a_line_and_a_row_a_chunker() -> None:
    made = chunk_lengths(
        Lengths(
            about="a text", tokens={"x": np.array([10.0, 20.0, 30.0]), HOSTILE: np.zeros(0)}, duplicated={"x": 0.25}
        )
    )
    assert made.table.rows[0] == ["x", "3", "20", "12", "20", "28", "30", "25.0 %"]
    assert made.table.rows[1][1:3] == ["0", "?"]
    lines = made.draw()["data"]
    assert sum(lines[0]["y"]) == pytest.approx(100)
    assert "<script" not in made._repr_mimebundle_()["text/html"]


def test_both_are_kinds_of_charts() -> None:
    assert {"chunk lengths", "chunk recall"} <= VALUES.keys()
    assert chart("chunk recall", reach()).kind == "chunk recall"
    with pytest.raises(ConfigError, match="is drawn from Reach"):
        chart("chunk recall", 3)
