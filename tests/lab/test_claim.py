"""A collection has one collector at a time; one that is gone is noticed, and so are the calls that it never saw end."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.core.errors import LogBusy, LogError
from routelab.lab.claim import STALE_S, Claim, Holder, doubtful
from routelab.lab.collect import Order, collect
from routelab.lab.datasets import Dataset
from routelab.lab.session import Lab
from routelab.testing import Scripted, fleet


class Watch:
    """A clock that is set by hand and whose sleepers sleep until they are cancelled."""

    def __init__(self) -> None:
        self.at = datetime(2026, 5, 1)

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    async def sleep(self, seconds: float) -> None:
        import asyncio

        await asyncio.Event().wait()

    def later(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Watch:
    return Watch()


@pytest.fixture
def sleeper() -> Iterator[int]:
    """The number of a living process that is not this one."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield child.pid
    child.kill()
    child.wait()


def holder(folder: Path, **facts: Any) -> None:
    """Say in the claim's file that somebody else holds it."""
    [path] = [p for p in folder.iterdir() if p.suffix == ".json"]
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))


def claim(folder: Path, clock: Watch, session: str = "mine", name: str = "quiz") -> Claim:
    return Claim(folder / "log.duckdb.collect", name, session=session, clock=clock)


def test_a_living_holder_is_not_disturbed_and_the_refusal_says_who_it_is(
    tmp_path: Path, clock: Watch, sleeper: int
) -> None:
    claim(tmp_path, clock, "theirs").take()
    holder(tmp_path / "log.duckdb.collect", pid=sleeper)
    clock.later(STALE_S - 1)
    with pytest.raises(
        LogBusy, match=f"'quiz' is being collected by process {sleeper} on {platform.node()} since"
    ) as no:
        claim(tmp_path, clock).take()
    assert "lapses after 60 s" in str(no.value.hint)
    claim(tmp_path, clock, name="another").take()


def test_a_claim_without_a_sign_of_life_for_a_minute_may_be_taken_over(
    tmp_path: Path, clock: Watch, sleeper: int
) -> None:
    theirs = claim(tmp_path, clock, "theirs")
    theirs.take()
    holder(tmp_path / "log.duckdb.collect", pid=sleeper)
    clock.later(STALE_S)
    mine = claim(tmp_path, clock)
    before = mine.take()
    assert isinstance(before, Holder)
    assert (before.session, before.pid) == ("theirs", sleeper)
    # and whoever was only slow finds out at its next beat, and does not take the claim away with it
    with pytest.raises(LogBusy, match="taken over by process"):
        theirs.beat()
    theirs.release()
    mine.beat()
    mine.release()
    assert claim(tmp_path, clock, "third").take() is None


def test_a_beat_keeps_a_claim_alive(tmp_path: Path, clock: Watch, sleeper: int) -> None:
    theirs = claim(tmp_path, clock, "theirs")
    theirs.take()
    for _ in range(20):
        clock.later(10)
        theirs.beat()
    holder(tmp_path / "log.duckdb.collect", pid=sleeper)
    with pytest.raises(LogBusy):
        claim(tmp_path, clock).take()


def test_a_holder_on_another_machine_is_judged_by_its_beat_alone(tmp_path: Path, clock: Watch) -> None:
    claim(tmp_path, clock, "theirs").take()
    holder(tmp_path / "log.duckdb.collect", host="elsewhere", pid=2**22 + 1)
    with pytest.raises(LogBusy, match="on elsewhere"):
        claim(tmp_path, clock).take()
    clock.later(STALE_S)
    assert claim(tmp_path, clock).take() is not None


@pytest.mark.skipif(sys.platform == "win32", reason="there, asking whether a process lives would end it")
def test_a_dead_process_is_not_waited_for(tmp_path: Path, clock: Watch) -> None:
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    claim(tmp_path, clock, "theirs").take()
    holder(tmp_path / "log.duckdb.collect", pid=gone.pid)
    assert claim(tmp_path, clock).take() is not None


