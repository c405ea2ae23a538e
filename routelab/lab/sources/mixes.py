"""Random mixes of two models: the controls that a strategy has to beat."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from routelab.config import RouteConfig
from routelab.lab.controls import mean_costs, mean_qualities, zero_router
from routelab.lab.outcomes import Outcomes
from routelab.lab.sources.candidate import Candidate, always
from routelab.strategies import Split

MIXES = (0.25, 0.5, 0.75)


def mixes(tune: Outcomes) -> Iterator[Candidate]:
    """Yield random mixes of neighbours on the zero router's hull, as controls."""
    hull = zero_router(tune.models, mean_costs(tune), mean_qualities(tune))
    corners = [] if hull is None else [model for model, _, _ in hull.corners]
    for (cheap, dear), share in itertools.product(itertools.pairwise(corners), MIXES):
        name = f"mix-{1 - share:.0%}-{cheap}-{share:.0%}-{dear}"
        mix = RouteConfig(name=name, models=(cheap, dear), strategy=Split(weights={cheap: 1 - share, dear: share}))
        yield Candidate(name=name, arm=always(mix), learns=False, control=True)
