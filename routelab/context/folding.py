"""Folding older turns into a note, the same way at every request of a growing conversation.

A policy keeps no state: it walks through the conversation's earlier requests and folds where each of them did. Whoever sends the
whole history again therefore gets the same summaries again, which are kept by content and paid once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from routelab.context.facts import Statement, merged, statements
from routelab.context.fitted import Fitted, Span, Steps, Summary
from routelab.context.note import FACTS, SUMMARY, clipped, note
from routelab.context.room import Room
from routelab.context.turns import Pin, Turns, limited
from routelab.context.window import fitting_pins
from routelab.core.errors import ConfigError
from routelab.core.values import Message

SEAMS = 4
"""What the line breaks between the note's parts are reckoned at while its place is kept free."""


@dataclass(frozen=True, kw_only=True)
class Fold:
    """When to fold and what into; see `summarise.Summarise` and `hybrid.Hybrid`."""

    model: str | None = None
    trigger: float = 0.8
    keep_last: int = 10
    max_tokens: int = 400
    limit: int | None = None
    pin: tuple[Pin, ...] = ()
    facts: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.trigger <= 1:
            raise ValueError(f"trigger: must be above 0 and at most 1, a share of the limit, not {self.trigger}")
        for name, least in (("keep_last", 1), ("max_tokens", 1), ("facts", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}: must be at least {least}, not {getattr(self, name)}")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit: must be at least 1, not {self.limit}")
        if self.model is not None and not self.model:
            raise ValueError("model: must name a model")

    def reserved(self, room: Room) -> int:
        """Return the tokens kept free for the note."""
        parts = [(SUMMARY, self.max_tokens if self.model else 0), (FACTS, self.facts)]
        told = [room.count(wording) + tokens for wording, tokens in parts if tokens]
        return room.per_message + sum(told) + SEAMS if told else 0


@dataclass(frozen=True)
class _Folded:
    """Where the verbatim part starts, and the note for what stands before."""

    start: int = 0
    summary: str = ""
    facts: tuple[Statement, ...] = ()
    asked: tuple[Summary, ...] = field(default=())
    tight: bool = False

    def note(self) -> Message | None:
        return note(self.summary, [f.text for f in self.facts])


def folded(fold: Fold, messages: Sequence[Message], room: Room) -> Steps[Fitted]:
    """Return the fit of a conversation, folding wherever one of its requests passed the trigger.

    Raises ContextExceeded when what is needed does not fit, ConfigError when no limit is known to measure the trigger by.
    """
    given = Turns(tuple(messages), room, fold.pin)
    bound = limited(room, fold.limit)
    if bound is None:
        raise ConfigError(
            f"context.limit: the window of {room.name or 'the model'} is not known, so that the trigger has no limit to be a share of",
            hint="set context.limit to a number of tokens, or the model's context_window in the fleet",
        )
    end = len(given)
    given.check(end)
    now = _Folded()
    for asked in given.requests():
        if _tokens(given, fold, now, asked, bound) > fold.trigger * bound:
            start, tight = _start(given, fold, now.start, asked, bound)
            if start > now.start and _worth(given, fold, now, (start, asked), bound):
                now = yield from _onward(given, fold, now, (start, tight), bound)
    # What a request needs may pass the policy's own limit, never the room's.
    return _assembled(given, fold, now, max(bound, given.least(end)))


def _tokens(given: Turns, fold: Fold, now: _Folded, end: int, bound: int) -> int:
    held = _held(given, fold, now.start, end, bound)
    told = now.note()
    turns = held | frozenset(range(now.start, end))
    return given.fixed + (0 if told is None else given.room.weigh(told)) + sum(given.weights[t] for t in turns)


def _worth(given: Turns, fold: Fold, now: _Folded, to: tuple[int, int], bound: int) -> bool:
    """Say whether folding up to a start, for a request after so many turns, is worth the summary that it asks for.

    Pins fill up what room there is, so that with them every request would pass the trigger and pay for a summary of one turn:
    what is folded must free what the trigger leaves free, unless the verbatim part does not fit any more.
    """
    if fold.model is None or not fold.pin:
        return True
    start, end = to
    pinned = frozenset(t for turn in given.pinned for t in given.with_asked(turn))
    freed = sum(given.weights[t] for t in range(now.start, start) if t not in pinned)
    told = now.note()
    recent = given.needed(end) | frozenset(range(now.start, end))
    least = given.fixed + (0 if told is None else given.room.weigh(told)) + sum(given.weights[t] for t in recent)
    return freed >= (1 - fold.trigger) * bound or least > bound


