"""How a conversation divides: the leading system messages, then turns that stay whole."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from routelab.context.room import Room
from routelab.core.errors import ContextExceeded
from routelab.core.values import Message, Role
from routelab.providers.pairing import pairs

Pin = Literal["system", "tool", "user"]


@dataclass(frozen=True)
class Turns:
    """A conversation's messages in turns: a turn is one message, with the results of the tools that it called.

    The two are kept or left out together, and stand together in what is sent: results are found by the ids of their calls, wherever
    they stand (`providers.pairing`). A result whose call nobody knows belongs to the message before it. The system messages in
    front are the head and belong to no turn.
    """

    messages: tuple[Message, ...]
    room: Room
    pin: tuple[Pin, ...] = ()

    @cached_property
    def head(self) -> int:
        """How many system messages stand in front."""
        n = 0
        while n < len(self.messages) and self.messages[n].role == "system":
            n += 1
        return n

    @cached_property
    def parts(self) -> tuple[tuple[int, ...], ...]:
        """The turns, as positions of their messages, in the order of their first ones."""
        calls = pairs(self.messages)
        turns: list[list[int]] = []
        of: dict[int, int] = {}
        for i in range(self.head, len(self.messages)):
            if self.messages[i].role != "tool" or i == self.head:
                turns.append([])
                of[i] = len(turns) - 1
            else:
                of[i] = of[calls[i][0] if i in calls else i - 1]
            turns[of[i]].append(i)
        return tuple(map(tuple, turns))

    @cached_property
    def _latest(self) -> tuple[int, ...]:
        """By number of turns, the one among the first so many that holds the last of their messages."""
        found: list[int] = []
        for turn, part in enumerate(self.parts):
            best = found[-1] if found else turn
            found.append(turn if max(part) > max(self.parts[best]) else best)
        return tuple(found)

    @cached_property
    def weights(self) -> tuple[int, ...]:
        """The tokens of each turn."""
        return tuple(sum(self.room.weigh(self.messages[i]) for i in part) for part in self.parts)

    @cached_property
    def fixed(self) -> int:
        """The tokens of the head and of the request around everything."""
        return self.room.tokens(self.messages[: self.head])

    def __len__(self) -> int:
        return len(self.parts)

    def user(self, turn: int) -> bool:
        """Say whether a turn is a user's."""
        return self.messages[self.parts[turn][0]].role == "user"

    def tool(self, turn: int) -> bool:
        """Say whether a turn holds tool results."""
        return self.messages[self.parts[turn][-1]].role == "tool"

    def needed(self, end: int) -> frozenset[int]:
        """Return the turns among the first `end` that a request cannot do without: the last user's, and the last.

        Where the last message is a result of an earlier turn's call, these are that turn and the user's before it too.
        """
        if not end:
            return frozenset()
        asked, latest = self.asked(end), self._latest[end - 1]
        late = {latest, self.asked(latest)} if latest < end - 1 else set()
        return frozenset(({asked, end - 1} | late) - {-1})

    def asked(self, end: int) -> int:
        """Return the last user's turn among the first `end`, or -1."""
        return self._askers[end - 1] if end > 0 else -1

    @cached_property
    def _askers(self) -> tuple[int, ...]:
        """By turn, the last user's turn up to it, or -1."""
        users = (t if self.user(t) else -1 for t in range(len(self)))
        return tuple(itertools.accumulate(users, max))

    @cached_property
    def pinned(self) -> tuple[int, ...]:
        """The turns of the pinned roles, in order."""
        return tuple(t for t in range(len(self)) if self.role(t) in self.pin)

    def role(self, turn: int) -> Role:
        """Return whose turn it is; one that holds tool results is a tool's."""
        return "tool" if self.tool(turn) else self.messages[self.parts[turn][0]].role

    def with_asked(self, turn: int) -> frozenset[int]:
        """Return a turn, and for a tool's turn the user's turn that the tool was called for, if there is one."""
        return self._with_asked[turn]

    @cached_property
    def _with_asked(self) -> tuple[frozenset[int], ...]:
        asked = (self.asked(turn) if self.tool(turn) else -1 for turn in range(len(self)))
        return tuple(frozenset({turn} if user < 0 else {user, turn}) for turn, user in enumerate(asked))

    def opened(self, turns: frozenset[int], end: int) -> frozenset[int]:
        """Return the turns without those of the assistant in front, which no user's turn of theirs stands before.

        A conversation that the assistant opens keeps its opening; some services refuse a request that begins with an answer.
        What a request after `end` turns cannot do without stays.
        """
        if 0 in turns or not any(self.user(t) for t in turns):
            return turns
        first = min(t for t in turns if self.user(t))
        needed = self.needed(end)
        return frozenset(t for t in turns if t >= first or t in needed or self.role(t) == "system")

    def requests(self) -> Iterator[int]:
        """Yield the numbers of turns after which a model was asked: after a user's turn, a tool's, and the last."""
        for turn in range(len(self)):
            if turn == len(self) - 1 or self.user(turn) or self.tool(turn):
                yield turn + 1

    def positions(self, turns: Collection[int]) -> tuple[int, ...]:
        """Return the positions of the messages of these turns, turn by turn."""
        return tuple(i for t in sorted(turns) for i in self.parts[t])

    def kept(self, turns: Collection[int]) -> tuple[int, ...]:
        """Return the positions of the head and of these turns."""
        return (*range(self.head), *self.positions(turns))

    def check(self, end: int) -> None:
        """Raise ContextExceeded when what a request cannot do without is more than the room."""
        limit = self.room.limit
        if limit is None or self.least(end) <= limit:
            return
        raise exceeded(self.room, self.least(end), "the system message, the last user message and the last turn alone")

    def least(self, end: int) -> int:
        """Return the tokens of what a request after `end` turns cannot do without."""
        return self.fixed + sum(self.weights[t] for t in self.needed(end))


def exceeded(room: Room, tokens: int, what: str, first: str = "") -> ContextExceeded:
    """Return the error that says how many tokens do not fit where, and what can be done."""
    where = f"{room.name} takes" if room.name else "there is room for"
    besides = f" besides {room.besides:,} of the config's own (system text, examples)" if room.besides else ""
    return ContextExceeded(
        f"{what} are {tokens:,} tokens, and {where} {room.limit:,}{besides}; nothing was sent",
        hint=f"{first}shorten the message, set prompt.max_output_tokens lower, or add a model with a larger window to `models`",
    )


def limited(room: Room, own: int | None) -> int | None:
    """Return the smaller of the room's limit and a policy's own, None when neither is known."""
    known = [n for n in (room.limit, own) if n is not None]
    return min(known) if known else None
