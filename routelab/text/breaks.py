"""Where prose can be broken: between paragraphs, lines, sentences, words, and never inside what is read as one character.

Every `last_*` returns the last break in (low, high], every `first_*` the first in [low, high), or -1. White space goes
with what stands before it, so that nothing is lost between two chunks. Nothing here looks further than asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import regex

# Each begins with one class of characters: the search for that is several times as fast as for a choice.
_PARAGRAPH = re.compile(r"[\n\r\f\u2029](?:(?<=\n)[^\S\n]*\n\s*|(?<=\r)[^\S\r\n]*\r\s*|(?<=[\f\u2029])\s*)")
_LINE = re.compile(r"[\r\n\x0b\f\x85\u2028\u2029](?:(?<=\r)\n)?")
# Blanks, but for those that forbid a break; and CJK's clause marks, since there are no blanks between its words.
_WORD = re.compile("[^\\S\xa0\u2007\u202f]+|[\u200b、，；：。！？｡､・]")
_CLUSTER = regex.compile(r"\X")
_NEAR = 250
_FAR = 32
"""How many characters are looked at for what belongs together: a family of emoji is 7 or 11, a keycap 3."""

_CLOSING = "\"'”’»)\\]}›"
_MARKS = ".!?…‽։؟۔।॥።‼⁇⁈⁉"
_WIDE = "。！？｡"
_WIDE_CLOSING = "」』”’）】》〉〕"
_NOT_YET = frozenset(f"{_MARKS}{_WIDE}{_WIDE_CLOSING}{_CLOSING}".replace("\\", ""))
_SENTENCE = re.compile(
    rf"[{_MARKS}{_WIDE}\n](?:"
    # Latin and its neighbours: a mark, closing quotes, then white space.
    rf"(?<=[{_MARKS}])[{_MARKS}]*[{_CLOSING}]*(?:\s+|\Z)"
    # CJK: no white space is needed.
    rf"|(?<=[{_WIDE}])[{_WIDE}]*[{_WIDE_CLOSING}]*\s*"
    # A blank line ends a sentence, and so does a line before a bullet, a number, a heading, a table's row.
    r"|(?<=\n)[^\S\n]*(?:\n\s*|(?=[-*+•#|>][^\S\n]|\d{1,3}[.)][^\S\n])))"
)
_SHORT = frozenset(
    re.split(
        " +",
        "mr mrs ms dr prof sr jr st rev gen col sgt capt lt cmdr adm gov sen rep hon pres mt ft vs etc eg e.g ie i.e cf al "
        "approx dept inc ltd co corp llc u.s u.k u.n u.s.a d.c ph.d m.d b.a m.a a.m p.m "
        "z.b d.h u.a bzw ca vgl bspw evtl ggf dipl ing mio mrd mme mlle p.ex sra srta ud uds dña sig dott",
    )
)
"""Abbreviations after which a full stop ends no sentence: English, with the commonest of German, French, Spanish, Italian."""
_NUMBERED = frozenset(
    re.split(
        " +",
        "no nos art arts fig figs eq eqs sec secs ch vol vols p pp ed est ref refs nr abb núm pág jan feb mar apr jun jul "
        "aug sept sep oct nov dec mon tue wed thu fri",
    )
)
"""Those that are one before a number only: `No. 5`, but `She said no.`"""
_ENDING = frozenset(re.split(" +", "etc inc ltd co corp llc jr sr u.s u.k u.n u.s.a d.c ph.d a.m p.m"))
"""Those that often end a sentence too: the next word's capital decides."""
_BEFORE = re.compile(r"[^\s(\[{\"'“‘«]{1,24}\Z")


def sentence_ends(text: str, low: int, high: int) -> Iterator[int]:
    """Yield the offsets after low, up to high, at which a sentence has ended, white space after it included."""
    for found in _SENTENCE.finditer(text, low, high):
        end = found.end()
        if (
            end == high < len(text)
            and not text[end - 1].isspace()
            and (text[end] in _NOT_YET or not (text[end].isspace() or text[end - 1] in _WIDE + _WIDE_CLOSING))
        ):
            continue  # the sentence's marks go on, or it was a decimal point: the text does not end here
        if text[found.start()] not in _MARKS or _ends(text, found, end):
            yield end


