"""Kills, torn and damaged files: what was acknowledged is there, or its loss is told."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from routelab.core.errors import LogUnreadable
from routelab.core.events import Failed, Unanswered
from routelab.store import Log, RowsMissing, rows, watermark
from routelab.store.spool import Spool
from routelab.testing.logs import a_run

Start = Callable[..., subprocess.Popen[str]]
CYCLES = 20

ACKNOWLEDGE = """
log = Log(path, flush_s=0.001)
name, dice = args[0], __import__("random").Random(int(args[0]))
for i in range(100_000):
    log.record(a_run(f"{name}-{i}"))
    if dice.random() < 0.3:
        log.flush()
        say(i + 1)
"""
# Ends at the n-th step of a write, as SQLite's tests do: after the rows, after the commit, after the watermark.
KILL_AT = """
import routelab.store.file as file
step, count = args[0], int(args[1])
def die(*_, **__): os.kill(os.getpid(), 9)
log = Log(path, flush_s=60.0)
for i in range(10): log.record(a_run(f"first-{i}"))
log.flush()
say("acknowledged")
if step == "inserted":
    write = file.tables.write
    def write_and_die(con, units):
        write(con, units); die()
    file.tables.write = write_and_die
elif step == "committed":
    file.LogFile._mark = die
elif step == "marked":
    keep = file.watermark.write
    def keep_and_die(*args):
        keep(*args); die()
    file.watermark.write = keep_and_die
for i in range(count): log.record(a_run(f"second-{i}"))
log.flush()
"""


def killed_at(step: str, path: Path, start: Start, count: int = 20) -> None:
    """Leave a log with ten acknowledged runs whose writer was killed at a step of writing `count` more."""
    process = start(KILL_AT, path, step, count)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "acknowledged"
    assert process.wait(timeout=30) == -9


def runs_in(log: Log) -> tuple[int, int]:
    """Return how many runs of the first and the second batch there are."""
    [found] = log.query(
        "select count(*) filter (run_id like 'first-%'), count(*) filter (run_id like 'second-%') from runs"
    )
    return found[0], found[1]


@pytest.mark.skipif(sys.platform == "win32", reason="no kill -9 here")
def test_twenty_kills_lose_no_acknowledged_row(tmp_path: Path, start: Start) -> None:
    path, dice = tmp_path / "log.duckdb", random.Random(5)
    acknowledged: dict[str, int] = {}
    for cycle in range(CYCLES):
        process = start(ACKNOWLEDGE, path, cycle)
        assert process.stdout is not None
        heard = [process.stdout.readline()]
        time.sleep(dice.uniform(0, 0.15))
        process.kill()
        rest, _ = process.communicate()
        heard += rest.splitlines()
        acknowledged[str(cycle)] = max(int(text) for text in heard if text.strip())
        with Log(path) as log:
            assert log.health.losses == ()
    with Log(path) as log:
        found = log.query("""
            select split_part(run_id, '-', 1), count(*), count(distinct run_id), max(split_part(run_id, '-', 2)::int) + 1
            from runs group by 1""")
        torn = log.query("""
            select count(*) from runs r where (select count(*) from events e where e.run_id = r.run_id) <> 6
                or (select count(*) from calls c where c.run_id = r.run_id) <> 2""")
    assert all(rows == ids == last for _, rows, ids, last in found)
    assert {who: rows >= acknowledged[who] for who, rows, _, _ in found} == dict.fromkeys(acknowledged, True)
    assert torn == [(0,)]


@pytest.mark.skipif(sys.platform == "win32", reason="no kill -9 here")
@pytest.mark.parametrize(("step", "second"), [("inserted", 0), ("committed", 20), ("marked", 20)])
def test_a_kill_at_any_step_of_a_write_leaves_all_of_the_batch_or_nothing(
    tmp_path: Path, start: Start, step: str, second: int
) -> None:
    path = tmp_path / "log.duckdb"
    killed_at(step, path, start)
    with Log(path) as log:
        assert runs_in(log) == (10, second)
        assert log.health.losses == ()
        log.record(a_run("after"))
        log.flush()
        mark = watermark.read(path)
        assert mark is not None
        assert mark.rows == {name: log.query(f"select count(*) from {name}")[0][0] for name in mark.rows}


@pytest.mark.skipif(sys.platform == "win32", reason="no kill -9 here")
def test_a_wal_cut_anywhere_opens_and_says_what_is_missing(tmp_path: Path, start: Start) -> None:
    path, dice = tmp_path / "log.duckdb", random.Random(1)
    killed_at("marked", path, start)
    whole = path.with_name("log.duckdb.wal").read_bytes()
    for n in range(12):
        copy = fresh_copy(path, tmp_path / f"cut-{n}")
        copy.with_name("log.duckdb.wal").write_bytes(whole[: dice.randrange(len(whole))])
        check_told(copy)


@pytest.mark.skipif(sys.platform == "win32", reason="no kill -9 here")
def test_a_flipped_bit_in_the_wal_sets_it_aside_and_says_what_is_missing(tmp_path: Path, start: Start) -> None:
    path, dice = tmp_path / "log.duckdb", random.Random(2)
    killed_at("marked", path, start)
    whole = path.with_name("log.duckdb.wal").read_bytes()
    kept = 0
    for n in range(24):
        copy = fresh_copy(path, tmp_path / f"flip-{n}")
        damaged = bytearray(whole)
        damaged[dice.randrange(len(whole))] ^= 1 << dice.randrange(8)
        copy.with_name("log.duckdb.wal").write_bytes(damaged)
        check_told(copy)
        aside = list(copy.parent.glob("log.duckdb.wal.corrupt-*"))
        assert [file.read_bytes() for file in aside] in ([], [bytes(damaged)])
        kept += len(aside)
    assert kept > 12


def fresh_copy(path: Path, folder: Path) -> Path:
    """Return a copy of the log and its watermark in a folder of its own."""
    folder.mkdir()
    for name in (path.name, f"{path.name}.mark"):
        shutil.copy(path.with_name(name), folder / name)
    return folder / path.name


def check_told(path: Path) -> None:
    """Check that the first batch is there, that what is missing of the second is told, and that the log works on."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", RowsMissing)
        log = Log(path)
    with log:
        first, second = runs_in(log)
        assert [str(w.message).removeprefix(f"{path}: ") for w in said] == [str(loss) for loss in log.health.losses]
        lost = sum(loss.rows.get("runs", 0) for loss in log.health.losses)
        assert (first, second + lost) == (10, 20)
        assert log.health.sound == (second == 20)
        log.record(a_run("after"))
        log.flush()
    with Log(path) as log:
        assert log.query("select count(*) from runs where run_id = 'after'") == [(1,)]
        assert log.health.losses == ()
        noted = log.query("select count(*) from meta where key = 'loss'")
        assert (noted[0][0] > 0) == bool(lost) or lost == 0


