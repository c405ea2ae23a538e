"""Retention on dialogues small enough to check by hand; a token is a word, and messages have none of their own."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from routelab.context import Hybrid, Room, Span, Summarise, Summary, Whole, Window
from routelab.core.errors import RateLimited
from routelab.core.values import Message, Price, Reply, Tokens
from routelab.lab.contexts.answers import accuracy, answered
from routelab.lab.contexts.dialogues import Dialogue, Fact, planted
from routelab.lab.contexts.retention import Bill, Probe, retained, saved, versus


def room(limit: int | None = None) -> Room:
    return Room(limit=limit, count=lambda text: len(text.split()), per_message=0, per_request=0)


def small(name: str = "d") -> Dialogue:
    texts = ("my dog is Rex", "fine", "no my dog is Odin", "ok", "what else", "nothing")
    roles = ("user", "assistant")
    return Dialogue(
        id=name,
        messages=tuple(Message(role=roles[i % 2], content=t) for i, t in enumerate(texts)),  # type: ignore[arg-type]
        facts=(
            Fact(id="dog", at=2, how="corrected", answer="Odin", about=("dog",), question="who is my pet", stale="Rex"),
        ),
        group=name[0],
    )


def test_everything_is_held_when_everything_is_sent() -> None:
    found = retained("whole", Whole(), [small()], room())
    assert found.probes == (
        (Probe(dialogue="d", fact="dog", how="corrected", age=3, held=True, verbatim=True, stale=False),),
    )
    # Requests of 4, 10 and 13 words.
    assert found.bills == (
        Bill(input=27, cached=0, summaries=0, summary_input=0, summary_output=0, failed=0, largest=13),
    )
    assert found.ages.tolist() == [[0, 1], [2, 1]]


def test_a_window_loses_what_is_outside() -> None:
    found = retained("two", Window(turns=3), [small()], room())
    [[probe]] = found.probes
    assert (probe.held, probe.verbatim, probe.stale) == (False, False, False)
    assert (found.recall().value, found.any_lost().value, found.all_lost().value) == (0.0, 1.0, 1.0)
    assert found.bills[0].input == 4 + 10 + 8


def test_a_request_that_does_not_fit_holds_nothing_and_is_not_paid() -> None:
    found = retained("whole", Whole(), [small()], room(10))
    assert (found.bills[0].failed, found.bills[0].input) == (1, 14)
    assert not found.probes[0][0].held


def remembering(text: str) -> object:
    def write(span: Span) -> Summary:
        return Summary(text=text, model=span.model, tokens=Tokens(input=100, output=5), simulated=True)

    return write


def test_a_summary_is_read_line_by_line_and_paid_once() -> None:
    policy = Summarise(model="m", limit=20, trigger=0.5, keep_last=1, max_tokens=8)
    held = retained("told", policy, [small()], room(), remembering("the dog is Odin"))  # type: ignore[arg-type]
    assert [(p.held, p.verbatim) for p in held.every] == [(True, False)]
    assert held.simulated
    assert (held.bills[0].summaries, held.bills[0].summary_input) == (1, 100)
    apart = retained("told", policy, [small()], room(), remembering("a dog\nand Odin"))  # type: ignore[arg-type]
    assert not apart.every[0].held
    stale = retained("told", policy, [small()], room(), remembering("the dog is Rex"))  # type: ignore[arg-type]
    assert (stale.every[0].held, stale.every[0].stale) == (False, True)


def test_input_is_priced_with_and_without_a_prompt_cache_and_summaries_with_their_output() -> None:
    found = retained("whole", Whole(), [small()], room())
    object.__setattr__(
        found, "bills", (Bill(input=3_000_000, cached=1_000_000, summaries=1, summary_input=0, summary_output=0),)
    )
    price = Price(usd_per_mtok_in=2.0, usd_per_mtok_out=10.0, usd_per_mtok_cached_in=0.2)
    assert found.cost_usd(price) == pytest.approx(6.0)
    assert found.cost_usd(price, caching=True) == pytest.approx(4.2)
    object.__setattr__(
        found, "bills", (Bill(input=0, cached=0, summaries=1, summary_input=1_000_000, summary_output=100_000),)
    )
    assert found.cost_usd(price) == pytest.approx(3.0)


def test_savings_are_a_ratio_of_sums_with_an_interval() -> None:
    base = np.array([100.0, 200.0, 300.0])
    assert saved(base * 0.5, base).interval == pytest.approx((0.5, 0.5))
    found = saved(np.array([60.0, 90.0, 150.0]), base)
    assert found.value == pytest.approx(0.5)
    assert found.low is not None
    assert found.low < 0.5


def test_versus_is_paired_and_needs_the_same_dialogues() -> None:
    talks = [small(f"{c}{i}") for c in "ab" for i in range(10)]
    whole, window = retained("whole", Whole(), talks, room()), retained("w", Window(turns=3), talks, room())
    found = versus(window, whole)
    assert found.recall.verdict == "worse"
    assert found.saved.value == pytest.approx(1 - 22 / 27)
    assert not found.earns(0.1)
    with pytest.raises(ValueError, match="not asked about the same"):
        versus(window, retained("whole", Whole(), talks[:3], room()))


def test_the_shipped_dialogues_are_wholly_held_by_the_whole_and_by_enough_facts_in_part() -> None:
    talks = planted()[:6]
    counted = Room(limit=None, count=lambda text: len(text) // 4 + 1)
    whole = retained("whole", Whole(), talks, counted)
    assert whole.recall().value == 1.0
    recent = retained("recent", Window(turns=10), talks, counted, grown=False)
    quoted = retained("facts", Hybrid(limit=1_000, facts=300), talks, counted, grown=False)
    assert recent.recall().value < quoted.recall().value


def reading(about: str) -> object:
    async def ask(messages: tuple[Message, ...]) -> Reply:
        if "slow" in about:
            raise RateLimited("busy")
        said = [m.content for m in messages[:-1] if "dog" in m.content]
        return Reply(
            text=said[-1] if said else "I do not know", served_model="m", cost_usd=0.01, tokens=Tokens(input=9)
        )

    return ask


async def told(span: Span) -> Summary:
    return Summary(text="nothing", model=span.model, cost_usd=0.5)


def test_a_fleet_is_asked_and_what_it_says_is_scored() -> None:
    talks = [small(f"{c}{i}") for c in "abc" for i in range(4)]
    good = asyncio.run(answered(Whole(), talks, room(), reading("dog"), told))  # type: ignore[arg-type]
    assert [(a.held, a.right, a.cost_usd) for a in good] == [(True, True, 0.01)] * 12
    assert accuracy(good).value == 1.0
    lost = asyncio.run(answered(Window(turns=1), talks[:1], room(), reading("dog"), told))  # type: ignore[arg-type]
    assert [(a.held, a.right, a.text) for a in lost] == [(False, False, "I do not know")]
    tight = asyncio.run(answered(Whole(), talks[:1], room(5), reading("dog"), told))  # type: ignore[arg-type]
    assert "nothing was sent" in tight[0].error
    busy = asyncio.run(answered(Whole(), talks[:1], room(), reading("slow"), told))  # type: ignore[arg-type]
    assert (busy[0].error, busy[0].right, busy[0].cost_usd) == ("busy", False, None)
    policy = Summarise(model="m", limit=20, trigger=0.5, keep_last=1, max_tokens=8)
    paid = asyncio.run(answered(policy, talks[:1], room(), reading("dog"), told))  # type: ignore[arg-type]
    assert paid[0].cost_usd == pytest.approx(1.01)
