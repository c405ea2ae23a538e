"""Google's Gemini: generateContent and streamGenerateContent."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from routelab.core.values import Finish, Message, Reply, Request, Tokens
from routelab.providers.address import endpoint, plain_headers
from routelab.providers.exchange import Dialect, Exchange, Json, Piece, count, first, mapping, name, tokens
from routelab.providers.pairing import arguments, paired, structure
from routelab.providers.transport import Key, Post, Transport

_IDS = re.compile(".*", re.DOTALL)
_UNSIGNED = re.compile(r"gemma|gemini-(?:[12]|pro|ultra)\b")
SIGNATURE = "skip_thought_signature_validator"
"""What Google says to send for a call whose thoughts are not at hand; from Gemini 3 on a call without is refused."""

_FINISH: Mapping[str, Finish] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "filter",
    "RECITATION": "filter",
    "BLOCKLIST": "filter",
    "PROHIBITED_CONTENT": "filter",
    "SPII": "filter",
    "IMAGE_SAFETY": "filter",
    "MALFORMED_FUNCTION_CALL": "tool",
    "UNEXPECTED_TOOL_CALL": "tool",
}


@dataclass(frozen=True, kw_only=True)
class Gemini:
    """Answers through the Gemini API.

    `base_url` ends before ``/models``. The key goes into a header, never into the URL, which ends up in logs and
    tracebacks. `extra_body` is merged into every request, its ``generationConfig`` into ours.
    """

    name: str = "gemini"
    base_url: str = "https://generativelanguage.googleapis.com/v1beta"
    key_env: str | None = "GEMINI_API_KEY"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    transport: Transport = field(default_factory=Transport, repr=False)

    def __post_init__(self) -> None:
        """Raise ConfigError for an address or a header that cannot or should not be used."""
        endpoint(self.base_url, key_env=self.key_env)
        plain_headers(self.headers)

    async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
        """Return the reply, its text also to `emit` as it comes if `request.stream`; raises a ProviderError only."""
        verb = "streamGenerateContent?alt=sse" if request.stream else "generateContent"
        post = Post(
            provider=self.name,
            model=request.model.upstream,
            url=f"{endpoint(self.base_url, key_env=self.key_env)}/{_path(request.model.upstream)}:{verb}",
            body=self.body(request),
            headers=plain_headers(self.headers),
            key=None if self.key_env is None else Key(env=self.key_env, header="x-goog-api-key", prefix=""),
            deadline_s=request.deadline_s,
        )
        return await Exchange(dialect=DIALECT, transport=self.transport)(post, request, emit)

    async def aclose(self) -> None:
        """Close the running loop's connections, which other providers on the same transport may share."""
        await self.transport.aclose()

    def body(self, request: Request) -> dict[str, Any]:
        """Return the JSON that is sent for this request."""
        system = [{"text": m.content} for m in request.messages if m.role == "system"]
        generation: dict[str, Any] = {"seed": request.seed & 0x7FFFFFFF}
        if request.temperature is not None:
            generation["temperature"] = request.temperature
        if request.max_output_tokens is not None:
            generation["maxOutputTokens"] = request.max_output_tokens
        body: dict[str, Any] = {
            "contents": _contents(
                paired([m for m in request.messages if m.role != "system"], _IDS),
                signed=_UNSIGNED.search(request.model.upstream) is None,
            ),
            **self.extra_body,
            "generationConfig": {**generation, **mapping(self.extra_body.get("generationConfig"))},
        }
        return {**body, "systemInstruction": {"parts": system}} if system else body


def _contents(messages: Sequence[Message], *, signed: bool) -> list[dict[str, Any]]:
    """Return the turns as Gemini wants them: all responses to one turn's calls in one content, by the functions' names."""
    contents: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    gathering = False
    for message in messages:
        if message.answers is not None:
            given = structure(message.content)
            response = {"result": message.content} if given is None else given
            if not gathering:
                contents.append({"role": "user", "parts": []})
            part = {"functionResponse": {"name": names[message.answers], "response": response}}
            contents[-1]["parts"].append(part)
            gathering = True
            continue
        gathering = False
        parts: list[dict[str, Any]] = [{"text": message.content}] if message.content or not message.calls else []
        for nth, call in enumerate(message.calls):
            names[call.id] = call.name
            part = {"functionCall": {"name": call.name, "args": arguments(call)}}
            # Only the first of parallel calls carries one.
            parts.append({**part, "thoughtSignature": SIGNATURE} if signed and nth == 0 else part)
        contents.append({"role": "model" if message.role == "assistant" else "user", "parts": parts})
    return contents


def _path(upstream: str) -> str:
    """Return the path of a model; a name cannot leave its place in the URL."""
    kind, slash, rest = upstream.partition("/")
    if slash and kind in ("models", "tunedModels"):
        return f"{kind}/{quote(rest, safe='')}"
    return f"models/{quote(upstream, safe='')}"


def _whole(answer: Json) -> Piece:
    candidate = first(answer.get("candidates"))
    parts = mapping(candidate.get("content")).get("parts")
    said = [mapping(p) for p in parts] if isinstance(parts, list) else []
    texts = [p["text"] for p in said if isinstance(p.get("text"), str) and p.get("thought") is not True]
    reason = candidate.get("finishReason")
    finish: Finish | None = _FINISH.get(reason, "other") if isinstance(reason, str) else None
    if finish == "stop" and any("functionCall" in p for p in said):
        finish = "tool"
    if not candidate and name(mapping(answer.get("promptFeedback")).get("blockReason")) is not None:
        finish = "filter"  # the prompt itself was refused: there is no candidate at all
    return Piece(
        text="".join(texts) if texts else None,
        finish=finish,
        served_model=name(answer.get("modelVersion")),
        usage=mapping(answer.get("usageMetadata")),
        thinking=any(p.get("thought") is True for p in said),
        error=answer.get("error") or None,
    )


def _event(event: str, chunk: Json) -> Piece:
    return _whole(chunk)


def _tokens(usage: Json) -> Tokens:
    prompt = count(usage.get("promptTokenCount"))
    tools = count(usage.get("toolUsePromptTokenCount")) or 0
    thought = count(usage.get("thoughtsTokenCount"))
    said = count(usage.get("candidatesTokenCount"))
    total = count(usage.get("totalTokenCount"))
    asked = None if prompt is None else prompt + tools
    # Gemini counts thoughts beside the answer, and leaves a count out when it is zero; then the total tells.
    output = None if said is None and thought is None else (said or 0) + (thought or 0)
    if output is None and total is not None and asked is not None and total >= asked:
        output = total - asked
    return tokens(input=asked, output=output, cached=count(usage.get("cachedContentTokenCount")), reasoning=thought)


DIALECT = Dialect(whole=_whole, event=_event, tokens=_tokens, finish_ends=True)
