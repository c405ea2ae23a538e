"""What a person gets back: one line that says who, how much, how fast and why, and everything behind it."""

from __future__ import annotations

import dataclasses
import re
from datetime import datetime
from typing import Any

import pytest

from routelab.answer import Answer
from routelab.config import RouteConfig
from routelab.core import errors
from routelab.core.errors import ConfigError, ProviderError, RateLimited, RoutelabError, RunFailed, TimedOut
from routelab.core.events import (
    Answered,
    Blocked,
    Failed,
    Missed,
    Recalled,
    Routed,
    Scored,
    Unanswered,
)
from routelab.core.run import Run
from routelab.core.values import Prompt, Tokens
from routelab.fleet import Fleet
from routelab.router import Router, Setting
from routelab.testing import Scripted, VirtualClock, fleet

ROUTED = Routed(strategy="rules", order=("small", "large"), reason="task translation (given)", task="translation")
ANSWERED = Answered(
    model="small",
    served_model="small",
    provider="p",
    upstream="small",
    text="Guten Tag",
    tokens=Tokens(input=1200, output=80, source="usage"),
    cost_usd=0.000123,
    latency_s=1.25,
)
BROKEN = Unanswered(model="small", provider="p", error="TimedOut", message="too late", retry=False, latency_s=2.0)


def answer(*events: Any, **about: Any) -> Answer:
    return Answer(Run(id="r1", prompt=Prompt.of("hi"), started_at=datetime(2026, 1, 1), events=events, **about))


@pytest.mark.parametrize(
    ("given", "header"),
    [
        (answer(ROUTED, ANSWERED), "small · $0.000123 · 1.2 s · 1,200 + 80 tok · why: task translation (given)"),
        (
            answer(ROUTED, ANSWERED, arm="cheap"),
            "cheap → small · $0.000123 · 1.2 s · 1,200 + 80 tok · why: task translation (given)",
        ),
        (
            answer(ROUTED, dataclasses.replace(ANSWERED, cost_usd=None, latency_s=None, tokens=Tokens())),
            "small · ? · ? · ? + ? tok · why: task translation (given)",
        ),
        (
            answer(ROUTED, dataclasses.replace(ANSWERED, cost_usd=0.0)),
            "small · $0 · 1.2 s · 1,200 + 80 tok · why: task translation (given)",
        ),
        (
            answer(ROUTED, dataclasses.replace(ANSWERED, tokens=Tokens(input=7, output=9, source="estimate"))),
            "small · $0.000123 · 1.2 s · ~7 + ~9 tok · why: task translation (given)",
        ),
        (
            answer(ROUTED, dataclasses.replace(ANSWERED, served_model="small-2026-01")),
            "small · $0.000123 · 1.2 s · 1,200 + 80 tok · why: task translation (given)",
        ),
        (
            answer(ROUTED, dataclasses.replace(ANSWERED, served_model="tiny")),
            "small SERVED BY tiny · $0.000123 · 1.2 s · 1,200 + 80 tok · why: task translation (given)",
        ),
        (
            answer(ROUTED, dataclasses.replace(ANSWERED, simulated=True, served_model="tiny")),
            "small (simulated) · $0.000123 · 1.2 s · 1,200 + 80 tok · why: task translation (given)",
        ),
        (
            answer(
                ROUTED, BROKEN, dataclasses.replace(ANSWERED, model="large", served_model="large", upstream="large")
            ),
            "large · $0.000123 · 3.2 s · 1,200 + 80 tok · why: task translation (given); after small: TimedOut",
        ),
        (
            answer(ROUTED, ANSWERED, Scored(scorer="exact", quality=0.5, model="small")),
            "small · $0.000123 · 1.2 s · 1,200 + 80 tok · quality 0.50 · why: task translation (given)",
        ),
        (
            answer(Recalled(cache="exact", key="k", text="Guten Tag", model="small")),
            "small · $0 · 0 ms · cache hit · why: exact cache hit",
        ),
    ],
)
def test_one_line_says_who_how_much_how_fast_and_why(given: Answer, header: str) -> None:
    assert given.header() == header
    assert repr(given) == header


def test_an_unknown_cost_is_a_question_mark_on_every_way_to_it() -> None:
    unpriced = fleet({"m": Scripted("x")}, usd_per_mtok=None)
    config = RouteConfig(name="a", strategy={"kind": "fixed", "model": "m"})
    live = Router(config, fleet=unpriced).route("hi")
    half = answer(ROUTED, dataclasses.replace(BROKEN, text="Guten"))
    judged = answer(ROUTED, ANSWERED, Scored(scorer="judge", quality=1.0, model="small", cost_usd=None, accepted=True))
    for unknown in (live, half, judged):
        assert unknown.cost_usd is None
        assert "$0" not in unknown.header()
        assert re.search(r" · \? (\(judging \?\) )?· ", unknown.header())
        for face in (*unknown._repr_mimebundle_().values(), unknown.trace().text(), unknown.trace().html()):
            assert "$0 " not in face
            assert "$0<" not in face


