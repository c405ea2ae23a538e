"""What a simulated model writes when it is asked to keep the notes of a conversation: sentences of it, picked by a stated rule.

Nothing is understood. The rule reads the turns that a real model would be shown and nothing else: it knows neither what will be asked
later nor which facts somebody planted. Lines of the notes before compete with new sentences for the same tokens, so that what is
carried over and what is lost follows from the text alone.
"""

from __future__ import annotations

import re
from collections import Counter as Tally
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from routelab.core.values import Message
from routelab.providers.phrasing import content_words

_ASKED = re.compile(r"<notes>\n(?P<before>.*?)\n</notes>\n\n<turns>\n\n(?P<turns>.*)\n\n</turns>", re.DOTALL)
_MOST = re.compile(r"[Uu]se at most (\d+) tokens")
_TURN = re.compile(r"^(user|assistant|tool|system): ", re.MULTILINE)
_LINE = re.compile(r"^- (user|assistant|tool|system): (.*)$")
_END = re.compile(r"(?<=[.!?。！？])\s+|\n+")
_FIGURE = re.compile(r"\d")
_NAME = re.compile(r"(?<=[a-z,;:] )[A-Z]\w+")
_LABEL = "(Simulated by {model}: sentences picked by rule, no language model was called.)"
_NONE = "(none yet)"
_SAID = {"user": 1.0, "tool": 0.5, "assistant": 0.0, "system": 0.5}
LONGEST = 400
"""Characters of a sentence in the notes; what is longer is cut."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request for notes: those so far, the turns since, and the most tokens."""

    before: str
    turns: str
    tokens: int


def wanted(messages: Sequence[Message]) -> Asked | None:
    """Return what notes are asked for, or None for any other request.

    The form is the one in which context policies ask: the notes so far and the turns between marks, the length in the task.
    """
    if not messages or messages[-1].role != "user":
        return None
    found = _ASKED.search(messages[-1].content)
    most = _MOST.search(" ".join(m.content for m in messages if m.role == "system"))
    if found is None or most is None:
        return None
    return Asked(before=found["before"], turns=found["turns"], tokens=int(most[1]))


def written(asked: Asked, model: str, count: Callable[[str], int]) -> str:
    """Return the notes: at most `asked.tokens` by `count`, each line who said it and a sentence in its own words.

    A sentence weighs 2 for a figure in it, 1 for each of at most two names, 1 for the user's and ½ for a tool's, up to 1 for words
    that the conversation uses often, less 2 for a question. The heaviest go in, later before earlier where they weigh the same,
    and stand in the order in which they were said. The last line says that no model wrote this, where there is room for it.
    """
    lines = list(dict.fromkeys([*_carried(asked.before), *_told(asked.turns)]))
    tally = Tally(word for _, text in lines for word in set(content_words(text)))
    label = _LABEL.format(model=model)
    label = label if count(f"{label}\n") * 4 <= asked.tokens else ""
    left = asked.tokens - (count(f"{label}\n") if label else 0)
    kept: set[int] = set()
    for i in sorted(range(len(lines)), key=lambda i: (-_weight(*lines[i], tally, len(lines)), -i)):
        cost = count(f"- {lines[i][0]}: {lines[i][1]}\n")
        if cost <= left:
            left -= cost
            kept.add(i)
    said = [f"- {lines[i][0]}: {lines[i][1]}" for i in sorted(kept)]
    return "\n".join([*said, label] if label else said) or label or "-"


def _carried(before: str) -> list[tuple[str, str]]:
    found = (_LINE.match(line) for line in before.split("\n") if line.strip() != _NONE)
    return [(line[1], line[2]) for line in found if line is not None]


def _told(turns: str) -> list[tuple[str, str]]:
    """Return the sentences of the turns with who said each."""
    starts = list(_TURN.finditer(turns))
    told = []
    for start, after in zip(starts, [*(s.start() for s in starts[1:]), len(turns)], strict=True):
        sentences = (part.strip() for part in _END.split(turns[start.end() : after]))
        told += [(start[1], s[:LONGEST]) for s in sentences if len(s.split()) > 2]
    return told


def _weight(role: str, text: str, tally: Tally[str], lines: int) -> float:
    words = content_words(text)
    common = sum(tally[w] for w in words) / (len(words) * lines) if words else 0.0
    weight = 2.0 * bool(_FIGURE.search(text)) + min(2, len(_NAME.findall(text))) + _SAID[role] + common
    return weight - 2.0 * text.endswith("?")
