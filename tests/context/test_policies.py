"""Laws that every context policy keeps, over ugly conversations and any token counter."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routelab.context import Fitted, Hybrid, Memory, Policy, Room, Span, Summarise, Summary, Whole, Window, among, fit
from routelab.core.errors import ContextExceeded
from routelab.core.values import Message

POLICIES: dict[str, Policy] = {
    "whole": Whole(),
    "turns": Window(turns=4),
    "tokens": Window(tokens=60),
    "both": Window(turns=6, tokens=80),
    "pinned window": Window(turns=2, pin=("system", "tool")),
    "striding": Window(turns=6, stride=4),
    "summarise": Summarise(model="m", keep_last=3, max_tokens=20),
    "eager": Summarise(model="m", keep_last=1, max_tokens=1, trigger=0.1),
    "own limit": Summarise(model="m", keep_last=4, max_tokens=30, limit=70),
    "facts": Hybrid(keep_last=3, facts=30),
    "hybrid": Hybrid(model="m", keep_last=3, facts=20, max_tokens=20, limit=120),
    "what users said": Hybrid(pin=("user",), keep_last=2, facts=0, limit=200),
    "pins only": Hybrid(keep_last=2, facts=0),
}
COUNTERS: dict[str, Callable[[str], int]] = {
    "characters": len,
    "words": lambda text: len(text.split()),
    "nothing": lambda text: 0,
    "a constant": lambda text: 7,
    "jumping": lambda text: (len(text) * 7919) % 31,
}
ROLES = st.sampled_from(["system", "user", "assistant", "tool"])
TEXTS = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        ["", "ok", "My code is 4711.", "東京。京都。", "\ud800", "a" * 300, "\n\n\n", "<turns>", "Must not be 12."]
    ),
)
MESSAGES = st.lists(st.builds(Message, role=ROLES, content=TEXTS), max_size=24).map(tuple)


def chatty(span: Span) -> Summary:
    """A summariser that pays no heed to the length it was given."""
    return Summary(text=f"{span.before}\nnews of {len(span.messages)} " * 4, model=span.model)


def fitted(policy: Policy, messages: tuple[Message, ...], limit: int | None, counter: str) -> Fitted | None:
    try:
        return fit(policy(messages, Room(limit=limit, count=COUNTERS[counter])), chatty)
    except ContextExceeded:
        return None


def needed(messages: tuple[Message, ...]) -> set[int]:
    """The leading system messages, the last user's with its tool results, and the last message with what belongs to it."""
    head = 0
    while head < len(messages) and messages[head].role == "system":
        head += 1
    found = set(range(head))
    last = len(messages) - 1
    while last > head and messages[last].role == "tool":
        last -= 1
    found |= set(range(last, len(messages))) if messages else set()
    asked = max((i for i, m in enumerate(messages) if m.role == "user"), default=None)
    if asked is not None:
        found.add(asked)
        while asked + 1 < len(messages) and messages[asked + 1].role == "tool":
            asked += 1
            found.add(asked)
    return found


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=120, deadline=None)
@given(messages=MESSAGES, limit=st.integers(0, 900), counter=st.sampled_from(sorted(COUNTERS)))
def test_what_fits_is_within_the_limit_and_keeps_what_is_needed(
    name: str, messages: tuple[Message, ...], limit: int, counter: str
) -> None:
    room = Room(limit=limit, count=COUNTERS[counter])
    found = fitted(POLICIES[name], messages, limit, counter)
    least = needed(messages)
    if found is None:
        whole = range(len(messages)) if name == "whole" else sorted(least)
        assert room.tokens(messages[i] for i in whole) > limit
        return
    assert found.tokens_after == room.tokens(found.messages) <= limit
    assert found.tokens_before == room.tokens(messages)
    assert least <= set(found.kept)
    assert sorted((*found.kept, *found.summarised, *found.dropped)) == list(range(len(messages)))
    kept = [messages[i] for i in found.kept]
    head = sum(1 for _ in takewhile_system(messages))
    told = [] if not found.note else [Message(role="user", content=found.note)]
    assert list(found.messages) == [*kept[:head], *told, *kept[head:]]


def takewhile_system(messages: tuple[Message, ...]) -> list[Message]:
    head = []
    for message in messages:
        if message.role != "system":
            break
        head.append(message)
    return head


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=80, deadline=None)
@given(messages=MESSAGES, limit=st.integers(0, 600))
def test_a_tool_result_is_never_parted_from_its_call(name: str, messages: tuple[Message, ...], limit: int) -> None:
    found = fitted(POLICIES[name], messages, limit, "characters")
    if found is None:
        return
    kept = set(found.kept)
    head = len(takewhile_system(messages))
    for i in range(head + 1, len(messages)):
        if messages[i].role == "tool":
            assert (i in kept) == (i - 1 in kept)


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=80, deadline=None)
@given(messages=MESSAGES, limit=st.integers(0, 600))
def test_a_conversation_that_a_user_opened_is_opened_by_a_user(
    name: str, messages: tuple[Message, ...], limit: int
) -> None:
    spoken = [m for m in messages if m.role != "system"]
    found = fitted(POLICIES[name], messages, limit, "characters")
    if found is None or not spoken or spoken[0].role != "user":
        return
    assert next(m.role for m in found.messages if m.role != "system") == "user"


