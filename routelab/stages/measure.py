"""Score the answer. A measurement changes no decision; a missing answer scores 0, because failures count.

So does one that was cut at its limit of tokens, where the scorer cannot see that the end is missing (`Measure.sees_cut`). Scorers that
hold the answer against a right one, and judges, have the last word: what was right before the cut is right. Either way the reason says
that it was cut.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from routelab.core.events import Answered, Recalled, Scored
from routelab.core.ports import Judge, Scorer, World
from routelab.core.run import Run
from routelab.core.values import Prompt


def trusted(scorer: Scorer) -> bool:
    """Say that the scorer sees when an answer's end is missing."""
    return True


def cut(run: Run) -> str:
    """Return "cut at its limit of N tokens" when the answer that counts was, else the empty string; a cache keeps no such answer."""
    answered = None if run.recalled is not None else run.answered
    if answered is None or answered.finish != "length":
        return ""
    tokens = answered.tokens.output
    return "cut at its limit" if tokens is None else f"cut at its limit of {tokens:,} tokens"


@dataclass(frozen=True, kw_only=True)
class Measure:
    """Score with the scorer that `choose` gives for the prompt: always the same one, or the prompt's own.

    An answer that was cut scores 0 where `sees_cut` says that the scorer cannot tell.
    """

    choose: Callable[[Prompt], Scorer]
    name: str = ""
    sees_cut: Callable[[Scorer], bool] = trusted

    async def __call__(self, run: Run, world: World) -> Scored:
        """Return the measurement; scorers may run code, so they work on a thread."""
        model = (
            run.recalled.model if run.recalled is not None else (run.answered.model if run.answered is not None else "")
        )
        name = self.name or (str(run.prompt.scorer["kind"]) if run.prompt.scorer is not None else "scorer")
        if run.text is None:
            return Scored(scorer=name, quality=0.0, model=model, reason="no answer")
        scorer = self.choose(run.prompt)
        began = world.clock.monotonic()
        score = await asyncio.to_thread(scorer, run.text, run.prompt)
        broken = cut(run)
        return Scored(
            scorer=name,
            quality=0.0 if broken and not self.sees_cut(scorer) else score.quality,
            model=model,
            reason=_both(broken, score.reason),
            latency_s=max(0.0, world.clock.monotonic() - began),
        )


@dataclass(frozen=True, kw_only=True)
class Ask:
    """Have the answer measured by the judge that `choose` gives for the prompt, under the name that `named` gives.

    What the judge costs is the measurement's. It has `deadline_s` of its own, because a slow answer says nothing about
    how long a judge may take; a judge that failed leaves the quality unknown.
    """

    choose: Callable[[Prompt], Judge]
    named: Callable[[Prompt], str]
    deadline_s: float

    async def __call__(self, run: Run, world: World) -> Scored:
        """Return the measurement; when the caller stops waiting, what was spent on it until then is witnessed as such."""
        name = self.named(run.prompt)
        source: Recalled | Answered | None = run.recalled if run.recalled is not None else run.answered
        if run.text is None or source is None:
            return Scored(scorer=name, quality=0.0, model="" if source is None else source.model, reason="no answer")
        model = source.model

        def spent(seen: Run) -> None:
            last = seen.events[-1]
            if world.witness is not None and isinstance(last, Scored):
                world.witness(run.then(dataclasses.replace(last, scorer=name, accepted=None)))

        # The answer that counts need not be the latest one, and a cached one is no event of this run.
        said = Answered(model=model, served_model=model, provider="", text=run.text)
        own = dataclasses.replace(world, emit=None, witness=spent, deadline=world.clock.monotonic() + self.deadline_s)
        given = await self.choose(run.prompt)(run.then(said), own)
        return Scored(
            scorer=name,
            quality=given.quality,
            model=model,
            reason=_both(cut(run), given.reason),
            judge=given.judge,
            tokens=given.tokens,
            cost_usd=given.cost_usd,
            latency_s=given.latency_s,
            simulated=given.simulated,
        )


def _both(broken: str, reason: str) -> str:
    return "; ".join(part for part in (broken, reason) if part)


def unscorable(run: Run) -> bool:
    """Say that the prompt brings no scorer."""
    return run.prompt.scorer is None