def _ends(text: str, found: re.Match[str], end: int) -> bool:
    """Return whether a mark before white space ends a sentence: not after an abbreviation, nor before a small letter."""
    at = found.start()
    marks = found[0].rstrip()
    follows = text[end : end + 1]
    if follows.islower() and (marks[-1] in ".…" or marks[-1] in _CLOSING):
        return False
    if marks != ".":
        return True
    word = _BEFORE.search(text, max(0, at - 24), at)
    if word is None:
        return True
    short = word[0]
    if len(short) == 1 and short.isupper():
        return False  # an initial
    if short.isdigit() and len(short) <= 3 and _begins_line(text, word.start()):
        return False  # a numbered list
    if short.lower() in _ENDING:
        return follows.isupper()
    if short.lower() in _NUMBERED:
        return not follows.isdigit()
    return short.lower() not in _SHORT


def _begins_line(text: str, at: int) -> bool:
    line = text.rfind("\n", max(0, at - 12), at)
    return text[line + 1 if line >= 0 else max(0, at - 12) : at].strip() == "" and (line >= 0 or at <= 12)


def last_paragraph(text: str, low: int, high: int) -> int:
    """Return the last break after a blank line or a page."""
    at = text.rfind("\n\n", low, high)
    if at >= 0:
        at += 2
        while at < high and text[at].isspace():
            at += 1
        return at
    found = -1
    for match in _PARAGRAPH.finditer(text, low, high):
        found = match.end()
    return found


def last_line(text: str, low: int, high: int) -> int:
    """Return the last break after a line."""
    at = text.rfind("\n", low, high)
    if at >= 0:
        return at + 1
    found = -1
    for match in _LINE.finditer(text, low, high):
        found = match.end()
    return found


def last_sentence(text: str, low: int, high: int) -> int:
    """Return the last break after a sentence."""
    # The last one is mostly near: the end is searched first, from a blank on, so that no run of marks is cut.
    near = max(low, text.rfind(" ", low, max(low, high - _NEAR)) + 1)
    found = -1
    for end in sentence_ends(text, near, high):
        found = end
    if found < 0 and near > low:
        for end in sentence_ends(text, low, high):
            found = end
    return found


def last_word(text: str, low: int, high: int) -> int:
    """Return the last break after a word, or, where blanks are far apart, after a mark of CJK."""
    at = text.rfind(" ", low, high) + 1 or -1
    if high - at > _FAR or at < 0:
        for match in _WORD.finditer(text, max(low, at), high):
            at = match.end()
    return at


def first_sentence(text: str, low: int, high: int) -> int:
    """Return the first offset in [low, high) at which a sentence begins."""
    if low <= 0:
        return 0
    # Some way before, so that a sentence that ends exactly at `low` is seen with its mark.
    for end in sentence_ends(text, max(0, low - _FAR), high):
        if end >= high:
            break
        if end >= low:
            return end
    return -1


def first_word(text: str, low: int, high: int) -> int:
    """Return the first offset in [low, high) at which a word begins."""
    for match in _WORD.finditer(text, max(0, low - 1), high):
        if low <= match.end() < high:
            return int(match.end())
    return -1


def whole(text: str, at: int, low: int) -> int:
    """Return the last offset in (low, at] that divides no grapheme cluster; `at` itself when there is none near.

    Clusters longer than 32 characters are divided: a letter under a thousand accents is not one character to anybody.
    """
    if at >= len(text) or at <= 0 or (text[at - 1] < "\u0300" and text[at] < "\u0300" and text[at] != "\n"):
        return at
    first = max(low, at - _FAR)
    found = at
    for end in _clusters(text, first, at):
        if end >= at:
            return at if end == at else found
        found = end
    return found if low < found <= at else at


def whole_after(text: str, at: int, high: int) -> int:
    """Return the first offset in [at, high] that divides no grapheme cluster."""
    if at >= len(text) or at <= 0 or (text[at - 1] < "\u0300" and text[at] < "\u0300" and text[at] != "\n"):
        return at
    return next((min(end, high) for end in _clusters(text, max(0, at - _FAR), at) if end >= at), at)


def _clusters(text: str, first: int, at: int) -> Iterator[int]:
    """Yield where the grapheme clusters from `first` to a little after `at` end."""
    # Of a slice: among flags, the pattern looks back to where the string begins.
    for cluster in _CLUSTER.finditer(text[first : at + _FAR]):
        yield first + int(cluster.end())
