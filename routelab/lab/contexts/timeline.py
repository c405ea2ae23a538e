"""A conversation under a context policy, request by request: what was sent, summarised and left out, and which facts lived on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from routelab.context import KINDS, Fitted, Memory, Policy, Room, Span, Summary, fit, policy_of, spec_of
from routelab.context.fitted import Summariser
from routelab.context.playing import refuse
from routelab.core.errors import ContextExceeded
from routelab.core.values import Message
from routelab.lab.contexts.dialogues import Dialogue, Fact
from routelab.lab.contexts.retention import Probe, retained

State = Literal["", "verbatim", "note", "stale", "lost"]
"""A fact at a request: not said yet, its own message is sent, something else tells it, only what was corrected is told, gone."""
Fate = Literal["", "kept", "summarised", "dropped"]


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One request: of the `end` messages that there were, what was sent. Counts are tokens.

    `before` is the whole conversation, `after` what was sent; `note` stands for what was taken away. `paid` are the summaries
    written for this request. `error`: it was not sent, or not as the policy wanted. `limit` and `trigger` are the lines that
    decided; None: not known, or none. `fates` has one entry a message.
    """

    end: int
    before: int | None
    after: int | None
    kept: int
    note: int
    summarised: int
    dropped: int
    fates: tuple[Fate, ...]
    states: tuple[State, ...] = ()
    text: str = ""
    paid: tuple[Summary, ...] = ()
    cut: bool = False
    sent: bool = True
    error: str = ""
    limit: int | None = None
    trigger: float | None = None
    models: tuple[str, ...] = ()
    run_id: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Timeline:
    """A policy over one conversation: its requests, and `probes`, what was held when each fact was asked for at the end.

    `simulated`: a summary was not written by a real model. `window` is the model's, in input tokens.
    """

    name: str
    dialogue: Dialogue
    moments: tuple[Moment, ...]
    probes: tuple[Probe, ...] = ()
    spec: Mapping[str, Any] = field(default_factory=dict)
    window: int | None = None
    simulated: bool = False
    logged: bool = False

    @property
    def tokens(self) -> int | None:
        """Input tokens of all requests that were sent; None when one of them is not known."""
        sent = [m.after for m in self.moments if m.sent]
        return None if any(t is None for t in sent) else sum(t or 0 for t in sent)

    @property
    def whole(self) -> int | None:
        """Input tokens if everything had been sent each time."""
        known = [m.before for m in self.moments]
        return None if any(t is None for t in known) else sum(t or 0 for t in known)

    @property
    def paid(self) -> tuple[Summary, ...]:
        """All summaries that were written."""
        return tuple(s for m in self.moments for s in m.paid)

    @property
    def summary_tokens(self) -> tuple[int | None, int | None]:
        """What the summariser read and wrote, None where it is not known."""
        read, wrote = [s.tokens.input for s in self.paid], [s.tokens.output for s in self.paid]
        return (
            None if None in read else sum(n or 0 for n in read),
            None if None in wrote else sum(n or 0 for n in wrote),
        )

    @property
    def cost_usd(self) -> float | None:
        """What the summaries cost; None when that is not known of one."""
        costs = [s.cost_usd for s in self.paid]
        return None if None in costs else sum(c or 0.0 for c in costs)

    @property
    def saved(self) -> float | None:
        """The share of input tokens that was spared, what the summariser read counted against it; None when not known.

        Requests that were not sent spare nothing: of them neither side counts.
        """
        whole = [m.before for m in self.moments if m.sent]
        read = self.summary_tokens[0]
        if self.tokens is None or read is None or any(w is None for w in whole) or not sum(w or 0 for w in whole):
            return None
        return 1 - (self.tokens + read) / sum(w or 0 for w in whole)

    @property
    def states(self) -> tuple[State, ...]:
        """What each fact came to in the end, when it was asked for; without probes, at the last request."""
        if self.probes:
            return tuple(_state(p.held, p.verbatim, p.stale) for p in self.probes)
        return self.moments[-1].states if self.moments else ()

    @property
    def lost(self) -> tuple[Fact, ...]:
        """The facts that were not held at the end."""
        return tuple(f for f, s in zip(self.dialogue.facts, self.states, strict=False) if s in ("lost", "stale"))

    def fate(self, message: int) -> list[tuple[int, Fate]]:
        """Return from which request on (counted from 1) a message was what; the request in which it was new comes first."""
        found: list[tuple[int, Fate]] = []
        for number, moment in enumerate(self.moments, 1):
            if message < len(moment.fates) and (not found or found[-1][1] != moment.fates[message]):
                found.append((number, moment.fates[message]))
        return found


