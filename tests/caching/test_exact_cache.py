"""The exact cache: the same request in the same scope, and nothing that differs in a single field."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from routelab.caching import Exact
from routelab.caching.exact import key_of
from routelab.config import RouteConfig
from routelab.core.events import Answered, Missed, Recalled
from routelab.core.run import Run
from routelab.core.values import Message, Prompt
from routelab.router import Router
from routelab.testing import Scripted, VirtualClock, fleet

turns = st.lists(
    st.builds(
        Message,
        role=st.sampled_from(["system", "user", "assistant"]),
        content=st.text(alphabet='ab",[]\x1f\ud800é', max_size=4),
    ),
    max_size=3,
).map(tuple)
scopes = st.text(alphabet='ab",[]', max_size=3)


def messages(text: str) -> tuple[Message, ...]:
    return (Message(role="user", content=text),)


def kept(cache: Exact, text: str, *, scope: str = "s", run_id: str = "r") -> str:
    missed = cache.look(messages(text), scope)
    assert isinstance(missed, Missed)
    answer = Answered(model="m", served_model="m", provider="p", text=f"answer to {text}")
    cache.keep(
        Run(id=run_id, prompt=Prompt.of(text), started_at=datetime(2026, 1, 1), events=(missed, answer)), missed.key
    )
    return missed.key


@settings(max_examples=300)
@given(one=turns, two=turns, here=scopes, there=scopes)
def test_keys_are_equal_exactly_when_everything_is(one: Any, two: Any, here: str, there: str) -> None:
    assert (key_of(one, here) == key_of(two, there)) == ((one, here) == (two, there))
    assert len(key_of(one, here)) == 64


def test_a_hit_carries_text_model_and_where_it_was_first_said() -> None:
    cache = Exact(clock=VirtualClock())
    key = kept(cache, "a", run_id="first")
    assert cache.look(messages("a"), "s") == Recalled(
        cache="exact", key=key, text="answer to a", model="m", similarity=1.0, source_run="first", simulated=False
    )
    assert cache.look(messages("a "), "s") == Missed(cache="exact", key=key_of(messages("a "), "s"))
    assert isinstance(cache.look(messages("a"), "other"), Missed)


def test_an_entry_lives_for_its_time_and_not_a_moment_longer() -> None:
    clock = VirtualClock()
    cache = Exact(clock=clock, ttl_s=60)
    kept(cache, "a")
    clock.elapsed = 59.9
    assert isinstance(cache.look(messages("a"), "s"), Recalled)
    clock.elapsed = 60.0
    assert isinstance(cache.look(messages("a"), "s"), Missed)
    clock.elapsed = 0.0
    assert isinstance(cache.look(messages("a"), "s"), Missed)  # gone for good


def test_what_was_not_used_for_longest_goes_first() -> None:
    cache = Exact(clock=VirtualClock(), size=2)
    kept(cache, "a")
    kept(cache, "b")
    assert isinstance(cache.look(messages("a"), "s"), Recalled)
    kept(cache, "c")
    found = [isinstance(cache.look(messages(t), "s"), Recalled) for t in "abc"]
    assert found == [True, False, True]


def test_many_threads_may_look_and_keep_at_once() -> None:
    cache = Exact(clock=VirtualClock(), size=50)
    wrong: list[object] = []

    def work(offset: int) -> None:
        for i in range(200):
            text = str((i * 7 + offset) % 80)
            event = cache.look(messages(text), "s")
            if isinstance(event, Missed):
                answer = Answered(model="m", served_model="m", provider="p", text=text)
                run = Run(id="r", prompt=Prompt.of(text), started_at=datetime(2026, 1, 1), events=(answer,))
                cache.keep(run, event.key)
            elif not (isinstance(event, Recalled) and event.text == text):
                wrong.append(event)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_configs_that_answer_differently_do_not_share_answers() -> None:
    base: dict[str, Any] = {
        "name": "a",
        "models": ["m", "n"],
        "strategy": {"kind": "fixed", "model": "m"},
        "cache": {"exact": True},
    }
    others = [
        {**base, "strategy": {"kind": "fixed", "model": "n"}},
        {**base, "prompt": {"system": "be brief"}},
        {**base, "prompt": {"temperature": 1.0}},
        {**base, "prompt": {"max_output_tokens": 5}},
    ]
    scopes = {RouteConfig(**c).fingerprint for c in (base, *others)}
    assert len(scopes) == 5
    assert RouteConfig(**{**base, "name": "b"}).fingerprint in scopes


def test_failures_and_cut_off_answers_are_asked_for_again() -> None:
    from routelab.core.errors import AuthFailed

    one = Scripted(AuthFailed("401"), "an answer", "another")
    config = RouteConfig(name="a", strategy={"kind": "fixed", "model": "m"}, cache={"exact": True})  # type: ignore[arg-type]
    answers = Router(config, fleet=fleet({"m": one})).many(["hi", "hi", "hi"], jobs=1)
    assert [(a.text, a.cached) for a in answers] == [("", False), ("an answer", False), ("an answer", True)]
