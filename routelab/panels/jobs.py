"""The jobs of a lab: what runs, how far it is, what it has spent, and Stop; what was finished is kept and can be looked at."""

from __future__ import annotations

import threading

import ipywidgets

from routelab.lab.compare import Comparison
from routelab.lab.desk import Desk
from routelab.lab.job import Job
from routelab.panels.panel import Panel
from routelab.panels.parts import Guard, Line, Running, button, column, html, put, row
from routelab.present import bundle, note

EMPTY = "no jobs yet: what takes longer than a moment runs as one, also a cell with %%route --bg"


def jobs(desk: Desk) -> Panel:
    """Return the list of jobs, the latest first."""
    return _Jobs(desk).panel


class _Jobs:
    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.line = Line()
        self._guard = Guard(self.line)
        self._lock = threading.Lock()
        self._rows: dict[int, ipywidgets.Widget] = {}
        self._empty = html()
        put(self._empty, note(EMPTY))
        self._list = column()
        self.panel = Panel(column(self.line.widget, self._list), self._still, name="jobs")
        desk.hear("jobs", self.renew)
        self.renew()

    def renew(self) -> None:
        """Show the jobs there are."""
        with self._lock:
            for job in self.desk.jobs:
                if id(job) not in self._rows:
                    self._rows[id(job)] = self._row(job)
            shown = [self._rows[id(job)] for job in reversed(self.desk.jobs)]
            self._list.children = tuple(shown) or (self._empty,)
        self.panel.refresh()

    def _row(self, job: Job) -> ipywidgets.Widget:
        running = Running()
        show = button("Show", "look at what it has finished so far")
        show.on_click(self._guard(lambda _: self._show(job)))
        running.follow(job)
        return row(running.widget, show)

    def _show(self, job: Job) -> None:
        if job.done and job.error is not None:
            self.line.fail(job.error)
            return
        found = job.finished()
        if isinstance(found, Comparison):
            self.desk.show(found)
            self.line.say(f"{job.name}: its comparison is in the Compare tab")
        elif found is None:
            self.line.say(f"{job.name}: nothing is finished yet")
        else:
            self.line.say(f"{job.name}: {found!r}")

    def _still(self) -> dict[str, str]:
        return bundle(*([str(job) for job in reversed(self.desk.jobs)] or [EMPTY]))
