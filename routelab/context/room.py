"""Room: how many tokens a model takes as input, and how they are counted."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from routelab.core.ports import TokenCounter
from routelab.core.values import Message, Model

PER_MESSAGE, PER_REQUEST = 4, 3
"""Tokens that chat formats put around a message, and around all of them (OpenAI's published counts; others are near)."""
OUTPUT_TOKENS = 4_096
"""What is left free for the answer when nothing says how long it may be."""
BUFFER = 0.05
"""The share of the window left free where tokens are estimated: counts of other makers' texts are off by that much."""
_REMEMBERED = 8_192


@dataclass(frozen=True, kw_only=True)
class Room:
    """The input tokens that there is room for (None: not known), and the count of a text's tokens."""

    limit: int | None
    count: Callable[[str], int]
    per_message: int = PER_MESSAGE
    per_request: int = PER_REQUEST
    name: str = ""
    """Whose room it is, for messages."""
    besides: int = 0
    """Tokens that are taken off the limit already: what a config puts in front of every conversation."""

    def less(self, messages: Iterable[Message]) -> Room:
        """Return the room that is left beside these messages."""
        taken = sum(self.weigh(m) for m in messages)
        limit = None if self.limit is None else max(0, self.limit - taken)
        return dataclasses.replace(self, limit=limit, besides=self.besides + taken)

    def weigh(self, message: Message) -> int:
        """Return a message's tokens; each call that it makes is written out, and framed like a message."""
        calls = sum(self.per_message + self.count(f"{c.name} {c.arguments}") for c in message.calls)
        return self.per_message + self.count(message.content) + calls

    def tokens(self, messages: Iterable[Message]) -> int:
        """Return the tokens of a request with these messages."""
        return self.per_request + sum(self.weigh(m) for m in messages)


def room_of(model: Model, counter: TokenCounter, *, output_tokens: int | None = None, buffer: float = BUFFER) -> Room:
    """Return a model's room: its window less the answer, and less the buffer where tokens are only estimated.

    The answer may take `output_tokens`, else 4,096, never more than the model can say nor than half the window; a model whose
    window is not known has a room without a known limit. Counts are remembered as long as the room is.
    """

    @functools.lru_cache(maxsize=_REMEMBERED)
    def count(text: str) -> int:
        return counter.count(text, model).input or 0

    window = model.context_window
    if window is None:
        return Room(limit=None, count=count, name=model.name)
    said = OUTPUT_TOKENS if output_tokens is None else output_tokens
    said = min(said, window // 2 if output_tokens is None else window, model.max_output_tokens or said)
    usable = window if counter.count("", model).source == "tiktoken" else math.floor(window * (1 - buffer))
    return Room(limit=max(0, usable - said), count=count, name=model.name)
