"""The router: one prompt in, one answer and one log row out, whatever happens in between."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from routelab.config import RouteConfig
from routelab.core.errors import AuthFailed, BudgetExceeded, ConfigError, RateLimited, ServerFailed
from routelab.core.events import Answered, Routed, Unanswered
from routelab.core.plan import Plan, plan_of
from routelab.core.values import Message, Prompt, ToolCall
from routelab.router import Router, Setting, prompt_of
from routelab.testing import Notebook, Scripted, VirtualClock, fleet


def config(**changes: object) -> RouteConfig:
    values: dict[str, object] = {"name": "a", "models": ["one", "two"], "strategy": {"kind": "fixed", "model": "one"}}
    return RouteConfig(**{**values, **changes})  # type: ignore[arg-type]


def test_an_answer_carries_text_model_cost_tokens_and_the_reason() -> None:
    log = Notebook()
    answer = Router(config(), fleet=fleet({"one": Scripted("hello"), "two": Scripted()}), log=log).route("hi")
    assert (str(answer), answer.model, answer.served_model) == ("hello", "one", "one-1")
    assert answer.cost_usd == pytest.approx(15e-6)
    assert (answer.tokens.input, answer.tokens.output, answer.latency_s) == (10, 5, 0.5)
    assert answer.why == "always one"
    assert [run.id for run in log.runs] == [answer.id]


def test_a_passing_failure_is_retried_with_back_off_and_each_attempt_is_an_event() -> None:
    clock = VirtualClock()
    one = Scripted(ServerFailed("500", status=500), ServerFailed("503", status=503), "at last")
    answer = Router(config(), fleet=fleet({"one": one, "two": Scripted()}), clock=clock).route("hi")
    assert [type(e) for e in answer.events] == [Routed, Unanswered, Unanswered, Answered]
    assert len(one.requests) == 3
    assert 0.375 <= clock.slept[0] <= 0.5
    assert 0.75 <= clock.slept[1] <= 1.0
    assert [r.seed for r in one.requests] == [0, 1, 2]


def test_what_the_server_asks_to_wait_is_waited() -> None:
    clock = VirtualClock()
    one = Scripted(RateLimited("429", retry_after_s=7.0), "ok")
    Router(config(), fleet=fleet({"one": one, "two": Scripted()}), clock=clock).route("hi")
    assert clock.slept == [7.0]


def test_a_lasting_failure_goes_to_the_fallback_at_once() -> None:
    one, two = Scripted(AuthFailed("401", status=401)), Scripted("from two")
    answer = Router(config(fallbacks={"one": ["two"]}), fleet=fleet({"one": one, "two": two})).route("hi")
    assert (answer.text, answer.model, len(one.requests)) == ("from two", "two", 1)
    assert answer.why == "always one; after one: AuthFailed"


def test_when_nobody_answers_the_last_error_is_raised_and_the_run_is_logged() -> None:
    log = Notebook()
    router = Router(
        config(fallbacks={"one": ["two"]}),
        fleet=fleet({"one": Scripted(AuthFailed("no key")), "two": Scripted(ServerFailed("down"))}),
        log=log,
        clock=VirtualClock(),
    )
    with pytest.raises(ServerFailed, match=r"down \(after 4 attempts at one, two\)"):
        router.route("hi")
    assert log.runs[0].status == "unanswered"


def test_an_unknown_model_is_named_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="unknown model 'one'; did you mean 'onee'"):
        Router(config(models=["one"]), fleet=fleet({"onee": Scripted()}))


def test_many_keeps_the_order_and_turns_failures_into_answers_with_an_error() -> None:
    one = Scripted("a", AuthFailed("no"), "c")
    answers = Router(config(limits={"concurrency": 1}), fleet=fleet({"one": one, "two": Scripted()})).many(
        ["1", "2", "3"]
    )
    assert [a.text for a in answers] == ["a", "", "c"]
    assert isinstance(answers[1].error, AuthFailed)


def test_a_budget_stops_before_the_call_that_could_pass_it_and_spends_no_more() -> None:
    one = Scripted("x")
    router = Router(
        config(limits={"budget_usd": 0.00021, "concurrency": 50}, prompt={"max_output_tokens": 5}),
        fleet=fleet({"one": one, "two": Scripted()}),
    )
    answers = router.many([f"prompt {i}" for i in range(50)])
    stopped = [a for a in answers if isinstance(a.error, BudgetExceeded)]
    spent = sum(a.cost_usd or 0.0 for a in answers if a.error is None)
    assert 0 < len(one.requests) < 50
    assert len(stopped) == 50 - len(one.requests)
    assert spent <= 0.00021


def test_a_budget_refuses_a_model_with_no_known_price() -> None:
    router = Router(
        config(limits={"budget_usd": 1}), fleet=fleet({"one": Scripted(), "two": Scripted()}, usd_per_mtok=None)
    )
    with pytest.raises(BudgetExceeded, match="no known price"):
        router.route("hi")


def test_an_unpriced_answer_costs_none_not_zero() -> None:
    answer = Router(config(), fleet=fleet({"one": Scripted(), "two": Scripted()}, usd_per_mtok=None)).route("hi")
    assert answer.cost_usd is None


def test_the_exact_cache_answers_the_second_time_at_no_cost() -> None:
    one = Scripted("first", "second")
    router = Router(config(cache={"exact": True}), fleet=fleet({"one": one, "two": Scripted()}))
    first, again, other = router.route("hi"), router.route("hi"), router.route("hi!")
    assert (first.text, again.text, other.text) == ("first", "first", "second")
    assert (again.cached, again.cost_usd, again.model) == (True, 0.0, "one")


def test_a_cached_answer_expires() -> None:
    clock = VirtualClock()
    one = Scripted("first", "second")
    router = Router(
        config(cache={"exact": True, "ttl_s": 60}), fleet=fleet({"one": one, "two": Scripted()}), clock=clock
    )
    router.route("hi")
    clock.elapsed += 61
    assert router.route("hi").text == "second"


def test_streaming_yields_the_pieces_and_logs_the_run() -> None:
    log = Notebook()
    router = Router(config(), fleet=fleet({"one": Scripted("a b c"), "two": Scripted()}), log=log)
    assert list(router.stream("hi")) == ["a ", "b ", "c "]
    assert log.runs[0].text == "a b c"


def test_routes_from_inside_a_running_event_loop() -> None:
    router = Router(config(), fleet=fleet({"one": Scripted("x"), "two": Scripted()}))

    async def cell() -> list[str]:
        return [router.route("sync").text, (await router.aroute("async")).text]

    assert asyncio.run(cell()) == ["x", "x"]


def test_an_answer_is_scored_by_its_prompts_own_scorer() -> None:
    prompt = Prompt(id="p", messages=Prompt.of("2+2?").messages, scorer={"kind": "number", "answer": 4})
    router = Router(config(), fleet=fleet({"one": Scripted("It is 4.", "It is 5."), "two": Scripted()}))
    assert [router.route(prompt).quality, router.route(prompt).quality] == [1.0, 0.0]


def test_an_interrupted_run_is_logged_as_cancelled() -> None:
    log = Notebook()
    started = threading.Event()

    class Slow:
        async def complete(self, request: object, emit: object) -> object:
            started.set()
            await asyncio.sleep(30)
            raise AssertionError("never")

    router = Router(config(), fleet=fleet({"one": Slow(), "two": Scripted()}), log=log)  # type: ignore[dict-item]
    future = router._engine.submit(router.play(Prompt.of("hi")))
    assert started.wait(5)
    future.cancel()
    router._engine.wait(asyncio.sleep(0.05))
    assert [e.error for e in log.runs[0].events if isinstance(e, Unanswered)] == ["Cancelled"]


def test_a_yaml_file_needs_a_fleet_from_somewhere(tmp_path: Path) -> None:
    path = config().to_yaml(tmp_path / "a.yaml")
    with pytest.raises(ConfigError, match="does not say which fleet answers"):
        Router.from_yaml(path)
    assert Router.from_yaml(path, fleet=fleet({"one": Scripted("x"), "two": Scripted()})).route("hi").text == "x"


def test_the_setting_labels_the_run() -> None:
    log = Notebook()
    setting = Setting(experiment="e", arm="b", tags={"who": "me"})
    Router(config(), fleet=fleet({"one": Scripted(), "two": Scripted()}), log=log, setting=setting).route("hi")
    assert (log.runs[0].experiment, log.runs[0].arm, log.runs[0].tags) == ("e", "b", {"who": "me"})


@dataclass(frozen=True)
class Own:
    """Somebody's own strategy, of a class that routelab does not know."""

    place: int

    def plan(self, prompts: Any, roster: Any) -> Plan:
        return plan_of([[self.place]] * len(prompts), ["mine"] * len(prompts))


