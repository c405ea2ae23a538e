"""Cutting a text into pieces: words, numbers, code, signs."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from routelab.caching.guarding.quantities import AFTER_NUMBER, UNITS, number_of

# NFKC sorts a run of combining marks in quadratic time; U+034F breaks long ones (UAX #15, stream-safe text format).
_LONG_RUN = re.compile(r"[^\w\s\x00-\x7f]{30}")
_MARKS = re.compile("[\u0300-\u036f]+")
_TYPOGRAPHY = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-", "\u2212": "-", "\u2011": "-", "\u2010": "-", "\u2192": "->", "\xb5": "\u03bc", "\u2044": "/", "`": " "})  # fmt: skip
_CODE = re.compile(
    r"://|^www\.|\w@\w|^--?[A-Za-z]|^[$%:][A-Za-z_]|_|\\|::|^(?:~|\.{0,2})/\w|\w\(|^@\w|[A-Za-z]\w{1,60}\.[a-z_]|^\.[a-z]\w+|==?\d|^[a-z]{2,}[A-Z]\w|^[\w-]+(?:/[\w-]+){2,}"
)
_PIECE = re.compile(
    r"(?P<date>\d{4}-\d{1,2}-\d{1,2}(?!\d)|\d{1,2}[/.]\d{1,2}[/.]\d{2,4}(?![\d.]))"
    r"|(?P<fraction>(?<![\d/.])[1-9]\d?/[1-9]\d?(?![\d/.]))"
    r"|(?P<time>\d{1,2}:\d{2}(?::\d{2})?(?!\d))"
    r"|(?P<number>\d+(?:[.,]\d+)*)"
    r"|(?P<word>[^\W\d_]+(?:'[^\W\d_]+)*)"
    r"|(?P<symbol>[€$£¥₹₽₿%°])"
    r"|(?P<strong>&&|\|\||==|!=|\+\+|(?<=\w)--(?!\w)|->|=>|<=|>=|<<|>>|:=|//=?|[-+*/%&^]=|\*\*|(?<=[A-Za-z])#)"
    r"|(?P<sign>[<>=^+*~&|])",
)
_POWER = re.compile("(?<![^\\W\\d_/])(mm|cm|km|m|ft|yd)([\xb2\xb3])")
_POWERS = {"\xb2": "square", "\xb3": "cubic", "mm": "millimeters", "cm": "centimeters", "km": "kilometers", "m": "meters", "ft": "feet", "yd": "yards"}  # fmt: skip
_MIXED = re.compile(r"(\d[\d.,]*)([^\W\d_]+(?:/[^\W\d_]+)?)$")
_DOTTED = re.compile(r"(?:[^\W\d_]\.){2,}[^\W\d_]?$|(?:[^\W\d_]\.)+[^\W\d_]$")
_EDGES = "\"'“”‘’«»()[]{}<>,;!?…*.:¿¡"
_ENDS = re.compile(r"[.!?:;…]['\")\]]*$")
_COURTESY = re.compile(
    r"^(?:\W*(?:hi|hello|hey|dear|good (?:morning|afternoon|evening|day)|greetings)\b(?: (?:there|all|everyone|team|folks|sir|madam))*[\s,.!:-]+)+"
    r"|\b(?:thanks|thank you|cheers|many thanks|thx|kind regards|best regards|regards)\b(?: (?:in advance|so much|a lot|very much))?[\s!.,]*$",
    re.IGNORECASE,
)
_TAG = re.compile(r",\s*(?:(?:is|are|was|do|does|did|should|would|could|can|will|have|has)n[o']?t|(?:is|are|was|do|does|did|should|would|could|can|will|have|has)) (?:i|we|you|he|she|it|they)\s*\?", re.IGNORECASE)  # fmt: skip
_ASKED_POLITELY = re.compile(
    r"(^|[.,!?;:]\s*)(do|does|did|could|would|should|can|will|are|is) (you|we) not\b", re.IGNORECASE
)
_ASKED_NEGATIVELY = re.compile(
    r"(^|[.,!?;:]\s*)(do|does|did|is|are|was|were|could|would|should|can|have|has|wo|ca)n'?t (i|you|we|he|she|it|they|there|this|that)\b",
    re.IGNORECASE,
)

_ASKED_OF = re.compile(
    r"(^|[.!?;:]\s*)((?i:do|does|did|is|are|was|were|has|have|wo|would|should))n't (?=[A-Z]|(?:the|my|your|our|this|these|those|all) )()"
)
"""Opening words that ask whether, for all that they deny: "Isn't the shop open?"; "Doesn't work" denies."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One thing in a text: its kind (word number code strong sign symbol date time), folded, and as it was written."""

    kind: str
    norm: str
    surface: str
    capital: bool = False


