"""Ask the strategy: a live decision is a batch of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from routelab.core.errors import ConfigError
from routelab.core.events import Candidate, Routed
from routelab.core.plan import NOBODY, Plan, with_fallbacks
from routelab.core.ports import Strategy, World
from routelab.core.run import Run
from routelab.core.values import Prompt, Roster


@dataclass(frozen=True, kw_only=True)
class Route:
    """Rank the models for the prompt; `roster` also holds those that only fallbacks name, after the first `ranked` ones."""

    kind: str
    strategy: Strategy
    roster: Roster
    ranked: int
    fallbacks: Mapping[str, Sequence[str]]

    def plan(self, prompts: Sequence[Prompt]) -> Plan:
        """Return the plan for many prompts: the one definition that live calls and replays share."""
        names = self.roster.names
        rows = {names.index(m): [names.index(f) for f in row] for m, row in self.fallbacks.items() if m in names}
        return with_fallbacks(self.strategy.plan(prompts, Roster(models=self.roster.models[: self.ranked])), rows)

    async def __call__(self, run: Run, world: World) -> Routed:
        """Return the decision for one prompt, with what was considered and why."""
        plan = self.plan([run.prompt])
        names = self.roster.names
        order = tuple(names[m] for m in plan.order[0] if m != NOBODY)
        if not order:
            raise ConfigError(f"strategy {self.kind}: ranked no model for prompt {run.prompt.id}")
        return Routed(
            strategy=self.kind,
            order=order,
            reason=plan.why(0),
            propensity=float(plan.propensity[0]),
            task=run.prompt.task,
            considered=tuple(Candidate(model=m, quality=self._predicted(plan, m)) for m in names),
        )

    def _predicted(self, plan: Plan, model: str) -> float | None:
        if plan.quality is None:
            return None
        column = self.roster.names.index(model)
        if column >= plan.quality.shape[1]:
            return None
        value = float(plan.quality[0, column])
        return None if np.isnan(value) else value
