"""Routing strategies, one file each: a ranking of models per prompt and a gate (`core.ports.Strategy`).

To add one: write the file, add its line to `KINDS`, subclass `routelab.testing.StrategyContract` in a test.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from routelab import strict
from routelab.core.errors import ConfigError, suggest
from routelab.core.ports import Strategy
from routelab.strategies.agreement import Agreement
from routelab.strategies.arbitrage import Arbitrage
from routelab.strategies.bandit import Bandit
from routelab.strategies.cascade import Cascade
from routelab.strategies.fitting.learned import Learned
from routelab.strategies.fixed import Fixed
from routelab.strategies.random import Random
from routelab.strategies.rules import Rules
from routelab.strategies.semantic import Semantic
from routelab.strategies.split import Split

KINDS: Mapping[str, type] = {
    "fixed": Fixed,
    "rules": Rules,
    "split": Split,
    "random": Random,
    "bandit": Bandit,
    "semantic": Semantic,
    "arbitrage": Arbitrage,
    "cascade": Cascade,
    "agreement": Agreement,
}
DEFAULTS: Mapping[str, type] = {"rules": Rules, "random": Random, "semantic": Semantic}
"""Strategies that work without parameters, so that their kind alone names an arm."""

__all__ = [
    "DEFAULTS",
    "KINDS",
    "Agreement",
    "Arbitrage",
    "Bandit",
    "Cascade",
    "Fixed",
    "Learned",
    "Random",
    "Rules",
    "Semantic",
    "Split",
    "identity_of",
    "kind_of",
    "spec_of",
    "strategy_of",
]


def strategy_of(spec: Mapping[str, Any], document: strict.Document | None = None) -> Strategy:
    """Return the strategy that a mapping such as ``{"kind": "fixed", "model": "gpt-5-mini"}`` describes."""
    document = document or strict.Document(values={}, name="config")
    values = dict(spec)
    kind = values.pop("kind", None)
    if kind is None:
        raise ConfigError(f"{document.where('strategy')}: `kind` is missing", hint=f"kinds: {', '.join(KINDS)}")
    if not isinstance(kind, str):
        raise ConfigError(
            f"{document.where('strategy', 'kind')}: must be a text (got {kind!r})", hint=f"kinds: {', '.join(KINDS)}"
        )
    if kind not in KINDS:
        near = suggest(kind, KINDS)
        raise ConfigError(
            f"{document.where('strategy', 'kind')}: unknown '{kind}'{'' if near is None else '; ' + near}",
            hint=None if near else f"kinds: {', '.join(KINDS)}",
        )
    located = getattr(KINDS[kind], "located", None)
    if located is not None:
        # Files that a strategy names lie beside the config's.
        values = dict(located(values, Path(document.name).parent))
    built: Strategy = strict.build(KINDS[kind], values, ("strategy",), document)
    return built


def kind_of(strategy: Strategy) -> str:
    """Return the kind under which a strategy is configured, or its class's name for somebody's own."""
    return next((kind for kind, cls in KINDS.items() if type(strategy) is cls), type(strategy).__name__.lower())


def spec_of(strategy: Strategy) -> dict[str, Any]:
    """Return the mapping that `strategy_of` turns back into an equal strategy; fields at their default are left out.

    What was learned is written out where it is small; else it stays the `Learned` that it is.
    """
    if type(strategy) not in KINDS.values():
        raise ConfigError(
            f"a strategy of type {type(strategy).__name__} cannot be written to YAML",
            hint=f"kinds that can: {', '.join(KINDS)}",
        )
    assert dataclasses.is_dataclass(strategy)
    spec: dict[str, Any] = {"kind": kind_of(strategy)}
    for field in dataclasses.fields(strategy):
        value = getattr(strategy, field.name)
        default = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
        if value != default:
            spec[field.name] = _plain(value)
    return spec


def identity_of(strategy: Strategy) -> dict[str, Any]:
    """Return plain values that differ when two strategies may decide otherwise: the spec, or for somebody's own class its fields.

    An own strategy that is no dataclass is known by the object alone, so two of them never count as the same.
    """
    if type(strategy) in KINDS.values():
        return spec_of(strategy)
    own: dict[str, Any] = {"kind": f"{type(strategy).__module__}.{type(strategy).__qualname__}"}
    if not dataclasses.is_dataclass(strategy):
        return {**own, "object": id(strategy)}
    return {**own, **{f.name: _plain(getattr(strategy, f.name)) for f in dataclasses.fields(strategy)}}


def _plain(value: Any) -> Any:
    if isinstance(value, Learned):
        return value.inline() if value.small else value
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return value
