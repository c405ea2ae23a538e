"""Reading a question: what in it a wrong answer could hang on, as plain sets that compare in microseconds."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from routelab.caching.guarding.pieces import Piece, cleaned, key_of, pieces
from routelab.caching.guarding.quantities import (
    AFTER_NUMBER,
    DECADES,
    LOOSE,
    MOMENTS,
    MONTHS,
    ONES,
    ORDINALS,
    PARTS,
    PER,
    PERIODS,
    RELATIVE,
    ROMAN,
    SCALES,
    SHY,
    TENS,
    UNITS,
    WEEKDAYS,
    clock,
    times,
)
from routelab.caching.guarding.stems import american, listed, stem
from routelab.caching.guarding.synonyms import groups
from routelab.caching.guarding.words import CONTRACTED, EVIDENCE, EXCEPTIONS, FUNCTION, LIGHT, NEGATORS, PHRASES

LONGEST = 20_000
"""Characters beyond which two texts must agree word for word."""

_FORMS = {"how": "how", "why": "why", "when": "when", "where": "where", "who": "who", "whom": "who", "whose": "who", "what": "what", "which": "what"}  # fmt: skip
_AMOUNTS = {
    "much": "how much",
    "many": "how many",
    "long": "how long",
    "often": "how often",
    "frequently": "how often",
    "far": "how far",
    "old": "how old",
    "tall": "how tall",
    "fast": "how fast",
    "deep": "how deep",
    "soon": "when",
    "come": "why",
}
_ASKING = frozenset(
    listed("am is are was were do does did can could will would shall should may might must has have had")
)
_LINKS = frozenset(
    listed("to from than before after into by as over of with for in on under about against without behind above below")
)


@dataclass(frozen=True, slots=True)
class Signature:
    """What is remembered of one text; everything is folded, and written forms are kept to name an objection."""

    key: str
    plain: str = ""
    long: bool = False
    english: bool = False
    script: str = ""
    numbers: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    codes: dict[str, str] = field(default_factory=dict)
    signs: tuple[str, ...] = ()
    names: dict[str, str] = field(default_factory=dict)
    negations: tuple[str, ...] = ()
    exceptions: tuple[str, ...] = ()
    deniers: tuple[str, ...] = ()
    words: dict[str, str] = field(default_factory=dict)
    light: frozenset[str] = frozenset()
    tokens: frozenset[str] = frozenset()
    groups: frozenset[int] = frozenset()
    roots: dict[str, str] = field(default_factory=dict)
    joined: frozenset[str] = frozenset()
    particles: tuple[str, ...] = ()
    sequence: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    forms: frozenset[str] = frozenset()
    passive: bool = False
    modal: str = ""
    acting: bool = False
    acted_on: bool = False


def read(text: str) -> Signature:
    """Return the signature of any text whatever, in time linear in its length."""
    key = key_of(text)
    if len(text) > LONGEST:
        return Signature(key=key, plain=key, long=True)
    return _Reader(pieces(cleaned(text))).signature(key)


class _Reader:
    """Goes once through the pieces of one text and sorts what it sees."""

    def __init__(self, found: Sequence[Piece]) -> None:
        self.pieces = self._phrased(self._spelled(found))
        capitals = sum(p.capital for p in self.pieces)
        letters = sum(p.kind == "word" for p in self.pieces)
        # In a title or a shout capitals say nothing.
        self.capitals = capitals <= 0.6 * letters or letters < 4
        self.english = any(p.norm in EVIDENCE for p in self.pieces) or letters <= 3
        self.numbers: list[str] = []
        self.units: list[str] = []
        self.dates: list[str] = []
        self.codes: dict[str, str] = {}
        self.signs: list[str] = []
        self.names: dict[str, str] = {}
        self.words: dict[str, str] = {}
        self.light: set[str] = set()
        self.order: list[str] = []

    @staticmethod
    def _spelled(found: Sequence[Piece]) -> list[Piece]:
        """Write contractions out, take possessives off, spell the American way."""
        spelled: list[Piece] = []
        for piece in found:
            if piece.kind != "word":
                spelled.append(piece)
                continue
            parts = CONTRACTED.get(piece.norm)
            if parts is not None:
                spelled.extend(Piece("word", part, piece.surface) for part in parts)
                continue
            bare, _, tail = piece.norm.partition("'")
            if not bare or tail not in ("s", "", "re", "ll", "ve", "d", "m", "em"):
                bare = piece.norm.replace("'", "")
            spelled.append(Piece("word", american(bare), piece.surface.split("'")[0] or piece.surface, piece.capital))
        return spelled

    @staticmethod
    def _phrased(found: Sequence[Piece]) -> list[Piece]:
        """Put one word for a verb and its particle."""
        phrased: list[Piece | None] = list(found)
        for i, piece in enumerate(found):
            if piece.kind != "word":
                continue
            for j in range(i + 1, min(i + 4, len(found))):
                other = phrased[j]
                whole = (
                    PHRASES.get((stem(piece.norm) if piece.norm not in ("goes", "went") else piece.norm, other.norm))
                    if other
                    else None
                )
                if whole is None or phrased[i] is None:
                    continue
                # "log in" may be far apart only when an object stands between; "to", "of" and their like end the reach.
                if j > i + 1 and any(
                    found[k].norm in ("to", "of", "for", "from", "with", "and") for k in range(i + 1, j)
                ):
                    continue
                phrased[i] = Piece("word", whole, f"{piece.surface} {other.surface}" if other else piece.surface)
                phrased[j] = None
                break
        return [p for p in phrased if p is not None]

    def signature(self, key: str) -> Signature:
        i = 0
        while i < len(self.pieces):
            i += self._at(i)
        words = [p.norm for p in self.pieces if p.kind == "word"]
        stems = [stem(w) for w in words]
        tokens = frozenset(words) | frozenset(stems) | frozenset(self.codes) | frozenset(_parts(self.codes))
        return Signature(
            key=key,
            plain=re.sub(r"[\s'-]+", "", key) if not any(c.isdigit() for c in key) else key,
            english=self.english,
            script=_script(words),
            numbers=tuple(self.numbers),
            units=tuple(sorted(set(self.units))),
            dates=tuple(sorted(set(self.dates))),
            codes=self.codes,
            signs=tuple(sorted(self.signs)),
            names=self.names,
            negations=tuple(w for w in words if w in NEGATORS),
            exceptions=tuple(w for w in words if w in EXCEPTIONS),
            deniers=_deniers(words),
            words=self.words,
            light=frozenset(self.light),
            tokens=tokens,
            roots=dict(zip(words, stems, strict=True)),
            groups=frozenset(g for w, r in zip(words, stems, strict=True) for g in groups(w, r)),
            joined=frozenset(a + b for a, b in pairwise(words)),
            particles=tuple(
                w
                for w in words
                if w
                in (
                    "on",
                    "off",
                    "in",
                    "out",
                    "up",
                    "down",
                    "before",
                    "during",
                    "after",
                    "above",
                    "below",
                    "over",
                    "under",
                )
            ),
            sequence=() if self.english else tuple(words),
            order=tuple(self.order),
            forms=_forms(self.pieces),
            acting="i" in words or "we" in words,
            acted_on=any(b in ("me", "us") and stem(a) in self.words for a, b in pairwise(words)),
            modal=words[0] if words and words[0] in ("must", "can", "may", "could") else "",
            passive="by" in words
            and any(w in ("is", "are", "was", "were", "be", "been", "being", "get", "got") for w in words),
        )

    def _near(self, i: int) -> Piece | None:
        return self.pieces[i] if 0 <= i < len(self.pieces) else None

    def _at(self, i: int) -> int:
        """Sort the piece at i, and those after it that belong to it; return how many were used."""
        piece = self.pieces[i]
        if piece.kind == "number":
            return self._number(i, piece.norm, 1)
        if piece.kind == "date":
            self._date(piece.norm)
        elif piece.kind == "time":
            after = self._near(i + 1)
            half = after.norm if after is not None and after.norm in ("am", "pm") else ""
            self.dates.append(clock(*piece.norm.split(":")[:2], half=half))
            return 2 if half else 1
        elif piece.kind == "fraction":
            above, below = piece.norm.split("/")
            return self._number(i, f"{int(above) / int(below):.4g}", 1)
        elif piece.kind == "symbol":
            if piece.norm in UNITS:
                self.units.append(UNITS[piece.norm])
        elif piece.kind == "code":
            self.codes.setdefault(piece.norm, piece.surface)
            self.order.append(piece.norm)
        elif piece.kind in ("strong", "sign"):
            self.signs.append(piece.norm)
        elif piece.kind == "word":
            return self._word(i, piece)
        return 1

    def _date(self, text: str) -> None:
        parts = [int(p) for p in re.split(r"[-/.]", text)]
        if "-" in text and 1 <= parts[1] <= 12:
            self.dates.append(f"month {parts[1]}")
            del parts[1]
        self.numbers.extend(str(p) for p in parts)

    def _number(self, i: int, number: str, used: int) -> int:
        """Take a number with the unit, scale, half of the day or decade that follows it."""
        after = self._near(i + used)
        if after is None or after.kind not in ("word", "suffix", "symbol"):
            return self._counted(number, used)
        norm = after.norm
        if norm in ("am", "pm") and number.isdigit() and len(number) <= 2:
            self.dates.append(clock(number, "00", half=norm))
            return used + 1
        if after.kind == "suffix" and norm in ("st", "nd", "rd", "th"):
            return self._counted(number, used + 1)
        if after.kind == "suffix" and norm == "s":
            before = self._near(i - 1)
            if len(number) == 4 or (
                before is not None and before.norm in ("the", "early", "mid", "late", "from") and number.endswith("0")
            ):
                self.dates.append(f"decade {number[-2:]}")
                return used + 1
        scale = SCALES.get(norm) or (
            1000 if norm == "k" else 10**9 if norm == "bn" else 10**6 if norm == "mn" else None
        )
        # Nobody counts in millions of millions of millions; a text that does must not make the number grow without end.
        if scale is not None and used <= 3:
            return self._number(i, times(number, scale), used + 1)
        if norm == "°":
            beyond = self._near(i + used + 1)
            if beyond is not None and beyond.norm in ("c", "f"):
                self.units.append(AFTER_NUMBER[beyond.norm])
                return self._counted(number, used + 2)
            return self._counted(number, used + 1)
        unit = UNITS.get(norm) or (
            AFTER_NUMBER.get(norm) if after.kind == "suffix" or norm not in ("in", "a", "x", "t", "d", "p") else None
        )
        if unit is not None:
            self._counted(number, used)
            return self._unit(i, unit, used + 1)
        if after.kind == "suffix":
            self.words.setdefault(norm, after.surface)
            return self._counted(number, used + 1)
        return self._counted(number, used)

    def _unit(self, i: int, unit: str, used: int) -> int:
        """Take a unit, and with it the one that it is counted per."""
        link, below = self._near(i + used), self._near(i + used + 1)
        if link is not None and below is not None and link.norm in ("per", "a", "an"):
            whole = PER.get((unit, UNITS.get(below.norm, "")))
            if whole is not None:
                unit, used = whole, used + 2
        self.units.append(unit)
        self.order.append(unit)
        return used

    def _counted(self, number: str, used: int) -> int:
        self.numbers.append(number)
        self.order.append(number)
        return used

    def _word(self, i: int, piece: Piece) -> int:
        norm = piece.norm
        if (
            norm in DECADES
            and (before := self._near(i - 1)) is not None
            and before.norm in ("the", "early", "mid", "late")
        ):
            self.dates.append(f"decade {DECADES[norm]}")
            return 1
        used = self._numeral(i, norm, piece) or self._moment(i, norm, piece)
        if used:
            return used
        unit = UNITS.get(norm)
        if unit is not None and not (norm in LOOSE and norm in FUNCTION) and norm != "us":
            return self._unit(i, unit, 1)
        self._content(i, norm, piece)
        return 1

    def _numeral(self, i: int, norm: str, piece: Piece) -> int:
        """Take a number in words; 0 when there is none here."""
        if piece.surface in ROMAN and piece.capital and (len(piece.surface) > 1 or self._capital(i - 1)):
            return self._counted(str(ROMAN[piece.surface]), 1)
        if (
            norm == "second"
            and (before := self._near(i - 1)) is not None
            and before.norm in ("per", "each", "every", "a")
        ):
            return 0
        if norm in ORDINALS:
            return self._counted(str(ORDINALS[norm]), 1)
        if norm in PARTS:
            before = self._near(i - 1)
            if (
                norm == "quarter"
                and before is not None
                and (before.norm in RELATIVE or before.norm in ("per", "every", "each"))
            ):
                return 0
            return self._counted(PARTS[norm], 1)
        if norm in SCALES and norm != "hundred":
            return self._number(i, str(SCALES[norm]), 1)
        if norm in TENS:
            after = self._near(i + 1)
            small = (ONES.get(after.norm) or ORDINALS.get(after.norm)) if after is not None else None
            if small is not None and 0 < small < 10:
                return self._number(i, str(TENS[norm] + small), 2)
            return self._number(i, str(TENS[norm]), 1)
        if norm in ONES:
            after = self._near(i + 1)
            if norm == "one" and not (after is not None and after.norm in SCALES):
                self.numbers.append("one")
                return 1
            return self._number(i, str(ONES[norm]), 1)
        return 0

    def _capital(self, i: int) -> bool:
        near = self._near(i)
        return near is not None and near.surface[:1].isupper()

    def _moment(self, i: int, norm: str, piece: Piece) -> int:
        """Take a word of the calendar or the clock; 0 when there is none here."""
        before, after = self._near(i - 1), self._near(i + 1)
        dated = (
            (piece.capital and self.capitals)
            or (before is not None and (before.kind == "number" or before.norm in ("in", "of", "since", "until", "till", "from", "last", "next", "every", "on", "early", "late", "mid", "by") or before.norm in ORDINALS))
            or (after is not None and after.kind == "number")
        )  # fmt: skip
        if norm in MONTHS and (norm not in SHY or dated) and not (norm in ("may", "march") and not dated):
            self.dates.append(f"month {MONTHS[norm]}")
        elif norm in WEEKDAYS and (norm.rstrip("s") not in SHY or dated):
            self.dates.append(f"weekday {WEEKDAYS[norm]}")
        elif norm in MOMENTS:
            self.dates.append(MOMENTS[norm])
        elif norm in ("today", "now", "currently"):
            self.dates.append("today")
        elif norm in RELATIVE:
            period = after is not None and (
                stem(after.norm) in PERIODS
                or after.norm in PERIODS
                or after.norm in WEEKDAYS
                or after.norm in MONTHS
                or after.kind == "number"
            )
            if RELATIVE[norm] == "this" and not period:
                return 0
            self.dates.append(RELATIVE[norm])
        else:
            return 0
        return 1

    def _inverted(self, i: int) -> bool:
        """Return whether "i" stands behind "how do" and the like, where it is nobody's part."""
        verb, form = self._near(i - 1), self._near(i - 2)
        return verb is not None and form is not None and verb.norm in _ASKING and form.norm in _FORMS

    def _content(self, i: int, norm: str, piece: Piece) -> None:
        root = stem(norm)
        named = self.capitals and piece.capital and norm not in FUNCTION
        if norm in FUNCTION or (root in FUNCTION and len(root) > 2 and not named):
            if norm in _LINKS:
                self.order.append(norm)
            elif norm in ("i", "me", "us", "we") and not self._inverted(i):
                self.order.append("i")
            return
        if norm in NEGATORS or norm in EXCEPTIONS:
            return
        if named:
            self.names.setdefault(root, piece.surface)
        if len(norm) == 1 and norm in "sdm":
            return
        if norm in LIGHT or root in LIGHT:
            self.light.add(root)
            return
        self.words.setdefault(root, piece.surface)
        self.order.append(root)