def _held(given: Turns, fold: Fold, start: int, end: int, bound: int) -> frozenset[int]:
    """Return what stays of the turns before the verbatim part: what the request needs, and pins that fit."""
    needed = given.needed(end)
    if not fold.pin:
        return needed
    recent = needed | frozenset(range(start, end))
    return needed | fitting_pins(given, bound, recent, end)


def _start(given: Turns, fold: Fold, start: int, end: int, bound: int) -> tuple[int, bool]:
    """Return where the verbatim part starts after folding, a user's turn if it can be, and whether the bound made it shorter."""
    asked = given.asked(end)
    wanted = found = max(start, end - fold.keep_last)
    needed = given.needed(end)
    while found < end - 1:
        turns = needed | frozenset(range(found, end))
        if given.fixed + fold.reserved(given.room) + sum(given.weights[t] for t in turns) <= bound:
            break
        found += 1
    opening = next((t for t in range(found, end) if given.user(t)), found)
    return (found if asked < found else opening), found > wanted


def _onward(given: Turns, fold: Fold, now: _Folded, to: tuple[int, bool], bound: int) -> Steps[_Folded]:
    """Fold the turns up to a new start too, asking for the summaries that takes."""
    start, tight = to
    pinned = frozenset(t for turn in given.pinned for t in given.with_asked(turn))
    older = [t for t in range(now.start, start) if t not in pinned]
    facts = now.facts
    if fold.facts:
        # What had no place in the note before is gone: the work for each fold stays that of its own turns.
        fresh = statements(given.messages, given.positions(older))
        facts = _chosen(merged(facts, fresh), fold.facts, given.room)
    summary, asked = now.summary, now.asked
    if fold.model is not None:
        for piece in _pieces(given, older, bound):
            told = yield Span(
                messages=tuple(given.messages[i] for i in given.positions(piece)),
                before=summary,
                max_tokens=fold.max_tokens,
                model=fold.model,
            )
            summary, asked = clipped(told.text.strip(), fold.max_tokens, given.room.count), (*asked, told)
    return _Folded(start, summary, facts, asked, tight)


def _pieces(given: Turns, turns: Sequence[int], bound: int) -> Iterator[list[int]]:
    """Yield the turns in pieces of at most `bound` tokens; a longer turn is a piece by itself."""
    piece: list[int] = []
    used = 0
    for turn in turns:
        if piece and used + given.weights[turn] > bound:
            yield piece
            piece, used = [], 0
        piece.append(turn)
        used += given.weights[turn]
    if piece:
        yield piece


def _chosen(found: Sequence[Statement], tokens: int, room: Room) -> tuple[Statement, ...]:
    """Return the statements that fit into the tokens, the weightiest and then the latest first, in their order."""
    used = 0
    kept: set[int] = set()
    for i in sorted(range(len(found)), key=lambda i: (-found[i].weight, -i)):
        weight = room.count(f"- {found[i].text}\n")
        if used + weight <= tokens:
            used += weight
            kept.add(i)
    return tuple(found[i] for i in sorted(kept))


def _assembled(given: Turns, fold: Fold, now: _Folded, bound: int) -> Fitted:
    """Return what fits: pins give way first, then facts, the summary, and the oldest turns of the verbatim part."""
    end, room = len(given), given.room
    start, summary, facts = now.start, now.summary, list(now.facts)
    cut = now.tight
    while True:
        told = note(summary, [f.text for f in facts])
        spare = bound - (0 if told is None else room.weigh(told))
        kept = given.opened(_held(given, fold, start, end, spare) | frozenset(range(start, end)), end)
        used = given.fixed + sum(given.weights[t] for t in kept)
        if used <= spare:
            break
        cut = True
        if facts:
            facts.remove(min(facts, key=lambda f: (f.weight, f.position)))
        elif summary:
            summary = clipped(summary, room.count(summary) * 3 // 4, room.count) if room.count(summary) > 8 else ""
        else:
            start += 1
    positions = given.kept(kept)
    head = given.messages[: given.head]
    chosen = (
        *head,
        *(() if told is None else (told,)),
        *(given.messages[i] for i in positions[given.head :]),
    )
    gone = set(range(len(given.messages))) - set(positions)
    telling = set(given.positions(range(now.start))) if summary else set()
    return Fitted(
        messages=chosen,
        tokens_before=room.tokens(given.messages),
        tokens_after=room.tokens(chosen),
        kept=positions,
        summarised=tuple(sorted(gone & telling)),
        dropped=tuple(sorted(gone - telling)),
        note="" if told is None else told.content,
        facts=tuple(f.text for f in facts),
        summaries=now.asked,
        cut=cut or not kept.issuperset(given.pinned),
    )
