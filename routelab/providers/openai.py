"""OpenAI's chat completions, and everybody who speaks them: DeepSeek, Moonshot, OpenRouter, Mistral, Ollama, vLLM."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from routelab.core.values import Finish, Message, Reply, Request, Tokens, ToolCall
from routelab.providers.address import endpoint, plain_headers
from routelab.providers.exchange import (
    Dialect,
    Exchange,
    Json,
    Piece,
    amount,
    count,
    first,
    logprob,
    mapping,
    name,
    tokens,
    words,
)
from routelab.providers.pairing import arguments, paired, structure
from routelab.providers.transport import Key, Post, Transport

_FINISH: Mapping[str, Finish] = {
    "stop": "stop",
    "eos": "stop",
    "length": "length",
    "model_length": "length",
    "max_tokens": "length",
    "content_filter": "filter",
    "tool_calls": "tool",
    "function_call": "tool",
    "refusal": "refusal",
}
_BROKEN = {"error": 502, "insufficient_system_resource": 503}
"""Finish reasons that mean a broken upstream, and the status they amount to (OpenRouter, Mistral; DeepSeek)."""


@dataclass(frozen=True, kw_only=True)
class Flavour:
    """What services that speak the same protocol do differently.

    `max_tokens` names the field for the output's limit, `seed` the one for the seed (None: not known to be accepted);
    `stream_usage` asks for counts at a stream's end; `body` is always sent along; `logprobs` says that the service is
    known to give log-probabilities of tokens, to some of its models at least; `ids` is the form of a tool call's id.
    """

    max_tokens: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    seed: Literal["seed", "random_seed"] | None = None
    stream_usage: bool = True
    body: Mapping[str, Any] = field(default_factory=dict)
    logprobs: bool = False
    ids: str = "[ -~]{1,40}"


FLAVOURS: Mapping[str, Flavour] = {
    "openai": Flavour(max_tokens="max_completion_tokens", logprobs=True),
    "deepseek": Flavour(logprobs=True),
    "moonshot": Flavour(),
    "openrouter": Flavour(body={"usage": {"include": True}}, logprobs=True),
    "ollama": Flavour(seed="seed", logprobs=True),
    "vllm": Flavour(seed="seed", logprobs=True),
    # Mistral refuses fields that it does not know, and always counts at a stream's end.
    "mistral": Flavour(seed="random_seed", stream_usage=False, ids="[A-Za-z0-9]{9}"),
}


@dataclass(frozen=True, kw_only=True)
class OpenAI:
    """Answers through a chat completions endpoint.

    `base_url` ends before ``/chat/completions``; without `key_env` no key is sent. `extra_body` is merged into every
    request, for what routelab has no word for (``{"reasoning_effort": "low"}``). Replies carry a cost only where the
    service states it (OpenRouter).
    """

    name: str = "openai"
    base_url: str = "https://api.openai.com/v1"
    key_env: str | None = "OPENAI_API_KEY"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    flavour: Flavour = FLAVOURS["openai"]
    transport: Transport = field(default_factory=Transport, repr=False)

    def __post_init__(self) -> None:
        """Raise ConfigError for an address or a header that cannot or should not be used."""
        endpoint(self.base_url, key_env=self.key_env)
        plain_headers(self.headers)

    @property
    def logprobs(self) -> bool:
        """Whether the service is known to give log-probabilities of tokens."""
        return self.flavour.logprobs

    async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
        """Return the reply, its text also to `emit` as it comes if `request.stream`; raises a ProviderError only."""
        post = Post(
            provider=self.name,
            model=request.model.upstream,
            url=endpoint(self.base_url, key_env=self.key_env) + "/chat/completions",
            body=self.body(request),
            headers=plain_headers(self.headers),
            key=None if self.key_env is None else Key(env=self.key_env),
            deadline_s=request.deadline_s,
        )
        return await Exchange(dialect=DIALECT, transport=self.transport)(post, request, emit)

    async def aclose(self) -> None:
        """Close the running loop's connections, which other providers on the same transport may share."""
        await self.transport.aclose()

    def body(self, request: Request) -> dict[str, Any]:
        """Return the JSON that is sent for this request."""
        flavour = self.flavour
        messages = [_message(m) for m in paired(request.messages, re.compile(flavour.ids))]
        body: dict[str, Any] = {"model": request.model.upstream, "messages": messages}
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.max_output_tokens is not None:
            body[flavour.max_tokens] = request.max_output_tokens
        if flavour.seed is not None:
            body[flavour.seed] = request.seed & 0x7FFFFFFF
        if request.stream:
            body["stream"] = True
            if flavour.stream_usage:
                body["stream_options"] = {"include_usage": True}
        if request.logprobs:
            body["logprobs"] = True
        return {**body, **flavour.body, **self.extra_body}


