"""Live arms side by side: interleaved, bounded, and nothing lost when somebody stops half-way."""

from __future__ import annotations

import _thread
import asyncio
import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from routelab.config import RouteConfig
from routelab.core.errors import AuthFailed, BudgetExceeded
from routelab.core.plan import NOBODY
from routelab.core.values import Prompt, Reply, Request
from routelab.engine import shared
from routelab.lab.trial import Progress, Trial, walked_of
from routelab.router import Router, Setting
from routelab.stages import Budget
from routelab.testing import Scripted, fleet


class Book(Scripted):
    """Answer like a script and write down who was asked what, over all models."""

    asked: list[tuple[str, str]]

    def __init__(self, asked: list[tuple[str, str]], *script: Any) -> None:
        super().__init__(*script)
        self.asked = asked

    async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
        self.asked.append((request.model.name, request.prompt.text))
        return await super().complete(request, emit)


def prompts(n: int) -> list[Prompt]:
    return [Prompt(id=f"p{i}", messages=Prompt.of(f"q{i}").messages) for i in range(n)]


def trial_of(providers: dict[str, Any], n: int, *, seed: int = 0, skip: Any = (), purse: Budget | None = None) -> Trial:
    models = fleet(providers)
    routers = {
        name: Router(
            RouteConfig(name=name, strategy={"kind": "fixed", "model": name}, prompt={"max_output_tokens": 5}),  # type: ignore[arg-type]
            fleet=models,
            setting=Setting(arm=name, purse=purse),
        )
        for name in providers
    }
    return Trial(routers, prompts(n), seed=seed, skip=skip)


def order(seed: int, n: int = 60) -> list[tuple[str, str]]:
    asked: list[tuple[str, str]] = []
    trial = trial_of({name: Book(asked) for name in "abc"}, n, seed=seed)
    shared().wait(trial.play(jobs=1))
    return asked


def test_every_arm_meets_every_prompt_once() -> None:
    asked = order(0)
    assert Counter(asked) == Counter((name, f"q{i}") for name in "abc" for i in range(60))


def test_arms_are_interleaved_so_that_the_time_of_day_favours_none() -> None:
    asked = order(0)
    for part in (asked[:60], asked[60:120], asked[120:]):
        counts = Counter(name for name, _ in part)
        assert all(8 <= counts[name] <= 32 for name in "abc")  # 20 ± 3.9 standard errors each
    runs = 1 + sum(x[0] != y[0] for x, y in itertools.pairwise(asked))
    assert runs > 90  # blocks would give 3, chance gives 120


def test_the_order_is_drawn_by_the_seed() -> None:
    assert order(1) == order(1)
    assert order(1) != order(2)


def test_answers_are_in_the_order_of_the_prompts_and_progress_is_told() -> None:
    heard: list[Progress] = []
    trial = trial_of({"a": Scripted("x"), "b": Scripted(AuthFailed("no"))}, 5)
    shared().wait(trial.play(jobs=3, heard=heard.append))
    assert [a.run.prompt.id for a in trial.rows("a", range(5))] == [f"p{i}" for i in range(5)]
    assert [p.done for p in heard] == list(range(1, 11))
    assert heard[-1] == trial.progress
    assert (trial.progress.total, trial.progress.errors, trial.progress.unpriced) == (10, 5, 0)
    assert trial.progress.spent_usd == pytest.approx(75e-6)
    assert trial.whole == [0, 1, 2, 3, 4]


def test_what_is_skipped_is_not_asked() -> None:
    asked: list[tuple[str, str]] = []
    trial = trial_of({name: Book(asked) for name in "ab"}, 3, skip={("a", "p0"), ("b", "p2")})
    shared().wait(trial.play(jobs=2))
    assert sorted(asked) == [("a", "q1"), ("a", "q2"), ("b", "q0"), ("b", "q1")]
    assert trial.progress.total == 4
    assert trial.whole == [1]


