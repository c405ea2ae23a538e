"""The playground, driven as a person drives it: through what the widgets hold."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator

import ipywidgets
import pytest

from routelab.config import Limits, RouteConfig
from routelab.core.errors import AuthFailed, ServerFailed
from routelab.core.values import Reply, Request
from routelab.fleet import Fleet
from routelab.lab.desk import Desk
from routelab.lab.session import Lab
from routelab.panels.playground import _Playground, playground
from routelab.panels.playgroundcolumn import ARM, NEW, VARIABLE, labels
from routelab.testing import Scripted, fleet
from tests.notebook.test_displays import HOSTILE, assert_tame

PATIENCE_S = 20.0


class Never:
    """A provider that is asked and does not answer."""

    def __init__(self) -> None:
        self.asked = threading.Event()

    async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError("nobody waits that long")


def eventually(holds: Callable[[], object]) -> None:
    """Wait until it holds."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


@pytest.fixture
def made() -> Iterator[Callable[..., _Playground]]:
    """Makes playgrounds over fleets of providers by name, and closes their labs."""
    labs: list[Lab] = []

    def make(_names: dict[str, object] | None = None, **providers: object) -> _Playground:
        lab = Lab(fleet=fleet(providers or {"cheap": Scripted("four"), "good": Scripted("It is 4.")}))  # type: ignore[arg-type]
        labs.append(lab)
        panel = _Playground(Desk(lab, names=lambda: _names or {}))
        panel.prompt.value = "2 + 2?"
        return panel

    yield make
    for lab in labs:
        lab.close()


def run(panel: _Playground) -> None:
    panel.run.click()
    eventually(lambda: panel.job is not None and panel.job.done and not panel.run.disabled)


def htmls(widget: ipywidgets.Widget) -> Iterator[str]:
    """Yield all HTML within a widget."""
    if isinstance(widget, ipywidgets.HTML):
        yield widget.value
    for child in getattr(widget, "children", ()):
        yield from htmls(child)


def test_two_arms_answer_beside_each_other_with_their_traces_and_what_they_cost(
    made: Callable[..., _Playground],
) -> None:
    panel = made()
    run(panel)
    assert [c.answer.text for c in panel.columns if c.answer is not None] == ["four", "It is 4."]
    still = panel.panel.still()
    for said in ("prompt: 2 + 2?", "── cheap ──", "four", "It is 4.", "answered: 10 + 5 tokens", "one prompt: a look"):
        assert said in still["text/plain"]
    assert_tame(still["text/html"])
    eventually(lambda: "this panel: 2 calls · $0.0000300" in panel.meter.value)
    rows = panel.desk.lab.sql("select arm, experiment, status from runs order by arm").to_dict("records")
    assert rows == [{"arm": name, "experiment": panel.experiment, "status": "answered"} for name in ("cheap", "good")]


def test_explain_says_who_would_be_asked_and_asks_nobody(made: Callable[..., _Playground]) -> None:
    cheap = Scripted("four")
    panel = made(cheap=cheap, good=Scripted("4"), best=Scripted("IV"))
    panel.columns[1].arm.value = (NEW, "cascade")
    panel.explain.click()
    eventually(lambda: all(c.explained for c in panel.columns))
    steps = panel.columns[1].explained
    assert steps is not None
    assert [(s.model, s.when) for s in steps.steps] == [
        ("cheap", "first"),
        ("good", "if confidence refuses, or it fails"),
        ("best", "if confidence refuses, or it fails"),
    ]
    assert all(s.about_usd is not None and s.worst_usd is not None and s.about_usd < s.worst_usd for s in steps.steps)
    assert "a dry run: nobody was asked" in panel.panel.still()["text/plain"]
    assert cheap.requests == []


