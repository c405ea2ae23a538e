"""The settings of caches: YAML both ways, strict, and part of the fingerprint."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.caching import CacheConfig, SemanticConfig
from routelab.config import RouteConfig
from routelab.core.errors import ConfigError

BASE: dict[str, Any] = {"name": "a", "models": ["m"], "strategy": {"kind": "fixed", "model": "m"}}

guards = st.sampled_from(
    ["none", "lexical", {"kind": "judge", "model": "m"}, {"kind": "judge", "model": "m", "at_least": 0.75}]
)
near: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.floats(-1, 1, allow_nan=False).map(lambda t: {"threshold": t}),
    st.floats(0.001, 0.999).map(lambda e: {"per_entry": {"error": e}}),
)
semantic = st.builds(
    lambda near, **rest: SemanticConfig(**near, **rest),
    near,
    guard=guards,
    embedder=st.sampled_from(["minilm", "lexical", {"kind": "lexical", "dimensions": 512}]),
    index=st.sampled_from(["exact", "chroma", {"kind": "chroma", "folder": "x.index"}]),
)
lifetimes: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.floats(0.001, 1e9).map(lambda t: {"ttl_s": t}),
    st.tuples(st.floats(0.001, 1e9), st.floats(0, 1e9)).map(lambda t: {"ttl_s": t[0], "stale_s": t[1]}),
)
caches = st.builds(
    lambda lifetime, **rest: CacheConfig(**lifetime, **rest),
    lifetimes,
    exact=st.booleans(),
    namespace=st.text(max_size=8).filter(lambda t: t.isprintable()),
    size=st.integers(1, 10**9),
    semantic=st.none() | semantic,
)


@given(cache=caches)
def test_every_cache_is_read_back_from_its_yaml(cache: CacheConfig) -> None:
    config = RouteConfig(**BASE, cache=cache)
    again = RouteConfig.from_text(config.to_text())
    assert again == config
    assert again.fingerprint == config.fingerprint
    assert again.decides == config.decides


def test_the_contracts_example_is_understood() -> None:
    text = """
routelab: 1
name: a
models: [m]
strategy: {kind: fixed, model: m}
cache: {exact: true, ttl_s: 600, stale_s: 0, namespace: "", size: 100000,
        semantic: {threshold: 0.93, guard: lexical, embedder: minilm, index: exact}}
"""
    cache = RouteConfig.from_text(text).cache
    assert cache == CacheConfig(exact=True, ttl_s=600, semantic=SemanticConfig(threshold=0.93))
    assert (cache.stale_s, cache.size, cache.remembers) == (0, 100_000, True)


def test_what_a_cache_does_differently_has_another_fingerprint() -> None:
    given: list[Any] = [
        {"exact": True},
        {"exact": True, "ttl_s": 1},
        {"exact": True, "ttl_s": 1, "stale_s": 1},
        {"exact": True, "namespace": "b"},
        {"exact": True, "size": 5},
        {"semantic": {"threshold": 0.9}},
        {"semantic": {"threshold": 0.91}},
        {"semantic": {"threshold": 0.9, "guard": "none"}},
        {"semantic": {"threshold": 0.9, "embedder": "lexical"}},
        {"semantic": {"per_entry": {"error": 0.1}}},
    ]
    assert len({RouteConfig(**BASE, cache=cache).fingerprint for cache in given}) == len(given)


@pytest.mark.parametrize(
    ("semantic", "said"),
    [
        ({"per_entry": {}}, "cache.semantic.per_entry.error: must lie between 0 and 1, not None"),
        ({"per_entry": {"error": 0}}, "cache.semantic.per_entry.error: must lie between 0 and 1, not 0"),
        ({"per_entry": {"eror": 0.1}}, "cache.semantic.per_entry.eror: unknown key; did you mean 'error'?"),
        ({"threshold": 0.9, "guard": {"kind": "jugde", "model": "m"}}, "cache.semantic.guard.kind: unknown 'jugde'"),
        ({"threshold": 0.9, "guard": {"kind": "judge", "modle": "m"}}, "cache.semantic.guard.modle: unknown key"),
        ({"threshold": 0.9, "guard": {"kind": "judge", "model": "m", "at_least": 2}}, "cache.semantic.guard.at_least"),
        ({"threshold": 0.9, "embedder": {"kind": "lexical", "dims": 5}}, "cache.semantic.embedder"),
        ({"threshold": "high"}, "cache.semantic.threshold: must be a number"),
        ({"threshold": True}, "cache.semantic.threshold"),
    ],
)
def test_what_cannot_be_used_is_named(semantic: Any, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RouteConfig(**{**BASE, "cache": {"semantic": semantic}})
    assert said in caught.value.message
