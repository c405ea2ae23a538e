"""The panel of a comparison: what is filtered, sorted, searched, opened and rated, driven through its widgets."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator

import ipywidgets
import numpy as np
import pytest
from compared import Said, asked, cube, live

from routelab.core.values import Prompt
from routelab.lab.compare import Comparison
from routelab.lab.replay import replay
from routelab.lab.session import Lab
from routelab.panels.cells import facts
from routelab.panels.compareview import PAGE, CompareView
from routelab.panels.panel import Panel
from routelab.panels.ratings import DOWN, UP
from routelab.store import Log

RIGHT, WRONG = Said(text="yes"), Said(text="no", quality=0.0)


@pytest.fixture
def log() -> Iterator[Log]:
    with Log(":memory:") as log:
        yield log


def fifty(log: Log | None = None) -> Comparison:
    """Fifty prompts of two tasks; `b` is wrong on every fifth, has no answer to number 7, and is dear on number 30."""
    answers = [WRONG if i % 5 == 0 else RIGHT for i in range(50)]
    answers[7] = Said(text=None)
    answers[30] = Said(text="no", quality=0.0, cost_usd=0.5)
    return live(asked(50, tasks=("qa", "code")), {"a": [RIGHT] * 50, "b": answers}, log)


def settled(view: CompareView) -> None:
    """Wait for what the view does in the background."""
    for job in view.jobs:
        job.wait(30)


def numbers(view: CompareView) -> list[int]:
    """The prompts that the page shows, as its buttons count them."""
    return [int(s.button.description[2:].replace(",", "")) for s in view.slots if s.at is not None]


def test_a_comparison_gives_its_panel_and_the_panel_says_the_verdict_without_widgets() -> None:
    comparison = fifty()
    panel = comparison.view()
    assert isinstance(panel, Panel)
    said = panel.still()
    assert comparison.why in said["text/plain"]
    assert "all prompts; prompt order · 1–20 of 50" in said["text/plain"]
    assert "question 19" in said["text/html"]
    assert "question 20" not in said["text/html"]


def test_a_page_has_twenty_rows_whose_widgets_are_made_once() -> None:
    view = CompareView(fifty())
    made = [slot.body for slot in view.slots]
    assert numbers(view) == list(range(1, PAGE + 1))
    view.next.click()
    assert numbers(view) == list(range(21, 41))
    view.number.value = 3
    assert numbers(view) == list(range(41, 51))
    assert view.next.disabled
    assert not view.previous.disabled
    assert [slot.body for slot in view.slots] == made
    assert "41–50 of 50" in view.panel.still()["text/plain"]


def test_what_is_different_wrong_or_without_an_answer_can_be_seen_alone() -> None:
    view = CompareView(fifty())
    wrong = [i for i in range(50) if i % 5 == 0]
    view.keep.value = "different"
    assert view.order.tolist() == sorted([*wrong, 7])
    view.keep.value = "errors"
    assert view.order.tolist() == [7]
    view.keep.value = "low score"
    assert view.at_most.layout.display == ""
    assert view.order.tolist() == sorted([*wrong, 7])
    view.task.value = "code"
    assert view.order.tolist() == [i for i in sorted([*wrong, 7]) if i % 2]
    assert "an arm's quality is at most 0.5; task code; prompt order" in view.panel.still()["text/plain"]
    view.keep.value, view.task.value = "all", None
    assert len(view.order) == 50


def test_an_answer_by_the_default_is_among_the_errors() -> None:
    rows = [RIGHT, Said(decided="ValueError: no"), RIGHT]
    view = CompareView(live(asked(3), {"a": [RIGHT] * 3, "b": rows}))
    view.keep.value = "errors"
    assert view.order.tolist() == [1]
    assert "⚠ default" in view.slots[0].body.value.replace("\N{NO-BREAK SPACE}", " ")


def test_a_cell_says_what_is_known_of_its_answer_and_what_is_not() -> None:
    rows = [Said(quality=0.5, cost_usd=None, latency_s=None), Said(quality=None), Said(text=None)]
    prompts = [Prompt(id=p.id, messages=p.messages) for p in asked(3)]
    rows_ = CompareView(live(prompts, {"a": rows})).rows
    assert rows_ is not None
    said = [facts(rows_.cell(i, 0)).replace("\N{NO-BREAK SPACE}", " ") for i in range(3)]
    assert said == ["◐ 0.50 · m · cost ? · wait ?", "· · m · $0.00100 · 0.5 s", "✗ · no model · $0 · wait ?"]


def test_an_estimated_cost_says_so() -> None:
    outcomes = dataclasses.replace(cube(asked(30), [[1.0, 0.0]] * 30), cost_kind=("estimated", "recorded"))
    view = CompareView(replay(outcomes, {"one": _fixed("a"), "two": _fixed("b")}, confirm=0.4))
    assert "≈\N{NO-BREAK SPACE}$0.00100" in view.slots[0].body.value


def test_texts_tell_answers_apart_where_nothing_scored_them() -> None:
    one = [Said(text=t, quality=None) for t in ("x", "y ", "z")]
    two = [Said(text=t, quality=None) for t in ("x", "y", "w")]
    prompts = [Prompt(id=p.id, messages=p.messages) for p in asked(3)]
    view = CompareView(live(prompts, {"a": one, "b": two}))
    view.keep.value = "different"
    assert view.order.tolist() == [2]


def test_prompts_are_sorted_by_what_was_spent_waited_for_and_lost_and_the_unknown_comes_last() -> None:
    costs, waits, quality = [0.1, None, 0.3], [2.0, 3.0, None], [0.5, 0.0, 1.0]
    rows = [Said(cost_usd=c, latency_s=w, quality=q) for c, w, q in zip(costs, waits, quality, strict=True)]
    view = CompareView(live(asked(3), {"a": rows}))
    for sort, expected in {
        "dearest answer first": [2, 0, 1],
        "slowest answer first": [1, 0, 2],
        "lowest quality first": [1, 0, 2],
        "prompt order": [0, 1, 2],
    }.items():
        view.sort.value = sort
        assert view.order.tolist() == expected, sort


def test_a_search_finds_plain_text_in_prompts_and_answers_in_either_case() -> None:
    prompts = asked(4, texts={1: "What is (a+b)*?"})
    rows = [RIGHT, RIGHT, Said(text="x" * 500 + " THE NEEDLE " + "x" * 500), RIGHT]
    view = CompareView(live(prompts, {"a": rows, "b": [RIGHT] * 4}))
    view.needle.value = "(A+B)*"
    assert view.order.tolist() == [1]
    view.needle.value = "the needle"
    assert view.order.tolist() == [2]
    assert "<mark>THE NEEDLE</mark>" in view.slots[0].body.value
    view.needle.value = "nowhere"
    assert view.order.tolist() == []
    assert numbers(view) == []
    assert "no prompt fits" in view.where.value


def test_only_the_arms_shown_are_searched_and_told_apart() -> None:
    prompts = asked(2)
    arms = {"a": [RIGHT] * 2, "b": [RIGHT] * 2, "c": [WRONG, RIGHT]}
    view = CompareView(live(prompts, arms))
    view.keep.value = "different"
    assert view.order.tolist() == [0]
    view.arms[2].value = False
    assert view.order.tolist() == []
    assert ">c<" not in view.names.body.value
    view.arms[0].value = view.arms[1].value = False
    assert view.wish.arms == (1,), "the last one stays"
    assert "one arm at least" in view.line.text


def test_a_long_search_becomes_a_job_that_shows_what_it_found_and_can_be_stopped() -> None:
    class Slow:
        """A clock by which every look takes a second, so that the first one is already too late."""

        now = 0.0

        def __call__(self) -> float:
            self.now += 1.0
            return self.now

    view = CompareView(fifty(), clock=Slow())
    view.needle.value = "question 4"
    assert [job.name for job in view.jobs] == ["search “question 4”"]
    assert len(view.order) == 50, "the page stays until there is something else to show"
    settled(view)
    assert view.order.tolist() == [4, *range(40, 50)]
    assert str(view.jobs[0].progress.done) == "50"


def test_a_row_opens_below_itself_with_everything_and_closes_again() -> None:
    long = "w " * 30_000
    view = CompareView(live(asked(3), {"a": [Said(text=long), RIGHT, RIGHT], "b": [WRONG, RIGHT, RIGHT]}))
    view.slots[0].button.click()
    settled(view)
    assert view.slots[0].is_open
    assert view.slots[0].button.description == "▾ 1"
    first = view.opened.cards[0]
    assert "40,000 more characters are not shown" in first.body.value
    assert "why: always m" in first.body.value
    assert "Routed" in first.body.value, "the trace"
    assert "question 0" in view.opened.prompt.value
    assert "[+no+]" in view.opened.difference.value
    assert "prompt 1, the first 1,500 characters" in view.panel.still()["text/plain"]
    view.slots[1].button.click()
    assert [slot.is_open for slot in view.slots] == [False, True, False]
    view.slots[1].button.click()
    assert not any(slot.is_open for slot in view.slots)
    assert "prompt 2, the first" not in view.panel.still()["text/plain"]


def test_turning_the_page_closes_the_row() -> None:
    view = CompareView(fifty())
    view.slots[3].button.click()
    view.next.click()
    assert not any(slot.is_open for slot in view.slots)
    assert view.opened.at is None


def test_the_arms_that_are_told_apart_are_chosen() -> None:
    arms = {"a": [Said(text="red car")], "b": [Said(text="blue car")], "c": [Said(text="red bus")]}
    view = CompareView(live(asked(1), arms))
    view.slots[0].button.click()
    view.opened.second.value = 2
    assert "<del>[− car−]</del><ins>[+ bus+]</ins>" in view.opened.difference.value
    view.opened.first.value = 2
    assert "choose two arms" in view.opened.difference.value


def test_a_rating_and_its_note_are_kept_in_the_log_the_latest_counts_and_all_is_there_after_reopening(log: Log) -> None:
    view = CompareView(fifty(log))
    view.slots[2].button.click()
    settled(view)
    card = view.opened.cards[1]
    assert not card.up.disabled
    card.note.value = "why not"
    assert "not kept yet" in card.said.value
    card.down.click()
    card.up.click()
    card.note.value = "on second thoughts <b>"
    kept = log.query("select run_id, value, note from ratings order by rated_at, rating_id")
    assert kept[0] == ("b-p2", DOWN, "why not")
    assert kept[-1] == ("b-p2", UP, "on second thoughts <b>")
    assert "rated\N{NO-BREAK SPACE}good" in view.slots[2].body.value
    assert (card.up.description, card.down.description) == ("✓", "")

    again = CompareView(view.comparison)
    again.keep.value = "rated"
    assert again.order.tolist() == [2]
    again.slots[0].button.click()
    settled(again)
    assert again.opened.cards[1].note.value == "on second thoughts <b>"
    assert again.opened.cards[1].up.description == "✓"
    assert again.opened.cards[0].up.description == ""


def test_without_a_log_the_rating_is_off_and_says_why() -> None:
    view = CompareView(fifty())
    view.slots[0].button.click()
    settled(view)
    card = view.opened.cards[0]
    assert (card.up.disabled, card.down.disabled, card.note.disabled) == (True, True, True)
    assert "no log to keep a rating in" in card.said.value


def test_a_closed_log_is_one_line_and_the_rows_are_there() -> None:
    log = Log(":memory:")
    comparison = fifty(log)
    log.close()
    view = CompareView(comparison)
    view.slots[0].button.click()
    settled(view)
    assert len(numbers(view)) == PAGE


def test_a_replay_shows_recorded_texts_and_why_and_says_where_there_are_none() -> None:
    prompts = asked(40, tasks=("qa", "code"))
    quality = [[1.0, 0.0] if i % 3 else [0.0, 1.0] for i in range(40)]
    view = CompareView(replay(cube(prompts, quality), {"one": _fixed("a"), "two": _fixed("b")}, confirm=0.4))
    assert view.rows is not None
    here = view.rows.prompts[0].id
    assert f"a on {here}" in view.slots[0].body.value
    view.slots[0].button.click()
    settled(view)
    assert "why: always a" in view.opened.cards[0].body.value, "the baseline, a single model"
    assert "why: asks a: " in view.opened.cards[1].body.value
    assert "from a file, not from a run in this log" in _barred(prompts, quality)
    silent = CompareView(replay(cube(prompts, quality, texts=None), {"one": _fixed("a")}, confirm=0.4))
    assert "(text not recorded)" in silent.slots[0].body.value
    silent.needle.value = "question"
    assert len(silent.order) == len(view.rows)


def _barred(prompts: list[Prompt], quality: list[list[float]]) -> str:
    with Lab() as lab:
        view = CompareView(lab.replay(cube(prompts, quality), {"one": _fixed("a")}))
        view.slots[0].button.click()
        settled(view)
        return str(view.opened.cards[0].said.value)


def _fixed(model: str) -> object:
    from routelab.strategies import Fixed

    return Fixed(model=model)


def test_a_replay_of_a_log_can_be_rated_in_that_log_and_not_in_another() -> None:
    from routelab.fleet import Fleet
    from routelab.lab.logged import outcomes_of_query

    prompts = asked(20)
    with Lab(fleet=Fleet.practice(latency=0)) as lab, Lab() as other:
        lab.compare(prompts, ["qwen-local", "gpt-5"])
        outcomes = outcomes_of_query(lab.log.query)
        for place, expected in ((lab, False), (other, True)):
            view = CompareView(place.replay(outcomes, ["qwen-local", "gpt-5"]))
            view.slots[0].button.click()
            settled(view)
            assert view.opened.cards[0].up.disabled is expected
        assert "its run is not in this log" in view.opened.cards[0].said.value
        mine = CompareView(lab.replay(outcomes, ["qwen-local", "gpt-5"]))
        mine.slots[0].button.click()
        settled(mine)
        mine.opened.cards[0].up.click()
        assert mine.opened.cells[mine.wish.arms[0]].run_id == lab.log.query("select run_id from ratings")[0][0]


def test_a_chart_is_drawn_in_place_and_taken_away() -> None:
    view = CompareView(fifty())
    view.chart.value = "frontier"
    settled(view)
    assert len(view.picture.widget.outputs) == 1, (view.line.text, view.jobs[0].state, view.jobs[0].error)
    assert "chart: Cost and quality" in view.panel.still()["text/html"]
    view.chart.value = ""
    assert view.picture.widget.outputs == ()


def test_the_widgets_are_few_whatever_the_comparison() -> None:
    def count(root: ipywidgets.Widget) -> int:
        return 1 + sum(count(child) for child in getattr(root, "children", ()))

    arms = {f"arm{k}": [RIGHT] * 60 for k in range(12)}
    view = CompareView(live(asked(60), arms))
    for box in list(view.arms.values())[:8]:
        box.value = True
    view.slots[0].button.click()
    settled(view)
    assert len(view.wish.arms) == 8
    assert count(view.panel.widget) < 200


def test_the_still_of_a_page_is_small_however_long_the_texts_are() -> None:
    line = '<&"x' * 2_500_000
    view = CompareView(live(asked(20, texts={0: line}), {k: [Said(text=line)] * 20 for k in "abcd"}))
    began = time.perf_counter()
    view.slots[0].button.click()
    assert time.perf_counter() - began < 30, "a wide margin: nothing may freeze"
    said = view.panel.still()
    assert len(said["text/html"].encode()) < 200_000
    assert "9,999,760 more characters" in said["text/html"]


def test_estimates_from_logged_choices_have_no_rows_and_say_so() -> None:
    from routelab.lab.choices import Choices

    rng = np.random.default_rng(0)
    n = 200
    action = rng.integers(0, 2, n)
    quality = np.full((n, 2), np.nan)
    quality[np.arange(n), action] = rng.integers(0, 2, n).astype(float)
    choices = Choices(
        models=("a", "b"),
        action=action.astype(np.intp),
        reward=quality[np.arange(n), action],
        propensity=np.full(n, 0.5),
        cost_usd=np.full(n, 0.001),
        strata=np.zeros(n, dtype=np.intp),
        row=np.arange(n),
    )
    found = replay(cube(asked(n), quality.tolist(), choices=choices), {"one": _fixed("a")}, baseline="b", confirm=0.0)
    assert found.estimates
    view = CompareView(found)
    assert view.rows is None
    assert "off-policy" in view.panel.still()["text/plain"]
    view.chart.value = "cost"
    settled(view)
    assert view.line.text.startswith("✗ chart 'cost': off-policy"), "what cannot be drawn is one line"
    assert view.picture.widget.outputs == ()