def test_an_unpriced_model_costs_a_question_mark_and_not_nothing() -> None:
    with Lab(fleet=fleet({"cheap": Scripted("four"), "good": Scripted("4")}, usd_per_mtok=None)) as lab:
        panel = _Playground(Desk(lab))
        panel.explain.click()
        eventually(lambda: all(c.explained for c in panel.columns))
        found = panel.columns[0].explained
        assert found is not None
        assert found.table().rows[0][2:] == ["?", "?"]
        run(panel)
        eventually(lambda: "this panel: 2 calls · at least $0 · 2 without a price" in panel.meter.value)


def test_what_is_simulated_says_so(made: Callable[..., _Playground]) -> None:
    with Lab(fleet=Fleet.practice(latency=0)) as lab:
        panel = _Playground(Desk(lab))
        run(panel)
        eventually(lambda: panel.meter.value.count("2 calls · $0 · simulated") == 2)
        assert panel.panel.still()["text/plain"].count("(simulated)") >= 4


def test_stop_in_the_middle_keeps_what_came_and_says_what_did_not(made: Callable[..., _Playground]) -> None:
    slow = Never()
    panel = made(cheap=Scripted("four"), good=slow)
    panel.run.click()
    assert slow.asked.wait(PATIENCE_S)
    eventually(lambda: panel.columns[0].answer is not None)
    assert panel.columns[1].answer is None
    panel.running.stop.click()
    eventually(lambda: not panel.run.disabled)
    eventually(lambda: panel.columns[1].trouble)
    assert (panel.columns[0].answer and panel.columns[0].answer.text, panel.columns[1].trouble) == (
        "four",
        "stopped before it answered",
    )
    assert panel.line.text == ""
    # And once more: the panel is as it was.
    panel.columns[1].arm.value = (ARM, "cheap")
    run(panel)
    assert panel.columns[1].answer is not None


def test_a_click_while_it_runs_is_refused_in_one_line_and_starts_nothing(made: Callable[..., _Playground]) -> None:
    slow = Never()
    panel = made(cheap=Scripted("four"), good=slow)
    panel.run.click()
    assert panel.run.disabled
    panel.run.click()
    assert panel.line.text == "✗ the arms are being asked already"
    panel.explain.click()
    assert panel.line.text == "✗ the arms are being asked now"
    assert len(panel.desk.jobs) == 1
    panel.running.stop.click()
    eventually(lambda: not panel.run.disabled)
    assert panel.line.text == ""


