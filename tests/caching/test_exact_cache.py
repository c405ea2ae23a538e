"""The exact cache: the same request in the same scope, and nothing that differs in a single field."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from routelab.caching import Exact, Lifetime
from routelab.caching.request import asked
from routelab.config import RouteConfig
from routelab.core.errors import AuthFailed
from routelab.core.events import Answered, Missed, Recalled
from routelab.core.ports import Clock
from routelab.core.run import Run
from routelab.core.values import Prompt
from routelab.router import Router
from routelab.testing import Scripted, VirtualClock, fleet

START = datetime(2026, 1, 1)


def a_run(text: str, *, run_id: str = "r", after_s: float = 0.0, said: str | None = None) -> Run:
    answer = Answered(model="m", served_model="m", provider="p", text=said or f"answer to {text}")
    began = START + timedelta(seconds=after_s)
    return Run(id=run_id, prompt=Prompt.of(text), started_at=began, events=(answer,))


def kept(cache: Exact, text: str, *, scope: str = "s", **about: Any) -> str:
    run = a_run(text, **about)
    missed = cache.look(run, scope)
    assert isinstance(missed, Missed)
    cache.keep(run, missed.key)
    return missed.key


def test_a_hit_carries_text_model_age_and_where_it_was_first_said() -> None:
    clock = VirtualClock()
    cache = Exact(clock=clock)
    key = kept(cache, "a", run_id="first")
    clock.elapsed = 3.0
    assert cache.look(a_run("a"), "s") == Recalled(
        cache="exact",
        key=key,
        text="answer to a",
        model="m",
        similarity=1.0,
        source_run="first",
        simulated=False,
        age_s=3.0,
    )
    assert cache.look(a_run("a "), "s") == Missed(cache="exact", key=asked(a_run("a "), "s").key)
    assert isinstance(cache.look(a_run("a"), "other"), Missed)


def test_an_entry_lives_for_its_time_and_not_a_moment_longer() -> None:
    clock = VirtualClock()
    cache = Exact(clock=clock, lifetime=Lifetime(ttl_s=60))
    kept(cache, "a")
    clock.elapsed = 59.9
    assert isinstance(cache.look(a_run("a"), "s"), Recalled)
    clock.elapsed = 60.0
    expired = cache.look(a_run("a"), "s")
    assert expired == Missed(cache="exact", key=expired.key, why="expired")
    clock.elapsed = 0.0
    assert isinstance(cache.look(a_run("a"), "s"), Missed)  # gone for good


def test_a_stale_answer_says_so_until_its_second_time_is_over() -> None:
    clock = VirtualClock()
    cache = Exact(clock=clock, lifetime=Lifetime(ttl_s=60, stale_s=30))
    kept(cache, "a")
    seen = []
    for clock.elapsed in (59.0, 60.0, 89.9, 90.0):
        found = cache.look(a_run("a"), "s")
        seen.append(found.stale if isinstance(found, Recalled) else None)
    assert seen == [False, True, True, None]


def test_a_clock_that_was_put_back_makes_no_answer_younger_than_new() -> None:
    clock = VirtualClock(start=START - timedelta(hours=1))
    cache = Exact(clock=clock, lifetime=Lifetime(ttl_s=60))
    cache.keep(a_run("a"), cache.key(a_run("a"), "s"))
    found = cache.look(a_run("a"), "s")
    assert isinstance(found, Recalled)
    assert found.age_s == 0.0


def test_the_answer_to_the_later_question_stays_in_whatever_order_they_are_kept() -> None:
    cache = Exact(clock=VirtualClock())
    key = cache.key(a_run("a"), "s")
    for after_s, said in ((5.0, "new"), (1.0, "old")):
        cache.keep(a_run("a", after_s=after_s, said=said), key)
    found = cache.look(a_run("a"), "s")
    assert isinstance(found, Recalled)
    assert found.text == "new"


def test_what_was_not_used_for_longest_goes_first() -> None:
    cache = Exact(clock=VirtualClock(), size=2)
    kept(cache, "a")
    kept(cache, "b")
    assert isinstance(cache.look(a_run("a"), "s"), Recalled)
    kept(cache, "c")
    found = [isinstance(cache.look(a_run(t), "s"), Recalled) for t in "abc"]
    assert found == [True, False, True]
    assert len(cache) == 2


def test_what_is_forgotten_by_its_label_leaves_the_rest() -> None:
    cache = Exact(clock=VirtualClock())
    for text, label in (("a", "one"), ("b", "two")):
        cache.keep(a_run(text), cache.key(a_run(text), "s"), label)
    cache.forget("one")
    assert [isinstance(cache.look(a_run(t), "s"), Recalled) for t in "ab"] == [False, True]
    cache.forget()
    assert len(cache) == 0


def test_many_threads_may_look_and_keep_at_once() -> None:
    cache = Exact(clock=VirtualClock(), size=50)
    wrong: list[object] = []

    def work(offset: int) -> None:
        for i in range(200):
            text = str((i * 7 + offset) % 80)
            event = cache.look(a_run(text), "s")
            if isinstance(event, Missed):
                cache.keep(a_run(text, said=text), event.key)
            elif event.text != text:
                wrong.append(event)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def config(**changes: Any) -> RouteConfig:
    return RouteConfig(
        **{"name": "a", "strategy": {"kind": "fixed", "model": "m"}, "cache": {"exact": True}, **changes}
    )


def router(script: Scripted, clock: Clock | None = None, **cache: Any) -> Router:
    return Router(config(cache={"exact": True, **cache}), fleet=fleet({"m": script}), clock=clock)


def test_failures_are_asked_for_again() -> None:
    one = Scripted(AuthFailed("401"), "an answer", "another")
    answers = router(one).many(["hi", "hi", "hi"], jobs=1)
    assert [(a.text, a.cached) for a in answers] == [("", False), ("an answer", False), ("an answer", True)]


def test_tenants_do_not_hear_each_others_answers() -> None:
    one = Scripted("for a", "for b", "for nobody")
    asking = router(one)
    given = [_asked(asking, {"tenant": "a"}), _asked(asking, {"tenant": "b"}), _asked(asking, {"mood": "x"})]
    assert given == ["for a", "for b", "for nobody"]
    again = [_asked(asking, {"tenant": "a"}), _asked(asking, {"tenant": "b"}), _asked(asking, {"mood": "y"})]
    assert again == given
    assert len(one.requests) == 3


def _asked(router: Router, tags: Mapping[str, str]) -> str:
    prompt = Prompt.of("hi")
    return router.route(Prompt(id=prompt.id, messages=prompt.messages, tags=tags)).text
