"""The bench: named arms, live comparisons that stop well, and a log that knows everything."""

from __future__ import annotations

import _thread
import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from routelab.config import RouteConfig
from routelab.core.errors import AuthFailed, BudgetExceeded, ConfigError, DataError
from routelab.core.values import Reply, Request
from routelab.fleet import Fleet
from routelab.lab.compare import Comparison
from routelab.lab.datasets import Dataset
from routelab.lab.session import Lab
from routelab.scoring import Function
from routelab.strategies import Fixed, Random, Rules, Split
from routelab.testing import Scripted, fleet

YES = {"kind": "exact", "answers": ["yes"]}


def data(n: int, **more: Any) -> Dataset:
    return Dataset.of(
        [{"id": f"p{i}", "prompt": f"question {i}", "scorer": YES, **more} for i in range(n)], name="quiz"
    )


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab(fleet=fleet({"good": Scripted("yes"), "bad": Scripted("no"), "down": Scripted(AuthFailed("401"))})) as lab:
        yield lab


def asked(lab: Lab, model: str) -> list[Request]:
    provider = lab.fleet.endpoint(model).provider
    assert isinstance(provider, Scripted)
    return provider.requests


def rows(lab: Lab, text: str, *parameters: Any) -> list[list[Any]]:
    frame: Any = lab.sql(text, parameters)
    return [list(row) for row in frame.itertuples(index=False, name=None)]


# Arms


def test_a_name_is_an_arm_of_ones_own_a_model_or_a_strategy_that_needs_nothing(lab: Lab) -> None:
    lab.arms["mine"] = RouteConfig(name="mine", strategy=Fixed(model="bad"))
    lab.arms["good"] = RouteConfig(name="good", strategy=Fixed(model="bad"))
    assert lab.arm("mine").ranking == Fixed(model="bad")
    assert lab.arm("good").ranking == Fixed(model="bad")  # one's own name comes first
    assert lab.arm("bad").ranking == Fixed(model="bad")
    assert (lab.arm("random").ranking, lab.arm("random").models) == (Random(), ("good", "bad", "down"))


def test_the_default_rules_need_the_models_they_name(lab: Lab) -> None:
    with pytest.raises(ConfigError, match=r"the default 'rules' arm asks .* which this fleet does not have") as caught:
        lab.arm("rules")
    assert "lab.arms['rules']" in (caught.value.hint or "")
    with Lab(fleet=Fleet.practice(latency=0)) as practice:
        assert practice.arm("rules").ranking == Rules()
        assert practice.arm("rules").fleet == "practice"


def test_an_unknown_arm_is_named_with_the_nearest(lab: Lab) -> None:
    with pytest.raises(ConfigError, match=r"unknown arm 'goood'; did you mean 'good'\?"):
        lab.arm("goood")


def test_a_bare_strategy_becomes_a_config_over_its_models_or_the_whole_fleet(lab: Lab) -> None:
    assert lab.config(Split(weights={"good": 1, "bad": 1}), "half").models == ("good", "bad")
    assert lab.config(Random(), "any").models == ("good", "bad", "down")
    assert lab.config(Random(), "any").name == "any"


def test_a_router_of_the_session_logs_into_its_log(lab: Lab) -> None:
    lab.router("good", experiment="e", tags={"who": "me"}).route("hi")
    assert rows(lab, "select arm, experiment, status, model from runs") == [["good", "e", "answered", "good"]]


# Comparing live


def test_a_live_comparison_has_every_arms_answers_and_figures(lab: Lab) -> None:
    found = lab.compare(
        data(30), arms={"a": "good", "b": Fixed(model="bad"), "c": RouteConfig(name="x", strategy=Fixed(model="down"))}
    )
    frame: Any = found.frame.set_index("arm")
    assert frame["quality"].to_dict() == {"a": 1.0, "b": 0.0, "c": 0.0}
    assert frame["failures"].to_dict() == {"a": 0, "b": 0, "c": 30}
    assert frame["n"].to_dict() == {"a": 30, "b": 30, "c": 30}
    assert frame["cost_usd"].to_dict() == pytest.approx({"a": 15e-6, "b": 15e-6, "c": 0.0})
    assert found.baseline.name == "a"
    assert frame.loc["b", "verdict"] == "worse"
    assert [a.text for a in found.answers["a"]] == ["yes"] * 30
    assert [p.id for p in found.prompts] == [f"p{i}" for i in range(30)]
    assert found.winner() is None or found.winner() is found["a"]


