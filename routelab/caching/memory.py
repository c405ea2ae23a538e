"""The caches of a session: one for each kind and setting, over one log, and what is under way in them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from routelab.caching.entry import Lifetime
from routelab.caching.exact import Exact
from routelab.caching.flight import Flights
from routelab.caching.records import Records, records_of
from routelab.caching.request import sha256
from routelab.caching.settings import CacheConfig, plain
from routelab.core.errors import RoutelabError
from routelab.core.ports import Cache, Clock
from routelab.core.values import Prompt

Same = Callable[[str, str, Prompt], bool]
CLOSE_S = 5.0


class Memory:
    """Makes the caches that configs ask for; routers with the same memory remember together. Safe among threads.

    `log` is where answers were remembered before and by others: any log that caches can be filled from. `same` says whether two answers
    to a prompt say the same.
    """

    def __init__(self, *, clock: Clock, log: object = None, same: Same | None = None) -> None:
        self.flights = Flights()
        self._clock = clock
        self._log = log
        self._same = same
        self._lock = threading.Lock()
        self._records: Records | None = None
        self._caches: dict[str, Cache] = {}
        self._refreshing: dict[str, concurrent.futures.Future[Any]] = {}
        self._closed = False

    def levels(self, settings: CacheConfig) -> tuple[Cache, ...]:
        """Return the caches of a config in the order in which they are asked: exact, then semantic."""
        lifetime = {"ttl_s": settings.ttl_s, "stale_s": settings.stale_s}
        found = []
        with self._lock:
            if settings.exact:
                found.append(self._made(["exact", lifetime, settings.size], lambda: self._exact(settings)))
            if settings.semantic is not None:
                spec = ["semantic", lifetime, settings.size, plain(settings.semantic)]
                found.append(self._made(spec, lambda: self._semantic(settings)))
        return tuple(found)

    def _made(self, spec: list[Any], make: Callable[[], Cache]) -> Cache:
        key = sha256("cache", spec)
        if key not in self._caches:
            if self._records is None:
                self._records = records_of(self._log)
            self._caches[key] = make()
        return self._caches[key]

    def _exact(self, settings: CacheConfig) -> Cache:
        lifetime = Lifetime(ttl_s=settings.ttl_s, stale_s=settings.stale_s)
        return Exact(clock=self._clock, lifetime=lifetime, size=settings.size, records=self._records)

    def _semantic(self, settings: CacheConfig) -> Cache:
        from routelab.caching.semantic import Semantic

        assert settings.semantic is not None
        return Semantic(
            settings=settings.semantic,
            clock=self._clock,
            lifetime=Lifetime(ttl_s=settings.ttl_s, stale_s=settings.stale_s),
            size=settings.size,
            records=self._records,
            same=self._same,
        )

    def forget(self, label: str | None = None) -> None:
        """Forget what is in memory, all or what was kept under a label (a config's `cache.namespace`); see `Log.forget`."""
        with self._lock:
            caches = list(self._caches.values())
        for cache in caches:
            cache.forget(label)  # type: ignore[attr-defined]

    # What is asked again in the background

    def refresh(self, key: str, work: Callable[[], Coroutine[Any, Any, Any]]) -> bool:
        """Begin the work on this loop unless the same key is being refreshed; says whether it was begun. Never raises."""
        with self._lock:
            if self._closed or key in self._refreshing:
                return False
            done: concurrent.futures.Future[Any] = concurrent.futures.Future()
            self._refreshing[key] = done
        task = asyncio.ensure_future(work())
        done._task = task  # type: ignore[attr-defined]  # the loop holds tasks weakly

        def ended(task: asyncio.Future[Any]) -> None:
            with self._lock:
                self._refreshing.pop(key, None)
            # A bug in the background must not reach the caller, who has an answer; a log that was closed meanwhile is no bug.
            bug = None if task.cancelled() else task.exception()
            if bug is not None and not isinstance(bug, RoutelabError):
                task.get_loop().call_exception_handler(
                    {"message": "refreshing a cached answer failed", "exception": bug, "task": task}
                )
            done.set_result(None)

        task.add_done_callback(ended)
        return True

    async def settle(self, wait_s: float = CLOSE_S) -> None:
        """Wait on the loop that refreshes for what is under way, `wait_s` at most; what takes longer is cancelled."""
        with self._lock:
            tasks = [future._task for future in self._refreshing.values()]  # type: ignore[attr-defined]
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=wait_s)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=1.0)

    def close(self, wait_s: float = CLOSE_S) -> None:
        """Wait until what is being refreshed is there, `wait_s` at most; what takes longer is cancelled."""
        with self._lock:
            self._closed = True
            pending = list(self._refreshing.values())
        if not pending:
            return
        _, late = concurrent.futures.wait(pending, timeout=wait_s)
        for future in late:
            task: asyncio.Future[Any] = future._task  # type: ignore[attr-defined]
            task.get_loop().call_soon_threadsafe(task.cancel)
        concurrent.futures.wait(late, timeout=1.0)