def test_an_earlier_process_of_the_same_number_is_not_this_one(tmp_path: Path, clock: Watch) -> None:
    # a container that is started anew gives its first process the same number
    claim(tmp_path, clock, "before").take()
    assert claim(tmp_path, clock, "now").take() is not None
    with pytest.raises(LogBusy):
        claim(tmp_path, clock, "now").take()


def test_a_claim_that_cannot_be_read_is_nobodys(tmp_path: Path, clock: Watch) -> None:
    claim(tmp_path, clock, "theirs").take()
    for said in ("", "{", "[]", '{"session": 1}', '{"session":"a","pid":1,"host":"b","since":"","beat":"yesterday"}'):
        [path] = [p for p in (tmp_path / "log.duckdb.collect").iterdir() if p.suffix == ".json"]
        path.write_text(said)
        mine = claim(tmp_path, clock)
        mine.take()


def test_of_many_who_come_at_once_one_gets_it(tmp_path: Path, clock: Watch) -> None:
    got: list[str] = []
    refused: list[str] = []
    start = threading.Barrier(8)

    def come(session: str) -> None:
        start.wait()
        try:
            # one session: threads of one process share it, and are told apart by the claim alone
            claim(tmp_path, clock, "one").take()
        except LogBusy:
            refused.append(session)
        else:
            got.append(session)

    threads = [threading.Thread(target=come, args=(f"s{k}",)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(refused)) == (1, 7)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="whoever may do everything is refused nothing")
def test_a_folder_that_cannot_be_written_is_said_in_one_line(tmp_path: Path, clock: Watch) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(LogError, match="cannot note who is collecting"):
        claim(tmp_path, clock).take()
    tmp_path.chmod(0o700)


def test_a_file_in_the_place_of_the_folder_is_said_in_one_line(tmp_path: Path, clock: Watch) -> None:
    (tmp_path / "log.duckdb.collect").write_text("")
    with pytest.raises(LogError, match="cannot note who is collecting"):
        claim(tmp_path, clock).take()


# What was asked


def test_what_is_asked_is_noted_by_experiment_and_a_cut_line_is_left_out(tmp_path: Path, clock: Watch) -> None:
    mine = claim(tmp_path, clock, name="../../x; drop table")
    mine.take()
    mine.ask("x", ("p1", "a"), 0.5)
    mine.ask("x", ("p1", "a"), None)
    mine.ask("x", ("p\n2", "\ud800"), 0.25)
    mine.ask("y", ("p1", "a"), 0.125)
    [path] = (tmp_path / "log.duckdb.collect").glob("*.asked")
    with path.open("a") as file:
        file.write('["x","p3","a",0.')
    assert mine.asked("x") == {("p1", "a"): (0.5, None), ("p\n2", "\ud800"): (0.25,)}
    mine.release()
    again = claim(tmp_path, clock, name="../../x; drop table")
    again.take()
    assert again.asked("y") == {("p1", "a"): (0.125,)}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log.duckdb.collect"]


@given(
    st.dictionaries(
        st.tuples(st.sampled_from("pq"), st.sampled_from("ab")),
        st.tuples(st.lists(st.one_of(st.none(), st.floats(0, 10)), max_size=5), st.integers(0, 6)),
    )
)
def test_doubtful_calls_are_those_without_a_run_at_their_worst_cost(cells: dict[Any, Any]) -> None:
    asked = {cell: tuple(costs) for cell, (costs, _) in cells.items()}
    count, usd = doubtful(asked, {cell: n for cell, (_, n) in cells.items()})
    assert count == sum(max(0, len(costs) - n) for costs, n in cells.values())
    assert usd <= sum(cost or 0.0 for costs, _ in cells.values() for cost in costs) + 1e-9
    if all(n == 0 for _, n in cells.values()):
        assert usd == pytest.approx(sum(cost or 0.0 for costs, _ in cells.values() for cost in costs))
    if all(n >= len(costs) for costs, n in cells.values()):
        assert (count, usd) == (0, 0.0)


