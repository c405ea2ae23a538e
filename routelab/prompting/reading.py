"""What of a structured answer a scorer is shown: the value of one key, so that scorers of plain answers can judge it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from routelab.core.ports import Scorer
from routelab.core.values import Prompt, Score

_FENCE = re.compile(r"```[^\n`]*\n(.*?)(?:```|\Z)", re.DOTALL)
_STARTS = 32
_OWN = ("json",)
"""Kinds of scorers that judge the JSON itself."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A scorer that shows another one the value of `key` in the answer's JSON; an answer without it is shown as it is.

    A prompt whose own scorer judges JSON is shown the whole answer.
    """

    scorer: Scorer
    key: str

    def __call__(self, answer: str, prompt: Prompt) -> Score:
        """Return the other scorer's judgement of the value."""
        if prompt.scorer is not None and prompt.scorer.get("kind") in _OWN:
            return self.scorer(answer, prompt)
        value = value_of(answer, self.key)
        return self.scorer(answer if value is None else value, prompt)


def value_of(answer: str, key: str) -> str | None:
    """Return the text of a key's value in the object that the answer is, holds in a fence, or holds in its prose; None without one.

    >>> value_of('Here you are: {"answer": 42}', "answer")
    '42'
    """
    for text in (answer, *_FENCE.findall(answer)):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, Mapping) and key in found:
            return _text(found[key])
    # The last one: models reason first and conclude with the object.
    last = None
    for found in _objects(answer):
        if key in found:
            last = _text(found[key])
    return last


def _objects(text: str) -> Iterator[Mapping[str, Any]]:
    # The number of failed starts is limited, so that a long run of braces cannot make this quadratic.
    decoder, at, failures = json.JSONDecoder(), text.find("{"), 0
    while at >= 0 and failures < _STARTS:
        try:
            found, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end, failures = at + 1, failures + 1
        else:
            yield found
        at = text.find("{", end)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
