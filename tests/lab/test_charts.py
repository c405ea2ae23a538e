"""A chart as a value: its figure, its static twin, what it says to each front end, and that nothing in it is markup."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from charted import ELEMENTS, HOSTILE, attributes, compared, elements, tame, words

from routelab.core.errors import ConfigError, DataError
from routelab.lab.charts import KINDS, Chart, chart
from routelab.lab.charts.chart import PLOTLY_MIME
from routelab.lab.compare import Comparison

CALLS = [
    {
        "arm": arm,
        "requested_model": model,
        "status": "answered",
        "cost_usd": 0.001 * (k + 1),
        "latency_s": 0.5 + k,
        "started_at": f"2026-11-21 10:00:{k:02d}",
        "simulated": False,
        "cached": False,
        "input_tokens": 100,
        "output_tokens": 20,
    }
    for k, (arm, model) in enumerate([("a", "x"), ("a", "y"), ("b", "x")] * 4)
]


@pytest.fixture(scope="module")
def comparison(cube: Callable[..., Any]) -> Comparison:
    return compared(cube)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_figure_a_table_and_a_caption_that_counts(kind: str, comparison: Comparison) -> None:
    import plotly.graph_objects as go

    drawn = chart(kind, comparison)
    assert isinstance(drawn.figure, go.Figure)
    assert drawn.kind == kind
    assert drawn.figure is drawn.figure
    assert len(drawn.figure.data) > 0
    assert "n = 120 prompts" in drawn.caption
    assert drawn.table.rows
    assert drawn.table.caption == drawn.title
    assert drawn.table.notes[0] == drawn.caption
    assert len({len(row) for row in drawn.table.rows} | {len(drawn.table.head)}) == 1
    assert repr(drawn) == f"<Chart {kind}: {drawn.title}; {drawn.caption}>"


@pytest.mark.parametrize("kind", KINDS)
def test_a_bundle_serves_live_front_ends_saved_pages_and_terminals(kind: str, comparison: Comparison) -> None:
    drawn = chart(kind, comparison)
    shown = drawn._repr_mimebundle_(include=None, exclude=None)
    assert set(shown) == {PLOTLY_MIME, "text/html", "text/plain"}
    assert json.loads(json.dumps(shown[PLOTLY_MIME], allow_nan=False)) == shown[PLOTLY_MIME]
    assert shown[PLOTLY_MIME]["config"] == {"displaylogo": False, "typesetMath": False}
    assert elements(shown["text/html"]) <= ELEMENTS
    for cell in (cell for row in drawn.table.rows for cell in row):
        assert cell in words(shown["text/html"])
    assert shown["text/plain"].startswith(drawn.title)
    assert drawn.caption in shown["text/plain"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_figure_is_transparent_small_and_without_packed_arrays(kind: str, comparison: Comparison) -> None:
    figure = chart(kind, comparison)._repr_mimebundle_()[PLOTLY_MIME]
    layout = figure["layout"]
    assert (layout["paper_bgcolor"], layout["plot_bgcolor"]) == ("rgba(0,0,0,0)", "rgba(0,0,0,0)")
    assert layout["font"]["color"] == "#7a7a7a"
    assert "width" not in layout
    assert 200 <= layout["height"] <= 900
    # Older renderers (VS Code's) cannot read base64 arrays, and no number goes through a template.
    assert not any(key in json.dumps(figure) for key in ("bdata", "hovertemplate", "texttemplate"))
    assert len(json.dumps(figure)) < 120_000


@pytest.mark.parametrize("kind", KINDS)
def test_a_simulated_comparison_says_so_in_the_title(
    kind: str, cube: Callable[..., Any], comparison: Comparison
) -> None:
    drawn = chart(kind, compared(cube, simulated=True))
    assert drawn.title.endswith("· simulated")
    assert "simulated models: no figure here says anything about a real one" in drawn.caption
    assert drawn.figure.layout.title.text == drawn.title
    assert "simulated" not in chart(kind, comparison).title


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("payload", HOSTILE)
def test_no_name_becomes_markup_on_any_path(kind: str, payload: str, cube: Callable[..., Any]) -> None:
    names = {k: f"{k} {payload}" for k in ("always-free", "always-mid", "always-top", "by-task")}
    tasks = [f"{payload} {i % 2}" for i in range(120)]
    found = compared(
        cube, names=names, models=(f"f{payload}", f"m{payload}", f"t{payload}"), tasks=tasks, dataset=payload
    )
    shown = chart(kind, found)._repr_mimebundle_()
    assert tame(shown[PLOTLY_MIME])
    assert elements(shown["text/html"]) <= ELEMENTS
    assert attributes(shown["text/html"]) <= {"class", "align", "style"}
    assert "\x1b" not in shown["text/plain"]
    assert "\u202e" not in shown["text/plain"]


@pytest.mark.parametrize("kind", [kind for kind, how in KINDS.items() if how.of_calls is not None])
@pytest.mark.parametrize("payload", HOSTILE)
def test_no_name_in_the_log_becomes_markup(kind: str, payload: str) -> None:
    rows = [{**row, "arm": f"{row['arm']}{payload}", "requested_model": payload} for row in CALLS]
    shown = chart(kind, rows)._repr_mimebundle_()
    assert tame(shown[PLOTLY_MIME])
    assert elements(shown["text/html"]) <= ELEMENTS


def test_the_written_file_needs_no_network_and_holds_no_markup_of_a_name(
    cube: Callable[..., Any], tmp_path: Path
) -> None:
    names = {"always-mid": "</script><mischief>", "always-top": "<mischief onload=x>"}
    path = chart("frontier", compared(cube, names=names)).to_html(tmp_path / "f.html")
    page = path.read_text(encoding="utf-8")
    assert path == tmp_path / "f.html"
    assert "<mischief" not in page
    assert "&lt;mischief" in page
    assert not re.search(r"<(script|link|img)[^>]*(src|href)=", page)
    assert "Plotly.newPlot" in page


def test_a_file_that_cannot_be_written_is_one_line(comparison: Comparison, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written") as caught:
        chart("mix", comparison).to_html(tmp_path / "nowhere" / "f.html")
    assert caught.value.hint == "check that the folder exists"


def test_colab_gets_plotlys_own_html(comparison: Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = chart("mix", comparison)
    assert "<script" not in drawn._repr_mimebundle_()["text/html"]
    monkeypatch.setenv("COLAB_NOTEBOOK_ID", "1")
    shown = drawn._repr_mimebundle_()
    assert "Plotly.newPlot" in shown["text/html"]
    assert shown["text/plain"].startswith("Who answered")


def test_an_unknown_kind_names_the_nearest(comparison: Comparison) -> None:
    with pytest.raises(ConfigError) as caught:
        chart("fronteer", comparison)
    assert caught.value.message == "chart: unknown kind 'fronteer'; did you mean 'frontier'?"
    assert (
        caught.value.hint
        == "kinds: frontier, cost, latency, quality, difficulty, mix, spend, slices, calibration, waterfall, thresholds, tokens"
    )


def test_an_unknown_option_names_the_nearest(comparison: Comparison) -> None:
    with pytest.raises(ConfigError, match="chart 'cost': unknown option 'limits'; did you mean 'limit'") as caught:
        chart("cost", comparison, limits=3)
    assert caught.value.hint == "options: limit, log"


@pytest.mark.parametrize("kind", ["frontier", "quality"])
def test_what_needs_quality_is_not_drawn_from_calls(kind: str) -> None:
    with pytest.raises(ConfigError, match="rows of the log hold no quality") as caught:
        chart(kind, CALLS)
    assert caught.value.hint == "pass a Comparison; rows can be drawn as cost, latency, mix, spend, tokens"


@pytest.mark.parametrize("source", [7, "calls", {"arm": "a"}, None])
def test_a_source_that_is_neither_is_named(source: object) -> None:
    with pytest.raises(DataError, match="from a comparison or from rows of `calls`"):
        chart("cost", source)


def test_a_chart_is_drawn_only_when_it_is_looked_at() -> None:
    from routelab.present import Table

    drawn: list[int] = []

    def draw() -> dict[str, Any]:
        drawn.append(1)
        return {"data": [], "layout": {}}

    lazy = Chart(kind="k", title="t", caption="c", table=Table(head=("a",), rows=[("b",)]), draw=draw)
    assert (repr(lazy), drawn) == ("<Chart k: t; c>", [])
    _ = lazy.figure, lazy.figure
    assert drawn == [1]


def test_importing_the_charts_does_not_import_plotly() -> None:
    code = "import sys, routelab.lab.charts, routelab.lab.grid; print('plotly' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
