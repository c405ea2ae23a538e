"""Requests that are being answered right now: who asks the same meanwhile waits, so that it is asked once."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

from routelab.caching.request import asked
from routelab.core.run import Run


class Flights:
    """One flight a key: the first run that asks takes off, and lands when it is over, however it ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flying: dict[str, tuple[str, Future[None]]] = {}

    def __len__(self) -> int:
        return len(self._flying)

    async def join(self, run: Run, scope: str, most_s: float | None) -> bool:
        """Wait until the same request that is under way is over, at most `most_s`; False at once when there is none.

        Then this run is the first, and must `land`.
        """
        key = asked(run, scope).key
        with self._lock:
            flying = self._flying.get(key)
            if flying is None:
                self._flying[key] = (run.id, Future())
                return False
        if flying[0] != run.id:
            # Not awaited itself: who stops waiting must not cancel the flight.
            await asyncio.wait({asyncio.wrap_future(flying[1])}, timeout=most_s)
        return True

    def land(self, run_id: str) -> None:
        """End what the run began, and wake who waits for it."""
        with self._lock:
            ended = [key for key, (first, _) in self._flying.items() if first == run_id]
            futures = [self._flying.pop(key)[1] for key in ended]
        for future in futures:
            # A waiter that gave up may have cancelled it.
            if not future.done():
                future.set_result(None)
