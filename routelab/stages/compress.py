"""Take out of the conversation's texts what says little, before anybody is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from routelab.core.errors import RoutelabError
from routelab.core.events import Compacted
from routelab.core.ports import World
from routelab.core.run import Run
from routelab.core.values import Message


class Shortened(Protocol):
    """A conversation after compression, with its tokens before and after."""

    @property
    def messages(self) -> tuple[Message, ...]: ...
    @property
    def tokens_before(self) -> int: ...
    @property
    def tokens_after(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class Compress:
    """Compress with what `shorten` makes of the messages and of the question as it was asked.

    The event is there also when nothing could be taken out, so that the log knows of how many prompts that is true.
    """

    shorten: Callable[[tuple[Message, ...], str], Shortened]

    async def __call__(self, run: Run, world: World) -> Compacted:
        """Return the messages that are left, worked out on a thread, which may embed; in trouble, they are as they were."""
        began = world.clock.monotonic()
        try:
            found = await asyncio.to_thread(self.shorten, run.messages, run.prompt.text)
        except RoutelabError as trouble:
            latency_s = max(0.0, world.clock.monotonic() - began)
            error = f"not compressed: {type(trouble).__name__}: {trouble.message}"
            return Compacted(policy="compress", messages=run.messages, latency_s=latency_s, error=error)
        return Compacted(
            policy="compress",
            messages=found.messages,
            tokens_before=found.tokens_before,
            tokens_after=found.tokens_after,
            latency_s=max(0.0, world.clock.monotonic() - began),
        )
