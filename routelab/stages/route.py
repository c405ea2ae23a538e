"""Ask the strategy: a live decision is a batch of one."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from routelab.core.errors import TimedOut
from routelab.core.events import Candidate, Compacted, Routed
from routelab.core.plan import NOBODY, Plan, with_fallbacks
from routelab.core.ports import Strategy, World
from routelab.core.run import Run
from routelab.core.values import Prompt, Roster
from routelab.stages.desk import Desk
from routelab.stages.guard import default, guarded


@dataclass(frozen=True, kw_only=True)
class Route:
    """Rank the models for the prompt; `roster` also holds those that only fallbacks name, after the first `ranked` ones.

    Where the strategy raises, returns what cannot be used or is late at the `desk`, the default decides (`stages.guard`)
    and `Routed.error` says why. A strategy whose attribute `instant` is true is asked without a thread.
    """

    kind: str
    strategy: Strategy
    roster: Roster
    ranked: int
    fallbacks: Mapping[str, Sequence[str]]
    desk: Desk = field(default_factory=Desk, compare=False)

    def plan(self, prompts: Sequence[Prompt], *, strict: bool = False) -> Plan:
        """Return the plan for many prompts: the one definition that live calls and replays share.

        With `strict`, what the strategy raised is raised when not one prompt could be planned.
        """
        return self.extended(guarded(self.kind, self.strategy, prompts, self._own, strict=strict))

    @property
    def _own(self) -> Roster:
        return Roster(models=self.roster.models[: self.ranked])

    def extended(self, plan: Plan) -> Plan:
        """Return the plan with the fallbacks of each ranking's models after it."""
        names = self.roster.names
        rows = {names.index(m): [names.index(f) for f in row] for m, row in self.fallbacks.items() if m in names}
        return with_fallbacks(plan, rows)

    async def _decided(self, prompt: Prompt, world: World) -> Plan:
        if getattr(self.strategy, "instant", False):
            return self.plan([prompt])
        left_s = None if world.deadline is None else max(0.0, world.deadline - world.clock.monotonic())
        try:
            return await self.desk.decide(lambda: self.plan([prompt]), left_s=left_s)
        except TimedOut as late:
            return self.extended(default(f"strategy {self.kind} {late.message}", self._own))

    async def __call__(self, run: Run, world: World) -> Routed:
        """Return the decision for one prompt, with what was considered and why.

        Models that cannot take the conversation as it was fitted (`Compacted.models`) are left out of the ranking; when none of
        it is left, those that can are ranked by their windows, the smallest first.
        """
        plan = await self._decided(run.prompt, world)
        names = self.roster.names
        decided = Routed(
            strategy=self.kind,
            order=tuple(names[m] for m in plan.order[0] if m != NOBODY),
            reason=plan.why(0),
            propensity=float(plan.propensity[0]),
            task=run.prompt.task,
            considered=tuple(Candidate(model=m, quality=self._predicted(plan, m)) for m in names),
            rungs=None if plan.rungs is None else int(plan.rungs[0]),
            error=plan.errors.get(0),
        )
        fitted = next((e for e in reversed(run.events) if isinstance(e, Compacted) and e.models), None)
        return decided if fitted is None else self._able(decided, fitted)

    def _able(self, decided: Routed, fitted: Compacted) -> Routed:
        """Return the decision without the models that cannot take what was fitted."""
        small = [m for m in decided.order if m not in fitted.models]
        if not small:
            return decided
        size = "" if fitted.tokens_after is None else f"{fitted.tokens_after:,} tokens are too many for "
        reason = f"{decided.reason}; {size or 'too small: '}{', '.join(small)}"
        order = tuple(m for m in decided.order if m in fitted.models)
        ranked = len(decided.order) if decided.rungs is None else decided.rungs
        rungs = sum(m in fitted.models for m in decided.order[:ranked])
        if not order:
            windows = {m.name: m.context_window or math.inf for m in self.roster.models if m.name in fitted.models}
            order = tuple(sorted(windows, key=lambda name: windows[name]))
            reason, rungs = f"{reason}; asked instead by their windows", 1
        return dataclasses.replace(
            decided,
            order=order,
            reason=reason,
            rungs=decided.rungs if decided.rungs is None else max(rungs, 1),
            # How likely another draw would have come to this is not known; one that was certain stays certain.
            propensity=decided.propensity if decided.propensity == 1 else math.nan,
        )

    def _predicted(self, plan: Plan, model: str) -> float | None:
        if plan.quality is None:
            return None
        column = self.roster.names.index(model)
        if column >= plan.quality.shape[1]:
            return None
        value = float(plan.quality[0, column])
        return None if np.isnan(value) else value
