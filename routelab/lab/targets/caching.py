"""A config's caches as other routers have them, and what of them those do not have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from routelab.caching import CacheConfig, SemanticConfig
from routelab.config import RouteConfig
from routelab.lab.targets.entries import ENTRY, Entries
from routelab.lab.targets.lossy import Lossy

FOR_EVER_S = 10 * 365 * 86_400
"""Who forgets after some minutes when no time is given needs a number for "for ever"."""
EMBEDDER = "routelab-embedder"
"""The group in LiteLLM's file that embeds questions."""
_NOT_WRITTEN = "nothing: such questions are asked"


def litellm_cache(config: RouteConfig, entries: Entries) -> tuple[dict[str, Any], list[dict[str, Any]], list[Lossy]]:
    """Return LiteLLM's cache settings, the groups that they need in the model list, and what is lost.

    LiteLLM has one cache. A semantic one needs Redis and an embedding model that it can call: only with an embedder of kind
    `endpoint` does a threshold mean there what it means here. Else the exact level is written alone.
    """
    cache = config.cache
    lossy = _everywhere(cache)
    if entries.tasks and cache.remembers:
        lossy.append(
            Lossy(
                field="cache.exact" if cache.exact else "cache.semantic",
                touches="answers",
                why=f"LiteLLM remembers by group: the same text under {ENTRY} and {ENTRY}/TASK is asked twice",
                written="one entry a group",
            )
        )
    params: dict[str, Any] = {
        "type": "local",
        "mode": "default_on",
        "ttl": FOR_EVER_S if cache.ttl_s is None else cache.ttl_s,
        "namespace": f"routelab:{config.fingerprint}",
        "supported_call_types": ["acompletion", "completion"],
    }
    served = None if cache.semantic is None else _served(cache.semantic)
    if cache.semantic is not None:
        lossy += _litellm_semantic(cache, cache.semantic, served)
    if cache.semantic is not None and served is not None:
        params |= {
            "type": "redis-semantic",
            "similarity_threshold": cache.semantic.threshold,
            "redis_semantic_cache_embedding_model": EMBEDDER,
        }
        return {"cache": True, "cache_params": params}, [served], lossy
    if not cache.exact:
        return {}, [], lossy
    lossy.append(
        Lossy(
            field="cache.exact",
            touches="answers",
            why=f"LiteLLM's memory keeps 200 answers and each worker its own; routelab keeps {cache.size:,}, and all in its log",
            written="type: local (set MAX_SIZE_IN_MEMORY in the proxy's environment, or type: redis, for more)",
        )
    )
    return {"cache": True, "cache_params": params}, [], lossy


def _served(semantic: SemanticConfig) -> dict[str, Any] | None:
    """Return the group that embeds as routelab does; None where LiteLLM cannot, or has no threshold to hold it against."""
    spec = semantic.embedder
    if semantic.threshold is None or not isinstance(spec, Mapping) or spec.get("kind") != "endpoint":
        return None
    params: dict[str, Any] = {"model": f"openai/{spec['model']}", "api_base": spec["url"]}
    key = spec.get("key_env", "OPENAI_API_KEY")
    if key is not None:
        params["api_key"] = f"os.environ/{key}"
    return {"model_name": EMBEDDER, "litellm_params": params, "model_info": {"mode": "embedding"}}


def _litellm_semantic(cache: CacheConfig, semantic: SemanticConfig, served: object) -> list[Lossy]:
    if semantic.threshold is None:
        return [_per_entry()]
    if served is None:
        return [
            Lossy(
                field="cache.semantic",
                touches="answers",
                why="LiteLLM's semantic cache needs Redis or Qdrant and a model that it can call for embeddings; the threshold is one for "
                f"{_named(semantic.embedder)}, which is none, and means nothing for another",
                written=_NOT_WRITTEN,
            )
        ]
    lossy = [
        Lossy(
            field="cache.semantic",
            touches="answers",
            why="LiteLLM embeds the last messages together, not the question within its namespace, and keeps answers in Redis only",
            written=f"type: redis-semantic, similarity_threshold: {semantic.threshold:g}; needs redisvl and REDIS_HOST, REDIS_PORT, REDIS_PASSWORD",
        )
    ]
    if semantic.guard != "none":
        lossy.append(
            Lossy(
                field="cache.semantic.guard",
                touches="answers",
                why="LiteLLM answers whatever is near enough: opposites and other numbers too",
                written="nothing: raise the threshold, or do without the semantic cache",
            )
        )
    if cache.exact:
        lossy.append(
            Lossy(
                field="cache.exact",
                touches="answers",
                why="LiteLLM has one cache: equal requests are found as the nearest ones, after they were embedded",
                written="the semantic cache alone",
            )
        )
    return lossy


