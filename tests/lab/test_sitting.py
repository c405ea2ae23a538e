"""Workers live as long as their claim does, and whoever stops them finds what was finished."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

import pytest

from routelab.core.errors import BudgetExceeded, LogBusy, LogError
from routelab.lab.claim import Claim
from routelab.lab.sitting import finished, purse, together
from routelab.testing.fakes import VirtualClock


class Restless:
    """A clock whose sleepers wake at once, so that a heart beats all the time."""

    def now(self) -> datetime:
        return datetime(2026, 5, 1)

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


def test_workers_run_to_their_end_and_the_heart_stops_with_them() -> None:
    done: list[int] = []

    async def worker(k: int) -> None:
        await asyncio.sleep(0)
        done.append(k)

    async def whole() -> int:
        clock = Restless()
        await together([worker(k) for k in range(3)], Claim(None, "x", session="s", clock=clock), clock)
        return len(asyncio.all_tasks())

    assert asyncio.run(whole()) == 1
    assert done == [0, 1, 2]


def test_a_claim_that_was_taken_over_ends_the_workers(tmp_path: Path) -> None:
    ended: list[str] = []

    async def worker() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("ended")

    other = Claim(tmp_path, "x", session="other", clock=VirtualClock())

    async def whole() -> None:
        mine = Claim(tmp_path, "x", session="mine", clock=VirtualClock())
        mine.take()
        next(tmp_path.glob("*.json")).unlink()
        other.take()
        await together([worker(), worker()], mine, Restless())

    with pytest.raises(LogBusy, match="taken over"):
        asyncio.run(whole())
    assert ended == ["ended"] * 2


def test_a_workers_error_ends_the_others_and_is_raised() -> None:
    ended: list[str] = []

    async def breaks() -> None:
        await asyncio.sleep(0)
        raise LogError("full")

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("ended")

    clock = Restless()
    with pytest.raises(LogError, match="full"):
        asyncio.run(together([waits(), breaks()], Claim(None, "x", session="s", clock=clock), clock))
    assert ended == ["ended"]


def test_what_was_spent_before_is_gone_from_the_purse() -> None:
    assert (purse(2.0, 0.5, due=3).spent_usd, purse(2.0, 0.5, due=0).spent_usd) == (0.5, 0.0)
    with pytest.raises(BudgetExceeded):
        purse(2.0, 2.5, due=1)


def test_whoever_stops_the_work_gets_what_is_there() -> None:
    def by_hand() -> None:
        raise KeyboardInterrupt

    def gone() -> int:
        raise LogError("gone")

    assert finished(lambda: None, lambda: 7, lambda found: None) == 7
    with pytest.raises(BudgetExceeded) as spent:
        finished(lambda: None, lambda: 7, lambda found: BudgetExceeded(f"{found} are there"))
    assert (spent.value.message, spent.value.partial) == ("7 are there", 7)  # type: ignore[attr-defined]
    with pytest.raises(KeyboardInterrupt) as stop:
        finished(by_hand, lambda: 7, lambda found: None)
    assert stop.value.partial == 7  # type: ignore[attr-defined]
    with pytest.raises(KeyboardInterrupt) as bare:
        finished(by_hand, gone, lambda found: None)
    assert not hasattr(bare.value, "partial")
