"""Retrieve: what was found stands before the question; nothing found changes nothing; trouble ends the run."""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import threading
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from routelab.core.errors import ConfigError
from routelab.core.events import Failed, Retrieved
from routelab.core.flow import chain, play
from routelab.core.ports import World
from routelab.core.run import Run
from routelab.core.values import Message, Prompt
from routelab.engine import SystemClock
from routelab.retrieval import Found, before
from routelab.stages.retrieve import Retrieve
from routelab.testing import VirtualClock

FOUND = Found(corpus="town", chunks=("a.md:0-9",), scores=(0.5,), context="CONTEXT", tokens=7, digest="d", left_out=1)
NOTHING = Found(corpus="town", chunks=(), scores=(), context="", tokens=0, digest="d")


@dataclass
class Finding:
    """A finder that gives what it was told to."""

    gives: Any = FOUND
    loading: concurrent.futures.Future[None] = field(default_factory=concurrent.futures.Future)
    corpus: str = "town"
    asked: list[str] = field(default_factory=list)
    threads: list[str] = field(default_factory=list)

    def begin(self) -> concurrent.futures.Future[None]:
        return self.loading

    def __call__(self, prompt: str) -> Any:
        self.asked.append(prompt)
        self.threads.append(threading.current_thread().name)
        if isinstance(self.gives, Exception):
            raise self.gives
        return self.gives


def ready(**given: Any) -> Finding:
    made = Finding(**given)
    made.loading.set_result(None)
    return made


def played(finder: Finding, *, deadline_s: float | None = None, clock: Any = None, prompt: Any = "What?") -> Run:
    clock = clock or VirtualClock()
    world = World(clock=clock, deadline=None if deadline_s is None else clock.monotonic() + deadline_s)
    run = Run(id="r", prompt=Prompt.of(prompt), started_at=datetime(2026, 1, 1))
    return asyncio.run(play(chain(Retrieve(finder=finder, place=before)), run, world))


def test_what_is_found_stands_before_the_last_question_and_the_event_says_what_it_was() -> None:
    turns = [
        Message(role="system", content="s"),
        Message(role="user", content="one"),
        Message(role="assistant", content="a"),
        Message(role="user", content="two"),
    ]
    finder = ready()
    run = played(finder, prompt=turns)
    messages = (*turns[:3], Message(role="user", content="CONTEXT\n\ntwo"))
    assert run.events == (
        Retrieved(
            corpus="town",
            chunks=("a.md:0-9",),
            messages=messages,
            scores=(0.5,),
            context="CONTEXT",
            tokens=7,
            digest="d",
            left_out=1,
            latency_s=0.0,
        ),
    )
    assert run.messages == messages
    assert finder.asked == ["two"]
    assert finder.threads != [threading.current_thread().name]


def test_nothing_found_leaves_the_messages_as_they_are_and_says_so() -> None:
    run = played(ready(gives=NOTHING))
    [event] = run.events
    assert isinstance(event, Retrieved)
    assert (event.chunks, event.context, event.tokens, event.digest) == ((), "", 0, "d")
    assert run.messages == run.prompt.messages


@pytest.mark.parametrize("when", ["loading", "finding"])
def test_trouble_ends_the_run_and_a_bug_passes_through(when: str) -> None:
    for trouble in (ConfigError("the corpus is gone"), ValueError("a bug")):
        finder = Finding(gives=trouble)
        if when == "loading":
            finder.loading.set_exception(trouble)
        else:
            finder.loading.set_result(None)
        if isinstance(trouble, ValueError):
            with pytest.raises(ValueError, match="a bug"):
                played(finder)
            continue
        run = played(finder)
        assert run.events == (
            dataclasses.replace(
                Failed(stage="retrieve", error="ConfigError", message="the corpus is gone"), at_s=run.events[0].at_s
            ),
        )


def test_a_load_that_takes_longer_than_a_run_has_goes_on_for_the_next() -> None:
    finder = Finding()
    finder.loading.set_running_or_notify_cancel()
    run = played(finder, deadline_s=0.02, clock=SystemClock())
    assert run.failed is not None
    assert (run.failed.error, run.failed.stage) == ("TimedOut", "retrieve")
    assert run.failed.message.startswith("corpus town: is still being loaded after 0.0 s")
    assert not finder.loading.cancelled()
    finder.loading.set_result(None)
    assert played(finder, deadline_s=5.0, clock=SystemClock()).failed is None


def test_a_search_that_never_ends_is_given_up_at_the_deadline() -> None:
    done = threading.Event()

    class Stuck(Finding):
        def __call__(self, prompt: str) -> Any:
            done.wait(5)
            return FOUND

    finder = Stuck()
    finder.loading.set_result(None)

    async def asked() -> Run:
        clock = SystemClock()
        run = Run(id="r", prompt=Prompt.of("What?"), started_at=datetime(2026, 1, 1))
        try:
            return await play(
                Retrieve(finder=finder, place=before), run, World(clock=clock, deadline=clock.monotonic() + 0.02)
            )
        finally:
            done.set()

    run = asyncio.run(asked())
    assert run.failed is not None
    assert run.failed.message.startswith("corpus town: was not searched after 0.0 s")
