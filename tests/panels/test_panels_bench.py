"""The bench: tabs made when they are opened, frames over the log, jobs, and a still for every one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from routelab.core.errors import DataError
from routelab.core.events import Blocked
from routelab.core.run import Run
from routelab.core.values import Prompt
from routelab.lab.compare import Comparison
from routelab.lab.job import Job
from routelab.lab.outcomes import Outcomes
from routelab.lab.session import Lab
from routelab.lab.trial import Progress
from routelab.panels import frames
from routelab.panels.bench import _Bench
from routelab.panels.jobs import _Jobs
from routelab.panels.panel import Panel
from routelab.panels.recorded import EMPTY, _Recorded
from routelab.panels.tabs import TABS, Tab
from routelab.testing import Scripted, fleet


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab(fleet=fleet({"good": Scripted("four"), "cheap": Scripted("five")})) as lab:
        yield lab


def test_every_tab_opens_over_an_empty_log_and_has_a_still(lab: Lab) -> None:
    bench = _Bench(lab.desk, TABS)
    for place, tab in enumerate(TABS):
        bench.widget.selected_index = place
        assert place in bench.made, tab.title
        still = bench.panel.still()
        assert still["text/plain"].strip(), tab.title
        assert still["text/html"].startswith('<div class="rl-still-'), tab.title


def test_a_tab_is_made_when_it_is_opened_first_and_once(lab: Lab) -> None:
    made: list[str] = []

    def make(name: str) -> Tab:
        def build(desk: Any) -> Panel:
            made.append(name)
            return frames.frame(frames.GUARDS)(desk)

        return Tab(title=name, says="a tab", make=build)

    bench = _Bench(lab.desk, (make("a"), make("b")))
    assert made == ["a"]
    bench.widget.selected_index = 1
    bench.widget.selected_index = 0
    bench.widget.selected_index = 1
    assert made == ["a", "b"]


def test_a_tab_that_cannot_be_made_says_why(lab: Lab) -> None:
    def broken(desk: Any) -> Panel:
        raise DataError("no such thing")

    bench = _Bench(lab.desk, (Tab(title="a", says="a tab", make=broken),))
    assert bench.panel.still()["text/plain"] == "✗ no such thing"


def test_frames_show_what_the_log_has(lab: Lab) -> None:
    assert frames.GUARDS.empty in frames.frame(frames.GUARDS)(lab.desk).still()["text/plain"]
    blocked = Run(
        id="b",
        prompt=Prompt.of("?"),
        started_at=datetime(2026, 1, 1),
        events=(Blocked(guard="pii", reason="a phone number"),),
    )
    lab.log.record(blocked)
    assert "a phone number" in frames.frame(frames.GUARDS)(lab.desk).still()["text/plain"]


def test_jobs_are_listed_the_latest_first_and_stop(lab: Lab) -> None:
    panel = _Jobs(lab.desk)
    assert "no jobs yet" in panel.panel.still()["text/plain"]
    waiting = lab.desk.start("waits", lambda: asyncio.sleep(60))
    lab.desk.start("quick", lambda: asyncio.sleep(0)).wait(10)
    assert [line.split(" · ")[:2] for line in panel.panel.still()["text/plain"].splitlines()] == [
        ["job 2", "quick"],
        ["job 1", "waits"],
    ]
    waiting.cancel()
    waiting.wait(10)
    assert waiting.state == "stopped"
    assert "stopped" in panel.panel.still()["text/plain"]


def test_a_job_shows_its_comparison(lab: Lab) -> None:
    experiment = lab.experiment(["one", "two"], ["good", "cheap"])
    job = lab.desk.start("run", lambda: experiment.play(jobs=2), result=experiment.result)
    job.wait(20)
    panel = _Jobs(lab.desk)
    panel._show(job)
    assert isinstance(lab.desk.comparison, Comparison)


def test_a_job_has_its_result_when_its_end_is_told() -> None:
    told: list[Any] = []

    async def work() -> int:
        await asyncio.sleep(0.01)
        return 3

    job = Job("work", work)
    job.watch(lambda: told.append((job.done, job.finished(), job.error)) if job.done else None)
    assert job.result(10) == 3
    assert told == [(True, 3, None)]


def test_a_job_that_fails_says_with_what_when_its_end_is_told() -> None:
    told: list[Any] = []

    async def work() -> int:
        await asyncio.sleep(0.01)
        raise DataError("no")

    job = Job("work", work, progress=lambda: Progress(done=1, total=2, spent_usd=0.0, errors=0))
    job.watch(lambda: told.append((job.state, job.error)) if job.done else None)
    with pytest.raises(DataError, match="no"):
        job.result(10)
    assert told == [("failed", job.error)]


def test_the_tune_tab_finds_outcomes_in_the_log_and_opens_them(lab: Lab) -> None:
    empty = _Recorded(lab.desk)
    assert (empty.line.text, empty.open.disabled) == (EMPTY, True)
    data = [
        {"id": f"q{i}", "prompt": f"say four {i}", "scorer": {"kind": "exact", "answers": ["four"]}} for i in range(40)
    ]
    lab.collect(data, ["good", "cheap"], name="numbers")
    empty.refresh.click()
    assert (empty.open.disabled, empty.line.text) == (False, "")
    empty.open.click()
    assert empty.running.job is not None
    empty.running.job.wait(60)
    assert (empty.line.text, empty.tuned is not None) == ("", True)
    shown = empty.panel.still()["text/plain"]
    assert "by text" in shown or "good" in shown


def test_the_tune_tab_finds_the_notebooks_variables(lab: Lab) -> None:
    data = [
        {"id": f"q{i}", "prompt": f"say four {i}", "scorer": {"kind": "exact", "answers": ["four"]}} for i in range(40)
    ]
    outcomes = lab.collect(data, ["good", "cheap"], name="numbers")
    assert isinstance(outcomes, Outcomes)
    lab.desk._names = lambda: {"mine": outcomes, "_": outcomes, "other": 3}
    tab = _Recorded(lab.desk)
    assert tab.source.options[0] == "mine: 40 prompts × 2 models"


class Shell:
    """As much of a shell as a panel needs."""

    kernel = None

    def __init__(self) -> None:
        self.published: list[tuple[dict[str, str], dict[str, Any], bool]] = []
        self.display_pub = self

    def publish(self, *, data: dict[str, str], metadata: Any, transient: dict[str, Any], update: bool) -> None:
        self.published.append((data, transient, update))


def test_a_still_is_renewed_under_the_same_display_id(monkeypatch: pytest.MonkeyPatch, lab: Lab) -> None:
    shell = Shell()
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    panel = lab.logview()
    panel.refresh()
    assert shell.published == []
    panel._ipython_display_()
    panel.refresh()
    (_, first, made), (data, second, renewed) = shell.published
    assert (made, renewed, first == second) == (False, True, True)
    assert set(data) == {"text/plain", "text/html"}


def test_the_live_widget_hides_its_own_still_only(lab: Lab) -> None:
    one, other = lab.logview(), lab.logview()
    name = one.still()["text/html"].split('"')[1]
    assert name in one.widget.children[0].value
    assert name not in other.widget.children[0].value
