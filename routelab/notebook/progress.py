"""How far a cell is, as one line that moves while the cell waits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from routelab.lab import job
from routelab.lab.trial import Progress, Trial


async def watched(trial: Trial, *, jobs: int, show: Callable[[], None]) -> None:
    """Play a trial and call `show` now, four times a second while it runs, and never after it has ended.

    Not with every answer: a thousand fast ones would be a thousand messages, and a slow one would leave the line as it was.
    """

    async def tick() -> None:
        while True:
            show()
            await asyncio.sleep(job.EVERY_S)

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
        """Return the line while the trial runs."""
        return job.moving(self.name, at, self._clock() - self._began)

    def still(self, at: Progress, note: str = "") -> str:
        """Return the line that stays."""
        return job.still(self.name, at, self._clock() - self._began, note)
