"""A stale answer is given at once and asked for again in the background; the same question at once is asked once."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from routelab import Lab
from routelab.config import RouteConfig
from routelab.core.errors import ServerFailed
from routelab.core.values import Reply, Request, Tokens
from routelab.router import Router, Setting
from routelab.stages import Budget
from routelab.testing import Notebook, Scripted, VirtualClock, fleet

STALE = {"exact": True, "ttl_s": 60, "stale_s": 60}


def config(cache: Any = None, **about: Any) -> RouteConfig:
    spec = {"name": "a", "strategy": {"kind": "fixed", "model": "m"}, "cache": STALE if cache is None else cache}
    return RouteConfig(**{**spec, **about})


class Gated:
    """A provider that answers with a number, and waits until its gate is open."""

    def __init__(self, *, open: bool = True) -> None:
        self.gate = threading.Event()
        if open:
            self.gate.set()
        self.asked = 0

    async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
        self.asked += 1
        said = f"answer {self.asked}"
        while not self.gate.is_set():
            await asyncio.sleep(0.005)
        return Reply(text=said, served_model="m-1", tokens=Tokens(input=10, output=5, source="usage"), latency_s=0.5)


def settled(condition: Callable[[], bool]) -> bool:
    """Wait until it is so, 10 s at most."""
    until = time.monotonic() + 10
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    return condition()


def made(provider: Any, cache: Any = None, **about: Any) -> tuple[Router, VirtualClock, Notebook]:
    clock, log = VirtualClock(), Notebook()
    setting = Setting(**{k: about.pop(k) for k in ("purse", "tags") if k in about})
    router = Router(config(cache, **about), fleet=fleet({"m": provider}), log=log, setting=setting, clock=clock)
    return router, clock, log


def test_a_stale_answer_is_given_at_once_and_a_fresh_one_is_there_the_next_time() -> None:
    provider = Gated()
    router, clock, log = made(provider, tags={"team": "x"})
    first = router.route("hi")
    clock.elapsed = 61.0
    provider.gate.clear()
    stale = router.route("hi")
    assert (stale.text, stale.cached, stale.cost_usd) == ("answer 1", True, 0.0)
    assert stale.why == "exact cache hit, 1 min old, stale: a fresh answer is being asked for"
    provider.gate.set()
    assert settled(lambda: len(log.runs) == 3)
    refresh = next(run for run in log.runs if "revalidates" in run.tags)
    assert refresh.tags == {"team": "x", "revalidates": first.id}
    assert (refresh.text, refresh.cost_usd) == ("answer 2", first.cost_usd)
    fresh = router.route("hi")
    assert (fresh.text, fresh.cached, fresh.run.recalled.stale) == ("answer 2", True, False)  # type: ignore[union-attr]
    assert provider.asked == 2


def test_one_refresh_at_a_time_is_enough() -> None:
    provider = Gated()
    router, clock, log = made(provider)
    router.route("hi")
    clock.elapsed = 61.0
    provider.gate.clear()
    assert {router.route("hi").text for _ in range(20)} == {"answer 1"}
    provider.gate.set()
    assert settled(lambda: len(log.runs) == 22)
    assert provider.asked == 2


def test_a_refresh_that_fails_harms_nobody_and_is_tried_again() -> None:
    provider = Scripted("one", ServerFailed("500"), "two")
    router, clock, log = made(provider, limits={"retries": 0})
    router.route("hi")
    clock.elapsed = 61.0
    assert router.route("hi").text == "one"
    assert settled(lambda: len(log.runs) == 3)
    assert [run.status for run in log.runs if "revalidates" in run.tags] == ["unanswered"]
    assert router.route("hi").text == "one"
    assert settled(lambda: len(log.runs) == 5)
    assert router.route("hi").text == "two"


def test_a_refresh_is_paid_from_the_budget_and_not_made_without() -> None:
    provider = Gated()
    purse = Budget(0.0002)
    router, clock, log = made(provider, purse=purse, prompt={"max_output_tokens": 50})
    router.route("hi")
    spent = purse.spent_usd
    clock.elapsed = 61.0
    router.route("hi")
    assert settled(lambda: len(log.runs) == 3)
    assert purse.spent_usd == pytest.approx(2 * spent)
    poor, clock, log = made(Gated(), purse=Budget(0.000125), prompt={"max_output_tokens": 50})
    poor.route("hi")
    clock.elapsed = 61.0
    assert poor.route("hi").text == "answer 1"
    assert settled(lambda: len(log.runs) == 3)
    assert [run.failed.error for run in log.runs if run.failed is not None] == ["BudgetExceeded"]


def test_a_refused_refresh_leaves_the_stale_answer_until_its_time_is_over() -> None:
    router, clock, log = made(Scripted("one", "I'm sorry, I can't help with that.", "three"))
    router.route("hi")
    clock.elapsed = 61.0
    assert router.route("hi").text == "one"
    assert settled(lambda: len(log.runs) == 3)
    clock.elapsed = 130.0
    assert router.route("hi").text == "three"


def test_like_questions_are_refreshed_too() -> None:
    cache = {"ttl_s": 60, "stale_s": 60, "semantic": {"threshold": 0.5, "guard": "none", "embedder": "lexical"}}
    router, clock, log = made(Scripted("one", "two"), cache)
    router.route("How do I reset my password?")
    clock.elapsed = 61.0
    assert router.route("How do I reset my password").text == "one"
    assert settled(lambda: len(log.runs) == 3)
    assert router.route("How do I reset my password").text == "two"


def test_closing_waits_for_a_refresh() -> None:
    provider = Gated()
    router, clock, log = made(provider)
    router.route("hi")
    clock.elapsed = 61.0
    provider.gate.clear()
    router.route("hi")
    threading.Timer(0.3, provider.gate.set).start()
    router.close()
    assert len(log.runs) == 3
    assert router.route("hi").text == "answer 2"


def test_closing_cancels_a_refresh_that_takes_too_long_and_its_run_is_logged() -> None:
    provider = Gated()
    router, clock, log = made(provider)
    router.route("hi")
    clock.elapsed = 61.0
    provider.gate.clear()
    router.route("hi")
    assert settled(lambda: provider.asked == 2)
    router.close(wait_s=0.05)
    assert settled(lambda: len(log.runs) == 3)
    provider.gate.set()
    assert [a.error for run in log.runs if "revalidates" in run.tags for a in run.attempts] == ["Cancelled"]  # type: ignore[union-attr]


def test_a_lab_waits_for_its_refreshes_before_the_log_is_closed(tmp_path: Any) -> None:
    provider = Gated()
    lab = Lab(tmp_path / "log.duckdb", fleet=fleet({"m": provider}))
    router = lab.router(config({"exact": True, "ttl_s": 1e-6, "stale_s": 60}))
    router.route("hi")
    assert router.route("hi").text == "answer 1"
    lab.close()
    with Lab(tmp_path / "log.duckdb", fleet=fleet({"m": provider})) as again:
        assert again.sql("select count(*) as n from runs where tags like '%revalidates%'")["n"].tolist() == [1]


# The same question at once


@pytest.mark.parametrize(
    "cache", [{"exact": True}, {"semantic": {"threshold": 0.9, "guard": "none", "embedder": "lexical"}}]
)
def test_fifty_who_ask_the_same_at_once_cost_one_call(cache: Any) -> None:
    provider = Gated(open=False)
    router, _, log = made(provider, cache)
    threading.Timer(0.3, provider.gate.set).start()
    answers = router.many(["the same"] * 50, jobs=50)
    assert {a.text for a in answers} == {"answer 1"}
    assert (provider.asked, sum(a.cached for a in answers), len(log.runs)) == (1, 49, 50)


def test_who_asks_something_else_does_not_wait() -> None:
    provider = Gated(open=False)
    router, _, _ = made(provider, {"exact": True})
    threading.Timer(0.3, provider.gate.set).start()
    router.many([f"question {i}" for i in range(10)], jobs=10)
    assert provider.asked == 10


def test_when_the_first_one_fails_the_others_ask_for_themselves() -> None:
    provider = Scripted(ServerFailed("500"), "fine")
    router, _, _ = made(provider, {"exact": True}, limits={"retries": 0})
    answers = router.many(["the same"] * 10, jobs=10)
    assert [a.text for a in answers].count("fine") == 9
    assert 2 <= len(provider.requests) <= 10


def test_nobody_waits_longer_than_half_of_the_time_that_is_left() -> None:
    provider = Gated(open=False)
    router = Router(config({"exact": True}, limits={"deadline_s": 0.6, "retries": 0}), fleet=fleet({"m": provider}))
    answers = router.many(["the same"] * 3, jobs=3)
    assert all(a.error is not None for a in answers)
    assert provider.asked == 3


def test_a_caller_who_stops_waiting_leaves_the_others_their_answer() -> None:
    provider = Gated(open=False)
    router, _, _ = made(provider, {"exact": True})
    from routelab.core.values import Prompt
    from routelab.engine import shared

    first, *others = (shared().submit(router.play(Prompt.of("the same"))) for _ in range(5))
    assert settled(lambda: provider.asked == 1)
    others[0].cancel()
    first.cancel()
    provider.gate.set()
    texts = [future.result(timeout=10).text for future in others[1:]]
    assert all(text.startswith("answer") for text in texts)
