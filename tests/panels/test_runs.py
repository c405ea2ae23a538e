"""The Compare tab, driven through its widgets: what it may cost, Run, Stop, what is kept, and earlier experiments."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import ipywidgets
import pandas as pd
import pytest

from routelab.config import RouteConfig
from routelab.core.errors import AuthFailed, DataError, UnavailableError
from routelab.core.values import Reply, Request, Tokens
from routelab.fleet import Fleet
from routelab.lab.compare import Comparison
from routelab.lab.datasets import Dataset
from routelab.lab.desk import Desk
from routelab.lab.session import Lab
from routelab.panels.reopened import Unread, experiments, reopened
from routelab.panels.runs import _Runs, runs
from routelab.panels.runsahead import SHIPPED, VARIABLE, ahead, arms_of, data_of, loaded
from routelab.testing import Scripted, fleet
from tests.notebook.test_displays import HOSTILE, assert_tame

PATIENCE_S = 30.0
SAME = [{"prompt": f"{i} + {4 - i}?", "scorer": {"kind": "number", "answer": 4}} for i in range(40)]
NUMBERS = [{"prompt": f"{i} + {i}?", "scorer": {"kind": "number", "answer": 2 * i}} for i in range(12)]


class Some:
    """A provider that answers so many prompts and then no more."""

    def __init__(self, n: int) -> None:
        self.left = n
        self.stuck = threading.Event()

    async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
        self.left -= 1
        if self.left < 0:
            self.stuck.set()
            await asyncio.Event().wait()
        return Reply(text="4", served_model="x", tokens=Tokens(input=10, output=5, source="usage"), latency_s=0.1)


def eventually(holds: Callable[[], object]) -> None:
    """Wait until it holds."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


Maker = Callable[..., _Runs]


@pytest.fixture
def made() -> Iterator[Maker]:
    """Makes Compare tabs over fleets of providers by name and the notebook's `numbers`, and closes their labs."""
    labs: list[Lab] = []

    def make(_names: dict[str, Any] | None = None, _usd: float | None = 1.0, **providers: object) -> _Runs:
        chosen = providers or {"cheap": Scripted("4"), "good": Scripted("6")}
        lab = Lab(fleet=fleet(chosen, usd_per_mtok=_usd))  # type: ignore[arg-type]
        labs.append(lab)
        panel = _Runs(Desk(lab, names=lambda: {"numbers": NUMBERS, **(_names or {})}))
        panel.data.value = (VARIABLE, "numbers")
        return panel

    yield make
    for lab in labs:
        lab.close()


def ended(panel: _Runs) -> None:
    eventually(lambda: panel.job is not None and panel.job.done and not panel.run.disabled)


def run(panel: _Runs) -> Comparison:
    panel.run.click()
    ended(panel)
    eventually(lambda: panel.shown is not None)
    assert panel.comparison is not None
    return panel.comparison


def htmls(widget: ipywidgets.Widget) -> Iterator[str]:
    if isinstance(widget, ipywidgets.HTML):
        yield widget.value
    for child in getattr(widget, "children", ()):
        yield from htmls(child)


def test_a_comparison_by_clicking_is_the_labs_own_and_the_desk_looks_at_it(made: Maker) -> None:
    panel = made()
    panel.margin.value = 5.0
    panel.baseline.value = "good"
    found = run(panel)
    assert panel.desk.comparison is found
    assert [a.name for a in found.arms] == ["good", "cheap"]
    assert (found.baseline.name, found.terms.margin, found.terms.confirm) == ("good", 0.05, 12)
    assert found["good"].figures.quality is not None
    still = panel.panel.still()
    assert "numbers: good, cheap" in still["text/plain"]
    assert "24 answers" in still["text/plain"]
    assert found.why in still["text/plain"]
    assert_tame_styles(still["text/html"])


def test_the_estimate_says_runs_prices_and_what_is_not_known(made: Maker) -> None:
    panel = made()
    panel.prompts.value = 10
    eventually(lambda: "10 prompts × 2 arms = 20 runs" in panel.said)
    assert re.search(r"first choices about \$0\.0\d+ \(90 %: \$0\.0\d+ to \$0\.0\d+\) · at most \$0\.0\d+", panel.said)
    assert panel.said in panel.panel.still()["text/plain"]
    panel.boxes["cheap"].value = False
    eventually(lambda: "10 prompts × 1 arm = 10 runs" in panel.said)
    panel.boxes["good"].value = False
    assert panel.said == ""


