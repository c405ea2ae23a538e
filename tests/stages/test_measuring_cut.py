"""An answer that was cut counts against quality, and the reason says so."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import pytest

from routelab.core.events import Answered, Recalled, Scored
from routelab.core.ports import World
from routelab.core.run import Run
from routelab.core.values import Judgement, Prompt, Score, Tokens
from routelab.scoring import scorer_of
from routelab.scoring.cut import sees_cut
from routelab.stages import Measure
from routelab.stages.measure import Ask, cut
from routelab.testing import VirtualClock

WORLD = World(clock=VirtualClock())


def said(text: str, finish: Any = "length", output: int | None = 1_200) -> Run:
    answer = Answered(model="m", served_model="m", provider="p", text=text, finish=finish, tokens=Tokens(output=output))
    return Run(id="r", prompt=Prompt.of("hi"), started_at=datetime(2026, 1, 1), events=(answer,))


def scored(run: Run, scorer: dict[str, Any]) -> Scored:
    return asyncio.run(Measure(choose=lambda _: scorer_of(scorer), sees_cut=sees_cut)(run, WORLD))


def test_a_cut_answer_scores_nothing_where_the_scorer_looks_at_its_form_only() -> None:
    found = scored(said("It begins well and then"), {"kind": "nonempty"})
    assert (found.quality, found.reason) == (0.0, "cut at its limit of 1,200 tokens; says something")
    whole = scored(said("It begins well and then ends.", "stop"), {"kind": "nonempty"})
    assert (whole.quality, whole.reason) == (1.0, "says something")


def test_what_was_right_before_the_cut_is_right() -> None:
    found = scored(said("Answer: 42\nThis is because"), {"kind": "number", "answer": 42})
    assert (found.quality, found.reason) == (1.0, "cut at its limit of 1,200 tokens; states “42”, 42 is wanted")
    assert scored(said("First we add 40 and"), {"kind": "number", "answer": 42}).quality == 0.0


def test_tokens_that_nobody_counted_are_not_made_up() -> None:
    assert cut(said("a", output=None)) == "cut at its limit"
    assert cut(said("a", "stop")) == cut(said("a", "refusal")) == ""


def test_an_answer_from_a_cache_was_not_cut() -> None:
    hit = Recalled(cache="exact", key="k", text="yes", model="m")
    assert cut(Run(id="r", prompt=Prompt.of("hi"), started_at=datetime(2026, 1, 1), events=(hit,))) == ""
    assert cut(Run(id="r", prompt=Prompt.of("hi"), started_at=datetime(2026, 1, 1))) == ""


def test_a_judge_has_the_last_word_and_the_reason_says_that_it_judged_a_cut_answer() -> None:
    async def judge(run: Run, world: World) -> Judgement:
        return Judgement(quality=0.4, reason="stops in the middle")

    ask = Ask(choose=lambda _: judge, named=lambda _: "rubric", deadline_s=1.0)
    found = asyncio.run(ask(said("It begins"), WORLD))
    assert (found.quality, found.reason) == (0.4, "cut at its limit of 1,200 tokens; stops in the middle")


@pytest.mark.parametrize(
    ("spec", "sees"),
    [
        ({"kind": "exact", "answers": ["a"]}, True),
        ({"kind": "choice", "answer": "B", "options": ["A", "B"]}, True),
        ({"kind": "number", "answer": 1}, True),
        ({"kind": "contains", "all": [["a"]]}, True),
        ({"kind": "contains", "none": ["a"]}, False),
        ({"kind": "json"}, True),
        ({"kind": "nonempty"}, False),
        ({"kind": "length", "min_words": 3}, False),
        ({"kind": "regex", "pattern": "a"}, False),
        ({"kind": "states", "what": "number"}, False),
        ({"kind": "refusal"}, False),
    ],
)
def test_scorers_that_compare_with_something_see_a_cut(spec: dict[str, Any], sees: bool) -> None:
    assert sees_cut(scorer_of(spec)) is sees


def test_a_function_of_ones_own_is_trusted() -> None:
    assert sees_cut(lambda answer, prompt: Score(quality=1.0))
