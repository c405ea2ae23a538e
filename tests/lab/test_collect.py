"""Collecting: what the log has is never asked again, failures count and are tried again, and a replay is what was live."""

from __future__ import annotations

import _thread
import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from routelab.core.errors import AuthFailed, BudgetExceeded, ConfigError, MissingKey, ProviderError, RateLimited
from routelab.core.values import Reply, Request
from routelab.lab.collect import Headway, Order, collect
from routelab.lab.datasets import Dataset
from routelab.lab.outcomes import Outcomes
from routelab.lab.session import Lab
from routelab.scoring import Function
from routelab.testing import Scripted, fleet

YES = {"kind": "exact", "answers": ["yes"]}


def data(n: int) -> Dataset:
    return Dataset.of([{"id": f"p{i}", "prompt": f"question {i}", "scorer": YES} for i in range(n)], name="quiz")


def counts(*providers: Scripted) -> list[int]:
    return [len(p.requests) for p in providers]


class Fails(Scripted):
    """Fail on some prompts as long as told to, else say yes."""

    def __init__(self, error: ProviderError, *texts: str) -> None:
        super().__init__("yes")
        self.error, self.texts = error, set(texts)

    async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
        reply = await super().complete(request, emit)
        if request.prompt.text in self.texts:
            raise self.error
        return reply


def test_every_model_is_asked_once_about_every_prompt_and_the_cube_holds_what_they_did() -> None:
    good, bad = Scripted("yes"), Scripted("no")
    with Lab(fleet=fleet({"good": good, "bad": bad})) as lab:
        found = lab.collect(data(7), ["good", "bad"])
    assert counts(good, bad) == [7, 7]
    assert found.models == ("good", "bad")
    assert [p.id for p in found.prompts] == [f"p{i}" for i in range(7)]
    assert found.quality.tolist() == [[1.0, 0.0]] * 7
    assert found.cost_usd == pytest.approx(np.full((7, 2), 15e-6))
    assert found.latency_s.tolist() == [[0.5, 0.5]] * 7
    assert found.input_tokens.tolist() == [[10.0, 10.0]] * 7
    assert not found.failed.any()
    assert not found.simulated
    reply = found.reply("p3", "bad")
    assert reply is not None
    assert reply.text == "no"
    assert reply.cost_usd == pytest.approx(15e-6)


def test_the_rows_of_the_log_are_labelled_with_the_experiment_and_the_model() -> None:
    with Lab(fleet=fleet({"good": Scripted("yes"), "bad": Scripted("no")})) as lab:
        lab.collect(data(3), ["good", "bad"])
        labels = lab.log.query("select distinct arm, experiment <> '' from calls order by arm")
        assert [tuple(row) for row in labels] == [("bad", True), ("good", True)]
        assert len({row[0] for row in lab.log.query("select experiment from runs")}) == 1


def test_what_is_there_is_not_asked_again_not_even_by_the_next_process(tmp_path: Path) -> None:
    good, bad, path = Scripted("yes"), Scripted("no"), tmp_path / "log.duckdb"
    with Lab(path, fleet=fleet({"good": good, "bad": bad})) as lab:
        first = lab.collect(data(5), ["good", "bad"])
        again = lab.collect(data(5), ["good", "bad"])
    assert counts(good, bad) == [5, 5]
    with Lab(path, fleet=fleet({"good": good, "bad": bad})) as lab:
        later = lab.collect(data(5), ["good", "bad"])
        assert counts(good, bad) == [5, 5]
        assert lab.log.query("select count(*) from runs")[0][0] == 10
    for other in (again, later):
        for name in ("quality", "cost_usd", "latency_s", "input_tokens", "output_tokens", "failed"):
            assert np.array_equal(getattr(first, name), getattr(other, name), equal_nan=name != "failed")
        assert other.reply("p0", "bad") == first.reply("p0", "bad")


def test_more_prompts_and_models_are_added_only_when_that_is_said() -> None:
    good, bad = Scripted("yes"), Scripted("no")
    with Lab(fleet=fleet({"good": good, "bad": bad})) as lab:
        lab.collect(data(5), ["good"])
        with pytest.raises(ConfigError):
            lab.collect(data(8), ["good", "bad"])
        assert counts(good, bad) == [5, 0]
        found = lab.collect(data(8), ["good", "bad"], extend=True)
    assert counts(good, bad) == [8, 8]
    assert found.quality.tolist() == [[1.0, 0.0]] * 8


