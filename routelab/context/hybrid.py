"""Recent turns, pinned ones wherever they stand, and the facts of the others word for word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from routelab.context.fitted import Fitted, Steps
from routelab.context.folding import Fold, folded
from routelab.context.room import Room
from routelab.context.turns import Pin
from routelab.core.values import Message


@dataclass(frozen=True, kw_only=True)
class Hybrid:
    """Like `Summarise`, but turns of the roles in `pin` stay as they are, and up to `facts` tokens quote what looks like a fact.

    Facts are found by stated rules (`facts.statements`) at no cost; 0 tokens means none are quoted. Without a `model` nothing is
    summarised: older turns go, but for pins and facts. `pin` may say tool, system and user; a tool's turn brings the user's
    turn that it was called for, "user" keeps what the user said without the answers to it.
    """

    pin: tuple[Pin, ...] = ("system", "tool")
    facts: int = 300
    model: str | None = None
    trigger: float = 0.8
    keep_last: int = 10
    max_tokens: int = 400
    limit: int | None = None

    def __post_init__(self) -> None:
        self.fold()

    def fold(self) -> Fold:
        """Return what the fields say to the folding."""
        return Fold(
            model=self.model,
            trigger=self.trigger,
            keep_last=self.keep_last,
            max_tokens=self.max_tokens,
            limit=self.limit,
            pin=self.pin,
            facts=self.facts,
        )

    def __call__(self, messages: Sequence[Message], room: Room) -> Steps[Fitted]:
        """Return the head, the note, the pinned turns and the turns since."""
        return folded(self.fold(), messages, room)