@pytest.mark.skipif(sys.platform == "win32", reason="no kill -9 here")
def test_a_read_meets_a_damaged_wal_as_a_write_does(tmp_path: Path, start: Start) -> None:
    path = tmp_path / "log.duckdb"
    log = Log(path)
    killed_at("marked", path, start)
    wal = path.with_name("log.duckdb.wal")
    damaged = bytearray(wal.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    wal.write_bytes(damaged)
    assert runs_in(log) == (10, 0)
    assert [loss.rows["runs"] for loss in log.health.losses] == [20]
    assert "20 of runs" in str(log.health)
    log.close()


def test_a_damaged_file_is_named_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    with Log(path) as log:
        for i in range(200):
            log.record(a_run(f"run-{i}"))
    damaged = bytearray(path.read_bytes())
    for at in range(0x1000, len(damaged), 97):
        damaged[at] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(LogUnreadable, match="is damaged"):
        Log(path)
    assert path.read_bytes() == bytes(damaged)


def test_a_wal_without_its_log_is_set_aside_and_not_taken_for_the_new_logs(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    path.with_name("log.duckdb.wal").write_bytes(b"of another file")
    with Log(path) as log:
        log.record(a_run())
        assert log.query("select count(*) from runs") == [(1,)]
    [stray] = tmp_path.glob("log.duckdb.wal.stray-*")
    assert stray.read_bytes() == b"of another file"


def test_a_watermark_of_another_log_accuses_nobody(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    with Log(path) as log:
        log.record(a_run())
    path.unlink()
    with Log(path) as log:
        assert log.health.sound
        assert log.query("select count(*) from runs") == [(0,)]


@pytest.mark.parametrize(
    "junk", [b"", b"{", b"[]", b'{"log": "x"}', b'{"log": "x", "rows": {"runs": "many"}}', b"\xff"]
)
def test_a_watermark_that_cannot_be_read_is_made_anew(tmp_path: Path, junk: bytes) -> None:
    path = tmp_path / "log.duckdb"
    Log(path).close()
    watermark.path_of(path).write_bytes(junk)
    with Log(path) as log:
        log.record(a_run())
        log.flush()
        assert log.health.sound
    mark = watermark.read(path)
    assert mark is not None
    assert mark.rows["runs"] == 1


REPAIR = """
import warnings
warnings.simplefilter("ignore")
sys.stdin.readline()
log = Log(path, flush_s=0.001)
for i in range(40):
    log.record(a_run(f"{args[0]}-{i}"))
    log.flush()
log.close()
say("done")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no kill -9 here")
def test_processes_that_meet_a_damaged_wal_together_repair_it_once_and_lose_nothing_more(
    tmp_path: Path, start: Start
) -> None:
    path = tmp_path / "log.duckdb"
    killed_at("marked", path, start)
    wal = path.with_name("log.duckdb.wal")
    damaged = bytearray(wal.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    wal.write_bytes(damaged)
    together = [start(REPAIR, path, f"p{i}") for i in range(3)]
    for process in together:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert [p.stdout.readline().strip() for p in together if p.stdout is not None] == ["done"] * 3
    with Log(path) as log:
        found = dict(log.query("select split_part(run_id, '-', 1), count(*) from runs group by 1"))
        assert log.query("select count(*) from meta where key = 'loss'") == [(1,)]
    assert found == {"first": 10, "p0": 40, "p1": 40, "p2": 40}
    assert len(list(tmp_path.glob("*.corrupt-*"))) == 1


def test_no_byte_on_disk_holds_a_key_that_an_error_message_quoted(tmp_path: Path) -> None:
    keys = ("sk-proj-Canary0123456789abcdef", "AIzaCanary0123456789abcdefghijklmnop", "Canary.Bearer-0123456789")
    run = a_run()
    events = tuple(
        Unanswered(model="m", provider="p", error="AuthFailed", message=f"Bearer {key}: {key}", retry=False)
        for key in keys
    )
    with Log(tmp_path / "log.duckdb") as log:
        log.record(
            replace(run, events=(*run.events, *events, Failed(stage="call", error="X", message=f"?key={keys[0]}")))
        )
        log.flush()
        aside = Spool(log.path, "other")
        aside.append([rows.of_run(replace(run, id="spooled", events=events[:2]))])
        aside.close()
    written = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"AuthFailed" in written
    assert not any(key.encode()[i : i + 12] in written for key in keys[:2] for i in range(len(key) - 11))
    assert b"Bearer ***" in written