def test_a_changed_scorer_does_not_pass_off_old_scores_as_its_own() -> None:
    good = Scripted("yes")
    with Lab(fleet=fleet({"good": good})) as lab:
        assert lab.collect(data(2), ["good"]).quality.tolist() == [[1.0], [1.0]]
        harder = Dataset.of(
            [{"id": f"p{i}", "prompt": f"question {i}", "scorer": {**YES, "answers": ["no"]}} for i in range(2)],
            name="quiz",
        )
        with pytest.raises(ConfigError):
            lab.collect(harder, ["good"])
        with pytest.raises(ConfigError):
            lab.collect(data(2), ["good"], scorer=Function(half))
        assert lab.collect(harder, ["good"], force=True).quality.tolist() == [[0.0], [0.0]]


def half(answer: str, prompt: object) -> float:
    return 0.5


def test_another_seed_is_another_collection() -> None:
    good = Scripted("yes")
    with Lab(fleet=fleet({"good": good})) as lab:
        lab.collect(data(2), ["good"])
        lab.collect(data(2), ["good"], seed=1)
        assert counts(good) == [4]
        assert {r.seed for r in good.requests} == {0, 1}


def test_a_failure_is_quality_nothing_and_is_tried_again_by_the_next_collect() -> None:
    shaky = Fails(AuthFailed("401"), "question 1", "question 3")
    with Lab(fleet=fleet({"shaky": shaky})) as lab:
        found = lab.collect(data(4), ["shaky"])
        assert found.quality.tolist() == [[1.0], [0.0], [1.0], [0.0]]
        assert found.failed.tolist() == [[False], [True], [False], [True]]
        assert found.reply("p1", "shaky") is None
        assert counts(shaky) == [4]
        shaky.texts = {"question 3"}
        found = lab.collect(data(4), ["shaky"])
        assert counts(shaky) == [6]
        assert found.quality.tolist() == [[1.0], [1.0], [1.0], [0.0]]
        assert found.failed.tolist() == [[False], [False], [False], [True]]
        lab.collect(data(4), ["shaky"], retry="missing")
        assert counts(shaky) == [6]


def test_retries_of_one_question_are_one_outcome_with_all_their_costs_and_waits() -> None:
    shaky = Scripted(RateLimited("429", retry_after_s=0.0), "yes")
    with Lab(fleet=fleet({"shaky": shaky})) as lab:
        found = lab.collect(data(1), ["shaky"])
    assert counts(shaky) == [2]
    assert found.quality.tolist() == [[1.0]]
    assert found.cost_usd == pytest.approx(np.array([[15e-6]]))
    assert found.latency_s[0, 0] >= 0.5


def test_a_question_that_was_never_sent_says_nothing_about_the_model() -> None:
    with Lab(fleet=fleet({"locked": Scripted(MissingKey("CORP_KEY is not set")), "good": Scripted("yes")})) as lab:
        found = lab.collect(data(3), ["locked", "good"])
    assert np.isnan(found.quality[:, 0]).all()
    assert not found.failed.any()
    assert found.quality[:, 1].tolist() == [1.0] * 3


def test_unknown_costs_stay_unknown() -> None:
    with Lab(fleet=fleet({"a": Scripted("yes")}, usd_per_mtok=None)) as lab:
        found = lab.collect(data(2), ["a"])
    assert np.isnan(found.cost_usd).all()
    assert found.cost_kind == (None,)


def test_a_spent_budget_carries_what_is_there_and_a_larger_one_goes_on() -> None:
    one = Scripted("yes")
    with Lab(fleet=fleet({"a": one}, max_output_tokens=5)) as lab:
        with pytest.raises(BudgetExceeded, match="answers are in the log") as caught:
            lab.collect(data(40), ["a"], budget_usd=0.0003, jobs=2)
        partial = caught.value.partial  # type: ignore[attr-defined]
        assert isinstance(partial, Outcomes)
        there = int(np.isfinite(partial.quality).sum())
        assert 0 < there == counts(one)[0] < 40
        assert lab.log.query("select sum(cost_usd) from runs")[0][0] <= 0.0003
        whole = lab.collect(data(40), ["a"], budget_usd=1.0)
        assert counts(one) == [40]
        assert np.isfinite(whole.quality).all()


