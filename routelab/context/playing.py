"""Ends a fit: gives a policy the summaries that it wants, each written once for equal contents."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from routelab.context.fitted import Span, Steps, Summariser, Summary
from routelab.core.errors import ConfigError, TimedOut

if TYPE_CHECKING:
    from routelab.store import KeptSummary

T = TypeVar("T")


class Shelf(Protocol):
    """Keeps summaries for other processes; a `store.Log` does."""

    def summary(self, key: str) -> KeptSummary | None:
        """Return what is kept under a key, or None; raises LogError when it cannot be looked for."""

    def keep_summary(self, kept: KeptSummary) -> None:
        """Take a summary; returns at once."""


@dataclass(kw_only=True)
class Memory:
    """Summaries by their span's key, the longest unused forgotten beyond `limit`; for one event loop, or one thread.

    `shelf` is where they are kept for other processes (a log), for whoever writes them to look there first.
    """

    limit: int = 10_000
    shelf: Shelf | None = field(default=None, repr=False)
    _held: OrderedDict[str, Summary] = field(default_factory=OrderedDict, repr=False)
    _coming: dict[str, asyncio.Future[Summary]] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self._held)

    def get(self, span: Span) -> Summary | None:
        """Return the span's summary as recalled, or None."""
        found = self._held.get(span.key)
        if found is None:
            return None
        self._held.move_to_end(span.key)
        return replace(found, recalled=True, latency_s=0.0)

    def keep(self, span: Span, summary: Summary) -> None:
        """Keep the span's summary."""
        self._held[span.key] = summary
        self._held.move_to_end(span.key)
        while len(self._held) > self.limit:
            self._held.popitem(last=False)

    async def once(
        self,
        span: Span,
        write: Callable[[Span], Awaitable[Summary]],
        left_s: Callable[[], float | None] = lambda: None,
    ) -> Summary:
        """Return the span's summary, written now only if it is neither kept nor being written; trouble is not kept.

        Raises TimedOut when somebody else is still writing it after the seconds that are left (None: no limit).
        """
        found = self.get(span)
        if found is not None:
            return found
        under_way = self._coming.get(span.key)
        if under_way is not None:
            done, _ = await asyncio.wait([under_way], timeout=left_s())
            if not done:
                raise TimedOut(
                    f"{span.model} was still writing the summary", hint="allow more seconds in limits.deadline_s"
                )
            return await self.once(span, write, left_s)
        mine: asyncio.Future[Summary] = asyncio.get_running_loop().create_future()
        self._coming[span.key] = mine
        try:
            written = await write(span)
            self.keep(span, written)
            return written
        finally:
            # Whoever waited looks again: the summary is kept now, or they try themselves.
            del self._coming[span.key]
            mine.cancel()


def refuse(span: Span) -> Summary:
    """Raise ConfigError: nobody is there to write the summary."""
    raise ConfigError(
        f"context.model: '{span.model}' is to summarise, and nothing was given that reaches it",
        hint="pass a summariser such as context.extractive.Extractive, or use kind: window",
    )


def fit(steps: Steps[T], summarise: Summariser = refuse, memory: Memory | None = None) -> T:
    """Return what the steps come to, asking `summarise` for the summaries that the memory does not have."""
    try:
        span = next(steps)
        while True:
            told = None if memory is None else memory.get(span)
            if told is None:
                told = summarise(span)
                if memory is not None:
                    memory.keep(span, told)
            span = steps.send(told)
    except StopIteration as end:
        fitted: T = end.value
        return fitted


async def fit_live(
    steps: Steps[T],
    summarise: Callable[[Span], Awaitable[Summary]],
    memory: Memory,
    left_s: Callable[[], float | None] = lambda: None,
) -> T:
    """Return what the steps come to, awaiting the summaries that the memory does not have; equal ones are written once.

    `left_s` says how many seconds there are to wait for one that somebody else is writing.
    """
    try:
        span = next(steps)
        while True:
            span = steps.send(await memory.once(span, summarise, left_s))
    except StopIteration as end:
        fitted: T = end.value
        return fitted
