"""Several processes, threads and logs on one file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from routelab.core.errors import LogBusy, LogError
from routelab.store import Log, rows, spool
from routelab.store.spool import Spool
from routelab.testing.logs import STARTED_AT, a_run

Start = Callable[..., subprocess.Popen[str]]

RECORD = """
log = Log(path, flush_s=0.02)
say("open")
name, count = args[0], int(args[1])
for i in range(count):
    log.record(a_run(f"{name}-{i}"))
    if i % 20 == 0:
        time.sleep(0.02)
log.close()
say("done")
"""
ACKNOWLEDGE = """
log = Log(path, flush_s=0.02)
for i in range(100_000):
    log.record(a_run(f"{args[0]}-{i}"))
    if i % 5 == 4:
        log.flush()
        say(i + 1)
"""
HOLD = """
import duckdb
con = duckdb.connect(path)
say("held")
sys.stdin.readline()
con.close()
say("free")
sys.stdin.readline()
"""


def line(process: subprocess.Popen[str]) -> str:
    """Return what the process says next."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str]) -> None:
    """Let the process go on."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def wait_for(claim: Callable[[], bool], most_s: float = 20.0) -> None:
    """Return as soon as the claim holds."""
    until = time.monotonic() + most_s
    while not claim():
        assert time.monotonic() < until, "it did not come true"
        time.sleep(0.02)


def test_two_processes_write_a_thousand_runs_while_a_third_is_killed(tmp_path: Path, start: Start) -> None:
    path = tmp_path / "log.duckdb"
    writers = [start(RECORD, path, name, 500) for name in ("one", "two")]
    victim = start(ACKNOWLEDGE, path, "victim")
    acknowledged = 0
    for _ in range(3):
        acknowledged = int(line(victim))
    victim.kill()
    assert [(line(w), line(w)) for w in writers] == [("open", "done")] * 2
    with Log(path) as log:
        found = log.query(
            "select split_part(run_id, '-', 1) as who, count(*), count(distinct run_id) from runs group by 1"
        )
        kept = {who: (rows, ids) for who, rows, ids in found}
        whole = log.query("select count(*) from calls")
    assert kept["one"] == kept["two"] == (500, 500)
    assert kept["victim"][0] == kept["victim"][1] >= acknowledged
    assert whole == [(2 * sum(rows for rows, _ in kept.values()),)]


def test_a_file_held_by_somebody_else_stops_nobody_and_loses_nothing(tmp_path: Path, start: Start) -> None:
    path = tmp_path / "log.duckdb"
    Log(path).close()
    other = start(HOLD, path)
    assert line(other) == "held"
    with Log(path, lock_s=0.1, flush_s=0.02) as log:
        log.record(a_run())
        log.flush()
        health = log.health
        assert (health.holder, health.pending, health.spooled) == (other.pid, health.spooled, health.pending)
        assert health.pending > 0
        with pytest.raises(LogBusy, match=rf"held by process PID {other.pid}"):
            log.query("select 1")
        tell(other)
        assert line(other) == "free"
        wait_for(lambda: log.health.pending == 0)
        assert log.query("select run_id from runs") == [("run-1",)]
        assert log.health.sound
    assert not (tmp_path / "log.duckdb.spool").exists()


def test_rows_that_a_session_could_not_write_are_taken_in_by_the_next_one_once(tmp_path: Path, start: Start) -> None:
    path, spool = tmp_path / "log.duckdb", tmp_path / "log.duckdb.spool"
    Log(path).close()
    other = start(HOLD, path)
    assert line(other) == "held"
    log = Log(path, lock_s=0.1)
    for i in range(30):
        log.record(a_run(f"run-{i}"))
    log.rate("run-3", 1.0, "good")
    log.close()
    assert len(list(spool.glob("*.jsonl"))) == 1
    shutil.copytree(spool, tmp_path / "copy")
    tell(other)
    assert line(other) == "free"
    for _ in range(2):
        with Log(path) as again:
            found = again.query(
                "select (select count(*) from runs), (select count(*) from calls), (select count(*) from ratings)"
            )
            assert found == [(30, 60, 1)]
        assert not spool.exists()
        shutil.copytree(tmp_path / "copy", spool)


def test_a_spool_line_cut_short_by_a_crash_is_left_out_and_the_others_are_taken_in(
    tmp_path: Path, start: Start
) -> None:
    path, spool = tmp_path / "log.duckdb", tmp_path / "log.duckdb.spool"
    Log(path).close()
    other = start(HOLD, path)
    assert line(other) == "held"
    log = Log(path, lock_s=0.1)
    log.record(a_run("whole"))
    log.record(a_run("torn"))
    log.close()
    tell(other)
    assert line(other) == "free"
    [file] = spool.glob("*.jsonl")
    lines = file.read_bytes().splitlines(keepends=True)
    torn = next(i for i, text in enumerate(lines) if b'"torn"' in text and b'"events"' in text)
    file.write_bytes(b"".join(lines[:torn]) + lines[torn][:200])
    with Log(path) as again:
        assert again.query("select run_id from runs") == [("whole",)]


def test_nobody_takes_in_the_spool_of_a_session_that_lives(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    Log(path).close()
    units = [rows.of_run(a_run("one")), rows.of_vector("e", "h", np.ones(3, np.float32), added_at=STARTED_AT)]
    living = Spool(path, "living")
    living.append(units)
    assert spool.left_behind(path) == []
    with Log(path) as log:
        assert log.query("select count(*) from runs") == [(0,)]
    living.close()
    [file] = spool.left_behind(path)
    assert spool.read(file) == units
    with Log(path) as log:
        assert log.query("select run_id from runs") == [("one",)]
        assert {k: list(v) for k, v in log.get_many("e", ["h"]).items()} == {"h": [1.0, 1.0, 1.0]}
    assert spool.left_behind(path) == []


def test_two_logs_on_one_path_in_one_process_share_a_writer(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    first = Log(tmp_path / "log.duckdb")
    second = Log(tmp_path / "sub" / ".." / "log.duckdb")
    assert first.session == second.session
    first.record(a_run("one"))
    second.record(a_run("two"))
    assert first.query("select count(*) from runs") == second.query("select count(*) from runs") == [(2,)]
    first.close()
    second.record(a_run("three"))
    assert second.query("select count(*) from runs") == [(3,)]
    second.close()


def test_a_log_opened_again_after_it_was_closed_writes_on(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    closed = []
    for i in range(5):
        log = Log(path)
        log.record(a_run(f"run-{i}"))
        log.close()
        log.close()
        closed.append(log)
    with Log(path) as log:
        assert log.query("select count(*), count(distinct session) from runs") == [(5, 5)]


def test_a_closed_log_leaves_no_thread_and_no_lock(tmp_path: Path) -> None:
    before = threading.active_count()
    with Log(tmp_path / "log.duckdb") as log:
        log.record(a_run())
        log.query("select 1")
    with Log(":memory:") as log:
        log.record(a_run())
    assert threading.active_count() == before
    duckdb.connect(str(tmp_path / "log.duckdb"), config={"threads": 1}).close()


def test_a_dropped_log_writes_its_rows_and_ends_its_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    log = Log(tmp_path / "log.duckdb", flush_s=60.0)
    log.record(a_run())
    del log
    wait_for(lambda: threading.active_count() == before)
    with Log(tmp_path / "log.duckdb") as log:
        assert log.query("select run_id from runs") == [("run-1",)]


def test_a_process_that_ends_without_closing_loses_nothing(tmp_path: Path, start: Start) -> None:
    path = tmp_path / "log.duckdb"
    script = "log = Log(path, flush_s=60.0, flush_rows=10**6)\nfor i in range(10): log.record(a_run(str(i)))\n"
    assert start(script, path).wait(timeout=30) == 0
    with Log(path) as log:
        assert log.query("select count(*) from runs") == [(10,)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("path", ["log.duckdb", ":memory:"])
def test_a_fork_takes_none_of_its_parents_rows_and_writes_its_own(tmp_path: Path, path: str) -> None:
    log = Log(path if path == ":memory:" else tmp_path / path, flush_s=60.0)
    log.record(a_run("parent"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of any fork with threads
        child = os.fork()
    if child == 0:
        code = 1
        try:
            log.record(a_run("child"))
            log.flush()
            code = 0 if ("child",) in log.query("select run_id from runs") else 2
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    expected = [("child",), ("parent",)] if path != ":memory:" else [("parent",)]
    assert log.query("select run_id from runs order by run_id") == expected
    log.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_of_multiprocessing_that_just_ends_loses_nothing(tmp_path: Path, start: Start) -> None:
    path = tmp_path / "log.duckdb"
    script = """
