"""What a gate may look at, and gates that need nothing else: they judge live and over recorded answers alike."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from routelab.core.events import Answered
from routelab.core.ports import World
from routelab.core.run import Run
from routelab.core.values import Judgement, Prompt


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A prompt and what was answered so far, (model, text) in the order it came; the last one is to be judged."""

    prompt: Prompt
    answers: tuple[tuple[str, str], ...]

    @property
    def model(self) -> str:
        """Whose answer is to be judged."""
        return self.answers[-1][0]

    @property
    def text(self) -> str:
        """The answer to be judged."""
        return self.answers[-1][1]


Look: TypeAlias = Callable[[Seen], Judgement]
"""A gate that asks nobody: the same function judges a live answer and a recorded one."""


@dataclass(frozen=True, kw_only=True)
class Looked:
    """Judges the latest answer of a run by looking at it and at those before it."""

    look: Look

    async def __call__(self, run: Run, world: World) -> Judgement:
        """Return the judgement; looking may run code, so it works on a thread."""
        began = world.clock.monotonic()
        given = await asyncio.to_thread(self.look, seen(run))
        return replace(given, latency_s=max(0.0, world.clock.monotonic() - began))


def seen(run: Run) -> Seen:
    """Return what a gate sees of a run: the prompt, and every answer so far."""
    return Seen(prompt=run.prompt, answers=tuple((e.model, e.text) for e in run.attempts if isinstance(e, Answered)))
