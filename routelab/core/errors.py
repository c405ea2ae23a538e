"""Every expected trouble, as one tree; anything else that is raised is a bug and stops the experiment.

RoutelabError
├── ConfigError            a YAML file, a key, a name or a flag that cannot be used
│   └── UnavailableError   a feature of the contract that this version does not have yet
├── DataError              a data set, a CSV or JSONL line, an outcomes file
├── TemplateError          a placeholder with no value
├── LogError               the DuckDB log
│   ├── LogBusy            another process holds the file
│   └── LogUnreadable      the file is damaged, foreign, read-only or not there
├── BudgetExceeded         the next call would pass the budget
├── RunFailed              a run ended without an answer and its caller asked for one
└── ProviderError          a model could not answer
    ├── MissingKey         the environment variable that names the key is not set
    ├── AuthFailed         401, 403
    ├── ModelNotFound      404
    ├── BadRequest         400, 413, 422: asking again cannot help
    ├── ContextExceeded    the prompt does not fit the model's window
    ├── RateLimited        429
    ├── ServerFailed       408, 409, 425, 5xx, 529
    ├── Unreachable        no connection: refused, reset, DNS, TLS
    ├── TimedOut           a deadline passed
    ├── MalformedAnswer    200, but not an answer
    └── Cancelled          the caller stopped waiting
"""

from __future__ import annotations

import difflib
import re
import traceback
from collections.abc import Iterable

_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


class RoutelabError(Exception):
    """Expected trouble: one line that says what and where, and a hint that says the next move."""

    short = True
    """Whether IPython shows two lines instead of a traceback; `%config RouteLab.short_errors` sets it."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n  hint: {self.hint}"

    def _render_traceback_(self) -> list[str]:
        # IPython asks for this before it formats a traceback: an `error` output with exactly these lines, which stops Run All.
        if not RoutelabError.short:
            return "".join(traceback.format_exception(self)).splitlines()
        lines = [f"{type(self).__name__}: {self.message}", *([] if self.hint is None else [f"  hint: {self.hint}"])]
        return [visible(line) for line in lines]


class ConfigError(RoutelabError):
    """What the user wrote cannot be used as configuration."""


class UnavailableError(ConfigError):
    """The name is right, but this version of routelab does not have the feature yet."""


class DataError(RoutelabError):
    """A file of prompts, outcomes or prices does not have the promised form."""


class TemplateError(RoutelabError):
    """A template cannot be filled."""


class LogError(RoutelabError):
    """The log cannot do what was asked."""


class LogBusy(LogError):
    """Another process holds the log and did not let go in time."""


class LogUnreadable(LogError):
    """The log is damaged, foreign, read-only or not there."""


class BudgetExceeded(RoutelabError):
    """The next call could pass the budget, so it is not made."""


class RunFailed(RoutelabError):
    """A run ended without an answer."""


class ProviderError(RoutelabError):
    """A model could not answer; `retryable` says whether the same request may succeed if it is sent again."""

    retryable = False

    def __init__(
        self, message: str, *, hint: str | None = None, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.retry_after_s = retry_after_s


class MissingKey(ProviderError):
    """The environment variable that should hold the key is not set."""


class AuthFailed(ProviderError):
    """The provider refused the key (401, 403)."""


class ModelNotFound(ProviderError):
    """The provider does not know the model (404)."""


class BadRequest(ProviderError):
    """The provider refused the request (400, 413, 422)."""


class ContextExceeded(ProviderError):
    """The prompt does not fit the model's context window."""


class RateLimited(ProviderError):
    """The provider asked for patience (429)."""

    retryable = True


class ServerFailed(ProviderError):
    """The provider failed (408, 409, 425, 5xx, 529)."""

    retryable = True


class Unreachable(ProviderError):
    """No connection: refused, reset, or the name does not resolve."""

    retryable = True


class TimedOut(ProviderError):
    """A deadline passed before the answer was whole."""

    retryable = True


class MalformedAnswer(ProviderError):
    """The provider said 200 but sent no answer that can be read."""

    retryable = True


class Cancelled(ProviderError):
    """The caller stopped waiting; what was generated until then is kept."""


def visible(text: str) -> str:
    """Return the text without what a terminal or a browser obeys instead of showing it.

    Control characters but for tab and line feed, bidirectional overrides and lone surrogates become U+FFFD.
    """
    return _OBEYED.sub("\N{REPLACEMENT CHARACTER}", text)


def suggest(name: object, known: Iterable[str]) -> str | None:
    """Return "did you mean 'x'?" for the nearest known name, or None when none is near or the name is no text.

    >>> suggest("cascde", ["fixed", "cascade"])
    "did you mean 'cascade'?"
    """
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6) if isinstance(name, str) else []
    return f"did you mean '{near[0]}'?" if near else None