def test_names_may_be_a_list_and_the_baseline_may_be_named(lab: Lab) -> None:
    found = lab.compare(data(10), ["bad", "good"], baseline="good")
    assert (found.baseline.name, [a.name for a in found.arms]) == ("good", ["bad", "good"])
    with pytest.raises(ConfigError, match=r"baseline: unknown arm 'goood'; did you mean 'good'\?"):
        lab.compare(data(2), ["good"], baseline="goood")
    with pytest.raises(ConfigError, match="name at least one arm"):
        lab.compare(data(2), [])
    with pytest.raises(DataError):
        lab.compare([], ["good"])


def test_every_row_of_the_log_carries_the_experiment_and_the_arm(lab: Lab) -> None:
    found = lab.compare(data(5), {"a": "good", "b": "bad"}, tags={"k": "v"}, seed=7)
    experiment = found.tags["experiment"]
    assert experiment.startswith("quiz-")
    for table in ("runs", "calls", "scores"):
        labels = rows(lab, f"select experiment, arm, count(*) from {table} group by all order by arm")
        assert labels == [[experiment, "a", 5], [experiment, "b", 5]]
    assert rows(lab, "select dataset, seed from experiments where experiment = ?", experiment) == [["quiz", 7]]
    assert rows(lab, "select count(*) from prompts")[0][0] == 5


def test_a_scorer_of_ones_own_judges_every_arm(lab: Lab) -> None:
    plain = ["question 1", "question 2", "question 3"]
    found = lab.compare(
        plain, ["good", "bad", "down"], scorer=Function(lambda answer, prompt: 0.5 if answer == "no" else 0.25)
    )
    assert found.frame.set_index("arm")["quality"].to_dict() == {"good": 0.25, "bad": 0.5, "down": 0.0}


def test_without_a_scorer_there_are_answers_and_no_verdict(lab: Lab) -> None:
    found = lab.compare(["a", "b"], ["good", "bad"])
    assert [a.text for a in found.answers["bad"]] == ["no", "no"]
    assert found.frame["quality"].isna().all()
    assert found.winner() is None
    assert found.why
    assert repr(found)


def test_a_fallbacks_answer_counts_for_the_arm_that_was_assigned(lab: Lab) -> None:
    fallen = RouteConfig(name="x", models=["down", "good"], strategy=Fixed(model="down"), fallbacks={"down": ["good"]})
    found = lab.compare(data(10), {"plain": "down", "fallen": fallen})
    assert found.frame.set_index("arm")["quality"].to_dict() == {"plain": 0.0, "fallen": 1.0}
    assert {a.model for a in found.answers["fallen"]} == {"good"}
    assert {a.run.arm for a in found.answers["fallen"]} == {"fallen"}
    calls = rows(lab, "select arm, requested_model, count(*) from calls group by all order by all")
    assert calls == [["fallen", "down", 10], ["fallen", "good", 10], ["plain", "down", 10]]


def test_two_arms_of_one_config_do_not_answer_for_each_other() -> None:
    cached = RouteConfig(name="x", strategy=Fixed(model="good"), cache={"exact": True})  # type: ignore[arg-type]
    with Lab(fleet=fleet({"good": Scripted("yes")})) as lab:
        for _ in range(2):  # nor does an earlier experiment for a later one
            found = lab.compare(data(10), {"a": cached, "b": cached})
            assert found.frame["cost_usd"].tolist() == pytest.approx([15e-6, 15e-6])
        assert len(asked(lab, "good")) == 40


# Stopping


def test_one_budget_bounds_all_arms_together_and_what_was_finished_comes_along() -> None:
    with Lab(fleet=fleet({"a": Scripted("yes"), "b": Scripted("no")}, max_output_tokens=5)) as lab:
        with pytest.raises(BudgetExceeded, match=r"of 100 prompts are finished") as caught:
            lab.compare(data(100), ["a", "b"], budget_usd=0.001, jobs=4)
        spent = rows(lab, "select sum(cost_usd) from runs")[0][0]
        assert 0 < spent <= 0.001
        partial = caught.value.partial  # type: ignore[attr-defined]
        assert isinstance(partial, Comparison)
        assert 0 < len(partial.prompts) < 100
        assert partial.frame["n"].tolist() == [len(partial.prompts)] * 2
        assert partial.winner() is None
        assert "stopped early" in repr(partial)


def test_a_budget_for_nothing_carries_nothing() -> None:
    with Lab(fleet=fleet({"a": Scripted("yes")}, max_output_tokens=5)) as lab:
        with pytest.raises(BudgetExceeded) as caught:
            lab.compare(data(3), ["a"], budget_usd=0.0)
        assert caught.value.partial is None  # type: ignore[attr-defined]
        assert asked(lab, "a") == []


@pytest.mark.parametrize("budget", [float("nan"), -1.0])
def test_a_budget_that_is_no_amount_of_money_is_refused_before_anything_is_asked(lab: Lab, budget: float) -> None:
    with pytest.raises(ConfigError, match="budget_usd"):
        lab.compare(data(3), ["good"], budget_usd=budget)
    assert asked(lab, "good") == []


