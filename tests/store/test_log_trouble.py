"""Expected trouble is one line that says what, where and the next move, and no row is lost to it."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from routelab.core.errors import LogBusy, LogError, LogUnreadable
from routelab.store import Log, rows, tables, trouble
from routelab.store.clock import SystemTime
from routelab.store.file import LogFile
from routelab.store.schema import TABLES, VERSION
from routelab.store.spool import Spool
from routelab.store.writer import Writer
from routelab.testing.logs import a_run

Start = Callable[..., subprocess.Popen[str]]


def refusal(path: Path) -> LogError:
    """Return the error that opening the path raises: one line, with a hint."""
    with pytest.raises(LogError) as caught:
        Log(path)
    assert "\n" not in caught.value.message
    assert caught.value.hint
    return caught.value


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    error = refusal(tmp_path / "no" / "log.duckdb")
    assert isinstance(error, LogUnreadable)
    assert error.message == f"the folder of the log is not there: {tmp_path / 'no'}"


def test_a_folder_is_no_log(tmp_path: Path) -> None:
    assert "is a folder" in refusal(tmp_path).message


@pytest.mark.parametrize("content", [b"hello", b"x" * 100_000, b"PAR1" * 10])
def test_a_file_that_is_not_duckdbs_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "log.duckdb"
    path.write_bytes(content)
    error = refusal(path)
    assert isinstance(error, LogUnreadable)
    assert "is not a DuckDB database" in error.message
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_a_sqlite_file_is_refused_without_asking_the_network_for_an_extension(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    con = sqlite3.connect(path)
    con.execute("create table runs (x)")
    con.commit()
    con.close()
    assert "is not a DuckDB database" in refusal(path).message


def test_somebody_elses_duckdb_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    with duckdb.connect(str(path)) as con:
        con.execute("create table meta (key varchar, value varchar)")
    assert "not a log of routelab" in refusal(path).message
    with duckdb.connect(str(path)) as con:
        con.execute("drop table meta")
    assert "not a log of routelab" in refusal(path).message


def test_an_empty_file_becomes_a_log(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    path.touch()
    with Log(path) as log:
        log.record(a_run())
        assert log.query("select count(*) from runs") == [(1,)]


def test_a_later_schema_is_refused_with_both_numbers(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    Log(path).close()
    with duckdb.connect(str(path)) as con:
        con.execute("insert into meta values ('schema', ?, '', null)", [str(VERSION + 1)])
    error = refusal(path)
    assert error.message == f"{path} has schema {VERSION + 1}, this routelab knows up to {VERSION}"


def test_an_earlier_schema_is_brought_up_one_version_at_a_time(tmp_path: Path) -> None:
    con = duckdb.connect(":memory:")
    con.execute("create table meta (key varchar, value varchar, session varchar, noted_at timestamp)")
    con.execute("insert into meta values ('schema', '0', '', null), ('log', 'x', '', null)")
    later = {v: (f"create table made_by_{v} (x integer)",) for v in range(1, VERSION)}
    tables.upgrade(con, 0, {0: ("create table runs (run_id varchar)",), **later})
    assert tables.identify(con, tmp_path) == (VERSION, "x")
    assert con.execute("select count(*) from runs").fetchall() == [(0,)]


ADDED: dict[int, dict[str, tuple[str, ...]]] = {
    1: {"scores": ("judge", "input_tokens", "output_tokens", "simulated")},
    2: {"calls": ("mean_logprob", "min_logprob")},
    3: {"answers": ("cache_namespace", "cache_text", "cache_label")},
    4: {"calls": ("template",)},
}
"""The columns that each version lacked, and the next one has."""


def of_version(path: Path, version: int) -> None:
    """Make a log as a version made it, with one run in it and nothing that came later."""
    with Log(path) as log:
        log.record(a_run("old"))
    with duckdb.connect(str(path)) as con:
        con.execute("drop view tokens_by_type")
        for lacking in range(4, version - 1, -1):
            for table, columns in ADDED[lacking].items():
                for column in columns:
                    con.execute(f"alter table {table} drop column {column}")
        con.execute("drop table templates")
        con.execute("drop table summaries")
        if version <= 3:
            con.execute("drop view cache_misses")
            con.execute("drop view cache_hits")
        con.execute("create or replace view spend_by_day as select 1 as day from calls")
        con.execute("delete from meta where key = 'schema'")
        con.execute("insert into meta values ('schema', ?, '', null)", [str(version)])


@pytest.mark.parametrize("version", ADDED)
def test_a_log_of_an_earlier_version_shows_todays_views_when_it_is_only_read(tmp_path: Path, version: int) -> None:
    path = tmp_path / "log.duckdb"
    of_version(path, version)
    with Log(path, read_only=True) as log:
        assert log.query("select count(*), count(quality), count(judge) from scores")[0][:2] == (1, 1)
        assert log.query("select sum(calls), sum(cost_usd) from spend_by_day") == [(2, 0.002)]
        assert log.query("select task, template, model, calls, input_tokens from tokens_by_type") == [
            ("math", "", "small", 2, 12)
        ]
        assert log.query("select count(*) from cache_misses") == [(1,)]
        assert log.templates() == []
    with duckdb.connect(str(path)) as con:
        assert tables.identify(con, path)[0] == version


@pytest.mark.parametrize("version", ADDED)
def test_a_log_of_an_earlier_version_is_upgraded_when_it_is_written(tmp_path: Path, version: int) -> None:
    path = tmp_path / "log.duckdb"
    of_version(path, version)
    with Log(path) as log:
        log.record(a_run("new"))
        judges = dict(log.query("select run_id, judge from scores"))
        assert judges == {"new": "", "old": None if version == 1 else ""}
        assert log.query("select sum(calls) from spend_by_day") == [(4,)]
        assert log.query("select calls from tokens_by_type") == [(4,)]
        assert log.add_template("qa", {"text": "{{ question }}"}) == 1
    with duckdb.connect(str(path)) as con:
        assert tables.identify(con, path)[0] == VERSION
        assert con.execute("select count(*) from cache_misses").fetchall() == [(2,)]
        for table in TABLES:
            assert set(con.execute(f"select * from {table}").fetchdf().columns) == set(TABLES[table].columns)


@pytest.mark.parametrize("version", ADDED)
def test_a_log_of_an_earlier_version_can_be_merged_into_a_new_one(tmp_path: Path, version: int) -> None:
    of_version(tmp_path / "old.duckdb", version)
    with Log(tmp_path / "log.duckdb") as log:
        log.record(a_run("new"))
        log.merge(tmp_path / "old.duckdb")
        judges = dict(log.query("select run_id, judge from scores"))
        assert judges == {"new": "", "old": None if version == 1 else ""}


@pytest.fixture
def unprivileged() -> Iterator[None]:
    """Let the test run as a user whom permissions bind; root is not bound by any."""
    if not hasattr(os, "seteuid"):
        pytest.skip("no users here")
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


@pytest.fixture
def open_folder(tmp_path: Path) -> Iterator[Path]:
    """Return a folder that every user may enter and write to."""
    for folder in [tmp_path, *list(tmp_path.parents)[:3]]:
        if folder.stat().st_uid == os.geteuid():
            folder.chmod(folder.stat().st_mode | 0o011)
    inside = tmp_path / "logs"
    inside.mkdir()
    inside.chmod(0o777)
    yield inside
    inside.chmod(0o777)


@pytest.fixture
def closed_folder(open_folder: Path) -> Path:
    """Return a folder that may be read and not written."""
    open_folder.chmod(0o555)
    return open_folder


def test_a_folder_that_may_not_be_written_is_named(closed_folder: Path, unprivileged: None) -> None:
    error = refusal(closed_folder / "log.duckdb")
    assert isinstance(error, LogUnreadable)
    assert "cannot be written" in error.message
    assert list(closed_folder.iterdir()) == []


def test_a_log_that_may_only_be_read_is_named(open_folder: Path, unprivileged: None) -> None:
    path = open_folder / "log.duckdb"
    Log(path).close()
    path.chmod(stat.S_IRUSR)
    assert "cannot be written" in refusal(path).message


FULL = """
import resource
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = Log(path, flush_s=0.01)
log.record(a_run("before", text="x"))
log.flush()
room = os.path.getsize(path) + 200_000
resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
for i in range(40): log.record(a_run(f"full-{i}", text=os.urandom(100_000).hex()))
try:
    log.flush()
    say("flushed")