def test_what_measuring_cost_is_told_apart_and_not_hidden_when_it_is_unknown() -> None:
    measured = Scored(scorer="judge-1", quality=1.0, model="small", cost_usd=None, judge="umpire")
    one = answer(ROUTED, ANSWERED, measured)
    assert (one.cost_usd, one.measuring_usd) == (ANSWERED.cost_usd, None)
    assert "quality 1.00 (measuring ?)" in one.header()
    assert "by umpire for ?" in one.trace().text()


def test_the_facts_of_an_answer() -> None:
    given = answer(ROUTED, Missed(cache="exact", key="k"), ANSWERED, Scored(scorer="exact", quality=1.0, model="small"))
    facts = (given.id, given.text, str(given), given.model, given.served_model, given.cached, given.quality)
    assert facts == ("r1", "Guten Tag", "Guten Tag", "small", "small", False, 1.0)
    assert (given.tokens, given.error, given.simulated) == (ANSWERED.tokens, None, False)
    assert given.events == given.run.events


def test_a_bundle_has_a_text_and_a_page() -> None:
    made = answer(ROUTED, ANSWERED)._repr_mimebundle_()
    assert made["text/plain"] == f"{answer(ROUTED, ANSWERED).header()}\n\nGuten Tag"
    assert "<pre>Guten Tag</pre>" in made["text/html"]
    failed = answer(ROUTED, BROKEN)._repr_mimebundle_()
    assert failed["text/plain"].endswith("TimedOut: too late")
    assert "<pre>TimedOut: too late</pre>" in failed["text/html"]


def test_a_trace_has_a_row_for_every_event() -> None:
    rows = answer(ROUTED, BROKEN, dataclasses.replace(ANSWERED, at_s=2.5)).trace().rows
    assert rows == [
        ["0.000 s", "Routed", "small → large because task translation (given)"],
        ["0.000 s", "Unanswered", "small: TimedOut, passed over: too late"],
        ["2.500 s", "Answered", "small (small): $0.000123, 1.2 s, stop: Guten Tag"],
    ]


@pytest.mark.parametrize(
    "kind", [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, RoutelabError)]
)
def test_an_error_comes_back_as_what_it_was_with_its_hint(kind: type[RoutelabError]) -> None:
    original = kind("what happened", hint="what to do")
    failed = answer(Failed(stage="call", error=kind.__name__, message=str(original))).error
    missed = answer(
        ROUTED, Unanswered(model="small", provider="p", error=kind.__name__, message=str(original), retry=False)
    ).error
    for error in (failed, missed):
        assert (type(error), str(error)) == (kind, str(original))


def test_an_error_that_no_version_knows_is_still_an_error() -> None:
    for name in ("suggest", "annotations", "NoSuchThing", "Iterable", ""):
        assert isinstance(answer(Failed(stage="x", error=name, message="m")).error, RoutelabError)


def test_the_last_error_says_who_was_asked() -> None:
    error = answer(
        ROUTED,
        dataclasses.replace(BROKEN, retry=True),
        BROKEN,
        Unanswered(model="large", provider="p", error="RateLimited", message="slow down\n  hint: wait", retry=False),
    ).error
    assert type(error) is RateLimited
    assert str(error) == "slow down (after 3 attempts at small, large)\n  hint: wait"


@pytest.mark.parametrize(
    ("events", "kind", "said"),
    [
        ((Blocked(guard="injection", reason="'ignore all'"),), RunFailed, "blocked by injection: 'ignore all'"),
        ((), RunFailed, "the run ended without an answer"),
        ((ROUTED, dataclasses.replace(BROKEN, text="Guten")), TimedOut, "too late"),
    ],
)
def test_a_run_without_an_answer_says_why(events: tuple[Any, ...], kind: type[RoutelabError], said: str) -> None:
    given = answer(*events)
    assert (type(given.error), str(given.error), given.text) == (kind, said, "")
    assert given.header().startswith("no answer · ")


def test_a_half_streamed_answer_is_kept_and_nothing_is_said_twice() -> None:
    class Breaks(Scripted):
        async def complete(self, request: Any, emit: Any) -> Any:
            self.requests.append(request)
            emit("half an ")
            emit("answer")
            raise TimedOut("the stream broke")

    one, two = Breaks(), Scripted("a whole answer")
    config = RouteConfig(
        name="a", models=["one", "two"], strategy={"kind": "fixed", "model": "one"}, fallbacks={"one": ["two"]}
    )
    router = Router(config, fleet=fleet({"one": one, "two": two}), clock=VirtualClock())
    heard: list[str] = []
    with pytest.raises(TimedOut, match="the stream broke"):
        heard.extend(router.stream("hi"))
    assert heard == ["half an ", "answer"]
    assert (len(one.requests), len(two.requests)) == (1, 0)


