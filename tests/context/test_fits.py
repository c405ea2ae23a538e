"""Each policy on conversations that a reader can check by hand; a token is a word here, and messages have none of their own."""

from __future__ import annotations

import asyncio

import pytest

from routelab.context import (
    Hybrid,
    Memory,
    Room,
    Span,
    Summarise,
    Summary,
    Whole,
    Window,
    among,
    asked,
    fit,
    fit_live,
    room_of,
    statements,
)
from routelab.core.errors import ConfigError, ContextExceeded
from routelab.core.values import Message, Model, Tokens


def talk(*lines: str) -> tuple[Message, ...]:
    """Messages from lines such as "u: hello"."""
    roles = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}
    return tuple(Message(role=roles[line[0]], content=line[3:]) for line in lines)  # type: ignore[arg-type]


def room(limit: int | None, name: str = "") -> Room:
    return Room(limit=limit, count=lambda text: len(text.split()), per_message=0, per_request=0, name=name)


def shown(messages: tuple[Message, ...]) -> list[str]:
    return [f"{m.role[0]}: {m.content}" for m in messages]


LONG = talk(
    "s: be kind",
    "u: one",
    "a: two",
    "u: weather please",
    "a: calling weather",
    "t: sunny",
    "a: it is sunny",
    "u: and tomorrow",
    "a: rain",
    "u: thanks bye",
)


def test_a_window_keeps_the_system_message_and_the_last_turns_from_a_users_on() -> None:
    found = fit(Window(turns=4)(LONG, room(None)))
    assert shown(found.messages) == ["s: be kind", "u: and tomorrow", "a: rain", "u: thanks bye"]
    assert found.dropped == (1, 2, 3, 4, 5, 6)
    assert (found.tokens_before, found.tokens_after, found.cut) == (17, 7, False)


def test_a_pinned_tool_brings_its_call_and_the_question_it_was_for() -> None:
    found = fit(Window(turns=1, pin=("tool",))(LONG, room(None)))
    assert shown(found.messages) == [
        "s: be kind",
        "u: weather please",
        "a: calling weather",
        "t: sunny",
        "u: thanks bye",
    ]


def test_a_pinned_system_message_within_the_conversation_stays() -> None:
    said = talk("u: a", "s: now in French", "u: b", "a: c", "u: d")
    assert shown(fit(Window(turns=1, pin=("system",))(said, room(None))).messages) == ["s: now in French", "u: d"]
    assert shown(fit(Window(turns=1)(said, room(None))).messages) == ["u: d"]


def test_pinned_users_stay_without_the_answers_to_them() -> None:
    found = fit(Window(turns=2, pin=("user",))(LONG, room(None)))
    assert [m.content for m in found.messages] == [
        "be kind",
        "one",
        "weather please",
        "and tomorrow",
        "rain",
        "thanks bye",
    ]


def test_a_window_of_tokens_ends_before_the_turn_that_does_not_fit() -> None:
    found = fit(Window(tokens=9)(LONG, room(None)))
    assert shown(found.messages) == ["s: be kind", "u: and tomorrow", "a: rain", "u: thanks bye"]
    assert not found.cut


def test_a_smaller_model_cuts_a_window_and_says_so() -> None:
    found = fit(Window(turns=4)(LONG, room(6)))
    assert shown(found.messages) == ["s: be kind", "u: thanks bye"]
    assert found.cut


def test_a_striding_window_starts_at_the_same_message_for_several_requests() -> None:
    said = talk(*(f"{'u' if i % 2 == 0 else 'a'}: {i}" for i in range(41)))
    starts = [fit(Window(turns=10, stride=6)(said[:end], room(None))).messages[0].content for end in range(1, 42, 2)]
    assert starts == ["0"] * 5 + ["6"] * 3 + ["12"] * 3 + ["18"] * 3 + ["24"] * 3 + ["30"] * 3 + ["36"]


def test_what_cannot_fit_is_said_before_anything_is_paid() -> None:
    said = talk("s: be very kind to all", "u: hello", "a: hi", "u: " + "word " * 30)
    for policy in (Whole(), Window(turns=1), Summarise(model="m"), Hybrid()):
        with pytest.raises(ContextExceeded, match=r"tokens, and small takes 20; nothing was sent"):
            fit(policy(said, room(20, "small")))


