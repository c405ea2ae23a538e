"""Fakes that third parties may use too: a provider that follows a script, a clock that nobody waits for, a log in a list."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from routelab.core.errors import ProviderError
from routelab.core.ports import Provider
from routelab.core.run import Run
from routelab.core.values import Model, Price, Prompt, Reply, Request, Tokens
from routelab.fleet import Fleet
from routelab.stages import Endpoint


class Scripted:
    """A provider that answers from a script: texts are answers, errors are raised, the last line repeats for ever.

    `requests` keeps what was asked, in order.
    """

    def __init__(self, *script: str | ProviderError, latency_s: float | None = 0.5) -> None:
        self.script = list(script) or ["ok"]
        self.latency_s = latency_s
        self.requests: list[Request] = []

    async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
        """Return or raise the script's next line."""
        line = self.script[min(len(self.requests), len(self.script) - 1)]
        self.requests.append(request)
        await asyncio.sleep(0)
        if isinstance(line, ProviderError):
            raise line
        if request.stream:
            for word in line.split(" "):
                emit(word + " ")
        return Reply(
            text=line,
            served_model=request.model.upstream,
            tokens=Tokens(input=10, output=5, source="usage"),
            latency_s=self.latency_s,
        )


class VirtualClock:
    """A clock whose sleeps take no time; `slept` lists them."""

    def __init__(self, start: datetime = datetime(2026, 1, 1)) -> None:  # the log keeps UTC without a zone
        self.start = start
        self.elapsed = 0.0
        self.slept: list[float] = []

    def now(self) -> datetime:
        """Return the virtual time of day."""
        return self.start + timedelta(seconds=self.elapsed)

    def monotonic(self) -> float:
        """Return virtual seconds."""
        return self.elapsed

    async def sleep(self, seconds: float) -> None:
        """Move the clock forward at once."""
        self.slept.append(seconds)
        self.elapsed += seconds
        await asyncio.sleep(0)


class Words:
    """A token counter that counts words, labelled an estimate."""

    def count(self, text: str, model: Model) -> Tokens:
        """Return the number of words."""
        return Tokens(input=len(text.split()), source="estimate")


class Notebook:
    """A log that keeps runs in a list."""

    def __init__(self) -> None:
        self.runs: list[Run] = []

    def record(self, run: Run) -> None:
        """Keep the run."""
        self.runs.append(run)

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Refuse: there is no SQL here."""
        raise NotImplementedError("a Notebook keeps runs in a list and knows no SQL")


def fleet(
    providers: Mapping[str, Provider], *, usd_per_mtok: float | None = 1.0, max_output_tokens: int | None = None
) -> Fleet:
    """Return a fleet of the given providers, one model each, every model at the same price (None: no known price)."""
    price = None if usd_per_mtok is None else Price(usd_per_mtok_in=usd_per_mtok, usd_per_mtok_out=usd_per_mtok)
    return Fleet(
        endpoints={
            name: Endpoint(
                model=Model(
                    name=name,
                    provider="scripted",
                    upstream=f"{name}-1",
                    price=price,
                    max_output_tokens=max_output_tokens,
                ),
                provider=provider,
            )
            for name, provider in providers.items()
        },
        counter=Words(),
        source="scripted",
    )


def prompts(*texts: str, task: str | None = None) -> list[Prompt]:
    """Return prompts for the texts."""
    return [Prompt.of(text, task=task) for text in texts]
