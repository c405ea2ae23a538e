"""One event loop on one daemon thread: it owns the HTTP client and every pending call, and the kernel's own loop stays untouched.

Running our own coroutines on the notebook's loop would need a patched loop, and a patched loop loses queued cells (measured: 1 of 5
ran on ipykernel 7). So synchronous calls wait for this thread, interruptibly, and `await` hops to it.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import os
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

T = TypeVar("T")
Closer = Callable[[], Coroutine[Any, Any, None]]
TICK_S = 0.05


class SystemClock:
    """The machine's clock; `pace` stretches or skips waits (0 for simulated models that should not make anybody wait)."""

    def __init__(self, pace: float = 1.0) -> None:
        self.pace = pace

    def now(self) -> datetime:
        """Return the time of day in UTC, without a time zone attached."""
        return datetime.now(UTC).replace(tzinfo=None)

    def monotonic(self) -> float:
        """Return seconds that never go backwards."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds × pace`."""
        await asyncio.sleep(max(0.0, seconds * self.pace))


class Engine:
    """The loop's thread; started at the first use, one per process is enough."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = os.getpid()
        self._closers: dict[int, Closer] = {}

    def keep(self, owner: object) -> None:
        """Await the owner's `aclose`, if it has one, on the loop before it stops: sockets are closed where they were opened."""
        closer = getattr(owner, "aclose", None)
        if closer is not None:
            with self._lock:
                self._closers[id(owner)] = closer

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The running loop; a forked child gets one of its own, because threads do not survive a fork."""
        with self._lock:
            if self._loop is None or self._loop.is_closed() or self._pid != os.getpid():
                self._pid = os.getpid()
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._turn, args=(self._loop,), name="routelab-engine", daemon=True).start()
                atexit.register(self.close)
            return self._loop

    @staticmethod
    def _turn(loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
        finally:
            loop.close()

    def submit(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Start the work on the engine's loop and return at once."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the work's result; an interrupt (Ctrl-C, the kernel's stop button) cancels it within a second."""
        if threading.current_thread().name == "routelab-engine":
            work.close()
            raise RuntimeError("the engine cannot wait for itself; await the coroutine instead")
        future = self.submit(work)
        try:
            while True:
                try:
                    # A plain result() would hold an interrupt back on some platforms until the work is done.
                    return future.result(timeout=TICK_S)
                except concurrent.futures.TimeoutError:
                    # Not simply raised: the work may have ended between the tick and this line.
                    if future.done():
                        return future.result()
        except KeyboardInterrupt:
            future.cancel()
            self._let_clean_up()
            raise

    def _let_clean_up(self) -> None:
        # Cancelled calls close their sockets and witness what was spent; a second is plenty, and not for ever.
        concurrent.futures.wait([self.submit(_settle())], timeout=1.0)

    async def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Await the work from any loop; it runs on the engine's."""
        return await asyncio.wrap_future(self.submit(work))

    def close(self) -> None:
        """Stop the loop; pending work is cancelled."""
        with self._lock:
            loop, self._loop = self._loop, None
            closers, self._closers = list(self._closers.values()), {}
        if loop is None or loop.is_closed() or self._pid != os.getpid():
            return
        concurrent.futures.wait([asyncio.run_coroutine_threadsafe(_cancel_all(closers), loop)], timeout=2.0)
        loop.call_soon_threadsafe(loop.stop)


async def _settle() -> None:
    await asyncio.sleep(0.05)


async def _cancel_all(closers: Sequence[Closer]) -> None:
    tasks = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.gather(*(close() for close in closers), return_exceptions=True)


_shared = Engine()


def shared() -> Engine:
    """Return the process's engine: sockets and rate limits belong to the process, so every router shares one loop."""
    return _shared
