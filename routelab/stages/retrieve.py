"""Look up what the prompt needs, and put it in front of the question."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from routelab.core.errors import TimedOut
from routelab.core.events import Retrieved
from routelab.core.ports import World
from routelab.core.run import Run
from routelab.core.values import Message


class Found(Protocol):
    """What was found for a prompt; `context` is the text that a model is shown, the rest says where it is from."""

    @property
    def chunks(self) -> tuple[str, ...]: ...
    @property
    def scores(self) -> tuple[float, ...]: ...
    @property
    def context(self) -> str: ...
    @property
    def tokens(self) -> int: ...
    @property
    def digest(self) -> str: ...
    @property
    def left_out(self) -> int: ...


class Finder(Protocol):
    """Finds passages of one corpus."""

    @property
    def corpus(self) -> str:
        """The corpus' name."""

    def begin(self) -> concurrent.futures.Future[Any]:
        """Begin to load what is searched, unless that has been done, on a thread of its own; the future says when it is there."""

    def __call__(self, prompt: str) -> Found:
        """Return what was found; raises a RoutelabError for expected trouble."""


@dataclass(frozen=True, kw_only=True)
class Retrieve:
    """Find the passages for the prompt's question; `place` puts the text that they make before it.

    Nothing found leaves the messages as they are. Trouble of the index or the embedder ends the run: an answer without its
    sources is another answer, and would pass for one with them. Loading the corpus the first time may take longer than a
    run has: it goes on for those who ask later, and whoever cannot wait is told so.
    """

    finder: Finder
    place: Callable[[Sequence[Message], str], tuple[Message, ...]]

    async def __call__(self, run: Run, world: World) -> Retrieved:
        """Return what was found, with the messages that the model will see; TimedOut when the run's time is over first."""
        began = world.clock.monotonic()
        left_s = None if world.deadline is None else max(0.0, world.deadline - began)
        loaded = self.finder.begin()
        try:
            async with asyncio.timeout(left_s):
                # Not the default threads: many who wait for one load would leave none for anybody else's work.
                await asyncio.shield(asyncio.wrap_future(loaded))
                found = await asyncio.to_thread(self.finder, run.prompt.text)
        except TimeoutError:
            raise self._late(loaded.done(), left_s) from None
        return Retrieved(
            corpus=self.finder.corpus,
            chunks=found.chunks,
            messages=self.place(run.messages, found.context),
            scores=found.scores,
            context=found.context,
            tokens=found.tokens,
            digest=found.digest,
            left_out=found.left_out,
            latency_s=max(0.0, world.clock.monotonic() - began),
        )

    def _late(self, loaded: bool, left_s: float | None) -> TimedOut:
        what = "was not searched" if loaded else "is still being loaded"
        return TimedOut(
            f"corpus {self.finder.corpus}: {what} after {left_s or 0.0:.1f} s",
            hint="ask again"
            if loaded
            else "load it before the first prompt, or keep its index in a folder (retrieval.index.folder)",
        )
