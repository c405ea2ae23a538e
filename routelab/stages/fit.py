"""Make the conversation fit before anything is asked: the context policy's stage, and the books of what it spends."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from routelab.core.events import Answered, Compacted, Retrieved
from routelab.core.ports import World
from routelab.core.run import Run
from routelab.core.values import Message, Tokens


@dataclass(frozen=True, kw_only=True)
class Sized:
    """A conversation that fits: its messages, positions in the conversation before, who can take it, and what went wrong.

    Tokens are those of the whole request, with what stands in front of the conversation. `waited_s` is how long somebody else's
    summary was waited for.
    """

    messages: tuple[Message, ...]
    tokens_before: int
    tokens_after: int
    summarised: tuple[int, ...] = ()
    dropped: tuple[int, ...] = ()
    models: tuple[str, ...] = ()
    error: str | None = None
    waited_s: float = 0.0


class Fitting(Protocol):
    """Fits a conversation, asking models for summaries."""

    async def __call__(
        self, own: tuple[Message, ...], talk: tuple[Message, ...], run: Run, world: World, asked: list[Run]
    ) -> Sized:
        """Return the conversation as it fits behind the config's `own` messages.

        Each question to a model is a run in `asked`, put there when it begins and kept up to date. Raises ContextExceeded when
        not even the least fits, and BudgetExceeded, each before anything was sent.
        """


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Fit the conversation to the windows of the models that may be asked; the config's own leading messages stay in front.

    `kind` is the context policy's name in the log.
    """

    kind: str
    fitting: Fitting

    async def __call__(self, run: Run, world: World) -> Compacted:
        """Return the messages that the model will see; when the caller stops waiting, what was spent until then is witnessed."""
        head = _own(run)
        own, talk = run.messages[:head], run.messages[head:]
        asked: list[Run] = []
        try:
            sized = await self.fitting(own, talk, run, world, asked)
        except asyncio.CancelledError:
            if world.witness is not None and any(a.attempts for a in asked):
                left = Sized(
                    messages=talk, tokens_before=0, tokens_after=0, error="Cancelled: the caller stopped waiting"
                )
                world.witness(run.then(self._event(own, left, asked, counted=False)))
            raise
        return self._event(own, sized, asked)

    def _event(
        self, own: tuple[Message, ...], sized: Sized, asked: Sequence[Run], *, counted: bool = True
    ) -> Compacted:
        attempts = [attempt for run in asked for attempt in run.attempts]
        costs = [run.cost_usd for run in asked]
        waits = [run.latency_s for run in asked]
        return Compacted(
            policy=self.kind,
            messages=(*own, *sized.messages),
            tokens_before=sized.tokens_before if counted else None,
            tokens_after=sized.tokens_after if counted else None,
            head=len(own),
            summarised=tuple(len(own) + i for i in sized.summarised),
            dropped=tuple(len(own) + i for i in sized.dropped),
            models=sized.models,
            summarisers=tuple(run.attempts[0].model for run in asked if run.attempts),
            tokens=together([a.tokens for a in attempts if isinstance(a, Answered) or a.text]),
            cost_usd=None if any(c is None for c in costs) else sum(c or 0.0 for c in costs),
            latency_s=None if any(w is None for w in waits) else sum(w or 0.0 for w in waits) + sized.waited_s,
            simulated=any(a.simulated for a in attempts),
            error=sized.error,
        )


def together(counted: Sequence[Tokens]) -> Tokens:
    """Return the tokens of several answers; input or output that one of them lacks is not known, other counts add up as far as known."""
    if not counted:
        return Tokens()
    sources = {t.source for t in counted}

    def total(field: str, *, strict: bool) -> int | None:
        found = [getattr(t, field) for t in counted]
        known = [n for n in found if n is not None]
        return None if not known or (strict and len(known) < len(found)) else sum(known)

    return Tokens(
        input=total("input", strict=True),
        output=total("output", strict=True),
        cached=total("cached", strict=False),
        reasoning=total("reasoning", strict=False),
        written=total("written", strict=False),
        source=counted[0].source if len(sources) == 1 else "estimate",
    )


def _own(run: Run) -> int:
    """Return how many of the run's messages, from the first, are the config's own."""
    for event in reversed(run.events):
        if isinstance(event, Compacted):
            return event.head
        if isinstance(event, Retrieved):
            break
    return 0
