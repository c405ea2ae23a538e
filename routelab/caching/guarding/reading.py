"""Reading a question: what in it a wrong answer could hang on, as plain sets that compare in microseconds."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

from routelab.caching.guarding.clauses import ASKING, asked_first, denied, deniers, doubted, ends, forms, stuck
from routelab.caching.guarding.opposites import OPPOSITES
from routelab.caching.guarding.pieces import Piece, cleaned, key_of, pieces
from routelab.caching.guarding.quantities import (
    AFTER_NUMBER,
    DECADES,
    HALVES,
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
    plus_half,
    times,
)
from routelab.caching.guarding.signature import Signature
from routelab.caching.guarding.stems import american, listed, stem
from routelab.caching.guarding.synonyms import groups
from routelab.caching.guarding.words import (
    CONTRACTED,
    EVIDENCE,
    EXCEPTIONS,
    FUNCTION,
    LIGHT,
    NEGATORS,
    PHRASES,
    SETTLED,
)

LONGEST = 20_000
"""Characters beyond which two texts must agree word for word."""

_PARTICLES = frozenset(listed("on off in out up down before during after above below over under for against from to"))
_LINE = 300
"""Words of a text by which its frame is known."""
_OPENING = frozenset(listed("what who where how when why it that there here"))
_UNSTRESSED = frozenset(listed("a an the my your our please"))
_SAME_STEP = {"into": "to", "onto": "on", "us": "i", "me": "i", "we": "i"}
_LINKS = frozenset(
    listed("to from than before after into by as over of with for in on under about against without behind above below")
)


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
        for i, piece in enumerate(found):
            if piece.kind != "word":
                spelled.append(piece)
                continue
            if spelled and spelled[-1].norm == "non" and spelled[-1].kind == "word":
                before = spelled.pop()
                spelled.append(Piece("word", "non" + american(piece.norm), f"{before.surface}-{piece.surface}"))
                continue
            if piece.surface == "US":
                if i + 1 < len(found) and UNITS.get(found[i + 1].norm) == "dollar":
                    continue
                spelled.append(Piece("word", "usa", piece.surface, piece.capital))
                continue
            parts = CONTRACTED.get(piece.norm)
            if parts is not None:
                spelled.extend(Piece("word", part, piece.surface) for part in parts)
                continue
            bare, _, tail = piece.norm.partition("'")
            if tail == "s" and bare in _OPENING:
                spelled.extend((Piece("word", bare, piece.surface), Piece("word", "is", piece.surface)))
                continue
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
                whole = _whole(piece.norm, other.norm, j == i + 1) if other else None
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
        line = tuple(
            _step(p)
            for p in self.pieces
            if p.kind not in ("sign", "strong") and (p.capital or p.norm not in _UNSTRESSED)
        )[:_LINE]
        return Signature(
            key=key,
            plain=re.sub(r"[\s'-]+", "", key) if not any(c.isdigit() for c in key) else key,
            english=self.english,
            script=_script(words),
            numbers=tuple(self.numbers),
            units=tuple(sorted(self.units)),
            dates=tuple(sorted(set(self.dates))),
            codes=self.codes,
            signs=tuple(sorted(self.signs)),
            names=self.names,
            negations=tuple(w for w in words if w in NEGATORS),
            exceptions=tuple(w for w in words if w in EXCEPTIONS),
            deniers=deniers(words),
            denied=denied(words),
            against=frozenset().union(*(OPPOSITES.get(t, ()) for t in tokens)),
            doubted=doubted(words),
            stuck=stuck(words),
            ends=ends(words, stems),
            line=line,
            places=_places(line),
            words=self.words,
            light=frozenset(self.light),
            tokens=tokens,
            roots=dict(zip(words, stems, strict=True)),
            groups=frozenset(g for w, r in zip(words, stems, strict=True) for g in groups(w, r)),
            joined=frozenset(a + b for a, b in pairwise(words)),
            particles=tuple(w for w in words if w in _PARTICLES),
            sequence=() if self.english else tuple(words),
            order=tuple(self.order),
            forms=forms(words),
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
        if [p.norm for p in self.pieces[i + used : i + used + 3]] == ["and", "a", "half"]:
            number, used = plus_half(number), used + 3
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
        half = _half_of_day(self.pieces, i + used) if number.isdigit() and len(number) <= 2 else ""
        if half:
            self.dates.append(clock(number, "00", half=half))
            return used + (2 if norm == "at" else 3)
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
            before, after = self._near(i - 1), self._near(i + 2)
            if norm == "half" and after is not None and after.norm in HALVES and self.pieces[i + 1].norm in ("a", "an"):
                number, unit = HALVES[after.norm]
                self._counted(number, 1)
                return self._unit(i, unit, 3)
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
        return verb is not None and form is not None and verb.norm in ASKING and asked_first(form.norm)

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


def _half_of_day(found: Sequence[Piece], i: int) -> str:
    """Return "am" or "pm" for "in the morning" and the like at i; "" for anything else."""
    said = tuple(p.norm for p in found[i : i + 3])
    if said[:2] == ("in", "the"):
        return {"morning": "am", "afternoon": "pm", "evening": "pm"}.get(said[-1], "")
    return "pm" if said[:2] == ("at", "night") else ""


def _whole(verb: str, particle: str, beside: bool) -> str | None:
    pair = (verb if verb in ("goes", "went") else stem(verb), particle)
    return PHRASES.get(pair) or (SETTLED.get(pair) if beside else None)


def _step(piece: Piece) -> str:
    norm = piece.norm
    known = UNITS.get(norm) or _SAME_STEP.get(norm)
    if known is not None or piece.kind != "word":
        return known or norm
    return str(ONES[norm]) if norm in ONES else stem(norm)


def _places(line: Sequence[str]) -> dict[str, int]:
    """Return where in a line each of its words is, as a whole number with a bit for each place."""
    places: dict[str, int] = {}
    for i, word in enumerate(line):
        places[word] = places.get(word, 0) | 1 << i
    return places


def _parts(codes: dict[str, str]) -> set[str]:
    found: set[str] = set()
    for code in codes:
        found.update(p for p in re.split(r"[\W_]+", code) if p)
    return found


def _script(words: Sequence[str]) -> str:
    """Return the script of most of the words, by the name of their first letters; "" when there is none."""
    seen: dict[str, int] = {}
    for word in words[:50]:
        name = "LATIN" if word[0].isascii() else unicodedata.name(word[0], " ").split(" ")[0]
        name = "EAST ASIAN" if name in ("CJK", "HIRAGANA", "KATAKANA", "HANGUL") else name
        seen[name] = seen.get(name, 0) + len(word)
    return max(sorted(seen), key=lambda n: seen[n]) if seen else ""
