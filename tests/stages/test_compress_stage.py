"""Compress: what says little is taken out before anybody is asked."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import datetime
from functools import partial
from typing import Any

from routelab.core.errors import Unreachable
from routelab.core.events import Compacted, Retrieved
from routelab.core.ports import World
from routelab.core.run import Run
from routelab.core.values import Message, Prompt
from routelab.prompting.compress import Boilerplate, Whitespace, compressed
from routelab.stages.compress import Compress
from routelab.testing import VirtualClock

WORLD = World(clock=VirtualClock())


def done(stage: Compress, text: str, *events: Any) -> Compacted:
    run = Run(id="r", prompt=Prompt.of(text, system="be  brief"), started_at=datetime(2026, 1, 1), events=events)
    return asyncio.run(stage(run, WORLD))


def stage(compressor: Any) -> Compress:
    return Compress(
        shorten=lambda messages, asked: compressed(compressor, messages, count=lambda t: len(t.split()), question=asked)
    )


def test_the_event_has_the_messages_that_are_left_and_their_tokens() -> None:
    system = Message(role="system", content="be  brief")
    assert done(stage(Whitespace()), "one   two") == Compacted(
        policy="compress",
        messages=(system, Message(role="user", content="one two")),
        tokens_before=4,
        tokens_after=4,
        latency_s=0.0,
    )


def test_nothing_to_take_out_is_an_event_too() -> None:
    found = done(stage(Whitespace()), "one two")
    assert [m.content for m in found.messages] == ["be  brief", "one two"]
    assert (found.tokens_before, found.tokens_after, found.error) == (4, 4, None)


def test_what_was_retrieved_is_compressed_and_the_question_behind_it_is_not() -> None:
    question = "Accept all cookies\n\nis what my screen says, why?"
    passages = "[1] a.md, characters 0–9\nThe fee is 8.\n\nAccept all cookies\n\nIt is due at once."
    put = Retrieved(
        corpus="c", chunks=("a.md:0-9",), messages=(Message(role="user", content=f"{passages}\n\n{question}"),)
    )
    found = done(stage(Boilerplate(remove=("navigation",))), question, put)
    assert found.messages == put.messages  # the question is about cookies
    other = dataclasses.replace(put, messages=(Message(role="user", content=f"{passages}\n\nWhy is there a fee?"),))
    left = done(stage(Boilerplate()), "Why is there a fee?", other).messages[0].content
    assert left == "[1] a.md, characters 0–9\nThe fee is 8.\n\nIt is due at once.\n\nWhy is there a fee?"


def test_an_embedder_in_trouble_leaves_the_messages_as_they_are_and_says_so() -> None:
    def broken(messages: Any, asked: str) -> Any:
        raise Unreachable("no connection to the embedder")

    found = done(Compress(shorten=broken), "one   two")
    assert [m.content for m in found.messages] == ["be  brief", "one   two"]
    assert (found.tokens_before, found.tokens_after) == (None, None)
    assert found.error == "not compressed: Unreachable: no connection to the embedder"


def test_it_is_made_of_a_compressor_and_a_count() -> None:
    made = Compress(shorten=lambda m, q: partial(compressed, Whitespace(), count=len)(m, question=q))
    assert done(made, "a  b").tokens_after == 12
