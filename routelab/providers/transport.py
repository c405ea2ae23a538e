"""The one place that speaks HTTP: a POST of JSON, whole or streamed, with deadlines and typed errors, and no retries.

httpx is imported at the first call, so that importing routelab stays light. Asking again is the flow's business
(`Repeat` around the call stage): two retry loops inside each other would multiply.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import ssl
import time
import zlib
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast
from weakref import WeakKeyDictionary

from routelab.core.errors import (
    AuthFailed,
    BadRequest,
    MalformedAnswer,
    MissingKey,
    ProviderError,
    TimedOut,
    Unreachable,
)
from routelab.providers.address import clear_text, host_of
from routelab.providers.refusals import Refusal, snippet

if TYPE_CHECKING:
    import httpx

Progress = Literal["bytes", "alive", "said", "done"]
"""What a piece of a stream was good for: nothing yet, a sign of life, a part of the answer, or its end."""

_ERROR_BODY_LIMIT = 64 * 1024
_INFLATE_STEP = 64 * 1024
_GRACE_S = 0.05


@dataclass(frozen=True, kw_only=True)
class Deadlines:
    """How many seconds to wait: to connect, for a stream's first words, between its events, and for everything."""

    connect_s: float = 5.0
    first_s: float = 120.0
    idle_s: float = 60.0
    total_s: float = 600.0


@dataclass(frozen=True, kw_only=True)
class Key:
    """Where a key is found and how it is sent; the key itself is read when a request is signed and kept nowhere."""

    env: str
    header: str = "authorization"
    prefix: str = "Bearer "


