"""Look in the caches before asking, let a judge confirm what is only alike, and remember afterwards."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from routelab.core.events import Answered, Missed, Recalled, Remembered, Scored
from routelab.core.ports import Cache, Judge, World
from routelab.core.run import Run

CACHE_GUARD = "cache-guard"
"""What the log calls the judge that confirms a semantic cache's answer."""


class Queue(Protocol):
    """Knows which requests are being answered right now."""

    async def join(self, run: Run, scope: str, most_s: float | None) -> bool:
        """Wait for the same request that is under way; False at once when there is none."""


@dataclass(frozen=True, kw_only=True)
class Recall:
    """Return Recalled or Missed; `scope` is what must be equal besides the messages (config, models, tenant).

    With a `queue`, who asks what is being answered already waits for that, for at most half of the time that it has left, and
    looks again. With `anew` nothing is looked up: the answer that is there is to be replaced.
    """

    cache: Cache
    scope: str
    queue: Queue | None = None
    anew: bool = False

    async def __call__(self, run: Run, world: World) -> Recalled | Missed:
        """Look up on a thread: the cache may read from disk, and embed."""
        began = world.clock.monotonic()
        if self.anew:
            key = await asyncio.to_thread(self.cache.key, run, self.scope)
            return Missed(cache=self.cache.kind, key=key, why="what is remembered is stale")
        event = await asyncio.to_thread(self.cache.look, run, self.scope)
        if self.queue is not None and isinstance(event, Missed):
            left_s = None if world.deadline is None else max(0.0, world.deadline - began) / 2
            if await self.queue.join(run, self.scope, left_s):
                event = await asyncio.to_thread(self.cache.look, run, self.scope)
        return dataclasses.replace(event, latency_s=max(0.0, world.clock.monotonic() - began))


@dataclass(frozen=True, kw_only=True)
class Confirm:
    """Let `judge` say whether a semantic cache's answer fits this very question; what is not accepted is not the answer."""

    judge: Judge
    name: str
    at_least: float

    async def __call__(self, run: Run, world: World) -> Scored:
        """Return the verdict with what it cost; a judge that could not say has not accepted."""
        hit = run.recalled
        assert hit is not None

        def verdict(seen: Scored) -> Scored:
            accepted = seen.quality is not None and seen.quality >= self.at_least
            return dataclasses.replace(
                seen, scorer=self.name, model=hit.model, accepted=accepted, at_least=self.at_least
            )

        def spent(seen: Run) -> None:
            last = seen.events[-1]
            if world.witness is not None and isinstance(last, Scored):
                world.witness(run.then(verdict(last)))

        said = Answered(model=hit.model, served_model=hit.model, provider="", text=hit.text)
        given = await self.judge(run.then(said), dataclasses.replace(world, emit=None, witness=spent))
        return verdict(
            Scored(
                scorer=self.name,
                quality=given.quality,
                model=hit.model,
                reason=given.reason,
                judge=given.judge,
                tokens=given.tokens,
                cost_usd=given.cost_usd,
                latency_s=given.latency_s,
                simulated=given.simulated,
            )
        )


@dataclass(frozen=True, kw_only=True)
class Remember:
    """Put the run's answer into the cache, under the key of its look-up, unless `admission` has a reason against it.

    `label` is what it can be forgotten by.
    """

    cache: Cache
    admission: Callable[[Run], str]
    label: str = ""

    async def __call__(self, run: Run, world: World) -> Remembered:
        """Return Remembered, with the reason where the answer was refused, or what the cache learned from it."""
        kind = self.cache.kind
        # A hit that its judge refused was looked up under the same key.
        looked = next(e for e in run.events if isinstance(e, (Missed, Recalled)) and e.cache == kind)
        refused = self.admission(run)
        if refused:
            return Remembered(cache=kind, key=looked.key, label=self.label, refused=refused)
        # On a thread: a semantic cache embeds.
        return await asyncio.to_thread(self.cache.keep, run, looked.key, self.label)


def certain(run: Run) -> bool:
    """Say that there is no cache's answer to confirm: none, or that of the very same question."""
    hit = run.recalled
    return hit is None or hit.like in ("", run.prompt.text)
