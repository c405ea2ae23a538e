"""Let the gate judge the latest answer: accepted, or the next model in the ranking is asked."""

from __future__ import annotations

from dataclasses import dataclass

from routelab.core.events import Answered, Scored
from routelab.core.plan import Gate
from routelab.core.ports import Judge, World
from routelab.core.run import Run


@dataclass(frozen=True, kw_only=True)
class Admit:
    """Judge with `judge` and accept what reaches the gate's bar; an answer that could not be judged is not accepted."""

    gate: Gate
    judge: Judge

    async def __call__(self, run: Run, world: World) -> Scored:
        """Return the verdict, with what judging cost and took, and whose answer stands if that is an earlier one."""
        model = run.current or ""
        given = await self.judge(run, world)
        bar = self.gate.bar(model)
        accepted = given.quality is not None and given.quality >= bar
        return Scored(
            scorer=self.gate.key,
            quality=given.quality,
            model=model,
            reason=given.reason,
            accepted=accepted,
            at_least=bar,
            judge=given.judge,
            tokens=given.tokens,
            cost_usd=given.cost_usd,
            latency_s=given.latency_s,
            simulated=given.simulated,
            answered_by=given.answered_by if accepted and given.answered_by != model else None,
        )


def unjudged(run: Run) -> bool:
    """Say that there is nothing for a gate to decide: no fresh answer, or nobody better to ask."""
    return run.last_rung or not run.events or not isinstance(run.events[-1], Answered)