def quoting(span: Span) -> Summary:
    text = " ".join([span.before, *(m.content for m in span.messages)]).strip()
    return Summary(text=text, model=span.model, cost_usd=0.5, tokens=Tokens(input=9, output=3))


def test_a_summary_tells_the_older_turns_and_the_last_ones_stay() -> None:
    found = fit(Summarise(model="m", trigger=0.5, keep_last=3, max_tokens=8, limit=30)(LONG, room(None)), quoting)
    assert shown(found.messages) == [
        "s: be kind",
        "u: Summary of the conversation so far:\none two weather please calling weather sunny",
        "u: and tomorrow",
        "a: rain",
        "u: thanks bye",
    ]
    assert found.summarised == (1, 2, 3, 4, 5, 6)
    assert found.dropped == ()
    assert found.cost_usd == 0.5


def test_below_the_trigger_nothing_is_summarised() -> None:
    found = fit(Summarise(model="m")(LONG, room(100)))
    assert found.messages == LONG
    assert found.summaries == ()


def test_between_two_summaries_the_front_stays_the_same() -> None:
    said = talk(*(f"{'u' if i % 2 == 0 else 'a'}: word {i}" for i in range(61)))
    policy, memory = Summarise(model="m", keep_last=4, max_tokens=6, limit=40), Memory()

    def numbered(span: Span) -> Summary:
        return Summary(text=f"until {span.messages[-1].content}", model=span.model)

    fits = [fit(policy(said[:end], room(None)), numbered, memory) for end in range(1, 62, 2)]
    paid = [sum(not s.recalled for s in f.summaries) for f in fits]
    fronts = [f.messages[0].content for f in fits]
    assert sum(paid) == len(memory) == len(set(fronts)) - 1
    assert sum(paid) < len(fits) / 2
    assert all(a == b or p == 1 for a, b, p in zip(fronts, fronts[1:], paid[1:], strict=False))


def test_the_trigger_needs_a_limit() -> None:
    with pytest.raises(ConfigError, match=r"context.limit: the window of tiny is not known"):
        fit(Summarise(model="m")(LONG, room(None, "tiny")))


def test_without_a_summariser_the_error_names_who_was_to_write() -> None:
    with pytest.raises(ConfigError, match=r"context.model: 'm' is to summarise"):
        fit(Summarise(model="m", keep_last=1, max_tokens=2)(LONG, room(12)))


def test_a_hybrid_quotes_facts_and_keeps_pins_without_any_model() -> None:
    said = talk(
        "u: Hi! My budget is 900 euros. What do you think of Rome?",
        "a: Rome is lovely in spring.",
        "u: Weather please",
        "a: calling",
        "t: 17 degrees",
        "a: Mild.",
        "u: Fine",
        "a: Good.",
        "u: Book it",
    )
    found = fit(Hybrid(keep_last=1, facts=20, limit=28, trigger=0.5)(said, room(None)))
    assert shown(found.messages) == [
        "u: Said earlier, word for word:\n- My budget is 900 euros.",
        "u: Weather please",
        "a: calling",
        "t: 17 degrees",
        "u: Book it",
    ]
    assert found.facts == ("My budget is 900 euros.",)


def test_pins_that_fill_the_limit_do_not_cost_a_summary_for_every_request() -> None:
    said = talk(
        *(
            line
            for i in range(40)
            for line in (f"u: question number {i} here", "a: calling", f"t: result {i}", f"a: so it is {i} then")
        ),
        "u: bye",
    )
    policy = Hybrid(model="m", keep_last=4, facts=0, max_tokens=8, limit=100)
    paid: list[Span] = []

    def numbered(span: Span) -> Summary:
        paid.append(span)
        return Summary(text=f"until {span.messages[-1].content}", model=span.model)

    found = fit(policy(said, room(None)), numbered)
    assert found.tokens_after <= 100
    folded = sum(len(m.content.split()) for span in paid for m in span.messages)
    assert len(paid) <= folded / 20
    assert len(paid) > 1


def test_a_corrected_fact_stands_after_the_one_it_corrects() -> None:
    said = talk("u: My flight is BA117.", "u: Sorry, my flight is BA119 instead.", "u: My flight is BA117.")
    assert [s.text for s in statements(said, range(2))] == ["My flight is BA117.", "Sorry, my flight is BA119 instead."]
    assert [s.position for s in statements(said, range(3))] == [1, 2]


