"""A fleet with every kind of address, and one config for every strategy: what the tests of exports share."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from routelab import CacheConfig, Dataset, Fleet, Limits, Prompt, PromptConfig, RouteConfig
from routelab.caching import SemanticConfig
from routelab.core.values import draw
from routelab.lab.targets import Exported, export

FLEET = {
    "routelab": 1,
    "providers": {
        "rack": {"kind": "vllm", "base_url": "http://rack.internal:8000/v1"},
        "gateway": {
            "kind": "openai",
            "base_url": "https://gateway.example/v1",
            "key_env": "GATEWAY_KEY",
            "headers": {"X-Team": "not-for-files"},
            "extra_body": {"service_tier": "flex"},
        },
        "claude-proxy": {"kind": "anthropic", "base_url": "https://claude.example/v1", "key_env": "PROXY_KEY"},
    },
    "models": {
        "small": {
            "provider": "openai",
            "upstream": "gpt-4.1-nano",
            "usd_per_mtok_in": 0.1,
            "usd_per_mtok_out": 0.4,
            "usd_per_mtok_cached_in": 0.07,
            "context_window": 32000,
            "max_output_tokens": 4096,
        },
        "large": {"provider": "openai", "upstream": "gpt-4.1", "usd_per_mtok_in": 2.0, "usd_per_mtok_out": 8.0},
        "claude": {
            "provider": "anthropic",
            "upstream": "claude-sonnet-4-5",
            "usd_per_mtok_in": 3.0,
            "usd_per_mtok_out": 15.0,
        },
        "flash": {
            "provider": "gemini",
            "upstream": "gemini-2.5-flash",
            "usd_per_mtok_in": 0.3,
            "usd_per_mtok_out": 2.5,
        },
        "own": {"provider": "rack", "upstream": "qwen-32b", "usd_per_mtok_in": 0.0, "usd_per_mtok_out": 0.0},
        "far": {"provider": "gateway", "upstream": "mystery-model"},
        "near": {"provider": "claude-proxy", "upstream": "claude-x", "usd_per_mtok_in": 1.0, "usd_per_mtok_out": 2.0},
    },
}
TABLE = {
    "code_generation": ["claude", "large"],
    "summarization": ["flash", "small"],
    "translation": ["small", "flash"],
    "simple_qa": ["small", "flash"],
}


def configs() -> Mapping[str, RouteConfig]:
    """Return one config for every strategy and every part that an export has to say something about."""
    given = [
        RouteConfig(
            name="fixed",
            models=["small", "large", "own"],
            strategy={"kind": "fixed", "model": "small"},
            fallbacks={"small": ["large", "own"], "large": ["claude"]},
            prompt=PromptConfig(temperature=0.2, max_output_tokens=300),
            limits=Limits(deadline_s=30, retries=1),
        ),
        RouteConfig(
            name="given",
            strategy={"kind": "rules", "table": TABLE, "default": ["small", "large"], "tasks": "given"},
        ),
        RouteConfig(
            name="auto",
            strategy={"kind": "rules", "table": TABLE, "default": ["large", "small"]},
            fallbacks={"flash": ["claude"]},
            cache=CacheConfig(exact=True, ttl_s=600),
        ),
        RouteConfig(
            name="detect",
            strategy={"kind": "rules", "table": TABLE, "default": ["small"], "tasks": "detect"},
            limits=Limits(retries=0),
        ),
        RouteConfig(
            name="split",
            strategy={"kind": "split", "weights": {"small": 3, "large": 1}},
            fallbacks={"small": ["claude"], "large": ["claude"]},
            limits=Limits(retries=0),
        ),
        RouteConfig(
            name="pair",
            strategy={"kind": "split", "weights": {"small": 9, "large": 1}},
            fallbacks={"small": ["large", "claude"], "large": ["small", "claude"]},
            limits=Limits(retries=0),
        ),
        RouteConfig(name="random", models=["small", "large", "own"], strategy={"kind": "random"}),
        RouteConfig(
            name="remembered",
            models=["near"],
            strategy={"kind": "fixed", "model": "near"},
            cache=CacheConfig(exact=True),
            prompt=PromptConfig(system="Answer in one word."),
            limits=Limits(budget_usd=5.0),
        ),
        RouteConfig(
            name="alike",
            models=["near"],
            strategy={"kind": "fixed", "model": "near"},
            cache=CacheConfig(
                exact=True,
                ttl_s=600,
                stale_s=60,
                namespace="support",
                semantic=SemanticConfig(threshold=0.93),
            ),
        ),
    ]
    return {config.name: config for config in given}


def prompts() -> list[Prompt]:
    """Return 500 prompts, every second one without a task."""
    given = Dataset.load("workbench").prompts
    without = [dataclasses.replace(p, id=f"{p.id}/untold", task=None) for p in given]
    mixed = [p for pair in zip(given, without, strict=True) for p in pair]
    assert len(mixed) >= 500
    return sorted(mixed, key=lambda p: draw(0, p.id))[:500]


def written(config: RouteConfig, to: str, fleet: Fleet, folder: Path) -> tuple[Exported, Path]:
    """Return the export and where it lies."""
    exported = export(config, to=to, fleet=fleet)
    return exported, exported.write(folder / "out.yaml")
