"""Arms by name: those that a session defined, the models of its fleet, and strategies that need no parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from routelab.config import RouteConfig
from routelab.core.errors import ConfigError, suggest
from routelab.core.ports import Strategy
from routelab.fleet import Fleet
from routelab.strategies import DEFAULTS


def arm_of(name: str, arms: Mapping[str, RouteConfig], fleet: Fleet) -> RouteConfig:
    """Return the arm of that name: one of `arms`, a model of the fleet, or a default strategy; ConfigError where there is none."""
    if name in arms:
        return arms[name]
    if name in fleet.names:
        return always(name, fleet)
    if name in DEFAULTS:
        strategy = DEFAULTS[name]()
        models = getattr(strategy, "models", ()) or fleet.names
        missing = [m for m in models if m not in fleet.names]
        if missing:
            raise ConfigError(
                f"the default '{name}' arm asks {', '.join(missing)}, which this fleet does not have",
                hint=f"define your own: lab.arms['{name}'] = RouteConfig(...)",
            )
        return RouteConfig(name=name, models=models, strategy=strategy, fleet=fleet.spec)
    known = [*arms, *DEFAULTS, *fleet.names]
    near = suggest(name, known)
    raise ConfigError(f"unknown arm '{name}'{'' if near is None else '; ' + near}", hint=f"arms: {', '.join(known)}")


def always(model: str, fleet: Fleet) -> RouteConfig:
    """Return the arm that asks one model for everything."""
    return RouteConfig(name=model, models=[model], strategy={"kind": "fixed", "model": model}, fleet=fleet.spec)


def named(
    arms: Mapping[str, str | RouteConfig | Strategy] | Sequence[str],
) -> dict[str, str | RouteConfig | Strategy]:
    """Return arms by name; one name alone is one arm, and not its letters."""
    if isinstance(arms, str):
        return {arms: arms}
    return dict(arms) if isinstance(arms, Mapping) else {name: name for name in arms}
