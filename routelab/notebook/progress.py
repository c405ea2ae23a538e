"""One line that says how far a cell is, through one display id: it changes in place, from any thread, and is static at the end.

No widget and no carriage returns: a saved notebook keeps the last state as plain HTML, and nbclient keeps updates that come late.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from routelab.lab.trial import Progress, Trial
from routelab.present import escape, framed, safe, usd

EVERY_S = 0.25


class Live:
    """A line in the notebook's output that can be rewritten."""

    def __init__(self, shell: Any, *, shown: bool = True) -> None:
        # A terminal cannot rewrite what it printed, so there only the last state is shown.
        self._moving = shown and getattr(shell, "kernel", None) is not None
        self._shown = shown
        self._shell = shell
        self._id = uuid.uuid4().hex
        self._lock = threading.Lock()
        self._text: str | None = None

    def put(self, text: str, *, share: float | None = None, last: bool = False) -> None:
        """Show the text; `share` draws a bar from 0 to 1, which the last state has no more."""
        with self._lock:
            if text == self._text or not self._shown or (not self._moving and not last):
                return
            bar = "" if share is None or last else f'<progress value="{share:.3f}" max="1"></progress> '
            html = framed(f'<div class="m">{bar}{escape(text)}</div>')
            data = {"text/plain": safe(text), "text/html": html}
            # A change belongs to the cell that runs now, and not to the one that this job was started from: a runner without
            # a browser listens to the running cell only. In a context of its own the kernel knows no other.
            context = contextvars.copy_context() if self._text is None else contextvars.Context()
            context.run(self._publish, data, update=self._text is not None)
            self._text = text

    def _publish(self, data: dict[str, str], *, update: bool) -> None:
        self._shell.display_pub.publish(data=data, metadata={}, transient={"display_id": self._id}, update=update)

    def begin(self) -> None:
        """Let the next text come as a new output, also of a line that was not shown until now."""
        with self._lock:
            self._shown = True
            self._moving = getattr(self._shell, "kernel", None) is not None
            self._text = None


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
