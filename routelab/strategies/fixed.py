"""One model for everything: what every other strategy must beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from routelab.core.plan import Plan
from routelab.core.values import Prompt, Roster


@dataclass(frozen=True, kw_only=True)
class Fixed:
    """Always ask the same model."""

    model: str

    instant: ClassVar[bool] = True

    @property
    def models(self) -> tuple[str, ...]:
        """The models this strategy names."""
        return (self.model,)

    def plan(self, prompts: Sequence[Prompt], roster: Roster) -> Plan:
        """Rank the one model first for every prompt."""
        n = len(prompts)
        return Plan(
            order=np.full((n, 1), roster.names.index(self.model), dtype=np.intp),
            propensity=np.ones(n),
            reason=np.zeros(n, dtype=np.intp),
            reasons=(f"always {self.model}",),
        )