def test_an_interrupt_loses_nothing_that_was_finished() -> None:
    class Stops(Scripted):
        held = True

        async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
            if self.held and len(self.requests) == 6:
                self.held = False
                _thread.interrupt_main()
                await asyncio.sleep(60)
            return await super().complete(request, emit)

    one = Stops("yes")
    with Lab(fleet=fleet({"a": one})) as lab:
        with pytest.raises(KeyboardInterrupt) as caught:
            lab.collect(data(10), ["a"], jobs=1)
        partial = caught.value.partial  # type: ignore[attr-defined]
        assert int(np.isfinite(partial.quality).sum()) == 6
        assert counts(one) == [6]
        found = lab.collect(data(10), ["a"])
        assert counts(one) == [10]
        assert found.quality.tolist() == [[1.0]] * 10


def test_listeners_hear_of_every_answer() -> None:
    heard: list[Any] = []
    with Lab(fleet=fleet({"a": Scripted("yes")})) as lab:
        lab.collect(data(4), ["a"], heard=heard.append)
    assert [(h.done, h.total) for h in heard] == [(n, 4) for n in range(5)]


def test_an_estimate_asks_nobody() -> None:
    one = Scripted("yes")
    with Lab(fleet=fleet({"a": one}, max_output_tokens=5)) as lab:
        assert lab.estimate(data(4), ["a"]).calls == 4
        lab.collect(data(4), ["a"])
        assert lab.estimate(data(4), ["a"]).calls == 0
    assert counts(one) == [4]


def test_practice_outcomes_are_labelled_simulated() -> None:
    with Lab(":memory:") as lab:
        lab.fleet = type(lab.fleet).practice(latency=0)
        found = lab.collect(Dataset.load("workbench").take(3), ["qwen-local", "gpt-5-mini"])
    assert found.simulated


class Ticking:
    """A clock that moves on by two seconds whenever it is looked at."""

    def __init__(self) -> None:
        self.ticks = 0

    def now(self) -> datetime:
        return datetime(2026, 5, 1)

    def monotonic(self) -> float:
        self.ticks += 1
        return 2.0 * self.ticks

    async def sleep(self, seconds: float) -> None:
        await asyncio.Event().wait()


def test_the_seconds_left_follow_from_the_pace_once_there_is_one() -> None:
    heard: list[Headway] = []
    with Lab(fleet=fleet({"a": Scripted("yes")})) as lab:
        collect(lab, data(6), ["a"], Order(jobs=2), heard=heard.append, clock=Ticking())
    assert [h.left_s for h in heard] == [None, None, 8.0, 6.0, 4.0, 2.0, 0.0]
    assert [h.spent_usd for h in heard] == pytest.approx([15e-6 * n for n in range(7)])
    assert {(h.errors, h.unpriced, h.before_usd) for h in heard} == {(0, 0, 0.0)}


def test_errors_and_calls_without_a_price_are_counted_as_they_come() -> None:
    heard: list[Headway] = []
    with Lab(fleet=fleet({"a": Fails(AuthFailed("401"), "question 1")}, usd_per_mtok=None)) as lab:
        lab.collect(data(3), ["a"], heard=heard.append)
    assert (heard[-1].done, heard[-1].errors, heard[-1].unpriced) == (3, 1, 2)
    assert heard[0].forecast.unpriced == ("a",)


def test_the_budget_bounds_a_collection_over_all_its_sittings() -> None:
    one = Scripted("yes")
    with Lab(fleet=fleet({"a": one}, max_output_tokens=5)) as lab:
        spent = []
        for _ in range(4):
            with pytest.raises(BudgetExceeded):
                lab.collect(data(40), ["a"], budget_usd=0.0003, jobs=4)
            spent.append(lab.log.query("select sum(cost_usd) from runs")[0][0])
    assert max(spent) <= 0.0003
    assert len(set(spent)) == 1
    assert counts(one)[0] == round(spent[0] / 15e-6)


def test_at_most_so_many_calls_are_under_way_as_jobs_allow() -> None:
    class Crowded(Scripted):
        now = most = 0

        async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
            self.now += 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(0.001)
            self.now -= 1
            return await super().complete(request, emit)

    one = Crowded("yes")
    with Lab(fleet=fleet({"a": one})) as lab:
        lab.collect(data(30), ["a"], jobs=3)
    assert one.most == 3
