"""Does an answer say only what its passages say? Sentence by sentence, by words and figures, without asking a model.

Of a sentence of the answer those words count that carry it: no articles and the like, none of the question's own. A passage
holds it when at least `HELD` of these words stand in `WITHIN` sentences of it that follow one another, all its figures stand
there too, and, if it denies something, so does the nearest of them. A sentence that cites is held against the passages that it
cites together; one that does not, against each by itself. What that sees is wording: a true sentence in other words counts as
not held, and one that puts a passage's own words together wrongly, or drops a "not", as held (`docs/results/chunks.md` says
how often). For meaning, ask a judge with the rubric `BACKED`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from routelab.retrieval import words
from routelab.scoring.number import numbers
from routelab.scoring.refusal import refused
from routelab.text.breaks import sentence_ends

HELD = 0.7
"""The share of a sentence's words that must stand together in a passage."""
WITHIN = 3
"""Sentences that follow one another and are looked at together."""
BACKED = (
    "Judge only whether the passages before the question back the answer. The highest score: every statement in the answer is said by, or follows "
    "directly from, the passages, and each cited number names a passage that says it. The lowest: what the answer mainly says is not in them, or they "
    "say otherwise, however true it may be. An answer that only says that the passages do not tell is backed if they do not."
)
_CITED = re.compile(r"[ \t]*[\[【](\d{1,3}(?:\s*[,;–-]\s*\d{1,3})*)[\]】]")
_RANGE = re.compile(r"(\d+)\s*[–-]\s*(\d+)")
_ABSTAINS = re.compile(
    r"""
    \b(?:passages?|documents?|sources?|texts?|context|excerpts?|material|information|it)\b[^.\n]{0,40}?
      \b(?:(?:do|does|did)\ (?:not|n't)|don't|doesn't|cannot|can't|never)\ +(?:\w+\ ){0,2}?
      (?:say|state|tell|mention|contain|include|provide|answer|specify|give|cover|address|indicate|discuss)
    | \b(?:not|n't|nowhere)\ +(?:\w+\ ){0,2}?(?:stated|said|mentioned|found|given|specified|provided|covered|answered|contained|included|available)
      \ +(?:\w+\ ){0,2}?(?:in|by|within)\ +(?:the|these|those|any|this)\ +(?:\w+\ )?(?:passages?|documents?|sources?|texts?|context|excerpts?|material|information)
    | \bno\ (?:passage|document|source|information|mention|answer)\b
    | \bcannot\ be\ (?:answered|determined|told|found)\b
    """,
    re.VERBOSE | re.IGNORECASE,
)
_DENIES = frozenset(
    re.findall(
        r"\w+", "no not never none nothing nobody neither nor cannot without nicht kein keine nie ne pas jamais nunca"
    )
)
_LIGHT = (
    frozenset(
        re.findall(
            r"\w+",
            "a about above after again all also although am among an and another any are as at be because been before being below between both but by can "
            "could did do does doing done down due during each either else even ever every few for from further get gets got had has have having he her here "
            "hers him his how however i if in into is it its itself just let like made make makes many may me might more most much must my of off on once one "
            "only onto or other our out over own per quite rather s same shall she should since so some such t than that the their them then there these they "
            "this those though through thus to too under until up upon us very via was we were what when where whether which while who whom whose why will "
            "with within would yet you your according based following given noted passage passages answer question states stated says said mentions mentioned "
            "yes ok okay sure certainly absolutely course thanks thank please hello sorry glad hope "
            "der die das und ist im in den von zu mit des auf für als auch es an dem ein eine einer le la les de du et est un une dans que el los las y en",
        )
    )
    | _DENIES
)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A sentence of an answer: the numbers that it cites, the best share of its words found together, whether it is held."""

    text: str
    cites: tuple[int, ...]
    share: float
    held: bool


@dataclass(frozen=True, kw_only=True)
class Grounding:
    """What an answer claims and how much of that its passages hold.

    `share` is held claims over claims, None where there are none. Of `cited` citations `valid` name a passage that is there
    and holds the sentence. `abstains` says that the answer is that there is none, and claims nothing else that is held.
    """

    claims: tuple[Claim, ...]
    abstains: bool
    cited: int
    valid: int

    @property
    def share(self) -> float | None:
        """The share of claims that are held."""
        return sum(claim.held for claim in self.claims) / len(self.claims) if self.claims else None


def grounding(answer: str, passages: Mapping[int, str], question: str = "") -> Grounding:
    """Return how an answer stands on its passages, which go by the numbers that it may cite.

    >>> held = {1: "Parental leave is 16 weeks. It is paid in full.", 2: "Trains are booked by the office."}
    >>> made = grounding("Parental leave is 16 weeks [1]. It begins 12 days after the birth [1].", held)
    >>> [claim.held for claim in made.claims], made.share, (made.cited, made.valid)
    ([True, False], 0.5, (2, 1))
    """
    asked = frozenset(_stem(word) for word in words(question))
    claims: list[Claim] = []
    cited = valid = 0
    saying_nothing = refused(answer) is not None
    for text in _sentences(answer):
        bare = uncited(text)
        if _ABSTAINS.search(bare):
            saying_nothing = True
            continue
        numbered = tuple(dict.fromkeys(_cites(text)))
        wanted = _Wanted.of(bare, asked)
        if wanted is None:
            continue
        known = [n for n in numbered if n in passages]
        against = {n: passages[n] for n in known} if numbered else dict(passages)
        share, held = wanted.within(against.values(), together=bool(numbered))
        cited += len(numbered)
        valid += sum(wanted.part_of(passages[n], alone=len(known) == 1) for n in known)
        claims.append(Claim(text=text, cites=numbered, share=share, held=held))
    # "I'm sorry, that is all: leave is 16 weeks" answers all the same.
    abstains = (saying_nothing and not any(claim.held for claim in claims)) or not answer.strip()
    return Grounding(claims=() if abstains else tuple(claims), abstains=abstains, cited=cited, valid=valid)


def uncited(text: str) -> str:
    """Return the text without its citations.

    >>> uncited("Leave is 16 weeks [1, 3]. See [a].")
    'Leave is 16 weeks. See [a].'
    """
    return _CITED.sub("", text)


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """What must be found to hold a sentence."""

    words: frozenset[str]
    figures: tuple[frozenset[float], ...]
    denies: bool

    @staticmethod
    def of(sentence: str, asked: frozenset[str]) -> _Wanted | None:
        """Return what a sentence claims beyond the question's own words; None where that is nothing."""
        said = words(sentence)
        stated = figures(sentence)
        told = frozenset(_stem(w) for w in said if w not in _LIGHT and not w.isdigit())
        own = told - asked or told
        if not own and not stated:
            return None  # "Sure!", "Yes, it is."
        return _Wanted(words=own, figures=stated, denies=_denies(sentence))

    def within(self, passages: Iterable[str], *, together: bool) -> tuple[float, bool]:
        """Return the best share of the words in one place of a passage, and whether one holds the sentence.

        With `together`, passages hold it with what stands in the best place of each.
        """
        places = [place for place in map(self._best, passages) if place is not None]
        if together and places:
            places = [
                _Place(
                    words=frozenset().union(*(p.words for p in places)),
                    figures=frozenset().union(*(p.figures for p in places)),
                    sentences=tuple(sentence for p in places for sentence in p.sentences),
                )
            ]
        share = max((self._share(place) for place in places), default=0.0)
        return share, any(self.held_by(place) for place in places)

    def part_of(self, text: str, *, alone: bool) -> bool:
        """Say whether a cited passage holds the sentence, or, cited beside others, some of it."""
        place = self._best(text)
        return place is not None and (self.held_by(place) if alone else self._share(place) >= HELD / 2)

    def held_by(self, place: _Place) -> bool:
        """Say whether a place has enough of the words and all figures, and its nearest sentence denies what is denied."""
        if self._share(place) < HELD or not all(readings & place.figures for readings in self.figures):
            return False
        if not self.denies:
            # The other way round nothing follows: a quoted part of a sentence need not be the part that denies.
            return True
        nearest = max((len(self.words & said) for said, _ in place.sentences), default=0)
        return any(denies for said, denies in place.sentences if len(self.words & said) == nearest)

    def _share(self, place: _Place) -> float:
        return len(self.words & place.words) / len(self.words) if self.words else 1.0

    def _best(self, text: str) -> _Place | None:
        return max(
            _places(text),
            key=lambda p: (sum(bool(r & p.figures) for r in self.figures), self._share(p)),
            default=None,
        )