def _state(held: bool, verbatim: bool, stale: bool) -> State:
    return "verbatim" if held and verbatim else "note" if held else "stale" if stale else "lost"


def timeline(
    policy: Policy | Mapping[str, Any] | str,
    dialogue: Dialogue,
    room: Room,
    summarise: Summariser = refuse,
    *,
    name: str = "",
    heard: Callable[[int, int], None] = lambda done, of: None,
) -> Timeline:
    """Return what a policy does with every request of a growing dialogue, and what is held when its facts are asked for at the end.

    `summarise` is asked once for equal turns. `heard` is told of every request that is done. Raises what the summariser raises, and
    ConfigError for a policy that needs to know a limit where none is known.
    """
    made = policy if callable(policy) else policy_of(policy)
    once = _Once(summarise)
    memory = Memory()
    ends = dialogue.requests()
    moments = []
    for number, end in enumerate(ends, 1):
        moments.append(_moment(made, dialogue, end, room, (once, memory)))
        heard(number, len(ends) + 1)
    # The same as the bench of retention: each fact's question by itself, as the next message.
    found = retained(name, made, [dialogue], room, once, grown=False) if dialogue.facts else None
    heard(len(ends) + 1, len(ends) + 1)
    spec = spec_of(made) if type(made) in KINDS.values() else {}
    return Timeline(
        name=name or str(spec.get("kind", "policy")),
        dialogue=dialogue,
        moments=tuple(moments),
        probes=() if found is None else found.probes[0],
        spec=spec,
        window=room.limit,
        simulated=any(s.simulated for m in moments for s in m.paid),
    )


@dataclass
class _Once:
    """Asks a summariser once for the same span."""

    summarise: Summariser
    held: dict[str, Summary] = field(default_factory=dict)

    def __call__(self, span: Span) -> Summary:
        if span.key not in self.held:
            self.held[span.key] = self.summarise(span)
        return self.held[span.key]


def lines(policy: Any, room: Room) -> tuple[int | None, float | None]:
    """Return the tokens that a policy keeps a request within, and those from which it folds; None: no such line."""
    own = getattr(policy, "limit", None) or getattr(policy, "tokens", None)
    known = [n for n in (own, room.limit) if n is not None]
    limit = min(known) if known else None
    share = getattr(policy, "trigger", None)
    return limit, None if share is None or limit is None else share * limit


def _moment(policy: Policy, dialogue: Dialogue, end: int, room: Room, asking: tuple[Summariser, Memory]) -> Moment:
    messages = dialogue.messages[:end]
    limit, trigger = lines(policy, room)
    before = room.tokens(messages)
    try:
        found = fit(policy(messages, room), *asking)
    except ContextExceeded as trouble:
        return Moment(
            end=end,
            before=before,
            after=None,
            kept=0,
            note=0,
            summarised=0,
            dropped=before,
            fates=fates_of(end, (), range(end)),
            states=tuple("lost" if f.at < end else "" for f in dialogue.facts),
            sent=False,
            error=trouble.message,
            limit=limit,
            trigger=trigger,
        )
    weights = [room.weigh(m) for m in messages]
    fates = fates_of(end, found.summarised, found.dropped)
    return Moment(
        end=end,
        before=before,
        after=found.tokens_after,
        kept=sum(weights[i] for i in found.kept),
        note=_noted(found, room),
        summarised=sum(weights[i] for i in found.summarised),
        dropped=sum(weights[i] for i in found.dropped),
        fates=fates,
        states=tuple(state_of(f, fates, found.note) for f in dialogue.facts),
        text=found.note,
        paid=tuple(s for s in found.summaries if not s.recalled),
        cut=found.cut,
        limit=limit,
        trigger=trigger,
    )


def _noted(found: Fitted, room: Room) -> int:
    return room.weigh(Message(role="user", content=found.note)) if found.note else 0


def fates_of(end: int, summarised: Sequence[int], dropped: Sequence[int]) -> tuple[Fate, ...]:
    """Return what became of each of the first `end` messages."""
    told, gone = set(summarised), set(dropped)
    return tuple("summarised" if i in told else "dropped" if i in gone else "kept" for i in range(end))


def state_of(fact: Fact, fates: Sequence[Fate], note: str) -> State:
    """Return what became of a fact: its message is there, or a line of the note tells it, as `retention` has it."""
    if fact.at >= len(fates):
        return ""
    told = [Message(role="user", content=line) for line in note.split("\n") if line]
    verbatim = fates[fact.at] == "kept"
    stale = fact.stale is not None and dataclasses.replace(fact, answer=fact.stale).held(told)
    return _state(verbatim or fact.held(told), verbatim, stale)
