"""One loop on one daemon thread: sync calls wait for it, interruptibly, from wherever they are made."""

from __future__ import annotations

import _thread
import asyncio
import concurrent.futures
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from routelab.config import RouteConfig
from routelab.core.events import Unanswered
from routelab.core.values import Reply
from routelab.engine import Engine, SystemClock, shared
from routelab.router import Router
from routelab.testing import Notebook, Scripted, fleet


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.close()


async def answer(value: Any = 42) -> Any:
    await asyncio.sleep(0)
    return value


async def fail(error: BaseException) -> Any:
    await asyncio.sleep(0)
    raise error


def test_work_runs_on_the_engines_own_daemon_thread(engine: Engine) -> None:
    async def where() -> threading.Thread:
        return threading.current_thread()

    thread = engine.wait(where())
    assert thread is not threading.current_thread()
    assert thread.daemon
    assert engine.wait(where()) is thread
    assert engine.wait(answer()) == 42


def test_every_router_of_the_process_shares_one_engine() -> None:
    assert shared() is shared()


@pytest.mark.parametrize("error", [ValueError("a bug"), TimeoutError("the work's own"), asyncio.CancelledError()])
def test_what_the_work_raises_is_raised_here(engine: Engine, error: BaseException) -> None:
    expected = concurrent.futures.CancelledError if isinstance(error, asyncio.CancelledError) else type(error)
    with pytest.raises(expected):
        engine.wait(fail(error))


def test_work_that_ends_just_as_the_tick_does_is_not_lost(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(concurrent.futures.Future[int]):
        ticks = 0

        def result(self, timeout: float | None = None) -> int:
            self.ticks += 1
            if self.ticks == 1:
                self.set_result(42)
                raise concurrent.futures.TimeoutError
            return super().result(timeout)

    def submit(work: Any) -> Any:
        work.close()
        return Late()

    monkeypatch.setattr(engine, "submit", submit)
    assert engine.wait(answer()) == 42


def test_it_can_be_called_from_a_running_loop_and_awaited_from_any(engine: Engine) -> None:
    async def cell() -> tuple[int, int]:
        return engine.wait(answer(1)), await engine.call(answer(2))

    assert asyncio.run(cell()) == (1, 2)
    assert asyncio.run(cell()) == (1, 2)


def test_many_threads_wait_for_it_at_once(engine: Engine) -> None:
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert list(pool.map(lambda i: engine.wait(answer(i)), range(200))) == list(range(200))


def test_it_cannot_wait_for_itself(engine: Engine) -> None:
    async def inside() -> None:
        engine.wait(answer())

    with pytest.raises(RuntimeError, match="await the coroutine instead"):
        engine.wait(inside())


def test_an_interrupt_cancels_the_work_and_lets_it_clean_up(engine: Engine) -> None:
    said: list[str] = []

    async def endless() -> None:
        try:
            threading.Timer(0.05, _thread.interrupt_main).start()
            await asyncio.sleep(60)
        finally:
            said.append("cleaned up")

    with pytest.raises(KeyboardInterrupt):
        engine.wait(endless())
    assert said == ["cleaned up"]
    assert engine.wait(answer()) == 42


def test_an_interrupted_route_is_in_the_log_and_the_next_one_works() -> None:
    class Slow:
        async def complete(self, request: Any, emit: Any) -> Reply:
            threading.Timer(0.05, _thread.interrupt_main).start()
            await asyncio.sleep(60)
            raise AssertionError("never")

    log = Notebook()
    config = RouteConfig(name="a", models=["slow", "quick"], strategy={"kind": "fixed", "model": "slow"})
    providers = fleet({"slow": Slow(), "quick": Scripted("ok")})
    with pytest.raises(KeyboardInterrupt):
        Router(config, fleet=providers, log=log).route("hi")
    assert [e.error for e in log.runs[0].events if isinstance(e, Unanswered)] == ["Cancelled"]
    other = RouteConfig(name="b", models=["quick"], strategy={"kind": "fixed", "model": "quick"})
    assert Router(other, fleet=providers, log=log).route("hi").text == "ok"


def test_a_bug_among_many_prompts_is_raised_alone_and_stops_the_others() -> None:
    class Buggy(Scripted):
        async def complete(self, request: Any, emit: Any) -> Reply:
            self.requests.append(request)
            if request.prompt.text == "3":
                raise ZeroDivisionError("a bug")
            await asyncio.sleep(60)
            raise AssertionError("never")

    one, log = Buggy(), Notebook()
    config = RouteConfig(name="a", strategy={"kind": "fixed", "model": "one"})
    with pytest.raises(ZeroDivisionError, match="a bug"):
        Router(config, fleet=fleet({"one": one}), log=log).many([str(i) for i in range(10)], jobs=5)
    # The buggy call's place may be taken before the news has gone round; nothing else is sent.
    assert len(one.requests) in (5, 6)
    cancelled = [e.error for run in log.runs for e in run.events if isinstance(e, Unanswered)]
    assert cancelled == ["Cancelled"] * (len(one.requests) - 1)


def test_closing_cancels_what_is_pending_and_closes_what_was_kept_and_it_can_be_used_again() -> None:
    engine, said = Engine(), list[str]()

    class Owner:
        async def aclose(self) -> None:
            said.append("closed")

    async def endless() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            said.append("cancelled")
            raise

    engine.keep(Owner())
    engine.keep(object())
    future = engine.submit(endless())
    engine.wait(answer())
    engine.close()
    engine.close()
    assert said == ["cancelled", "closed"]
    assert future.cancelled()
    assert engine.wait(answer()) == 42
    engine.close()


def test_an_owner_that_cannot_close_does_not_stop_the_others() -> None:
    engine, said = Engine(), list[str]()

    class Broken:
        async def aclose(self) -> None:
            raise OSError("already gone")

    class Owner:
        async def aclose(self) -> None:
            said.append("closed")

    engine.keep(Broken())
    engine.keep(Owner())
    engine.wait(answer())
    engine.close()
    assert said == ["closed"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_gets_a_loop_of_its_own() -> None:
    code = (
        "import os, sys\n"
        "from routelab.engine import shared\n"
        "async def answer(): return 42\n"
        "assert shared().wait(answer()) == 42\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    os._exit(0 if shared().wait(answer()) == 42 else 1)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=30, check=False).returncode == 0


def test_the_process_ends_even_with_work_pending() -> None:
    code = "import asyncio\nfrom routelab.engine import shared\nshared().submit(asyncio.sleep(60))\nprint('done')\n"
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], timeout=30, capture_output=True, text=True, check=True
    )
    assert (ran.stdout, ran.stderr) == ("done\n", "")


def test_the_clock_is_utc_without_a_zone_and_its_pace_scales_waits() -> None:
    clock = SystemClock(pace=0.0)
    assert clock.now().tzinfo is None
    assert clock.monotonic() <= clock.monotonic()
    asyncio.run(asyncio.wait_for(clock.sleep(3600), timeout=5))
    asyncio.run(SystemClock().sleep(-5.0))
