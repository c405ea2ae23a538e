"""What the stream says a cache would do is what the live cache does, request by request."""

from __future__ import annotations

import numpy as np
import pytest

from routelab.caching.settings import CacheConfig
from routelab.config import RouteConfig
from routelab.core.events import Recalled
from routelab.lab import Lab
from routelab.lab.caches.recalled import setting_of
from routelab.lab.caches.stream import grid
from routelab.lab.caches.streamed import stream
from routelab.lab.caches.traffic import Traffic
from routelab.router import Router
from routelab.testing import Scripted, VirtualClock, fleet

EMBEDDER = {"kind": "lexical", "dimensions": 512}
OPENINGS = (
    "How do I {}?",
    "how can I {}",
    "How do I not {}?",
    "Please tell me how to {}",
    "Is it possible to {} 2 times?",
)
DEEDS = (
    "close my account",
    "close the account",
    "open an account in 2024",
    "open an account in 2025",
    "reset my password",
)


def requests(n: int = 120) -> tuple[list[str], np.ndarray]:
    rng = np.random.default_rng(0)
    texts = [OPENINGS[rng.integers(len(OPENINGS))].format(DEEDS[rng.integers(len(DEEDS))]) for _ in range(n)]
    return texts, np.cumsum(rng.exponential(10.0, n))


@pytest.mark.parametrize("ttl_s", [None, 120.0])
@pytest.mark.parametrize("guard", ["none", "lexical"])
@pytest.mark.parametrize(("exact", "threshold"), [(True, None), (True, 0.6), (True, 0.8), (False, 0.7)])
def test_the_stream_hits_what_the_live_cache_hits(
    exact: bool, threshold: float | None, guard: str, ttl_s: float | None
) -> None:
    semantic = None if threshold is None else {"threshold": threshold, "guard": guard, "embedder": EMBEDDER}
    cache = CacheConfig(exact=exact, ttl_s=ttl_s, semantic=semantic)  # type: ignore[arg-type]  # a mapping will do
    texts, at_s = requests()
    clock, provider = VirtualClock(), Scripted("an answer")
    config = RouteConfig(name="a", strategy={"kind": "fixed", "model": "m"}, cache=cache)
    router = Router(config, fleet=fleet({"m": provider}), clock=clock)
    live = []
    first: dict[str, int] = {}
    for i, (text, at) in enumerate(zip(texts, at_s.tolist(), strict=True)):
        clock.elapsed = at
        answer = router.route(text)
        hit = next((e for e in answer.run.events if isinstance(e, Recalled)), None)
        first[answer.run.id] = i
        live.append(("model", -1, False) if hit is None else (hit.cache, first[hit.source_run or ""], hit.stale))
    found = stream(Traffic.of(texts, at_s=at_s), [setting_of(cache, len(texts))], embedder=EMBEDDER)
    trace = found.trace(0)
    told = list(zip(trace["answered_by"], trace["source"].tolist(), trace["stale"].tolist(), strict=True))
    assert told == live
    assert sum(kind != "model" for kind, _, _ in live) > 10
    assert len(provider.requests) == sum(kind == "model" for kind, _, _ in live)


@pytest.mark.parametrize("exact", [True, False])
def test_the_stream_and_the_live_cache_agree_on_texts_that_minilm_does_not_read_whole(exact: bool) -> None:
    long = "The same words again and again, " * 20
    texts = [
        f"{long}what is 5 + 5?",
        f"{long}what is 6 + 6?",
        "How do I reset my password?",
        f"{long}what is 5 + 5?",
        "How do I reset my password, please?",
        " ",
        "  ",
        "é" * 256,
        "é" * 257,
        "é" * 256 + " ",
        "é" * 255 + ".",
    ]
    cache = CacheConfig(exact=exact, semantic={"threshold": 0.8, "guard": "none", "embedder": "minilm"})  # type: ignore[arg-type]
    router = Router(
        RouteConfig(name="a", strategy={"kind": "fixed", "model": "m"}, cache=cache),
        fleet=fleet({"m": Scripted("an answer")}),
    )
    live = []
    for text in texts:
        hit = next((e for e in router.route(text).run.events if isinstance(e, Recalled)), None)
        live.append("model" if hit is None else hit.cache)
    traffic = Traffic.of(texts, at_s=np.arange(len(texts), dtype=float))
    trace = stream(traffic, [setting_of(cache, len(texts))], embedder="minilm").trace(0)
    assert list(trace["answered_by"]) == live
    assert live == [
        *["model"] * 3,
        "exact" if exact else "semantic",
        "semantic",
        *["model"] * 5,
        "semantic",
    ]


def test_a_log_with_hits_is_traffic_at_what_they_saved() -> None:
    with Lab() as lab:
        lab.arms["cached"] = RouteConfig(
            name="cached",
            strategy={"kind": "fixed", "model": "qwen-local"},
            cache={"exact": True},  # type: ignore[arg-type]
        )
        router = lab.router("cached")
        answers = [router.route("what is the capital of France?") for _ in range(3)]
        lab.log.flush()
        assert [a.cached for a in answers] == [False, True, True]
        traffic = Traffic.of_log(lab.log)
        assert np.isfinite(traffic.cost_usd).all()
        assert len(set(traffic.cost_usd.tolist())) == 1
        [tally] = stream(traffic, grid()).tallies()
        assert tally.exact_hits == 2
