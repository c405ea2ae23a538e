"""What counts as kept: every answer that was paid for, every failure of a model, and nothing that was never asked."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from routelab.core.errors import DataError, LogBusy, ServerFailed
from routelab.core.values import Prompt, Reply, Request, Score
from routelab.fleet import Fleet
from routelab.lab.datasets import Dataset
from routelab.lab.kept import recorded
from routelab.lab.session import Lab
from routelab.scoring import Function
from routelab.testing import Scripted, fleet

YES = {"kind": "exact", "answers": ["yes"]}


def quiz(n: int) -> Dataset:
    return Dataset.of([{"id": f"p{i}", "prompt": f"question {i}", "scorer": YES} for i in range(n)], name="quiz")


class Moody(Scripted):
    """Fail on the prompts that are named, for good."""

    def __init__(self, *failing: str) -> None:
        super().__init__("yes")
        self.failing = set(failing)

    async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
        reply = await super().complete(request, emit)
        if request.prompt.id in self.failing:
            raise ServerFailed("no", status=503, retry_after_s=0.0)
        return reply


def test_errors_and_what_was_never_asked_are_asked_apart() -> None:
    moody = Moody("p1")
    with Lab(fleet=fleet({"m": moody})) as lab:
        first = lab.collect(quiz(2), ["m"])
        asked = len(moody.requests)
        assert asked == 4  # p0 once, p1 three times
        assert first.notes[0] == 'of 2 calls 1 without an answer (quality 0; retry="errors" asks them again)'
        found = lab.estimate(quiz(4), ["m"], retry="errors")
        assert (found.calls, found.kept, found.errored, found.missing) == (1, 1, 1, 0)
        found = lab.estimate(quiz(4), ["m"], retry="missing")
        assert (found.calls, found.kept, found.errored, found.missing) == (2, 1, 0, 2)
        found = lab.estimate(quiz(4), ["m"])
        assert (found.calls, found.kept, found.errored, found.missing) == (3, 1, 1, 2)
        moody.failing = set()
        second = lab.collect(quiz(4), ["m"], extend=True, retry="errors")
        assert [r.prompt.id for r in moody.requests[asked:]] == ["p1"]
        assert second.quality[:2].tolist() == [[1.0], [1.0]]
        assert np.isnan(second.quality[2:]).all()
        assert second.notes == (
            'of 4 calls 2 not asked yet (retry="missing" asks them)',
            "items with ≥ 1 retry: 1, quality 100.0 % against 100.0 % of the others",
        )
        third = lab.collect(quiz(4), ["m"], retry="missing")
        assert third.quality.tolist() == [[1.0]] * 4
        assert len(moody.requests) == asked + 3


def test_a_failure_is_quality_nothing_whether_it_comes_from_this_sitting_or_from_the_log() -> None:
    with Lab(fleet=fleet({"m": Moody("p1", "p2")})) as lab:
        first = lab.collect(quiz(4), ["m"])
        later = lab.collect(quiz(4), ["m"], retry="missing")
    assert first.quality.tolist() == later.quality.tolist() == [[1.0], [0.0], [0.0], [1.0]]
    assert first.failed.tolist() == later.failed.tolist()
    assert first.latency_s.tolist() == later.latency_s.tolist()


def test_a_failure_counts_when_a_scorer_for_all_would_have_scored_it() -> None:
    with Lab(fleet=fleet({"m": Moody("p1")})) as lab:
        bare = Dataset.of([{"id": f"p{i}", "prompt": f"question {i}"} for i in range(2)], name="bare")
        assert np.isnan(lab.collect(bare, ["m"]).quality).all()
        found = lab.collect(bare, ["m"], scorer=Function(always), name="scored")
    assert found.quality.tolist() == [[1.0], [0.0]]


def always(answer: str, prompt: Prompt) -> float:
    return 1.0


def broken(answer: str, prompt: Prompt) -> Score:
    raise DataError("the reference is missing")


def test_an_answer_that_was_paid_for_and_not_scored_is_not_paid_for_again() -> None:
    one = Scripted("yes")
    with Lab(fleet=fleet({"m": one})) as lab:
        for _ in range(2):
            found = lab.collect(quiz(3), ["m"], scorer=broken)
            assert len(one.requests) == 3
            assert np.isnan(found.quality).all()
            assert np.isfinite(found.cost_usd).all()
            assert not found.failed.any()


def test_every_run_is_counted_and_every_dollar() -> None:
    with Lab(fleet=fleet({"m": Moody("p1")})) as lab:
        for _ in range(3):
            lab.collect(quiz(2), ["m"])
        kept = recorded(lab.log, "collect-quiz-0")
    assert kept.runs == {("p0", "m"): 1, ("p1", "m"): 3}
    assert kept.spent_usd == pytest.approx(15e-6)
    assert kept.cells["p1", "m"].attempts == 9
    assert kept.cells["p0", "m"].attempts == 1


SLOW = textwrap.dedent(
    """
    import sys
    from routelab.fleet import Fleet
    from routelab.lab.datasets import Dataset
    from routelab.lab.session import Lab
    with Lab(sys.argv[1], fleet=Fleet.practice(latency=20)) as lab:
        lab.collect(Dataset.load("workbench").take(8), ["qwen-local"], heard=lambda h: print(h.done, flush=True))
    """
)


@pytest.mark.skipif(sys.platform == "win32", reason="there, a dead collector's claim lapses by time alone")
def test_two_processes_do_not_collect_the_same_and_a_killed_one_is_succeeded_at_once(tmp_path: Path) -> None:
    log = tmp_path / "log.duckdb"
    child = subprocess.Popen([sys.executable, "-c", SLOW, str(log)], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "0\n"
        with Lab(log, fleet=Fleet.practice(latency=0)) as lab:
            until = time.monotonic() + 30
            while not list(tmp_path.glob("log.duckdb.collect/*.json")) and time.monotonic() < until:
                time.sleep(0.01)
            with pytest.raises(LogBusy, match=f"is being collected by process {child.pid} on"):
                lab.collect(Dataset.load("workbench").take(8), ["qwen-local"])
            assert lab.collect(Dataset.load("workbench").take(3), ["qwen-local"], name="other").quality.shape == (3, 1)
            child.kill()
            child.wait()
            found = lab.collect(Dataset.load("workbench").take(8), ["qwen-local"])
            assert np.isfinite(found.quality).all()
    finally:
        child.kill()
        child.wait()
        child.stdout.close()  # type: ignore[union-attr]
