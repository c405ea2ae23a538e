"""The shelf: which answers a log remembers, in memory, and up to date without being read again and again."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from routelab.core.events import Remembered
from routelab.core.run import Run
from routelab.store import Log
from routelab.store import shelf as shelves
from routelab.testing.logs import STARTED_AT, a_run


def remembered(name: str, *, after_s: float = 0.0, label: str = "", namespace: str = "room") -> Run:
    run = a_run(name)
    events = [e for e in run.events if not isinstance(e, Remembered)]
    kept = [
        Remembered(cache="exact", key="the key", label=label),
        Remembered(cache="semantic", key=namespace, label=label),
    ]
    began = STARTED_AT + timedelta(seconds=after_s)
    return Run(id=name, prompt=run.prompt, started_at=began, events=(*events, *kept))


@pytest.fixture(params=["file", "memory"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    with Log(tmp_path / "log.duckdb" if request.param == "file" else ":memory:") as opened:
        yield opened


def test_what_is_recorded_is_there_at_once_and_the_latest_answers(log: Log) -> None:
    log.shelf.sync()
    for name, after_s in (("late", 5.0), ("early", 1.0)):
        log.record(remembered(name, after_s=after_s))
    log.shelf.sync()
    newest = log.shelf.newest("the key")
    assert newest is not None
    assert newest.run_id == "late"
    assert [p.run_id for p in log.shelf.within("room")] == ["late", "early"]
    assert [p.run_id for p in log.shelf.within("room", 1)] == ["early"]
    assert (log.shelf.newest("another"), log.shelf.within("elsewhere")) == (None, [])


def test_nothing_is_noted_twice_when_the_file_is_read(tmp_path: Path) -> None:
    with Log(tmp_path / "log.duckdb") as log:
        log.record(remembered("one"))
        log.flush()
        log.shelf.sync()
        log.record(remembered("two"))
        log.flush()
        log.shelf._seen = None  # as if another process had written
        log.shelf.sync()
        assert [p.run_id for p in log.shelf.within("room")] == ["one", "two"]


def test_a_refused_answer_is_not_on_the_shelf(log: Log) -> None:
    run = a_run("refused")
    events = [e for e in run.events if not isinstance(e, Remembered)]
    refused = Remembered(cache="exact", key="the key", refused="it rhymes")
    log.record(Run(id="refused", prompt=run.prompt, started_at=STARTED_AT, events=(*events, refused)))
    log.flush()
    assert log.shelf.newest("the key") is None
    assert log.query("select count(*) from answers where cache_key is not null") == [(0,)]


def test_forgetting_is_by_time_and_by_label(log: Log) -> None:
    log.record(remembered("one", label="a"))
    place = log.shelf.newest("the key")
    assert place is not None
    assert not log.shelf.forgotten(place.started_at, "a")
    log.forget("b")
    assert log.shelf.newest("the key") == place
    log.forget("a")
    assert log.shelf.newest("the key") is None
    later = log._clock.now() + timedelta(seconds=1)
    assert not log.shelf.forgotten(later, "a")
    assert log.query("select value from meta where key = 'forgotten' order by value") == [("a",), ("b",)]


def test_forgetting_holds_for_the_next_who_opens_the_file(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    with Log(path) as log:
        log.record(remembered("one"))
        log.forget()
    with Log(path) as log:
        log.shelf.sync()
        assert log.shelf.newest("the key") is None


def test_a_file_that_another_one_replaced_is_read_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelves, "AGAIN_S", 0.0)
    for name in ("one", "two"):
        with Log(tmp_path / f"{name}.duckdb") as log:
            log.record(remembered(name))
    with Log(tmp_path / "one.duckdb") as log:
        log.shelf.sync()
        assert [p.run_id for p in log.shelf.within("room")] == ["one"]
        (tmp_path / "two.duckdb").replace(tmp_path / "one.duckdb")
        log.shelf.sync()
        assert [p.run_id for p in log.shelf.within("room")] == ["two"]


def test_a_file_that_cannot_be_read_leaves_what_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelves, "AGAIN_S", 0.0)
    path = tmp_path / "log.duckdb"
    with Log(path) as log:
        log.record(remembered("one"))
        log.flush()
        log.shelf.sync()
        whole = path.read_bytes()
        path.write_bytes(b"no database")
        log.shelf.sync()
        assert log.shelf.trouble is not None
        assert [p.run_id for p in log.shelf.within("room")] == ["one"]
        path.write_bytes(whole)
        log.shelf.sync()
        assert log.shelf.trouble is None


def taught(name: str, entry: str, *, right: bool = True, similarity: float = 0.9, after_s: float = 0.0) -> Run:
    run = a_run(name)
    events = [e for e in run.events if not isinstance(e, Remembered)]
    found = Remembered(
        cache="semantic",
        key="room",
        refused="the nearest entry gives this answer already" if right else "",
        learned=right,
        similarity=similarity,
        entry=entry,
    )
    return Run(id=name, prompt=run.prompt, started_at=STARTED_AT + timedelta(seconds=after_s), events=(*events, found))


def test_what_runs_found_out_about_an_entry_is_on_the_shelf_here_and_in_the_next_process(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    with Log(path) as log:
        log.record(remembered("one"))
        log.record(taught("right", "one"))
        log.record(taught("wrong", "one", right=False, similarity=0.7))
        here = log.shelf.lessons("room")
        log.flush()
        log.shelf.renew()
        log.shelf.sync()
        assert log.shelf.lessons("room") == here
    with Log(path) as log:
        log.shelf.sync()
        assert log.shelf.lessons("room") == here
        assert [(e.run_id, e.entry, e.similarity, e.right, e.label) for e in here] == [
            ("right", "one", 0.9, True, ""),
            ("wrong", "one", 0.7, False, ""),
        ]
        assert log.shelf.lessons("room", 1) == here[1:]
        assert log.shelf.lessons("elsewhere") == []
        # What the entry says already is no entry of its own.
        assert [p.run_id for p in log.shelf.within("room")] == ["one", "wrong"]


def test_what_another_log_forgot_stays_forgotten_when_it_is_merged(tmp_path: Path) -> None:
    with Log(tmp_path / "theirs.duckdb") as log:
        log.record(remembered("one", label="a"))
        log.forget("a")
    with Log(tmp_path / "mine.duckdb") as log:
        log.record(remembered("mine"))
        log.shelf.sync()
        taken, again = (log.merge(tmp_path / "theirs.duckdb") for _ in range(2))
        assert (taken["answers"], taken["meta"]) == (1, 1)
        assert not any(again.values())
        log.shelf.sync()
        places = {p.run_id: log.shelf.forgotten(p.started_at, p.label) for p in log.shelf.within("room")}
        assert places == {"mine": False, "one": True}
        assert log.query("select value from meta where key = 'forgotten'") == [("a",)]
        assert log.query("select count(*) from meta where key = 'log'") == [(1,)]


def test_what_is_merged_is_on_the_shelf_at_once(tmp_path: Path) -> None:
    with Log(tmp_path / "theirs.duckdb") as log:
        log.record(remembered("one"))
    with Log(tmp_path / "mine.duckdb") as log:
        log.record(remembered("mine"))
        log.flush()
        log.shelf.sync()
        log.merge(tmp_path / "theirs.duckdb")
        log.shelf.sync()
        assert [p.run_id for p in log.shelf.within("room")] == ["mine", "one"]