def _deniers(words: Sequence[str]) -> tuple[str, ...]:
    """Return the pronouns of whom something is denied: "i" in "I can't hear them"."""
    return tuple(
        "i" if words[j] == "we" else words[j]
        for i, word in enumerate(words)
        if word == "not"
        for j in range(max(0, i - 2), i)
        if words[j] in ("i", "we", "you", "he", "she", "it", "they")
    )


def _parts(codes: dict[str, str]) -> set[str]:
    found: set[str] = set()
    for code in codes:
        found.update(p for p in re.split(r"[\W_]+", code) if p)
    return found


def _forms(found: Sequence[Piece]) -> frozenset[str]:
    """Return the forms of asking in a text: "how", "why", "how many", ..., or "whether" for a question to be answered yes or no."""
    words = [p.norm for p in found if p.kind == "word"]
    forms: set[str] = set()
    for i, word in enumerate(words):
        form = _FORMS.get(word)
        if form is None:
            continue
        after = words[i + 1] if i + 1 < len(words) else ""
        if form == "how":
            form = _AMOUNTS.get(after, "how")
        elif form == "what" and after in ("time", "date", "day", "year"):
            form = "when"
        elif (form == "when" and i > 0 and not forms) or (form == "who" and i > 2):
            continue
        forms.add(form)
    if (
        not forms
        and words
        and words[0] in _ASKING
        and not (len(words) > 1 and words[0] in ("can", "could", "would", "will") and words[1] == "you")
    ):
        forms.add("whether")
    return frozenset(forms)


def _script(words: Sequence[str]) -> str:
    """Return the script of most of the words, by the name of their first letters; "" when there is none."""
    seen: dict[str, int] = {}
    for word in words[:50]:
        name = "LATIN" if word[0].isascii() else unicodedata.name(word[0], " ").split(" ")[0]
        name = "EAST ASIAN" if name in ("CJK", "HIRAGANA", "KATAKANA", "HANGUL") else name
        seen[name] = seen.get(name, 0) + len(word)
    return max(sorted(seen), key=lambda n: seen[n]) if seen else ""
