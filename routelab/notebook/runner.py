"""Play a cell: wait interruptibly, show one line, keep what is finished whatever happens, and return the rich object."""

from __future__ import annotations

from typing import Any

from routelab.engine import shared
from routelab.notebook.asking import Ask
from routelab.notebook.bench import Bench
from routelab.notebook.beside import Beside
from routelab.notebook.dryrun import dry_run
from routelab.notebook.jobs import Job
from routelab.notebook.progress import Meter, watched
from routelab.notebook.work import Work, prepare
from routelab.present.live import Live


class Interrupted(KeyboardInterrupt):
    """The user stopped the cell; what was finished is kept."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def _render_traceback_(self) -> list[str]:
        return [f"Interrupted: {self.message}"]


def run(bench: Bench, ask: Ask) -> Any:
    """Return what the cell shows: an Answer, answers beside each other, a Comparison, a Job or a dry run; None when it is stored.

    Raises the error that left it without any answer; BudgetExceeded and Interrupted come after the finished rows are kept.
    """
    if ask.dry_run:
        return _handed(bench, ask, dry_run(bench, ask))
    work = prepare(bench, ask)
    if ask.bg:
        return _started(bench, ask, work)
    value = _played(bench, work)
    trouble = work.trouble()
    if trouble is not None:
        raise trouble
    if not ask.quiet and bench.settings.feedback > 1 and not work.tabular and not isinstance(value, Beside):
        bench.show(value.trace())
    return _handed(bench, ask, value)


def _played(bench: Bench, work: Work) -> Any:
    """Play the work, and keep its result also when it is interrupted or a bug passes through."""
    ask, trial = work.ask, work.trial
    live = Live(bench.shell, shown=work.tabular and not ask.quiet and bench.settings.feedback > 0)
    meter = Meter(work.name)
    note = "stopped"

    def show() -> None:
        live.put(meter.moving(trial.progress), share=trial.progress.done / trial.progress.total)

    try:
        shared().wait(watched(trial, jobs=ask.jobs or bench.settings.jobs, show=show))
        note = "budget spent" if trial.stopped is not None else ""
    except KeyboardInterrupt:
        raise Interrupted(f"stopped by you; {work.finished()}") from None
    finally:
        value = work.result()
        if value is not None:
            bench.keep(value, ask.out)
        live.put(meter.still(trial.progress, note), last=True)
    return value


def _started(bench: Bench, ask: Ask, work: Work) -> Job | None:
    job = Job(len(bench.jobs) + 1, work, bench)
    bench.jobs.append(job)
    bench.lab.desk.adopt(job.job)
    bench.keep(job, ask.out)
    if ask.quiet:
        return None
    if ask.out is not None:
        job._ipython_display_()
        return None
    return job


def _handed(bench: Bench, ask: Ask, value: Any) -> Any:
    """Return the value to be shown, or store it and show its header line only: what it cost is never invisible by accident."""
    bench.keep(value, ask.out)
    if ask.quiet:
        return None
    if ask.out is None:
        return value
    # A comparison's line is the one its progress ended with.
    if bench.settings.feedback > 0 and hasattr(value, "header"):
        bench.say(value.header())
    return None
