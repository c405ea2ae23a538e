"""How far a collection is, said where somebody is watching: the price before the first call, then one line that moves."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from routelab.core.errors import BudgetExceeded
from routelab.present import tokens, usd
from routelab.present.live import Live, Terminal

if TYPE_CHECKING:
    from routelab.lab.collect import Headway
    from routelab.lab.hearings import Sat

EVERY_S = 0.25
At = TypeVar("At", bound="Headway | Sat")


class Line(Protocol):
    """Something that shows a text in place of the one before."""

    def put(self, text: str, *, share: float | None = None, last: bool = False) -> None:
        """Show the text; `last` says that it stays."""


class Told:
    """Tells a collection's headway, or a judging's: `line` makes a new line of output, `name` is what is collected.

    It is called with a `Headway` (or a `Sat`) before the first call and after each one, on any thread; `end` leaves a line
    that stays.
    """

    def __init__(
        self, name: str, jobs: int, line: Callable[[], Line], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name, self._jobs, self._new, self._clock = name, jobs, line, clock
        self._line: Line | None = None
        self._began = self._shown = clock()
        self._latest: Headway | Sat | None = None

    def __call__(self, at: Headway | Sat) -> None:
        """Say what it will cost the first time, and how far it is from then on, at most four times a second."""
        if self._latest is None:
            judging = hasattr(at, "docket")
            first = (
                awaited(self._name, cast("Sat", at))
                if judging
                else expected(self._name, cast("Headway", at), self._jobs)
            )
            self._new().put(first, last=True)
            self._line, self._began = self._new(), self._clock()
        elif self._clock() - self._shown >= EVERY_S and self._line is not None:
            self._shown = self._clock()
            self._line.put(moving(at), share=at.done / at.total)
        self._latest = at

    def end(self, note: str = "") -> None:
        """Leave what was done; nothing when nothing was asked."""
        at = self._latest
        if at is not None and self._line is not None and at.done:
            self._line.put(still(at, self._clock() - self._began, note), last=True)


def watched(name: str, jobs: int) -> Told | None:
    """Return who tells it in a notebook or in a terminal, and None where nobody is watching."""
    # Only asked for when IPython runs already: a script has no use for it.
    ipython = sys.modules.get("IPython")
    shell: Any = None if ipython is None else ipython.get_ipython()
    if shell is not None and getattr(shell, "kernel", None) is not None:
        return Told(name, jobs, lambda: Live(shell))
    return Told(name, jobs, lambda: Terminal(sys.stderr)) if sys.stderr.isatty() else None


@contextlib.contextmanager
def telling(
    name: str, jobs: int, heard: Callable[[At], None] | None, *, again: str
) -> Iterator[Callable[[At], None] | None]:
    """Give who is told how far it is: `heard`, else who is watching, whose last line says how it ended and what to do `again`."""
    told = watched(name, jobs) if heard is None else None
    note = f"stopped; {again}"
    try:
        yield heard or told
        note = ""
    except BudgetExceeded:
        note = "budget spent"
        raise
    finally:
        if told is not None:
            told.end(note)


def expected(name: str, at: Headway, jobs: int) -> str:
    """Return the estimate as a line: calls, tokens, USD, time; what is in the log already, and what was spent before."""
    said = at.forecast
    if not at.total:
        return f"collect {name}: all {said.kept:,} answers are in the log"
    into, out = said.tokens()
    wait = said.time_s(jobs)
    parts = [
        f"{'simulated: ' if said.simulated else ''}collect {name}: {at.total:,} calls",
        f"≈ {tokens(round(into))} tokens in, {tokens(round(out))} out",
        f"≈ {said.text}",
        *([] if wait is None else [f"≈ {span(wait)}"]),
        *([f"{said.kept:,} answers are in the log"] if said.kept else []),
        *([f"{usd(at.before_usd)} spent before"] if at.before_usd else []),
    ]
    return " · ".join(parts)


def awaited(name: str, at: Sat) -> str:
    """Return what judging is expected to take, as a line."""
    docket = at.docket
    parts = [
        f"judge {name}: {f'{at.total:,} answers' if docket is None else docket.text}",
        *([f"{usd(at.before_usd)} spent before"] if at.before_usd else []),
    ]
    return " · ".join(parts)


def moving(at: Headway | Sat) -> str:
    """Return the line while it runs: done of all, spent, errors, time left."""
    seconds: float | None = getattr(at, "left_s", None)
    left = [] if seconds is None else [f"{span(seconds)} left"]
    return " · ".join([f"{at.done:,}/{at.total:,}", spent(at), *errors(at), *left])


def still(at: Headway | Sat, elapsed_s: float, note: str = "") -> str:
    """Return the line that stays."""
    count = f"{at.done:,} answers" if at.done == at.total else f"{at.done:,} of {at.total:,} answers"
    return " · ".join([count, spent(at), *errors(at), span(elapsed_s), *([note] if note else [])])


def span(seconds: float) -> str:
    """Return a time as a person says it.

    >>> span(4.2), span(75), span(7300)
    ('4 s', '1 min 15 s', '2 h 2 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min"


class Spent(Protocol):
    """What was spent and what went wrong so far."""

    @property
    def spent_usd(self) -> float: ...
    @property
    def errors(self) -> int: ...
    @property
    def unpriced(self) -> int: ...


def spent(at: Spent) -> str:
    """Return what was spent; a lower bound says so."""
    measuring = getattr(at, "measuring_usd", 0.0)
    notes = [
        *([f"{usd(measuring)} of it measuring"] if measuring else []),
        *([f"{at.unpriced:,} without a price"] if at.unpriced else []),
    ]
    said = f"{'at least ' if at.unpriced else ''}{usd(at.spent_usd)}"
    return said + (f" ({', '.join(notes)})" if notes else "")


def errors(at: Spent) -> list[str]:
    """Return how many errors there were, nothing when there were none."""
    return [] if at.errors == 0 else [f"{at.errors:,} error{'s' if at.errors > 1 else ''}"]
