"""One judgement in the making: what was asked, what came back, what it cost; and the gate's judge that conducts it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from routelab.core.events import Answered, Scored
from routelab.core.ports import World
from routelab.core.run import Run
from routelab.core.values import Judgement, Message, Prompt
from routelab.judging.ask import Ask, Heard, Question, both, total

T = TypeVar("T")


@dataclass(kw_only=True)
class Hearing:
    """Everything a judge needs for one answer; it adds up what its questions cost and how long they made the run wait.

    `messages` are what the author was sent, system text and all.
    """

    prompt: Prompt
    messages: tuple[Message, ...]
    answer: str
    author: str
    seed: int
    world: World
    ask: Ask
    judge: str = ""
    heard: list[Heard] = field(default_factory=list)
    waits: list[float | None] = field(default_factory=list)

    async def put(self, *questions: Question) -> tuple[Heard, ...]:
        """Return what comes back, in order; the questions are asked at once, so that the longest of them is the wait."""
        asked = [asyncio.ensure_future(self._one(q)) for q in questions]
        try:
            found = await asyncio.gather(*asked)
        except BaseException:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
            raise
        latencies = [h.latency_s for h in found]
        self.waits.append(
            None if any(x is None for x in latencies) else max((x or 0.0 for x in latencies), default=0.0)
        )
        return tuple(found)

    async def _one(self, question: Question) -> Heard:
        found = await self.ask(question, self.world)
        self.heard.append(found)
        return found

    async def read(
        self, questions: Sequence[Question], reader: Callable[[str], T | None], form: str
    ) -> tuple[tuple[T | None, ...], str]:
        """Return what each reply says, None where it cannot be read even after asking once more, and the trouble.

        The second time the model sees its own reply and the form again; after that the judge has failed: nothing is guessed.
        """
        first = await self.put(*questions)
        said = [None if h.text is None else reader(h.text) for h in first]
        again = [i for i, (h, s) in enumerate(zip(first, said, strict=True)) if h.text is not None and s is None]
        if again:
            second = await self.put(*(_reminded(questions[i], first[i].text or "", form) for i in again))
            for i, h in zip(again, second, strict=True):
                said[i] = None if h.text is None else reader(h.text)
        unread = [i for i, s in enumerate(said) if s is None]
        if not unread:
            return tuple(said), ""
        trouble = next((first[i].error for i in unread if first[i].text is None), "")
        return tuple(said), trouble or "its verdict could not be read, and asking again did not help"

    def judgement(self, quality: float | None, reason: str) -> Judgement:
        """Return the judgement with what all questions cost and took."""
        return Judgement(
            quality=quality,
            reason=reason,
            judge=self.judge,
            tokens=both([h.tokens for h in self.heard]),
            cost_usd=total([h.cost_usd for h in self.heard]),
            latency_s=total(self.waits),
            simulated=any(h.simulated for h in self.heard),
        )


class Conduct(Protocol):
    """How one kind of judge goes about it."""

    async def conduct(self, hearing: Hearing) -> tuple[float | None, str]:
        """Return the quality from 0 to 1, None when it could not judge, and the reason."""


@dataclass(frozen=True, kw_only=True)
class Seat:
    """Judges the latest answer of a run by asking models; the judge of a gate (`core.ports.Judge`)."""

    kind: Conduct
    ask: Ask
    name: str = ""
    """The judging model; empty when it is the one that answered."""

    async def __call__(self, run: Run, world: World) -> Judgement:
        """Return the judgement; when the caller stops waiting, what was spent until then is witnessed."""
        latest = next((e for e in reversed(run.events) if isinstance(e, Answered)), None)
        if latest is None:
            return Judgement(quality=None, reason="there is no answer to judge")
        hearing = Hearing(
            prompt=run.prompt,
            messages=run.messages,
            answer=latest.text,
            author=latest.model,
            seed=run.seed,
            # A judge's words are nobody's answer: they are not streamed, and its calls are no events of this run.
            world=replace(world, emit=None, witness=None),
            ask=self.ask,
            judge=self.name or latest.model,
        )
        try:
            quality, reason = await self.kind.conduct(hearing)
        except asyncio.CancelledError:
            if world.witness is not None and hearing.heard:
                spent = hearing.judgement(None, "the caller stopped waiting")
                world.witness(
                    run.then(
                        Scored(
                            scorer=type(self.kind).__name__.lower(),
                            quality=None,
                            model=latest.model,
                            reason=spent.reason,
                            accepted=False,
                            judge=spent.judge,
                            tokens=spent.tokens,
                            cost_usd=spent.cost_usd,
                            latency_s=spent.latency_s,
                            simulated=spent.simulated,
                        )
                    )
                )
            raise
        return hearing.judgement(quality, reason)


def _reminded(question: Question, said: str, form: str) -> Question:
    more = (
        Message(role="assistant", content=said),
        Message(role="user", content=f"That could not be read. Reply with one JSON object and nothing else: {form}"),
    )
    return replace(question, messages=(*question.messages, *more), seed=question.seed + 500)
