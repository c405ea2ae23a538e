"""The twelve things that can happen to a prompt; each stage returns one of them, and the log keeps them all.

`at_s` is seconds since the run began and is set by the interpreter (`core.flow.play`), never by a stage.
"""

from __future__ import annotations

from dataclasses import Field, dataclass, fields
from typing import Any

from routelab.core.values import Finish, Message, Tokens, ToolCall


@dataclass(frozen=True, kw_only=True)
class Admitted:
    """The input guards let the prompt pass."""

    guards: tuple[str, ...] = ()
    at_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Blocked:
    """A guard stopped the prompt (or the answer)."""

    guard: str
    reason: str
    at_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Compacted:
    """The messages were rewritten: `policy` says by what, `messages` are what the model will see.

    "system" and "template" render the prompt the config's way, "compress" takes out what says nothing, and a context policy's kind
    ("none", "window", "summarise", "hybrid") fits the conversation into a window. Positions are in the messages before.
    """

    policy: str
    messages: tuple[Message, ...]
    tokens_before: int | None = None
    tokens_after: int | None = None
    template: str = ""
    """Which version of which template: "qa@3"."""
    examples: tuple[str, ...] = ()
    """The ids of the examples that were shown, in their order."""
    head: int = 0
    """How many of `messages`, from the first, are the config's own (system text, examples) and no part of the conversation."""
    summarised: tuple[int, ...] = ()
    dropped: tuple[int, ...] = ()
    models: tuple[str, ...] = ()
    """Who can take what is left; empty: nobody looked."""
    summarisers: tuple[str, ...] = ()
    """Who wrote the summaries that were paid for now; their tokens, costs and waits are summed below."""
    tokens: Tokens = Tokens()
    cost_usd: float | None = 0.0
    latency_s: float | None = 0.0
    simulated: bool = False
    error: str | None = None
    """Why it is not what the policy wanted, in one line: a summary failed, and older turns were left out instead."""
    at_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Retrieved:
    """Passages were found for the prompt and put in front of it.

    `chunks` name the passages in the context, best first, as "source:start-end" in characters, and `scores` are what ranked
    them; `context` is the text that was made of them and `tokens` its length. `digest` says which state of the corpus, cut and
    embedded how, they are from; `left_out` counts hits that did not fit the budget.
    """

    corpus: str
    chunks: tuple[str, ...]
    messages: tuple[Message, ...]
    scores: tuple[float, ...] = ()
    context: str = ""
    tokens: int | None = None
    digest: str = ""
    left_out: int = 0
    latency_s: float | None = None
    at_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Recalled:
    """A cache had the answer. `similarity` is 1.0 for an exact hit; `source_run` is where the answer was first given.

    `key` is what had to be equal: the whole request, or for a semantic cache its namespace; `like` is then the question that
    the answer was given to. `simulated` says whether a practice model gave it there; None when the cache does not know.
    `age_s` counts from when that run began; a `stale` answer is older than the config's `ttl_s` and is being asked for anew.
    `latency_s` is what the look-up took.
    """

    cache: str
    key: str
    text: str
    model: str
    similarity: float = 1.0
    source_run: str | None = None
    simulated: bool | None = None
    latency_s: float | None = None
    like: str = ""
    age_s: float | None = None
    stale: bool = False
    at_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Missed:
    """A cache was asked and had no answer; `why` says so in a few words where it is not simply unknown.

    A semantic cache says how near the nearest question that it knows came, which one that was (`like`), and what a guard
    objected to, if that is what decided.
    """

    cache: str
    key: str
    nearest: float | None = None
    like: str = ""
    objection: str = ""
    why: str = ""
    latency_s: float | None = None
    at_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A model that a decision looked at: predicted quality and estimated cost where the strategy knows them."""

    model: str
    quality: float | None = None
    cost_usd: float | None = None


@dataclass(frozen=True, kw_only=True)
class Routed:
    """A strategy ranked the models: `order` is the ranking, `propensity` the chance that this ranking was drawn."""

    strategy: str
    order: tuple[str, ...]
    reason: str
    propensity: float = 1.0
    task: str | None = None
    considered: tuple[Candidate, ...] = ()
    rungs: int | None = None
    """How many of `order` the strategy itself named; a gate judges all answers but that of the last of these."""
    error: str | None = None
    """Why the strategy could not decide, in one line; `order` is then the default: the config's models as listed."""
    at_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A model answered. `attempt` counts from 1 over the whole run; `cost_usd` is None when the model has no known price.

    `upstream` is the name that was asked for at the provider, `served_model` the one that the provider says it used;
    `mean_logprob` and `min_logprob` are as in `core.values.Reply`.
    """

    model: str
    served_model: str
    provider: str
    text: str
    upstream: str = ""
    finish: Finish = "stop"
    tokens: Tokens = Tokens()
    cost_usd: float | None = None
    price_as_of: str | None = None
    latency_s: float | None = None
    ttft_s: float | None = None
    waited_s: float = 0.0
    attempt: int = 1
    simulated: bool = False
    mean_logprob: float | None = None
    min_logprob: float | None = None
    at_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Unanswered:
    """A model did not answer. With `retry` the same model is asked again; without, the ranking's next one is."""

    model: str
    provider: str
    error: str
    message: str
    retry: bool
    status: int | None = None
    retry_after_s: float | None = None
    text: str = ""
    """What had been streamed when it broke; the run ends with it, because showing a second answer would repeat text."""
    tokens: Tokens = Tokens()
    cost_usd: float | None = None
    latency_s: float | None = None
    waited_s: float = 0.0
    attempt: int = 1
    simulated: bool = False
    at_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A scorer judged the latest answer. `accepted` is None for a measurement, True or False when it was the gate."""

    scorer: str
    quality: float | None
    model: str
    reason: str = ""
    accepted: bool | None = None
    at_least: float | None = None
    judge: str = ""
    """The model that judged, if one did."""
    tokens: Tokens = Tokens()
    cost_usd: float | None = 0.0
    latency_s: float | None = 0.0
    simulated: bool = False
    answered_by: str | None = None
    """Whose earlier answer stands now that this one was accepted; None: `model`'s own."""
    at_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Remembered:
    """The answer went into a cache, or was refused by it: `refused` then says why.

    Where the model was asked to learn how far an entry reaches, `entry` is the run that gave that entry its answer, `similarity` the
    cosine of the two questions, and `learned` whether the entry's answer was the right one; else they are None.
    """

    cache: str
    key: str
    label: str = ""
    """The config's `cache.namespace`, by which what was remembered can be forgotten."""
    refused: str = ""
    learned: bool | None = None
    similarity: float | None = None
    entry: str | None = None
    at_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Failed:
    """A stage met expected trouble (a RoutelabError) and the run ended there."""

    stage: str
    error: str
    message: str
    at_s: float = 0.0


Event = (
    Admitted
    | Blocked
    | Compacted
    | Retrieved
    | Recalled
    | Missed
    | Routed
    | Answered
    | Unanswered
    | Scored
    | Remembered
    | Failed
)


def kind(event: Event) -> str:
    """Return the event's name as the log spells it: ``Routed`` → ``routed``."""
    return type(event).__name__.lower()


def payload(event: Event) -> dict[str, Any]:
    """Return the event's fields as plain values, ready for JSON; empty ones whose default is empty are left out, and the time."""
    return {f.name: _plain(getattr(event, f.name)) for f in fields(event) if f.name != "at_s" and _said(event, f)}


def _said(event: Event, field: Field[Any]) -> bool:
    # A cost of None where the default is 0 is something to say: unknown is not zero.
    value = getattr(event, field.name)
    return value not in (None, "", (), Tokens()) or value != field.default


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    if isinstance(value, (Message, Tokens, Candidate, ToolCall)):
        return {f.name: _plain(v) for f in fields(value) if (v := getattr(value, f.name)) not in (None, ())}
    return value