def test_the_smallest_window_that_holds_it_is_taken_and_who_can_take_it_is_told() -> None:
    rooms = [room(100, "big"), room(10, "small"), room(20, "middle"), room(None, "unknown")]
    placed = fit(among(Whole(), LONG, rooms))
    assert (placed.model, placed.models, placed.escalated) == ("middle", ("big", "middle", "unknown"), True)
    assert placed.tight == {"small": 17}


def test_a_window_escalates_before_it_is_cut_and_without_escalation_is_cut() -> None:
    rooms = [room(6, "small"), room(20, "middle")]
    placed = fit(among(Window(turns=4), LONG, rooms))
    assert (placed.model, placed.fitted.cut, placed.models) == ("middle", False, ("middle",))
    flat = fit(among(Window(turns=4), LONG, rooms, escalate=False))
    assert (flat.model, flat.fitted.cut, flat.models) == ("small", True, ("small", "middle"))


def test_what_fits_nobody_is_the_largest_models_error() -> None:
    with pytest.raises(ContextExceeded, match="middle takes 3"):
        fit(among(Window(turns=4), LONG, [room(3, "middle"), room(2, "small")]))


class Counting:
    """A counter of words that says how it knows."""

    def __init__(self, source: str) -> None:
        self.source = source

    def count(self, text: str, model: Model) -> Tokens:
        return Tokens(input=len(text.split()), source=self.source)  # type: ignore[arg-type]


def test_a_models_room_is_its_window_less_the_answer_and_a_buffer_where_tokens_are_estimated() -> None:
    model = Model(name="m", provider="p", upstream="u", context_window=10_000, max_output_tokens=3_000)
    assert room_of(model, Counting("tiktoken")).limit == 7_000
    assert room_of(model, Counting("estimate")).limit == 6_500
    assert room_of(model, Counting("tiktoken"), output_tokens=400).limit == 9_600
    assert room_of(Model(name="m", provider="p", upstream="u"), Counting("tiktoken")).limit is None
    small = Model(name="m", provider="p", upstream="u", context_window=2_000)
    assert room_of(small, Counting("tiktoken")).limit == 1_000


def test_equal_summaries_that_are_asked_for_at_once_are_written_once() -> None:
    written = []

    async def slow(span: Span) -> Summary:
        written.append(span.key)
        await asyncio.sleep(0)
        return quoting(span)

    async def both() -> list[object]:
        memory = Memory()
        policy = Summarise(model="m", trigger=0.5, keep_last=3, max_tokens=8, limit=30)
        return list(await asyncio.gather(*(fit_live(policy(LONG, room(None)), slow, memory) for _ in range(3))))

    fits = asyncio.run(both())
    assert len(written) == 1
    assert len({f.messages for f in fits}) == 1  # type: ignore[attr-defined]


def test_a_summariser_that_fails_leaves_the_others_to_try() -> None:
    tried = []

    async def failing(span: Span) -> Summary:
        tried.append(span.key)
        await asyncio.sleep(0)
        if len(tried) == 1:
            raise ContextExceeded("too long")
        return quoting(span)

    async def both() -> list[object]:
        memory = Memory()
        policy = Summarise(model="m", trigger=0.5, keep_last=3, max_tokens=8, limit=30)
        fits = (fit_live(policy(LONG, room(None)), failing, memory) for _ in range(3))
        return list(await asyncio.gather(*fits, return_exceptions=True))

    first, *others = asyncio.run(both())
    assert isinstance(first, ContextExceeded)
    assert len(tried) == 2
    assert all(not isinstance(o, Exception) for o in others)


def test_memory_forgets_the_longest_unused() -> None:
    memory = Memory(limit=2)
    spans = [Span(messages=talk(f"u: {i}"), max_tokens=3, model="m") for i in range(3)]
    memory.keep(spans[0], quoting(spans[0]))
    memory.keep(spans[1], quoting(spans[1]))
    assert memory.get(spans[0]) is not None
    memory.keep(spans[2], quoting(spans[2]))
    assert [memory.get(s) is not None for s in spans] == [True, False, True]


def test_a_message_too_long_for_the_summariser_is_shown_without_its_middle() -> None:
    span = Span(messages=talk("u: short", "t: " + "x " * 5_000 + "end"), max_tokens=50, model="m")
    told = asked(span, room(600))
    assert room(None).tokens(told) <= 600
    assert "user: short" in told[1].content
    assert "[…]" in told[1].content
    assert "end" in told[1].content
