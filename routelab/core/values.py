"""What flows through the house: prompts, models, requests, replies, prices and tokens, all frozen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]
TokensSource = Literal["usage", "tiktoken", "estimate", "recorded"]
Finish = Literal["stop", "length", "refusal", "filter", "tool", "other"]


def digest(*parts: object) -> str:
    """Return 16 hexadecimal digits that depend on the parts' JSON and nothing else."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def draw(seed: int, *names: str) -> float:
    """Return a number in [0, 1) that depends on the seed and the names only: the same in every process and batch."""
    key = "\x1f".join((str(seed), *names)).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(key).digest()[:7], "big") / 2**56


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolCall:
    """A model's wish to have a tool called: `arguments` is the JSON text that it wrote, valid or not."""

    id: str
    name: str
    arguments: str = "{}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One turn of a conversation; `calls` are the tools that an assistant's turn wants called, `answers` the id of the call that
    a tool's turn answers.
    """

    role: Role
    content: str
    calls: tuple[ToolCall, ...] = ()
    answers: str | None = None

    @property
    def spoken(self) -> str:
        """The turn for whoever reads it: the content, and a line for each call of a tool."""
        return "\n".join(
            [*([self.content] if self.content else []), *(f"calls {c.name} {c.arguments}" for c in self.calls)]
        )

    @property
    def told(self) -> tuple[Any, ...]:
        """The turn as plain values to hash or compare: role and content, and what it says of tools only if it does."""
        tools = [(c.id, c.name, c.arguments) for c in self.calls]
        return (self.role, self.content, tools, self.answers) if tools or self.answers else (self.role, self.content)


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What a user asks, with the facts that a scorer or a strategy may need.

    `scorer` is a scorer's mapping such as ``{"kind": "number", "answer": 42}``; `reference` a correct answer; `wrong` holds
    plausible wrong answers for simulated models; `difficulty` is 1 (easy) to 5; `group` names the cluster for intervals.
    """

    id: str
    messages: tuple[Message, ...]
    task: str | None = None
    reference: str | None = None
    scorer: Mapping[str, Any] | None = None
    difficulty: float | None = None
    wrong: tuple[str, ...] = ()
    group: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def of(content: str | Sequence[Message] | Prompt, *, task: str | None = None, system: str | None = None) -> Prompt:
        """Return a prompt for a text, a list of messages or a prompt; the id is the content's hash."""
        if isinstance(content, Prompt):
            return content
        messages = (Message(role="user", content=content),) if isinstance(content, str) else tuple(content)
        if system is not None:
            messages = (Message(role="system", content=system), *messages)
        return Prompt(id=digest([m.told for m in messages]), messages=messages, task=task)

    @property
    def text(self) -> str:
        """The last user message, or the empty string."""
        return next((m.content for m in reversed(self.messages) if m.role == "user"), "")

    @property
    def system(self) -> str | None:
        """The system message, if there is one."""
        return next((m.content for m in self.messages if m.role == "system"), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokens:
    """Counted tokens of one call; None means not known. `input` includes `cached` and `written`, `output` includes `reasoning`.

    `cached` was read from the provider's prompt cache, `written` was put there (Anthropic alone charges that apart).
    """

    input: int | None = None
    output: int | None = None
    cached: int | None = None
    reasoning: int | None = None
    source: TokensSource | None = None
    written: int | None = None

    @property
    def total(self) -> int | None:
        """Input plus output, or None when either is unknown."""
        return None if self.input is None or self.output is None else self.input + self.output


@dataclass(frozen=True, kw_only=True, slots=True)
class Price:
    """What a model costs, in USD per million tokens, and since when that is known."""

    usd_per_mtok_in: float
    usd_per_mtok_out: float
    usd_per_mtok_cached_in: float | None = None
    as_of: date | None = None
    source: str = "given"
    usd_per_mtok_cache_write: float | None = None
    tiers: tuple[tuple[int, Price], ...] = ()
    """Other prices for whole calls with more than so many input tokens, in rising order."""

    def at(self, input_tokens: int) -> Price:
        """Return the price of a call with so many input tokens."""
        return next((price for start, price in reversed(self.tiers) if input_tokens > start), self)

    def cost_usd(self, tokens: Tokens) -> float | None:
        """Return the price of one call in USD, or None when its tokens, or the price of what it wrote to a cache, are not known."""
        if tokens.input is None or tokens.output is None:
            return None
        if (tier := self.at(tokens.input)) is not self:
            return tier.cost_usd(tokens)
        written = tokens.written or 0
        if written and self.usd_per_mtok_cache_write is None:
            return None
        cached = min(tokens.cached or 0, tokens.input) if self.usd_per_mtok_cached_in is not None else 0
        paid = (tokens.input - cached - written) * self.usd_per_mtok_in + tokens.output * self.usd_per_mtok_out
        kept = cached * (self.usd_per_mtok_cached_in or 0.0) + written * (self.usd_per_mtok_cache_write or 0.0)
        return (paid + kept) / 1e6


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model of a fleet: its name there, who answers for it, its name upstream, its price and its limits."""

    name: str
    provider: str
    upstream: str
    price: Price | None = None
    context_window: int | None = None
    max_output_tokens: int | None = None
    simulated: bool = False


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a provider is asked: a model, the messages, and how to sample. `stream` asks for the text as it comes,
    `logprobs` for the log-probabilities of the answer's tokens.
    """

    model: Model
    prompt: Prompt
    messages: tuple[Message, ...]
    temperature: float | None = None
    max_output_tokens: int | None = None
    deadline_s: float | None = None
    stream: bool = False
    seed: int = 0
    logprobs: bool = False


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a provider answered: the text, who really answered, why it ended, tokens, and times in seconds.

    `mean_logprob` and `min_logprob` are over the natural log-probabilities of the answer's tokens, at most 0; None where
    they were not asked for, or the provider gave none.
    """

    text: str
    served_model: str
    finish: Finish = "stop"
    tokens: Tokens = Tokens()
    latency_s: float | None = None
    ttft_s: float | None = None
    cost_usd: float | None = None
    """Set only when the provider itself states the cost (recorded outcomes, OpenRouter); else it is computed from the price."""
    mean_logprob: float | None = None
    min_logprob: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """A scorer's judgement: quality from 0 to 1 and one line that says why."""

    quality: float
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What a gate's judge gave: quality from 0 to 1, None when it could not judge, and what judging cost and took.

    `judge` names the model that was asked, if one was; a cost of None is not known. `answered_by` names the model whose
    earlier answer stands when this one is accepted; None: the one that was judged.
    """

    quality: float | None
    reason: str = ""
    judge: str = ""
    tokens: Tokens = Tokens()
    cost_usd: float | None = 0.0
    latency_s: float | None = 0.0
    simulated: bool = False
    answered_by: str | None = None


@dataclass(frozen=True, kw_only=True)
class Roster:
    """The models that a strategy may name, in a fixed order: a plan's integers are positions in it."""

    models: tuple[Model, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The models' names, in order."""
        return tuple(m.name for m in self.models)

    def __len__(self) -> int:
        return len(self.models)