# In a collection


YES = {"kind": "exact", "answers": ["yes"]}


def quiz(n: int) -> Dataset:
    return Dataset.of([{"id": f"p{i}", "prompt": f"question {i}", "scorer": YES} for i in range(n)], name="quiz")


def test_a_second_collector_is_refused_before_it_asks_anything(tmp_path: Path, clock: Watch, sleeper: int) -> None:
    one = Scripted("yes")
    with Lab(tmp_path / "log.duckdb", fleet=fleet({"a": one})) as lab:
        refused: list[LogBusy] = []

        def second(headway: object) -> None:
            # the first one is at work: the same session is refused, and another collection is not
            with pytest.raises(LogBusy, match="in this session already") as no:
                collect(lab, quiz(2), ["a"], Order(), clock=clock)
            refused.append(no.value)

        collect(lab, quiz(2), ["a"], Order(), clock=clock, heard=lambda h: second(h) if h.done == 0 else None)
        assert len(refused) == 1
        assert len(one.requests) == 2
        folder = tmp_path / "log.duckdb.collect"
        assert [p.suffix for p in folder.iterdir() if p.suffix == ".json"] == []
        # another process is at work
        [name] = {p.stem for p in folder.iterdir() if p.suffix == ".asked"}
        (folder / f"{name}.json").write_text(
            json.dumps(
                Holder(
                    session="theirs",
                    pid=sleeper,
                    host=platform.node(),
                    since=clock.now().isoformat(),
                    beat=clock.now().isoformat(),
                ).__dict__
            )
        )
        with pytest.raises(LogBusy, match=f"process {sleeper}"):
            collect(lab, quiz(3), ["a"], Order(extend=True), clock=clock)
        assert len(one.requests) == 2
        clock.later(STALE_S)
        collect(lab, quiz(3), ["a"], Order(extend=True), clock=clock)
        assert len(one.requests) == 3


def test_calls_cut_off_by_a_kill_count_against_the_budget(tmp_path: Path) -> None:
    one = Scripted("yes")
    log = tmp_path / "log.duckdb"
    with Lab(log, fleet=fleet({"a": one}, max_output_tokens=5)) as lab:
        lab.collect(quiz(2), ["a"])
        [path] = (tmp_path / "log.duckdb.collect").glob("*.asked")
        # two more had been sent when the process was killed
        experiment = lab.log.query("select distinct experiment from runs")[0][0]
        with path.open("a") as file:
            for prompt_id in ("p2", "p3"):
                file.write(json.dumps([experiment, prompt_id, "a", 0.4]) + "\n")
        spent = lab.log.query("select sum(cost_usd) from runs")[0][0]
        heard: list[Any] = []
        with pytest.raises(Exception, match=r"after \$0.8 spent before"):
            lab.collect(quiz(4), ["a"], extend=True, budget_usd=0.8)
        found = lab.collect(quiz(4), ["a"], extend=True, budget_usd=0.81, heard=heard.append)
    assert heard[0].before_usd == pytest.approx(spent + 0.8)
    assert len(one.requests) == 4
    assert "2 calls were cut off by a kill; they count with their worst case, $0.8" in found.notes


def test_a_log_that_was_made_anew_knows_nothing_of_what_the_old_one_asked(tmp_path: Path) -> None:
    log = tmp_path / "log.duckdb"
    for _ in range(2):
        heard: list[Any] = []
        with Lab(log, fleet=fleet({"a": Scripted("yes")})) as lab:
            lab.collect(quiz(3), ["a"], budget_usd=1.0, heard=heard.append)
        assert heard[0].before_usd == 0.0
        for path in tmp_path.glob("log.duckdb*"):
            if path.is_file():
                path.unlink()
