"""One go at work that is paid for: workers while a claim lives, a budget that knows what was spent before, what is there after a stop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

from routelab.core.errors import BudgetExceeded, LogError
from routelab.core.ports import Clock
from routelab.lab.claim import BEAT_S, Claim
from routelab.stages import Budget

_Found = TypeVar("_Found")


async def together(workers: Iterable[Coroutine[Any, Any, None]], claim: Claim, clock: Clock) -> None:
    """Run the workers to their end, renewing the claim every `BEAT_S` seconds; the first error ends all of them.

    LogBusy when somebody else has taken the claim over.
    """
    heart = asyncio.ensure_future(_beating(claim, clock))
    tasks = [asyncio.ensure_future(worker) for worker in workers]
    work = asyncio.gather(*tasks)
    try:
        both: tuple[asyncio.Future[Any], ...] = (work, heart)
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if heart.done():
            heart.result()
        await work
    finally:
        for task in (heart, *tasks):
            task.cancel()
        await asyncio.gather(work, heart, *tasks, return_exceptions=True)


def purse(limit_usd: float, before_usd: float, due: int) -> Budget:
    """Return a budget with what was spent before already gone; BudgetExceeded when that was more than the limit and something is due."""
    budget = Budget(limit_usd)
    if before_usd > 0 and due:
        ticket = budget.reserve(before_usd, what="what was spent before")
        assert ticket is not None
        budget.settle(ticket, before_usd)
    return budget


def finished(
    work: Callable[[], None], found: Callable[[], _Found], stopped: Callable[[_Found], BudgetExceeded | None]
) -> _Found:
    """Return what is found after the work; a stop by hand, or the one that `stopped` returns, is raised and carries it as `.partial`."""
    try:
        work()
    except KeyboardInterrupt as stop:
        # Without the log there is nothing to show, and the interrupt is what counts.
        with contextlib.suppress(LogError):
            stop.partial = found()  # type: ignore[attr-defined]
        raise
    there = found()
    error = stopped(there)
    if error is None:
        return there
    error.partial = there  # type: ignore[attr-defined]
    raise error


async def _beating(claim: Claim, clock: Clock) -> None:
    while True:
        await clock.sleep(BEAT_S)
        claim.beat()
