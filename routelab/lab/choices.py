"""Logged choices: who was asked for each prompt, with which chance, and what it was worth. Not a cube, but enough to estimate from."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from routelab.core.errors import DataError
from routelab.core.plan import Ints
from routelab.core.ports import Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class Choices:
    """Logged choices, one a run: who was asked, with which chance, and what it was worth.

    `action` (n,) is the position of the model in `models`, `propensity` (n,) the chance with which it was chosen,
    `reward` (n,) the quality (a failure is 0), `cost_usd` (n,) what the run cost, NaN where that is not known. `chances`
    (n × models), where it was logged, are the chances of all models; without it a model has no support where another one was
    chosen for certain, or where it was never chosen at all. `strata` (n,) are what a reward model may know (a task's number),
    `clusters` (n,) groups of prompts, `row` (n,) the prompts' places in the outcomes that the choices belong to.
    """

    models: tuple[str, ...]
    action: Ints
    reward: Floats
    propensity: Floats
    cost_usd: Floats | None = None
    chances: Floats | None = None
    strata: Ints | None = None
    clusters: Ints | None = None
    row: Ints | None = None

    def __post_init__(self) -> None:
        n = len(self.action)
        if self.reward.shape != (n,) or self.propensity.shape != (n,) or n == 0:
            raise DataError(
                "logged choices need one action, reward and propensity for each of at least one prompt",
                hint="leave out prompts without a score",
            )
        if np.isnan(self.reward).any() or not ((self.propensity > 0) & (self.propensity <= 1)).all():
            raise DataError(
                "logged choices need a known reward and a propensity of more than 0 and at most 1",
                hint="log the chance with which each model was drawn",
            )
        if ((self.action < 0) | (self.action >= len(self.models))).any():
            raise DataError("logged choices name a model that is not in the list", hint="check `models`")
        if self.chances is not None and self.chances.shape != (n, len(self.models)):
            raise DataError("chances must be prompts × models", hint="one column for each name in `models`")

    def __len__(self) -> int:
        return len(self.action)

    @property
    def drawn(self) -> bool:
        """Whether chance had a say at all."""
        return bool((self.propensity < 1).any())

    def of_rows(self, index: Ints) -> Choices | None:
        """Return the choices of some prompts of the outcomes, with their new places; None when there are none."""
        if self.row is None:
            return None
        place = np.full(max(int(self.row.max()), int(index.max(initial=0))) + 1, -1, dtype=np.intp)
        place[index] = np.arange(len(index), dtype=np.intp)
        kept = place[self.row] >= 0
        if not kept.any():
            return None
        arrays = {
            name: getattr(self, name)[kept]
            for name in ("action", "reward", "propensity", "cost_usd", "chances", "strata", "clusters")
            if getattr(self, name) is not None
        }
        return dataclasses.replace(self, **arrays, row=place[self.row[kept]])
