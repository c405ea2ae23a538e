"""Caches in exports: what LiteLLM and vLLM-SR can hold of them, and what is said to be lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from routelab import CacheConfig, RouteConfig
from routelab.caching import SemanticConfig
from routelab.lab.targets import Exported, export

SERVED = {"kind": "endpoint", "url": "https://api.example/v1", "model": "embed-3", "dimensions": 256}


def config(**cache: Any) -> RouteConfig:
    return RouteConfig(name="a", models=["m"], strategy={"kind": "fixed", "model": "m"}, cache=CacheConfig(**cache))


def exported(to: str, **cache: Any) -> tuple[Exported, Mapping[str, Any]]:
    made = export(config(**cache), to=to)
    return made, yaml.safe_load(made.text)


def lost(made: Exported) -> set[str]:
    return {item.field for item in made.lossy if item.field.startswith("cache")}


def plugin(values: Mapping[str, Any]) -> Any:
    [decision] = values["routing"]["decisions"]
    found = [p["configuration"] for p in decision.get("plugins", []) if p["type"] == "response_cache"]
    return found[0] if found else None


@pytest.mark.parametrize("to", ["litellm", "vllm-sr"])
def test_without_a_cache_there_is_none_in_the_file_and_nothing_is_lost(to: str) -> None:
    made, values = exported(to)
    assert lost(made) == set()
    assert "cache" not in values.get("litellm_settings", {})
    assert to == "litellm" or plugin(values) is None


def test_litellm_takes_the_exact_level_and_says_that_a_threshold_for_another_embedder_means_nothing() -> None:
    made, values = exported("litellm", exact=True, ttl_s=600, stale_s=5, semantic=SemanticConfig(threshold=0.9))
    params = values["litellm_settings"]["cache_params"]
    assert (params["type"], params["ttl"]) == ("local", 600)
    assert lost(made) == {"cache.exact", "cache.semantic", "cache.stale_s"}
    assert any("means nothing for another" in item.why for item in made.lossy)


def test_litellm_writes_no_cache_where_only_the_semantic_level_was_wanted_and_cannot_be_had() -> None:
    made, values = exported("litellm", semantic=SemanticConfig(threshold=0.9))
    assert "litellm_settings" not in values
    assert lost(made) == {"cache.semantic"}


def test_litellm_takes_the_semantic_level_of_an_embedder_that_it_can_call() -> None:
    made, values = exported("litellm", exact=True, semantic=SemanticConfig(threshold=0.9, embedder=SERVED))
    params = values["litellm_settings"]["cache_params"]
    assert (params["type"], params["similarity_threshold"]) == ("redis-semantic", 0.9)
    [group] = [g for g in values["model_list"] if g["model_name"] == params["redis_semantic_cache_embedding_model"]]
    assert group["litellm_params"] == {
        "model": "openai/embed-3",
        "api_base": "https://api.example/v1",
        "api_key": "os.environ/OPENAI_API_KEY",
    }
    assert lost(made) == {"cache.exact", "cache.semantic", "cache.semantic.guard"}


def test_vllm_sr_takes_both_levels_and_a_guard_of_polarity_only() -> None:
    made, values = exported("vllm-sr", exact=True, ttl_s=599.6, namespace="b", semantic=SemanticConfig(threshold=0.93))
    assert plugin(values) == {
        "enabled": True,
        "mode": "exact_then_semantic",
        "scope": "global",
        "semantic": {"similarity_threshold": 0.93},
        "ttl_seconds": 600,
        "revision": {"cache_epoch": "b"},
    }
    assert values["global"]["stores"]["response_cache"]["polarity_guard"] == {"mode": "lexical"}
    assert lost(made) == {"cache.exact", "cache.semantic.embedder", "cache.semantic.guard"}


def test_vllm_sr_has_a_semantic_cache_without_an_exact_one_and_without_a_guard() -> None:
    made, values = exported("vllm-sr", semantic=SemanticConfig(threshold=0.93, guard="none"))
    assert plugin(values)["mode"] == "semantic"
    assert "global" not in values
    assert lost(made) == {"cache.semantic", "cache.semantic.embedder"}


@pytest.mark.parametrize("to", ["litellm", "vllm-sr"])
def test_thresholds_that_entries_learn_are_lost(to: str) -> None:
    made, values = exported(to, exact=True, semantic=SemanticConfig(per_entry={"error": 0.01}))
    assert "cache.semantic.per_entry" in lost(made)
    assert to == "litellm" or plugin(values)["mode"] == "exact"


def test_a_judge_is_named_as_lost() -> None:
    semantic = SemanticConfig(threshold=0.93, guard={"kind": "judge", "model": "m"})
    made, _ = exported("vllm-sr", semantic=semantic)
    assert any("no judge (m) is asked" in item.why for item in made.lossy)