def test_never_more_than_so_many_at_once() -> None:
    busy: list[int] = []
    most: list[int] = []

    class Slow(Scripted):
        async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
            busy.append(1)
            most.append(len(busy))
            await asyncio.sleep(0.001)
            busy.pop()
            return await super().complete(request, emit)

    shared().wait(trial_of({"a": Slow(), "b": Slow()}, 20).play(jobs=4))
    assert max(most) == 4


def test_a_spent_budget_stops_everybody_and_is_not_an_answer() -> None:
    one, two = Scripted("x"), Scripted("y")
    trial = trial_of({"a": one, "b": two}, 50, purse=Budget(300e-6))
    shared().wait(trial.play(jobs=4))
    assert isinstance(trial.stopped, BudgetExceeded)
    there = [a for row in trial.answers.values() for a in row if a is not None]
    assert len(there) == len(one.requests) + len(two.requests) == trial.progress.done
    assert all(a.error is None for a in there)
    assert sum(a.cost_usd or 0.0 for a in there) <= 300e-6
    assert 0 < len(there) < 100


def test_an_interrupt_keeps_what_was_finished_and_playing_on_asks_the_rest_only() -> None:
    asked: list[tuple[str, str]] = []
    held = [True]

    class Stops(Book):
        async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
            if held[0] and len(asked) == 7:
                _thread.interrupt_main()
                await asyncio.sleep(60)
            return await super().complete(request, emit)

    trial = trial_of({name: Stops(asked) for name in "ab"}, 10)
    with pytest.raises(KeyboardInterrupt):
        shared().wait(trial.play(jobs=1))
    assert trial.progress.done == 7
    assert sum(a is not None for row in trial.answers.values() for a in row) == 7
    held[0] = False
    shared().wait(trial.play(jobs=1))
    assert Counter(asked) == Counter((name, f"q{i}") for name in "ab" for i in range(10))
    assert trial.whole == list(range(10))


def test_a_bug_stops_the_trial_and_is_raised_alone() -> None:
    class Buggy(Scripted):
        async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
            raise ZeroDivisionError

    trial = trial_of({"a": Buggy(), "b": Scripted()}, 10)
    with pytest.raises(ZeroDivisionError):
        shared().wait(trial.play(jobs=4))


def test_live_answers_take_the_form_of_a_replay() -> None:
    models = fleet({"a": Scripted("yes", AuthFailed("no"), "no"), "b": Scripted("yes")})
    config = RouteConfig(name="x", models=["a", "b"], strategy={"kind": "fixed", "model": "a"})
    scorer = {"kind": "exact", "answers": ["yes"]}
    asked = [Prompt(id=str(i), messages=Prompt.of(str(i)).messages, scorer=scorer) for i in range(3)]
    asked.append(Prompt(id="unscored", messages=Prompt.of("x").messages))
    walked = walked_of(Router(config, fleet=models).many(asked, jobs=1), ("b", "a"))
    assert walked.model.tolist() == [1, NOBODY, 1, 1]
    assert walked.quality[:3].tolist() == [1.0, 0.0, 0.0]
    assert np.isnan(walked.quality[3])
    assert walked.cost_usd.tolist() == pytest.approx([15e-6, 0.0, 15e-6, 15e-6])
    assert walked.attempts.tolist() == [1, 1, 1, 1]
    assert walked.failures == 1


def test_costs_that_are_not_known_are_nan_and_never_nothing() -> None:
    models = fleet({"a": Scripted("yes")}, usd_per_mtok=None)
    config = RouteConfig(name="x", strategy={"kind": "fixed", "model": "a"})
    walked = walked_of(Router(config, fleet=models).many(["hi"]), ("a",))
    assert np.isnan(walked.cost_usd).all()
    progress = Progress(done=0, total=1, spent_usd=0.0, errors=0).plus(Router(config, fleet=models).many(["hi"])[0])
    assert (progress.spent_usd, progress.unpriced) == (0.0, 1)
