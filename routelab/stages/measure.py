"""Score the answer. A measurement changes no decision; a missing answer scores 0, because failures count."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from routelab.core.events import Scored
from routelab.core.ports import Scorer, World
from routelab.core.run import Run
from routelab.core.values import Prompt


@dataclass(frozen=True, kw_only=True)
class Measure:
    """Score with the scorer that `choose` gives for the prompt: always the same one, or the prompt's own."""

    choose: Callable[[Prompt], Scorer]
    name: str = ""

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
        return Scored(
            scorer=name,
            quality=score.quality,
            model=model,
            reason=score.reason,
            latency_s=max(0.0, world.clock.monotonic() - began),
        )


def unscorable(run: Run) -> bool:
    """Say that the prompt brings no scorer."""
    return run.prompt.scorer is None
