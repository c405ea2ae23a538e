"""A judge's reply is read: as JSON first, then by what judges write instead of it; what is left is no verdict."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Preferred = Literal["A", "B", "tie"]

LONGEST = 20_000
"""Longer replies are read from their end: a verdict comes last, if at all."""
_FENCE = re.compile(r"```[A-Za-z]*\s*\n(.*?)```", re.DOTALL)
_NUMBER = r"([-+]?\d+(?:\.\d+)?)"
# "[[8]]", "Rating: 8", "score = 4/5": what judges of the MT-Bench kind write when they forget the form.
_SCORES = re.compile(
    rf"\[\[\s*{_NUMBER}\s*\]\]"
    rf"|\b(?:score|rating|grade)\b[\"'*_]*\s*(?:is|of|[:=])[\"'*_\[\s]*{_NUMBER}(?:\s*/\s*{_NUMBER})?",
    re.IGNORECASE,
)
_WINNERS = re.compile(
    r"\[\[\s*(A|B|C|tie)\s*\]\]|\b(?:winner|verdict|better)\b[\"'*_]*\s*(?:is|[:=])[\"'*_\s]*(?:answer\s+|assistant\s+)?(A|B|tie)\b",
    re.IGNORECASE,
)
_CONFIDENCES = re.compile(
    rf"\b(?:confidence|probability)\b[\"'*_]*\s*(?:is|of|[:=])[\"'*_\s]*{_NUMBER}\s*(%?)", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a judge said: a number or a preference, and why."""

    value: float
    reason: str = ""


def score(text: str, low: float, high: float) -> Verdict | None:
    """Return the score in a reply, mapped from `low`..`high` to 0..1; None when none, several different ones, or one off the scale is there.

    >>> score('{"reason": "one slip", "score": 4}', 1, 5)
    Verdict(value=0.75, reason='one slip')
    >>> score("I give it 7 out of 5", 1, 5) is None
    True
    """
    text = _end(text)
    found = [(_real(o["score"], high), _reason(o)) for o in _objects(text) if "score" in o]
    if not found:
        found = [(_over(m, high), "") for m in _SCORES.finditer(text)]
    values = {value for value, _ in found}
    if len(values) != 1 or None in values:
        return None
    value = values.pop()
    assert value is not None
    if not low <= value <= high:
        return None
    return Verdict(value=(value - low) / (high - low), reason=found[-1][1])


def preference(text: str) -> tuple[Preferred, str] | None:
    """Return which of two answers a reply prefers, and why; None when that is not said, or said both ways.

    >>> preference('{"reason": "A is right", "winner": "A"}')
    ('A', 'A is right')
    """
    text = _end(text)
    found = [(_side(o["winner"]), _reason(o)) for o in _objects(text) if "winner" in o]
    if not found:
        found = [(_side(m[1] or m[2]), "") for m in _WINNERS.finditer(text)]
    sides = {side for side, _ in found}
    if len(sides) != 1 or None in sides:
        return None
    side = sides.pop()
    assert side is not None
    return side, found[-1][1]


def confidence(text: str) -> Verdict | None:
    """Return a stated confidence as a share; a number between 0 and 1 that is not whole is one already, else it is per cent.

    >>> confidence('{"confidence": 85}'), confidence("Confidence: 0.85")
    (Verdict(value=0.85, reason=''), Verdict(value=0.85, reason=''))
    """
    text = _end(text)
    found = [(_real(o["confidence"], 100.0), _reason(o)) for o in _objects(text) if "confidence" in o]
    if not found:
        found = [(float(m[1]), "") for m in _CONFIDENCES.finditer(text)]
    values = {value for value, _ in found}
    if len(values) != 1 or None in values:
        return None
    value = values.pop()
    assert value is not None
    share = value if 0 < value < 1 else value / 100.0
    return Verdict(value=share, reason=found[-1][1]) if 0 <= share <= 1 else None


def _end(text: str) -> str:
    return text[-LONGEST:]


def _objects(text: str) -> Iterator[Mapping[str, Any]]:
    """Yield the JSON objects of a reply: the whole of it, else those in fences, else those anywhere, outermost only."""
    whole = _parsed(text.strip())
    if whole is not None:
        yield whole
        return
    fenced = [o for m in _FENCE.finditer(text) if (o := _parsed(m[1].strip())) is not None]
    if fenced:
        yield from fenced
        return
    decoder, at = json.JSONDecoder(), text.find("{")
    while at >= 0:
        try:
            found, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            if isinstance(found, Mapping):
                yield found
        at = text.find("{", end)


def _parsed(text: str) -> Mapping[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, Mapping) else None


def _real(value: Any, high: float) -> float | None:
    """Return a number that stands in JSON as a number or as a text such as "4" or "4/5"; None for anything else."""
    if isinstance(value, str):
        match = re.fullmatch(rf"\s*{_NUMBER}\s*%?\s*(?:/\s*{_NUMBER}\s*)?", value)
        if match is None or (match[2] is not None and float(match[2]) != high):
            return None
        return float(match[1])
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _over(match: re.Match[str], high: float) -> float | None:
    if match[3] is not None and float(match[3]) != high:
        return None
    return float(match[1] or match[2])


def _side(said: Any) -> Preferred | None:
    word = str(said).strip().casefold().removeprefix("answer ").removeprefix("assistant ")
    if word in ("tie", "c", "equal", "draw", "both"):
        return "tie"
    return "A" if word == "a" else "B" if word == "b" else None


def _reason(found: Mapping[str, Any]) -> str:
    reason = found.get("reason", "")
    return " ".join(str(reason).split())[:500]