def fold(text: str) -> str:
    """Return the text in one form of Unicode, without case, without the accents of Latin, Greek and Cyrillic letters."""
    if text.isascii():
        return text.casefold()
    safe = _LONG_RUN.sub("\\g<0>\u034f", text)
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", safe).casefold())
    return unicodedata.normalize("NFC", _MARKS.sub("", folded))


def key_of(text: str) -> str:
    """Return what makes two texts the same: not case, white space or the punctuation of sentences."""
    folded = fold(text if text.isascii() and "`" not in text else text.translate(_TYPOGRAPHY))
    return " ".join(chunk for chunk in (_bare(c) for c in folded.split()) if chunk)


def _bare(chunk: str) -> str:
    """Return a chunk without the punctuation of sentences; one that is an operator stays, one that is punctuation goes."""
    bare = chunk.strip(_EDGES)
    if bare.isalnum() or any(c.isalnum() for c in bare):
        return bare
    return "".join(match.group() for match in _PIECE.finditer(chunk))


def cleaned(text: str) -> str:
    """Return the text without greetings, thanks and tags, and with "can't you" asked as "can you"."""
    clean = text.translate(_TYPOGRAPHY)
    if not clean.isascii():
        clean = _POWER.sub(lambda m: f" {_POWERS[m.group(2)]} {_POWERS[m.group(1)]}", clean)
        clean = unicodedata.normalize("NFKC", _LONG_RUN.sub("\\g<0>\u034f", clean)).translate(_TYPOGRAPHY)
    if len(clean) < 2000:
        clean = _COURTESY.sub(" ", clean)
    clean = _ASKED_POLITELY.sub(r"\1\2 \3", clean)
    clean = _ASKED_OF.sub(r"\1\2 \3", clean)
    return _ASKED_NEGATIVELY.sub(r"\1\2 \3", _TAG.sub("?", clean))


def pieces(text: str) -> list[Piece]:
    """Return the pieces of a text in their order."""
    found: list[Piece] = []
    initial = True
    for chunk in text.split():
        bare = _bare(chunk)
        # ":q" and ".env" begin with what would end a sentence.
        if chunk[0] in ".:" and _CODE.search(chunk.rstrip(_EDGES)):
            bare = chunk.rstrip(_EDGES)
        if chunk.endswith(")") and "(" in bare and ")" not in bare:
            bare += ")"
        if bare:
            found.extend(_of_chunk(bare, initial))
            initial = bool(_ENDS.search(chunk))
    return found


def _of_chunk(bare: str, initial: bool) -> list[Piece]:
    lowered = fold(bare)
    if lowered in UNITS and "/" in lowered:
        return [Piece("word", lowered, bare)]
    if _DOTTED.fullmatch(bare):
        return [Piece("word", lowered.replace(".", ""), bare, not initial and bare[0].isupper())]
    if _CODE.search(bare) and not re.fullmatch(r"[^\W\d_]+\.[A-Z][a-z]+", bare):
        return [Piece("code", _code(lowered), bare)]
    mixed = _MIXED.fullmatch(bare)
    if mixed is not None and _counts(mixed.group(2)):
        return [
            Piece("number", number_of(mixed.group(1).rstrip(".,")), mixed.group(1)),
            Piece("suffix", fold(mixed.group(2)), mixed.group(2)),
        ]
    if (
        any(c.isdigit() for c in bare)
        and re.fullmatch(r"[A-Za-z]*\d+[A-Za-z]+\w*|[A-Za-z]+\d[\w.]*", bare)
        and not re.fullmatch(r"\d+[A-Za-z]", bare)
    ):
        return [Piece("code", lowered, bare)]
    return _split(bare, initial)


def _counts(suffix: str) -> bool:
    low = fold(suffix)
    return low in UNITS or low in AFTER_NUMBER or low in ("st", "nd", "rd", "th", "am", "pm", "s")


def _code(lowered: str) -> str:
    plain = (
        re.sub(r"^(?:[a-z+]+://)?(?:www\.)?", "", lowered)
        if "://" in lowered or lowered.startswith("www.")
        else lowered
    )
    return plain.removesuffix("()").rstrip("/.") or lowered


def _split(bare: str, initial: bool) -> list[Piece]:
    found: list[Piece] = []
    for match in _PIECE.finditer(bare):
        kind = str(match.lastgroup)
        surface = match.group()
        if kind == "word":
            found.append(Piece("word", fold(surface), surface, surface[0].isupper() and not (initial and not found)))
        elif kind == "number":
            found.append(Piece("number", number_of(surface), surface))
        else:
            found.append(Piece(kind, surface, surface))
    return found
