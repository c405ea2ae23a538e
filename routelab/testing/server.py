"""A local server that speaks the providers' protocols, whole and streamed, for tests without a network.

It answers over real sockets, because a mocked transport cannot cut a stream in the middle of a character, drip, hang or
reset.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any, Literal

from routelab.core.values import Finish, Tokens

Protocol = Literal["openai", "anthropic", "gemini"]
End = Literal["whole", "cut", "reset", "hang"]

_REASONS: Mapping[Protocol, Mapping[Finish, str]] = {
    "openai": {"stop": "stop", "length": "length", "filter": "content_filter", "tool": "tool_calls", "refusal": "stop"},
    "anthropic": {"stop": "end_turn", "length": "max_tokens", "refusal": "refusal", "tool": "tool_use"},
    "gemini": {"stop": "STOP", "length": "MAX_TOKENS", "filter": "SAFETY", "tool": "UNEXPECTED_TOOL_CALL"},
}
_ERRORS = {
    400: ("invalid_request_error", "INVALID_ARGUMENT"),
    401: ("authentication_error", "UNAUTHENTICATED"),
    403: ("permission_error", "PERMISSION_DENIED"),
    404: ("not_found_error", "NOT_FOUND"),
    429: ("rate_limit_error", "RESOURCE_EXHAUSTED"),
    503: ("api_error", "UNAVAILABLE"),
    529: ("overloaded_error", "UNAVAILABLE"),
}


@dataclass(frozen=True, kw_only=True)
class Said:
    """An answer by its content; the server puts it into whatever form was asked for.

    `pieces` are the stream's deltas and default to words; `tokens` default to counted words; `model` to the one asked.
    `logprobs` are given to a chat completion that asks for them, in a stream spread over the pieces.
    """

    text: str
    finish: Finish = "stop"
    tokens: Tokens | None = None
    model: str | None = None
    pieces: tuple[str, ...] = ()
    logprobs: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Raw:
    """An answer by its bytes and its timing.

    The body is sent in pieces that end at `splits` (byte positions), `delay_s` before the first and `gap_s` between
    two. `end` says how it ends: as announced, cut off before the announced end, with a reset, or not at all ("hang":
    until the client leaves).
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | str | Mapping[str, Any] | Sequence[Any] = b""
    splits: tuple[int, ...] = ()
    delay_s: float = 0.0
    gap_s: float = 0.0
    end: End = "whole"

    @property
    def content(self) -> bytes:
        """The body's bytes."""
        if isinstance(self.body, bytes):
            return self.body
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body, ensure_ascii=False).encode()

    @property
    def pieces(self) -> list[bytes]:
        """The body as it is sent, cut at `splits`."""
        content = self.content
        cuts = [0, *sorted(at for at in set(self.splits) if 0 < at < len(content)), len(content)]
        return [content[a:b] for a, b in pairwise(cuts) if a < b]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A request as it arrived; header names are lower case."""

    protocol: Protocol | None
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: Any

    @property
    def streamed(self) -> bool:
        """Whether the answer was wanted as a stream."""
        return ":streamGenerateContent" in self.path or (
            isinstance(self.body, dict) and self.body.get("stream") is True
        )

    @property
    def model(self) -> str:
        """The model asked for."""
        if self.protocol == "gemini":
            return self.path.rsplit("/", 1)[-1].split(":")[0]
        return str(self.body.get("model", "")) if isinstance(self.body, dict) else ""

    @property
    def texts(self) -> list[str]:
        """The messages' texts, in order, without the system's."""
        if not isinstance(self.body, dict):
            return []
        if self.protocol == "gemini":
            return [part.get("text", "") for turn in self.body.get("contents", []) for part in turn.get("parts", [])]
        return [str(m.get("content", "")) for m in self.body.get("messages", []) if m.get("role") != "system"]


def echo(seen: Seen) -> Said:
    """Return the answer when no script says otherwise: the last message again."""
    return Said(text=f"You said: {seen.texts[-1] if seen.texts else ''}")


class FakeProviders:
    """The server, for a `with` block: `script` queues answers, `seen` lists requests, and without a script it echoes.

    >>> from routelab.providers import provider_of
    >>> with FakeProviders() as fake:
    ...     provider = provider_of("vllm", base_url=fake.base_url("openai"))
    """

    def __init__(self, answer: Callable[[Seen], Said | Raw | int] = echo) -> None:
        self._answer = answer
        self._script: deque[Said | Raw | int] = deque()
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self.closing = threading.Event()
        self.seen: list[Seen] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> FakeProviders:
        """Start answering."""
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        """Stop, and hang up on whoever is still connected."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        with self._lock:
            sockets = list(self._sockets)
        for connection in sockets:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    @property
    def port(self) -> int:
        """The port on 127.0.0.1."""
        return int(self._server.server_address[1])

    @property
    def connections(self) -> int:
        """How many clients are connected now."""
        with self._lock:
            return len(self._sockets)

    def base_url(self, protocol: Protocol) -> str:
        """Return the base URL for a provider of that protocol."""
        return f"http://127.0.0.1:{self.port}/{'v1beta' if protocol == 'gemini' else 'v1'}"

    def script(self, *answers: Said | Raw | int) -> None:
        """Queue answers for the next requests, one each; an integer is an error of that status."""
        with self._lock:
            self._script.extend(answers)

    def respond(self, seen: Seen) -> Raw:
        """Note the request and return what to send."""
        with self._lock:
            self.seen.append(seen)
            said = self._script.popleft() if self._script else None
        if seen.protocol is None:
            return Raw(status=404, body={"error": {"message": f"no such path: {seen.path}"}})
        return rendered(said if said is not None else self._answer(seen), seen)

    @contextlib.contextmanager
    def connected(self, connection: socket.socket) -> Iterator[None]:
        """Count a connection while it is served."""
        with self._lock:
            self._sockets.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._sockets.discard(connection)


