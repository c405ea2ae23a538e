"""One request and its answer, whole or streamed: the part that the three protocols share.

A protocol is a `Dialect`: it reads a JSON body, or one event of a stream, into a `Piece`; pieces add up to a `Reply`
the same way in both cases, so the same content gives the same reply.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from routelab.core.errors import ProviderError
from routelab.core.values import Finish, Reply, Request, Tokens
from routelab.providers.refusals import status_in
from routelab.providers.sse import Decoder, ServerEvent
from routelab.providers.transport import Post, Progress, Transport, mended

Json = Mapping[str, Any]

_SNIPPET_BYTES = 4096


@dataclass(frozen=True, kw_only=True)
class Piece:
    """What one body or one event adds: None and empty mean that it says nothing about that.

    `usage` is the provider's own object; objects of later events replace earlier values key by key, since all three
    providers count cumulatively. `thinking` marks reasoning, which is life but not text. `error` is the error object of
    a stream that broke. `logprobs` are those of the tokens it adds, NaN for one that cannot be read.
    """

    text: str | None = None
    finish: Finish | None = None
    served_model: str | None = None
    usage: Json = field(default_factory=dict)
    thinking: bool = False
    ended: bool = False
    error: Any = None
    logprobs: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How a protocol is read; `whole` and `event` get JSON objects only, and never raise for what is in them.

    `event` gets the event's name and its parsed data. `last` is the data that ends a stream without being JSON, or
    None; `finish_ends` says that a stream has no other end mark than a finish reason.
    """

    whole: Callable[[Json], Piece]
    event: Callable[[str, Json], Piece]
    tokens: Callable[[Json], Tokens]
    cost_usd: Callable[[Json], float | None] = lambda usage: None
    last: str | None = None
    finish_ends: bool = False


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """Asks once and returns the reply; the same value serves any number of requests at once."""

    dialect: Dialect
    transport: Transport

    async def __call__(self, post: Post, request: Request, emit: Callable[[str], None]) -> Reply:
        """Return the reply to the request that `post` carries; raises a ProviderError and nothing else."""
        try:
            return await self._ask(post, request, emit)
        except ProviderError as error:
            trouble = error
        # The frames below hold what the server sent, and a server may repeat the key: a traceback that shows local
        # variables must not reach them.
        trouble.__cause__ = trouble.__context__ = None
        raise trouble.with_traceback(None)

    async def _ask(self, post: Post, request: Request, emit: Callable[[str], None]) -> Reply:
        began = self.transport.monotonic()
        draft = _Draft(exchange=self, post=post, emit=emit if request.stream else _unheard, began=began)
        if request.stream:
            await self.transport.stream(post, draft.feed)
        else:
            body = await self.transport.whole(post)
            draft.take(self.dialect.whole(self._object(post, body)))
        return draft.reply(request)

    def _object(self, post: Post, body: bytes) -> Json:
        parsed = parse(body)
        if isinstance(parsed, list) and parsed:
            parsed = parsed[0]  # Gemini wraps an error in a list when it was asked for a stream
        if not isinstance(parsed, Mapping):
            raise self.transport.malformed(post, "the answer is not a JSON object", body[:_SNIPPET_BYTES])
        return parsed