def test_an_estimate_without_prices_says_so(made: Maker) -> None:
    panel = made(_names={"plain": ["a", "b"]}, _usd=None)
    panel.data.value = (VARIABLE, "plain")
    eventually(lambda: "2 prompts" in panel.said)
    assert "at most ?" in panel.said
    assert "unpriced, and not in it: good, cheap" in panel.said
    assert "2 of 2 prompts have no scorer, so no quality" in panel.said


def test_an_estimate_of_many_prompts_says_on_how_many_it_rests() -> None:
    with Lab(fleet=Fleet.practice(latency=0)) as lab:
        found = ahead(
            lab, Dataset.of([f"question {i}" for i in range(900)]), {"qwen-local": "qwen-local", "rules": "rules"}
        )
        assert found.looked == 300
        assert "900 prompts × 2 arms = 1,800 runs" in found.text
        assert "worked out on 300 prompts" in found.text
        assert found.text.endswith("simulated")


def test_a_gates_estimate_holds_everybody_it_may_ask(made: Maker) -> None:
    lab = made().desk.lab
    gate = {"scorer": "nonempty", "at_least": 1}
    both = RouteConfig(name="both", strategy={"kind": "cascade", "gate": gate, "order": ["cheap", "good"]})
    data = Dataset.of(NUMBERS)
    one, two = (ahead(lab, data, {"x": arm}).worst_usd for arm in ("cheap", both))
    assert one is not None
    assert two == pytest.approx(2 * one)
    assert ahead(lab, data, {"x": both}).text.endswith("if gates refuse all they can, judges included")


def test_stop_in_the_middle_keeps_what_every_arm_finished(made: Maker) -> None:
    slow = Some(5)
    panel = made(cheap=Scripted("4"), good=slow)
    panel.jobs.value = 1
    panel.run.click()
    assert slow.stuck.wait(PATIENCE_S)
    eventually(lambda: "finished" in panel._arms.value)
    assert panel.shown is None
    panel.running.stop.click()
    ended(panel)
    eventually(lambda: panel.shown is not None)
    assert panel.comparison is not None
    assert panel.comparison.terms.confirm == 5
    assert panel.comparison.winner() is None
    assert any(note.startswith("stopped early") for note in panel.comparison.terms.notes)
    assert panel._arms.value == ""


def test_stop_before_anything_is_whole_says_so(made: Maker) -> None:
    slow = Some(0)
    panel = made(cheap=Scripted("4"), good=slow)
    panel.run.click()
    assert slow.stuck.wait(PATIENCE_S)
    panel.running.stop.click()
    ended(panel)
    eventually(lambda: panel.line.text.startswith("no prompt was finished by every arm"))
    assert panel.shown is None


def test_a_spent_budget_is_one_line_and_what_was_finished_is_shown(made: Maker) -> None:
    panel = made()
    panel.jobs.value = 1
    panel.budget.value = "0.0043"
    panel.run.click()
    ended(panel)
    eventually(lambda: "prompts are finished" in panel.line.text)
    assert panel.line.text.startswith("✗ stopped at ")
    assert "\n" not in panel.line.text
    assert panel.desk.jobs[0].state == "budget spent"


@pytest.mark.parametrize(
    ("typed", "said"), [("-1", "budget: a number of at least 0 is wanted (got '-1')"), ("much", "(got 'much')")]
)
def test_a_budget_that_is_none_asks_nobody(made: Maker, typed: str, said: str) -> None:
    panel = made()
    panel.budget.value = typed
    panel.run.click()
    assert said in panel.line.text
    assert panel.desk.jobs == []


def test_one_arm_is_not_compared(made: Maker) -> None:
    panel = made()
    panel.boxes["cheap"].value = False
    panel.run.click()
    assert panel.line.text == "✗ tick two arms or more"


def test_data_that_cannot_be_taken_is_one_line(made: Maker) -> None:
    names = {"bad": [{"question": "no prompt here"}]}
    panel = made(_names=names)
    panel.data.value = (VARIABLE, "bad")
    eventually(lambda: panel.said.startswith("✗ bad[0]: `prompt` is missing"))
    panel.run.click()
    ended(panel)
    assert panel.line.text.startswith("✗ bad[0]: `prompt` is missing")
    panel.data.value = (VARIABLE, "numbers")
    run(panel)
    assert panel.line.text == ""


def test_provider_errors_are_failures_of_their_arm(made: Maker) -> None:
    panel = made(cheap=Scripted(AuthFailed("no key")), good=Scripted("4"))
    found = run(panel)
    assert found["cheap"].figures.failures == 12
    assert panel.line.text == ""


def test_clicks_while_it_runs_start_nothing_also_from_two_threads(made: Maker) -> None:
    slow = Some(0)
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
    assert panel.run.disabled
    assert panel.line.text == "✗ a comparison is running already"
    panel.running.stop.click()
    ended(panel)