import multiprocessing
log = Log(path, flush_s=60.0)
fork = multiprocessing.get_context("fork")
children = [fork.Process(target=log.record, args=(a_run(f"child-{i}"),)) for i in range(3)]
for child in children: child.start()
for child in children: child.join()
"""
    assert start(script, path).wait(timeout=30) == 0
    with Log(path) as log:
        assert log.query("select count(*) from runs") == [(3,)]


def test_a_connection_of_the_users_own_is_named_and_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    log = Log(path, lock_s=0.1)
    own = duckdb.connect(str(path))
    log.record(a_run())
    log.flush()
    with pytest.raises(LogBusy, match=r"in this very process .* with duckdb\.connect"):
        log.query("select 1")
    assert own.execute("select count(*) from runs").fetchall() == [(1,)]
    own.close()
    assert log.query("select count(*) from runs") == [(1,)]
    log.close()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX locks")
def test_opening_a_log_leaves_the_locks_of_the_users_own_connection_alone(tmp_path: Path, start: Start) -> None:
    path = tmp_path / "log.duckdb"
    Log(path).close()
    own = duckdb.connect(str(path))
    Log(path, lock_s=0.1).close()
    other = start(
        "import duckdb\ntry:\n    duckdb.connect(path)\n    say('in')\nexcept duckdb.IOException:\n    say('out')", path
    )
    assert line(other) == "out"
    own.close()


INTERRUPT = """
import random
class Stop(KeyboardInterrupt): pass
armed = False
def ring(*_):
    if armed:
        raise Stop
