"""The judge behind a semantic hit: asked whether the answer fits, counted as a gate's judge, and a miss when it fails."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from routelab.config import RouteConfig
from routelab.core.errors import ConfigError, ServerFailed
from routelab.core.events import Recalled, Scored
from routelab.router import Router, Setting
from routelab.stages import Budget
from routelab.store import Log
from routelab.testing import Scripted, fleet

GUARD = {"kind": "judge", "model": "judge"}


def router(
    judge: Scripted, model: Scripted | None = None, *, log: Any = None, guard: Any = None, **setting: Any
) -> Router:
    semantic = {"threshold": 0.5, "embedder": "lexical", "guard": guard or GUARD}
    config = RouteConfig(
        name="a",
        strategy={"kind": "fixed", "model": "m"},
        cache={"exact": True, "semantic": semantic},  # type: ignore[arg-type]
        limits={"retries": 0},  # type: ignore[arg-type]
    )
    providers = {"m": model or Scripted("Press reset.", "Another answer."), "judge": judge}
    return Router(config, fleet=fleet(providers), log=log, setting=Setting(**setting))


def test_an_answer_that_fits_is_given_and_the_judges_cost_is_the_runs() -> None:
    judge = Scripted('{"reason": "the same", "score": 5}')
    asking = router(judge)
    asking.route("How do I reset my password?")
    hit = asking.route("How can I reset my password?")
    assert (hit.text, hit.cached, hit.model) == ("Press reset.", True, "m")
    assert hit.cost_usd == hit.judging_usd == pytest.approx(15e-6)
    assert hit.latency_s is not None
    assert hit.latency_s >= 0.5
    assert "semantic cache hit" in hit.why
    assert "m accepted (cache-guard 1.00 of 0.5: the same)" in hit.why
    shown = "\n".join(m.content for m in judge.requests[0].messages)
    assert "How can I reset my password?" in shown
    assert "Press reset." in shown


def test_an_answer_that_does_not_fit_is_none_and_the_model_is_asked() -> None:
    asking = router(Scripted('{"reason": "another thing", "score": 1}'))
    asking.route("How do I reset my password?")
    answer = asking.route("How can I reset my password?")
    assert (answer.text, answer.cached, answer.escalations) == ("Another answer.", False, 0)
    assert [type(e).__name__ for e in answer.events] == [
        "Missed", "Recalled", "Scored", "Routed", "Answered", "Remembered", "Remembered",
    ]  # fmt: skip
    assert answer.cost_usd == pytest.approx(30e-6)
    verdict = next(e for e in answer.events if isinstance(e, Scored))
    assert (verdict.scorer, verdict.accepted, verdict.judge, verdict.model) == ("cache-guard", False, "judge", "m")
    assert asking.route("How can I reset my password?").text == "Another answer."


@pytest.mark.parametrize("trouble", [ServerFailed("500"), "no verdict at all"])
def test_a_judge_that_cannot_say_is_a_miss(trouble: Any) -> None:
    asking = router(Scripted(trouble))
    asking.route("How do I reset my password?")
    assert asking.route("How can I reset my password?").text == "Another answer."


def test_nobody_judges_the_very_same_question_nor_what_the_lexical_guard_objects_to() -> None:
    judge = Scripted('{"reason": "the same", "score": 5}')
    config = RouteConfig(
        name="a",
        strategy={"kind": "fixed", "model": "m"},
        cache={"semantic": {"threshold": 0.3, "embedder": "lexical", "guard": GUARD}},  # type: ignore[arg-type]
    )
    asking = Router(config, fleet=fleet({"m": Scripted("x"), "judge": judge}))
    for text in ("Turn on dark mode", "Turn on dark mode", "Turn off dark mode"):
        asking.route(text)
    assert judge.requests == []


def test_the_bar_of_the_judge_can_be_set() -> None:
    asking = router(Scripted('{"reason": "nearly", "score": 4}'), guard={**GUARD, "at_least": 0.9})
    asking.route("How do I reset my password?")
    assert not asking.route("How can I reset my password?").cached


def test_a_spent_budget_is_a_miss_and_then_the_end() -> None:
    purse = Budget(0.0)
    asking = router(Scripted('{"reason": "x", "score": 5}'))
    asking.route("How do I reset my password?")
    poor = router(Scripted('{"reason": "x", "score": 5}'), purse=purse, memory=asking._memory)
    answer = poor.many(["How can I reset my password?"])[0]
    assert answer.stopped is not None
    assert purse.spent_usd == 0


def test_a_judge_that_is_not_in_the_fleet_is_refused_when_the_router_is_made() -> None:
    with pytest.raises(ConfigError, match="nobody"):
        router(Scripted(), guard={"kind": "judge", "model": "nobody"})


def test_a_hit_that_was_refused_is_no_hit_in_the_log(tmp_path: Any) -> None:
    with Log(tmp_path / "log.duckdb") as log:
        asking = router(Scripted('{"reason": "another thing", "score": 1}'), log=log)
        asking.route("How do I reset my password?")
        answer = asking.route("How can I reset my password?")
        assert log.query("select count(*) from cache_hits") == [(0,)]
        assert log.query("select status, cached, cost_usd from runs where run_id = ?", [answer.id]) == [
            ("answered", False, pytest.approx(30e-6))
        ]
        assert log.query("select count(*) filter (cached), count(*) from calls") == [(0, 2)]
        assert log.query("select judge, accepted, cost_usd from scores") == [("judge", False, pytest.approx(15e-6))]
        stored = log.run(answer.id)
        assert stored is not None
        assert (stored.recalled, stored.text, stored.position) == (None, "Another answer.", 0)


def test_a_refused_hit_does_not_use_up_a_rung_of_the_ranking() -> None:
    asking = router(Scripted('{"reason": "another thing", "score": 1}'))
    asking.route("How do I reset my password?")
    run = asking.route("How can I reset my password?").run
    hit = next(e for e in run.events if isinstance(e, Recalled))
    before = dataclasses.replace(run, events=run.events[: run.events.index(hit) + 1])
    assert before.recalled == hit
    assert (run.position, run.current, run.settled, run.refusals) == (0, "m", True, 0)
