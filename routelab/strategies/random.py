"""A uniform draw: the control that a router has to beat, and the log that off-policy estimates need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from routelab.core.plan import Plan
from routelab.core.values import Prompt, Roster, draw


@dataclass(frozen=True, kw_only=True)
class Random:
    """Ask one of the models, each with the same chance; the draw depends on the seed and the prompt's id only."""

    models: tuple[str, ...] = ()
    """The models to draw from; none means all of the config's."""
    seed: int = 0

    instant: ClassVar[bool] = True

    def plan(self, prompts: Sequence[Prompt], roster: Roster) -> Plan:
        """Rank the drawn model first and log its chance, 1 / number of models."""
        names = self.models or roster.names
        columns = np.array([roster.names.index(name) for name in names], dtype=np.intp)
        drawn = np.array([int(draw(self.seed, "random", p.id) * len(names)) for p in prompts], dtype=np.intp)
        return Plan(
            order=columns[drawn].reshape(-1, 1),
            propensity=np.full(len(prompts), 1 / len(names)),
            reason=np.zeros(len(prompts), dtype=np.intp),
            reasons=(f"drawn at random from {len(names)} models",),
        )