def test_two_threads_that_click_at_once_start_one_job(made: Callable[..., _Playground]) -> None:
    slow = Never()
    panel = made(cheap=slow, good=slow)
    gate = threading.Barrier(2)

    def click() -> None:
        gate.wait()
        panel.run.click()

    threads = [threading.Thread(target=click) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(panel.desk.jobs) == 1
    panel.running.stop.click()
    eventually(lambda: not panel.run.disabled)


def test_a_provider_error_is_that_columns_answer(made: Callable[..., _Playground]) -> None:
    panel = made(cheap=Scripted(AuthFailed("401 for cheap", hint="set KEY")), good=Scripted("4"))
    run(panel)
    assert "✗ AuthFailed: 401 for cheap" in panel.columns[0].body.value
    assert "hint: set KEY" in panel.columns[0].body.value
    assert "✗ failed with AuthFailed, passed over: 401 for cheap" in panel.columns[0].body.value
    assert panel.columns[1].answer is not None
    assert panel.line.text == ""


def test_a_bug_in_a_provider_is_said_in_the_panel_and_the_panel_lives_on(made: Callable[..., _Playground]) -> None:
    class Broken:
        async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
            raise ZeroDivisionError("a bug")

    panel = made(cheap=Broken(), good=Scripted("4"))
    run(panel)
    assert panel.line.text.startswith("✗ ZeroDivisionError: a bug")
    assert panel.desk.jobs[0].state == "failed"
    panel.columns[0].arm.value = (ARM, "good")
    run(panel)
    assert panel.columns[0].answer is not None


def test_a_spent_budget_is_said_and_asks_nobody(made: Callable[..., _Playground]) -> None:
    cheap = Scripted("four")
    panel = made(cheap=cheap, good=Scripted("4"))
    panel.desk.lab.arms["poor"] = RouteConfig(
        name="poor", strategy={"kind": "fixed", "model": "cheap"}, limits=Limits(budget_usd=0.0)
    )
    panel.desk.tell("arms")
    panel.columns[0].arm.value = (ARM, "poor")
    run(panel)
    assert panel.line.text.startswith("✗ stopped at $0 of $0: a call of cheap could cost")
    assert panel.columns[0].trouble.startswith("BudgetExceeded: stopped at $0")
    assert cheap.requests == []
    assert panel.desk.jobs[0].state == "budget spent"


def test_nothing_anybody_says_becomes_html(made: Callable[..., _Playground]) -> None:
    names: dict[str, object] = {"odd": RouteConfig(name=HOSTILE, strategy={"kind": "fixed", "model": "good"})}
    panel = made(names, cheap=Scripted(ServerFailed(HOSTILE)), good=Scripted(HOSTILE))
    panel.desk.lab.arms[HOSTILE] = RouteConfig(name=HOSTILE, strategy={"kind": "fixed", "model": "good"})
    panel.desk.tell("arms")
    panel.prompt.value = HOSTILE
    panel.system.value = HOSTILE
    panel.columns[1].arm.value = (ARM, HOSTILE)
    panel.more.click()
    panel.columns[2].arm.value = (VARIABLE, "odd")
    panel.columns[2].name.value = HOSTILE
    panel.columns[2].save.click()
    for act in (panel.explain, panel.run):
        act.click()
        eventually(lambda: all(c.explained or c.answer for c in panel.columns))
        eventually(lambda: not panel.run.disabled)
        for body in (*htmls(panel.panel.live), panel.panel.still()["text/html"]):
            if body:
                assert_tame(body)
        assert "\x1b" not in panel.panel.still()["text/plain"]


def test_columns_are_added_and_taken_away_between_one_and_four(made: Callable[..., _Playground]) -> None:
    panel = made()
    for _ in range(5):
        panel.more.click()
    assert len(panel.columns) == 4
    assert panel.more.disabled
    for _ in range(5):
        panel.less.click()
    assert len(panel.columns) == 1
    assert panel.less.disabled
    run(panel)
    assert panel.columns[0].answer is not None


def test_the_cell_follows_what_is_chosen(made: Callable[..., _Playground]) -> None:
    panel = made()
    assert panel.cell.widget.value == "%%route cheap good\n2 + 2?"
    assert panel.define.widget.layout.display == "none"
    panel.system.value, panel.temperature.value, panel.most.value = "be brief", "0.2", "50"
    panel.columns[0].controls.inputs["model",].value = "good"  # type: ignore[union-attr]
    assert panel.cell.widget.value == (
        '%%route cheap_changed good --system "be brief" --temperature 0.2 --max-tokens 50\n2 + 2?'
    )
    assert "cheap_changed = RouteConfig(" in panel.define.widget.value
    panel.cell.widget.value = "typed by somebody"
    assert panel.cell.widget.value.startswith("%%route cheap_changed")
    panel.columns[0].reset.click()
    assert panel.cell.widget.value.startswith("%%route cheap good")


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("temperature", "3", "temperature: must lie between 0 and 2, not 3.0"),
        ("temperature", "warm", "temperature: a number is wanted (got 'warm')"),
        ("most", "2.5", "max tokens: a whole number is wanted (got '2.5')"),
        ("prompt", "  ", "there is nothing to ask"),
    ],
)
def test_what_cannot_be_asked_is_one_line_and_no_cell(
    made: Callable[..., _Playground], field: str, typed: str, said: str
) -> None:
    panel = made()
    getattr(panel, field).value = typed
    panel.run.click()
    assert panel.line.text == f"✗ {said}"
    assert panel.desk.jobs == []
    assert panel.cell.widget.value == ""


