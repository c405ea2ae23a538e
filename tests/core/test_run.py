"""A run's properties against a plain reading of its history, one event after the other."""

from __future__ import annotations

import dataclasses
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.core.events import (
    Admitted,
    Answered,
    Blocked,
    Compacted,
    Event,
    Failed,
    Missed,
    Recalled,
    Remembered,
    Retrieved,
    Routed,
    Scored,
    Unanswered,
    kind,
    payload,
)
from routelab.core.run import Run
from routelab.core.values import Message, Prompt, Tokens, ToolCall, digest

MODELS = ("a", "b", "c")
money = st.none() | st.sampled_from([0.0, 0.25, 1.0])
answers = st.builds(
    Answered,
    model=st.sampled_from(MODELS),
    served_model=st.just("s"),
    provider=st.just("p"),
    text=st.sampled_from(["one", "two", ""]),
    cost_usd=money,
    latency_s=money,
    waited_s=st.sampled_from([0.0, 0.5]),
)
refusals = st.builds(
    Unanswered,
    model=st.sampled_from(MODELS),
    provider=st.just("p"),
    error=st.just("ServerFailed"),
    message=st.just("500"),
    retry=st.booleans(),
    text=st.sampled_from(["", "", "half an ans"]),
    cost_usd=money,
    latency_s=money,
)
scores = st.builds(
    Scored,
    scorer=st.just("judge"),
    quality=st.sampled_from([0.0, 1.0]),
    model=st.sampled_from(MODELS),
    accepted=st.sampled_from([None, True, False]),
    cost_usd=money,
    latency_s=st.just(0.125),
)
others = st.sampled_from([Admitted(), Missed(cache="exact", key="k"), Remembered(cache="exact", key="k")])
routes = st.lists(st.sampled_from(MODELS), min_size=1, max_size=3, unique=True).map(
    lambda order: Routed(strategy="fixed", order=tuple(order), reason="because")
)


def run_of(*events: Event) -> Run:
    return Run(id="r", prompt=Prompt.of("hi"), started_at=datetime(2026, 1, 1), events=events)


histories = st.builds(
    lambda before, routed, after: run_of(*before, *([routed] if routed else []), *after),
    st.lists(others, max_size=2),
    st.none() | routes,
    st.lists(answers | refusals | scores | others, max_size=8),
)


def reading(run: Run) -> tuple[int, str | None, bool, Answered | None]:
    """Walk through the history once and return position, current model, settled, and the answer that counts."""
    order: tuple[str, ...] = ()
    position, decided = 0, False
    last: Answered | None = None
    kept: Answered | None = None
    for event in run.events:
        if isinstance(event, Routed):
            order, decided = event.order, False
        elif isinstance(event, Answered):
            last, kept, decided = event, event, True
        elif isinstance(event, Unanswered):
            position += 0 if event.retry else 1
            decided = event.text != ""
        elif isinstance(event, Scored) and event.accepted is not None:
            position += 0 if event.accepted else 1
            decided = event.accepted
            kept = kept if event.accepted else None
    current = order[position] if position < len(order) else None
    return position, current, decided or current is None, kept or last


@given(run=histories)
def test_position_current_settled_and_the_answer_follow_from_the_history(run: Run) -> None:
    assert (run.position, run.current, run.settled, run.answered) == reading(run)


@given(run=histories)
def test_what_was_not_known_is_never_free(run: Run) -> None:
    gates = [e for e in run.events if isinstance(e, Scored) and (e.accepted is not None or run.status == "judged")]
    parts = [e.cost_usd for e in (*gates, *(e for e in run.events if isinstance(e, Answered)))]
    parts += [e.cost_usd for e in run.events if isinstance(e, Unanswered) and (e.text or e.cost_usd is not None)]
    assert run.cost_usd == (None if None in parts else pytest.approx(sum(p for p in parts if p is not None)))
    measured = [e.cost_usd for e in run.events if isinstance(e, Scored) and e.accepted is None]
    assert run.measuring_usd == (None if None in measured else sum(p for p in measured if p is not None))


