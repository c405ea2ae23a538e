"""Every model by itself."""

from __future__ import annotations

from collections.abc import Iterator

from routelab.config import RouteConfig
from routelab.lab.outcomes import Outcomes
from routelab.lab.sources.candidate import Candidate, always
from routelab.strategies import Fixed


def singles(tune: Outcomes) -> Iterator[Candidate]:
    """Yield every model alone."""
    for model in tune.models:
        yield Candidate(name=model, arm=always(fixed(model)), learns=False)


def fixed(model: str) -> RouteConfig:
    """Return the config that asks one model for everything."""
    return RouteConfig(name=model, models=(model,), strategy=Fixed(model=model))
