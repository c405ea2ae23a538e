"""An A/B split: each prompt is drawn to one model with a stated chance, and the chance is logged.

The draw is a hash of the seed and the prompt's id, so the same prompt meets the same model in every process, in any batch, and
the logged propensity makes the log usable for off-policy estimates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from routelab.core.plan import Plan
from routelab.core.values import Prompt, Roster, draw


@dataclass(frozen=True, kw_only=True)
class Split:
    """Ask one model, drawn with the given weights (any positive numbers; they are scaled to sum to 1)."""

    weights: Mapping[str, float]
    seed: int = 0

    instant: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.weights:
            raise ValueError("weights: name at least one model")
        for model, weight in self.weights.items():
            if not math.isfinite(weight) or weight < 0:
                raise ValueError(f"weights.{model}: must be a number of at least 0, not {weight!r}")
        if sum(self.weights.values()) <= 0:
            raise ValueError("weights: at least one must be more than 0")

    @property
    def models(self) -> tuple[str, ...]:
        """The models this strategy names."""
        return tuple(self.weights)

    def plan(self, prompts: Sequence[Prompt], roster: Roster) -> Plan:
        """Rank the drawn model first, with its share as propensity."""
        # By name, so that equal weights draw equally in whatever order they were written.
        names = sorted(name for name, weight in self.weights.items() if weight > 0)
        columns = np.array([roster.names.index(name) for name in names], dtype=np.intp)
        shares = np.array([self.weights[name] for name in names], dtype=float)
        shares = np.ldexp(shares, -np.frexp(shares.max())[1])  # exact, and the sum of large weights does not overflow
        shares /= shares.sum()
        u = np.array([draw(self.seed, "split", p.id) for p in prompts], dtype=float)
        drawn = np.minimum(np.searchsorted(np.cumsum(shares), u, side="right"), len(names) - 1).astype(np.intp)
        return Plan(
            order=columns[drawn].reshape(-1, 1),
            propensity=shares[drawn],
            reason=drawn,
            reasons=tuple(
                f"drawn: {share:.0%} of prompts go to {name}" for name, share in zip(names, shares, strict=True)
            ),
        )
