"""Regex: the answer has what a pattern describes, or has not what another one does."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from routelab.core.errors import ConfigError
from routelab.core.values import Prompt, Score
from routelab.scoring import demand
from routelab.scoring.exact import shown

LONGEST = 100_000
TIMEOUT_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Regex:
    """Gives 1 when `pattern` is found in the answer and `forbidden` is not, else 0; one of the two may be left out.

    The syntax is that of Python's `re`; `(?i)` at the start ignores case, `(?s)` lets a dot cross lines, `^` and `$` are the ends of
    the text unless `(?m)`. A pattern is given half a second an answer (the `regex` package, which the tokenizer brings
    along, can be stopped, Python's own `re` cannot): one that takes longer, and an answer of more than 100,000
    characters, gives 0.
    """

    pattern: str | None = None
    forbidden: str | None = None

    def __post_init__(self) -> None:
        if self.pattern is None and self.forbidden is None:
            raise ConfigError("scorer.pattern: missing, a scorer of kind 'regex' needs it (or `forbidden`)")
        for name in ("pattern", "forbidden"):
            if (value := getattr(self, name)) is not None:
                _compiled(name, demand.text(name, value))

    def __call__(self, answer: str, prompt: Prompt) -> Score:
        """Return 1 or 0 and what was found."""
        if not answer.strip():
            return Score(quality=0.0, reason="the answer is empty")
        if len(answer) > LONGEST:
            return Score(quality=0.0, reason=f"the answer has more than {LONGEST:,} characters")
        try:
            wanted = (
                None if self.pattern is None else _compiled("pattern", self.pattern).search(answer, timeout=TIMEOUT_S)
            )
            refused = (
                None
                if self.forbidden is None
                else _compiled("forbidden", self.forbidden).search(answer, timeout=TIMEOUT_S)
            )
        except TimeoutError:
            return Score(quality=0.0, reason=f"the pattern took more than {TIMEOUT_S:g} s")
        if refused is not None:
            return Score(quality=0.0, reason=f"has {shown(refused[0])}")
        if self.pattern is not None and wanted is None:
            return Score(quality=0.0, reason=f"nothing is like {shown(self.pattern)}")
        return Score(quality=1.0, reason="nothing forbidden is found" if wanted is None else f"has {shown(wanted[0])}")


@lru_cache(maxsize=256)
def _compiled(key: str, pattern: str) -> Any:
    import regex

    try:
        return regex.compile(pattern)
    except regex.error as trouble:
        raise ConfigError(f"scorer.{key}: {shown(pattern)} is not a regular expression ({trouble})") from None
