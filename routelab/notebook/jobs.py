"""Work that goes on after its cell has returned: a Job waits, stops, and shows one line that moves by itself."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from typing import TYPE_CHECKING, Any

from routelab.core.errors import Cancelled
from routelab.engine import TICK_S, shared
from routelab.notebook.bench import Bench
from routelab.notebook.progress import Live, Meter, watched

if TYPE_CHECKING:
    from routelab.notebook.work import Work

SETTLE_S = 1.0


class Job:
    """A cell that runs in the background. Nothing is printed by it; its line is rewritten wherever it is shown."""

    def __init__(self, number: int, work: Work, bench: Bench) -> None:
        self.number = number
        self._work = work
        self._bench = bench
        self._live = Live(bench.shell, shown=False)
        self._meter = Meter(f"job {number} · {work.name}")
        self._ended = threading.Event()
        self._state = "running"
        self._button: Any = None
        self._future: concurrent.futures.Future[None] = shared().submit(
            self._play(work.ask.jobs or bench.settings.jobs)
        )

    async def _play(self, jobs: int) -> None:
        state = "failed"
        try:
            await watched(self._work.trial, jobs=jobs, show=self._show)
            state = "budget spent" if self._work.trial.stopped is not None else "done"
        except asyncio.CancelledError:
            state = "stopped"
            raise
        finally:
            self._state = state
            self._show()
            self._ended.set()

    @property
    def done(self) -> bool:
        """Whether it has ended: finished, stopped or failed."""
        return self._future.done()

    @property
    def state(self) -> str:
        """One word or two: running, done, stopped, budget spent, or failed."""
        return self._state

    def cancel(self) -> None:
        """Stop it; calls under way are cancelled and what was finished is kept. Does nothing when it has ended."""
        self._future.cancel()

    def result(self, timeout_s: float | None = None) -> Any:
        """Wait for it and return what the cell would have returned; of a stopped job, what it had finished.

        An interrupt ends the waiting and not the job. Raises TimeoutError after `timeout_s`, BudgetExceeded (the finished rows
        are kept in `routelab.last`), Cancelled when it was stopped before anything was finished, and what made it fail.
        """
        self._wait(timeout_s)
        if not self._future.cancelled() and (bug := self._future.exception()) is not None:
            raise bug
        value = self._work.result()
        if value is not None:
            self._bench.keep(value, None)
        trouble = None if self._future.cancelled() else self._work.trouble()
        if trouble is None and value is None:
            trouble = Cancelled(f"job {self.number} was stopped before anything was finished")
        if trouble is not None:
            raise trouble
        return value

    def _wait(self, timeout_s: float | None) -> None:
        left = float("inf") if timeout_s is None else timeout_s
        while not self._future.done():
            if left <= 0:
                raise TimeoutError(f"job {self.number} is still running: {self}")
            # Short waits, so that the kernel's interrupt gets through on every platform.
            concurrent.futures.wait([self._future], timeout=min(TICK_S, left))
            left -= TICK_S
        self.settle()

    def settle(self) -> None:
        """Wait, a second at most, until a stopped job has logged what it spent; its future is done before its task is."""
        self._ended.wait(SETTLE_S)

    def __str__(self) -> str:
        at = self._work.trial.progress
        return self._meter.moving(at) if self._state == "running" else self._meter.still(at, self._state)

    def __repr__(self) -> str:
        return f"Job({self})"

    def _show(self) -> None:
        at = self._work.trial.progress
        self._live.put(str(self), share=at.done / max(1, at.total), last=self._state != "running")
        if self._state != "running" and self._button is not None:
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
    display(button)  # type: ignore[no-untyped-call]
    return button
