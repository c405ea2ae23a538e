"""The semantic cache: like questions, guarded, each in its namespace; trouble is a miss (C3, C5)."""

from __future__ import annotations

import importlib
import itertools
import threading
import warnings
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest

from routelab.caching import CacheTrouble, Lifetime, SemanticConfig
from routelab.caching import room as rooms
from routelab.caching.semantic import Semantic
from routelab.core.errors import ProviderError
from routelab.core.events import Answered, Missed, Recalled
from routelab.core.run import Run
from routelab.core.values import Prompt
from routelab.embedding import growing
from routelab.testing import VirtualClock

# The package has a function of the same name.
embedding = importlib.import_module("routelab.embedding.vectors")
START = datetime(2026, 1, 1)
LEXICAL = {"kind": "lexical", "dimensions": 512}


def a_run(text: str, *, run_id: str = "", said: str | None = None, after_s: float = 0.0) -> Run:
    answer = Answered(model="m", served_model="m", provider="p", text=said or f"answer to {text}")
    began = START + timedelta(seconds=after_s)
    return Run(id=run_id or f"run of {text}", prompt=Prompt.of(text), started_at=began, events=(answer,))


def cache_of(threshold: float = 0.6, *, clock: VirtualClock | None = None, **about: Any) -> Semantic:
    spec = {"guard": "none", "embedder": LEXICAL, **about.pop("spec", {})}
    near: dict[str, Any] = {} if "per_entry" in spec else {"threshold": threshold}
    settings = SemanticConfig(**near, **spec)
    return Semantic(settings=settings, clock=clock or VirtualClock(), **about)


def keep(cache: Semantic, *texts: str, scope: str = "s", **about: Any) -> None:
    for text in texts:
        run = a_run(text, **about)
        cache.keep(run, cache.key(run, scope))


def look(cache: Semantic, text: str, scope: str = "s") -> Recalled | Missed:
    return cache.look(a_run(text, run_id=f"look {text}"), scope)


def test_a_like_question_gets_the_answer_and_hears_how_like_it_is() -> None:
    clock = VirtualClock()
    cache = cache_of(clock=clock)
    keep(cache, "How do I reset my password?", "What is the weather like?")
    clock.elapsed = 4.0
    found = look(cache, "How do I reset my password")
    assert isinstance(found, Recalled)
    assert (found.text, found.like) == ("answer to How do I reset my password?", "How do I reset my password?")
    assert (found.cache, found.model, found.age_s, found.stale) == ("semantic", "m", 4.0, False)
    assert found.source_run == "run of How do I reset my password?"
    assert 0.6 < found.similarity < 1


def test_a_miss_says_how_near_the_nearest_question_came() -> None:
    cache = cache_of(0.999)
    assert look(cache, "anything").nearest is None  # type: ignore[union-attr]
    keep(cache, "How do I reset my password?", "What is the weather like?")
    found = look(cache, "How do I reset my passport?")
    assert isinstance(found, Missed)
    assert found.like == "How do I reset my password?"
    assert found.nearest is not None
    assert 0.5 < found.nearest < 0.999


@pytest.mark.parametrize("threshold", [-1.0, 0.0, 0.5, 0.9, 1.0])
def test_the_same_words_are_a_hit_at_any_threshold(threshold: float) -> None:
    cache = cache_of(threshold)
    keep(cache, "  Ünïcode? \ud83d half an emoji ", "")
    for text in ("  Ünïcode? \ud83d half an emoji ", ""):
        found = look(cache, text)
        assert isinstance(found, Recalled)
        assert found.similarity == 1.0


def test_opposite_and_unrelated_vectors_are_a_miss(monkeypatch: pytest.MonkeyPatch) -> None:
    directions = {"east": [1.0, 0.0], "north": [0.0, 1.0], "west": [-1.0, 0.0]}

    def vectors(spec: Any, texts: Sequence[str]) -> Any:
        return np.array([directions[t] for t in texts], dtype=np.float32)

    monkeypatch.setattr(embedding, "vectors", vectors)
    cache = cache_of(0.5)
    keep(cache, "east")
    for text, cosine in (("north", 0.0), ("west", -1.0)):
        found = look(cache, text)
        assert isinstance(found, Missed)
        assert found.nearest == pytest.approx(cosine)


def test_fewer_questions_hit_as_the_threshold_rises() -> None:
    known = [f"How do I {verb} my {thing}?" for verb in ("reset", "close") for thing in ("card", "password", "account")]
    asked = [f"How can I {verb} my {thing}" for verb in ("reset", "open") for thing in ("cards", "password", "dog")]
    hits: list[set[str]] = []
    for threshold in np.linspace(0.2, 1.0, 17):
        cache = cache_of(float(threshold))
        keep(cache, *known)
        hits.append({text for text in asked if isinstance(look(cache, text), Recalled)})
    assert all(more >= fewer for more, fewer in itertools.pairwise(hits))
    assert (len(hits[0]), len(hits[-1])) == (6, 0)


