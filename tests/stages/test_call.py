"""The call stage: patience, deadlines, budgets and counts, one attempt at a time."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.config import RouteConfig
from routelab.core.errors import (
    AuthFailed,
    BudgetExceeded,
    MalformedAnswer,
    ProviderError,
    RateLimited,
    ServerFailed,
    TimedOut,
    Unreachable,
)
from routelab.core.events import Answered, Failed, Routed, Unanswered
from routelab.core.ports import World
from routelab.core.run import Run
from routelab.core.values import Message, Model, Price, Prompt, Reply, Request, Tokens
from routelab.router import Router
from routelab.stages import Budget, Call, Endpoint, Patience, Sampling
from routelab.stages.call import ASSUMED_OUTPUT_TOKENS
from routelab.testing import Notebook, Scripted, VirtualClock, Words, fleet

PRICE = Price(usd_per_mtok_in=1.0, usd_per_mtok_out=2.0)


def a_run(*events: Any, order: tuple[str, ...] = ("m",)) -> Run:
    routed = Routed(strategy="fixed", order=order, reason="r")
    return Run(
        id="r", prompt=Prompt.of("one two three"), started_at=datetime(2026, 1, 1), events=(routed, *events), seed=40
    )


def called(
    provider: Any,
    run: Run | None = None,
    *,
    price: Price | None = PRICE,
    world: dict[str, Any] | None = None,
    **parts: Any,
) -> Any:
    """Return the event of one attempt."""
    model = Model(name="m", provider="p", upstream="m-1", price=price, max_output_tokens=parts.pop("longest", None))
    call = Call(endpoints={"m": Endpoint(model=model, provider=provider)}, counter=Words(), **parts)
    return asyncio.run(call(run or a_run(), World(**{"clock": VirtualClock(), **(world or {})})))


class Says:
    """Answer with a given reply, after streaming its pieces."""

    def __init__(self, reply: Reply | ProviderError, *pieces: str) -> None:
        self.reply, self.pieces, self.requests = reply, pieces, list[Request]()

    async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
        self.requests.append(request)
        for piece in self.pieces:
            emit(piece)
        if isinstance(self.reply, ProviderError):
            raise self.reply
        return self.reply


# What an attempt says


def test_an_answer_is_priced_counted_and_timed() -> None:
    reply = Reply(
        text="yes",
        served_model="m-1-2026",
        tokens=Tokens(input=100, output=10, source="usage"),
        latency_s=0.5,
        ttft_s=0.1,
    )
    event = called(Says(reply))
    assert (event.model, event.served_model, event.provider, event.text) == ("m", "m-1-2026", "p", "yes")
    assert (event.tokens, event.cost_usd) == (reply.tokens, pytest.approx(120e-6))
    assert (event.latency_s, event.ttft_s, event.waited_s, event.attempt) == (0.5, 0.1, 0.0, 1)


def test_what_the_provider_charges_counts_before_the_price_list() -> None:
    event = called(
        Says(Reply(text="x", served_model="m", tokens=Tokens(input=1, output=1, source="usage"), cost_usd=0.25))
    )
    assert event.cost_usd == 0.25


def test_tokens_that_the_provider_did_not_count_are_estimated_and_say_so() -> None:
    event = called(Says(Reply(text="four words are here", served_model="m", tokens=Tokens(input=9))))
    assert event.tokens == Tokens(input=9, output=4, source="estimate")
    event = called(Says(Reply(text="four words are here", served_model="m")))
    assert event.tokens == Tokens(input=3, output=4, source="estimate")
    assert event.cost_usd == pytest.approx(11e-6)


def test_without_a_price_a_cost_is_unknown_whatever_happens() -> None:
    assert called(Says(Reply(text="x", served_model="m")), price=None).cost_usd is None
    assert called(Says(TimedOut("late"), "half an answer"), price=None).cost_usd is None


def test_a_clock_that_nobody_read_gives_the_latency() -> None:
    clock = VirtualClock()

    class Slow(Says):
        async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
            await clock.sleep(1.5)
            return await super().complete(request, emit)

    assert called(Slow(Reply(text="x", served_model="m")), world={"clock": clock}).latency_s == 1.5
    assert called(Slow(AuthFailed("no")), world={"clock": clock}).latency_s == 1.5


def test_the_request_carries_what_the_config_says() -> None:
    provider = Says(Reply(text="x", served_model="m"))
    called(provider, sampling=Sampling(temperature=0.5, max_output_tokens=7, stream=True), world={"deadline": 9.0})
    [request] = provider.requests
    facts = (request.temperature, request.max_output_tokens, request.stream, request.deadline_s, request.seed)
    assert facts == (0.5, 7, True, 9.0, 40)
    assert request.messages == (Message(role="user", content="one two three"),)


# Streams that break (S5, S7)


def test_a_stream_that_broke_keeps_its_text_counts_it_and_is_not_asked_again() -> None:
    heard: list[str] = []
    event = called(Says(ServerFailed("overloaded", status=529), "half ", "an answer"), world={"emit": heard.append})
    assert heard == ["half ", "an answer"]
    assert (event.text, event.retry, event.error, event.status) == ("half an answer", False, "ServerFailed", 529)
    assert event.tokens == Tokens(input=3, output=3, source="estimate")
    assert event.cost_usd == pytest.approx(9e-6)
    assert a_run(event, order=("m", "other")).settled


def test_a_stream_that_broke_before_its_first_word_is_asked_again() -> None:
    event = called(Says(ServerFailed("overloaded")))
    assert (event.text, event.retry, event.cost_usd, event.tokens) == ("", True, None, Tokens())
    assert not a_run(event).settled


# Patience (N1, N3, N5)


def failed(**changes: Any) -> Unanswered:
    return dataclasses.replace(
        Unanswered(model="m", provider="p", error="ServerFailed", message="500", retry=True), **changes
    )


@given(tries=st.integers(1, 30), u=st.floats(0, 1, exclude_max=True))
def test_a_wait_doubles_up_to_its_longest_and_jitter_only_shortens_it(tries: int, u: float) -> None:
    longest = min(0.5 * 2 ** (tries - 1), 8.0)
    assert 0.75 * longest <= Patience().wait_s(None, tries, u) <= longest
    assert Patience().wait_s(RateLimited("429", retry_after_s=3.0), tries, u) == 3.0
    assert Patience().wait_s(RateLimited("429", retry_after_s=0.0), tries, u) == 0.0


def test_the_wait_before_a_retry_is_part_of_the_attempt() -> None:
    clock = VirtualClock()
    event = called(Scripted("ok"), a_run(failed(retry_after_s=2.0)), world={"clock": clock})
    assert (clock.slept, event.waited_s, event.attempt) == ([2.0], 2.0, 2)
    assert called(Scripted("ok"), a_run(failed(retry=False), order=("x", "m"))).waited_s == 0.0


@pytest.mark.parametrize(
    "failure", [ServerFailed("500"), RateLimited("429"), Unreachable("reset"), TimedOut("late"), MalformedAnswer("?")]
)
def test_passing_trouble_is_asked_again_as_often_as_allowed(failure: ProviderError) -> None:
    events = [called(Says(failure), a_run(*[failed()] * n), patience=Patience(retries=2)) for n in range(3)]
    assert [e.retry for e in events] == [True, True, False]


def test_patience_starts_anew_with_the_next_model() -> None:
    run = a_run(failed(model="x"), failed(model="x", retry=False), order=("x", "m"))
    provider = Says(ServerFailed("500"))
    assert called(provider, run, patience=Patience(retries=1)).retry
    assert provider.requests[0].seed == 40


def test_a_server_that_wants_more_patience_than_is_left_is_passed_over_at_once() -> None:
    late = called(Says(RateLimited("429", retry_after_s=90.0)), world={"deadline": 60.0})
    soon = called(Says(RateLimited("429", retry_after_s=30.0)), world={"deadline": 60.0})
    assert (late.retry, soon.retry) == (False, True)
    clock, two = VirtualClock(), Scripted("from two")
    config = RouteConfig(
        name="a", models=["one", "two"], strategy={"kind": "fixed", "model": "one"}, fallbacks={"one": ["two"]}
    )
    one = Scripted(RateLimited("429", retry_after_s=90.0))
    answer = Router(config, fleet=fleet({"one": one, "two": two}), clock=clock).route("hi")
    assert (answer.text, clock.slept) == ("from two", [])


# Deadlines (N8)


def test_nobody_is_asked_after_the_deadline_and_nothing_is_charged() -> None:
    one, two, purse = Scripted("x"), Scripted("y"), Budget(1.0)
    event = called(one, world={"deadline": 0.0}, purse=purse)
    assert (event.error, event.retry, event.message.splitlines()[0]) == ("TimedOut", False, "no time was left to ask m")
    assert (one.requests, purse.committed_usd) == ([], 0.0)
    config = RouteConfig(
        name="a",
        models=["one", "two"],
        strategy={"kind": "fixed", "model": "one"},
        fallbacks={"one": ["two"]},
        limits={"deadline_s": 5.0, "budget_usd": 1.0, "retries": 9},  # type: ignore[arg-type]
    )
    clock = VirtualClock()
    one = Scripted(ServerFailed("500"))
    router = Router(config, fleet=fleet({"one": one, "two": two}), clock=clock)
    with pytest.raises(TimedOut, match="no time was left to ask two"):
        router.route("hi")
    assert clock.elapsed == pytest.approx(5.0)
    assert two.requests == []


@given(
    script=st.lists(
        st.sampled_from([ServerFailed("5"), RateLimited("4", retry_after_s=3.0), TimedOut("t")]), min_size=1, max_size=6
    ),
    deadline_s=st.floats(0.1, 20.0),
)
def test_one_deadline_bounds_all_attempts_and_waits_together(script: list[ProviderError], deadline_s: float) -> None:
    clock = VirtualClock()
    config = RouteConfig(
        name="a",
        models=["one", "two"],
        strategy={"kind": "fixed", "model": "one"},
        fallbacks={"one": ["two"]},
        limits={"deadline_s": deadline_s, "retries": 5},  # type: ignore[arg-type]
    )
    router = Router(config, fleet=fleet({"one": Scripted(*script), "two": Scripted(*script)}), clock=clock)
    [answer] = router.many(["hi"])
    assert answer.error is not None
    assert clock.elapsed <= deadline_s + 1e-9


def test_a_provider_that_drips_is_cut_off_at_the_deadline() -> None:
    class Drips(Says):
        async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
            while True:
                await asyncio.sleep(0.005)

    event = called(Drips(TimedOut("")), world={"deadline": 0.05})
    assert (event.error, event.message) == ("TimedOut", "m had not answered after 0.1 s")


def test_a_providers_own_timeout_without_a_deadline_is_trouble_not_a_bug() -> None:
    class Gives(Says):
        async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
            raise TimeoutError

    assert called(Gives(TimedOut(""))).message == "m had not answered"


# Money (B1, B3)


def test_the_worst_case_is_reserved_before_and_the_cost_settled_after() -> None:
    purse = Budget(1.0)
    seen: list[float] = []

    class Watches(Says):
        async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
            seen.append(purse.committed_usd)
            return await super().complete(request, emit)

    reply = Reply(text="x", served_model="m", tokens=Tokens(input=3, output=1, source="usage"))
    called(Watches(reply), purse=purse, sampling=Sampling(max_output_tokens=100))
    assert seen == [pytest.approx((int(3 * 1.25) + 64 + 200) / 1e6)]
    assert purse.spent_usd == purse.committed_usd == pytest.approx(5e-6)


@pytest.mark.parametrize(
    ("sampling", "longest", "output"),
    [(Sampling(max_output_tokens=7), 99, 7), (Sampling(), 99, 99), (Sampling(), None, ASSUMED_OUTPUT_TOKENS)],
)
def test_the_longest_answer_is_what_somebody_says_it_is(sampling: Sampling, longest: int | None, output: int) -> None:
    call = Call(endpoints={}, counter=Words(), sampling=sampling)
    model = Model(name="m", provider="p", upstream="m", price=PRICE, max_output_tokens=longest)
    assert call.worst_case_usd(model, (Message(role="user", content="a b c d"),)) == pytest.approx(
        (69 + 2 * output) / 1e6
    )
    assert call.worst_case_usd(dataclasses.replace(model, price=None), ()) is None


@pytest.mark.parametrize(
    ("failure", "pieces", "whole"),
    [
        (AuthFailed("401"), (), False),  # refused: free
        (ServerFailed("500"), (), False),
        (Unreachable("reset"), (), False),
        (TimedOut("late"), (), True),  # nobody knows what was generated: the whole reservation is gone
        (MalformedAnswer("?"), (), True),
    ],
)
def test_a_failure_costs_what_it_may_have_cost(failure: ProviderError, pieces: tuple[str, ...], whole: bool) -> None:
    purse = Budget(1.0)
    called(Says(failure, *pieces), purse=purse, sampling=Sampling(max_output_tokens=10))
    assert purse.spent_usd == pytest.approx((67 + 20) / 1e6 if whole else 0.0)
    assert purse.committed_usd == purse.spent_usd


def test_a_bug_in_a_provider_passes_through_and_leaves_no_reservation_open() -> None:
    class Buggy(Says):
        async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
            raise KeyError("choices")

    purse = Budget(1.0)
    with pytest.raises(KeyError):
        called(Buggy(TimedOut("")), purse=purse)
    assert purse.committed_usd == purse.spent_usd > 0


def test_a_call_waits_for_money_that_others_only_hold() -> None:
    purse = Budget(100e-6)
    held = purse.reserve(90e-6, what="another call")
    assert held is not None
    one = Scripted("ok")

    async def both() -> Any:
        model = Model(name="m", provider="p", upstream="m", price=PRICE)
        call = Call(
            endpoints={"m": Endpoint(model=model, provider=one)},
            counter=Words(),
            purse=purse,
            sampling=Sampling(max_output_tokens=5),
        )
        waiting = asyncio.ensure_future(call(a_run(), World(clock=VirtualClock())))
        await asyncio.sleep(0.03)
        assert one.requests == []
        purse.settle(held, 1e-6)
        return await waiting

    assert isinstance(asyncio.run(both()), Answered)
    assert purse.spent_usd <= purse.limit_usd


def test_a_call_that_waits_for_money_past_its_deadline_times_out() -> None:
    purse = Budget(100e-6)
    purse.reserve(90e-6, what="another call")
    clock = VirtualClock()

    class Ticks(VirtualClock):
        def monotonic(self) -> float:
            clock.elapsed += 0.5
            return clock.elapsed

    event = called(
        Scripted("ok"), purse=purse, sampling=Sampling(max_output_tokens=5), world={"clock": Ticks(), "deadline": 5.0}
    )
    assert (event.error, event.message.splitlines()[0]) == ("TimedOut", "no time was left to ask m")


def test_a_budget_that_cannot_take_the_call_ends_the_run_before_anything_is_sent() -> None:
    log, one, two = Notebook(), Scripted("x"), Scripted("y")
    config = RouteConfig(
        name="a",
        models=["one", "two"],
        strategy={"kind": "fixed", "model": "one"},
        fallbacks={"one": ["two"]},
        limits={"budget_usd": 1e-9},  # type: ignore[arg-type]
    )
    with pytest.raises(BudgetExceeded, match=r"stopped at \$0 of \$0.000000001: a call of one could cost"):
        Router(config, fleet=fleet({"one": one, "two": two}), log=log).route("hi")
    assert (one.requests, two.requests) == ([], [])
    assert isinstance(log.runs[0].events[-1], Failed)


# Going away (N13)


def test_whoever_stops_waiting_leaves_a_row_with_what_was_said_until_then() -> None:
    seen: list[Run] = []

    class Endless(Says):
        async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
            emit("half an answer")
            await asyncio.sleep(60)
            raise AssertionError("never")

    async def cut() -> None:
        model = Model(name="m", provider="p", upstream="m", price=PRICE)
        purse = Budget(1.0)
        call = Call(
            endpoints={"m": Endpoint(model=model, provider=Endless(TimedOut("")))}, counter=Words(), purse=purse
        )
        task = asyncio.ensure_future(call(a_run(), World(clock=VirtualClock(), witness=seen.append)))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert purse.committed_usd == purse.spent_usd == pytest.approx(9e-6)

    asyncio.run(cut())
    event = seen[0].events[-1]
    assert isinstance(event, Unanswered)
    assert (event.error, event.text, event.retry) == ("Cancelled", "half an answer", False)
    assert event.cost_usd == pytest.approx(9e-6)
