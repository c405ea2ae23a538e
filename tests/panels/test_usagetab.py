"""The Tokens tab: read from the log, filtered, drawn, and still without a widget."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from cached import HOSTILE, elements, read, settled

from routelab.core.errors import ConfigError
from routelab.fleet import Fleet
from routelab.lab.charts import chart
from routelab.lab.datasets import Dataset
from routelab.lab.session import Lab
from routelab.lab.usage.monitor import usage
from routelab.panels.usage import EMPTY, Tokens
from routelab.testing import Scripted, fleet


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab(fleet=Fleet.practice(latency=0)) as lab:
        lab.compare(Dataset.load("workbench").sample(21), ["gpt-5-mini", "qwen-local"])
        yield lab


def test_an_empty_log_says_what_will_stand_here() -> None:
    with Lab(fleet=Fleet.practice(latency=0)) as lab:
        tab = Tokens(lab.desk)
        assert read(tab.summary.value) == EMPTY
        assert tab.panel.still()["text/plain"] == EMPTY
        assert tab.picture.chart is None


def test_the_tab_shows_the_types_of_the_log_and_says_that_they_are_simulated(lab: Lab) -> None:
    tab = Tokens(lab.desk)
    calls = lab.log.query("select count(*) from calls where status = 'answered'")[0][0]
    assert read(tab.summary.value).startswith(f"{calls:,} calls (all simulated) of 14 query types")
    assert tab.picture.chart is not None
    assert tab.picture.chart.title == "Tokens in all by query type · simulated"
    assert tab.used is not None
    assert sum(t.calls for t in tab.used.types) == calls
    still = tab.panel.still()
    for text in (still["text/plain"], read(still["text/html"])):
        assert "tokens by query type, the dearest first (all simulated)" in text
        assert "gpt-5-mini" in text


def test_what_may_be_spared_is_looked_for_beside_and_stands_in_the_still(lab: Lab) -> None:
    tab = Tokens(lab.desk)
    settled(*tab.jobs)
    assert tab.told is not None
    assert "Nothing was found that uses more than it is shown to need" in read(tab.found.value)
    tab.margin.value = 7.0
    settled(*tab.jobs)
    assert tab.told.margin == 0.07
    still = tab.panel.still()["text/plain"]
    assert "Nothing was found" in still
    assert "looking for" not in still


def test_filters_narrow_everything(lab: Lab) -> None:
    tab = Tokens(lab.desk)
    tab.filters["model"].value = "qwen-local"
    assert tab.used is not None
    assert {t.model for t in tab.used.types} == {"qwen-local"}
    tab.filters["task"].value = "research"
    assert [(t.task, t.model) for t in tab.used.types] == [("research", "qwen-local")]
    assert "of 1 query type" in read(tab.summary.value)


def test_the_bars_are_of_all_tokens_of_a_call_s_or_of_the_cost(lab: Lab) -> None:
    tab = Tokens(lab.desk)
    for measure, title in (("a call", "Tokens a call"), ("cost", "USD per 1,000 calls")):
        tab.measure.value = measure
        assert tab.picture.chart is not None
        assert tab.picture.chart.title.startswith(title)


def test_the_tab_reads_the_log_again_when_told_and_when_asked(lab: Lab) -> None:
    tab = Tokens(lab.desk)
    before = read(tab.summary.value)
    lab.router("gpt-5").route("And now?")
    lab.desk.tell("log")
    assert read(tab.summary.value) != before
    assert "gpt-5" in tab.filters["model"].options
    tab.filters["model"].value = "gpt-5"
    tab.refresh.click()
    assert tab.filters["model"].value == "gpt-5"


def test_hostile_names_are_only_text() -> None:
    with Lab(fleet=fleet({"nasty": Scripted(HOSTILE)})) as lab:
        lab.compare([{"id": "a", "prompt": HOSTILE, "task": HOSTILE}], ["nasty"])
        tab = Tokens(lab.desk)
        settled(*tab.jobs)
        for value in (tab.table.value, tab.found.value, tab.panel.still()["text/html"]):
            assert not elements(value) & {"script", "img"}
        assert tab.picture.chart is not None
        assert "<script>" not in str(tab.picture.chart.figure)


def test_what_is_drawn_adds_up_to_what_is_in_the_log(lab: Lab) -> None:
    used = usage(lab.log, prices=lambda model: {m.name: m.price for m in lab.fleet.models}[model])
    figure = chart("usage", used).figure
    drawn = sum(sum(bar.x) for bar in figure.data)
    assert drawn == lab.log.query("select sum(input_tokens + output_tokens) from calls where not cached")[0][0]
    paid = chart("usage", used, measure="cost").figure.data
    each = sorted(sum(bar.x[i] for bar in paid) for i in range(len(paid[0].x)))
    known = sorted(t.thousand_usd for t in used.types if t.thousand_usd)
    assert each == pytest.approx(known)


def test_few_bars_are_drawn_and_the_table_has_all(lab: Lab) -> None:
    drawn = chart("usage", usage(lab.log), limit=3)
    assert len(drawn.figure.data[0].x) == 3
    assert len(drawn.table.rows) == 14
    assert "11 smaller bars in the table only" in drawn.caption
    with pytest.raises(ConfigError, match="measure: unknown 'words'"):
        chart("usage", usage(lab.log), measure="words")
    with pytest.raises(ConfigError, match="is drawn from Usage"):
        chart("usage", [])
