"""The waist of the hourglass: one prompt's history, frozen and append-only."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from routelab.core.events import (
    Answered,
    Blocked,
    Compacted,
    Event,
    Failed,
    Missed,
    Recalled,
    Retrieved,
    Routed,
    Scored,
    Unanswered,
)
from routelab.core.values import Message, Prompt


@dataclass(frozen=True, kw_only=True)
class Run:
    """One prompt played through one flow. A stage may add an event and nothing else."""

    id: str
    prompt: Prompt
    started_at: datetime
    arm: str = ""
    config: str = ""
    experiment: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    events: tuple[Event, ...] = ()

    def then(self, event: Event) -> Run:
        """Return this run with one more event."""
        return dataclasses.replace(self, events=(*self.events, event))

    @property
    def messages(self) -> tuple[Message, ...]:
        """What a model sees: the prompt's messages, as the latest stage that rewrote them left them."""
        for event in reversed(self.events):
            if isinstance(event, (Compacted, Retrieved)):
                return event.messages
        return self.prompt.messages

    @property
    def routed(self) -> Routed | None:
        """The decision, if one was made."""
        return next((e for e in self.events if isinstance(e, Routed)), None)

    @property
    def recalled(self) -> Recalled | None:
        """The cache hit, if there was one and no judge found that its answer does not fit."""
        hit: Recalled | None = None
        for event in self.events:
            if isinstance(event, Recalled):
                hit = event
            elif isinstance(event, Scored) and event.accepted is False:
                # Who was asked after a hit is asked because that was refused, so this can only be about the hit.
                hit = None
        return hit

    @property
    def failed(self) -> Failed | None:
        """The event that ended the run early, if one did."""
        return next((e for e in self.events if isinstance(e, Failed)), None)

    @property
    def blocked(self) -> Blocked | None:
        """The guard's refusal, if there was one."""
        return next((e for e in self.events if isinstance(e, Blocked)), None)

    @property
    def attempts(self) -> tuple[Answered | Unanswered, ...]:
        """Every time that a model was asked, in order."""
        return tuple(e for e in self.events if isinstance(e, (Answered, Unanswered)))

    @property
    def position(self) -> int:
        """How many of the ranked models are done with: rejected by the gate, or without an answer and not to be retried."""
        return sum(
            (isinstance(e, Unanswered) and not e.retry) or (isinstance(e, Scored) and e.accepted is False)
            for e in self._asking
        )

    @property
    def _asking(self) -> tuple[Event, ...]:
        """What happened since the models were ranked: a judge's word on a cache's answer comes before that."""
        for i, event in enumerate(self.events):
            if isinstance(event, Routed):
                return self.events[i:]
        return self.events

    @property
    def refusals(self) -> int:
        """How many answers of models a gate refused."""
        return sum(isinstance(e, Scored) and e.accepted is False for e in self._asking)

    @property
    def last_rung(self) -> bool:
        """Whether the model whose turn it is has nobody above it: a gate has no choice but to take its answer."""
        routed = self.routed
        return routed is None or self.position >= (len(routed.order) if routed.rungs is None else routed.rungs) - 1

    @property
    def current(self) -> str | None:
        """The model whose turn it is, or None when the ranking is used up or there is none."""
        routed = self.routed
        return None if routed is None or self.position >= len(routed.order) else routed.order[self.position]

    @property
    def answered(self) -> Answered | None:
        """The answer that counts: the latest one that no gate rejected, or the one that the gate put in its place; else the latest."""
        kept, last = self._answers()
        return kept or last

    @property
    def rejected(self) -> bool:
        """Whether the answer that counts was rejected by the gate, and counts only because there is no other."""
        kept, last = self._answers()
        return kept is None and last is not None

    def _answers(self) -> tuple[Answered | None, Answered | None]:
        """Return the answer that no gate rejected, and the latest one."""
        said: dict[str, Answered] = {}
        last: Answered | None = None
        kept: Answered | None = None
        for event in self.events:
            if isinstance(event, Answered):
                last = kept = said[event.model] = event
            elif isinstance(event, Scored) and event.accepted is False:
                kept = None
            elif isinstance(event, Scored) and event.accepted and event.answered_by is not None:
                kept = said.get(event.answered_by, kept)
        return kept, last

    @property
    def settled(self) -> bool:
        """Whether asking is over: an answer was accepted, the ranking is used up, or a stream broke half-way."""
        if self.current is None:
            return True
        for event in reversed(self.events):
            if isinstance(event, Scored) and event.accepted is not None:
                return event.accepted
            if isinstance(event, Unanswered):
                return bool(event.text)
            if isinstance(event, Answered):
                return True
            if isinstance(event, Routed):
                return False
        return False

    @property
    def text(self) -> str | None:
        """The answer's text, or None when there is none (blocked, failed, nobody answered)."""
        if self.recalled is not None:
            return self.recalled.text
        if self.blocked is not None or self.answered is None:
            return None
        return self.answered.text

    @property
    def cost_usd(self) -> float | None:
        """What every attempt, every summary and every gate's judge cost together; None as soon as one of them is not known.

        What measuring the answer cost is not part of it, but `measuring_usd`; only where nobody was asked and a recorded
        answer was judged is that all there is.
        """
        return _total(self._costs())

    @property
    def measuring_usd(self) -> float | None:
        """What judges cost that measured the answer, and decided nothing; None when that is not known."""
        return _total(e.cost_usd for e in self.events if isinstance(e, Scored) and e.accepted is None)

    def _costs(self) -> Iterator[float | None]:
        alone = self.status == "judged"
        for event in self.events:
            if isinstance(event, (Answered, Compacted)) or (
                isinstance(event, Scored) and (alone or event.accepted is not None)
            ):
                yield event.cost_usd
            elif isinstance(event, Unanswered):
                # A refused connection costs nothing; a broken stream costs what it generated, known or not.
                yield event.cost_usd if event.text or event.cost_usd is not None else 0.0

    @property
    def latency_s(self) -> float | None:
        """Seconds of every attempt, wait, judge, summary, retrieval and cache look-up, one after the other; None when one is not known."""
        total = 0.0
        for event in self.events:
            if isinstance(event, (Answered, Unanswered)):
                if event.latency_s is None:
                    return None
                total += event.latency_s + event.waited_s
            elif isinstance(event, (Compacted, Retrieved, Recalled, Missed)) or (
                isinstance(event, Scored) and event.accepted is not None
            ):
                total += event.latency_s or 0.0
        return total

    @property
    def quality(self) -> float | None:
        """The latest measurement of the answer's quality, or None when it was not scored."""
        return next((e.quality for e in reversed(self.events) if isinstance(e, Scored) and e.accepted is None), None)

    @property
    def status(self) -> str:
        """One word: answered, recalled, blocked, failed, unanswered, or judged (nobody was asked, a recorded answer was judged)."""
        if self.failed is not None:
            return "failed"
        if self.blocked is not None:
            return "blocked"
        if self.recalled is not None:
            return "recalled"
        if self.answered is not None:
            return "answered"
        judged = not self.attempts and any(isinstance(e, Scored) for e in self.events)
        return "judged" if judged else "unanswered"


def _total(costs: Iterable[float | None]) -> float | None:
    total = 0.0
    for cost in costs:
        if cost is None:
            return None
        total += cost
    return total