def test_the_nearest_answer_without_an_objection_is_given_and_the_objection_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache = cache_of(0.3)

    def objects(asked: str, known: str) -> str | None:
        return "number: 5 | 6" if ("5" in asked) != ("5" in known) else None

    monkeypatch.setattr(cache, "_guard", objects)
    keep(cache, "What is the fee for 6 transfers?")
    missed = look(cache, "What is the fee for 5 transfers?")
    assert isinstance(missed, Missed)
    assert missed.objection == "number: 5 | 6"
    keep(cache, "The fee for 5 transfers, please")
    found = look(cache, "What is the fee for 5 transfers?")
    assert isinstance(found, Recalled)
    assert found.like == "The fee for 5 transfers, please"


def test_the_lexical_guard_keeps_opposites_apart() -> None:
    cache = cache_of(0.5, spec={"guard": "lexical"})
    keep(cache, "How do I turn on dark mode?", "Is it safe to eat 5 eggs a day?")
    for text in (
        "How do I turn off dark mode?",
        "Is it unsafe to eat 5 eggs a day?",
        "Is it safe to eat 50 eggs a day?",
    ):
        missed = look(cache, text)
        assert isinstance(missed, Missed), text
        assert missed.objection


def test_an_entry_grows_stale_and_then_expires() -> None:
    clock = VirtualClock()
    cache = cache_of(clock=clock, lifetime=Lifetime(ttl_s=60, stale_s=30))
    keep(cache, "How do I reset my password?")
    seen = []
    for clock.elapsed in (59.0, 60.0, 89.0, 90.0):
        found = look(cache, "How do I reset my password")
        seen.append(found.stale if isinstance(found, Recalled) else None)
    assert seen == [False, True, True, None]
    assert len(cache) == 0


def test_an_expired_neighbour_does_not_hide_one_that_lives() -> None:
    clock = VirtualClock()
    cache = cache_of(0.3, clock=clock, lifetime=Lifetime(ttl_s=60))
    for i in range(20):
        keep(cache, f"How do I reset my password, number {i}?")
    clock.elapsed = 50.0
    keep(cache, "How to reset a password", after_s=50.0)
    clock.elapsed = 70.0
    found = look(cache, "How do I reset my password, number 3")
    assert isinstance(found, Recalled)
    assert found.like == "How to reset a password"


def test_the_longest_unused_leave_first_over_all_namespaces() -> None:
    cache = cache_of(size=2)
    keep(cache, "a question", scope="one")
    keep(cache, "a question", scope="two")
    assert isinstance(look(cache, "a question", "one"), Recalled)
    keep(cache, "a question", scope="three")
    hits = [isinstance(look(cache, "a question", s), Recalled) for s in ("one", "two", "three")]
    assert (hits, len(cache)) == ([True, False, True], 2)


def test_a_question_has_one_answer_the_latest() -> None:
    cache = cache_of()
    keep(cache, "q", said="new", after_s=5.0, run_id="late")
    keep(cache, "q", said="old", after_s=1.0, run_id="early")
    found = look(cache, "q")
    assert isinstance(found, Recalled)
    assert (found.text, len(cache)) == ("new", 1)


def test_a_room_finds_the_same_before_and_after_it_has_an_index() -> None:
    known = [f"question {i} about {topic}" for i in range(60) for topic in ("cards", "loans")]
    few, many = cache_of(0.4), cache_of(0.4)
    keep(few, *known[: rooms.FEW])
    keep(many, *known)
    for text in known[: rooms.FEW : 7]:
        one, two = look(few, text + "?"), look(many, text + "?")
        assert isinstance(one, Recalled)
        assert isinstance(two, Recalled)
        assert one.like == two.like
        assert one.similarity == pytest.approx(two.similarity, abs=1e-6)


def test_texts_that_the_embedder_does_not_read_whole_are_not_alike() -> None:
    """MiniLM reads 256 tokens: two long texts that differ at their ends only have one vector."""
    cache = cache_of(spec={"embedder": "minilm"})
    long = "The same words again and again. " * 60
    keep(cache, long + "What is 5 + 5?")
    missed = look(cache, long + "What is 6 + 6?")
    assert isinstance(missed, Missed)
    assert missed.why == "longer than the embedder reads"
    assert isinstance(look(cache, long + "What is 5 + 5?"), Recalled)


@pytest.mark.parametrize(
    "text", ["", " ", "\x00", "\ud800", "🦙" * 100, "'; drop table answers; --", "a" * 20_000, "\u202e\u2028"]
)
def test_hostile_texts_are_looked_up_and_kept_like_any_other(text: str) -> None:
    cache = cache_of()
    keep(cache, "an ordinary question", text)
    assert isinstance(look(cache, text), Recalled)
    assert look(cache, "x" + text) is not None