def test_a_stream_that_breaks_before_its_first_word_is_asked_again_and_heard_once() -> None:
    one, two = Scripted(TimedOut("late"), TimedOut("late"), TimedOut("late")), Scripted("a whole answer")
    config = RouteConfig(
        name="a", models=["one", "two"], strategy={"kind": "fixed", "model": "one"}, fallbacks={"one": ["two"]}
    )
    router = Router(config, fleet=fleet({"one": one, "two": two}), clock=VirtualClock())
    assert "".join(router.stream("hi")).split() == ["a", "whole", "answer"]
    assert (len(one.requests), len(two.requests)) == (3, 1)


def test_a_practice_answer_says_that_it_is_simulated() -> None:
    config = RouteConfig(name="a", strategy={"kind": "fixed", "model": "qwen-local"})
    given = Router(config, fleet=Fleet.practice(latency=0, errors=0), setting=Setting(arm="x")).route("Is 7 prime?")
    assert given.simulated
    assert given.header().startswith("x → qwen-local (simulated) · ")
    assert "(simulated)" in given._repr_mimebundle_()["text/html"]


def test_a_practice_answer_from_the_cache_is_still_simulated() -> None:
    config = RouteConfig(name="a", strategy={"kind": "fixed", "model": "qwen-local"}, cache={"exact": True})  # type: ignore[arg-type]
    router = Router(config, fleet=Fleet.practice(latency=0, errors=0))
    first, again = router.route("Is 7 prime?"), router.route("Is 7 prime?")
    assert (first.cached, again.cached, again.text) == (False, True, first.text)
    assert again.simulated
    assert again.header().startswith("a → qwen-local (simulated) · $0 · ")


def test_provider_errors_keep_their_kind_through_the_router() -> None:
    config = RouteConfig(name="a", strategy={"kind": "fixed", "model": "m"}, limits={"retries": 0})  # type: ignore[arg-type]
    kinds = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, ProviderError)]
    for kind in kinds:
        with pytest.raises(kind, match="trouble") as caught:
            Router(config, fleet=fleet({"m": Scripted(kind("trouble", hint="move"))})).route("hi")
        assert (type(caught.value), caught.value.hint) == (kind, "move")
    with pytest.raises(ConfigError):
        Router(config, fleet=fleet({"n": Scripted()}))


def test_what_a_gate_made_of_the_answers_is_told_with_what_judging_cost() -> None:
    routed = Routed(
        strategy="cascade", order=("small", "large"), reason="small; if judge (flash) gives less than 0.8, large"
    )
    judged = Scored(
        scorer="judge-0123abcd",
        quality=0.5,
        model="small",
        reason="half of it is missing",
        accepted=False,
        at_least=0.8,
        judge="flash",
        cost_usd=0.0001,
        latency_s=0.25,
    )
    large = dataclasses.replace(ANSWERED, model="large", served_model="large", upstream="large", cost_usd=0.002)
    given = answer(routed, ANSWERED, judged, large)
    assert given.header() == (
        "large · $0.00222 (judging $0.000100) · 2.8 s · 1,200 + 80 tok · why: small; if judge (flash) gives less than 0.8, "
        "large; small not accepted (judge 0.50 of 0.8: half of it is missing)"
    )
    assert (given.escalations, given.judging_usd) == (1, 0.0001)
    told = str(given.trace()._repr_mimebundle_()["text/html"])
    assert "small not accepted (judge 0.50 of 0.8: half of it is missing) by flash for $0.000100, 0.2 s" in told


def test_an_earlier_answer_that_a_later_one_agrees_with_stands() -> None:
    refused = Scored(
        scorer="agreement-0123abcd", quality=0.5, model="small", reason="is the first", accepted=False, at_least=1.0
    )
    agreed = dataclasses.replace(
        refused, quality=1.0, model="local", reason="agrees with small", accepted=True, answered_by="small"
    )
    local = dataclasses.replace(ANSWERED, model="local", served_model="local", text="Tag, guten", cost_usd=0.001)
    routed = Routed(strategy="agreement", order=("small", "local", "large"), reason="until they agree", rungs=3)
    given = answer(routed, ANSWERED, refused, local, agreed)
    assert (given.text, given.model, given.served_model) == ("Guten Tag", "small", ANSWERED.served_model)
    assert (given.run.settled, given.tokens, given.escalations) == (True, ANSWERED.tokens, 1)
    assert given.cost_usd == pytest.approx((ANSWERED.cost_usd or 0.0) + 0.001)
    assert given.why == (
        "until they agree; small not accepted (agreement 0.50 of 1: is the first); "
        "answer of small, with whom local agrees (agreement 1.00 of 1: agrees with small)"
    )
    assert (
        given.trace().rows[-1][2] == "answer of small, with whom local agrees (agreement 1.00 of 1: agrees with small)"
    )


def test_a_judge_without_a_price_leaves_what_judging_cost_unknown() -> None:
    judged = Scored(
        scorer="judge", quality=None, model="small", accepted=False, at_least=0.5, judge="flash", cost_usd=None
    )
    given = answer(ROUTED, ANSWERED, judged)
    assert given.judging_usd is None
    assert "? (judging ?)" in given.header()
    assert "small not accepted (judge could not say)" in given.why
