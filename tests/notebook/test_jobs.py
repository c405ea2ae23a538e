"""Work in the background: it returns at once, waits when asked, stops, and keeps what it finished."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from routelab.answer import Answer
from routelab.core.errors import AuthFailed, BudgetExceeded, Cancelled
from routelab.engine import shared
from routelab.lab.compare import Comparison
from routelab.notebook.jobs import Job
from routelab.notebook.work import ScorerRaised
from routelab.testing import Scripted, fleet

if TYPE_CHECKING:
    from tests.notebook.conftest import Cells


class Gate:
    """A provider that answers `free` prompts and then waits until it is opened."""

    def __init__(self, free: int = 0) -> None:
        self.free = free
        self.waiting = threading.Event()
        self.open = asyncio.Event()

    async def complete(self, request: Any, emit: Any) -> Any:
        if self.free > 0:
            self.free -= 1
        else:
            self.waiting.set()
            await self.open.wait()
        return await Scripted("ok").complete(request, emit)

    def release(self) -> None:
        shared().loop.call_soon_threadsafe(self.open.set)


def test_a_job_returns_at_once_and_its_result_is_what_the_cell_would_have_returned(cells: Cells) -> None:
    gate = Gate()
    cells.use(fleet({"gate": gate}))  # type: ignore[dict-item]
    cells.names["data"] = ["a", "b"]
    job = cells.run("%%route -v data --bg\n{{prompt}}\n")
    assert isinstance(job, Job)
    assert gate.waiting.wait(5)
    assert (job.done, job.state, str(job)) == (False, "running", "job 1 · data: 2 prompts × gate · 0/2 · $0")
    assert str(job) in list(cells.run("%routelab status").frame["now"])
    with pytest.raises(TimeoutError, match="still running: job 1 "):
        job.result(timeout_s=0.1)
    gate.release()
    result = job.result()
    assert isinstance(result, Comparison)
    assert (job.done, job.state, cells.bench.last, cells.bench.comparison) == (True, "done", result, result)
    assert [a.text for a in result.answers["gate"]] == ["ok", "ok"]


def test_a_single_answer_can_be_a_job_and_be_stored(cells: Cells) -> None:
    assert cells.run("%%route --bg -o j\nhi\n") is None
    answer = cells.names["j"].result()
    assert isinstance(answer, Answer)
    assert answer.text == "four"
    assert cells.run("%%route --bg -q\nhi\n") is None
    assert cells.bench.jobs[-1].result().text == "four"


def test_a_stopped_job_keeps_what_it_finished(cells: Cells) -> None:
    gate = Gate(free=2)
    cells.use(fleet({"gate": gate}))  # type: ignore[dict-item]
    cells.names["data"] = ["a", "b", "c", "d"]
    job = cells.run("%%route -v data --bg -j 1\n{{prompt}}\n")
    assert gate.waiting.wait(5)
    job.cancel()
    kept = job.result()
    assert (len(kept.prompts), job.state, job.done) == (2, "stopped", True)
    job.cancel()
    status = cells.bench.lab.log.query("select status, count(*) from runs group by all order by 1")
    assert status == [("answered", 2), ("unanswered", 1)]


def test_a_job_stopped_before_anything_was_finished_says_so(cells: Cells) -> None:
    gate = Gate()
    cells.use(fleet({"gate": gate}))  # type: ignore[dict-item]
    job = cells.run("%%route --bg\nhi\n")
    assert gate.waiting.wait(5)
    job.cancel()
    with pytest.raises(Cancelled, match="job 1 was stopped before anything was finished"):
        job.result()


def test_a_job_raises_what_its_cell_would_have_raised(cells: Cells) -> None:
    cells.use(fleet({"dead": Scripted(AuthFailed("no key")), "cheap": Scripted("ok")}))
    with pytest.raises(AuthFailed, match="no key"):
        cells.run("%%route dead --bg\nhi\n").result()
    cells.names["data"] = [str(i) for i in range(9)]
    job = cells.run("%%route cheap -v data --bg --budget 0.0001 --max-tokens 5 -j 1\n{{prompt}}\n")
    with pytest.raises(BudgetExceeded, match=r"of 9 prompts are finished, kept in `routelab\.last`"):
        job.result()
    assert isinstance(cells.bench.last, Comparison)
    assert job.state == "budget spent"


def test_a_scorer_that_raises_in_the_background_comes_out_of_result_in_one_line(cells: Cells) -> None:
    cells.run("def bad(answer, prompt):\n    return 1 / 0")
    job = cells.run("%%route --bg --score bad\nhi\n")
    with pytest.raises(
        ScorerRaised, match=r"scorer bad raised ZeroDivisionError: division by zero .*line 2 of its cell"
    ):
        job.result()
    assert job.state == "failed"


def test_an_interrupt_ends_the_waiting_and_not_the_job(cells: Cells) -> None:
    import _thread

    gate = Gate()
    cells.use(fleet({"gate": gate}))  # type: ignore[dict-item]
    job = cells.run("%%route --bg\nhi\n")
    assert gate.waiting.wait(5)
    threading.Timer(0.2, _thread.interrupt_main).start()
    with pytest.raises(KeyboardInterrupt):
        job.result()
    assert not job.done
    gate.release()
    assert job.result().text == "ok"


def test_unloading_stops_the_jobs(cells: Cells) -> None:
    from routelab import notebook

    gate = Gate()
    cells.use(fleet({"gate": gate}))  # type: ignore[dict-item]
    job = cells.run("%%route --bg\nhi\n")
    assert gate.waiting.wait(5)
    notebook.unload(cells.shell)
    assert (job.done, job.state) == (True, "stopped")
