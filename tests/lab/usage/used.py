"""Logs in which calls have templates, tokens and scores that are easy to reckon with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from routelab.core.events import Answered, Compacted, Event, Routed, Scored, Unanswered
from routelab.core.run import Run
from routelab.core.values import Message, Price, Prompt, Tokens
from routelab.store import Log

BEGAN = datetime(2026, 11, 20, 12, 0, 0)
PRICE = Price(usd_per_mtok_in=1.0, usd_per_mtok_out=10.0, usd_per_mtok_cached_in=0.1)
CHOICE = {"kind": "choice", "answer": "refund", "options": ["refund", "order"]}


def prices(model: str) -> Price | None:
    """Return the price of every model but "unknown"."""
    return None if model == "unknown" else PRICE


def prompt(i: int, *, task: str | None = "support", group: str | None = None) -> Prompt:
    """Return a prompt that wants a choice."""
    said = (Message(role="user", content=f"Question {i}: where is my money?"),)
    return Prompt(id=f"p{i}", messages=said, task=task, scorer=CHOICE, reference="refund", group=group)


def run(
    i: int,
    template: str = "",
    *,
    model: str = "m",
    tokens: Tokens = Tokens(input=100, output=10, source="usage"),  # noqa: B008
    quality: float | None = 1.0,
    front: str = "",
    after_s: float = 0.0,
    task: str | None = "support",
    simulated: bool = False,
    finish: Any = "stop",
    group: str | None = None,
    arm: str = "a",
    more: Sequence[Event] = (),
) -> Run:
    """Return one answered run of prompt `i` under a template, whose text is `front` and then the question."""
    asked = prompt(i, task=task, group=group)
    events: list[Event] = []
    if template or front:
        said = (Message(role="system", content=front or template), *asked.messages)
        events.append(Compacted(policy="template", messages=said, template=template, head=1))
    cost = None if model == "unknown" else PRICE.cost_usd(tokens)
    events += [
        Routed(strategy="fixed", order=(model,), reason="always"),
        Answered(
            model=model,
            served_model=model,
            provider="acme",
            text="refund",
            tokens=tokens,
            cost_usd=cost,
            latency_s=1.0,
            finish=finish,
            simulated=simulated,
        ),
    ]
    if quality is not None:
        events.append(Scored(scorer="choice", quality=quality, model=model))
    return Run(
        id=f"{arm}-{template}-{model}-{i}-{after_s}-{task}-{simulated}",
        prompt=asked,
        started_at=BEGAN + timedelta(seconds=after_s),
        arm=arm,
        experiment="e",
        events=(*events, *more),
    )


def failed(i: int, template: str, *, model: str = "m") -> Run:
    """Return a run in which nobody answered."""
    event = Unanswered(model=model, provider="acme", error="ServerFailed", message="500", retry=False)
    return Run(
        id=f"failed-{template}-{i}", prompt=prompt(i), started_at=BEGAN, arm="a", experiment="e", events=(event,)
    )


def logged(*runs: Run) -> Log:
    """Return a log in memory that has the runs."""
    log = Log(":memory:")
    for one in runs:
        log.record(one)
    return log
