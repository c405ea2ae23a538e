"""Look in the cache before asking, and remember afterwards."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from routelab.core.events import Event, Missed, Remembered
from routelab.core.ports import Cache, World
from routelab.core.run import Run


@dataclass(frozen=True, kw_only=True)
class Recall:
    """Return Recalled or Missed; `scope` is what must be equal besides the messages (config, sampling)."""

    cache: Cache
    scope: str

    async def __call__(self, run: Run, world: World) -> Event:
        """Look up on a thread: the cache may read from disk."""
        return await asyncio.to_thread(self.cache.look, run.messages, self.scope)


@dataclass(frozen=True, kw_only=True)
class Remember:
    """Remember the run's answer under the key that the look-up missed."""

    cache: Cache

    async def __call__(self, run: Run, world: World) -> Event:
        """Return Remembered."""
        missed = next(e for e in run.events if isinstance(e, Missed))
        self.cache.keep(run, missed.key)
        return Remembered(cache=missed.cache, key=missed.key)


def unworthy(run: Run) -> bool:
    """Say that the answer must not be remembered: there is none, it is cut off, refused or filtered, or the default's."""
    if run.routed is not None and run.routed.error is not None:
        # The strategy may well decide next time, and for somebody else.
        return True
    return run.text is None or run.answered is None or run.answered.finish != "stop"