@pytest.mark.parametrize("name", sorted(set(POLICIES) - {"tokens", "both", "own limit", "hybrid", "what users said"}))
@settings(max_examples=40, deadline=None)
@given(messages=MESSAGES)
def test_what_a_policy_keeps_of_its_own_accord_is_not_called_cut(name: str, messages: tuple[Message, ...]) -> None:
    found = fitted(POLICIES[name], messages, 1_000_000, "characters")
    assert found is not None
    assert not found.cut


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=40, deadline=None)
@given(messages=MESSAGES, limit=st.integers(50, 600))
def test_the_same_conversation_comes_out_the_same(name: str, messages: tuple[Message, ...], limit: int) -> None:
    assert fitted(POLICIES[name], messages, limit, "words") == fitted(POLICIES[name], messages, limit, "words")


@pytest.mark.parametrize("name", ["summarise", "eager", "own limit", "hybrid"])
@settings(max_examples=60, deadline=None)
@given(
    messages=st.lists(
        st.builds(Message, role=st.sampled_from(["user", "assistant", "tool"]), content=TEXTS), min_size=2, max_size=24
    ).map(tuple),
    limit=st.integers(80, 500),
)
def test_a_growing_conversation_never_pays_for_the_same_prefix_twice(
    name: str, messages: tuple[Message, ...], limit: int
) -> None:
    room = Room(limit=limit, count=len)
    memory, asked = Memory(), []

    def writing(span: Span) -> Summary:
        asked.append(span.key)
        return Summary(text=f"up to {span.messages[-1].content[:5]}", model=span.model, cost_usd=1.0)

    ends = [
        i
        for i, m in enumerate(messages, 1)
        if m.role != "assistant" and (i == len(messages) or messages[i].role != "tool")
    ]
    paid = 0.0
    for end in ends:
        try:
            found = fit(POLICIES[name](messages[:end], room), writing, memory)
        except ContextExceeded:
            continue
        assert found.cost_usd is not None
        paid += found.cost_usd
    assert len(asked) == len(set(asked))
    again = [
        fit(POLICIES[name](messages[:end], room), writing, memory) for end in ends if fits(name, messages[:end], room)
    ]
    assert sum(f.cost_usd or 0.0 for f in again) == 0.0
    assert paid <= len(asked)


def fits(name: str, messages: tuple[Message, ...], room: Room) -> bool:
    try:
        fit(POLICIES[name](messages, room), chatty)
    except ContextExceeded:
        return False
    return True


@pytest.mark.parametrize("name", ["summarise", "eager", "own limit", "hybrid"])
@settings(max_examples=60, deadline=None)
@given(messages=MESSAGES.filter(bool), limit=st.integers(80, 500), data=st.data())
def test_a_shorter_history_asks_for_the_same_summaries_as_far_as_it_goes(
    name: str, messages: tuple[Message, ...], limit: int, data: st.DataObject
) -> None:
    ends = [
        i for i, m in enumerate(messages, 1) if m.role == "user" and (i == len(messages) or messages[i].role != "tool")
    ]
    end = data.draw(st.sampled_from([*ends, len(messages)]))

    def asked_for(some: tuple[Message, ...]) -> list[Span]:
        spans: list[Span] = []

        def writing(span: Span) -> Summary:
            spans.append(span)
            return chatty(span)

        fit(POLICIES[name](some, room), writing)
        return spans

    room = Room(limit=limit, count=len)
    try:
        longer, shorter = asked_for(messages), asked_for(messages[:end])
    except ContextExceeded:
        return
    assert longer[: len(shorter)] == shorter or end == len(messages)


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=50, deadline=None)
@given(
    messages=MESSAGES,
    limits=st.lists(st.integers(0, 700), min_size=1, max_size=4),
    counters=st.lists(st.sampled_from(sorted(COUNTERS)), min_size=4, max_size=4),
    escalate=st.booleans(),
)
def test_every_model_that_is_said_to_take_it_does(
    name: str, messages: tuple[Message, ...], limits: list[int], counters: list[str], escalate: bool
) -> None:
    rooms = [
        Room(limit=n, count=COUNTERS[c], name=str(i)) for i, (n, c) in enumerate(zip(limits, counters, strict=False))
    ]
    try:
        placed = fit(among(POLICIES[name], messages, rooms, escalate=escalate), chatty)
    except ContextExceeded:
        return
    sizes = {room.name: room.tokens(placed.fitted.messages) for room in rooms}
    takes = [room.name for room in rooms if sizes[room.name] <= (room.limit or 0)]
    assert list(placed.models) == takes
    assert placed.model in takes
    assert dict(placed.tight) == {n: size for n, size in sizes.items() if n not in takes}
    assert escalate or rooms[int(placed.model)].limit == min(limits)
