"""Conversations in a log: runs that continue each other, and what the fit of each one says that it did."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from routelab.context import KINDS, Room, Summary
from routelab.core.events import Compacted, Retrieved
from routelab.core.run import Run
from routelab.core.values import Message
from routelab.lab.contexts.dialogues import Dialogue, Fact
from routelab.lab.contexts.timeline import Moment, State, Timeline, fates_of, state_of


def of_runs(name: str, runs: Sequence[Run], weigh: Room, *, facts: Sequence[Fact] = ()) -> Timeline:
    """Return the timeline of one conversation's runs in a log, the shortest first: what the fit of each one says that it did.

    `weigh` counts tokens as the answering model does; `facts` are looked for in what was sent. A run without a fit sent everything.
    """
    dialogue = Dialogue(id=name, messages=runs[-1].prompt.messages, facts=tuple(facts), group=name)
    moments = tuple(_of_run(run, weigh, dialogue.facts) for run in runs)
    kinds = list(dict.fromkeys(e.policy for r in runs if (e := fitted_of(r)) is not None))
    made = any(e is not None and e.simulated and e.summarisers for e in map(fitted_of, runs))
    arms = list(dict.fromkeys(r.arm for r in runs if r.arm))
    label = " and ".join(kinds) or "no policy"
    return Timeline(
        name=f"log: {label}" + (f", {arms[0]}" if len(arms) == 1 else ""),
        dialogue=dialogue,
        moments=moments,
        spec={"kind": kinds[0]} if len(kinds) == 1 else {},
        window=weigh.limit,
        simulated=made,
        logged=True,
    )


def fitted_of(run: Run) -> Compacted | None:
    """Return the event in which a run's conversation was fitted, the last one, or None."""
    return next((e for e in reversed(run.events) if isinstance(e, Compacted) and e.policy in KINDS), None)


def _of_run(run: Run, weigh: Room, facts: Sequence[Fact]) -> Moment:
    event = fitted_of(run)
    messages = run.prompt.messages
    end = len(messages)
    if event is None:
        weight = weigh.tokens(messages)
        states: tuple[State, ...] = tuple("verbatim" if f.at < end else "" for f in facts)
        return Moment(
            end=end,
            before=weight,
            after=weight,
            kept=weight,
            note=0,
            summarised=0,
            dropped=0,
            fates=fates_of(end, (), ()),
            states=states,
            sent=run.failed is None,
            error="" if run.failed is None else run.failed.message,
            run_id=run.id,
        )
    given = _before(run, event)
    # What the config put in front is no part of the conversation; positions are in the messages before.
    own = max(0, len(given) - end)
    told = [i - own for i in event.summarised]
    gone = [i - own for i in event.dropped]
    weights = [weigh.weigh(m) for m in messages]
    fates = fates_of(end, told, gone)
    kept = sum(w for w, f in zip(weights, fates, strict=True) if f == "kept")
    note = next((m.content for m in event.messages[event.head :] if _is_note(m, messages)), "")
    return Moment(
        end=end,
        before=event.tokens_before,
        after=event.tokens_after,
        kept=kept,
        note=weigh.weigh(Message(role="user", content=note)) if note else 0,
        summarised=sum(weights[i] for i in told if 0 <= i < end),
        dropped=sum(weights[i] for i in gone if 0 <= i < end),
        fates=fates,
        states=tuple(state_of(f, fates, note) for f in facts),
        text=note,
        paid=_summaries(event),
        sent=run.failed is None,
        error=event.error or ("" if run.failed is None else run.failed.message),
        models=event.models,
        run_id=run.id,
    )


def _before(run: Run, event: Compacted) -> tuple[Message, ...]:
    """Return the messages as they were before the fit."""
    found = run.prompt.messages
    for other in run.events:
        if other is event:
            break
        if isinstance(other, (Compacted, Retrieved)):
            found = other.messages
    return found


def _is_note(message: Message, messages: Sequence[Message]) -> bool:
    return message.role == "user" and message not in messages


def _summaries(event: Compacted) -> tuple[Summary, ...]:
    """Return what the log knows of the summaries: their sums stand at the first one."""
    if not event.summarisers:
        return ()
    first = Summary(
        text="",
        model=event.summarisers[0],
        tokens=event.tokens,
        cost_usd=event.cost_usd,
        latency_s=event.latency_s,
        simulated=event.simulated,
    )
    rest = (
        Summary(text="", model=m, tokens=dataclasses.replace(event.tokens, input=0, output=0), cost_usd=0.0)
        for m in event.summarisers[1:]
    )
    return (first, *rest)


def conversations(runs: Sequence[Run]) -> list[tuple[Run, ...]]:
    """Return the conversations among runs: each run continues the longest one whose messages it begins with, of the same arm.

    Only those of at least two requests count; the latest first.
    """
    ordered = sorted(runs, key=lambda r: (len(r.prompt.messages), r.started_at))
    chains: list[list[Run]] = []
    for run in ordered:
        own = run.prompt.messages
        fitting = [
            c
            for c in chains
            if c[-1].arm == run.arm
            and len(c[-1].prompt.messages) < len(own)
            and own[: len(c[-1].prompt.messages)] == c[-1].prompt.messages
        ]
        if fitting:
            max(fitting, key=lambda c: len(c[-1].prompt.messages)).append(run)
        elif own:
            chains.append([run])
    found = [tuple(c) for c in chains if len(c) > 1]
    return sorted(found, key=lambda c: c[-1].started_at, reverse=True)