@given(run=histories)
def test_the_wait_is_the_sum_of_all_that_was_waited_for(run: Run) -> None:
    tries = [e for e in run.events if isinstance(e, (Answered, Unanswered))]
    gates = [e for e in run.events if isinstance(e, Scored) and e.accepted is not None]
    if any(e.latency_s is None for e in tries):
        assert run.latency_s is None
    else:
        waits = [(e.latency_s or 0.0) + e.waited_s for e in tries] + [e.latency_s or 0.0 for e in gates]
        assert run.latency_s == pytest.approx(sum(waits))


@given(run=histories, event=answers | refusals | scores | others)
def test_one_more_event_is_added_at_the_end(run: Run, event: Event) -> None:
    after = run.then(event)
    assert after.events == (*run.events, event)
    assert dataclasses.replace(after, events=run.events) == run


ANSWER = Answered(model="a", served_model="a-1", provider="p", text="yes", cost_usd=0.5)
REFUSED = Scored(scorer="judge", quality=0.1, model="a", accepted=False)


@pytest.mark.parametrize(
    ("events", "status", "text"),
    [
        ((), "unanswered", None),
        ((ANSWER,), "answered", "yes"),
        ((ANSWER, REFUSED), "answered", "yes"),  # when all were refused, the last answer counts
        ((Recalled(cache="exact", key="k", text="kept", model="a"),), "recalled", "kept"),
        ((ANSWER, Blocked(guard="secrets", reason="a key")), "blocked", None),
        ((Failed(stage="call", error="BudgetExceeded", message="m"),), "failed", None),
        ((Unanswered(model="a", provider="p", error="E", message="m", retry=False, text="hal"),), "unanswered", None),
    ],
)
def test_a_status_is_one_word(events: tuple[Event, ...], status: str, text: str | None) -> None:
    assert (run_of(*events).status, run_of(*events).text) == (status, text)


def test_the_latest_rewriting_of_the_messages_counts() -> None:
    first, second = Message(role="user", content="one"), Message(role="user", content="two")
    rewritten = Compacted(policy="system", messages=(first,))
    found = Retrieved(corpus="c", chunks=("x",), messages=(second,))
    assert run_of().messages == Prompt.of("hi").messages
    assert run_of(rewritten).messages == (first,)
    assert run_of(rewritten, found).messages == (second,)


def test_a_measurement_is_not_a_gate() -> None:
    run = run_of(ANSWER, REFUSED, Scored(scorer="exact", quality=0.75, model="a"))
    assert run.quality == 0.75
    assert run_of(ANSWER, REFUSED).quality is None


def test_an_event_has_a_name_and_a_payload_of_plain_values() -> None:
    event = Answered(model="a", served_model="s", provider="p", text="", tokens=Tokens(input=1), at_s=3.0)
    assert kind(event) == "answered"
    assert payload(event) == {
        "model": "a",
        "served_model": "s",
        "provider": "p",
        "text": "",
        "finish": "stop",
        "tokens": {"input": 1},
        "waited_s": 0.0,
        "attempt": 1,
        "simulated": False,
    }
    compacted = Compacted(policy="system", messages=(Message(role="user", content="x"),))
    assert payload(compacted) == {
        "policy": "system",
        "messages": [{"role": "user", "content": "x"}],
        "head": 0,
        "cost_usd": 0.0,
        "latency_s": 0.0,
        "simulated": False,
    }


def test_a_turn_says_what_it_has_of_tools_only_if_it_does() -> None:
    wish = ToolCall(id="1", name="weather", arguments='{"city": "Bern"}')
    called = Message(role="assistant", content="", calls=(wish,))
    assert Message(role="user", content="x").told == ("user", "x")
    assert Message(role="user", content="x").spoken == "x"
    assert called.spoken == 'calls weather {"city": "Bern"}'
    assert called.told == ("assistant", "", [("1", "weather", '{"city": "Bern"}')], None)
    assert payload(Compacted(policy="window", messages=(called,)))["messages"] == [
        {"role": "assistant", "content": "", "calls": [{"id": "1", "name": "weather", "arguments": '{"city": "Bern"}'}]}
    ]
    plain = Prompt.of([Message(role="user", content="x")])
    assert plain.id == digest([("user", "x")])
    assert Prompt.of([Message(role="user", content="x"), called]).id != plain.id
