"""What people said of runs: 👍 or 👎 and a note, kept in the log, the latest of each run."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from routelab.core.errors import UnavailableError
from routelab.store import Log

UP, DOWN = 1.0, -1.0
"""What the log holds for 👍 and 👎."""
_LATEST = """
    select run_id, value, coalesce(note, '') from ratings where value is not null
    qualify row_number() over (partition by run_id order by rated_at desc, rating_id desc) = 1
"""
_THERE = "select distinct run_id from runs where run_id in (select unnest(?::varchar[]))"


@dataclass(frozen=True, kw_only=True)
class Rating:
    """A person's word on a run: above 0 is 👍, below 👎."""

    value: float
    note: str = ""

    @property
    def mark(self) -> str:
        """The rating in words; emoji are missing from many a machine that renders notebooks."""
        return "rated good" if self.value >= UP else "rated bad" if self.value < 0 else f"rated {self.value:g}"


class Ratings:
    """The ratings in a log as they were read last, and those given since; without a log there are none, and none can be given."""

    def __init__(self, log: Log | None) -> None:
        self.log = log
        self._known: dict[str, Rating] = {}
        self._there: dict[str, bool] = {}
        self._given: dict[str, int] = {}
        self._count = 0
        self._lock = threading.Lock()

    @property
    def known(self) -> Mapping[str, Rating]:
        """The latest rating of every run that has one."""
        return self._known

    def of(self, run_id: str | None) -> Rating | None:
        """Return the latest rating of a run."""
        return None if run_id is None else self._known.get(run_id)

    def read(self, run_ids: Sequence[str] = ()) -> None:
        """Read the ratings again, and which of these runs the log holds; takes as long as the log does, and raises LogError."""
        if self.log is None:
            return
        since = self._count
        found = {str(run): Rating(value=float(value), note=note) for run, value, note in self.log.query(_LATEST)}
        there = {str(row[0]) for row in self.log.query(_THERE, [list(run_ids)])} if run_ids else set()
        with self._lock:
            # What was said while the log was read is newer than what was read.
            own = {run: self._known[run] for run, at in self._given.items() if at > since}
            self._known = {**found, **own}
            self._there.update({run: run in there for run in run_ids})

    def barred(self, run_id: str | None) -> str | None:
        """Return why a run cannot be rated, None where it can; a run that was not looked for yet cannot."""
        if self.log is None:
            return "not rated: this comparison has no log to keep a rating in"
        if run_id is None:
            return "not rated: the answer is from a file, not from a run in this log"
        there = self._there.get(run_id)
        return None if there else "looking for the run…" if there is None else "not rated: its run is not in this log"

    def rate(self, run_id: str, value: float, note: str) -> None:
        """Keep a rating in the log; returns at once. Raises LogError where the log takes nothing."""
        if self.log is None:
            raise UnavailableError("there is no log to keep a rating in", hint="compare through a Lab")
        self.log.rate(run_id, value, note)
        with self._lock:
            self._count += 1
            self._given[run_id] = self._count
            self._known = {**self._known, run_id: Rating(value=value, note=note)}