def rendered(answer: Said | Raw | int, seen: Seen) -> Raw:
    """Return the answer in the form that the request asked for."""
    assert seen.protocol is not None
    if isinstance(answer, Raw):
        return answer
    if isinstance(answer, int):
        kind, name = _ERRORS.get(answer, ("api_error", "INTERNAL"))
        message = f"scripted {answer}"
        error: dict[str, Any] = {"error": {"type": kind, "message": message}}
        if seen.protocol == "gemini":
            error = {"error": {"code": answer, "message": message, "status": name}}
        return Raw(status=answer, body={"type": "error", **error} if seen.protocol == "anthropic" else error)
    if seen.streamed:
        return Raw(headers={"content-type": "text/event-stream"}, body=transcript(answer, seen))
    whole: Callable[[Said, Seen], dict[str, Any]] = {
        "openai": _openai_whole,
        "anthropic": _anthropic_whole,
        "gemini": _gemini_whole,
    }[seen.protocol]
    return Raw(body=whole(answer, seen))


def transcript(answer: Said, seen: Seen) -> bytes:
    """Return the bytes of the streamed answer."""
    assert seen.protocol is not None
    stream: Callable[[Said, Seen], Iterator[tuple[str | None, Any]]] = {
        "openai": _openai_stream,
        "anthropic": _anthropic_stream,
        "gemini": _gemini_stream,
    }[seen.protocol]
    lines = []
    for name, data in stream(answer, seen):
        text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
        lines.append((f"event: {name}\n" if name else "") + f"data: {text}\n\n")
    return "".join(lines).encode()


def _pieces(said: Said) -> tuple[str, ...]:
    return said.pieces or tuple(re.findall(r"\S+\s*|\s+", said.text)) or ("",)


def _counts(said: Said, seen: Seen) -> Tokens:
    if said.tokens is not None:
        return said.tokens
    return Tokens(input=sum(len(t.split()) for t in seen.texts), output=len(said.text.split()))


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _openai_usage(said: Said, seen: Seen) -> dict[str, Any]:
    counts = _counts(said, seen)
    usage: dict[str, Any] = {
        "prompt_tokens": counts.input,
        "completion_tokens": counts.output,
        "total_tokens": counts.total,
    }
    if counts.cached is not None:
        usage["prompt_tokens_details"] = {"cached_tokens": counts.cached}
    if counts.reasoning is not None:
        usage["completion_tokens_details"] = {"reasoning_tokens": counts.reasoning}
    return usage


def _openai_whole(said: Said, seen: Seen) -> dict[str, Any]:
    refused = said.finish == "refusal"
    message = {
        "role": "assistant",
        "content": None if refused else said.text,
        "refusal": said.text if refused else None,
    }
    reason = _REASONS["openai"].get(said.finish, "unheard_of")
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": said.model or seen.model,
        "choices": [
            {"index": 0, "message": message, "finish_reason": reason, **_openai_logprobs(said.logprobs, said, seen)}
        ],
        "usage": _openai_usage(said, seen),
    }


def _openai_logprobs(share: Sequence[float], said: Said, seen: Seen) -> dict[str, Any]:
    if not seen.body.get("logprobs"):
        return {}
    tokens: list[dict[str, Any]] = [{"token": "x", "logprob": p, "bytes": None, "top_logprobs": []} for p in share]
    return {"logprobs": {"refusal" if said.finish == "refusal" else "content": tokens} if said.logprobs else None}


def _openai_stream(said: Said, seen: Seen) -> Iterator[tuple[str | None, Any]]:
    def chunk(choices: list[Any], **more: Any) -> tuple[None, dict[str, Any]]:
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": said.model or seen.model}
        return None, {**head, "choices": choices, **more}

    key = "refusal" if said.finish == "refusal" else "content"
    yield chunk([{"index": 0, "delta": {"role": "assistant", key: ""}, "finish_reason": None}])
    pieces = _pieces(said)
    for i, piece in enumerate(pieces):
        share = said.logprobs[i * len(said.logprobs) // len(pieces) : (i + 1) * len(said.logprobs) // len(pieces)]
        yield chunk([{"index": 0, "delta": {key: piece}, "finish_reason": None, **_openai_logprobs(share, said, seen)}])
    yield chunk([{"index": 0, "delta": {}, "finish_reason": _REASONS["openai"].get(said.finish, "unheard_of")}])
    if (seen.body.get("stream_options") or {}).get("include_usage"):
        yield chunk([], usage=_openai_usage(said, seen))
    yield None, "[DONE]"


def _anthropic_usage(said: Said, seen: Seen) -> dict[str, Any]:
    counts = _counts(said, seen)
    fresh = None if counts.input is None else counts.input - (counts.cached or 0)
    return _without_none(
        {"input_tokens": fresh, "cache_read_input_tokens": counts.cached, "output_tokens": counts.output}
    )


def _anthropic_whole(said: Said, seen: Seen) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": said.model or seen.model,
        "content": [{"type": "text", "text": said.text}],
        "stop_reason": _REASONS["anthropic"].get(said.finish, "unheard_of"),
        "stop_sequence": None,
        "usage": _anthropic_usage(said, seen),
    }