def test_many_threads_may_look_keep_and_forget_at_once() -> None:
    cache = cache_of(0.95, size=40)
    wrong: list[object] = []

    def work(offset: int) -> None:
        try:
            for i in range(120):
                text = f"what about subject {(i * 7 + offset) % 90} then"
                event = look(cache, text)
                if isinstance(event, Missed):
                    keep(cache, text)
                elif event.like == text and event.text != f"answer to {text}":
                    wrong.append(event)
                if i % 50 == 49:
                    cache.forget()
        except Exception as trouble:  # noqa: BLE001 - a thread's error would be lost
            wrong.append(trouble)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(cache) <= 40


# C3: trouble


def failing(*args: Any, **kwargs: Any) -> Any:
    raise ProviderError("the embedder is not there")


def test_trouble_with_the_embedder_is_a_miss_and_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = cache_of()
    keep(cache, "How do I reset my password?")
    monkeypatch.setattr(embedding, "vectors", failing)
    with pytest.warns(CacheTrouble, match="the embedder is not there") as said:
        found = [look(cache, f"How do I reset my password{end}") for end in (".", "!", ";")]
    assert all(isinstance(f, Missed) and f.why == "the index or the embedder failed" for f in found)
    assert len([w for w in said if "looked up" in str(w.message)]) == 1
    assert isinstance(look(cache, "How do I reset my password?"), Recalled)  # the very same words need no vector
    monkeypatch.undo()
    assert isinstance(look(cache, "How do I reset my password."), Recalled)


def test_an_embedder_that_cannot_be_made_is_a_miss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "id_of", failing)
    cache = cache_of()
    with pytest.warns(CacheTrouble, match="there is no embedder"):
        assert isinstance(look(cache, "a question"), Missed)
    with pytest.warns(CacheTrouble, match="cannot be embedded"):
        keep(cache, "a question")
    assert isinstance(look(cache, "a question"), Recalled)


class Breaks(growing.GrowingExact):
    """An index that breaks at its third look-up."""

    looked = 0

    def nearest(self, vector: Any, k: int, at_least: float = -1.0) -> list[tuple[str, float]]:
        Breaks.looked += 1
        if Breaks.looked == 3:
            raise OSError("Error loading hnsw index")
        return super().nearest(vector, k, at_least)


def test_a_broken_index_is_made_again_from_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growing, "growing_of", lambda spec, *, dimensions: Breaks(dimensions=dimensions))
    cache = cache_of()
    texts = [f"question number {i} about a subject" for i in range(rooms.FEW + 10)]
    keep(cache, *texts)
    with pytest.warns(CacheTrouble, match="hnsw") as said:
        found = [isinstance(look(cache, f"{text}!"), Recalled) for text in texts[:6]]
    assert found == [True, True, False, True, True, True]
    assert len(said) == 1


# Thresholds that entries learn


def test_an_entry_that_learned_its_reach_answers_and_until_then_the_model_is_asked() -> None:
    cache = cache_of(spec={"per_entry": {"error": 0.1}})
    keep(cache, "How do I reset my password?", said="Press reset.")
    asked = answered = 0
    for i in range(200):
        run = a_run(f"How do I reset my password{'!' * (1 + i % 5)}", run_id=f"r{i}", said="Press  reset.")
        found = cache.look(run, "s")
        if isinstance(found, Missed):
            asked += 1
            assert found.why.startswith("asked to learn how far the nearest answer reaches (chance ")
            cache.keep(run, found.key)
        else:
            answered += 1
            assert found.text == "Press reset."
    assert answered > asked > 0
    assert len(cache) == 1  # what says the same needs no entry of its own


def test_an_entry_whose_answer_is_wrong_nearby_keeps_asking_and_the_other_answers_are_kept() -> None:
    cache = cache_of(spec={"per_entry": {"error": 0.01}})
    keep(cache, "What is 2 + 2?", said="4")
    for i in range(30):
        run = a_run(f"What is 2 + {i + 3}?", run_id=f"r{i}", said=str(i + 5))
        found = cache.look(run, "s")
        assert isinstance(found, Missed)
        cache.keep(run, found.key)
    assert len(cache) == 31


def test_a_cache_without_trouble_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache = cache_of()
        keep(cache, "a", "b")
        look(cache, "c")


def test_namespaces_that_hold_nothing_take_no_memory() -> None:
    clock = VirtualClock()
    cache = cache_of(clock=clock, lifetime=Lifetime(ttl_s=60))
    for i in range(50):
        look(cache, "a question", f"conversation {i}")
    keep(cache, "a question", scope="one")
    assert len(cache._rooms) == 1
    clock.elapsed = 61.0
    look(cache, "a question", "one")
    assert (len(cache._rooms), len(cache)) == (0, 0)
