"""How far a cell is, as one line."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from routelab.lab.trial import Progress, Trial
from routelab.present import usd
from routelab.present.live import Live

EVERY_S = 0.25

__all__ = ["EVERY_S", "Live", "Meter", "spent", "watched"]


async def watched(trial: Trial, *, jobs: int, show: Callable[[], None]) -> None:
    """Play a trial and call `show` now, four times a second while it runs, and never after it has ended.

    Not with every answer: a thousand fast ones would be a thousand messages, and a slow one would leave the line as it was.
    """

    async def tick() -> None:
        while True:
            show()
            await asyncio.sleep(EVERY_S)

    ticking = asyncio.ensure_future(tick())
    try:
        await trial.play(jobs=jobs)
    finally:
        ticking.cancel()


class Meter:
    """Turns a trial's progress into the line's text."""

    def __init__(self, name: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self._clock = clock
        self._began = clock()

    def moving(self, at: Progress) -> str:
        """Return the line while the trial runs: done of all, spent, errors, and when it should end."""
        elapsed = self._clock() - self._began
        left = "" if at.done == 0 else f" · ETA {elapsed / at.done * (at.total - at.done):.0f} s"
        return f"{self.name} · {at.done}/{at.total} · {spent(at)}{_errors(at)}{left}"

    def still(self, at: Progress, note: str = "") -> str:
        """Return the line that stays."""
        count = f"{at.done} answers" if at.done == at.total else f"{at.done} of {at.total} answers"
        elapsed = self._clock() - self._began
        return f"{self.name} · {count} · {spent(at)}{_errors(at)} · {elapsed:.1f} s{' · ' + note if note else ''}"


def spent(at: Progress) -> str:
    """Return what was spent; a lower bound says so."""
    if at.unpriced == 0:
        return usd(at.spent_usd)
    return f"at least {usd(at.spent_usd)} ({at.unpriced} without a price)"


def _errors(at: Progress) -> str:
    return "" if at.errors == 0 else f" · {at.errors} error{'s' if at.errors > 1 else ''}"