def test_the_search_hides_arms_and_forgets_none(made: Maker) -> None:
    panel = made()
    panel.search.value = "GOO"
    assert {name: box.layout.display for name, box in panel.boxes.items() if name in ("cheap", "good")} == {
        "cheap": "none",
        "good": "",
    }
    assert panel._ticked == ["good", "cheap"]


def test_what_the_notebook_and_the_lab_have_is_listed(made: Maker) -> None:
    names: dict[str, Any] = {
        "In": ["", "x"],
        "frame": pd.DataFrame({"prompt": ["a"]}),
        "data": Dataset.of(["a"]),
        "empty": [],
        "figures": [1, 2],
        "text": "abc",
        "mine": RouteConfig(name="mine", strategy={"kind": "fixed", "model": "cheap"}),
    }
    panel = made(_names=names)
    desk = panel.desk
    assert [key for key in data_of(desk) if key[0] == VARIABLE] == [
        (VARIABLE, name) for name in ("numbers", "frame", "data")
    ]
    assert (SHIPPED, "workbench") in data_of(desk)
    assert set(arms_of(desk)) == {"mine", "random", "cheap", "good"}
    desk.lab.arms["own"] = desk.lab.arm("good")
    desk.tell("arms")
    panel.boxes["own"].value = True
    panel.boxes["mine"].value = True
    panel.boxes["cheap"].value = False
    assert [a.name for a in run(panel).arms] == ["good", "own", "mine"]
    assert len(loaded(desk, (VARIABLE, "numbers"), 5)) == 5
    with pytest.raises(DataError, match="there is no variable 'gone' any more"):
        loaded(desk, (VARIABLE, "gone"), 5)


def test_an_experiment_is_opened_again_as_it_was(made: Maker) -> None:
    panel = made()
    panel.baseline.value, panel.margin.value = "good", 7.0
    before = run(panel)
    eventually(lambda: panel.recent.value is not None)
    panel.open.click()
    eventually(lambda: panel.comparison is not before)
    again = panel.comparison
    assert again is not None
    assert (again.baseline.name, again.terms.margin, again.why) == ("good", 0.07, before.why)
    assert {p.id for p in again.prompts} == {p.id for p in before.prompts}
    pd.testing.assert_frame_equal(
        again.frame.set_index("arm").sort_index(), before.frame.set_index("arm").sort_index(), rtol=1e-9
    )
    assert again["cheap"].config == before["cheap"].config
    assert panel.line.text.startswith("read back from the log, experiment numbers-")


def test_what_the_log_does_not_say_is_chosen_and_told_and_names_no_winner(made: Maker) -> None:
    lab = made().desk.lab
    lab.compare(Dataset.of(NUMBERS), ["cheap", "good"], baseline="good")
    (found,) = experiments(lab.log)
    # As a log describes it that was written before baselines were.
    lab.log.record_experiment(found.id, dataset="numbers", arms=found.arms, detail={"prompts": len(NUMBERS)})
    again = reopened(lab.log, found.id, baseline="good", margin=0.1)
    assert (again.baseline.name, again.terms.margin) == ("good", 0.1)
    assert again.winner() is None
    # All prompts were finished: that is not the reason.
    assert again.why.startswith("nothing is called a winner: the log does not say its baseline and its margin")
    assert again.terms.notes[-1] == again.terms.pending
    assert reopened(lab.log, found.id).baseline.name == "cheap"


def test_a_comparison_of_a_cell_is_opened_again_with_its_winner() -> None:
    with Lab(fleet=fleet({"wrong": Scripted("5"), "right": Scripted("4")})) as lab:
        before = lab.compare(Dataset.of(SAME), ["wrong", "right"], margin=0.05)
        (found,) = experiments(lab.log)
        assert dict(found.detail).items() >= {"baseline": "wrong", "margin": 0.05, "stop": None}.items()
        again = reopened(lab.log, found.id, baseline="right", margin=0.5)
    winner, then = before.winner(), again.winner()
    assert winner is not None
    assert then is not None
    assert (then.name, again.why) == (winner.name, before.why)
    assert again.terms.pending is None


def test_a_comparison_that_was_watched_is_opened_again_without_a_winner() -> None:
    with Lab(fleet=fleet({"a": Scripted("4"), "b": Scripted("4")})) as lab:
        lab.compare(Dataset.of(SAME), ["a", "b"], stop="decided")
        again = reopened(lab.log, experiments(lab.log)[0].id)
    assert again.winner() is None
    assert again.why.startswith("nothing is called a winner: it was watched and could stop because of its figures")