@dataclass(frozen=True, kw_only=True)
class _Place:
    """A few sentences that follow one another."""

    words: frozenset[str]
    figures: frozenset[float]
    sentences: tuple[tuple[frozenset[str], bool], ...]
    """Each one's words, and whether it denies something."""


# Many answers are held against the same passages.
@lru_cache(maxsize=4096)
def _places(text: str) -> tuple[_Place, ...]:
    parts = list(_sentences(text))
    read = [(frozenset(map(_stem, words(part))), _denies(part)) for part in parts]
    there = [frozenset[float]().union(*figures(part)) for part in parts]
    return tuple(
        _Place(
            words=frozenset[str]().union(*(said for said, _ in read[start : start + WITHIN])),
            figures=frozenset[float]().union(*there[start : start + WITHIN]),
            sentences=tuple(read[start : start + WITHIN]),
        )
        for start in range(max(1, len(parts) - WITHIN + 1))
    )


def _sentences(text: str) -> Iterator[str]:
    start = 0
    for end in (*sentence_ends(text, 0, len(text)), len(text)):
        # A citation behind the full stop belongs to the sentence before it.
        trailing = _CITED.match(text, end)
        end = trailing.end() if trailing is not None else end
        if end > start and text[start:end].strip():
            yield text[start:end].strip()
        start = max(start, end)


def _cites(text: str) -> Iterator[int]:
    for found in _CITED.finditer(text):
        said = _RANGE.sub(lambda r: ",".join(map(str, range(int(r[1]), min(int(r[2]), int(r[1]) + 20) + 1))), found[1])
        yield from (int(number) for number in re.findall(r"\d+", said))


def figures(text: str) -> tuple[frozenset[float], ...]:
    """Return what each number in the text may be read as, without its sign."""
    return tuple(frozenset(abs(r) for r in readings) for readings, _ in numbers(text))


def _denies(text: str) -> bool:
    low = text.casefold().replace("’", "'")
    return "n't" in low or not _DENIES.isdisjoint(words(low))


def _stem(word: str) -> str:
    """Return a word without the endings that English adds to the same word: crude, and the same on both sides."""
    if not word.isascii() or len(word) < 4:
        return word
    for ending in ("ies", "ied"):
        if word.endswith(ending) and len(word) > 4:
            return word[:-3] + "y"
    for ending in ("ing", "ed", "es", "s", "ly"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith(("ss", "us", "is")):
            word = word[: -len(ending)]
            break
    # planned, planning; state, stating
    return word[:-1] if len(word) > 3 and (word[-1] == word[-2] or word[-1] == "e") else word