except LogError as error:
    say(error.message)
say(log.query("select count(*) from runs")[0][0], log.health.pending > 0)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.flush()
say(log.health.pending, log.health.sound, log.query("select count(*) from runs")[0][0])
log.close()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE")
def test_a_full_disk_is_said_and_its_rows_are_written_when_there_is_room_again(tmp_path: Path, start: Start) -> None:
    process = start(FULL, tmp_path / "log.duckdb")
    said, _ = process.communicate(timeout=60)
    first, second, third = said.splitlines()
    assert "the disk is full" in first
    assert second == "41 True"
    assert third == "0 True 41"
    with Log(tmp_path / "log.duckdb") as log:
        assert log.query("select count(*), count(distinct run_id) from runs") == [(41, 41)]


def test_a_log_that_is_deleted_under_way_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    with Log(path) as log:
        log.record(a_run("one"))
        log.flush()
        path.unlink()
        log.record(a_run("two"))
        assert log.query("select run_id from runs") == [("two",)]


def test_a_log_whose_folder_is_deleted_under_way_keeps_its_rows_in_memory_and_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "sub"
    folder.mkdir()
    log = Log(folder / "log.duckdb")
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    log.record(a_run())
    with pytest.raises(LogUnreadable):
        log.flush()
    assert log.health.pending > 0
    assert not log.health.sound
    with pytest.raises(LogUnreadable):
        log.close()
    folder.mkdir()
    log.close()
    with Log(folder / "log.duckdb") as again:
        assert again.query("select run_id from runs") == [("run-1",)]


