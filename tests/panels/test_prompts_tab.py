"""The Prompts tab, driven through its widgets: versions, their difference, a template filled in, and a regression run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from routelab.core.values import Reply, Request, Tokens
from routelab.lab.desk import Desk
from routelab.lab.session import Lab
from routelab.panels.prompts import PARTS, Prompting, prompts
from routelab.panels.runsahead import VARIABLE
from routelab.testing import fleet
from tests.notebook.test_displays import HOSTILE, assert_tame

PATIENCE_S = 30.0
YES = [{"id": f"p{i}", "prompt": f"question {i}", "scorer": {"kind": "exact", "answers": ["yes"]}} for i in range(60)]


class Reader:
    """A model that is wrong where it is asked to be."""

    async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
        said = "no" if "badly" in request.messages[-1].content else "yes"
        return Reply(text=said, served_model="reader-1", tokens=Tokens(input=5, output=1, source="usage"))


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.chdir(tmp_path)
    with Lab(fleet=fleet({"reader": Reader()}, max_output_tokens=10)) as made:
        log = made.log
        log.add_template("ask", {"user": "{{ question }}"}, "the first")
        log.add_template("ask", {"user": "{{ question }} Say it badly."}, "blunt")
        yield made


@pytest.fixture
def tab(lab: Lab) -> Prompting:
    return Prompting(Desk(lab, names=lambda: {"yes": YES}))


def eventually(holds: Callable[[], object]) -> None:
    """Wait until it holds."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def pick(box: Any, label: str) -> None:
    """Choose an option by its label."""
    box.value = dict(box.options)[label]


def test_the_library_lists_every_version_with_its_note(tab: Prompting) -> None:
    said = tab.panel.still()["text/plain"]
    for words in ("ask@1", "ask@2", "the first", "blunt", "cot@1", "qa@1", "routelab"):
        assert words in said


def test_a_version_is_shown_with_what_is_different_from_the_one_before(tab: Prompting) -> None:
    shelf = tab.shelf
    assert shelf.which.value.reference == "ask@2"
    assert shelf.other.value.reference == "ask@1"
    still = shelf.still()
    assert "ask@1 → ask@2: +3 words" in still["text/plain"]
    assert "<ins> Say it badly.</ins>" in still["text/html"]
    pick(shelf.which, "ask@1")
    assert shelf.other.value == ""
    assert "→" not in shelf.still()["text/plain"].split("ask@1\n")[-1]


def test_any_two_versions_can_be_compared(tab: Prompting) -> None:
    pick(tab.shelf.which, "cot@1")
    pick(tab.shelf.other, "plain@1")
    assert "plain@1 → cot@1" in tab.shelf.still()["text/plain"]


def test_what_calls_used_is_told_by_version(tab: Prompting, lab: Lab) -> None:
    from routelab.config import RouteConfig

    config = RouteConfig(name="a", strategy={"kind": "fixed", "model": "reader"}, prompt={"template": "ask@1"})
    lab.router(config).route("Why?")
    inline = RouteConfig(
        name="b", strategy={"kind": "fixed", "model": "reader"}, prompt={"template": {"user": "{{ question }}!!"}}
    )
    lab.router(inline).route("Why?")
    tab.shelf.refresh.click()
    assert tab.shelf.table is not None
    rows = {row[0]: row for row in tab.shelf.table.rows}
    assert rows["ask@1"][4:7] == ("1", "5 + 1", "$0.00600")
    assert rows["ask@2"][4:7] == ("0", "–", "–")
    assert [row[3] for name, row in rows.items() if name.startswith("inline@sha:")] == ["calls only"]


def test_a_file_that_was_edited_is_told_and_the_rest_is_shown(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "bad@1.yaml").write_text("user: nothing\n")
    said = prompts(lab.desk).still()["text/plain"]
    assert "✗ prompts/bad@1.yaml:1: user: never says {{ question }}" in said
    assert "ask@2" in said


