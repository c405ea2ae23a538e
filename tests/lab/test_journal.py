"""Nothing more is asked while a finished answer is not safe."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from routelab.core.errors import LogBusy, LogError
from routelab.core.values import Reply, Request
from routelab.lab import journal
from routelab.lab.collect import Order, collect
from routelab.lab.datasets import Dataset
from routelab.lab.session import Lab
from routelab.store import spool
from routelab.store.spool import Spool
from routelab.testing import Scripted, fleet


def quiz(n: int) -> Dataset:
    return Dataset.of([f"question {i}" for i in range(n)], name="quiz")


def test_a_full_disk_stops_the_asking_and_room_lets_it_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Scripted("yes")
    whole = Spool.append

    def full(self: Spool, units: Any) -> None:
        if len(one.requests) >= 6:
            raise OSError(28, "No space left on device")
        whole(self, units)

    with Lab(tmp_path / "log.duckdb", fleet=fleet({"a": one})) as lab:
        with monkeypatch.context() as room:
            room.setattr(Spool, "append", full)
            with pytest.raises(LogError):
                lab.collect(quiz(40), ["a"], jobs=2)
        # the one that could not be kept, and the one that was under way beside it
        assert len(one.requests) in (6, 7)
        found = lab.collect(quiz(40), ["a"], jobs=2)
        assert not found.failed.any()
        assert found.notes == ()
        assert lab.log.query("select count(distinct prompt_id) from runs")[0][0] == 40
    assert len(one.requests) <= 42


def test_a_finished_answer_is_on_disk_before_the_next_question(tmp_path: Path) -> None:
    log = tmp_path / "log.duckdb"
    seen: list[int] = []

    class Looks(Scripted):
        async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
            kept = [
                line
                for path in (tmp_path / "log.duckdb.spool").glob("*-kept-*.jsonl")
                for line in path.read_text().splitlines()
            ]
            seen.append(sum(json.loads(line)["table"] == "runs" for line in kept))
            return await super().complete(request, emit)

    with Lab(log, fleet=fleet({"a": Looks("yes")})) as lab:
        lab.collect(quiz(6), ["a"], jobs=1)
        assert seen == [0, 1, 2, 3, 4, 5]
        assert not (tmp_path / "log.duckdb.spool").exists()


def test_the_journal_starts_anew_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "ROTATE", 3)
    started: list[str] = []
    begin = spool._started

    def noted(path: Path) -> Any:
        started.append(path.name)
        return begin(path)

    monkeypatch.setattr(spool, "_started", noted)
    with Lab(tmp_path / "log.duckdb", fleet=fleet({"a": Scripted("yes")})) as lab:
        lab.collect(quiz(10), ["a"], jobs=1)
        assert len(started) == 4
        assert lab.log.query("select count(*), count(distinct run_id) from runs")[0] == (10, 10)
    assert not (tmp_path / "log.duckdb.spool").exists()


def test_what_a_killed_process_left_behind_is_taken_in(tmp_path: Path) -> None:
    log, one = tmp_path / "log.duckdb", Scripted("yes")
    kept: list[bytes] = []

    class Copies(Scripted):
        async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
            kept[:] = [path.read_bytes() for path in (tmp_path / "log.duckdb.spool").glob("*-kept-*.jsonl")]
            return await super().complete(request, emit)

    with Lab(log, fleet=fleet({"a": Copies("yes")})) as lab:
        lab.collect(quiz(4), ["a"], jobs=1)
    other = tmp_path / "other.duckdb"
    with Lab(other, fleet=fleet({"a": one})) as lab:
        # begun, and killed before the log had anything
        lab.collect(quiz(4), ["a"], retry="errors")
        (tmp_path / "other.duckdb.spool").mkdir()
        (tmp_path / "other.duckdb.spool" / "gone-kept-1.jsonl").write_bytes(kept[0] + b'{"table": "ru')
        found = lab.collect(quiz(4), ["a"])
        assert len(one.requests) == 1
        assert not found.failed.any()
        assert lab.log.query("select count(*) from runs")[0][0] == 4
    assert not (tmp_path / "other.duckdb.spool").exists()


def test_nothing_of_an_answer_is_kept_that_the_log_may_not_keep(tmp_path: Path) -> None:
    found: list[bytes] = []

    class Reads(Scripted):
        async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
            found.extend(path.read_bytes() for path in (tmp_path / "log.duckdb.spool").glob("*"))
            return await super().complete(request, emit)

    with Lab(tmp_path / "log.duckdb", fleet=fleet({"a": Reads("a secret answer")}), content="hash") as lab:
        lab.collect(quiz(3), ["a"], jobs=1)
    assert len(found) == 2
    assert all(b"secret" not in text and b"question" not in text for text in found)


class Woken:
    """A clock whose sleepers sleep until they are woken."""

    def __init__(self) -> None:
        self.woken = asyncio.Event()

    def now(self) -> datetime:
        return datetime(2026, 5, 1)

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        await self.woken.wait()


def test_a_collector_that_lost_its_claim_stops_asking(tmp_path: Path) -> None:
    class Robbed(Scripted):
        async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
            if len(self.requests) == 3:
                [claim] = (tmp_path / "log.duckdb.collect").glob("*.json")
                claim.write_text(json.dumps({**json.loads(claim.read_text()), "session": "theirs", "pid": os.getpid()}))
                clock.woken.set()
                await asyncio.sleep(60)
            return await super().complete(request, emit)

    clock = Woken()
    one = Robbed("yes")
    with Lab(tmp_path / "log.duckdb", fleet=fleet({"a": one})) as lab:
        with pytest.raises(LogBusy, match="was taken over by process"):
            collect(lab, quiz(20), ["a"], Order(jobs=1), clock=clock)
        assert len(one.requests) == 3
        # what was finished is there, and the claim of the other one is left alone
        assert lab.log.query("select count(*) from runs where status = 'answered'")[0][0] == 3
        assert len(list((tmp_path / "log.duckdb.collect").glob("*.json"))) == 1