class _Draft:
    """An answer as it grows."""

    def __init__(self, *, exchange: Exchange, post: Post, emit: Callable[[str], None], began: float) -> None:
        self._dialect, self._transport = exchange.dialect, exchange.transport
        self._post, self._emit, self._began = post, emit, began
        self._decoder = Decoder()
        self._head = b""
        self._texts: list[str] = []
        self._half = ""
        self._spoke = False
        self._usage: dict[str, Any] = {}
        self._finish: Finish | None = None
        self._served: str | None = None
        self._ended = False
        self._ttft_s: float | None = None
        self._latency_s = 0.0
        self._logprobs: list[float] = []

    def feed(self, chunk: bytes) -> Progress:
        """Take bytes of a stream and say what they were good for."""
        if len(self._head) < _SNIPPET_BYTES:
            self._head += chunk[:_SNIPPET_BYTES]
        progress: Progress = "bytes"
        for event in self._decoder.feed(chunk):
            piece = self._piece(event)
            self.take(piece)
            if piece.ended:
                return "done"  # what follows the end is not part of the answer
            if piece.text or piece.thinking or piece.finish is not None:
                progress = "said"
            elif progress == "bytes":
                progress = "alive"
        return progress

    def _piece(self, event: ServerEvent) -> Piece:
        if self._dialect.last is not None and event.data.strip() == self._dialect.last:
            return Piece(ended=True)
        parsed = parse(event.data)
        if isinstance(parsed, Mapping):
            return self._dialect.event(event.name, parsed)
        if event.name == "message" and event.data.strip():
            raise self._transport.malformed(self._post, "an event of the stream is not a JSON object", event.data)
        return Piece()  # an event of somebody's extension: to be ignored

    def take(self, piece: Piece) -> None:
        """Add a piece; raises the error that it carries."""
        self._usage.update({name: value for name, value in piece.usage.items() if value is not None})
        self._served = self._served or piece.served_model
        if piece.finish is not None and not (self._finish == "refusal" and piece.finish == "stop"):
            self._finish = piece.finish  # OpenAI streams a refusal's words first and then ends with a plain "stop"
        self._latency_s = max(0.0, self._transport.monotonic() - self._began)
        self._logprobs.extend(piece.logprobs)
        if piece.text is not None:
            self._say(piece.text)
        if piece.error is not None:
            self._broken(piece.error)
        self._ended = self._ended or piece.ended

    def _say(self, text: str) -> None:
        self._spoke = True
        text = self._half + text
        # A character outside the basic plane may come as two JSON escapes in two events; half of it cannot be shown.
        self._half = text[-1] if text and "\ud800" <= text[-1] <= "\udbff" else ""
        text = mended(text[: len(text) - len(self._half)])
        if text:
            if self._ttft_s is None:
                self._ttft_s = self._latency_s
            self._texts.append(text)
            self._emit(text)

    def _broken(self, error: Any) -> NoReturn:
        text = json.dumps({"error": error}, ensure_ascii=False, default=str)
        raise self._transport.refusal(self._post, status_in(error), text)

    def reply(self, request: Request) -> Reply:
        """Return what all pieces said; raises MalformedAnswer when that is no answer, or only the beginning of one."""
        if request.stream and not (self._ended or (self._dialect.finish_ends and self._finish is not None)):
            raise self._transport.malformed(
                self._post,
                "the stream ended before the answer did" if self._spoke else "the stream ended without an answer",
                b"" if self._spoke else self._head,
            )
        if not self._spoke and self._finish in (None, "stop"):
            raise self._transport.malformed(self._post, "the answer has no text and no reason for that")
        if self._half:
            self._half = ""
            self._say("\ufffd")
        # One token that cannot be read could be the doubtful one: then neither figure is known.
        known = self._logprobs if not any(math.isnan(p) for p in self._logprobs) else []
        return Reply(
            text="".join(self._texts),
            served_model=self._served or request.model.upstream,
            finish=self._finish or "other",
            tokens=self._dialect.tokens(self._usage),
            latency_s=self._latency_s,
            ttft_s=self._ttft_s if request.stream else None,
            cost_usd=self._dialect.cost_usd(self._usage),
            mean_logprob=math.fsum(known) / len(known) if known else None,
            min_logprob=min(known, default=None),
        )


def _unheard(text: str) -> None:
    """Drop the text: only a streamed answer is told piece by piece."""


def parse(text: bytes | str) -> Any:
    """Return the parsed JSON, or None for what is not strictly JSON or too deeply nested to read."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def mapping(value: Any) -> Json:
    """Return the value if it is a JSON object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def first(value: Any) -> Json:
    """Return the object that speaks for a list of alternatives: the one with index 0, or an empty one."""
    if not isinstance(value, list):
        return {}
    return next((mapping(v) for v in value if mapping(v).get("index", 0) in (0, None)), {})


def words(value: Any) -> str | None:
    """Return a text, or the text parts of a list of parts, or None when it is neither."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        parts = [mapping(part) for part in value]
        return "".join(str(part.get("text", "")) for part in parts if part.get("type") in ("text", "refusal", None))
    return None


def name(value: Any) -> str | None:
    """Return a text that is not empty, else None."""
    return value if isinstance(value, str) and value else None


def count(value: Any) -> int | None:
    """Return a count of tokens, or None for what cannot be one (absent, negative, NaN, a truth value, a text)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if not 0 <= value <= 2**53 or value != math.floor(value):
        return None
    return int(value)


def logprob(value: Any) -> float:
    """Return a log-probability, at most 0, or NaN for what cannot be one; rounding may lift a certain one above 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -math.inf < value <= 1e-3:
        return math.nan
    return min(0.0, float(value))


def amount(value: Any) -> float | None:
    """Return an amount of money in USD, or None for what cannot be one."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 <= value < math.inf else None


def tokens(
    *,
    input: int | None,
    output: int | None,
    cached: int | None = None,
    reasoning: int | None = None,
    written: int | None = None,
) -> Tokens:
    """Return the counts with their source; parts larger than their whole are not believed."""
    if cached is not None and input is not None and cached > input:
        cached = None
    if reasoning is not None and output is not None and reasoning > output:
        reasoning = None
    if written is not None and input is not None and written + (cached or 0) > input:
        written = None
    known = input is not None or output is not None
    return Tokens(
        input=input,
        output=output,
        cached=cached,
        reasoning=reasoning,
        source="usage" if known else None,
        written=written,
    )
