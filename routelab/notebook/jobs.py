"""A cell that goes on after it has returned: one line that moves by itself, and a Stop button."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from routelab.core.errors import Cancelled
from routelab.lab import job as work_of
from routelab.notebook.bench import Bench
from routelab.present.live import Live, beside

if TYPE_CHECKING:
    from routelab.notebook.work import Work


class Job:
    """A cell that runs in the background. Nothing is printed by it; its line is rewritten wherever it is shown."""

    def __init__(self, number: int, work: Work, bench: Bench) -> None:
        self.number = number
        self._work = work
        self._bench = bench
        self._live = Live(bench.shell, shown=False)
        self._button: Any = None
        trial, jobs = work.trial, work.ask.jobs or bench.settings.jobs
        self.job = work_of.Job(
            f"job {number} · {work.name}",
            lambda: trial.play(jobs=jobs),
            progress=lambda: trial.progress,
            result=work.result,
            ended=lambda: "budget spent" if trial.stopped is not None else None,
        )
        self.job.watch(self._show)

    @property
    def done(self) -> bool:
        """Whether it has ended: finished, stopped or failed."""
        return self.job.done

    @property
    def state(self) -> str:
        """One word or two: running, done, stopped, budget spent, or failed."""
        return self.job.state

    def cancel(self) -> None:
        """Stop it; calls under way are cancelled and what was finished is kept. Does nothing when it has ended."""
        self.job.cancel()

    def settle(self) -> None:
        """Wait, a second at most, until a stopped job has logged what it spent."""
        self.job.settle()

    def result(self, timeout_s: float | None = None) -> Any:
        """Wait for it and return what the cell would have returned; of a stopped job, what it had finished.

        An interrupt ends the waiting and not the job. Raises TimeoutError after `timeout_s`, BudgetExceeded (the finished rows
        are kept in `routelab.last`), Cancelled when it was stopped before anything was finished, and what made it fail.
        """
        self.job.wait(timeout_s)
        if (bug := self.job.error) is not None:
            raise bug
        value = self._work.result()
        if value is not None:
            self._bench.keep(value, None)
        stopped = self.job.state == "stopped"
        trouble = None if stopped else self._work.trouble()
        if trouble is None and value is None:
            trouble = Cancelled(f"job {self.number} was stopped before anything was finished")
        if trouble is not None:
            raise trouble
        return value

    def __str__(self) -> str:
        return str(self.job)

    def __repr__(self) -> str:
        return f"Job({self})"

    def _show(self) -> None:
        at = self.job.progress
        self._live.put(str(self), share=at.done / max(1, at.total), last=self.job.done)
        if self.job.done and self._button is not None:
            self._button.close()

    def _ipython_display_(self) -> None:
        # Shown where it is asked for, and rewritten there: a plain repr would be stale a moment later.
        self._live.begin()
        self._show()
        if not self.done and getattr(self._bench.shell, "kernel", None) is not None:
            self._button = stop_button(self)


def stop_button(job: Job) -> Any:
    """Show a Stop button for a job and return it, or None where ipywidgets is not installed."""
    try:
        import ipywidgets
    except ImportError:
        return None
    from IPython.display import display

    button = ipywidgets.Button(
        description="Stop", tooltip=f"stop job {job.number}; what is finished is kept", icon="stop"
    )
    button.on_click(lambda _: job.cancel())
    beside(button)
    display(button)  # type: ignore[no-untyped-call]
    return button
