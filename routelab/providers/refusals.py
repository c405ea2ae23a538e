"""What a provider's refusal means: statuses and error bodies become core errors, without any secret in them."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlsplit

from routelab.core.errors import (
    AuthFailed,
    BadRequest,
    ContextExceeded,
    ModelNotFound,
    ProviderError,
    RateLimited,
    ServerFailed,
)

LONGEST_WAIT_S = 120.0
"""A server that asks for more patience than this counts as one that will not answer: it is not asked again."""

BODY_LIMIT = 2048
"""Characters of an error body that a message keeps."""

_REDACTED = "***"
_SHORTEST_SECRET = 8
_SECRETS = re.compile(
    r"(?P<before>\b(?:bearer|basic)\s+"
    r"|[?&](?:api[-_]?key|key|access_token|token|sig)="
    r"|://[^\s/:@]*:(?=[^\s/@]+@)"
    r"|\b(?:x-|x-goog-)?api[-_]?key[\"']?\s*[:=]\s*[\"']?"
    r"|\bauthorization[\"']?\s*[:=]\s*[\"']?)(?!(?:bearer|basic)\s)[^\s\"'&,;@<>}]{4,}"
    r"|\bsk-[\w-]{8,}|\bAIza[\w-]{8,}|\bgh[pousr]_\w{8,}|\bgithub_pat_\w{8,}|\bhf_\w{8,}|\bgsk_\w{8,}|\bxai-\w{8,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{8,}|\beyJ[\w-]{8,}(?:\.[\w-]+){0,2}|\b[0-9a-f]{32}\b",
    re.IGNORECASE,
)
"""What keys look like: after a word that announces one (`before`, which is kept), or by a provider's own prefix."""


def _any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE | re.DOTALL)


# Each line is one service's way to say it; the tests hold the sentences they were taken from.
_CONTEXT = _any_of(
    r"context[_ ](?:length|window)[_ ]exceeded",
    r"maximum (?:context|prompt|model|sequence) length",
    r"context (?:length|limit|window|size) (?:is|of)\b.{0,20}\d",
    r"exceeds? (?:the |your |its )?(?:model'?s? )?(?:maximum |available )*context",
    r"(?:prompt|input) is too long",
    r"input (?:length|tokens?) .{0,60}exceeds?",
    r"input token count .{0,40}exceeds",
    r"exceeded model token limit",
    r"too large for model with \d+ maximum",
    r"longer than the (?:model'?s? )?(?:maximum )?context",
    r"reduce the length of the (?:messages|prompt|input)",
)
_UNKNOWN_MODEL = _any_of(
    r"model[_ ]not[_ ](?:found|exist)",
    r"not a valid model",
    r"(?:invalid|unknown|no such) model\b",
    r"model\b.{0,80}\b(?:does not exist|not found)",
)
_BAD_KEY = _any_of(r"api[_ ]key[_ ](?:not valid|invalid|expired)", r"invalid[_ ]api[_ ]key")
_NO_CREDIT = _any_of(
    r"insufficient[_ ](?:quota|balance|credits?|funds)",
    r"credit balance is too low",
    r"exceeded_current_quota",  # Moonshot; Gemini's "You exceeded your current quota" is an ordinary rate limit
    r"billing_(?:error|hard_limit)",
)


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """What came back instead of an answer; `secrets` are the key's values, to be kept out of the message."""

    provider: str
    model: str
    status: int
    body: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    key_env: str | None = None
    secrets: Sequence[str] = field(default=(), repr=False)

    def error(self, now: float) -> ProviderError:
        """Return the error to raise; `now` is the time of day in seconds since 1970, for HTTP dates."""
        if 300 <= self.status < 400:
            return self._redirected()
        said = self.said
        kind, hint = self._kind()
        wait_s = _wait_s(self.headers, self.body, now)
        error = kind(
            f"{self.provider} returned {self.status} for model '{self.model}'{': ' + said if said else ''}",
            hint=hint,
            status=self.status,
            retry_after_s=wait_s if wait_s is not None and wait_s <= LONGEST_WAIT_S else None,
        )
        told = self.headers.get("x-should-retry", "").strip().lower()
        if told in ("true", "false"):
            error.retryable = told == "true"
        if wait_s is not None and wait_s > LONGEST_WAIT_S:
            error.retryable = False
        return error

    @property
    def said(self) -> str:
        """The provider's own words on one line, at most `BODY_LIMIT` characters, redacted."""
        return snippet(_words(self.body), self.secrets)

    def _redirected(self) -> ProviderError:
        # Following would hand the key to whoever the answer names: x-api-key and its like travel along.
        try:
            host = urlsplit(self.headers.get("location", "")).hostname or "the same host"
        except ValueError:
            host = "an address that cannot be read"
        return BadRequest(
            f"{self.provider} redirected ({self.status}) model '{self.model}' to {snippet(host, self.secrets)}; "
            "redirects are not followed, because the key would go along",
            hint="set base_url to the address that answers itself",
            status=self.status,
        )

    def _kind(self) -> tuple[type[ProviderError], str | None]:
        variable = f"${self.key_env}" if self.key_env else "the key"
        status = self.status
        if _NO_CREDIT.search(self.body) and status in (400, 402, 403, 429):
            return AuthFailed, f"the account behind {variable} has no credit left"
        if status in (401, 403) or (status == 400 and _BAD_KEY.search(self.body)):
            return AuthFailed, f"check that {variable} holds a key of {self.provider} that may use this model"
        if status == 402:
            return AuthFailed, f"the account behind {variable} has no credit left"
        if status == 429:
            return RateLimited, None
        if status not in (404, 408, 409, 425) and _CONTEXT.search(self.body):
            return ContextExceeded, "shorten the conversation, or let a context policy do it"
        if status == 404 or (400 <= status < 500 and _UNKNOWN_MODEL.search(self.body)):
            return ModelNotFound, f"check the model's upstream name, and base_url, with {self.provider}"
        if status in (408, 409, 425) or status >= 500:
            return ServerFailed, None
        return BadRequest, None