signal.signal(signal.SIGALRM, ring)
log = Log(path, flush_s=0.005)
sure, tries, hits, dice = [], 0, 0, random.Random(int(args[0]))
while tries < 150:
    tries += 1
    name = f"run-{tries}"
    try:
        armed = True
        signal.setitimer(signal.ITIMER_REAL, dice.uniform(0.0001, 0.02))
        log.record(a_run(name))
        sure.append(name)
        if dice.random() < 0.5: log.flush()
        if dice.random() < 0.3: log.query("select count(*) from runs")
        time.sleep(0.02)
    except Stop:
        hits += 1
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
log.flush()
found = {row[0] for row in log.query("select run_id from runs")}
log.close()
say(hits > 100, set(sure) <= found, log.health.sound)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs SIGALRM")
def test_interrupting_a_cell_breaks_neither_the_writer_nor_a_later_query(tmp_path: Path, start: Start) -> None:
    process = start(INTERRUPT, tmp_path / "log.duckdb", 1)
    assert line(process) == "True True True"
    assert process.wait(timeout=20) == 0


def test_merging_another_log_twice_adds_its_rows_once(tmp_path: Path) -> None:
    for name in ("mine", "theirs"):
        with Log(tmp_path / f"{name}.duckdb") as log:
            log.record(a_run(name))
            log.record(a_run("both"))
            log.rate(name, 1.0)
            log.put_many("e", {})
    with Log(tmp_path / "mine.duckdb") as log:
        taken = log.merge(tmp_path / "theirs.duckdb")
        again = log.merge(tmp_path / "theirs.duckdb")
        found = log.query(
            "select (select count(*) from runs), (select count(*) from calls), (select count(*) from ratings)"
        )
    assert {k: n for k, n in taken.items() if n} == {
        "events": 6, "calls": 2, "scores": 1, "answers": 1, "runs": 1, "ratings": 1
    }  # fmt: skip
    assert not any(again.values())
    assert found == [(3, 6, 2)]


LEAVE = """
import threading
log = Log(path)
log.record(a_run())
log.flush()
slow = "select count(*) from range(1000000000000) a, range(1000000) b"
threading.Thread(target=lambda: log.query(slow), daemon=True).start()
time.sleep(0.3)
"""


@pytest.mark.parametrize("path", ["log.duckdb", ":memory:"])
def test_a_process_ends_in_order_while_a_query_runs(tmp_path: Path, start: Start, path: str) -> None:
    process = start(LEAVE, Path(path) if path == ":memory:" else tmp_path / path)
    assert process.wait(timeout=20) == 0


@pytest.mark.parametrize("said", ["", "IO Error: Could not read enough bytes from file"])
def test_a_log_that_another_process_wrote_while_it_was_opened_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    path, opened, real = tmp_path / "log.duckdb", [], duckdb.connect
    Log(path).close()
    log = Log(path, flush_s=60.0)

    def connect(*args: Any, **given: Any) -> Any:
        # DuckDB has read the header when the other process commits, and locks the file after that.
        opened.append(args)
        con = real(*args, **given)
        if len(opened) == 1:
            later = path.stat().st_mtime_ns + 1_000_000_000
            os.utime(path, ns=(later, later))
            if said:
                con.close()
                raise duckdb.IOException(said)
        return con

    monkeypatch.setattr(duckdb, "connect", connect)
    log.record(a_run())
    log.flush()
    assert len(opened) == 2
    assert log.query("select count(*) from runs") == [(1,)]
    assert log.health.sound
    log.close()


def test_damage_is_told_at_once_where_nobody_wrote_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    Log(path).close()
    path.write_bytes(path.read_bytes()[:12288])
    with pytest.raises(LogError, match="Could not read enough bytes"):
        Log(path)