def test_what_is_asked_has_the_system_prompt_and_the_sampling(made: Callable[..., _Playground]) -> None:
    cheap = Scripted("four")
    panel = made(cheap=cheap, good=Scripted("4"))
    panel.system.value, panel.temperature.value, panel.most.value = "be brief", "0.2", "50"
    run(panel)
    asked = cheap.requests[0]
    assert [(m.role, m.content) for m in asked.messages] == [("system", "be brief"), ("user", "2 + 2?\n")]
    assert (asked.temperature, asked.max_output_tokens) == (0.2, 50)


def test_an_arm_is_saved_and_other_columns_know_it(made: Callable[..., _Playground]) -> None:
    panel = made()
    heard: list[str] = []
    panel.desk.hear("arms", lambda: heard.append("arms"))
    first = panel.columns[0]
    first.controls.inputs["model",].value = "good"  # type: ignore[union-attr]
    first.name.value = "mine-1"
    first.save.click()
    assert panel.desk.lab.arms["mine-1"].ranking.model == "good"  # type: ignore[attr-defined]
    assert panel.desk.lab.arms["mine-1"].name == "mine-1"
    assert heard == ["arms"]
    assert (first.arm.value, first.touched) == ((ARM, "mine-1"), False)
    assert ("mine-1", (ARM, "mine-1")) in panel.columns[1].arm.options
    assert panel.cell.widget.value.startswith("%%route mine-1 good\n")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("good", "'good' is a model of this fleet"),
        ("cascade", "'cascade' is a strategy"),
        ("", "an arm cannot be called ''"),
        ("two words", "an arm cannot be called 'two words'"),
        ("a.yaml", "an arm cannot be called 'a.yaml'"),
    ],
)
def test_a_name_that_means_something_else_is_refused(made: Callable[..., _Playground], name: str, said: str) -> None:
    panel = made()
    panel.columns[0].name.value = name
    panel.columns[0].save.click()
    assert panel.line.text == f"✗ {said}"
    assert panel.desk.lab.arms == {}


def test_a_strategy_can_be_begun_from_nothing_and_what_does_not_fit_is_said(made: Callable[..., _Playground]) -> None:
    panel = made()
    panel.columns[0].arm.value = (NEW, "agreement")
    assert panel.columns[0].line.text == "✗ agreement asks at least three models"
    panel.run.click()
    assert panel.line.text == "✗ agreement asks at least three models"
    for kind in ("split", "cascade", "bandit"):
        panel.columns[0].arm.value = (NEW, kind)
        assert panel.columns[0].line.text == ""
        run(panel)
        assert panel.columns[0].answer is not None
    panel.columns[0].arm.value = (ARM, "rules")
    assert "which this fleet does not have" in panel.columns[0].line.text


def test_the_same_arm_twice_is_two_columns(made: Callable[..., _Playground]) -> None:
    panel = made()
    panel.columns[1].arm.value = (ARM, "cheap")
    run(panel)
    assert "── cheap ──" in panel.panel.still()["text/plain"]
    assert "── cheap 2 ──" in panel.panel.still()["text/plain"]
    assert labels(["a", "a 2", "a", "a"]) == ["a", "a 2", "a 3", "a 4"]


def test_a_new_run_does_not_leave_old_answers_and_a_late_explanation_is_not_shown(
    made: Callable[..., _Playground],
) -> None:
    panel = made()
    panel.explain.click()
    run(panel)
    time.sleep(0.3)
    assert all(c.answer is not None and c.explained is None for c in panel.columns)


def test_the_door_returns_the_panel_with_nothing_asked_yet() -> None:
    with Lab(fleet=fleet({"only": Scripted("x")})) as lab:
        panel = playground(Desk(lab))
        assert panel.name == "playground"
        assert "not asked yet" in panel.still()["text/plain"]
