"""Endpoint: vectors from any server that speaks OpenAI's `/embeddings`."""

from __future__ import annotations

import email.utils
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
from numpy.typing import NDArray

from routelab.core.errors import (
    AuthFailed,
    BadRequest,
    ConfigError,
    ContextExceeded,
    MalformedAnswer,
    MissingKey,
    ModelNotFound,
    ProviderError,
    RateLimited,
    ServerFailed,
    TimedOut,
    Unreachable,
)

_BY_STATUS: dict[int, type[ProviderError]] = {
    **dict.fromkeys((401, 403), AuthFailed),
    404: ModelNotFound,
    429: RateLimited,
    **dict.fromkeys((408, 409, 425), ServerFailed),
}
_LONGEST_WAIT_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Embeds texts by posting them to ``{url}/embeddings``, `batch` at a time, in order.

    `key_env` names the environment variable with the key and is read at each call; None sends no key. `dimensions` is
    what the model gives; with `shorten` the server is asked to cut its vectors to that. Answers that a retry may change
    (429, 5xx, no connection, too slow) are asked for again up to `retries` times, after what the server's Retry-After
    says or 1, 2, 4… seconds; `timeout_s` is the limit of each wait for the network. `transport` and `sleep` are for
    tests.
    """

    url: str
    model: str
    dimensions: int
    key_env: str | None = "OPENAI_API_KEY"
    batch: int = 128
    shorten: bool = False
    timeout_s: float = 60.0
    retries: int = 2
    transport: httpx.BaseTransport | None = field(default=None, repr=False, compare=False)
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"embedder.url: an http(s) address is wanted, not {parts.scheme or self.url[:40]!r}")
        if parts.username or parts.password or parts.query:
            raise ConfigError(
                "embedder.url: it holds a user name, a password or a query",
                hint="put the key into an environment variable and name that in key_env",
            )
        if not self.model:
            raise ConfigError("embedder.model: a name is wanted")
        for name, least in (("dimensions", 1), ("batch", 1), ("retries", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigError(f"embedder.{name}: a whole number from {least} is wanted, not {value!r}")
        if not math.isfinite(self.timeout_s) or self.timeout_s <= 0:
            raise ConfigError(f"embedder.timeout_s: seconds are wanted, not {self.timeout_s!r}")

    @property
    def id(self) -> str:
        """Address, model and dimensions; two servers may serve different weights under one name."""
        return f"{self.url.rstrip('/')}#{self.model}@{self.dimensions}"

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one unit vector a text, n × dimensions; raises a ProviderError and nothing else."""
        if not texts:
            return np.empty((0, self.dimensions), dtype=np.float32)
        headers = self._headers()
        # No redirects: httpx would carry some keys to another host.
        with httpx.Client(transport=self.transport, timeout=self.timeout_s, follow_redirects=False) as client:
            parts = [self._asked(client, headers, texts[i : i + self.batch]) for i in range(0, len(texts), self.batch)]
        return np.concatenate(parts)

    def _headers(self) -> dict[str, str]:
        if self.key_env is None:
            return {}
        key = os.environ.get(self.key_env, "").strip()
        if not key:
            raise MissingKey(
                f"{self._where}: {self.key_env} is not set", hint=f"set the environment variable {self.key_env}"
            )
        if not key.isascii() or not key.isprintable():
            raise MissingKey(f"{self._where}: {self.key_env} holds characters that no key has")
        return {"Authorization": f"Bearer {key}"}

    @property
    def _where(self) -> str:
        return f"{self.model} at {urlsplit(self.url).netloc}"

    def _asked(self, client: httpx.Client, headers: dict[str, str], texts: Sequence[str]) -> NDArray[np.float32]:
        for wait_s in self._waits():
            try:
                return self._once(client, headers, texts)
            except ProviderError as trouble:
                if not trouble.retryable or wait_s is None:
                    raise
                self.sleep(min(_LONGEST_WAIT_S, trouble.retry_after_s if trouble.retry_after_s is not None else wait_s))
        raise AssertionError("the last wait is None")

    def _waits(self) -> Iterator[float | None]:
        yield from (2.0**i for i in range(self.retries))
        yield None

    def _once(self, client: httpx.Client, headers: dict[str, str], texts: Sequence[str]) -> NDArray[np.float32]:
        # Servers refuse an empty text, and JSON cannot carry half a surrogate pair.
        sent = [text.encode("utf-8", "replace").decode("utf-8") or " " for text in texts]
        body: dict[str, Any] = {"model": self.model, "input": sent, "encoding_format": "float"}
        if self.shorten:
            body["dimensions"] = self.dimensions
        try:
            response = client.post(f"{self.url.rstrip('/')}/embeddings", json=body, headers=headers)
        except httpx.TimeoutException:
            raise TimedOut(f"{self._where}: nothing for {self.timeout_s:g} s") from None
        except httpx.RequestError as trouble:
            raise Unreachable(
                f"{self._where}: {type(trouble).__name__}: {self._clean(str(trouble), headers)}"
            ) from None
        if response.status_code != 200:
            raise self._refusal(response, headers)
        return self._vectors(response, len(texts))

    def _refusal(self, response: httpx.Response, headers: dict[str, str]) -> ProviderError:
        status = response.status_code
        said = self._clean(_message(response), headers)
        kind = _BY_STATUS.get(status, ServerFailed if status >= 500 else BadRequest)
        if kind is BadRequest and any(sign in said.lower() for sign in ("maximum context", "too long", "max_tokens")):
            kind = ContextExceeded
        hint = f"check the key in {self.key_env}" if kind is AuthFailed and self.key_env else None
        what = f"{self._where}: {status}" + (f": {said}" if said else "")
        return kind(what, hint=hint, status=status, retry_after_s=_retry_after_s(response.headers.get("retry-after")))

    def _clean(self, text: str, headers: dict[str, str]) -> str:
        for value in headers.values():
            text = text.replace(value.removeprefix("Bearer "), "•••")
        return "".join(c if c.isprintable() else " " for c in text)[:300]

    def _vectors(self, response: httpx.Response, n: int) -> NDArray[np.float32]:
        try:
            rows = response.json()["data"]
            vectors = np.full((n, self.dimensions), np.nan)
            for position, row in enumerate(rows):
                index = row.get("index", position)
                if not isinstance(index, int) or not 0 <= index < n or not np.isnan(vectors[index]).all():
                    raise MalformedAnswer(f"{self._where}: vector {position} says that it is number {index!r} of {n}")
                vector = np.asarray(row["embedding"], dtype=np.float64)
                if vector.shape != (self.dimensions,):
                    raise MalformedAnswer(
                        f"{self._where}: a vector has {vector.size} dimensions, {self.dimensions} are configured",
                        hint=f"set dimensions: {vector.size}",
                    )
                vectors[index] = vector
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as trouble:
            raise MalformedAnswer(f"{self._where}: no vectors in the answer ({type(trouble).__name__})") from None
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not (np.isfinite(lengths) & (lengths > 0)).all():
            raise MalformedAnswer(f"{self._where}: {n} vectors were wanted, some are missing, zero or not finite")
        unit: NDArray[np.float32] = (vectors / lengths).astype(np.float32)
        return unit


def _message(response: httpx.Response) -> str:
    try:
        error = json.loads(response.text)
    except (ValueError, RecursionError):
        return " ".join(response.text.split())[:300]
    if isinstance(error, dict):
        error = error.get("error", error)
    if isinstance(error, dict):
        error = error.get("message", error)
    return error if isinstance(error, str) else json.dumps(error)


def _retry_after_s(value: str | None) -> float | None:
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            when = email.utils.parsedate_to_datetime(value)
        except (ValueError, TypeError):
            return None
        seconds = when.timestamp() - time.time()
    return max(0.0, seconds) if math.isfinite(seconds) else None
