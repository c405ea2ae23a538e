"""How many answers were cut, and which limit would have cut hardly any good one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.answer import Answer
from routelab.core.events import Answered, Recalled, Routed, Scored
from routelab.core.run import Run
from routelab.core.values import Prompt, Tokens
from routelab.lab.truncation import limits_of, smallest, table, truncated, truncated_share
from routelab.store import Log


def run(
    n: int,
    output: int,
    *,
    quality: float | None = 1.0,
    finish: Any = "stop",
    model: str = "m",
    task: str = "qa",
    **more: Any,
) -> Run:
    answer = Answered(
        model=model, served_model=model, provider="p", text="x", finish=finish, tokens=Tokens(input=1, output=output)
    )
    events: list[Any] = [Routed(strategy="fixed", order=(model,), reason=""), answer]
    if quality is not None:
        events.append(Scored(scorer="exact", quality=quality, model=model))
    prompt = Prompt.of(f"question {n}", task=task)
    began = datetime(2026, 1, 1) + timedelta(seconds=n)
    return Run(id=f"{task}-{model}-{n}", prompt=prompt, started_at=began, events=tuple(events), **more)


@pytest.fixture
def log() -> Iterator[Log]:
    with Log(":memory:") as made:
        yield made


def test_cut_answers_are_counted_over_runs_and_over_answers() -> None:
    runs = [run(0, 10), run(1, 50, finish="length"), run(2, 50, finish="length", quality=None)]
    assert truncated(runs) == truncated([Answer(r) for r in runs]) == 2
    share = truncated_share(runs)
    assert share is not None
    assert (share.value, share.n) == (2 / 3, 3)
    assert truncated([]) == 0
    assert truncated_share([]) is None


def test_the_limit_cuts_at_most_the_share_of_the_good_answers(log: Log) -> None:
    for n in range(100):
        log.record(run(n, n + 1))
    log.record(run(100, 5_000, quality=0.0))  # a bad answer may be cut
    (found,) = limits_of(log, at_most=0.05)
    assert (found.task, found.model, found.simulated) == ("qa", "m", False)
    assert (found.answers, found.good, found.cut, found.unscored) == (101, 100, 0, 0)
    assert (found.tokens, found.low, found.high, found.advised) == (95, 90, 100, 100)
    assert found.longest == 100
    assert found.saved == pytest.approx(4_900 / (5_050 + 5_000))


def test_answers_that_were_cut_count_as_longer_than_any_other(log: Log) -> None:
    for n in range(95):
        log.record(run(n, n + 1))
    for n in range(95, 100):
        log.record(run(n, 96, finish="length", quality=0.0))
    (found,) = limits_of(log, at_most=0.05)
    assert (found.good, found.cut, found.tokens, found.high) == (95, 5, 95, None)
    (strict,) = limits_of(log, at_most=0.01)
    assert (strict.tokens, strict.advised, strict.saved) == (None, None, None)
    assert "raise the limit" in table([strict]).text(width=80)


def test_few_answers_have_no_upper_end_and_say_how_many_it_takes(log: Log) -> None:
    for n in range(10):
        log.record(run(n, 7))
    (found,) = limits_of(log, at_most=0.01)
    assert (found.tokens, found.high, found.needed) == (7, None, 368)
    assert "368 good answers are needed" in table([found]).text(width=80)


def test_tasks_models_and_experiments_stand_apart_and_what_is_not_scored_is_told(log: Log) -> None:
    log.record(run(0, 10, task="a", model="x", experiment="e"))
    log.record(run(1, 20, task="b", model="x", quality=None))
    log.record(run(2, 30, task="b", model="y"))
    found = limits_of(log, at_most=0.5)
    assert [(f.task, f.model, f.tokens, f.unscored) for f in found] == [
        ("a", "x", 10, 0),
        ("b", "x", 20, 1),
        ("b", "y", 30, 0),
    ]
    assert [f.task for f in limits_of(log, experiment="e")] == ["a"]


def test_answers_that_a_gate_refused_and_those_of_caches_do_not_count(log: Log) -> None:
    refused = run(0, 999, model="small")
    kept = Answered(model="large", served_model="large", provider="p", text="y", tokens=Tokens(input=1, output=5))
    no = Scored(scorer="gate", quality=0.1, model="small", accepted=False)
    events = (Routed(strategy="cascade", order=("small", "large"), reason=""), refused.events[1], no, kept)
    log.record(Run(id="c", prompt=refused.prompt, started_at=refused.started_at, events=events))
    hit = Recalled(cache="exact", key="k", text="y", model="large")
    log.record(Run(id="h", prompt=refused.prompt, started_at=refused.started_at, events=(hit,)))
    assert [(f.model, f.answers) for f in limits_of(log)] == [("large", 1)]


def test_a_log_without_answers_has_no_limits(log: Log) -> None:
    assert limits_of(log) == ()
    assert table(()).rows == []
    with pytest.raises(ValueError, match="at_most: must lie between 0 and 1, not 5"):
        limits_of(log, at_most=5)


@given(
    st.lists(st.integers(0, 500), max_size=60),
    st.integers(0, 5),
    st.sampled_from((0.01, 0.05, 0.07, 0.1, 0.29, 0.5)),
)
def test_no_smaller_limit_would_do(tokens: list[int], beyond: int, at_most: float) -> None:
    known = np.array(tokens, dtype=np.float64)
    limit, low, high = smallest(known, beyond, at_most)
    n = len(tokens) + beyond
    allowed = round(at_most * n * 100) // 100
    if limit is None:
        assert n == 0 or beyond > allowed or len(tokens) == 0
        return
    assert (known > limit).sum() + beyond <= allowed
    assert (known > limit - 1).sum() + beyond > allowed
    assert low is not None
    assert low <= limit
    assert high is None or high >= limit