def test_a_template_is_filled_with_a_question_and_nobody_is_asked(tab: Prompting, lab: Lab) -> None:
    attempt = tab.attempt
    pick(attempt.which, "qa@1")
    attempt.question.value = "Where is {{ it }}?"
    attempt.context.value = "[1] here"
    attempt.examples.value = "Who? => Me\n\nWhat? => It"
    assert [m.role for m in attempt.messages] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert attempt.messages[-1].content == "Passages:\n\n[1] here\n\nQuestion: Where is {{ it }}?"
    assert "6 messages, about" in attempt.told
    assert lab.log.query("select count(*) from calls") == [(0,)]
    attempt.examples.value = "Who?"
    assert attempt.line.text == "✗ examples, line 1: => is missing"
    assert attempt.messages == ()


def test_a_template_that_cannot_be_filled_says_why(lab: Lab) -> None:
    lab.log.add_template("tagged", {"user": "{{ question }}\n{{ tags.lang }}"})
    attempt = Prompting(lab.desk).attempt
    pick(attempt.which, "tagged@1")
    assert attempt.line.text.startswith("✗ tagged@1, user, line 2: there is no 'lang'")
    attempt.tags.value = "lang=de"
    assert attempt.line.text == ""
    assert attempt.messages[-1].content.endswith("\nde")
    attempt.tags.value = "lang"
    assert attempt.line.text == "✗ tags: 'lang' is none"


def test_a_regression_run_begins_with_the_last_two_versions_and_tells_what_became_worse(tab: Prompting) -> None:
    regress = tab.regress
    assert (regress.old.value.reference, regress.new.value.reference) == ("ask@1", "ask@2")
    regress.data.value = (VARIABLE, "yes")
    regress.arm.value = "reader"
    regress.run.click()
    eventually(lambda: regress.found is not None)
    assert regress.found is not None
    assert regress.found.word == "regression"
    said = regress.still()["text/plain"]
    assert "✗ regression: ask@2 is worse by more than the margin of 2 points" in said
    assert "got worse, 0 got better" in said
    assert not regress.run.disabled
    assert [job.name.partition(" · ")[2] for job in tab.regress.desk.jobs] == ["ask@1 → ask@2 on yes: reader"]


def test_a_regression_run_stops_at_its_budget(tab: Prompting) -> None:
    regress = tab.regress
    regress.data.value = (VARIABLE, "yes")
    regress.arm.value = "reader"
    regress.budget.value = "0"
    regress.run.click()
    eventually(lambda: regress.line.text)
    assert "stopped at $0 of $0" in regress.line.text
    assert regress.found is None


def test_two_versions_that_say_the_same_are_not_run(tab: Prompting) -> None:
    pick(tab.regress.new, "ask@1")
    tab.regress.run.click()
    assert tab.regress.line.text == "✗ ask@1 and ask@1 say the same"
    assert tab.regress.job is None


def test_what_is_read_again_keeps_what_was_chosen(tab: Prompting, lab: Lab) -> None:
    pick(tab.shelf.which, "qa@1")
    pick(tab.attempt.which, "cot@1")
    lab.log.add_template("ask", {"user": "{{ question }}!"})
    tab.shelf.refresh.click()
    assert (tab.shelf.which.value.reference, tab.attempt.which.value.reference) == ("qa@1", "cot@1")
    assert "ask@3" in dict(tab.regress.old.options)


def test_hostile_texts_are_only_text(lab: Lab) -> None:
    text = HOSTILE.replace("{", "(").replace("%", "")
    lab.log.add_template("evil", {"system": text, "user": "{{ question }}" + text}, HOSTILE)
    made = Prompting(lab.desk)
    pick(made.shelf.which, "evil@1")
    pick(made.shelf.other, "plain@1")
    pick(made.attempt.which, "evil@1")
    for part in (made.shelf, made.attempt):
        html = part.panel.still()["text/html"]
        for mark in ("<ins>", "</ins>", "<del>", "</del>"):
            html = html.replace(mark, "")
        assert_tame(html)


def test_the_still_is_of_the_part_that_is_shown(tab: Prompting) -> None:
    for name in PARTS:
        tab.which.value = name
        assert tab.panel.still()["text/plain"].splitlines()[0] in {
            "Templates by name and version; a version never changes. lab.prompts.add({...}) keeps a new one.",
            f"What a model would be sent for a question. Nobody is asked. {tab.attempt.which.value.reference}",
            "One arm with the old and with the new version, on the same prompts, live. First a sample; what that settles "
            "beyond doubt is not paid for any further.",
        }
