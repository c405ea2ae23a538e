"""A judge in the place of a scorer: what measuring costs is paid, logged and shown, and charged to no arm."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from routelab.config import PromptConfig, RouteConfig
from routelab.core.errors import ConfigError, DataError
from routelab.core.events import Scored
from routelab.core.run import Run
from routelab.core.values import Prompt
from routelab.fleet import Fleet
from routelab.judging import Rubric, is_judge, judging_of
from routelab.judging.measuring import named
from routelab.lab.datasets import Dataset
from routelab.lab.session import Lab
from routelab.router import Router, Setting
from routelab.scoring import Exact
from routelab.stages import Budget
from routelab.store import Log
from routelab.testing import fakes
from routelab.testing.fakes import Scripted

ONE = RouteConfig(name="one", models=["small"], strategy={"kind": "fixed", "model": "small"})
CALL_USD = (10 + 5) / 1e6
GOOD, BAD = '{"reason": "right", "score": 5}', '{"reason": "wrong", "score": 1}'


def fleet(*verdicts: str, small: Scripted | None = None) -> tuple[Fleet, Scripted]:
    judge = Scripted(*verdicts)
    return fakes.fleet({"small": small or Scripted("four"), "judge": judge}), judge


def measured(run: Run) -> Scored:
    [found] = [e for e in run.events if isinstance(e, Scored)]
    return found


@pytest.mark.parametrize(
    "scorer", [Rubric(model="judge"), {"kind": "judge", "model": "judge"}, {"scorer": "judge", "model": "judge"}]
)
def test_what_a_judge_costs_that_measures_is_not_what_the_answer_cost(scorer: Any) -> None:
    who, _ = fleet(GOOD)
    answer = Router(ONE, fleet=who, setting=Setting(scorer=scorer)).route("2 + 2?")
    assert (answer.quality, answer.cost_usd, answer.measuring_usd) == (
        1.0,
        pytest.approx(CALL_USD),
        pytest.approx(CALL_USD),
    )
    assert answer.latency_s == 0.5
    said = measured(answer.run)
    assert (said.accepted, said.judge, said.model, said.scorer) == (
        None,
        "judge",
        "small",
        named(Rubric(model="judge")),
    )
    assert "quality 1.00 (measuring $" in answer.header()


def test_a_prompt_may_bring_its_judge_which_the_fleet_must_have() -> None:
    who, judge = fleet(BAD)
    prompt = Prompt(id="p", messages=Prompt.of("2 + 2?").messages, scorer={"kind": "judge", "model": "judge"})
    answer = Router(ONE, fleet=who).route(prompt)
    assert (answer.quality, answer.measuring_usd) == (0.0, pytest.approx(CALL_USD))
    assert len(judge.requests) == 1
    small = Scripted("four")
    who, _ = fleet(GOOD, small=small)
    strange = Prompt(id="p", messages=prompt.messages, scorer={"kind": "judge", "model": "jugde"})
    with pytest.raises(ConfigError, match="unknown model 'jugde'; did you mean 'judge'"):
        Router(ONE, fleet=who).route(strange)
    with pytest.raises(ConfigError, match="unknown model 'jugde'"):
        Router(ONE, fleet=who, setting=Setting(scorer=Rubric(model="jugde")))
    assert small.requests == []


def test_the_judge_sees_the_answer_that_counts_and_the_reference_when_it_may() -> None:
    who, judge = fleet(GOOD)
    prompt = Prompt(id="p", messages=Prompt.of("2 + 2?").messages, reference="it is FOUR")
    Router(ONE, fleet=who, setting=Setting(scorer=Rubric(model="judge", reference="given"))).route(prompt)
    [shown] = [" ".join(m.content for m in r.messages) for r in judge.requests]
    assert "four" in shown
    assert "it is FOUR" in shown


def test_a_cached_answer_is_measured_too_and_a_missing_one_is_not_paid_for() -> None:
    who, judge = fleet(GOOD)
    cached = RouteConfig(name="c", models=["small"], strategy=ONE.strategy, cache={"exact": True})  # type: ignore[arg-type]
    router = Router(cached, fleet=who, setting=Setting(scorer=Rubric(model="judge")))
    first, second = router.route("2 + 2?"), router.route("2 + 2?")
    assert (second.cached, second.quality, second.cost_usd, second.measuring_usd) == (
        True,
        1.0,
        0.0,
        pytest.approx(CALL_USD),
    )
    assert len(judge.requests) == 2
    assert first.measuring_usd == second.measuring_usd


def test_the_log_keeps_measuring_apart_and_the_budget_pays_for_both(tmp_path: Path) -> None:
    who, _ = fleet(GOOD)
    purse = Budget(1.0)
    with Log(tmp_path / "log.duckdb") as log:
        Router(ONE, fleet=who, log=log, setting=Setting(scorer=Rubric(model="judge"), purse=purse)).route("2 + 2?")
        log.flush()
        assert log.query("select cost_usd, quality from runs") == [(pytest.approx(CALL_USD), 1.0)]
        assert log.query("select judge, cost_usd, accepted from scores") == [("judge", pytest.approx(CALL_USD), None)]
        spend = log.query("select what, requested_model, cost_usd from spend_by_day order by what")
        assert spend == [
            ("answering", "small", pytest.approx(CALL_USD)),
            ("measuring", "judge", pytest.approx(CALL_USD)),
        ]
    assert purse.spent_usd == pytest.approx(2 * CALL_USD)


def test_a_comparison_shows_what_measuring_cost_and_charges_no_arm() -> None:
    who, _ = fleet(GOOD, BAD, "no verdict at all")
    with Lab(fleet=who) as lab:
        found = lab.compare(["a?", "b?"], {"one": ONE, "two": "small"}, scorer=Rubric(model="judge"))
    assert found.baseline.walked.cost_usd.tolist() == pytest.approx([CALL_USD] * 2)
    assert np.isnan(found.arms[0].walked.judging_usd).sum() == 0
    [note] = [n for n in found.terms.notes if "measuring" in n]
    # Two verdicts, and two judgements that could not be read and were asked for once more.
    assert note == (
        "quality is what judge says of 4 answers, uncorrected; measuring cost $0.0000900, which is in no arm's cost; "
        "2 answers got no verdict"
    )


def test_a_budget_that_ends_while_measuring_stops_the_trial() -> None:
    who, _ = fleet(GOOD)
    brief = dataclasses.replace(ONE, prompt=PromptConfig(max_output_tokens=10))
    setting = Setting(scorer=Rubric(model="judge"), purse=Budget(0.0005))
    answer = Router(brief, fleet=who, setting=setting).route("2 + 2?")
    assert (answer.text, answer.quality, answer.measuring_usd) == ("four", None, 0.0)
    assert answer.stopped is not None
    assert "a call of judge could cost" in answer.stopped.message


def test_somebody_who_stops_waiting_while_the_judge_thinks_has_its_spending_in_the_log() -> None:
    asked = asyncio.Event()

    class Slow(Scripted):
        async def complete(self, request: Any, emit: Any) -> Any:
            if not self.requests:
                return await super().complete(request, emit)
            self.requests.append(request)
            asked.set()
            return await asyncio.sleep(60)

    who = fakes.fleet({"small": Scripted("four"), "judge": Slow("nothing to read")})
    log = Log(":memory:")
    router = Router(ONE, fleet=who, log=log, setting=Setting(scorer=Rubric(model="judge")))

    async def stopped() -> None:
        task = asyncio.ensure_future(router.play(Prompt.of("2 + 2?")))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(stopped())
    assert log.query("select accepted, quality, cost_usd, reason from scores") == [
        (None, None, pytest.approx(CALL_USD), "the caller stopped waiting")
    ]
    assert log.query("select cost_usd from runs") == [(pytest.approx(CALL_USD),)]
    log.close()


def test_a_collection_leaves_judging_to_lab_judge() -> None:
    who, judge = fleet(GOOD)
    data = Dataset.of([{"id": "p", "prompt": "2 + 2?", "scorer": {"kind": "judge", "model": "judge"}}])
    with Lab(fleet=who) as lab:
        with pytest.raises(ConfigError, match="a judge does not measure while answers are collected"):
            lab.collect(data, ["small"], scorer=Rubric(model="judge"))
        found = lab.collect(data, ["small"])
        assert np.isnan(found.quality).all()
        assert any("1 prompts are for a judge to score" in note for note in found.notes)
        assert judge.requests == []


def test_a_dataset_refuses_a_judge_that_cannot_be_made() -> None:
    with pytest.raises(DataError, match=r"scorer\.model"):
        Dataset.of([{"prompt": "2 + 2?", "scorer": {"kind": "judge"}}])


@pytest.fixture(params=["judge", "pairwise", "consistency", "confidence"])
def spec(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    more = {"judge": {"model": "m"}, "pairwise": {"model": "m", "against": "n"}}.get(request.param, {})
    return {"kind": request.param, **more}  # type: ignore[return-value]


def test_every_kind_of_judge_can_measure_under_a_name_of_its_own(spec: dict[str, Any]) -> None:
    judge = judging_of(spec)
    assert is_judge(judge)
    assert is_judge(spec)
    assert named(judge).startswith(spec["kind"])
    assert named(judge) == named(judging_of(spec))


def test_a_scorer_that_asks_nobody_is_no_judge() -> None:
    assert not is_judge(Exact(answers=["4"]))
    assert not is_judge({"kind": "exact", "answers": ["4"]})
    assert not is_judge(None)
    assert named(Rubric(model="m", reference="given")).startswith("measured-judge-")