@dataclass(frozen=True, kw_only=True)
class Post:
    """One request: where it goes, what it carries, and the names that its errors use."""

    provider: str
    model: str
    url: str
    body: Mapping[str, Any] = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    key: Key | None = None
    deadline_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Transport:
    """Sends requests over one httpx client per event loop, made on the loop that first needs it.

    Proxies and certificates named by the environment count only with `trust_env`. `getenv`, `monotonic` and `wall`
    (seconds since 1970) are the outside world, as arguments.
    """

    deadlines: Deadlines = Deadlines()
    trust_env: bool = False
    max_answer_bytes: int = 32 * 1024 * 1024
    getenv: Callable[[str], str | None] = field(default=os.getenv, repr=False)
    monotonic: Callable[[], float] = field(default=time.monotonic, repr=False)
    wall: Callable[[], float] = field(default=time.time, repr=False)
    _clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = field(
        default_factory=WeakKeyDictionary, init=False, repr=False, compare=False
    )

    async def whole(self, post: Post) -> bytes:
        """Return the body of a 2xx answer; raises a ProviderError for everything else."""
        body = bytearray()

        def keep(chunk: bytes) -> Progress:
            body.extend(chunk)
            return "said"

        await self._send(post, keep, first_s=None)
        return bytes(body)

    async def stream(self, post: Post, feed: Callable[[bytes], Progress]) -> None:
        """Feed the body of a 2xx answer piece by piece, until `feed` says "done" or the server ends it.

        Until `feed` first says "said" the first-words deadline runs; after that every "alive" or "said" restarts the
        idle deadline. Comments that a server drips in (plain "bytes") hold up neither.
        """
        await self._send(post, feed, first_s=self.deadlines.first_s)

    async def aclose(self) -> None:
        """Close the running loop's connections; a later request opens new ones."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    def refusal(self, post: Post, status: int, body: str, headers: Mapping[str, str] | None = None) -> ProviderError:
        """Return the error that a status and a body stand for, also when they came inside a 200."""
        refusal = Refusal(
            provider=post.provider,
            model=post.model,
            status=status,
            body=body,
            headers=headers or {},
            key_env=post.key.env if post.key is not None else None,
            secrets=self._secrets(post),
        )
        return refusal.error(self.wall())

    def malformed(self, post: Post, what: str, body: bytes | str = b"") -> MalformedAnswer:
        """Return the error for a 200 that is not an answer, with the beginning of what came instead."""
        text = body if isinstance(body, str) else body[:_ERROR_BODY_LIMIT].decode("utf-8", "replace")
        said = snippet(text, self._secrets(post))
        return MalformedAnswer(
            f"{post.provider}, model '{post.model}': {what}{': ' + said if said else ''}", status=200
        )

    async def _send(self, post: Post, feed: Callable[[bytes], Progress], first_s: float | None) -> None:
        import httpx

        self._check(post)
        total_s = self.deadlines.total_s if post.deadline_s is None else min(post.deadline_s, self.deadlines.total_s)
        if total_s <= 0:
            raise TimedOut(f"{post.provider}, model '{post.model}': no time was left to ask")
        trouble: ProviderError | None = None
        pace = _Pace(first_s=first_s, idle_s=self.deadlines.idle_s)
        try:
            async with (
                asyncio.timeout(total_s) as total,
                asyncio.timeout(first_s) as pace.limit,
                self._open(post) as response,
            ):
                if response.is_success:
                    await self._read(post, response, feed, pace)
                else:
                    trouble = self.refusal(post, response.status_code, await _error_body(response), response.headers)
        except TimeoutError:
            trouble = TimedOut(
                f"{post.provider}, model '{post.model}': "
                + (f"no whole answer within {total_s:g} s" if total.expired() else pace.complaint())
            )
        except (
            httpx.HTTPError,
            httpx.InvalidURL,
            httpx.StreamError,
            httpx.CookieConflict,
            OSError,
            UnicodeError,
        ) as error:
            trouble = self._unsent(post, error)
        if trouble is not None:
            # Raised here and not in the handlers above: a chained traceback would show httpx frames with signed headers.
            raise trouble

    def _open(self, post: Post) -> contextlib.AbstractAsyncContextManager[httpx.Response]:
        key, getenv = post.key, self.getenv

        def sign(request: httpx.Request) -> httpx.Request:
            if key is not None:
                request.headers[key.header] = key.prefix + (getenv(key.env) or "").strip()
            return request

        return self._client().stream(
            "POST",
            post.url,
            content=_encoded(post.body),
            # Answers are small and their text is wanted at once: compression would only add a way to send a bomb.
            headers={
                "content-type": "application/json",
                "accept-encoding": "identity",
                "user-agent": "routelab",
                **post.headers,
            },
            auth=sign,
        )

    def _client(self) -> httpx.AsyncClient:
        import httpx

        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            for other in [known for known in self._clients if known.is_closed()]:
                del self._clients[other]
            client = self._clients[loop] = httpx.AsyncClient(
                follow_redirects=False,
                trust_env=self.trust_env,
                timeout=httpx.Timeout(None, connect=self.deadlines.connect_s),
                # How many calls run at once is the config's limit; a hidden queue here would eat into deadlines.
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=30.0),
            )
        return client

    async def _read(self, post: Post, response: httpx.Response, feed: Callable[[bytes], Progress], pace: _Pace) -> None:
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", "", "gzip", "x-gzip", "deflate"):
            raise self.malformed(post, f"the answer is compressed with '{snippet(encoding)}', which was not asked for")
        inflate = _inflater() if encoding not in ("identity", "") else _untouched
        size = 0
        async with contextlib.aclosing(_raw(response)) as pieces:
            async for raw in pieces:
                try:
                    for chunk in inflate(raw):
                        size += len(chunk)
                        if size > self.max_answer_bytes:
                            raise self.malformed(post, f"the answer is longer than {self.max_answer_bytes} bytes")
                        progress = feed(chunk)
                        pace.note(progress)
                        if progress == "done":
                            await _see_out(pieces)
                            return
                except zlib.error:
                    raise self.malformed(post, "the answer's compression is damaged") from None

    def _check(self, post: Post) -> None:
        if post.key is None:
            return
        state = _key_state(self.getenv(post.key.env))
        if state == "missing":
            raise MissingKey(
                f"{post.provider}, model '{post.model}': the environment variable {post.key.env} is not set",
                hint=f"set {post.key.env} to your key, or take the model out of the fleet",
            )
        if state == "broken":
            raise AuthFailed(
                f"{post.provider}, model '{post.model}': the value of {post.key.env} has characters that no key has",
                hint=f"set {post.key.env} again, to the key alone",
            )
        if clear_text(post.url):
            raise AuthFailed(
                f"{post.provider}, model '{post.model}': the key in {post.key.env} is not sent over plain http",
                hint="use https://, or leave key_env out",
            )

    def _secrets(self, post: Post) -> tuple[str, ...]:
        value = (self.getenv(post.key.env) or "").strip() if post.key is not None else ""
        return (value,) if value else ()

    def _unsent(self, post: Post, error: Exception) -> ProviderError:
        import httpx

        what = f"{post.provider}, model '{post.model}', at {host_of(post.url)}: "
        said = snippet(str(error), self._secrets(post)) or type(error).__name__
        if isinstance(error, httpx.TimeoutException):
            return TimedOut(
                what
                + (
                    f"no connection within {self.deadlines.connect_s:g} s"
                    if "Connect" in type(error).__name__
                    else said
                )
            )
        if isinstance(error, httpx.DecodingError):
            return MalformedAnswer(what + said, status=200)
        lost = (httpx.NetworkError, httpx.ProxyError, httpx.RemoteProtocolError, httpx.StreamError, OSError)
        if isinstance(error, lost):
            return self._unreachable(what + said, error)
        return BadRequest(what + said)

    def _unreachable(self, message: str, error: BaseException) -> Unreachable:
        hint = "is the server running, and is its address (`base_url`) right? `routelab doctor` shows proxies and keys"
        proxy = next(
            (name for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy") if self.getenv(name)), None
        )
        if proxy is not None and not self.trust_env:
            hint = f"the environment names a proxy ({proxy}), which is used only with trust_env"
        trouble = Unreachable(message, hint=hint)
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLCertVerificationError):
                # Asking again shows the same certificate again.
                trouble.retryable = False
                if not self.trust_env:
                    trouble.hint = "certificates that SSL_CERT_FILE or SSL_CERT_DIR names count only with trust_env"
            cause = cause.__cause__ or cause.__context__
        return trouble


@dataclass(kw_only=True)
class _Pace:
    """The deadline that moves: first words, then silence between events."""

    first_s: float | None
    idle_s: float
    limit: asyncio.Timeout | None = None
    begun: bool = False

    def note(self, progress: Progress) -> None:
        self.begun = self.begun or progress in ("said", "done")
        if self.begun and progress != "bytes" and self.limit is not None:
            self.limit.reschedule(asyncio.get_running_loop().time() + self.idle_s)

    def complaint(self) -> str:
        return f"silent for {self.idle_s:g} s" if self.begun else f"not a word within {self.first_s or 0:g} s"


def _key_state(value: str | None) -> Literal["missing", "broken", "usable"]:
    # A function of its own, so that no frame of a raised error has the key among its locals.
    key = (value or "").strip()
    if not key:
        return "missing"
    return "usable" if key.isascii() and key.isprintable() else "broken"


def mended(text: str) -> str:
    """Return the text with halves of UTF-16 pairs joined and lone ones replaced by U+FFFD, fit to be encoded."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _encoded(body: Mapping[str, Any]) -> bytes:
    return mended(json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))).encode()