def test_somebodys_own_strategy_answers_and_is_logged() -> None:
    log = Notebook()
    configs = [RouteConfig(name="own", models=["one", "two"], strategy=Own(place)) for place in (0, 1, 1)]
    given = fleet({"one": Scripted("first"), "two": Scripted("second")})
    answer = Router(configs[1], fleet=given, log=log).route("hello")
    assert (answer.text, answer.model, answer.why) == ("second", "two", "mine")
    assert [run.config for run in log.runs] == [configs[2].fingerprint]
    assert configs[0].fingerprint != configs[1].fingerprint == configs[2].fingerprint


def test_a_conversation_with_tool_calls_is_read_in_the_form_of_openai() -> None:
    wanted = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Ulm"}'}}
    loose = {"id": "call_2", "function": {"name": "time", "arguments": {"zone": "CET"}}}
    talk: list[dict[str, Any]] = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": None, "tool_calls": [wanted, loose]},
        {"role": "tool", "tool_call_id": "call_1", "content": "17"},
        {"role": "tool", "content": "noon"},
    ]
    prompt = prompt_of(talk)
    assert prompt.messages == (
        Message(role="user", content="Weather?"),
        Message(
            role="assistant",
            content="",
            calls=(
                ToolCall(id="call_1", name="weather", arguments='{"city": "Ulm"}'),
                ToolCall(id="call_2", name="time", arguments='{"zone": "CET"}'),
            ),
        ),
        Message(role="tool", content="17", answers="call_1"),
        Message(role="tool", content="noon"),
    )


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"role": "assistant", "content": None}, "must be a mapping with `role` and `content`"),
        ({"role": "user", "content": None, "tool_calls": [{}]}, "must be a mapping with `role` and `content`"),
        ({"role": "user", "content": "x", "tool_calls": [{}]}, "belong to an assistant's message"),
        ({"role": "user", "content": "x", "tool_call_id": "1"}, "belong to an assistant's message"),
        ({"role": "tool", "content": "x", "tool_call_id": 1}, "belong to an assistant's message"),
        ({"role": "assistant", "content": "x", "tool_calls": [{}]}, "a tool call has `id` and `function`"),
        ({"role": "assistant", "content": "x", "tool_calls": "f"}, "a tool call has `id` and `function`"),
        (
            {"role": "assistant", "content": "x", "tool_calls": [{"function": {"name": "f", "arguments": 3}}]},
            "a tool call has `id` and `function`",
        ),
    ],
)
def test_a_tool_call_that_is_none_is_named(message: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=f"message 1: .*{said}"):
        prompt_of([{"role": "user", "content": "hi"}, message])
