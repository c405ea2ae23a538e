"""Where live decisions are made: on a thread of their own, each within its time, so that a slow one holds up nobody else."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from routelab.core.errors import TimedOut

T = TypeVar("T")

DECIDE_S = 1.0
LOADING = 10
"""Until the first decision is there, one may take so many times as long: strategies that embed load their model then."""
MOST_LATE = 8
"""With so many abandoned decisions still at work no further one is begun: a thread cannot be ended from outside."""


class Desk:
    """Makes decisions within `decide_s` seconds each; one desk serves all flows of a router.

    Threads are daemons and the desk's own: a decision that never ends keeps neither the process from ending nor the
    loop's other work (look-ups, scorers) from its threads. Starting one costs 0.1 ms.
    """

    def __init__(self, decide_s: float = DECIDE_S) -> None:
        self.decide_s = decide_s
        self._lock = threading.Lock()
        self._loaded = False
        self._late = 0

    def __repr__(self) -> str:
        return f"Desk({self.decide_s:g} s)"

    async def decide(self, work: Callable[[], T], *, left_s: float | None = None) -> T:
        """Return what `work` returns; TimedOut when that takes too long. `left_s` is what the whole run has left.

        The text of the error stands behind the strategy's name.
        """
        if self._late >= MOST_LATE:
            raise TimedOut(f"is still busy with {self._late} decisions that took too long")
        limit_s = self._limit_s(left_s)
        decision: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        ticket = _Ticket()
        threading.Thread(
            target=self._work,
            args=(contextvars.copy_context(), work, decision, ticket),
            name="routelab-decision",
            daemon=True,
        ).start()
        try:
            async with asyncio.timeout(limit_s):
                decided = await decision
        except TimeoutError:
            # What has not loaded in ten times its time gets no more exceptions.
            self._loaded = True
            raise TimedOut(f"took longer than {limit_s:.3g} s") from None
        finally:
            # Too late, or the caller stopped waiting: the thread works on for nobody, and counts until it ends.
            self._close(ticket)
        self._loaded = True
        return decided

    def _limit_s(self, left_s: float | None) -> float:
        limit_s = self.decide_s if self._loaded else LOADING * self.decide_s
        # Whoever is asked afterwards needs some of the time that the run has left.
        return limit_s if left_s is None else min(limit_s, left_s / 2)

    def _work(
        self,
        context: contextvars.Context,
        work: Callable[[], T],
        decision: asyncio.Future[T],
        ticket: _Ticket,
    ) -> None:
        result: T | None = None
        trouble: BaseException | None = None
        try:
            result = context.run(work)
        except BaseException as raised:  # noqa: BLE001 - nobody else would hear of it, and the prompt would wait
            trouble = raised
        with self._lock:
            ticket.ended = True
            self._late -= ticket.late
        try:
            decision.get_loop().call_soon_threadsafe(_deliver, decision, result, trouble)
        except RuntimeError:
            return  # the loop was closed meanwhile, so nobody waits

    def _close(self, ticket: _Ticket) -> None:
        with self._lock:
            if not ticket.ended:
                ticket.late = True
                self._late += 1


class _Ticket:
    """One decision under way: whether its thread has ended, and whether it was given up before."""

    def __init__(self) -> None:
        self.ended = False
        self.late = False


def _deliver(decision: asyncio.Future[Any], result: Any, trouble: BaseException | None) -> None:
    if decision.done():
        return
    if trouble is None:
        decision.set_result(result)
    elif isinstance(trouble, Exception) and not isinstance(trouble, StopIteration):
        decision.set_exception(trouble)
    else:
        # SystemExit set on a future would end the loop itself.
        decision.set_exception(RuntimeError(f"{type(trouble).__name__} on the thread of a decision"))
