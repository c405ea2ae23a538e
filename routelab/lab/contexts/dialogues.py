"""Dialogues with facts in them: those that ship with routelab, and recorded ones whose evidence is found by a stated rule."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from routelab.core.errors import DataError
from routelab.core.values import Message, Role, draw
from routelab.lab.datasets import shipped

LEAST_LETTERS = 4
EVIDENCE_WORDS = 4
"""How many words of a recorded answer are taken as evidence at most: the rarest."""
_WORD = re.compile(r"\d+(?:[.,]\d+)+|[^\W_][\w'’-]*[^\W_]|\d")


@dataclass(frozen=True, kw_only=True)
class Fact:
    """Something said once that a later answer needs.

    It stands in the message at `at`, and is `held` by messages of which one contains the `answer` as whole words and one of the
    words in `about` (any, when there are none). `stale` is what was said of it before it was corrected; `how` says in what manner
    it was said.
    """

    id: str
    at: int
    how: str
    answer: str
    about: tuple[str, ...] = ()
    question: str = ""
    stale: str | None = None

    def held(self, messages: Iterable[Message]) -> bool:
        """Say whether one of the messages still tells the fact."""
        return any(told(m.content, self.answer, self.about) for m in messages)


def told(text: str, answer: str, about: Sequence[str] = ()) -> bool:
    """Say whether a text contains the answer as whole words, and one of the words that say what it is about.

    >>> told("The wall is 13.42 m long", "3.42", ["wall"]), told("The wall: 3.42 m.", "3.42", ["wall"])
    (False, True)
    """
    folded = text.casefold()
    if answer.casefold() not in folded:
        return False
    whole = re.search(rf"(?<!\w)(?<!\d[.,]){re.escape(answer.casefold())}(?!\w|[.,]\d)", folded)
    return whole is not None and (not about or any(word.casefold() in folded for word in about))


@dataclass(frozen=True, kw_only=True)
class Dialogue:
    """A conversation with its facts; `group` names what it shares sentences with, for intervals."""

    id: str
    messages: tuple[Message, ...]
    facts: tuple[Fact, ...]
    group: str = ""

    def requests(self) -> tuple[int, ...]:
        """Return how many messages were there each time that a model was asked: up to a user's message or a tool's results."""
        ends = range(1, len(self.messages) + 1)
        return tuple(
            n
            for n in ends
            if self.messages[n - 1].role in ("user", "tool")
            and (n == len(self.messages) or self.messages[n].role != "tool")
        )


def planted(path: Path | None = None) -> tuple[Dialogue, ...]:
    """Return the dialogues that ship with routelab, or those of a file in the same form; DataError names what is wrong."""
    path = shipped("datasets") / "dialogues" / "dialogues.json" if path is None else path
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as trouble:
        raise DataError(f"{path}: cannot be read as dialogues ({trouble})") from None
    if not isinstance(rows, list):
        raise DataError(f"{path}: a list of dialogues is wanted")
    return tuple(_dialogue(row, f"{path}[{i}]") for i, row in enumerate(rows))


def _dialogue(row: Any, where: str) -> Dialogue:
    try:
        messages = tuple(Message(role=m["role"], content=m["content"]) for m in row["messages"])
        facts = tuple(
            Fact(
                id=f["id"],
                at=f["at"],
                how=f["how"],
                answer=f["answer"],
                about=tuple(f.get("about", ())),
                question=f.get("question", ""),
                stale=f.get("stale"),
            )
            for f in row["facts"]
        )
        made = Dialogue(id=row["id"], messages=messages, facts=facts, group=row.get("scenario", row["id"]))
    except (KeyError, TypeError) as trouble:
        raise DataError(f"{where}: {type(trouble).__name__} {trouble}; see datasets/dialogues/README.md") from None
    if any(m.role not in get_args(Role) for m in messages):
        raise DataError(f"{where}: a role is one of {', '.join(get_args(Role))}")
    for fact in facts:
        if not (0 <= fact.at < len(messages) and fact.held(messages[fact.at : fact.at + 1])):
            raise DataError(f"{where}: the fact {fact.id!r} is not in the message at {fact.at}")
    return made


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A dialogue as MT-Bench-101 recorded it: its ability, and its messages from a user's first to the assistant's last."""

    id: str
    ability: str
    messages: tuple[Message, ...]


def recorded(path: Path, abilities: Sequence[str] = ()) -> tuple[Recorded, ...]:
    """Return the dialogues of MT-Bench-101's file, of these abilities (all, when none is named)."""
    found = []
    for n, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            said = [(turn["user"], turn["bot"]) for turn in row["history"]]
            ability, name = row["task"], f"{row['task']}-{row['id']}"
        except (ValueError, KeyError, TypeError) as trouble:
            raise DataError(f"{path}:{n}: not a line of MT-Bench-101 ({trouble})") from None
        if not abilities or ability in abilities:
            pairs = [(Message(role="user", content=u), Message(role="assistant", content=b)) for u, b in said]
            found.append(Recorded(id=name, ability=ability, messages=tuple(m for pair in pairs for m in pair)))
    return tuple(found)


def words(text: str) -> list[str]:
    """Return a text's words, in lower case."""
    return [w.casefold() for w in _WORD.findall(text)]


def evidence(dialogues: Sequence[Recorded], *, most: int = EVIDENCE_WORDS) -> tuple[Dialogue, ...]:
    """Return the dialogues up to their last question, with what their recorded last answer took from earlier turns as facts.

    A word is evidence when the last answer uses it, earlier messages do, the last question does not, it has four letters or a
    figure, and at most one dialogue in fifty uses it at all; of these the rarest `most` count, each in the last message that says it.
    Dialogues whose answer took nothing that this rule can see are left out.
    """
    used = Counter(w for d in dialogues for w in {w for m in d.messages for w in words(m.content)})
    rare = len(dialogues) / 50
    found = []
    for dialogue in dialogues:
        *before, question, answer = dialogue.messages
        asked = set(words(question.content))
        last = {w: i for i, m in enumerate(before) for w in words(m.content)}
        taken = [
            w
            for w in dict.fromkeys(words(answer.content))
            if w in last
            and w not in asked
            and used[w] <= rare
            and (len(w) >= LEAST_LETTERS or any(c.isdigit() for c in w))
            and told(before[last[w]].content, w)
        ]
        taken.sort(key=lambda w: (used[w], last[w], w))
        facts = tuple(
            Fact(id=w, at=last[w], how=before[last[w]].role, answer=w, question=question.content) for w in taken[:most]
        )
        if facts:
            found.append(Dialogue(id=dialogue.id, messages=(*before, question), facts=facts, group=dialogue.id))
    return tuple(found)


def interrupted(
    dialogues: Sequence[Dialogue], others: Sequence[Recorded], *, messages: int, seed: int = 0
) -> tuple[Dialogue, ...]:
    """Return the dialogues with whole other recorded ones between their evidence and their last question.

    Others are put in, drawn by the seed, until that many messages are between; those that say one of the facts' words are
    not, so that no fact is held by accident.
    """
    found = []
    for dialogue in dialogues:
        *before, question = dialogue.messages
        said = {f.answer for f in dialogue.facts}
        order = sorted(others, key=lambda o: draw(seed, dialogue.id, o.id))
        between: list[Message] = []
        for other in order:
            if len(between) >= messages:
                break
            if not said & {w for m in other.messages for w in words(m.content)}:
                between += other.messages
        found.append(replace(dialogue, messages=(*before, *between, question)))
    return tuple(found)
