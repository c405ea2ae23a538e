"""Nothing is left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from routelab.context.fitted import Fitted, Steps, settled
from routelab.context.room import Room
from routelab.context.turns import exceeded
from routelab.core.values import Message


@dataclass(frozen=True, kw_only=True)
class Whole:
    """Sends the whole conversation, or says before anything is paid that it does not fit."""

    def __call__(self, messages: Sequence[Message], room: Room) -> Steps[Fitted]:
        """Return the conversation as it is."""
        tokens = room.tokens(messages)
        if room.limit is not None and tokens > room.limit:
            way = "use context: {kind: window} or {kind: summarise}, "
            raise exceeded(room, tokens, "the conversation's messages", way)
        return settled(
            Fitted(
                messages=tuple(messages), tokens_before=tokens, tokens_after=tokens, kept=tuple(range(len(messages)))
            )
        )
