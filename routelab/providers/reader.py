"""Simulated models that read what they are given: practice answers that depend on the passages in the prompt.

A practice model (`practice`) answers from the prompt's reference, whatever stands before the question; that says nothing of
retrieval. A reader has no reference: it picks the sentences of the passages nearest to the question by their words, and cites
them. Whether it reads well this time is decided as in `practice`, by skill, difficulty and shared luck:

- right: the nearest sentences, or that the passages do not tell when the best of them has too few of the question's words;
- nearly: the second-best place;
- wrong: another place, the right one with a figure altered or with another passage's number, or an answer though nothing fits.

Tokens, latency, trouble and refusals are `Practice`'s own. No language model is called; `Model.simulated` says so everywhere.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import math
import re
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from routelab.core.values import Prompt, Reply, Request, draw
from routelab.providers.catalog import CATALOG, Profile
from routelab.providers.practice import Practice, Verdict, chance, difficulty, key, luck
from routelab.text.breaks import sentence_ends

HARDER = 1.5
"""How much harder, in levels, it is to find the answer in passages than the words of the question look."""
NEARLY = 0.5
"""How much easier it is to come near."""
ENOUGH = 0.33
"""How near to the question its nearest sentence must be to be an answer."""
ALSO = 0.9
"""A further sentence is part of the answer when it is this share as near as the nearest."""
BY_WORDS = 0.6
"""What words count where nearness of meaning is given too."""
MOST = 3
LONGEST = 600
NOTHING = "The passages do not say this."
_WORD = re.compile(r"\w[\w'’-]*")
_FIGURE = re.compile(r"\d+")
_COMMON = frozenset(
    _WORD.findall(
        "a an and any are as at be been but by can could did do does for from give had has have how i if in into is it its me my "
        "of on or our please so such tell that the their them then there these they this to under was we were what when where "
        "which who whom whose why will with would you your according about during"
    )
)

Passages: TypeAlias = Callable[[str], Sequence[tuple[int, str]]]
"""Reads numbered passages out of a message; none where it has none."""
Near: TypeAlias = Callable[[str, Sequence[str]], Iterable[float]]
"""Gives the cosine of a text with each of others."""


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Answers for the catalogue's models out of the passages that `passages` finds in a request; without any, that it does not know.

    A weak model that is given nothing makes something up instead, as often as it reads wrongly. With `knows`, the practice model
    answers what comes without passages.
    """

    practice: Practice
    passages: Passages
    near: Near | None = None
    knows: bool = False

    @property
    def logprobs(self) -> bool:
        """Whether log-probabilities are simulated too: as the practice models' are."""
        return self.practice.logprobs

    async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
        """Return the simulated reply; raises what `Practice.complete` raises."""
        profile = CATALOG.get(request.model.upstream)
        given = [row for m in request.messages if m.role == "user" for row in self.passages(m.content)]
        if profile is None or (self.knows and not given):
            return await self.practice.complete(request, emit)
        # On a thread: it may embed a hundred sentences.
        text = await asyncio.to_thread(self._answer, request, profile, given)
        # Said as it is: an F1 scorer is the one that forbids more words than the answer.
        said = dataclasses.replace(
            request.prompt, reference=text, scorer={"kind": "f1", "answers": [text]}, wrong=(text,)
        )
        return await self.practice.complete(dataclasses.replace(request, prompt=said), emit)

    def _answer(self, request: Request, profile: Profile, given: Sequence[tuple[int, str]]) -> str:
        question = request.prompt.text
        how = self._reads(request.prompt, profile)
        u = draw(self.practice.seed, "reading", profile.name, key(request.prompt))
        if not given:
            return NOTHING if how == "right" else _made_up(question)
        ranked = _ranked(question, given, self.near)
        if not ranked:
            return NOTHING
        fits = ranked[0].fit >= ENOUGH
        if how == "right":
            return _said(ranked) if fits else NOTHING
        second = _elsewhere(ranked, ranked[0])
        if how == "nearly":
            return _said(second or ranked) if fits else NOTHING
        if u < 0.4 and second:
            return _said(_elsewhere(second, second[0]) or second, most=1)
        return _slip(ranked, given, u)

    def _reads(self, prompt: Prompt, profile: Profile) -> Verdict:
        u = luck(key(prompt), profile, self.practice.seed)
        level = difficulty(prompt, self.practice.seed)
        skill = profile.skill_at(prompt.task) - HARDER
        return "right" if u < chance(skill, level) else "nearly" if u < chance(skill + NEARLY, level) else "wrong"


