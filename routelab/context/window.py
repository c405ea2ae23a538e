"""The latest turns, as many as were asked for and fit."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from routelab.context.fitted import Fitted, Steps, settled
from routelab.context.room import Room
from routelab.context.turns import Pin, Turns, limited
from routelab.core.values import Message


@dataclass(frozen=True, kw_only=True)
class Window:
    """Keeps the last `turns` turns, the last turns within `tokens` of input, or the fewer of both; older ones are dropped.

    A turn is a message with the tool results that follow it. What a request cannot do without (see `fitted.Policy`) stays even
    when it is more than `tokens`. `pin` keeps turns of these roles wherever they stand, before recent ones: "tool" brings the
    user's turn that the tool was called for, "system" means system messages within the conversation (those in front always
    stay), "user" what the user said without the answers to it. With a `stride` the window moves by that many turns at once and is up to stride − 1 turns shorter: what stays in front
    is then the same from request to request, which a provider's prompt cache needs.
    """

    turns: int | None = None
    tokens: int | None = None
    pin: tuple[Pin, ...] = ()
    stride: int = 1

    def __post_init__(self) -> None:
        if self.turns is None and self.tokens is None:
            raise ValueError("a window needs `turns`, `tokens`, or both")
        for name in ("turns", "tokens", "stride"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}: must be at least 1, not {value}")
        if self.turns is not None and self.stride > self.turns:
            raise ValueError(f"stride: must be at most `turns` ({self.turns}), not {self.stride}")

    def __call__(self, messages: Sequence[Message], room: Room) -> Steps[Fitted]:
        """Return the recent turns that fit, after the head and the pinned ones."""
        given = Turns(tuple(messages), room, self.pin)
        end = len(given)
        given.check(end)
        own = None if self.tokens is None else max(self.tokens, given.least(end))
        kept = self._kept(given, limited(room, own))
        positions = given.kept(kept)
        chosen = tuple(given.messages[i] for i in positions)
        return settled(
            Fitted(
                messages=chosen,
                tokens_before=room.tokens(messages),
                tokens_after=room.tokens(chosen),
                kept=positions,
                dropped=tuple(sorted(set(range(len(given.messages))) - set(positions))),
                cut=kept != self._kept(given, own),
            )
        )

    def _kept(self, given: Turns, bound: int | None) -> frozenset[int]:
        """Return the turns that stay within a bound."""
        end = len(given)
        held = given.needed(end) | fitting_pins(given, bound, given.needed(end), end)
        used = given.fixed + sum(given.weights[t] for t in held)
        start = end
        while start > 0 and (self.turns is None or end - start < self.turns):
            more = 0 if start - 1 in held else given.weights[start - 1]
            if bound is not None and used + more > bound:
                break
            used += more
            start -= 1
        start = min(start + -start % self.stride, end)
        return given.opened(held | frozenset(range(start, end)), end)


def fitting_pins(given: Turns, bound: int | None, held: frozenset[int], end: int) -> frozenset[int]:
    """Return the pinned turns among the first `end` that fit within the bound beside those held.

    The newest come first, a tool's turn with the user's turn that it needs; from the first that does not fit all older ones go.
    """
    used = given.fixed + sum(given.weights[t] for t in held)
    kept: frozenset[int] = frozenset()
    for turn in reversed(given.pinned[: bisect_left(given.pinned, end)]):
        fresh = given.with_asked(turn) - kept - held
        more = sum(given.weights[t] for t in fresh)
        if bound is not None and used + more > bound:
            break
        used += more
        kept |= fresh
    return kept
