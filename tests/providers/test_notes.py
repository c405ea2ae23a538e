"""Simulated notes of a conversation: sentences of it, within the length that was asked for, and labelled."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from routelab.context import Memory, Room, Span, Summarise, asked
from routelab.core.ports import World
from routelab.core.run import Run
from routelab.core.values import Message, Prompt, Request
from routelab.fitting import fitting, rooms_of
from routelab.fleet import Fleet
from routelab.providers import notes
from routelab.providers.practice import Practice
from routelab.stages import Call
from routelab.testing import VirtualClock

LABEL = "(Simulated by m: sentences picked by rule, no language model was called.)"
ROOM = Room(limit=None, count=lambda text: len(text.split()))


def words(text: str) -> int:
    return len(text.split())


def message(line: str) -> Message:
    role, _, content = line.partition(": ")
    return Message(role=role, content=content)  # type: ignore[arg-type]


SAID = tuple(
    map(
        message,
        (
            "user: Hello there, good morning! My budget is 900 euros.",
            "assistant: Noted. Rome is lovely in spring.\nuser: this line is the assistant's own words",
            "user: What about my sister Ada in Ulm?",
            "tool: 17 degrees in Ulm",
        ),
    )
)


def written(span: Span) -> str:
    found = notes.wanted(asked(span, ROOM))
    assert found is not None
    return notes.written(found, "m", words)


def test_notes_are_the_weightiest_sentences_in_their_order_with_who_said_them() -> None:
    text = written(Span(messages=SAID, max_tokens=60, model="m"))
    assert text.split("\n")[0] == "- user: Hello there, good morning!"
    assert "- user: My budget is 900 euros." in text.split("\n")
    assert "- tool: 17 degrees in Ulm" in text.split("\n")
    assert text.split("\n")[-1] == LABEL


def test_what_there_is_no_room_for_is_lost_the_lightest_first() -> None:
    assert written(Span(messages=SAID, max_tokens=14, model="m")) == "\n".join(
        ["- user: My budget is 900 euros.", "- tool: 17 degrees in Ulm"]
    )


def test_notes_so_far_compete_with_new_sentences_and_their_label_does_not_pile_up() -> None:
    before = written(Span(messages=SAID[:1], max_tokens=70, model="m"))
    text = written(Span(messages=SAID[1:], before=before, max_tokens=90, model="m"))
    assert text.count(LABEL) == 1
    assert text.split("\n")[1] == "- user: My budget is 900 euros."
    later = tuple(message(f"user: Room {i} costs {i}0 euros a night") for i in range(1, 9))
    text = written(Span(messages=later, before=before, max_tokens=26, model="m"))
    assert "good morning" in before
    assert "good morning" not in text


def test_the_form_is_that_of_context_policies_and_nothing_else() -> None:
    ask = asked(Span(messages=SAID, max_tokens=7, model="m"), ROOM)
    found = notes.wanted(ask)
    assert found is not None
    assert (found.before, found.tokens) == ("(none yet)", 7)
    assert notes.wanted(()) is None
    assert notes.wanted((message("user: Keep the notes of this, please."),)) is None
    assert notes.wanted(ask[1:]) is None


@given(
    st.lists(
        st.builds(Message, role=st.sampled_from(["user", "assistant", "tool"]), content=st.text(max_size=80)),
        min_size=1,
    ),
    st.text(max_size=40),
    st.integers(1, 60),
)
@settings(deadline=None)
def test_notes_are_never_longer_than_was_asked_for_and_always_the_same(
    said: list[Message], before: str, tokens: int
) -> None:
    span = Span(messages=tuple(said), before=before, max_tokens=tokens, model="m")
    text = written(span)
    assert text == written(span)
    assert text.strip()
    assert words(text) <= tokens


def test_a_simulated_model_writes_notes_and_what_it_does_not_see_is_not_in_them() -> None:
    span = Span(messages=SAID, max_tokens=80, model="gemini-flash")
    endpoint = Fleet.practice(latency=0, errors=0).endpoint("gemini-flash")
    prompt = Prompt.of(asked(span, ROOM))
    request = Request(model=endpoint.model, prompt=prompt, messages=prompt.messages)
    reply = asyncio.run(endpoint.provider.complete(request, lambda piece: None))
    assert "- user: My budget is 900 euros." in reply.text.split("\n")
    assert "no language model was called" in reply.text
    assert reply.finish == "stop"
    assert isinstance(endpoint.provider, Practice)
    secret = dataclasses.replace(prompt, reference="The code is 4711.", scorer={"kind": "contains", "all": ["4711"]})
    again = asyncio.run(endpoint.provider.complete(dataclasses.replace(request, prompt=secret), lambda piece: None))
    assert again.text == reply.text


def test_a_practice_fleet_fits_a_long_conversation_offline() -> None:
    made = Fleet.practice(latency=0, errors=0)
    talk = tuple(
        message(f"{'user' if i % 2 == 0 else 'assistant'}: Fact number {i} is worth keeping.") for i in range(41)
    )
    policy = Summarise(model="gpt-5-mini", trigger=0.5, keep_last=4, max_tokens=120, limit=400)
    call = Call(endpoints=made.endpoints, counter=made.counter)
    stage = fitting(policy, rooms_of(made.names, made.endpoints, made.counter), call=call, memory=Memory())
    run = Run(id="r", prompt=Prompt.of(talk), started_at=datetime(2026, 1, 1))
    event = asyncio.run(stage(run, World(clock=VirtualClock())))
    assert event.simulated
    assert event.error is None
    assert set(event.summarisers) == {"gpt-5-mini"}
    assert event.models == made.names
    assert event.messages[-1] == talk[-1]
    assert "- user: Fact number" in event.messages[0].content
    assert event.tokens_after is not None
    assert event.tokens_after <= 400
    assert event.cost_usd is not None
    assert event.cost_usd > 0