@dataclass(frozen=True, kw_only=True)
class _Sentence:
    """A sentence of a passage, and how near to the question it is: about 0 to 1."""

    passage: int
    place: int
    text: str
    fit: float


def _ranked(question: str, given: Sequence[tuple[int, str]], near: Near | None) -> list[_Sentence]:
    """Return the sentences of all passages, the nearest to the question first.

    By words: the share of the question's that a sentence has, or, for less, its neighbours, weighed by how rare they are here.
    """
    rows = [(number, i, text) for number, passage in given for i, text in enumerate(_sentences(passage))]
    bags = [frozenset(_content(text)) for _, _, text in rows]
    often = Tally(word for bag in bags for word in bag)
    asked = {word: math.log1p(len(rows) / (0.5 + often[word])) for word in dict.fromkeys(_content(question))}
    total = sum(asked.values()) or 1.0
    cosines = [0.0] * len(rows) if near is None else [float(c) for c in near(question, [text for _, _, text in rows])]
    found = []
    for at, (number, place, text) in enumerate(rows):
        own = sum(weight for word, weight in asked.items() if word in bags[at]) / total
        # What a sentence is about often stands in the one before it.
        beside = bags[at].union(*(bags[j] for j in (at - 1, at + 1) if 0 <= j < len(rows) and rows[j][0] == number))
        around = sum(weight for word, weight in asked.items() if word in beside) / total
        words = 0.7 * own + 0.3 * around
        fit = words if near is None else (cosines[at] + BY_WORDS * words) / (1 + BY_WORDS)
        # A word or two is a heading.
        found.append(_Sentence(passage=number, place=place, text=text, fit=fit if len(bags[at]) > 2 else 0.5 * fit))
    return sorted((s for s in found if s.fit > 0), key=lambda s: (-s.fit, s.passage, s.place))


def _said(ranked: Sequence[_Sentence], *, most: int = MOST) -> str:
    """Return the best sentences in the order of their passages, each with the number of its own."""
    chosen = [s for s in ranked if s.fit >= ALSO * ranked[0].fit][:most]
    chosen.sort(key=lambda s: (s.passage, s.place))
    return " ".join(f"{s.text} [{s.passage}]" for s in chosen)


def _elsewhere(ranked: Sequence[_Sentence], best: _Sentence) -> list[_Sentence]:
    """Return the sentences that do not stand beside the best one."""
    return [s for s in ranked if s.passage != best.passage or abs(s.place - best.place) > 1]


def _slip(ranked: Sequence[_Sentence], given: Sequence[tuple[int, str]], u: float) -> str:
    """Return the nearest sentence with an altered figure, else with the number of another passage, or of none."""
    best = ranked[0]
    figures = list(_FIGURE.finditer(best.text))
    if figures:
        where = figures[int(u * 7919) % len(figures)]
        altered = str(int(where[0][:15]) + 1 + int(u * 10))
        return f"{best.text[: where.start()]}{altered}{best.text[where.end() :]} [{best.passage}]"
    others = [number for number, _ in given if number != best.passage]
    return f"{best.text} [{others[int(u * 7919) % len(others)] if others else best.passage + 1}]"


def _made_up(question: str) -> str:
    about = " ".join(_content(question)[:6]) or "this"
    return f"It is generally agreed that {about} was settled in the usual way some years ago."


def _sentences(text: str) -> list[str]:
    ends = [0, *sentence_ends(text, 0, len(text)), len(text)]
    parts = [" ".join(text[a:b].split()) for a, b in itertools.pairwise(ends)]
    return [part[:LONGEST] for part in parts if part]


def _content(text: str) -> list[str]:
    # Six letters are as good as a stem, here: invading, invasion.
    return [w[:6].rstrip("'’s") or w for w in _WORD.findall(text.casefold()) if w not in _COMMON]