class Stops(Scripted):
    """Interrupt the main thread at the n-th question and answer no more."""

    def __init__(self, n: int) -> None:
        super().__init__("yes")
        self.n = n

    async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
        if len(self.requests) == self.n:
            self.n = -1
            _thread.interrupt_main()
            await asyncio.sleep(60)
        return await super().complete(request, emit)


def test_an_interrupt_carries_what_was_finished_and_the_log_has_it() -> None:
    one = Stops(8)
    with Lab(fleet=fleet({"a": one})) as lab:
        with pytest.raises(KeyboardInterrupt) as caught:
            lab.compare(data(20), ["a"], jobs=1)
        partial = caught.value.partial  # type: ignore[attr-defined]
        assert isinstance(partial, Comparison)
        assert len(partial.prompts) == 8
        assert all(a.text == "yes" for a in partial.answers["a"])
        statuses = rows(lab, "select status, count(*) from runs group by all order by status")
        assert statuses == [["answered", 8], ["unanswered", 1]]
        assert rows(lab, "select distinct status from calls order by status") == [["Cancelled"], ["answered"]]
        assert lab.router("a").route("still there?").text == "yes"


def test_an_interrupt_before_anything_was_finished_carries_nothing() -> None:
    with Lab(fleet=fleet({"a": Stops(0)})) as lab:
        with pytest.raises(KeyboardInterrupt) as caught:
            lab.compare(data(5), ["a"], jobs=1)
        assert caught.value.partial is None  # type: ignore[attr-defined]


# The log


def test_a_session_on_disk_can_be_read_by_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    with Lab(path, fleet=fleet({"a": Scripted("yes")})) as lab:
        lab.compare(data(3), ["a"])
    with Lab(path, fleet=fleet({"a": Scripted("yes")})) as lab:
        assert rows(lab, "select count(*) from runs where quality = 1")[0][0] == 3
        assert "log.duckdb" in repr(lab)


def test_questions_to_the_log_take_parameters_and_change_nothing(lab: Lab) -> None:
    lab.router("good").route("'; drop table runs; --")
    assert len(rows(lab, "select text from prompts where text = ?", "'; drop table runs; --")) == 1
    with pytest.raises(Exception, match=r"(?i)read.only|not allowed|only"):
        lab.sql("drop table runs")
    assert rows(lab, "select count(*) from runs")[0][0] == 1


def test_replay_takes_the_sessions_arms_by_name(lab: Lab) -> None:
    lab.arms["mine"] = RouteConfig(name="mine", strategy=Split(weights={"good": 1, "bad": 1}))
    outcomes = lab.collect(data(60), ["good", "bad"])
    before = len(asked(lab, "good"))
    found = lab.replay(outcomes, ["mine", "good", "bad"], confirm=0.5)
    assert [a.name for a in found.arms] == ["mine", "good", "bad"]
    assert len(asked(lab, "good")) == before
    with pytest.raises(ConfigError, match=r"unknown arm 'mien'; did you mean 'mine'\?"):
        lab.replay(outcomes, ["mien"])


def test_a_replay_of_what_was_collected_equals_the_live_arms(lab: Lab) -> None:
    quiz = data(40)
    outcomes = lab.collect(quiz, ["good", "bad", "down"])
    live = lab.compare(quiz, ["good", "bad", "down"])
    played = lab.replay(outcomes, {n: n for n in ("good", "bad", "down")}, confirm=0, baseline="good")
    for name in ("good", "bad", "down"):
        one, two = live[name].walked, played[name].walked
        by_id = [played.outcomes.rows[p.id] for p in live.prompts] if played.outcomes is not None else []
        assert np.array_equal(one.quality, two.quality[by_id])
        assert np.allclose(one.cost_usd, two.cost_usd[by_id])
    assert live.frame.set_index("arm")["quality"].to_dict() == played.frame.set_index("arm")["quality"].to_dict()


def test_a_baseline_that_costs_nothing_is_not_said_to_have_an_unknown_cost() -> None:
    lab = Lab(":memory:", fleet=Fleet.practice(latency=0))
    found = lab.compare(Dataset.load("workbench").sample(6), arms={"qwen-local": "qwen-local", "gpt-5": "gpt-5"})
    lab.close()
    assert found.why == "simulated: keep the baseline qwen-local: it costs nothing, so no arm can be cheaper"


def test_one_arms_name_is_one_arm_and_not_its_letters(lab: Lab) -> None:
    found = lab.compare(data(3), "good")
    assert [arm.name for arm in found.arms] == ["good"]
    assert [arm.name for arm in lab.replay(lab.collect(data(8), "bad"), "bad", confirm=0).arms] == ["bad"]
