"""The winner as a file that runs in production, with the evidence beside it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from routelab import strict
from routelab.config import RouteConfig
from routelab.core.errors import ConfigError, suggest
from routelab.core.ports import Strategy
from routelab.fleet import Fleet
from routelab.lab.block import block
from routelab.lab.compare import Arm, Comparison
from routelab.lab.targets import export

TARGETS = ("routelab", "litellm", "vllm-sr")


def write_winner(
    comparison: Comparison,
    path: str | Path,
    *,
    to: str = "routelab",
    arm: str | None = None,
    fleet: Fleet | None = None,
) -> Path | None:
    """Write the winner's config (or a named arm's) with its evidence; return the path, or None when there is no winner.

    Another router's file (`to`) carries the evidence as a comment, and says what it cannot do exactly; `fleet` says where its
    models are asked, unless the config does.

    An arm that is written without having been confirmed as the winner is stamped so: `evidence.status`.
    """
    _target(to)
    chosen = comparison.winner() if arm is None else comparison[arm]
    if chosen is None:
        return None
    config = runnable(chosen)
    head = f"{config.name}: exported by routelab.\n{comparison.why}"
    if comparison.terms.simulated:
        head = f"SIMULATED: the figures below come from practice models, not from real ones.\n{head}"
    if to != "routelab":
        proof = strict.dump({"evidence": evidence(comparison, chosen)})
        return export(config, to=to, fleet=fleet).under(f"{head}\n{proof}").write(Path(path))
    return config.to_yaml(path, evidence=evidence(comparison, chosen), comment=head)


def write_config(config: RouteConfig, path: str | Path, *, to: str = "routelab", fleet: Fleet | None = None) -> Path:
    """Write a config for a target, without evidence; `routelab.lab.targets.export` also returns what the file cannot say."""
    _target(to)
    return config.to_yaml(path) if to == "routelab" else export(config, to=to, fleet=fleet).write(Path(path))


def evidence(comparison: Comparison, arm: Arm) -> dict[str, Any]:
    """Return what is known of an arm, as plain values; written for people, never read back as truth.

    `status` is "confirmed" only for the winner of a comparison that could name one, else "unconfirmed".
    """
    winner = comparison.winner()
    return {
        "status": "confirmed" if winner is not None and winner.name == arm.name else "unconfirmed",
        "why": comparison.why,
        "dataset": comparison.terms.dataset,
        **block(comparison, arm),
        "config": runnable(arm).fingerprint,
        "notes": list(comparison.terms.notes),
    }


def runnable(arm: Arm) -> RouteConfig:
    """Return an arm's config, whatever it was given as: a RouteConfig, a strategy, or one model's name."""
    config = arm.config
    if isinstance(config, RouteConfig):
        return config if config.name == arm.name else dataclasses.replace(config, name=arm.name)
    if isinstance(config, str):
        return RouteConfig(name=arm.name, models=[config], strategy={"kind": "fixed", "model": config})
    strategy: Strategy = config
    models = getattr(strategy, "models", ())
    if not models:
        raise ConfigError(
            f"arm '{arm.name}' does not name its models, so it cannot run elsewhere",
            hint="give it as RouteConfig(models=[...])",
        )
    return RouteConfig(name=arm.name, models=models, strategy=strategy)


def _target(to: str) -> None:
    if to not in TARGETS:
        near = suggest(to, TARGETS)
        raise ConfigError(
            f"unknown export target '{to}'{'' if near is None else '; ' + near}", hint=f"targets: {', '.join(TARGETS)}"
        )
