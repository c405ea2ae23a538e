"""Anthropic's Messages."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from routelab.core.values import Finish, Message, Reply, Request, Tokens
from routelab.providers.address import endpoint, plain_headers
from routelab.providers.exchange import Dialect, Exchange, Json, Piece, count, mapping, name, tokens, words
from routelab.providers.pairing import arguments, paired
from routelab.providers.transport import Key, Post, Transport

_IDS = re.compile("[A-Za-z0-9_-]{1,64}")

_FINISH: Mapping[str, Finish] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool",
    "refusal": "refusal",
}


@dataclass(frozen=True, kw_only=True)
class Anthropic:
    """Answers through the Messages endpoint.

    `base_url` ends before ``/messages``. The protocol demands a limit for the output: the request's, else the model's
    own but at most `max_output_tokens`. `extra_body` is merged into every request (``{"thinking": {"type":
    "adaptive"}}``).
    """

    name: str = "anthropic"
    base_url: str = "https://api.anthropic.com/v1"
    key_env: str | None = "ANTHROPIC_API_KEY"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    version: str = "2023-06-01"
    max_output_tokens: int = 8192
    transport: Transport = field(default_factory=Transport, repr=False)

    def __post_init__(self) -> None:
        """Raise ConfigError for an address or a header that cannot or should not be used."""
        endpoint(self.base_url, key_env=self.key_env)
        plain_headers(self.headers)

    async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
        """Return the reply, its text also to `emit` as it comes if `request.stream`; raises a ProviderError only."""
        post = Post(
            provider=self.name,
            model=request.model.upstream,
            url=endpoint(self.base_url, key_env=self.key_env) + "/messages",
            body=self.body(request),
            headers={"anthropic-version": self.version, **plain_headers(self.headers)},
            key=None if self.key_env is None else Key(env=self.key_env, header="x-api-key", prefix=""),
            deadline_s=request.deadline_s,
        )
        return await Exchange(dialect=DIALECT, transport=self.transport)(post, request, emit)

    async def aclose(self) -> None:
        """Close the running loop's connections, which other providers on the same transport may share."""
        await self.transport.aclose()

    def body(self, request: Request) -> dict[str, Any]:
        """Return the JSON that is sent for this request."""
        own = request.model.max_output_tokens
        limit = request.max_output_tokens or (
            self.max_output_tokens if own is None else min(own, self.max_output_tokens)
        )
        system = "\n\n".join(m.content for m in request.messages if m.role == "system")
        messages = paired([m for m in request.messages if m.role != "system"], _IDS)
        body: dict[str, Any] = {
            "model": request.model.upstream,
            "max_tokens": limit,
            "messages": _turns(messages),
            **({} if "tools" in self.extra_body else _tools(messages)),
        }
        if system:
            body["system"] = system
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.stream:
            body["stream"] = True
        return {**body, **self.extra_body}


def _turns(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Return the turns as Anthropic wants them: all results of one turn's calls in one message of the user's."""
    turns: list[dict[str, Any]] = []
    gathering = False
    for message in messages:
        if message.answers is not None:
            block = {"type": "tool_result", "tool_use_id": message.answers, "content": message.content}
            if not gathering:
                turns.append({"role": "user", "content": []})
            turns[-1]["content"].append(block)
            gathering = True
            continue
        gathering = False
        if message.calls:
            # An empty block of text is refused.
            said = [{"type": "text", "text": message.content}] if message.content.strip() else []
            used = [{"type": "tool_use", "id": c.id, "name": c.name, "input": arguments(c)} for c in message.calls]
            turns.append({"role": "assistant", "content": [*said, *used]})
        else:
            role = "assistant" if message.role == "assistant" else "user"
            turns.append({"role": role, "content": message.content})
    return turns


def _tools(messages: Sequence[Message]) -> dict[str, Any]:
    """Return what lets a conversation with calls be sent: Anthropic refuses one whose tools are not declared.

    Nothing is known of them but their names; they are declared by these, and are not to be called again.
    """
    names = dict.fromkeys(c.name for m in messages for c in m.calls)
    if not names:
        return {}
    tools = [{"name": name, "input_schema": {"type": "object"}} for name in names]
    return {"tools": tools, "tool_choice": {"type": "none"}}


def _whole(answer: Json) -> Piece:
    content = answer.get("content")
    return Piece(
        # Other kinds of blocks (thinking, tool use) are not text; an empty list is an empty answer.
        text=words([b for b in content if mapping(b).get("type") == "text"]) if isinstance(content, list) else None,
        finish=_finish(answer.get("stop_reason")),
        served_model=name(answer.get("model")),
        usage=mapping(answer.get("usage")),
        error=answer.get("error") or None,
    )


def _event(event: str, data: Json) -> Piece:
    kind = data.get("type", event)
    if kind == "message_start":
        return _whole(mapping(data.get("message")))
    if kind == "content_block_start":
        block = mapping(data.get("content_block"))
        return Piece(text=name(block.get("text")), thinking=block.get("type") == "thinking")
    if kind == "content_block_delta":
        delta = mapping(data.get("delta"))
        if delta.get("type") == "text_delta":
            return Piece(text=words(delta.get("text")))
        return Piece(thinking=True)
    if kind == "message_delta":
        return Piece(finish=_finish(mapping(data.get("delta")).get("stop_reason")), usage=mapping(data.get("usage")))
    if kind == "message_stop":
        return Piece(ended=True)
    if kind == "error":
        return Piece(error=data.get("error") or "an error without a word")
    return Piece()  # ping, and what is not invented yet


def _finish(reason: Any) -> Finish | None:
    return _FINISH.get(reason, "other") if isinstance(reason, str) else None


def _tokens(usage: Json) -> Tokens:
    fresh = count(usage.get("input_tokens"))
    cached = count(usage.get("cache_read_input_tokens"))
    # Anthropic counts the three kinds of input apart: new, read from its prompt cache, written to it.
    written = count(usage.get("cache_creation_input_tokens"))
    return tokens(
        input=None if fresh is None else fresh + (cached or 0) + (written or 0),
        output=count(usage.get("output_tokens")),
        cached=cached,
        written=written,
        reasoning=count(mapping(usage.get("output_tokens_details")).get("thinking_tokens")),
    )


DIALECT = Dialect(whole=_whole, event=_event, tokens=_tokens)
