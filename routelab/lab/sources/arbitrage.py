"""Arbitrage by every predictor, at many thresholds and many weights of the cost."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from routelab.config import RouteConfig
from routelab.lab.controls import mean_costs
from routelab.lab.outcomes import Outcomes
from routelab.lab.sources.candidate import Ladder
from routelab.strategies import Arbitrage

Spec: TypeAlias = "str | Mapping[str, Any]"

PREDICTORS: Mapping[str, Spec] = {
    "lookup": {"kind": "lookup", "tasks": "given"},
    "knn": "knn",
    "cluster": "cluster",
    "logistic": "logistic",
    "mf": "mf",
    "boosting": "boosting",
    "stack": "stack",
}
THRESHOLDS = tuple(np.round(np.linspace(0.0, 1.0, 201), 3).tolist())
WEIGHTS = (0.0, *np.geomspace(1e-3, 10.0, 160).tolist())
"""How much quality the mean cost of the dearest model is worth."""
_KEPT = 16


def arbitrage(tune: Outcomes) -> Iterator[Ladder]:
    """Yield two ladders a predictor: `min_quality` over THRESHOLDS, and `cost_weight` over WEIGHTS.

    The table of tasks is left out where there are fewer than two tasks; without any cost there is one value only, which
    asks the model predicted best.
    """
    if len(tune.models) < 2 or np.isnan(tune.quality).all():
        return
    costs = mean_costs(tune)
    dearest = np.nanmax(costs) if np.isfinite(costs).any() else 0.0
    tasks = {p.task for p in tune.prompts if p.task is not None}
    for name, spec in PREDICTORS.items():
        if name == "lookup" and len(tasks) < 2:
            continue
        pupil = Pupil(spec=spec, tune=tune)
        if not dearest > 0:
            yield Ladder(name=f"{name} min_quality", arm=pupil.arm("min_quality", name), values=(1.0,))
            continue
        weights = tuple(dict.fromkeys(float(f"{w / dearest:.3g}") for w in WEIGHTS))
        yield Ladder(name=f"{name} min_quality", arm=pupil.arm("min_quality", name), values=THRESHOLDS)
        yield Ladder(name=f"{name} cost_weight", arm=pupil.arm("cost_weight", name), values=weights)


@dataclass(frozen=True, kw_only=True, eq=False)
class Pupil:
    """A predictor that learns once from the same outcomes, for both knobs.

    What is fitted on all of `tune` may be exported, so it also learns to do without tasks.
    """

    spec: Spec
    tune: Outcomes
    taught: OrderedDict[int, tuple[Outcomes, Arbitrage]] = field(default_factory=OrderedDict)

    def arm(self, knob: str, name: str) -> Callable[[Outcomes], RouteConfig]:
        """Return the function from outcomes to a config with the knob at 0."""

        def fitted(outcomes: Outcomes) -> RouteConfig:
            own = self.fit(outcomes)
            if knob == "cost_weight":
                own = dataclasses.replace(own, min_quality=None, cost_weight=0.0)
            return RouteConfig(name=f"{name} {knob}", models=outcomes.models, strategy=own)

        return fitted

    def fit(self, outcomes: Outcomes) -> Arbitrage:
        """Return the strategy fitted on the outcomes."""
        # The outcomes are kept along, so that no others can get their number.
        if id(outcomes) not in self.taught:
            fitted = Arbitrage(predictor=self.spec, min_quality=0.0).fit(outcomes, untold=outcomes is self.tune)
            self.taught[id(outcomes)] = (outcomes, fitted)
            while len(self.taught) > _KEPT:
                self.taught.popitem(last=False)
        return self.taught[id(outcomes)][1]
