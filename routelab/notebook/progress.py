"""One line that says how far a cell is, through one display id: it changes in place, from any thread, and is static at the end.

No widget and no carriage returns: a saved notebook keeps the last state as plain HTML, and nbclient keeps updates that come late.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

from routelab.lab.trial import Progress
from routelab.present import STYLE, escape, safe, usd

EVERY_S = 0.2


class Live:
    """A line in the notebook's output that can be rewritten."""

    def __init__(self, shell: Any, *, shown: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        # A terminal cannot rewrite what it printed, so there only the last state is shown.
        self._moving = shown and getattr(shell, "kernel", None) is not None
        self._shown = shown
        self._shell = shell
        self._clock = clock
        self._id = uuid.uuid4().hex
        self._begun = False
        self._next = 0.0

    def put(self, text: str, *, share: float | None = None, last: bool = False) -> None:
        """Show the text, at most five times a second unless it is the last; `share` draws a bar from 0 to 1."""
        if not self._shown or (not self._moving and not last):
            return
        now = self._clock()
        if not last and self._begun and now < self._next:
            return
        self._next = now + EVERY_S
        bar = "" if share is None or last else f'<progress value="{share:.3f}" max="1"></progress> '
        data = {
            "text/plain": safe(text),
            "text/html": f'<div class="rl">{STYLE}<div class="m">{bar}{escape(text)}</div></div>',
        }
        self._shell.display_pub.publish(data=data, metadata={}, transient={"display_id": self._id}, update=self._begun)
        self._begun = True

    def again(self) -> None:
        """Let the next text come as a new output, as when the same job is shown in another cell."""
        self._begun = False
        self._next = 0.0


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
