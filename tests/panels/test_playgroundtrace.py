"""A trace reads as what happened: who was asked, what failed or was refused, for how much, and for how long."""

from __future__ import annotations

import dataclasses
from datetime import datetime

import pytest

from routelab.answer import Answer
from routelab.core import events
from routelab.core.events import Answered, Event, Failed, Recalled, Routed, Scored, Unanswered
from routelab.core.run import Run
from routelab.core.values import Prompt, Tokens
from routelab.panels.trace import steps, trace_html, trace_table
from tests.notebook.test_displays import HOSTILE, assert_tame


def answer(*happened: Event) -> Answer:
    return Answer(Run(id="r" * 32, prompt=Prompt.of("x"), started_at=datetime(2026, 1, 1), events=happened))


ROUTED = Routed(strategy="cascade", order=("small", "large"), reason="cheapest first", at_s=0.01)
SMALL = Answered(
    model="small",
    served_model="small",
    provider="p",
    text="?",
    tokens=Tokens(input=10, output=5, source="usage"),
    cost_usd=0.001,
    latency_s=1.0,
    waited_s=0.5,
    at_s=1.5,
)


def test_a_cascade_reads_as_a_story() -> None:
    story = answer(
        ROUTED,
        SMALL,
        Scored(scorer="judge-1a2b3c4d", judge="mid", quality=0.25, model="small", accepted=False, at_least=0.8, cost_usd=None, latency_s=0.5, at_s=2.0),
        Unanswered(model="large", provider="p", error="RateLimited", message="429\nmore", retry=True, latency_s=0.2, at_s=2.2),
        dataclasses.replace(SMALL, model="large", finish="length", cost_usd=None, simulated=True, at_s=4.0),
    )  # fmt: skip
    assert trace_table(story).rows == [
        ["10 ms", "decided: small → large, because cheapest first", "cascade", "–", "–"],
        ["1.5 s", "answered: 10 + 5 tokens, after a wait of 0.5 s", "small", "$0.00100", "1.5 s"],
        ["2.0 s", "✗ refused: small's answer got 0.25 of 0.8 wanted, the next one is asked", "mid", "?", "0.5 s"],
        ["2.2 s", "✗ failed with RateLimited, asked again: 429", "large", "–", "0.2 s"],
        [
            "4.0 s",
            "answered: 10 + 5 tokens, cut at its limit, after a wait of 0.5 s",
            "large (simulated)",
            "?",
            "1.5 s",
        ],
    ]


def test_bars_follow_one_another_and_fill_the_width() -> None:
    html = trace_html(answer(ROUTED, SMALL, dataclasses.replace(SMALL, model="large", latency_s=4.0)))
    assert 'style="margin-left:0.0%;width:25.0%"' in html
    assert 'style="margin-left:25.0%;width:75.0%"' in html
    assert_tame(html)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (dataclasses.replace(ROUTED, error="it raised"), "✗ default, the strategy could not decide: it raised"),
        (dataclasses.replace(ROUTED, propensity=0.25), "decided: small → large (drawn with chance 0.25), because"),
        (Failed(stage="call", error="BudgetExceeded", message="spent\nhint"), "✗ ended by BudgetExceeded: spent"),
        (events.Blocked(guard="g", reason="a secret"), "✗ blocked: a secret"),
        (Recalled(cache="exact", key="k", text="t", model="m"), "remembered by the exact cache: the very same request"),
        (
            Recalled(cache="semantic", key="k", text="t", model="m", similarity=0.957, like="How so?", age_s=200, stale=True),
            "remembered by the semantic cache: 0.957 like 'How so?', 3 min old, stale: a fresh answer is being asked for",
        ),
        (events.Missed(cache="exact", key="k"), "not in the cache"),
        (
            events.Missed(cache="semantic", key="k", nearest=0.9, like="How not?", objection="negation: – | not"),
            "not in the cache: the nearest is 0.900 like 'How not?'; the guard objects: negation: – | not",
        ),
        (events.Remembered(cache="exact", key="k", refused="the answer is empty"), "not kept: the answer is empty"),
        (events.Remembered(cache="exact", key="k"), "kept for the next time"),
        (events.Admitted(guards=("g",)), "let through"),
        (events.Compacted(policy="system", messages=(), tokens_before=9, tokens_after=5), "prompt rendered: 9 → 5 tokens"),
        (events.Retrieved(corpus="c", chunks=("a", "b"), messages=()), "2 passages put in front"),
        (Scored(scorer="number", quality=1.0, model="m"), "scored: m got 1.00"),
        (Scored(scorer="agreement", quality=1.0, model="m", accepted=True, at_least=1.0, answered_by="n"), "accepted: m's answer got 1.00 of 1 wanted; the answer of n stands"),
        (Unanswered(model="m", provider="p", error="TimedOut", message="late", retry=False), "✗ failed with TimedOut, passed over: late"),
    ],
)  # fmt: skip
def test_every_event_is_said_in_words(event: Event, said: str) -> None:
    assert trace_table(answer(event)).rows[0][1].startswith(said)


def test_every_kind_of_event_has_a_step() -> None:
    import typing

    assert len(typing.get_args(Event)) == 12
    assert steps(()) == ()


def test_unknown_costs_stay_unknown() -> None:
    late = Unanswered(model="m", provider="p", error="TimedOut", message="late", retry=False)
    refused = dataclasses.replace(late, error="Unreachable")
    assert [s.cost for s in steps((late, refused))] == ["?", ""]


def test_hostile_events_stay_text() -> None:
    html = trace_html(
        answer(
            Routed(strategy=HOSTILE, order=(HOSTILE,), reason=HOSTILE, error=HOSTILE),
            dataclasses.replace(SMALL, model=HOSTILE),
            Scored(scorer=HOSTILE, judge=HOSTILE, quality=0.5, model=HOSTILE, reason=HOSTILE, accepted=False),
            Failed(stage=HOSTILE, error=HOSTILE, message=HOSTILE),
        )
    )
    assert_tame(html)
    assert "\x1b" not in html
