"""Statements worth keeping word for word: sentences that carry figures, names, wishes and corrections.

The rules are few and stated, cost nothing and need no model. They know English words; figures, codes and names they find in any
language with capitals. They find what looks like a fact, not what will be asked about.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from routelab.context.sentences import sentences
from routelab.core.values import Message, Role

_FIGURE = re.compile(r"\d")
_CODE = re.compile(r"[\w.+-]+@[\w-]+\.\w+|https?://\S+|(?:[~.]?/[\w.-]+){2,}|\b[A-Z]{2,}[-_]?\d+\b|\b\w+_\w+\b")
_NAME = re.compile(r"(?<=[a-z,;:] )[A-Z][a-zà-ÿ]+")
_TERMS = re.compile(
    r"\b(must|never|always|only|except|unless|at (?:most|least)|no (?:more|less) than|deadline|due|budget|limit|allerg\w+|prefer\w*|hates?|"
    r"can(?:no|')t|don't|won't|avoid|insists?|requires?|called|named?|nicknamed?|birthday|password|lives?|moved|born|agreed|decided|"
    r"booked|ordered|paid|instead|actually|correction|changed|rather|turns out|no longer|sorry)\b",
    re.IGNORECASE,
)
_OWN = re.compile(r"\b([Mm]y|[Oo]ur|[Mm]ine|[Oo]urs|I(?:'m| am|'ve| have| was)|[Ww]e(?:'re| are| have|'ve)|us)\b")
_SAID: dict[Role, float] = {"user": 0.0, "tool": -1.0, "assistant": -2.0, "system": 0.0}
LEAST = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """A sentence of a message: where it stands, who said it, and how much it looks like a fact (from 2 on it is taken for one)."""

    position: int
    text: str
    weight: float


def statements(messages: Sequence[Message], positions: Sequence[int]) -> tuple[Statement, ...]:
    """Return the sentences of the messages at these positions that look like facts, in order, each different text once: the last time.

    A later statement does not replace an earlier one that it contradicts: both stay, in order, so that the later can be seen to be.

    >>> said = Message(role="user", content="Hi there! My sister Ada is allergic to nuts. What shall we cook?")
    >>> [s.text for s in statements([said], [0])]
    ['My sister Ada is allergic to nuts.']
    """
    found = [
        Statement(position=position, text=text, weight=weight)
        for position in positions
        for text, weight in _told(messages[position].content, messages[position].role)
    ]
    return merged((), found)


def merged(before: Sequence[Statement], after: Sequence[Statement]) -> tuple[Statement, ...]:
    """Return statements followed by later ones, each different text once: the last time."""
    found: dict[str, Statement] = {}
    for statement in (*before, *after):
        found.pop(statement.text.casefold(), None)
        found[statement.text.casefold()] = statement
    return tuple(found.values())


@functools.lru_cache(maxsize=1_024)
def _told(content: str, role: Role) -> tuple[tuple[str, float], ...]:
    """Return a message's statements with their weights; a growing conversation asks for the same ones at every request."""
    weighed = ((text, salience(text, role)) for text in sentences(content))
    return tuple((text, weight) for text, weight in weighed if weight >= LEAST)


def salience(text: str, role: Role = "user") -> float:
    """Return how much a sentence looks like a fact: 2 for a figure or a code, 2 for a wish, a bound or a correction, 1 for each of at
    most two names, 1 for what is the speaker's own; less 2 for a question, 1 when a tool and 2 when the assistant said it.
    """
    weight = 2.0 * bool(_FIGURE.search(text) or _CODE.search(text)) + 2.0 * bool(_TERMS.search(text))
    weight += min(2, len(_NAME.findall(text))) + bool(_OWN.search(text))
    return weight - 2.0 * text.rstrip().endswith("?") + _SAID[role]