def snippet(text: str, secrets: Iterable[str] = ()) -> str:
    """Return the text on one line, redacted first and then cut to `BODY_LIMIT` characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in redact(text, secrets)).split())
    return line if len(line) <= BODY_LIMIT else line[: BODY_LIMIT - 1] + "…"


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return the text without what looks like a key, and without any 8 or more characters of the given secrets.

    >>> redact("Incorrect API key provided: sk-abcdefghijkl", [])
    'Incorrect API key provided: ***'
    """
    for secret in secrets:
        if len(secret) < _SHORTEST_SECRET:
            continue
        for form in {secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode().rstrip("=")}:
            text = _without(text, form)
    return _SECRETS.sub(lambda found: (found["before"] or "") + _REDACTED, text)


def _without(text: str, secret: str) -> str:
    kept: list[str] = []
    at = 0
    while at < len(text):
        width = 0
        if text[at : at + _SHORTEST_SECRET] in secret and at + _SHORTEST_SECRET <= len(text):
            width = _SHORTEST_SECRET
            while at + width < len(text) and text[at : at + width + 1] in secret:
                width += 1
        kept.append(_REDACTED if width else text[at])
        at += width or 1
    return "".join(kept)


def _words(body: str) -> str:
    """Return the human part of an error body: JSON's message where there is one, else the text."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        # An HTML page of a proxy: its head says as much as the whole.
        return body[:300] if body.lstrip().startswith("<") else body
    found = message_in(parsed)
    return body if found is None else found


def message_in(parsed: Any) -> str | None:
    """Return the message of an error object in any of the providers' forms, or None."""
    if isinstance(parsed, list):
        return message_in(parsed[0]) if parsed else None
    if isinstance(parsed, str):
        return parsed
    if not isinstance(parsed, Mapping):
        return None
    for name in ("error", "message", "detail", "errors"):
        if (found := message_in(parsed.get(name))) is not None:
            # Gateways wrap the upstream's own words in metadata, and those name the cause.
            raw = parsed[name].get("metadata", {}) if isinstance(parsed[name], Mapping) else {}
            inner = raw.get("raw") if isinstance(raw, Mapping) else None
            return f"{found} ({inner})" if isinstance(inner, str) else found
    return None


_STATUS_OF = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "model_not_found": 404,
    "request_too_large": 413,
    "context_length_exceeded": 400,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "tokens": 429,
    "requests": 429,
    "api_error": 500,
    "server_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


def status_in(error: Any) -> int:
    """Return the HTTP status that an error object inside a 200 stands for; 500 when it does not say.

    >>> status_in({"type": "overloaded_error"}), status_in({"code": 429}), status_in("something broke")
    (529, 429, 500)
    """
    if isinstance(error, Mapping):
        for name in ("code", "status", "type"):
            value = error.get(name)
            if isinstance(value, str) and value.isascii() and value.isdigit():
                value = int(value)
            if isinstance(value, int) and not isinstance(value, bool) and 400 <= value < 600:
                return value
            if isinstance(value, str) and value in _STATUS_OF:
                return _STATUS_OF[value]
    return 500


_NUMBER = re.compile(r"\d+(?:\.\d*)?|\.\d+", re.ASCII)
_RETRY_DELAY = re.compile(r'"retryDelay"\s*:\s*"(\d+(?:\.\d+)?)s"', re.ASCII)


def _wait_s(headers: Mapping[str, str], body: str, now: float) -> float | None:
    """Return the seconds that the server asks to wait, any positive finite number; None when it does not say."""
    for name, unit_s in (("retry-after-ms", 1e-3), ("x-ms-retry-after-ms", 1e-3), ("retry-after", 1.0)):
        text = headers.get(name, "").strip()
        seconds = float(text) * unit_s if _NUMBER.fullmatch(text) else None
        if seconds is None and name == "retry-after":
            seconds = _until(text, now)
        if seconds is not None:
            return seconds if 0 < seconds < math.inf else None
    if (delay := _RETRY_DELAY.search(body)) is not None:  # Gemini says it in the body (google.rpc.RetryInfo)
        return float(delay[1]) or None
    return None


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that `Retry-After` or `retry-after-ms` asks for if in (0, 120], else None.

    `headers` have lower-case names; `now` is the time of day in seconds since 1970, against which an HTTP date is read.

    >>> retry_after_s({"retry-after": "20"}, now=0.0), retry_after_s({"retry-after": "121"}, now=0.0)
    (20.0, None)
    """
    seconds = _wait_s(headers, "", now)
    return seconds if seconds is not None and seconds <= LONGEST_WAIT_S else None


def _until(text: str, now: float) -> float | None:
    if not text[:3].isalpha():
        return None
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    # Some servers leave the zone out; the standard knows only GMT.
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp() - now
