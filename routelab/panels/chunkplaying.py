"""A comparison of chunkers that was asked for, and how far it is: what is finished of it at any time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass

from routelab.core.errors import ConfigError, DataError
from routelab.core.values import Model
from routelab.lab.chunks.answers import Asking
from routelab.lab.chunks.bench import Plan
from routelab.lab.chunks.onebyone import OneByOne
from routelab.lab.chunks.questions import Questions
from routelab.lab.chunks.settings import Setting, settings
from routelab.lab.trial import Progress
from routelab.panels.chunkcut import Watched, reading, stopped
from routelab.panels.chunkfigures import Compared
from routelab.panels.chunktexts import Texts

MOST = 200
"""Chunkings of one comparison."""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """What the controls ask for: kinds, sizes in tokens, overlaps as shares, and how chunks are found."""

    kinds: tuple[str, ...]
    sizes: tuple[int, ...]
    overlaps: tuple[float, ...]
    k: int
    by: str
    embedder: str
    margin: float

    def settings(self, halt: threading.Event) -> tuple[Setting, ...]:
        """Return the chunkings; raises ConfigError for what cannot be used."""
        made = settings(self.kinds, self.sizes, self.overlaps, embedder=Watched(self.embedder, halt))
        if len(made) > MOST:
            raise ConfigError(f"{len(made)} chunkings are more than can be compared at once ({MOST})")
        return made


class Playing:
    """A comparison under way: how far it is, and what is finished of it."""

    def __init__(
        self,
        read: Callable[[], Texts],
        tried: Tried,
        models: tuple[Model, ...],
        corpus: str,
        asking: Asking | None = None,
    ) -> None:
        self.tried, self.halt = tried, threading.Event()
        self._asking = asking
        self.now = "reading"
        self._read, self._models, self._corpus = read, models, corpus
        self._bench: OneByOne | None = None
        self._questions: Questions | None = None
        self._total, self._embedded = 0, 0

    @property
    def progress(self) -> Progress:
        """How many chunkings are finished."""
        done = 0 if self._bench is None else self._bench.done
        return Progress(done=done, total=self._total, spent_usd=0.0, errors=0)

    async def play(self) -> Compared | None:
        """Compare on a thread; when this is cancelled, that stops at its next look."""
        try:
            await asyncio.to_thread(self._work)
        except asyncio.CancelledError:
            self.halt.set()
            raise
        return self.result()

    def result(self) -> Compared | None:
        """Return what is finished, None while there is nothing."""
        found = None if self._bench is None else self._bench.found()
        if found is None or self._questions is None:
            return None
        return Compared(
            found=found,
            questions=self._questions,
            embedder=self.tried.embedder,
            by=self.tried.by,
            margin=self.tried.margin,
            corpus=self._corpus,
            models=self._models,
            answered_by="" if self._asking is None else self._asking.config.name,
        )

    def _work(self) -> None:
        texts, tried = self._read(), self.tried
        if texts.questions is None:
            raise DataError(
                f"{texts.name}: has no questions with known answers",
                hint="a CSV with question, references, corpus_id: see datasets/handbook",
            )
        self._questions = texts.questions
        made = tried.settings(self.halt)
        self._total = len(made)
        plan = Plan(k=tried.k, by=(tried.by,), margin=tried.margin, models=self._models)  # type: ignore[arg-type]
        embedders = {} if tried.by == "words" else {tried.embedder: reading(tried.embedder, self.halt, self._counted)}
        self._bench = OneByOne(
            texts.questions, made, embedders=embedders, plan=plan, watched=self._watched, asking=self._asking
        )
        for _ in self._bench:
            stopped(self.halt)

    def _watched(self, name: str) -> None:
        self.now, self._embedded = name, 0

    def _counted(self, n: int) -> None:
        self._embedded += n
        self.now = f"{self.now.split(':')[0]}: {self._embedded:,} texts embedded"