def _message(message: Message) -> dict[str, Any]:
    if message.calls:
        calls = [{"id": c.id, "type": "function", "function": _function(c)} for c in message.calls]
        return {"role": message.role, "content": message.content or None, "tool_calls": calls}
    if message.answers is not None:
        return {"role": message.role, "tool_call_id": message.answers, "content": message.content}
    # The words of a tool whose call nobody knows travel as the user's: a tool message needs a call's id.
    return {"role": "user" if message.role == "tool" else message.role, "content": message.content}


def _function(call: ToolCall) -> dict[str, str]:
    # What a model wrote stays to the letter where it can be read: prompt caches compare letters.
    whole = structure(call.arguments) is not None
    return {"name": call.name, "arguments": call.arguments if whole else json.dumps(arguments(call))}


def _whole(answer: Json) -> Piece:
    return _read(answer, "message")


def _event(event: str, chunk: Json) -> Piece:
    return _read(chunk, "delta")


def _read(answer: Json, part: Literal["message", "delta"]) -> Piece:
    choice = first(answer.get("choices"))
    said = mapping(choice.get(part))
    reason = name(choice.get("finish_reason"))
    error = answer.get("error") or choice.get("error")
    if not error and reason in _BROKEN:
        error = {"code": _BROKEN[reason], "message": f"finish_reason: {reason}"}
    refusal = name(said.get("refusal"))
    text = words(said.get("content"))
    finish: Finish | None = None if reason is None else _FINISH.get(reason, "other")
    if refusal is not None:
        text, finish = (text or "") + refusal, "refusal"
    return Piece(
        text=text,
        finish=finish,
        served_model=name(answer.get("model")),
        # Moonshot puts a stream's counts into the last choice.
        usage=mapping(answer.get("usage")) or mapping(choice.get("usage")),
        thinking=bool(said.get("reasoning_content") or said.get("reasoning")),
        error=error or None,
        logprobs=_logprobs(choice.get("logprobs")),
    )


def _logprobs(said: Any) -> tuple[float, ...]:
    """Return the tokens' log-probabilities, NaN for one that is none: the answer's, or those of a refusal's words."""
    given = mapping(said)
    parts = [part for key in ("content", "refusal") if isinstance(part := given.get(key), list)]
    return tuple(logprob(mapping(token).get("logprob")) for part in parts for token in part)


def _tokens(usage: Json) -> Tokens:
    cached = count(mapping(usage.get("prompt_tokens_details")).get("cached_tokens"))
    for alias in ("prompt_cache_hit_tokens", "cached_tokens"):  # DeepSeek, Moonshot
        cached = count(usage.get(alias)) if cached is None else cached
    return tokens(
        input=count(usage.get("prompt_tokens")),
        output=count(usage.get("completion_tokens")),
        cached=cached,
        reasoning=count(mapping(usage.get("completion_tokens_details")).get("reasoning_tokens")),
    )


def _cost_usd(usage: Json) -> float | None:
    cost = amount(usage.get("cost"))
    if cost is None or usage.get("is_byok") is not True:
        return cost
    # With the user's own upstream key OpenRouter's `cost` is its fee alone.
    upstream = amount(mapping(usage.get("cost_details")).get("upstream_inference_cost"))
    return None if upstream is None else cost + upstream


DIALECT = Dialect(whole=_whole, event=_event, tokens=_tokens, cost_usd=_cost_usd, last="[DONE]")
