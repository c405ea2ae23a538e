"""What the panels of one lab share: the lab, the notebook's variables, the jobs, and the comparison that is looked at."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from routelab.lab.job import ANSWERS, Job
from routelab.lab.trial import Progress

if TYPE_CHECKING:
    from routelab.lab.compare import Comparison
    from routelab.lab.session import Lab

News: TypeAlias = Literal["jobs", "comparison", "arms", "log"]


class Desk:
    """The one thing that tabs know of each other: what changes is told to who listens, on the thread that changed it."""

    def __init__(self, lab: Lab, *, names: Callable[[], Mapping[str, Any]] = dict) -> None:
        self.lab = lab
        self.jobs: list[Job] = []
        self.comparison: Comparison | None = None
        self._names = names
        self._lock = threading.Lock()
        self._listeners: list[tuple[News, Callable[[], None]]] = []

    @property
    def names(self) -> Mapping[str, Any]:
        """The notebook's variables by name, without private ones; empty outside a notebook."""
        return {name: value for name, value in self._names().items() if not name.startswith("_")}

    def hear(self, news: News, listener: Callable[[], None]) -> None:
        """Call the listener whenever there is such news."""
        with self._lock:
            self._listeners.append((news, listener))

    def tell(self, news: News) -> None:
        """Tell everybody who listens."""
        with self._lock:
            found = [listener for kind, listener in self._listeners if kind == news]
        for listener in found:
            listener()

    def show(self, comparison: Comparison) -> None:
        """Make it the comparison that the panels look at."""
        self.comparison = comparison
        self.tell("comparison")

    def start(
        self,
        name: str,
        play: Callable[[], Coroutine[Any, Any, Any]],
        *,
        progress: Callable[[], Progress] | None = None,
        result: Callable[[], Any] | None = None,
        ended: Callable[[], str | None] = lambda: None,
        counts: str = ANSWERS,
    ) -> Job:
        """Start work in the background and return its job, which the Jobs tab lists too; the rest is as in `Job`."""
        number = len(self.jobs) + 1
        job = Job(f"job {number} · {name}", play, progress=progress, result=result, ended=ended, counts=counts)
        self.adopt(job)
        return job

    def adopt(self, job: Job) -> None:
        """Take a job that was started elsewhere into the list."""
        with self._lock:
            self.jobs.append(job)
        job.watch(lambda: self._over(job))
        self.tell("jobs")

    def _over(self, job: Job) -> None:
        if job.done:
            self.tell("jobs")
            self.tell("log")


def variables() -> Mapping[str, Any]:
    """Return the variables of the notebook that this runs in; none outside of one."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return {} if shell is None else dict(shell.user_ns)