def test_one_odd_row_is_kept_beside_the_log_and_holds_up_no_other(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    units = [rows.of_run(a_run(f"run-{i}")) for i in range(9)]
    odd = replace(
        units[4], rows={**units[4].rows, "scores": (("not", "a", "row", *range(len(TABLES["scores"].columns) - 3)),)}
    )
    file = LogFile(path, session="s", clock=SystemTime())
    writer = Writer(file, Spool(path, "s"), flush_s=60.0, flush_rows=1000)
    writer.owners.add("test")
    writer.put([*units[:4], odd, *units[5:]])
    writer.flush(10.0)
    health = writer.health()
    assert (health.pending, health.refused, health.sound) == (0, len(odd), False)
    assert "a row is refused" in str(health)
    writer.leave("test")
    writer.join(10.0)
    with Log(path) as log:
        assert log.query("select count(*) from runs") == [(8,)]
    [kept] = (tmp_path / "log.duckdb.spool").glob("*.refused")
    assert '"run-4"' in kept.read_text()


class Broken(LogFile):
    """A file with a bug."""

    def write(self, units: object, *, patience_s: float | None = None) -> int:
        """Meet the bug."""
        raise ZeroDivisionError("bug")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_bug_in_the_writer_is_heard_of_and_loses_no_row(tmp_path: Path) -> None:
    writer = Writer(Broken(tmp_path / "l", session="s", clock=SystemTime()), None, flush_s=60.0, flush_rows=1000)
    writer.put([rows.of_run(a_run())])
    for _ in range(2):
        with pytest.raises(LogError, match="met a bug: ZeroDivisionError"):
            writer.flush(10.0)
    assert len(writer.pending()) == 1
    for thread in threading.enumerate():
        if thread.name == "routelab-log":
            thread.join(10.0)


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        ("Could not set lock on file: Conflicting lock is held in x (PID 77).", LogBusy, "held by process PID 77"),
        ("The process cannot access the file because it is being used by another process.", LogBusy, "another process"),
        ("Can't open a connection to same database file with a different configuration", LogBusy, None),
        ('Failure while replaying WAL file "x": Corrupt WAL file', trouble.WalDamaged, "wal is damaged"),
        ("Corrupt database file: computed checksum 1 does not match", LogUnreadable, "is damaged"),
        ('The file "x" exists, but it is not a valid DuckDB database file!', LogUnreadable, "is not a DuckDB database"),
        ('Cannot open file "x": Permission denied', LogUnreadable, "cannot be written"),
        ('Cannot open file "x": Read-only file system', LogUnreadable, "cannot be written"),
        ('Could not write file "x": No space left on device', LogError, "the disk is full"),
        (
            "Trying to read a database file with version number 99, but we can only read 64",
            LogUnreadable,
            "newer DuckDB",
        ),
        ('Could not read from file "x": Is a directory', LogUnreadable, "is a folder"),
        ("something new\nwith two lines", LogError, "something new"),
    ],
)
def test_what_duckdb_says_becomes_one_line_with_a_next_move(
    tmp_path: Path, text: str, kind: type[LogError], says: str | None
) -> None:
    error = trouble.mapped(duckdb.IOException(f"IO Error: {text}"), tmp_path / "log.duckdb")
    assert isinstance(error, kind) or says is None
    assert says is None or says in error.message
    assert "\n" not in error.message
    assert error.hint


def test_an_unknown_content_policy_is_refused() -> None:
    with pytest.raises(LogError, match="content: unknown 'some'"):
        Log(":memory:", content="some")  # type: ignore[arg-type]


def test_a_closed_log_takes_no_more_rows(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.duckdb")
    log.close()
    with pytest.raises(LogError, match="is closed"):
        log.record(a_run())


def test_a_log_opened_for_reading_leaves_the_folder_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    with Log(path) as log:
        log.record(a_run())
    (tmp_path / "log.duckdb.mark").unlink()
    before = path.read_bytes()
    with Log(path, read_only=True) as log:
        assert log.query("select run_id from runs") == [("run-1",)]
        with pytest.raises(LogError, match="open for reading only"):
            log.record(a_run("run-2"))
        with pytest.raises(LogError, match="open for reading only"):
            log.merge(path)
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (before, [path])


def test_a_log_opened_for_reading_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(LogUnreadable, match="there is no log at"):
        Log(tmp_path / "log.duckdb", read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_one_process_reads_and_writes_a_log_at_the_same_time(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    with Log(path, flush_s=0.001) as log, Log(path, read_only=True) as reader:
        for i in range(30):
            log.record(a_run(f"run-{i}"))
            assert reader.query("select count(*) from runs")[0][0] <= i + 1
        log.flush()
        assert reader.query("select count(*) from runs") == [(30,)]


def test_a_log_in_a_read_only_folder_can_be_read(open_folder: Path, unprivileged: None) -> None:
    path = open_folder / "log.duckdb"
    with Log(path) as log:
        log.record(a_run())
    path.chmod(0o444)
    with Log(path, read_only=True) as log:
        assert log.query("select run_id from runs") == [("run-1",)]
