"""Calls and their results are one turn, wherever the results stand; what calls say is counted, summarised and hashed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routelab.context import (
    Fitted,
    Hybrid,
    Policy,
    Room,
    Span,
    Summarise,
    Summary,
    Whole,
    Window,
    asked,
    fit,
    room_of,
)
from routelab.core.errors import ContextExceeded
from routelab.core.values import Message, Model, Tokens, ToolCall
from routelab.providers.pairing import pairs

POLICIES: dict[str, Policy] = {
    "whole": Whole(),
    "turns": Window(turns=3),
    "tokens": Window(tokens=120),
    "pinned": Window(turns=1, pin=("tool",)),
    "striding": Window(turns=6, stride=4),
    "summarise": Summarise(model="m", keep_last=2, max_tokens=20),
    "eager": Summarise(model="m", keep_last=1, max_tokens=1, trigger=0.1),
    "hybrid": Hybrid(model="m", keep_last=3, facts=20, max_tokens=20, limit=200),
    "what users said": Hybrid(pin=("user",), keep_last=2, facts=0),
}
IDS = st.sampled_from(["", "a", "b", "c"])
CALLS = st.lists(
    st.builds(ToolCall, id=IDS, name=st.sampled_from(["f", "weather"]), arguments=st.sampled_from(["{}", '{"x": 1}'])),
    max_size=3,
).map(tuple)
TEXTS = st.sampled_from(["", "ok", "My code is 4711.", "a" * 80])
MESSAGES = st.lists(
    st.one_of(
        st.builds(Message, role=st.sampled_from(["system", "user"]), content=TEXTS),
        st.builds(Message, role=st.just("assistant"), content=TEXTS, calls=CALLS),
        st.builds(Message, role=st.just("tool"), content=TEXTS, answers=st.one_of(st.none(), IDS)),
    ),
    max_size=20,
).map(tuple)


def chatty(span: Span) -> Summary:
    return Summary(text=f"{span.before}\nnews of {len(span.messages)} " * 4, model=span.model)


def fitted(policy: Policy, messages: tuple[Message, ...], room: Room) -> Fitted | None:
    try:
        return fit(policy(messages, room), chatty)
    except ContextExceeded:
        return None


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=150, deadline=None)
@given(messages=MESSAGES, limit=st.integers(0, 900))
def test_no_policy_parts_a_call_from_its_results(name: str, messages: tuple[Message, ...], limit: int) -> None:
    room = Room(limit=limit, count=len)
    found = fitted(POLICIES[name], messages, room)
    if found is None:
        return
    kept = set(found.kept)
    for result, (call, _) in pairs(messages).items():
        assert (result in kept) == (call in kept)
    # Nothing is an orphan in what is sent that was none in what was given, and the same results answer the same calls.
    positions = list(found.kept)
    note = len(found.messages) - len(positions)
    head = next((i for i, m in enumerate(messages) if m.role != "system"), len(messages))
    at = {p: i if i < head else i + note for i, p in enumerate(positions)}
    sent = {at[result]: (at[i], k) for result, (i, k) in pairs(messages).items() if result in kept}
    assert sent.items() <= pairs(found.messages).items()
    assert found.tokens_after == room.tokens(found.messages) <= limit
    assert sorted((*found.kept, *found.summarised, *found.dropped)) == list(range(len(messages)))
    if messages:
        assert len(messages) - 1 in kept
        last = max((i for i, m in enumerate(messages) if m.role == "user"), default=None)
        assert last is None or last in kept


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=80, deadline=None)
@given(messages=MESSAGES, limit=st.integers(0, 900))
def test_a_conversation_that_a_user_opened_is_opened_by_a_user_whatever_was_called(
    name: str, messages: tuple[Message, ...], limit: int
) -> None:
    spoken = [m for m in messages if m.role != "system"]
    found = fitted(POLICIES[name], messages, Room(limit=limit, count=len))
    if found is None or not spoken or spoken[0].role != "user":
        return
    assert next(m.role for m in found.messages if m.role != "system") == "user"


def call(id_: str, arguments: str = "{}") -> ToolCall:
    return ToolCall(id=id_, name="weather", arguments=arguments)


def user(text: str) -> Message:
    return Message(role="user", content=text)


def wants(*calls: ToolCall) -> Message:
    return Message(role="assistant", content="", calls=calls)


def gives(text: str, answers: str | None = None) -> Message:
    return Message(role="tool", content=text, answers=answers)


def words(limit: int | None) -> Room:
    return Room(limit=limit, count=lambda text: len(text.split()), per_message=0, per_request=0)


PARALLEL = (
    user("Ulm and Bonn?"),
    wants(call("1"), call("2")),
    gives("rain", "2"),
    user("hurry"),
    gives("sun", "1"),
    Message(role="assistant", content="Sun and rain."),
    user("thanks"),
)


def test_parallel_calls_and_results_out_of_order_are_one_turn() -> None:
    found = fit(Window(turns=3)(PARALLEL, words(None)))
    assert found.messages == (user("hurry"), PARALLEL[5], user("thanks"))
    assert found.dropped == (0, 1, 2, 4)
    found = fit(Window(turns=4)(PARALLEL, words(None)))
    assert found.kept == (3, 5, 6)
    found = fit(Window(turns=5)(PARALLEL, words(None)))
    assert found.kept == (0, 1, 2, 4, 3, 5, 6)


def test_a_late_result_that_is_the_last_message_keeps_its_call_and_the_question_it_was_for() -> None:
    found = fit(Window(turns=1)(PARALLEL[:5], words(None)))
    assert found.kept == (0, 1, 2, 4, 3)
    with pytest.raises(ContextExceeded):
        fit(Window(turns=1)(PARALLEL[:5], words(8)))


def test_what_a_call_says_is_weighed() -> None:
    said = wants(call("1", '{"city": "Ulm"}'), call("2"))
    room = Room(limit=None, count=len, per_message=10, per_request=3)
    assert room.weigh(said) == 10 + (10 + len('weather {"city": "Ulm"}')) + (10 + len("weather {}"))
    assert room.weigh(user("hi")) == 12

    class Count:
        def count(self, text: str, model: Model) -> Tokens:
            return Tokens(input=len(text), source="tiktoken")

    counted = room_of(Model(name="m", provider="p", upstream="u"), Count())
    assert counted.weigh(said) == 12 + len('weather {"city": "Ulm"}') + len("weather {}")


def test_summaries_are_kept_apart_by_what_was_called_and_told_of_it() -> None:
    one, two = (
        Span(messages=(wants(call("1", city)), gives("17", "1")), max_tokens=9, model="m") for city in ("Ulm", "Bonn")
    )
    assert one.key != two.key
    assert "assistant: calls weather Ulm\n\ntool: 17" in asked(one, words(None))[1].content


def shown(span: Span) -> str:
    return asked(span, words(400))[1].content


def test_a_long_call_is_shown_to_the_summariser_without_its_middle() -> None:
    long = Span(messages=(wants(call("1", '{"text": "' + "x " * 2_000 + '"}')),), max_tokens=9, model="m")
    assert "calls weather" in shown(long)
    assert "[…]" in shown(long)
    assert len(shown(long).split()) < 400
