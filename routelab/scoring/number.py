"""Number: the answer states a number, and it is near enough."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from routelab.core.values import Prompt, Score
from routelab.scoring import demand, wording
from routelab.scoring.exact import shown

_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
_LOWERED = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_LATEX = (
    (re.compile(r"\\[dt]?frac\s?\{([^{}]{1,40})\}\s?\{([^{}]{1,40})\}"), r" \1/\2 "),
    (re.compile(r"(?<=\d)(?:\{,\}|\\,|\\;|\\!|\\ )(?=\d{3})"), ","),
    (re.compile(r"\\([$%#_])"), r"\1"),
    (re.compile(r"\\(?:times|cdot)\b"), "×"),
)
_DIGITS = r"(?:\d{1,3}(?:[ ]\d{3})+(?!\d)(?:[.,]\d+)?|\d+(?:[.,'_]\d+)*|\.\d+)"
_NUMBER = re.compile(
    rf"""
    (?<![\w.])                                                    # not inside a word or another number
    (?:(?P<mixed>\d{{1,9}})[ ](?=\d{{1,9}}/\d))?
    (?P<digits>{_DIGITS})
    (?:[eE](?P<e>[-+]?\d{{1,4}})(?![\w.]))?
    (?:[ ]?[×x·*][ ]?10[ ]?(?:\^|\*\*)[ ]?[({{]?[ ]?(?P<ten>[-+]?\d{{1,4}})[ ]?[)}}]?
      |[ ]?(?:\^|\*\*)[ ]?[({{]?[ ]?(?P<power>[-+]?\d{{1,4}})[ ]?[)}}]?)?
    (?:[ ]?/[ ]?(?P<under>{_DIGITS})(?![\d/]))?
    (?:[ ]?(?P<percent>%)|[ ]?(?P<scale>hundred|thousand|million|billion|trillion|bn)\b|(?P<kilo>[kK])\b)?
    """,
    re.VERBOSE,
)
_SCALES = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9, "bn": 1e9, "trillion": 1e12}
# fmt: off
_SMALL = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]
# fmt: on
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_BULLET = re.compile(r"^[ \t]*\d{1,3}[.)][ \t]+(?=\S)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Number:
    """Gives 1 when the number that the answer states is within `tolerance` (absolute) of `answer`, else 0.

    The number is the first one after the last "Answer:", "the answer is" or ``\\boxed{`` (behind the last "=" of that
    line), else the last one in the text; numerals of a list, and digits that belong to a word (m², H2O, GPT-4), are
    none. Read are 1,234.5, 1.234,5, 1 234,5, 1'234 and 12,34,567; $ and other currencies; any minus; 1.2e5, 1.2×10⁵ and
    2^10; 3/4, 1 3/4 and 1½; spelled-out English numbers when nothing else is said. A lone "1,234" is 1234 and a lone
    "1.234" is 1.234. Where a unit leaves two readings, "12.5%" (12.5 or 0.125) and "3 million" (3 or 3000000), either
    may be right.
    """

    answer: float
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "answer", demand.number("answer", self.answer))
        object.__setattr__(self, "tolerance", demand.number("tolerance", self.tolerance, at_least=0.0))

    def __call__(self, answer: str, prompt: Prompt) -> Score:
        """Return 1 or 0 and the number that was read."""
        readings, source = stated(answer)
        if not readings:
            return Score(quality=0.0, reason="no number is stated")
        # The slack is for what floats cannot say exactly (0.1 + 0.2), not for the model.
        slack = self.tolerance + 1e-9 * max(1.0, abs(self.answer)) if self.answer % 1 or self.tolerance else 1e-9
        right = any(abs(value - self.answer) <= slack for value in readings)
        return Score(quality=float(right), reason=f"states {shown(source)}, {self.answer:g} is wanted")


def stated(answer: str) -> tuple[tuple[float, ...], str]:
    """Return the readings of the number that the answer states, and how it was written; none when there is none."""
    text = _spelled(answer)
    committed = wording.commitment(text)
    if committed is not None:
        line = wording.first_line(committed)
        found = next(numbers(line.rpartition("=")[2]), None) or next(numbers(line), None)
        if found is None and (value := in_words(line)) is not None:
            found = ((value,), line)
        return found or _last(numbers(committed)) or ((), "")
    found = _last(numbers(_BULLET.sub("", text))) or _last(numbers(text))
    if found is None and (value := in_words(text)) is not None:
        found = ((value,), text.strip())
    return found or ((), "")


def numbers(text: str) -> Iterator[tuple[tuple[float, ...], str]]:
    """Yield the readings of every number in the text, with how it is written."""
    for match in _NUMBER.finditer(text):
        before = text[max(0, match.start() - 24) : match.start()]
        if re.search(r"(?:[\^_]|\*\*)[({]?$|[^\W\d]-$", before):
            continue
        # The last part of a date is a number of its own, no denominator: 12/05/2024.
        date = match["under"] and before.endswith("/")
        values = _readings(match) if not date else None if (last := plain(match["under"])) is None else (last,)
        if values is not None:
            sign = -1.0 if _negated(before) else 1.0
            yield tuple(sign * v for v in values), ("-" if sign < 0 else "") + match[0].strip()


def _last(found: Iterator[tuple[tuple[float, ...], str]]) -> tuple[tuple[float, ...], str] | None:
    last = None
    for last in found:  # noqa: B007 - the last one is wanted
        pass
    return last


def _readings(match: re.Match[str]) -> tuple[float, ...] | None:
    value = plain(match["digits"])
    if value is None:
        return None
    for exponent in (match["e"], match["ten"]):
        if exponent is not None:
            value *= 10.0 ** max(-400, min(300, int(exponent)))
    if match["power"] is not None:
        try:
            value = value ** int(match["power"])
        except (OverflowError, ZeroDivisionError):
            return None
    if match["under"] is not None:
        under = plain(match["under"])
        if not under:
            return None
        value /= under
    if match["mixed"] is not None:
        value += float(match["mixed"])
    if not math.isfinite(value):
        return None
    if match["percent"]:
        return value, value / 100
    scale = 1e3 if match["kilo"] else _SCALES.get(match["scale"] or "")
    return (value,) if scale is None else (value * scale, value)


def plain(digits: str) -> float | None:
    """Return the value of digits with separators, or None when they are no one number (3.11.2, 1,2,3).

    >>> [plain(d) for d in ("1,234.5", "1.234,5", "1 234,5", "12,34,567", "0,125", "1,234", "3.11.2")]
    [1234.5, 1234.5, 1234.5, 1234567.0, 0.125, 1234.0, None]
    """
    digits = re.sub(r"[ '_]", "", digits)
    marks = re.sub(r"\d", "", digits)
    if len(set(marks)) == 2:
        group, point = marks[0], marks[-1]
        if marks.count(point) > 1 or not _grouped(digits.rpartition(point)[0], group):
            return None
        digits = digits.replace(group, "").replace(point, ".")
    elif len(marks) > 1:
        if not _grouped(digits, marks[0]):
            return None
        digits = digits.replace(marks[0], "")
    elif marks == ",":
        digits = digits.replace(",", "") if _grouped(digits, ",") else digits.replace(",", ".")
    return float(digits) if len(digits) <= 400 else None


def _grouped(digits: str, mark: str) -> bool:
    # Thousands in threes, or the Indian way: a last group of three behind groups of two.
    head, *groups = digits.split(mark)
    threes = all(len(g) == 3 for g in groups) and 1 <= len(head) <= 3
    lakhs = (
        mark == ","
        and len(groups) > 1
        and len(groups[-1]) == 3
        and all(len(g) == 2 for g in groups[:-1])
        and len(head) <= 2
    )
    return not head.startswith("0") and (threes or lakhs)


def _negated(before: str) -> bool:
    before = re.sub(r"[$€£¥₹] ?$", "", before)
    if before.endswith("-"):
        return not before[-2:-1].isalnum() and before[-2:-1] not in (")", "]", "%")
    if re.search(r"[=:(≈<>] *- +$", before):
        return True
    return re.search(r"\b(?:minus|negative) +$", before, re.IGNORECASE) is not None


def _spelled(text: str) -> str:
    # NFKC would turn 10⁵ into 105, 25 m² into 25 m2 and 1½ into 11/2, so these are spelled out before it.
    text = re.sub(r"[⁺⁻]?[⁰¹²³⁴-⁹]+", lambda m: "^(" + m[0].translate(_RAISED) + ")", text)
    text = re.sub(r"[₀-₉]+", lambda m: "_" + m[0].translate(_LOWERED), text)
    text = re.sub(r"[¼-¾⅐-⅞↉]", lambda m: " " + unicodedata.normalize("NFKC", m[0]) + " ", text)
    text = wording.unified(text)
    for pattern, replacement in _LATEX:
        text = pattern.sub(replacement, text)
    return re.sub(r"(?<![\w*`~])[*_`~]++(?=\S)|(?<=[^\s*_`~])[*_`~]++(?![\w(])", "", text)


def in_words(text: str) -> float | None:
    """Return the number that a text consists of when it is spelled out in English, else None.

    >>> [in_words(t) for t in ("Twenty-one.", "two hundred and five", "minus three", "no one knows")]
    [21.0, 205.0, -3.0, None]
    """
    if len(text) > 200:
        return None
    names = [n for n in re.findall(r"[^\W\d_]+|\d", wording.unified(text).casefold()) if n != "and"]
    negative = bool(names) and names[0] in ("minus", "negative")
    total, group, last = 0.0, 0.0, ""
    for name in names[negative:]:
        if name in _SMALL:
            if last in _SMALL or (last in _TENS and not 0 < _SMALL.index(name) < 10):
                return None
            group += _SMALL.index(name)
        elif name in _TENS and last not in _TENS and last not in _SMALL:
            group += 10 * (_TENS.index(name) + 2)
        elif name == "hundred" and last:
            group *= 100
        elif name in _SCALES and last:
            total, group = total + group * _SCALES[name], 0.0
        else:
            return None
        last = name
    return None if not last else (total + group) * (-1 if negative else 1)
