"""What a judge asks a model, and what comes back: an ordinary call, with its price, its wait and its trouble."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from routelab.core.ports import World
from routelab.core.values import Message, Prompt, Tokens

Wanted = Literal["score", "preference", "confidence", "answer"]


@dataclass(frozen=True, kw_only=True)
class Question:
    """One call that judging needs.

    `about` is the prompt whose answers are judged, `answers` are those, with `authors` the models that gave them: a provider sees
    the `messages` only, a simulated one is told the rest. `wants` says what kind of reply is expected, on the scale `low` to `high`;
    `again` that another sample of an answer is wanted, not the one that was given or recorded before.
    """

    model: str
    messages: tuple[Message, ...]
    about: Prompt
    wants: Wanted
    answers: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 1.0
    temperature: float | None = None
    max_output_tokens: int | None = None
    seed: int = 0
    again: bool = False


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What came back: a text, or None and the `error`; cost and wait are those of every attempt, None when not known."""

    text: str | None
    error: str = ""
    tokens: Tokens = Tokens()
    cost_usd: float | None = 0.0
    latency_s: float | None = 0.0
    simulated: bool = False


@dataclass(frozen=True, kw_only=True)
class Planned:
    """Calls that a judgement will make: so many of a model, each shown so many answers, each at most so long."""

    model: str
    times: int = 1
    shows: int = 1
    output_tokens: int | None = None
    verdict: bool = True
    """Whether a reply that cannot be read is asked for once more."""


class Ask(Protocol):
    """Reaches models, by their names in the fleet."""

    async def __call__(self, question: Question, world: World) -> Heard:
        """Return what was heard; a model that cannot answer is heard as an error, never raised."""


def both(counted: Sequence[Tokens]) -> Tokens:
    """Return the tokens of several calls together; a count that one of them lacks is not known."""
    if len(counted) < 2:
        return counted[0] if counted else Tokens()
    asked, said = [t.input for t in counted], [t.output for t in counted]
    return Tokens(
        input=None if any(n is None for n in asked) else sum(n or 0 for n in asked),
        output=None if any(n is None for n in said) else sum(n or 0 for n in said),
        source=counted[0].source,
    )


def total(amounts: Sequence[float | None]) -> float | None:
    """Return the sum, or None as soon as one amount is not known."""
    return None if any(a is None for a in amounts) else sum(a or 0.0 for a in amounts)