def _anthropic_stream(said: Said, seen: Seen) -> Iterator[tuple[str | None, Any]]:
    def event(kind: str, **more: Any) -> tuple[str, dict[str, Any]]:
        return kind, {"type": kind, **more}

    whole = _anthropic_whole(said, seen)
    begun = {**whole["usage"], "output_tokens": 1}
    yield event("message_start", message={**whole, "content": [], "stop_reason": None, "usage": begun})
    yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    yield event("ping")
    for piece in _pieces(said):
        yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
    yield event("content_block_stop", index=0)
    usage = {"output_tokens": whole["usage"].get("output_tokens")}
    yield event("message_delta", delta={"stop_reason": whole["stop_reason"], "stop_sequence": None}, usage=usage)
    yield event("message_stop")


def _gemini_usage(said: Said, seen: Seen) -> dict[str, Any]:
    counts = _counts(said, seen)
    answer = None if counts.output is None else counts.output - (counts.reasoning or 0)
    return _without_none(
        {
            "promptTokenCount": counts.input,
            "cachedContentTokenCount": counts.cached,
            "candidatesTokenCount": answer,
            "thoughtsTokenCount": counts.reasoning,
            "totalTokenCount": counts.total,
        }
    )


def _gemini_chunk(text: str, said: Said, seen: Seen, *, last: bool) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}
    if last:
        candidate["finishReason"] = _REASONS["gemini"].get(said.finish, "UNHEARD_OF")
    usage = _gemini_usage(said, seen)
    if not last:
        # Counts grow from chunk to chunk; only the last ones count.
        usage = {**usage, "candidatesTokenCount": 1, "totalTokenCount": usage.get("promptTokenCount", 0) + 1}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": said.model or seen.model}


def _gemini_whole(said: Said, seen: Seen) -> dict[str, Any]:
    return _gemini_chunk(said.text, said, seen, last=True)


def _gemini_stream(said: Said, seen: Seen) -> Iterator[tuple[str | None, Any]]:
    pieces = _pieces(said)
    for number, piece in enumerate(pieces, start=1):
        yield None, _gemini_chunk(piece, said, seen, last=number == len(pieces))


def _protocol(path: str) -> Protocol | None:
    if path.endswith("/chat/completions"):
        return "openai"
    if path.endswith("/messages"):
        return "anthropic"
    return "gemini" if re.search(r"/models/[^/]+:(?:generateContent|streamGenerateContent\?alt=sse)$", path) else None


def _handler(fake: FakeProviders) -> type[BaseHTTPRequestHandler]:
    """Return the class that the standard library's server makes one instance of per connection."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle(self) -> None:
            with fake.connected(self.connection), contextlib.suppress(OSError):
                super().handle()

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length", 0))
            text = self.rfile.read(length)
            try:
                body = json.loads(text)
            except ValueError:
                body = text
            headers = {name.lower(): value for name, value in self.headers.items()}
            self._send(fake.respond(Seen(protocol=_protocol(self.path), path=self.path, headers=headers, body=body)))

        def _send(self, answer: Raw) -> None:
            if fake.closing.wait(answer.delay_s):
                return
            headers = {name.lower(): value for name, value in answer.headers.items()}
            headers.setdefault("content-type", "application/json")
            streamed = headers["content-type"].startswith("text/event-stream")
            if streamed:
                headers["transfer-encoding"] = "chunked"
            elif answer.status not in (204, 304):
                headers.setdefault("content-length", str(len(answer.content) + (answer.end != "whole")))
            self.send_response_only(answer.status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            for number, piece in enumerate(answer.pieces):
                if number and fake.closing.wait(answer.gap_s):
                    return
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if streamed else piece)
                self.wfile.flush()
            self._finish(answer.end, streamed=streamed)

        def _finish(self, end: End, *, streamed: bool) -> None:
            if end == "whole":
                if streamed:
                    self.wfile.write(b"0\r\n\r\n")
                return
            self.close_connection = True
            if end == "hang":
                # Nothing more is sent; the read returns when the client hangs up or the server is closed.
                self.connection.recv(1)
            elif end == "reset":
                # Closed here, before the server's own polite shutdown could send an end of the stream first.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.rfile.close()
                self.connection.close()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: tests print enough."""

    return Handler
