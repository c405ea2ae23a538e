"""Configs for other routers: one file a target, and a list of what each could not carry over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from routelab import strict
from routelab.config import RouteConfig
from routelab.core.errors import ConfigError, suggest
from routelab.core.ports import Provider
from routelab.core.values import Model, Reply, Request
from routelab.fleet import Fleet, fleet_of
from routelab.lab.targets.litellm import litellm
from routelab.lab.targets.lossy import Exported, Lossy, lossy_table
from routelab.lab.targets.vllmsr import vllmsr
from routelab.stages import Endpoint

TARGETS: Mapping[str, Callable[[RouteConfig, Mapping[str, Endpoint]], Exported]] = {
    "litellm": litellm,
    "vllm-sr": vllmsr,
}

__all__ = ["TARGETS", "Exported", "Lossy", "endpoints_of", "export", "lossy_table"]


def export(config: RouteConfig, *, to: str, fleet: Fleet | None = None) -> Exported:
    """Return the config as a file for a target, and what that file cannot say exactly.

    The fleet is the argument, else the config's own; without either the file says where an address is missing. ConfigError when
    the target is unknown or has no way at all to decide as the strategy does.
    """
    if to not in TARGETS:
        near = suggest(to, TARGETS)
        raise ConfigError(
            f"unknown export target '{to}'{'' if near is None else '; ' + near}",
            hint=f"targets: routelab, {', '.join(TARGETS)}",
        )
    return TARGETS[to](config, endpoints_of(config, fleet))


def endpoints_of(config: RouteConfig, fleet: Fleet | None = None) -> dict[str, Endpoint]:
    """Return who answers for each of the config's models; a model that no fleet knows has no address and no price."""
    if fleet is None and config.fleet is not None:
        fleet = fleet_of(config.fleet, strict.Document(values={}, name=config.name))
    if fleet is not None:
        return {name: fleet.endpoint(name) for name in config.names}
    return {name: _nowhere(name) for name in config.names}


def _nowhere(name: str) -> Endpoint:
    provider: Provider = _Nobody()
    return Endpoint(model=Model(name=name, provider="unknown", upstream=name), provider=provider)


@dataclass(frozen=True)
class _Nobody:
    """Stands where no fleet says who answers; exports read it, nobody asks it."""

    async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
        """Refuse."""
        raise ConfigError(
            f"nothing says who answers for '{request.model.name}'", hint="put a fleet.yaml beside the file"
        )
