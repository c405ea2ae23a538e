"""Work that goes on while cells run or not: a Job is started at once, can be watched and stopped, and keeps what was finished."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

from routelab.core.errors import Cancelled
from routelab.engine import TICK_S, shared
from routelab.lab.headway import errors, span, spent
from routelab.lab.trial import Progress

EVERY_S = 0.25
SETTLE_S = 1.0
ANSWERS = "answers"
NOTHING = Progress(done=0, total=0, spent_usd=0.0, errors=0)


class Job:
    """A coroutine on the engine's loop with its progress, its end, and what came of it.

    `play` makes the coroutine; `progress` says how far it is (None where that is not known); `result` returns what is finished,
    also of a job that was stopped; `ended` returns another word than "done" for how it ended, such as "budget spent". `counts` is
    what its progress counts: only answers are paid for.
    """

    def __init__(
        self,
        name: str,
        play: Callable[[], Coroutine[Any, Any, Any]],
        *,
        progress: Callable[[], Progress] | None = None,
        result: Callable[[], Any] | None = None,
        ended: Callable[[], str | None] = lambda: None,
        counts: str = ANSWERS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._play, self._progress, self._ended_as, self._clock = play, progress, ended, clock
        self._result, self._counts = result, counts
        self._began = clock()
        self._took: float | None = None
        self._listeners: list[Callable[[], None]] = []
        self._ended = threading.Event()
        self._state = "running"
        self._begun = False
        self._value: Any = None
        self._error: BaseException | None = None
        self._future: concurrent.futures.Future[Any] = shared().submit(self._run())
        self._future.add_done_callback(lambda _: None if self._begun else self._over("stopped"))

    async def _run(self) -> None:
        self._begun = True
        state = "failed"
        ticking = asyncio.ensure_future(self._tick())
        try:
            self._value = await self._play()
            state = self._ended_as() or "done"
        except asyncio.CancelledError:
            state = "stopped"
            raise
        except BaseException as trouble:
            self._error = trouble
            raise
        finally:
            ticking.cancel()
            self._over(state)

    def _over(self, state: str) -> None:
        self._state, self._took = state, self._clock() - self._began
        self._ended.set()
        self._tell()

    async def _tick(self) -> None:
        # Not with every answer: a thousand fast ones would be a thousand messages, and a slow one would leave all as it was.
        while True:
            self._tell()
            await asyncio.sleep(EVERY_S)

    def _tell(self) -> None:
        for listener in tuple(self._listeners):
            listener()

    def watch(self, listener: Callable[[], None]) -> None:
        """Call the listener four times a second while the job runs and once when it has ended, on the engine's thread."""
        self._listeners.append(listener)
        if self.done:
            listener()

    @property
    def progress(self) -> Progress:
        """How far it is; a total of 0 means that nobody knows."""
        return NOTHING if self._progress is None else self._progress()

    @property
    def done(self) -> bool:
        """Whether it has ended: finished, stopped or failed, and what came of it is there."""
        return self._ended.is_set()

    @property
    def state(self) -> str:
        """One word or two: running, done, stopped, budget spent, or failed."""
        return self._state

    @property
    def error(self) -> BaseException | None:
        """What made it fail, or None."""
        return self._error

    def cancel(self) -> None:
        """Stop it; calls under way are cancelled and what was finished is kept. Does nothing when it has ended."""
        self._future.cancel()

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait until it has ended, interruptibly: an interrupt ends the waiting and not the job. Raises TimeoutError."""
        left = float("inf") if timeout_s is None else timeout_s
        while not self._future.done():
            if left <= 0:
                raise TimeoutError(f"still running: {self}")
            # Short waits, so that the kernel's interrupt gets through on every platform.
            concurrent.futures.wait([self._future], timeout=min(TICK_S, left))
            left -= TICK_S
        self.settle()

    def settle(self) -> None:
        """Wait, a second at most, until a stopped job has logged what it spent; its future is done before its task is."""
        self._ended.wait(SETTLE_S)

    def result(self, timeout_s: float | None = None) -> Any:
        """Wait and return what came of it; of a stopped job what it had finished, or Cancelled when that is nothing.

        Raises TimeoutError after `timeout_s`, and what made it fail.
        """
        self.wait(timeout_s)
        if (trouble := self.error) is not None:
            raise trouble
        value = self.finished()
        if value is None and self._state == "stopped":
            raise Cancelled(f"{self.name} was stopped before anything was finished")
        return value

    def finished(self) -> Any:
        """Return what is finished by now, None when there is nothing; never waits."""
        return self._value if self._result is None else self._result()

    def __str__(self) -> str:
        at = self.progress
        elapsed = self._clock() - self._began if self._took is None else self._took
        if self._state == "running":
            return moving(self.name, at, elapsed, self._counts)
        return still(self.name, at, elapsed, self._state, self._counts)

    def __repr__(self) -> str:
        return f"<Job {self}>"


def moving(name: str, at: Progress, elapsed_s: float, counts: str = ANSWERS) -> str:
    """Return the line while something runs: done of all, spent, errors, time left.

    >>> moving("qa", Progress(done=10, total=40, spent_usd=0.01, errors=1), 5.0)
    'qa · 10/40 · $0.0100 · 1 error · 15 s left'
    """
    if at.total == 0:
        return f"{name} · {span(elapsed_s)}"
    left = [f"{span(elapsed_s / at.done * (at.total - at.done))} left"] if at.done else []
    return " · ".join([name, f"{at.done:,}/{at.total:,}", *_paid(at, counts), *left])


def still(name: str, at: Progress, elapsed_s: float, note: str = "", counts: str = ANSWERS) -> str:
    """Return the line that stays.

    >>> still("qa", Progress(done=40, total=40, spent_usd=0.04, errors=0), 20.0, "done")
    'qa · 40 answers · $0.0400 · 20.0 s · done'
    """
    took = f"{elapsed_s:.1f} s" if elapsed_s < 60 else span(elapsed_s)
    more = [note] if note else []
    if at.total == 0:
        return " · ".join([name, took, *more])
    count = f"{at.done:,} {counts}" if at.done == at.total else f"{at.done:,} of {at.total:,} {counts}"
    return " · ".join([name, count, *_paid(at, counts), took, *more])


def _paid(at: Progress, counts: str) -> list[str]:
    return [spent(at), *errors(at)] if counts == ANSWERS else errors(at)
