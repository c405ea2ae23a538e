"""Summaries in a flow: asked once, paid from the run's purse, in the event; what goes wrong costs the summary and not the answer."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from routelab.context import Hybrid, Memory, Policy, Room, Summarise, Whole, Window
from routelab.core.errors import (
    AuthFailed,
    BudgetExceeded,
    ConfigError,
    ContextExceeded,
    LogBusy,
    LogError,
    RateLimited,
)
from routelab.core.events import Compacted, Failed
from routelab.core.flow import play
from routelab.core.ports import World
from routelab.core.run import Run
from routelab.core.values import Message, Prompt, Reply, Request, Tokens
from routelab.fitting import fitting, rooms_of
from routelab.fleet import Fleet
from routelab.stages import Budget, Call, Patience
from routelab.stages.fit import Fit
from routelab.store import KeptSummary, Log
from routelab.testing import Scripted, VirtualClock, fleet


def talk(turns: int = 9) -> tuple[Message, ...]:
    return tuple(
        Message(role="user" if i % 2 == 0 else "assistant", content=f"turn {i} says ten words in all, so it goes")
        for i in range(turns)
    )


OWN = (
    Message(role="system", content="be brief"),
    Message(role="user", content="example?"),
    Message(role="assistant", content="example!"),
)
POLICY = Summarise(model="writer", trigger=0.5, keep_last=3, max_tokens=20)


def room(limit: int | None = 120, name: str = "small") -> Room:
    return Room(limit=limit, count=lambda text: len(text.split()), per_message=0, per_request=0, name=name)


def stage(made: Fleet, policy: Policy = POLICY, rooms: tuple[Room, ...] = (room(),), **more: Any) -> Fit:
    memory, escalate = more.pop("memory", Memory()), more.pop("escalate", True)
    call = Call(endpoints=made.endpoints, counter=made.counter, patience=Patience(retries=1, first_s=0.5), **more)
    return fitting(policy, rooms, call=call, memory=memory, escalate=escalate)


def run_of(messages: tuple[Message, ...], own: tuple[Message, ...] = ()) -> Run:
    said = Compacted(policy="template", messages=(*own, *messages), head=len(own), template="qa@1")
    return Run(
        id="r", prompt=Prompt.of(messages), started_at=datetime(2026, 1, 1), seed=5, events=(said,) if own else ()
    )


def played(flow: Fit, run: Run, **world: Any) -> Any:
    return asyncio.run(play(flow, run, World(clock=VirtualClock(), **world))).events[-1]


def test_a_summary_is_asked_of_the_fleet_and_its_price_is_in_the_event() -> None:
    writer = Scripted("ten words were said, twice", latency_s=2.0)
    event = played(stage(fleet({"writer": writer})), run_of(talk(), OWN))
    assert event == Compacted(
        policy="summarise",
        messages=(
            *OWN,
            Message(role="user", content="Summary of the conversation so far:\nten words were said, twice"),
            *talk()[6:],
        ),
        tokens_before=94,
        tokens_after=45,
        head=3,
        summarised=(3, 4, 5, 6, 7, 8),
        models=("small",),
        summarisers=("writer", "writer"),
        tokens=Tokens(input=20, output=10, source="usage"),
        cost_usd=event.cost_usd,
        latency_s=4.0,
        at_s=event.at_s,
    )
    assert event.cost_usd == pytest.approx(30e-6)
    request = writer.requests[0]
    assert request.messages[1].content.startswith("<notes>\n(none yet)\n</notes>\n\n<turns>\n\nuser: turn 0 says")
    assert (request.temperature, request.max_output_tokens, request.stream) == (None, 20 + 1024, False)


def test_what_was_written_once_is_not_paid_again_by_whichever_run() -> None:
    writer, memory = Scripted("noted"), Memory()
    made = fleet({"writer": writer})
    first = played(stage(made, memory=memory), run_of(talk(), OWN))
    again = played(stage(made, memory=memory), run_of(talk(), OWN))
    assert again.messages == first.messages
    assert (again.summarisers, again.cost_usd, again.latency_s, again.tokens) == ((), 0.0, 0.0, Tokens())
    assert len(writer.requests) == 1


def test_a_second_kernel_finds_in_the_log_what_the_first_one_paid_for(tmp_path: Path) -> None:
    writer = Scripted("noted")
    made = fleet({"writer": writer})
    with Log(tmp_path / "log.duckdb") as log:
        first = played(stage(made, memory=Memory(shelf=log)), run_of(talk(), OWN))
    with Log(tmp_path / "log.duckdb") as log:
        again = played(stage(made, memory=Memory(shelf=log)), run_of(talk(), OWN))
        assert again.messages == first.messages
        assert (again.summarisers, again.cost_usd, again.tokens) == ((), 0.0, Tokens())
        assert len(writer.requests) == 1
        endpoint = made.endpoints["writer"]
        for change in ({"simulated": True}, {"upstream": "other"}, {"provider": "other"}):
            other = dataclasses.replace(endpoint, model=dataclasses.replace(endpoint.model, **change))
            played(stage(made.with_models({"writer": other}), memory=Memory(shelf=log)), run_of(talk(), OWN))
        assert len(writer.requests) == 4


def test_a_log_that_cannot_be_used_costs_a_call_and_no_answer() -> None:
    class Held:
        def summary(self, key: str) -> KeptSummary | None:
            raise LogBusy("held")

        def keep_summary(self, kept: KeptSummary) -> None:
            raise LogError("closed")

    event = played(stage(fleet({"writer": Scripted("noted")}), memory=Memory(shelf=Held())), run_of(talk()))
    assert event.error is None
    assert event.summarisers == ("writer",)


def test_the_same_summary_asked_for_at_once_is_written_once_and_waited_for() -> None:
    clock = VirtualClock()

    class Slow(Scripted):
        async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
            for _ in range(5):
                await clock.sleep(1.0)
            return await super().complete(request, emit)

    async def many(flow: Fit) -> list[Run]:
        world = World(clock=clock)
        return list(await asyncio.gather(*(play(flow, run_of(talk(5)), world) for _ in range(3))))

    writer = Slow("noted")
    runs = asyncio.run(many(stage(fleet({"writer": writer}), dataclasses.replace(POLICY, trigger=0.4))))
    events = [run.events[-1] for run in runs]
    assert all(isinstance(e, Compacted) for e in events)
    assert len(writer.requests) == 1
    assert sorted(len(e.summarisers) for e in events) == [0, 0, 1]  # type: ignore[union-attr]
    assert len({e.messages for e in events}) == 1  # type: ignore[union-attr]
    assert [e.latency_s for e in events if not e.summarisers] == [4.0, 4.0]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("script", "cost_usd", "asked", "said"),
    [
        ((AuthFailed("no key"),), 0.0, ("writer",), "AuthFailed: no key"),
        ((RateLimited("slow down"),), 0.0, ("writer",), "RateLimited: slow down"),
        (("",), 15e-6, ("writer",), "MalformedAnswer: context.model: 'writer' wrote no summary (stop)"),
        (
            ("ten words were said, twice", AuthFailed("gone\nwith a second line")),
            15e-6,
            ("writer", "writer"),
            "AuthFailed: gone",
        ),
    ],
)
def test_a_summary_that_fails_costs_what_it_cost_and_older_turns_are_left_out(
    script: tuple[Any, ...], cost_usd: float, asked: tuple[str, ...], said: str
) -> None:
    event = played(stage(fleet({"writer": Scripted(*script)})), run_of(talk(), OWN))
    assert isinstance(event, Compacted)
    assert event.error == f"no summary, older turns were left out: {said}"
    assert event.messages == (*OWN, *talk()[4:])
    assert (event.summarised, event.dropped) == ((), (3, 4, 5, 6))
    assert event.summarisers == asked
    assert event.cost_usd == pytest.approx(cost_usd)


def test_a_hybrid_whose_summary_fails_keeps_its_pins_and_facts() -> None:
    said = (Message(role="user", content="My budget is 900 euros."), *talk(21)[1:])
    policy = Hybrid(model="writer", trigger=0.5, keep_last=3, max_tokens=20, facts=20, limit=120)
    event = played(stage(fleet({"writer": Scripted("")}), policy), run_of(said))
    assert event.error is not None
    assert "- My budget is 900 euros." in event.messages[0].content


def test_a_price_that_nobody_knows_makes_the_cost_unknown() -> None:
    event = played(stage(fleet({"writer": Scripted("noted")}, usd_per_mtok=None)), run_of(talk()))
    assert event.cost_usd is None
    assert event.error is None
    assert event.tokens.total == 15 * len(event.summarisers)


def test_a_budget_that_is_spent_fails_the_run_before_anything_is_sent() -> None:
    writer = Scripted("noted")
    event = played(stage(fleet({"writer": writer}), purse=Budget(1e-9)), run_of(talk()))
    assert isinstance(event, Failed)
    assert (event.stage, event.error) == ("fit", BudgetExceeded.__name__)
    assert "a call of writer could cost" in event.message
    assert writer.requests == []


def test_a_budget_that_ends_between_two_summaries_keeps_what_the_first_one_cost() -> None:
    writer = Scripted("noted")
    purse = Budget(0.00135)  # one call of at most 1,044 tokens out, and not a second
    event = played(stage(fleet({"writer": writer}), purse=purse), run_of(talk(21)))
    assert isinstance(event, Compacted)
    assert len(writer.requests) >= 1
    assert event.error is not None
    assert event.error.startswith("no summary, older turns were left out: BudgetExceeded: stopped at")
    assert event.cost_usd == pytest.approx(purse.spent_usd)
    assert event.cost_usd == pytest.approx(15e-6 * len(writer.requests))


def test_what_fits_nobody_fails_the_run_with_its_own_words_before_anything_is_paid() -> None:
    writer = Scripted("noted")
    long = (*talk(8), Message(role="user", content="word " * 130))
    event = played(stage(fleet({"writer": writer})), run_of(long, OWN))
    assert isinstance(event, Failed)
    assert (event.stage, event.error) == ("fit", ContextExceeded.__name__)
    assert "small takes 116 besides 4 of the config's own (system text, examples); nothing was sent" in event.message
    assert writer.requests == []


def test_a_summary_that_is_not_there_in_time_is_a_summary_that_failed() -> None:
    clock = VirtualClock()
    slow = Scripted("noted")

    async def one() -> Any:
        clock.elapsed = 10.0
        return (await play(stage(fleet({"writer": slow})), run_of(talk()), World(clock=clock, deadline=10.0))).events

    event = asyncio.run(one())[-1]
    assert isinstance(event, Compacted)
    assert event.error is not None
    assert "TimedOut: no time was left to ask writer" in event.error
    assert slow.requests == []


def test_whoever_waits_for_anothers_summary_waits_no_longer_than_there_is_time() -> None:
    class Never(Scripted):
        async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
            await asyncio.Event().wait()
            raise AssertionError

    async def two() -> Any:
        clock, flow = VirtualClock(), stage(fleet({"writer": Never()}))
        first = asyncio.ensure_future(play(flow, run_of(talk()), World(clock=clock)))
        await asyncio.sleep(0.01)
        second = await play(flow, run_of(talk()), World(clock=clock, deadline=0.02))
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        return second.events[-1]

    event = asyncio.run(two())
    assert event.error == "no summary, older turns were left out: TimedOut: writer was still writing the summary"
    assert event.cost_usd == 0.0


def test_whoever_stops_waiting_leaves_a_row_with_what_summaries_cost_until_then() -> None:
    class Stuck(Scripted):
        async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
            if self.requests:
                emit("half a ")
                self.requests.append(request)
                await asyncio.Event().wait()
            return await super().complete(request, emit)

    seen: list[Run] = []

    async def stopped() -> None:
        world = World(clock=VirtualClock(), witness=seen.append)
        task = asyncio.ensure_future(play(stage(fleet({"writer": Stuck("noted")})), run_of(talk(21), OWN), world))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(stopped())
    (run,) = seen
    event = run.events[-1]
    assert isinstance(event, Compacted)
    assert run.id == "r"
    assert event.messages == (*OWN, *talk(21))
    assert event.error == "Cancelled: the caller stopped waiting"
    assert event.summarisers == ("writer", "writer")
    assert event.tokens.output == 5 + 2
    assert event.cost_usd is not None
    assert event.cost_usd > 15e-6
    assert (event.tokens_before, event.tokens_after) == (None, None)


def test_a_run_that_is_stopped_before_anything_was_paid_leaves_no_row_of_it() -> None:
    seen: list[Run] = []

    async def stopped() -> None:
        async def waiting(own: Any, talk: Any, run: Run, world: World, asked: list[Run]) -> Any:
            await asyncio.Event().wait()

        flow = Fit(kind="window", fitting=waiting)
        task = asyncio.ensure_future(flow(run_of(talk()), World(clock=VirtualClock(), witness=seen.append)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(stopped())
    assert seen == []


def test_the_smallest_window_that_holds_it_is_taken_and_nothing_is_paid_for_smaller_ones() -> None:
    writer = Scripted("noted")
    rooms = (room(500, "large"), room(40, "small"))
    event = played(stage(fleet({"writer": writer}), dataclasses.replace(POLICY, keep_last=6), rooms), run_of(talk()))
    assert event.models == ("large",)
    assert event.messages == talk()
    assert writer.requests == []
    flat = stage(fleet({"writer": writer}), dataclasses.replace(POLICY, keep_last=6), rooms, escalate=False)
    event = played(flat, run_of(talk()))
    assert event.models == ("large", "small")
    assert writer.requests


def test_a_window_that_nobody_knows_is_no_reason_to_fail_where_another_is_known() -> None:
    rooms = (room(None, "unknown"), room(40, "small"))
    event = played(
        stage(fleet({"writer": Scripted("noted")}), dataclasses.replace(POLICY, keep_last=6), rooms), run_of(talk())
    )
    assert isinstance(event, Compacted)
    assert event.models == ("unknown", "small")
    lost = played(stage(fleet({"writer": Scripted("noted")}), POLICY, rooms[:1]), run_of(talk()))
    assert isinstance(lost, Failed)
    assert "the window of unknown is not known" in lost.message


def test_policies_without_a_model_need_none_and_an_unknown_one_is_named() -> None:
    for policy, kept in ((Whole(), 9), (Window(turns=3), 3)):
        event = played(stage(fleet({"m": Scripted()}), policy), run_of(talk(), OWN))
        assert (event.policy, len(event.messages), event.cost_usd) == (
            "none" if kept == 9 else "window",
            kept + len(OWN),
            0.0,
        )
    with pytest.raises(ConfigError, match=r"context.model: unknown model 'writer'; did you mean 'writr'"):
        stage(fleet({"writr": Scripted()}))


def test_a_simulated_writers_summary_says_so() -> None:
    made = fleet({"writer": Scripted("noted")})
    endpoint = made.endpoints["writer"]
    simulated = dataclasses.replace(endpoint, model=dataclasses.replace(endpoint.model, simulated=True))
    event = played(stage(made.with_models({"writer": simulated})), run_of(talk()))
    assert event.simulated


def test_rooms_are_the_models_windows_less_the_answer() -> None:
    made = fleet({"a": Scripted(), "b": Scripted()}, max_output_tokens=100)
    endpoint = made.endpoints["a"]
    known = dataclasses.replace(endpoint, model=dataclasses.replace(endpoint.model, context_window=1000))
    rooms = rooms_of(("b", "a"), {**made.endpoints, "a": known}, made.counter, output_tokens=50)
    assert [(r.name, r.limit) for r in rooms] == [("b", None), ("a", 900)]


def test_a_long_conversation_is_counted_on_a_thread_with_the_same_result() -> None:
    long = tuple(Message(role=m.role, content=m.content + " x" * 3_000) for m in talk())
    event = played(stage(fleet({"m": Scripted()}), Window(turns=3), (room(50_000),)), run_of(long))
    assert event.messages == long[6:]