def vllmsr_cache(config: RouteConfig) -> tuple[list[dict[str, Any]], dict[str, Any], list[Lossy]]:
    """Return vLLM-SR's plugin, what it needs under `global.stores.response_cache`, and what is lost."""
    cache, semantic = config.cache, config.cache.semantic
    if not cache.remembers:
        return [], {}, []
    threshold = None if semantic is None else semantic.threshold
    lossy = _everywhere(cache)
    if semantic is not None and threshold is None:
        lossy.append(_per_entry())
    alike = threshold is not None and 0 <= threshold <= 1
    if threshold is not None and not alike:
        lossy.append(
            Lossy(
                field="cache.semantic.threshold",
                touches="answers",
                why="the router's thresholds lie between 0 and 1",
                written=_NOT_WRITTEN,
            )
        )
    if not alike and not cache.exact:
        return [], {}, lossy
    mode = ("exact_then_semantic" if cache.exact else "semantic") if alike else "exact"
    ttl = FOR_EVER_S if cache.ttl_s is None else max(1, round(cache.ttl_s))
    settings: dict[str, Any] = {"enabled": True, "mode": mode, "scope": "global"}
    if alike:
        settings["semantic"] = {"similarity_threshold": threshold}
    settings["ttl_seconds"] = ttl
    if cache.namespace:
        # What belongs to another epoch is never found.
        settings["revision"] = {"cache_epoch": cache.namespace}
    lossy.append(
        Lossy(
            field="cache.exact" if cache.exact else "cache.semantic",
            touches="answers",
            why="where answers are kept, and how many, is set under global.stores; seconds are whole",
            written=f"mode: {mode}, ttl_seconds: {ttl}",
        )
    )
    if alike:
        assert semantic is not None
        lossy += _vllmsr_semantic(semantic)
    guarded = alike and semantic is not None and semantic.guard != "none"
    return (
        [{"type": "response_cache", "configuration": settings}],
        {"polarity_guard": {"mode": "lexical"}} if guarded else {},
        lossy,
    )


def _vllmsr_semantic(semantic: SemanticConfig) -> list[Lossy]:
    lossy = [
        Lossy(
            field="cache.semantic.embedder",
            touches="answers",
            why=f"the router embeds with a model of its own; the threshold was chosen for {_named(semantic.embedder)}",
            written=f"similarity_threshold: {semantic.threshold:g}, to be chosen again there",
        )
    ]
    if semantic.guard != "none":
        judge = "" if semantic.judge is None else f", and no judge ({semantic.judge}) is asked"
        lossy.append(
            Lossy(
                field="cache.semantic.guard",
                touches="answers",
                why=f"the router's guard looks at polarity; numbers, units, dates, names and identifiers pass it{judge}",
                written="global.stores.response_cache.polarity_guard: {mode: lexical}",
            )
        )
    return lossy


def _everywhere(cache: CacheConfig) -> list[Lossy]:
    """Return what no other router has."""
    if not cache.remembers:
        return []
    lossy = []
    if cache.stale_s:
        lossy.append(
            Lossy(
                field="cache.stale_s",
                touches="answers",
                why="it has no answers that are given while a fresh one is asked for",
                written=f"nothing: after {cache.ttl_s:g} s the model is asked",
            )
        )
    return lossy


def _per_entry() -> Lossy:
    return Lossy(
        field="cache.semantic.per_entry",
        touches="answers",
        why="thresholds that entries learn have no counterpart",
        written=_NOT_WRITTEN,
    )


def _named(embedder: str | Mapping[str, Any]) -> str:
    return embedder if isinstance(embedder, str) else str(embedder.get("model", embedder["kind"]))