def test_an_unfinished_experiment_is_opened_as_far_as_it_is_whole(made: Maker) -> None:
    slow = Some(5)
    panel = made(cheap=Scripted("4"), good=slow)
    panel.jobs.value = 1
    panel.run.click()
    assert slow.stuck.wait(PATIENCE_S)
    panel.running.stop.click()
    ended(panel)
    eventually(lambda: panel.shown is not None)
    assert panel.comparison is not None
    (found,) = experiments(panel.desk.lab.log)
    again = reopened(panel.desk.lab.log, found.id)
    assert again.terms.confirm == panel.comparison.terms.confirm
    assert again.winner() is None


def test_what_learned_cannot_be_read_back_whole_and_is_told(made: Maker) -> None:
    lab = made().desk.lab

    class Own:
        def plan(self, prompts: Any, roster: Any) -> Any:
            return lab.arm("cheap").ranking.plan(prompts, roster)

    own = RouteConfig(name="own", models=["cheap"], strategy=Own())
    lab.compare(Dataset.of(NUMBERS), {"own": own, "good": "good"})
    (found,) = experiments(lab.log)
    again = reopened(lab.log, found.id)
    assert isinstance(again["own"].config, Unread)
    assert any(note.startswith("not in the log: the whole config of own") for note in again.terms.notes)


def test_what_cannot_be_opened_says_why(made: Maker) -> None:
    slow = Some(0)
    panel = made(cheap=Scripted("4"), good=slow)
    panel.open.click()
    assert panel.line.text == "✗ the log has no experiment to open"
    with pytest.raises(DataError, match="the log has no experiment 'x'"):
        reopened(panel.desk.lab.log, "x")
    panel.run.click()
    assert slow.stuck.wait(PATIENCE_S)
    panel.running.stop.click()
    ended(panel)
    eventually(lambda: panel.recent.value is not None)
    with pytest.raises(UnavailableError, match="no prompt was finished by all 2 arms"):
        reopened(panel.desk.lab.log, panel.recent.value)


def test_a_log_without_texts_says_so() -> None:
    with Lab(fleet=fleet({"a": Scripted("4"), "b": Scripted("5")}), content="hash") as lab:
        lab.compare(Dataset.of(NUMBERS), ["a", "b"])
        again = reopened(lab.log, experiments(lab.log)[0].id)
        assert any(note.startswith("the log keeps no texts") for note in again.terms.notes)


def test_a_comparison_from_elsewhere_is_shown_too(made: Maker) -> None:
    panel = made()
    lab = panel.desk.lab
    first = lab.compare(Dataset.of(NUMBERS), ["cheap", "good"])
    panel.desk.show(first)
    eventually(lambda: panel.shown is not None)
    second = lab.compare(Dataset.of(NUMBERS[:4]), ["cheap", "good"])
    panel.desk.show(second)
    eventually(lambda: "4 prompts" in panel.panel.still()["text/plain"])
    assert panel.comparison is second


def test_hostile_names_data_and_answers_stay_text(made: Maker) -> None:
    names = {"data": [{"prompt": HOSTILE, "task": HOSTILE}, {"prompt": "b", "task": HOSTILE}]}
    panel = made(_names=names, cheap=Scripted(HOSTILE), good=Scripted(AuthFailed(HOSTILE)))
    panel.desk.lab.arms[HOSTILE] = RouteConfig(name=HOSTILE, strategy={"kind": "fixed", "model": "cheap"})
    panel.desk.tell("arms")
    panel.data.value = (VARIABLE, "data")
    panel.boxes[HOSTILE].value = True
    eventually(lambda: "3 arms" in panel.said)
    run(panel)
    eventually(lambda: panel.recent.value is not None)
    panel.open.click()
    eventually(lambda: panel.line.text.startswith("read back"))
    own = [panel._chosen, panel.estimate, panel._arms, panel.line.widget, panel.running.widget]
    for body in (b for widget in own for b in htmls(widget)):
        if body:
            assert_tame(body)
    still = panel.panel.still()
    assert "<script" not in still["text/html"]
    assert "\x1b" not in still["text/plain"]


def assert_tame_styles(html: str) -> None:
    """The panel's own part is tame; the view within has its own tests."""
    own = html.partition('<div class="rl ')[2].partition('<div class="rl ')[0]
    assert "<script" not in html
    assert own


def test_the_door_returns_the_panel() -> None:
    with Lab(fleet=fleet({"a": Scripted("x"), "b": Scripted("y")})) as lab:
        panel = runs(Desk(lab))
        assert panel.name == "runs"
        assert panel.still()["text/plain"].startswith("workbench: b, a") or "a, b" in panel.still()["text/plain"]
