"""Older turns told by a summary, the latest kept as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from routelab.context.fitted import Fitted, Steps
from routelab.context.folding import Fold, folded
from routelab.context.room import Room
from routelab.core.values import Message


@dataclass(frozen=True, kw_only=True)
class Summarise:
    """Once a request passes the share `trigger` of the limit, `model` summarises all turns but the last `keep_last`.

    The limit is the model's window less the answer, or `limit` tokens where that is less. The summary has at most `max_tokens`, rolls
    on (each is written from the one before and the turns since), and stays as it is until the trigger is passed again: between
    two summaries the messages in front do not change, as prompt caches want, and nothing is paid.
    """

    model: str
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
        )

    def __call__(self, messages: Sequence[Message], room: Room) -> Steps[Fitted]:
        """Return the head, the summary and the turns since."""
        return folded(self.fold(), messages, room)
