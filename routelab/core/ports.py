"""The narrow doors between siblings: protocols of one to three methods each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from routelab.core.events import Event, Missed, Recalled, Remembered
from routelab.core.plan import Plan
from routelab.core.run import Run
from routelab.core.values import Judgement, Model, Price, Prompt, Reply, Request, Roster, Score, Tokens

Floats = NDArray[np.float64]


class Clock(Protocol):
    """Time as an argument, so that tests need not wait."""

    def now(self) -> datetime:
        """Return the time of day, in UTC, without a time zone attached (as DuckDB's TIMESTAMP wants it)."""

    def monotonic(self) -> float:
        """Return seconds that never go backwards."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


@dataclass(frozen=True, kw_only=True)
class World:
    """What a stage may touch besides the run: the clock, the listener to streamed text, the witness of events, the deadline."""

    clock: Clock
    emit: Callable[[str], None] | None = None
    witness: Callable[[Run], None] | None = None
    deadline: float | None = None


class Stage(Protocol):
    """One decision about one prompt."""

    async def __call__(self, run: Run, world: World) -> Event:
        """Return what happened; raise a RoutelabError for expected trouble."""


class Provider(Protocol):
    """Answers for one or more models."""

    async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
        """Return the whole reply, calling `emit` with each piece of text as it comes when `request.stream`.

        Raises a ProviderError and nothing else. Tokens and times that are not known stay None.
        """


class Strategy(Protocol):
    """A ranking and a gate."""

    def plan(self, prompts: Sequence[Prompt], roster: Roster) -> Plan:
        """Rank the roster's models for each prompt; row i depends on prompt i only."""


class Fittable(Protocol):
    """A strategy that learns from recorded outcomes."""

    def fit(self, outcomes: Outcomes) -> Strategy:
        """Return a strategy fitted on these outcomes, which must be the tune split only."""


class Outcomes(Protocol):
    """The recorded cube, prompts × models; NaN where nothing was recorded."""

    @property
    def prompts(self) -> Sequence[Prompt]: ...
    @property
    def models(self) -> tuple[str, ...]: ...
    @property
    def quality(self) -> Floats: ...
    @property
    def cost_usd(self) -> Floats: ...
    @property
    def latency_s(self) -> Floats: ...


class Answers(Protocol):
    """Recorded outcomes that also kept what was said."""

    def reply(self, prompt_id: str, model: str) -> Reply | None:
        """Return what the model answered then, or None when that was not recorded."""


class Scorer(Protocol):
    """Judges an answer without calling a model."""

    def __call__(self, answer: str, prompt: Prompt) -> Score:
        """Return the quality of the answer, 0 to 1; never raises for what a model may say."""


class Judge(Protocol):
    """Judges the latest answer of a run for a gate; it may call a model, look at earlier answers, or run a scorer."""

    async def __call__(self, run: Run, world: World) -> Judgement:
        """Return the judgement with what it cost and took; trouble is a judgement without a quality, never an error."""


class Embedder(Protocol):
    """Turns texts into unit vectors."""

    @property
    def id(self) -> str:
        """The name that vectors are cached under; changes whenever the vectors would."""

    @property
    def dimensions(self) -> int: ...

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one L2-normalised row a text, n × dimensions."""


class TokenCounter(Protocol):
    """Counts tokens when the provider did not."""

    def count(self, text: str, model: Model) -> Tokens:
        """Return `Tokens(input=n, source=...)`: how many tokens the text is for that model, and how that is known."""


class PriceList(Protocol):
    """Knows what models cost."""

    def price(self, provider: str, upstream: str) -> Price | None:
        """Return the price with its date, or None when it is not known (never zero)."""


class Purse(Protocol):
    """A budget that cannot be overspent: worst cases are reserved before a call and settled after it."""

    def reserve(self, usd: float | None, *, what: str) -> int | None:
        """Reserve an amount and return a ticket, or None while other reservations stand in the way.

        Raises BudgetExceeded when it can never fit, or is not known.
        """

    def settle(self, ticket: int, usd: float | None) -> None:
        """Replace the reservation by what was really spent; None keeps the reservation as spent."""


class Cache(Protocol):
    """Remembers answers; what it looks for is in the run, and `scope` is what else must be equal (config, models, tenant)."""

    @property
    def kind(self) -> str:
        """The cache's name in the log: "exact" or "semantic"."""

    def key(self, run: Run, scope: str) -> str:
        """Return what a remembered answer must have in common with the run: 64 hexadecimal digits."""

    def look(self, run: Run, scope: str) -> Recalled | Missed:
        """Return what was found; trouble of the cache's own is a miss, never an error."""

    def keep(self, run: Run, key: str, label: str = "") -> Remembered:
        """Remember the run's answer under the key that its look-up gave, and under the label to forget it by; return what was done."""


class Log(Protocol):
    """Keeps every run."""

    def record(self, run: Run) -> None:
        """Take a finished run; returns at once, the writing happens elsewhere."""

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a read-only query, including rows not yet written to disk."""