async def _see_out(pieces: AsyncGenerator[bytes, None]) -> None:
    """Read the end of a body, which as a rule came with its last event: only then is the connection used again."""
    import httpx

    with contextlib.suppress(TimeoutError, StopAsyncIteration, httpx.HTTPError):
        async with asyncio.timeout(_GRACE_S):
            await anext(pieces)


def _raw(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    # httpx types its generator as a mere iterator, which could not be closed.
    return cast("AsyncGenerator[bytes, None]", response.aiter_raw())


def _untouched(raw: bytes) -> Iterator[bytes]:
    yield raw


def _inflater() -> Callable[[bytes], Iterator[bytes]]:
    # In steps: the size limit is checked in between, so a bomb is noticed after 64 kB too many and not after a
    # gigabyte.
    state = zlib.decompressobj(wbits=47)

    def inflate(raw: bytes) -> Iterator[bytes]:
        full = True
        while (raw or full) and not state.eof:
            chunk = state.decompress(raw, _INFLATE_STEP)
            raw, full = state.unconsumed_tail, len(chunk) == _INFLATE_STEP
            yield chunk

    return inflate


async def _error_body(response: httpx.Response) -> str:
    body = bytearray()
    inflate = (
        _inflater()
        if response.headers.get("content-encoding", "").strip().lower() in ("gzip", "x-gzip", "deflate")
        else _untouched
    )
    async with contextlib.aclosing(_raw(response)) as pieces:
        async for raw in pieces:
            with contextlib.suppress(zlib.error):
                for chunk in inflate(raw):
                    body.extend(chunk)
                    if len(body) >= _ERROR_BODY_LIMIT:
                        return body[:_ERROR_BODY_LIMIT].decode("utf-8", "replace")
    return body.decode("utf-8", "replace")
