"""The log's panel: sums, lists, filters, and a run opened."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import html5lib
import pytest

from routelab.caching import CacheConfig
from routelab.config import RouteConfig
from routelab.core.errors import RateLimited
from routelab.lab.datasets import Dataset
from routelab.lab.session import Lab
from routelab.panels import logbook
from routelab.panels.logbook import Wanted
from routelab.panels.logview import _LogView, kinds_table
from routelab.testing import Scripted, fleet

HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(2)"></div> $x$ \x1b[31m \u202e <b>'


@pytest.fixture
def lab() -> Iterator[Lab]:
    answers = {"good": Scripted("four"), "bad": Scripted(RateLimited("slow down")), "nasty": Scripted(HOSTILE)}
    with Lab(fleet=fleet(answers)) as lab:
        data = [
            {"id": f"q{i}", "prompt": f"what is {i} + {i}?", "task": "sums" if i < 20 else "other"} for i in range(25)
        ]
        lab.compare(data, ["good"])
        lab.arms["spare"] = RouteConfig(
            name="spare",
            models=["bad", "good"],
            strategy={"kind": "fixed", "model": "bad"},
            fallbacks={"bad": ["good"]},
        )
        lab.router("spare").with_setting(arm="spare").route("who is there?")
        kept = RouteConfig(
            name="kept", models=["good"], strategy={"kind": "fixed", "model": "good"}, cache=CacheConfig(exact=True)
        )
        router = lab.router(kept).with_setting(arm="kept")
        router.route("again?")
        router.route("again?")
        yield lab


def opened(lab: Lab) -> _LogView:
    return _LogView(lab.desk)


def test_the_sums_are_those_of_the_log(lab: Lab) -> None:
    found = logbook.totals(lab.log, Wanted())
    spent = lab.log.query("select sum(cost_usd) from calls where not cached")[0][0]
    assert (found.runs, found.failed, found.cached) == (28, 0, 1)
    assert found.calls == lab.log.query("select count(*) from calls where not cached")[0][0]
    assert (
        found.errors
        == lab.log.query("select count(*) from calls where status not in ('answered', 'recalled')")[0][0]
        > 0
    )
    assert found.spent_usd == pytest.approx(spent)
    assert found.saved_usd == pytest.approx(lab.log.query("select sum(saved_usd) from cache_hits")[0][0])


def test_filters_choose_runs_and_a_text_is_never_sql(lab: Lab) -> None:
    assert logbook.totals(lab.log, Wanted(task="sums")).runs == 20
    assert logbook.totals(lab.log, Wanted(arm="spare")).runs == 1
    assert logbook.totals(lab.log, Wanted(text="WHAT IS 3 + 3")).runs == 1
    assert logbook.totals(lab.log, Wanted(text="' or 1=1 --")).runs == 0
    assert logbook.totals(lab.log, Wanted(state="from a cache")).runs == 1


def test_pages_hold_every_run_once(lab: Lab) -> None:
    first, total = logbook.page(lab.log, Wanted(), "latest", 0)
    rest, _ = logbook.page(lab.log, Wanted(), "latest", 20)
    assert (len(first), len(rest), total) == (20, 8, 28)
    assert len({run.run_id for run in (*first, *rest)}) == 28
    assert logbook.page(lab.log, Wanted(), "latest", 500) == ([], 28)


def test_the_dearest_come_first_and_errors_name_what_failed_on_the_way(lab: Lab) -> None:
    dear, _ = logbook.page(lab.log, Wanted(), "dearest", 0)
    costs = [run.cost_usd for run in dear]
    assert costs == sorted(costs, key=lambda c: -(c or 0))
    (spare,), total = logbook.page(lab.log, Wanted(), "errors", 0)
    assert (spare.arm, spare.model, spare.answered, total) == ("spare", "good", True, 1)
    assert "slow down" in spare.error


def test_the_panel_shows_a_page_turns_it_and_opens_a_run(lab: Lab) -> None:
    view = opened(lab)
    assert "28 runs" in view.panel.still()["text/plain"]
    shown = [row for row in view.listing._rows if row.layout.display == "flex"]
    assert (len(shown), view.listing.back.disabled, view.listing.on.disabled) == (20, True, False)
    view.listing.on.click()
    assert len([row for row in view.listing._rows if row.layout.display == "flex"]) == 8
    assert (view.listing.back.disabled, view.listing.on.disabled) == (False, True)
    view.listing._buttons[2].click()
    assert view.opened is not None
    assert view.opened.id == view.runs[2].run_id
    assert "Answered" in view.trace.value
    assert view.opened.id in view.panel.still()["text/plain"]
    view.listing._buttons[2].click()
    assert (view.opened, view.detail.layout.display) == (None, "none")


def test_a_filter_begins_at_the_first_page(lab: Lab) -> None:
    view = opened(lab)
    view.listing.on.click()
    view.filters["task"].value = "other"
    assert (view.listing.start, len(view.runs), view.total) == (0, 5, 5)
    view.view.value = "cache hits"
    assert "no cache hits" in view.listing._empty.value
    view.filters["task"].value = "all"
    assert [run.cached for run in view.runs] == [True]


@pytest.mark.parametrize("view", ["spend", "tokens"])
def test_charts_of_the_log_are_shown_with_their_table_in_the_still(lab: Lab, view: str) -> None:
    panel = opened(lab)
    panel.view.value = view
    (output,) = panel.picture.widget.outputs
    assert "application/vnd.plotly.v1+json" in output["data"]
    assert panel.picture.chart is not None
    assert panel.picture.chart.table.text() in panel.panel.still()["text/plain"]


def test_tokens_of_a_kind_of_prompt_mark_estimates_and_what_was_not_reported() -> None:
    table = kinds_table([("sums", "m", 4, 100, None, 40, None, 1, 0.002, 2, True)])
    assert table.rows == [("sums", "m (simulated)", "4", "~100", "–", "~40", "–", "$1.00", "$0.00200 (2 unpriced)")]


def test_new_runs_are_there_after_refresh(lab: Lab) -> None:
    view = opened(lab)
    lab.router("good").route("one more")
    view.refresh.click()
    assert view.total == 29


def test_nothing_a_model_or_a_user_wrote_becomes_html(lab: Lab) -> None:
    nasty = RouteConfig(name="nasty", models=["nasty"], strategy={"kind": "fixed", "model": "nasty"})
    lab.router(nasty).with_setting(arm=HOSTILE).route(HOSTILE, task=HOSTILE)
    view = opened(lab)
    place = next(i for i, run in enumerate(view.runs) if run.arm)
    view.listing._buttons[place].click()
    for value in (
        view.trace.value,
        view.summary.value,
        *(c.value for c in view.listing._cells),
        view.panel.still()["text/html"],
    ):
        tags = {element.tag for element in html5lib.parse(value, namespaceHTMLElements=False).iter()}
        assert not tags & {"script", "img"}, tags
        assert "\x1b" not in value
        assert "\u202e" not in value


def test_an_empty_log_says_so() -> None:
    with Lab(fleet=fleet({"good": Scripted("four")})) as lab:
        view = opened(lab)
        assert "no runs" in view.panel.still()["text/plain"]
        for name in ("spend", "tokens", "errors"):
            view.view.value = name
        assert view.line.text == ""


def test_the_log_view_follows_jobs(lab: Lab) -> None:
    view = opened(lab)
    experiment: Any = lab.experiment(Dataset.of([f"p{i}" for i in range(4)]), ["good"])
    job = lab.desk.start("more", lambda: experiment.play(jobs=2), progress=lambda: experiment.progress)
    job.wait(20)
    assert view.total == 32
