"""What a simulated model says when it is asked to judge: right more often the better it is, and with the failings of real judges.

A judge's request carries in its prompt's tags what a simulation needs and no provider sees: which reply is wanted, what each answer is really
worth, who gave it and how long it is. Every rate here is an assumption about plausible judges, none is a measurement of the models that lend
their names; they are there so that swap flips, length slopes and self-family gaps have something to find.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from routelab.core.values import Prompt, draw
from routelab.providers.catalog import CATALOG, Profile

WANTS, TRUTHS, AUTHORS, CHARS, LOW, HIGH, QUESTION = (
    f"judge.{name}" for name in ("wants", "truths", "authors", "chars", "low", "high", "question")
)
"""The tags: the reply wanted (score, preference, confidence), then one value an answer, separated by commas; the scale; what was asked."""

UNREADABLE = 0.015
"""Share of judgements that come as prose without a verdict."""
SLACK = 0.9
"""How much easier, in levels of difficulty, judging an answer is than giving it."""
GENTLE, STRICT = 0.50, 0.35
"""Sensitivity and specificity of a judge that understands nothing; one that understands everything has .97 and .95."""
KINDNESS = 0.08
"""How much more likely a wrong answer of its own family passes."""
FIRST = (0.32, 0.06)
"""How often the first of two answers wins whatever it says: with a judge that understands nothing, and everything."""
WORDY = 0.04
"""What a doubled length is worth, on the scale on which right and wrong are one apart."""
UNKNOWN = 0.7
"""What an answer is taken to be worth when nobody knows."""

_WORDS: Mapping[bool, tuple[str, ...]] = MappingProxyType(
    {
        True: (
            "does what was asked and holds up where it can be checked",
            "is right as far as it goes",
            "has no slip that matters",
        ),
        False: ("has a mistake that decides", "misses what was asked", "does not hold up where it can be checked"),
    }
)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One answer as a simulated judge meets it: its worth from 0 to 1, None when not known, its author and its length."""

    worth: float | None
    author: str
    chars: int


def wanted(prompt: Prompt) -> str | None:
    """Return which reply a judge's request wants, or None for an ordinary prompt."""
    return prompt.tags.get(WANTS)


def opinion(prompt: Prompt, prompt_key: str, profile: Profile, insight: float, seed: int = 0) -> str:
    """Return the judge's reply; `insight` from 0 to 1 is how well it understands the matter."""
    name = (profile.name, prompt_key)
    if draw(seed, "unreadable", *name) < UNREADABLE:
        return "Both sides have a point here, and reasonable people could weigh this one differently."
    answers = _answers(prompt)
    if wanted(prompt) == "preference" and len(answers) == 2:
        return _preference(answers, profile, insight, seed, prompt_key)
    if wanted(prompt) == "confidence":
        return _confidence(answers[0], insight, draw(seed, "sure", *name))
    low, high = float(prompt.tags.get(LOW, "1")), float(prompt.tags.get(HIGH, "5"))
    good = draw(seed, "opinion", *name) < _passing(answers[0], profile, insight)
    # A judge that is sure uses the ends of the scale; length buys a step now and then.
    u = draw(seed, "step", *name) + (0.1 if answers[0].chars > 600 else 0.0)
    share = (0.8 + 0.2 * (u > 0.35)) if good else (0.05 + 0.45 * u * u)
    reason = _WORDS[good][int(draw(seed, "words", *name) * 3)]
    return json.dumps({"reason": f"The answer {reason}.", "score": round(low + (high - low) * min(share, 1.0))})


def _passing(answer: Judged, profile: Profile, insight: float) -> float:
    worth = UNKNOWN if answer.worth is None else answer.worth
    sensitivity, specificity = GENTLE + (0.97 - GENTLE) * insight, STRICT + (0.95 - STRICT) * insight
    passing = worth * sensitivity + (1.0 - worth) * (1.0 - specificity)
    return min(1.0, passing + KINDNESS * (1.0 - worth) * _kin(answer.author, profile))


def _preference(answers: list[Judged], profile: Profile, insight: float, seed: int, prompt_key: str) -> str:
    if draw(seed, "first", profile.name, prompt_key) < FIRST[0] + (FIRST[1] - FIRST[0]) * insight:
        return json.dumps({"reason": "The first answer sets the standard here.", "winner": "A"})
    gap = 0.0
    for sign, place, answer in ((1.0, "a", answers[0]), (-1.0, "b", answers[1])):
        worth = UNKNOWN if answer.worth is None else answer.worth
        blur = (1.0 - insight) * 1.4 * (draw(seed, "blur", place, profile.name, prompt_key) - 0.5)
        worth += blur + WORDY * math.log2(max(answer.chars, 1)) + KINDNESS * _kin(answer.author, profile)
        gap += sign * worth
    winner = "tie" if abs(gap) < 0.2 else "A" if gap > 0 else "B"
    reason = "Neither is clearly better." if winner == "tie" else f"Answer {winner} {_WORDS[True][0]}."
    return json.dumps({"reason": reason, "winner": winner})


def _confidence(answer: Judged, insight: float, u: float) -> str:
    # Models say they are sure when they are wrong, too: the two heaps overlap, and both lie high.
    worth = UNKNOWN if answer.worth is None else answer.worth
    centre = 72.0 + (8.0 + 18.0 * insight) * (worth - 0.5)
    return json.dumps({"confidence": int(5 * round(min(max(centre + 40.0 * (u - 0.4), 5.0), 100.0) / 5))})


def _kin(author: str, profile: Profile) -> bool:
    made = CATALOG.get(author)
    return made is not None and made.family == profile.family


def _answers(prompt: Prompt) -> list[Judged]:
    truths, authors, chars = (prompt.tags.get(tag, "").split(",") for tag in (TRUTHS, AUTHORS, CHARS))
    return [
        Judged(worth=float(truth) if truth else None, author=author, chars=int(length or 0))
        for truth, author, length in zip(truths, authors, chars, strict=True)
    ]
