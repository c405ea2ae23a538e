"""Regression runs: one config, two versions of a template, the same prompts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from routelab.core.errors import BudgetExceeded, ConfigError, DataError
from routelab.core.values import Reply, Request, Tokens
from routelab.fleet import Fleet
from routelab.lab.datasets import Dataset
from routelab.lab.promptruns import Course, Regression, Rerun, planned, regression
from routelab.lab.prompts import Prompts
from routelab.lab.session import Lab
from routelab.prompting import Template
from routelab.testing import fleet

YES = {"kind": "exact", "answers": ["yes"]}
OLD = Template(name="ask", version=1, user="{{ question }}")
WORSE = Template(name="ask", version=2, user="{{ question }} Say it badly.")
SAME = Template(name="ask", version=3, user="{{ question }} Please.")


class Reader:
    """A model that answers what its last message asks for: wrongly where it says badly, and to some prompts always."""

    def __init__(self, wrong: Callable[[str], bool] = lambda text: "badly" in text) -> None:
        self.wrong = wrong
        self.asked: list[str] = []

    async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
        text = request.messages[-1].content
        self.asked.append(text)
        said = "no" if self.wrong(text) else "yes"
        return Reply(
            text=said, served_model="reader-1", tokens=Tokens(input=len(text.split()), output=1, source="usage")
        )


def data(n: int, **more: Any) -> Dataset:
    return Dataset.of(
        [{"id": f"p{i}", "prompt": f"question {i}", "scorer": YES, **more} for i in range(n)], name="quiz"
    )


def bench(reader: Reader) -> Lab:
    return Lab(fleet=fleet({"reader": reader}, max_output_tokens=10))


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def lab(reader: Reader) -> Iterator[Lab]:
    with bench(reader) as made:
        yield made


def test_a_version_that_breaks_answers_is_a_regression_and_is_not_paid_for_any_further(
    lab: Lab, reader: Reader
) -> None:
    found = regression(lab, data(200), "reader", (OLD, WORSE), Course(sample=30, jobs=1))
    assert (found.word, found.ended, found.total) == ("regression", "sample", 200)
    assert len(reader.asked) < 2 * 40
    assert "ended after the sample, which settles it at 99.8 %" in found.why
    assert len(found.worse) == len(found.changes) == len(found.checked.comparison.prompts) >= 30
    assert found.gained == ()
    assert {(c.delta, c.old.text, c.new.text) for c in found.changes} == {(-1.0, "yes", "no")}


def test_a_version_that_changes_nothing_is_fine_once_there_are_enough_prompts(lab: Lab, reader: Reader) -> None:
    found = regression(lab, data(200), "reader", (OLD, SAME), Course(margin=0.05))
    assert (found.word, found.ended, found.changes) == ("fine", "", ())
    assert len(reader.asked) == 400
    assert "no prompt's quality changed" in repr(found)
    few = regression(lab, data(20), "reader", (OLD, SAME), Course(margin=0.05))
    assert (few.word, few.ended) == ("inconclusive", "")
    assert "prompts would settle it" in few.why


def test_the_prompts_that_got_worse_and_better_are_listed_the_largest_losses_first() -> None:
    with bench(Reader(lambda text: ("Please" in text) == ("question 1" in text) and "question 2" not in text)) as lab:
        found = regression(lab, data(60), "reader", (OLD, SAME), Course(sample=60))
    worse = {c.prompt.id for c in found.worse}
    assert worse == {"p1", *(f"p{i}" for i in range(10, 20))}
    assert {c.prompt.id for c in found.gained} == {f"p{i}" for i in range(60)} - worse - {
        f"p{i}" for i in (2, *range(20, 30))
    }
    table = found.table(limit=15)
    assert table.caption == "11 prompts got worse, 38 got better"
    assert [row[0] for row in table.rows] == ["1 → 0"] * 11 + ["0 → 1"] * 4
    assert table.notes == ["34 more are in .changes"]
    assert table.rows[0][3:5] == ("yes", "no")
    assert found.better


def test_both_versions_are_shown_with_their_tokens(lab: Lab) -> None:
    found = regression(lab, data(40), "reader", (OLD, WORSE), Course(sample=40))
    assert [row[:5] for row in found.figures().rows] == [
        ("ask@1", "100.0 %", "2", "1", "0"),
        ("ask@2", "0.0 %", "5", "1", "0"),
    ]
    shown = found._repr_mimebundle_()
    assert shown["text/plain"].startswith("regression: ask@2 is worse by more than the margin of 2 points")
    assert found.difference.title == "ask@1 → ask@2: +3 words"


def test_the_log_says_which_version_a_call_had(lab: Lab) -> None:
    regression(lab, data(20), "reader", (OLD, SAME), Course(sample=20))
    assert lab.log.query("select template, count(*) from calls group by 1 order by 1") == [("ask@1", 20), ("ask@3", 20)]
    used = Prompts(lab=lab).used()
    assert {name: (u.calls, u.tokens_in, u.tokens_out, u.cut, u.unpriced) for name, u in used.items()} == {
        "ask@1": (20, 2.0, 1.0, 0, 0),
        "ask@3": (20, 3.0, 1.0, 0, 0),
    }
    assert used["ask@1"].thousand_usd == pytest.approx(0.003)


def test_the_budget_ends_a_run_and_what_was_finished_counts(lab: Lab) -> None:
    found = regression(lab, data(200), "reader", (OLD, SAME), Course(budget_usd=0.0005, jobs=1))
    assert found.ended == "budget"
    assert 0 < len(found.checked.comparison.prompts) < 200
    assert "the budget ended it" in found.why
    with pytest.raises(BudgetExceeded):
        regression(lab, data(20), "reader", (OLD, SAME), Course(budget_usd=0.0, sample=20))


def test_answers_that_nothing_scores_cannot_regress(lab: Lab) -> None:
    with pytest.raises(DataError, match="quiz: no answer was scored"):
        regression(lab, data(20, scorer=None), "reader", (OLD, WORSE))


def test_two_versions_that_say_the_same_are_not_compared(lab: Lab) -> None:
    with pytest.raises(ConfigError, match="ask@1 and ask@9 say the same"):
        regression(lab, data(20), "reader", (OLD, dataclasses.replace(OLD, version=9)))


@pytest.mark.parametrize("terms", [{"sample": 5}, {"margin": 0.0}, {"margin": 2.0}])
def test_a_course_that_could_tell_nothing_is_refused(terms: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"sample|margin"):
        Course(**terms)


def test_a_run_that_was_stopped_tells_what_it_has(lab: Lab) -> None:
    run: Rerun = planned(lab, data(60), "reader", (OLD, SAME), Course())
    assert run.result() is None
    assert (run.progress.total, run.name) == (120, "ask@1 → ask@3 on quiz")
    from routelab.engine import shared

    shared().wait(run.experiment.trial.play(jobs=1, enough=lambda trial: len(trial.whole) >= 10))
    found = run.result()
    assert isinstance(found, Regression)
    assert (found.ended, len(found.checked.comparison.prompts)) == ("stopped", 10)


def test_practice_models_say_that_they_read_no_template(tmp_path: Path) -> None:
    with Lab(fleet=Fleet.practice(latency=0, errors=0)) as lab:
        prompts = Prompts(lab=lab, folder=tmp_path / "prompts")
        found = prompts.regression("workbench", "qwen-local", "plain", "cot", margin=0.5)
        assert found.word == "fine"
        assert found.why.startswith("simulated: fine: cot@1 loses less than")
        assert "practice models do not read a template" in found.figures().caption
        plain, cot = found.figures().rows
        assert plain[1] == cot[1]
        assert int(plain[2]) < int(cot[2])
