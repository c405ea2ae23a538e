"""What may be remembered: whole, willing answers of a model that was meant to answer (C7, C8, N10, S6)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from routelab.caching import Admission
from routelab.config import RouteConfig
from routelab.core.errors import ProviderError
from routelab.core.events import (
    Answered,
    Blocked,
    Event,
    Failed,
    Missed,
    Recalled,
    Remembered,
    Routed,
    Scored,
    Unanswered,
)
from routelab.core.ports import Provider
from routelab.core.run import Run
from routelab.core.values import Finish, Prompt, Reply, Request, Tokens
from routelab.router import Router
from routelab.scoring.refusal import refused
from routelab.testing import Scripted, fleet

ADMISSION = Admission(refused=refused)
MISSED = Missed(cache="exact", key="k")
ROUTED = Routed(strategy="cascade", order=("m", "n"), reason="r")
GOOD = Answered(model="m", served_model="m", provider="p", text="Paris is the capital of France.")
NO = Scored(scorer="gate", quality=0.1, model="m", accepted=False)
YES = Scored(scorer="gate", quality=0.9, model="m", accepted=True)
LATE = Unanswered(model="n", provider="p", error="TimedOut", message="late", retry=False)
BROKEN = dataclasses.replace(LATE, text="Paris is the")


def said(text: str, finish: Finish = "stop", model: str = "m") -> Answered:
    return dataclasses.replace(GOOD, text=text, finish=finish, model=model)


def a_run(*events: Event) -> Run:
    return Run(id="r", prompt=Prompt.of("hi"), started_at=datetime(2026, 1, 1), events=events)


@pytest.mark.parametrize(
    ("events", "why"),
    [
        ((), "there is no answer"),
        ((ROUTED, LATE), "there is no answer"),
        ((ROUTED, BROKEN), "there is no answer"),
        ((ROUTED, GOOD, NO, BROKEN), "a stream broke off"),
        (
            (ROUTED, GOOD, Failed(stage="call", error="BudgetExceeded", message="spent")),
            "the run failed: BudgetExceeded",
        ),
        ((ROUTED, GOOD, Blocked(guard="secrets", reason="a key")), "secrets blocked it"),
        ((Recalled(cache="semantic", key="k", text="x", model="m"),), "there is no answer"),
        ((Recalled(cache="semantic", key="k", text="x", model="m"), GOOD), "a cache gave the answer"),
        (
            (dataclasses.replace(ROUTED, error="strategy x raised"), GOOD),
            "the strategy could not decide, and the default answered",
        ),
        ((ROUTED, said("Paris is", "length")), "the answer was cut off at its longest"),
        ((ROUTED, said("No.", "refusal")), "the model refused"),
        ((ROUTED, said("Pa", "filter")), "the answer was filtered"),
        ((ROUTED, said("", "tool")), "the answer calls a tool"),
        ((ROUTED, said("Paris", "other")), "the answer did not end well"),
        ((ROUTED, GOOD, NO, LATE), "the gate did not accept it"),
        ((ROUTED, GOOD, NO, said("Lyon", model="n"), dataclasses.replace(NO, model="n")), "the gate did not accept it"),
        ((ROUTED, said("")), "the answer is empty"),
        ((ROUTED, said(" \n\t ")), "the answer is empty"),
        ((ROUTED, said("I'm sorry, but I can't help with that.")), "the answer refuses: i'm sorry"),
        ((ROUTED, said("I cannot assist with this request.")), "the answer refuses: i cannot assist"),
        ((ROUTED, said("As an AI language model, I have no opinion.")), "the answer refuses: as an ai"),
        ((ROUTED, said("I don't know.")), "the answer refuses: i don't know"),
        ((ROUTED, said("Es tut mir leid, das geht nicht.")), "the answer refuses: es tut mir leid"),
        ((ROUTED, said("{}")), "the answer refuses: {}"),
    ],
)
def test_what_must_not_be_remembered_is_refused_with_a_reason(events: tuple[Event, ...], why: str) -> None:
    assert ADMISSION(a_run(MISSED, *events)) == why


@pytest.mark.parametrize(
    "events",
    [
        (ROUTED, GOOD),
        (ROUTED, LATE, GOOD),
        (ROUTED, GOOD, YES),
        (ROUTED, said("Lyon"), NO, said("Paris", model="n")),
        # A gate that finds two models in agreement puts the first one's answer back.
        (ROUTED, GOOD, NO, said("Paris.", model="n"), dataclasses.replace(YES, model="n", answered_by="m")),
        # What a cache gave and its judge refused is no answer; what a model said afterwards is.
        (Recalled(cache="semantic", key="k", text="x", model="m"), NO, ROUTED, GOOD),
    ],
)
def test_a_whole_and_willing_answer_is_admitted(events: tuple[Event, ...]) -> None:
    assert ADMISSION(a_run(MISSED, *events)) == ""


class Ending:
    """A provider whose answer ends in a given way, counting how often it is asked."""

    def __init__(self, text: str, finish: Finish) -> None:
        self.reply = Reply(
            text=text, served_model="m-1", finish=finish, tokens=Tokens(input=1, output=1, source="usage")
        )
        self.asked = 0

    async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
        self.asked += 1
        return self.reply


class Breaking:
    """A provider whose stream breaks after some words."""

    def __init__(self) -> None:
        self.asked = 0

    async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
        self.asked += 1
        emit("Paris is the")
        raise ProviderError("the stream broke")


@pytest.mark.parametrize(
    "provider",
    [
        Ending("cut", "length"),
        Ending("no", "refusal"),
        Ending("half", "filter"),
        Ending("call(1)", "tool"),
        Ending("what", "other"),
        Ending("", "stop"),
        Ending("I'm sorry, I can't do that.", "stop"),
        Breaking(),
    ],
)
@pytest.mark.parametrize("cache", [{"exact": True}, {"semantic": {"threshold": 0.5, "embedder": "lexical"}}])
def test_nothing_of_the_kind_is_ever_given_a_second_time(provider: Any, cache: dict[str, Any]) -> None:
    provider.asked = 0
    config = RouteConfig(name="a", strategy={"kind": "fixed", "model": "m"}, cache=cache)  # type: ignore[arg-type]
    given: Provider = provider
    router = Router(config, fleet=fleet({"m": given}))
    answers = router.many(["hi"] * 3, jobs=1)
    assert [a.cached for a in answers] == [False] * 3
    assert provider.asked == 3
    assert all(e.refused for a in answers for e in a.events if isinstance(e, Remembered))


def test_the_trace_says_why_an_answer_was_not_kept() -> None:
    config = RouteConfig(name="a", strategy={"kind": "fixed", "model": "m"}, cache={"exact": True})  # type: ignore[arg-type]
    answer = Router(config, fleet=fleet({"m": Scripted("I'm sorry, I can't do that.")})).route("hi")
    assert answer.trace().rows[-1][2] == "exact: not kept: the answer refuses: i'm sorry"


def test_a_planted_answer_is_not_heard_by_anybody_else() -> None:
    """C7: what one tenant gets a model to say stays with that tenant, and is shown as text."""
    planted = Scripted("<script>alert(1)</script> send your key to evil.example", "Monday to Friday.")
    config = RouteConfig(name="a", strategy={"kind": "fixed", "model": "m"}, cache={"exact": True})  # type: ignore[arg-type]
    router = Router(config, fleet=fleet({"m": planted}))
    prompts = [dataclasses.replace(Prompt.of("When are you open?"), tags={"tenant": t}) for t in ("mallory", "alice")]
    first, second, again = (router.route(p) for p in (prompts[0], prompts[1], prompts[0]))
    assert [first.text == again.text, second.text, again.cached] == [True, "Monday to Friday.", True]
    assert "<script>" not in again._repr_mimebundle_()["text/html"]
    assert again.run.recalled is not None
    assert again.run.recalled.source_run == first.id
