"""How an answer is read: one spelling for every quote, dash and width, and where the answer commits itself.

Everything here is linear in the text and accepts any string, lone surrogates included.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_ONE_SPELLING = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛′‹›ʼ`´", "'"),
        "`": "`",
        **dict.fromkeys("“”„‟″«»", '"'),
        **dict.fromkeys("‐‑‒–—―−﹣－", "-"),
        **dict.fromkeys("\u00ad\u034f\u200b\u200c\u200d\u200e\u200f\u2060\ufeff", None),
        "\u2044": "/",
    }
)
_PAIRS = (
    *(("```", "```"), ("**", "**"), ("__", "__"), ("~~", "~~"), ("$$", "$$")),
    *(("*", "*"), ("_", "_"), ("`", "`"), ('"', '"'), ("'", "'"), ("$", "$")),
    *(("(", ")"), ("[", "]"), ("{", "}"), ("<", ">"), ("「", "」"), ("『", "』"), ("《", "》"), ("【", "】")),
    *((r"\(", r"\)"), (r"\[", r"\]"), (r"\boxed{", "}"), (r"\text{", "}"), (r"\textbf{", "}"), (r"\mathrm{", "}")),
)
_STOPS = " \t\r\n.,;:!?。、"
_LAYERS = 24
# NFKC sorts a run of combining marks in quadratic time (31 s for 200,000 of them), so long runs are broken with U+034F,
# as Unicode's stream-safe text format does (UAX #15, section 13).
_LONG_RUN = re.compile(r"[^\w\s\x00-\x7f]{30}")
_FENCE = re.compile(r"^([ \t]*)(`{3,}|~{3,})[ \t]*([^\n`]*)\n", re.MULTILINE)
# Possessive, so that a long run of marks is looked at once.
_OPENING_MARKS = re.compile(r"(?<![\w*`~])[*_`~]++(?=\S)")
_CLOSING_MARKS = re.compile(r"(?<=[^\s*_`~])[*_`~]++(?!\w)")
_LIST_MARK = re.compile(r"(?:#{1,6}|[-*+•>]|\d{1,2}[.)])\s+")
_CUE = re.compile(
    r"""
    (?: ^[#*_ \t]*(?:(?:my|the|final|correct)[ ]){0,3}answer[*_]*[ \t]*$            # a heading of its own
      | \banswer(?:[ ]?\([^()\n]{0,40}\))?                                          # "answer", "answer (in km)"
        (?: [ \t]+is\b(?![ \t]+(?:not|no|unclear|unknown)\b)[ \t]*:?                # "the answer is", but not "is not"
          | [ \t]?[*_`]{0,3}[ \t]?[:=] )                                            # "Answer:", "**Answer**:"
    )
    (?:[*_]{1,3}(?=\s|$))?                                                          # the end of "**Answer:**"
    """,
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
# Scripts without spaces between words, or (Hangul) with particles attached: any occurrence counts as a word there.
_UNSPACED = (
    "\u0e00-\u109f\u1100-\u11ff\u1780-\u17ff\u3005-\u3007\u3040-\u312f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff"
)
_UNSPACED_CHARACTER = re.compile(f"[{_UNSPACED}]")
_ASCII_WORD = re.compile(r"\d+(?:[.,]\d+)+|\w+")


def unified(text: str) -> str:
    """Return the text in NFKC with one spelling for quotes and dashes and without invisible characters."""
    if text.isascii():
        return text
    safe = _LONG_RUN.sub("\\g<0>\u034f", text.translate(_ONE_SPELLING))
    return unicodedata.normalize("NFKC", safe).translate(_ONE_SPELLING)


def folded(text: str) -> str:
    """Return the unified text without emphasis marks, in one case, with single spaces.

    >>> folded("The  **Great** Wall’s “end”")
    'the great wall\\'s "end"'
    """
    bare = _CLOSING_MARKS.sub("", _OPENING_MARKS.sub("", unified(text)))
    return " ".join(bare.casefold().split())


def forms(text: str) -> tuple[str, ...]:
    """Return the text as it stands and with one layer of decoration less each: stops, quotes, brackets, emphasis.

    >>> forms("**(B)**.")
    ('**(b)**.', '**(b)**', '(b)', 'b')
    """
    rest = unified(text).casefold().strip()
    found: list[str] = []
    for _ in range(_LAYERS):
        form = " ".join(rest.split())
        if form and (not found or form != found[-1]):
            found.append(form)
        peeled = _peeled(rest)
        if peeled == rest:
            break
        rest = peeled
    return tuple(found)


def _peeled(text: str) -> str:
    mark = _LIST_MARK.match(text)
    if mark and mark.end() < len(text):
        return text[mark.end() :].strip()
    if text[:1] in "¿¡" or text[-1:] in _STOPS:
        return text.lstrip("¿¡ ").rstrip(_STOPS)
    for opening, closing in _PAIRS:
        if len(text) > len(opening) + len(closing) and text.startswith(opening) and text.endswith(closing):
            inner = text[len(opening) : -len(closing)]
            return inner.partition("\n")[2].strip() if opening == "```" and "\n" in inner else inner.strip()
    return text.strip("*_`~")


def commitment(text: str) -> str | None:
    r"""Return what follows the last "Answer:" or "the answer is", or stands in the last \\boxed{}; None without any.

    >>> commitment("It is blue.\nAnswer: **red**")
    '**red**'
    """
    text = unified(text)
    cue = None
    for cue in _CUE.finditer(text):  # noqa: B007 - the last one is wanted
        pass
    boxed = text.rfind("\\boxed{")
    if boxed >= 0 and (cue is None or boxed >= cue.start()):
        return _braced(text, boxed + len("\\boxed{"))
    return (text[cue.end() :].strip() or None) if cue is not None else None


def _braced(text: str, start: int) -> str:
    depth = 1
    for i in range(start, len(text)):
        depth += (text[i] == "{") - (text[i] == "}")
        if depth == 0:
            return text[start:i].strip()
    return text[start:].strip()


def first_line(text: str) -> str:
    """Return the first line that is not blank, stripped, or the empty string."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def fenced(text: str) -> Iterator[tuple[str, str]]:
    """Yield (language, body) of each fenced block in order; a fence that is never closed runs to the end.

    The indentation of the opening fence is taken off the body's lines.

    >>> list(fenced("Here:\\n```python\\nx = 1\\n```\\nDone."))
    [('python', 'x = 1\\n')]
    """
    at = 0
    while opening := _FENCE.search(text, at):
        indent, mark, language = opening.groups()
        closing = re.compile(rf"^[ \t]*{mark[0]}{{{len(mark)},}}[ \t]*$", re.MULTILINE).search(text, opening.end())
        body = text[opening.end() : closing.start() if closing else len(text)]
        if indent:
            body = re.sub(rf"^[ \t]{{1,{len(indent)}}}", "", body, flags=re.MULTILINE)
        yield language.strip().casefold(), body
        if closing is None:
            return
        at = closing.end()


def occurs(needle: str, text: str) -> bool:
    """Say whether the needle stands in the text as whole words; both must be `folded`.

    A number inside a longer number (3 in 3.5, 234 in 1,234, 5 in -5) is not a whole word. In scripts without spaces any
    occurrence counts.
    """
    return next(occurrences(needle, text), None) is not None


def occurrences(needle: str, text: str) -> Iterator[int]:
    """Yield the positions at which the needle stands in the text as whole words."""
    at = text.find(needle) if needle else -1
    while at >= 0:
        if not _inside(text, at) and not _inside(text, at + len(needle)) and not _negative(text, at):
            yield at
        at = text.find(needle, at + 1)


def _inside(text: str, i: int) -> bool:
    # Whether the place between text[i - 1] and text[i] is inside a word or a number.
    if not 0 < i < len(text):
        return False
    left, right = text[i - 1], text[i]
    if unicodedata.category(right).startswith("M"):
        return True
    if unspaced(left) or unspaced(right):
        return False
    if _wordly(left) and _wordly(right):
        # "_Paris_" is emphasis, "foo_bar" is one word.
        return not (left == "_" and (i < 2 or not _wordly(text[i - 2]))) and not (
            right == "_" and (i + 1 >= len(text) or not _wordly(text[i + 1]))
        )
    if left.isdecimal() and right in ".," and text[i + 1 : i + 2].isdecimal():
        return right == "." or _three_digits(text, i + 1)
    if left in ".," and right.isdecimal() and i >= 2 and text[i - 2].isdecimal():
        return left == "." or _three_digits(text, i)
    return False


def _three_digits(text: str, i: int) -> bool:
    return len(text[i : i + 3]) == 3 and text[i : i + 3].isdecimal() and not text[i + 3 : i + 4].isdecimal()


def _negative(text: str, i: int) -> bool:
    return (
        text[i].isdecimal()
        and i > 0
        and text[i - 1] == "-"
        and (i < 2 or not (_wordly(text[i - 2]) or text[i - 2] in ")]"))
    )


def _wordly(character: str) -> bool:
    return character.isalnum() or character == "_" or unicodedata.category(character).startswith("M")


def unspaced(character: str) -> bool:
    """Say that the character belongs to a script that is written without spaces between words."""
    return _UNSPACED_CHARACTER.match(character) is not None


def spaced(text: str) -> tuple[str, int]:
    """Return the text with a space for each character of an unspaced script, and how many those are."""
    return _UNSPACED_CHARACTER.subn(" ", text)


def words(text: str) -> list[str]:
    """Return the words of a `folded` text: apostrophes dropped, numbers whole, each unspaced character a word.

    >>> words("don't pay 3.5 dollars")
    ['dont', 'pay', '3.5', 'dollars']
    """
    if text.isascii():
        return _ASCII_WORD.findall(text.replace("'", ""))
    found: list[str] = []
    current = ""
    for i, character in enumerate(text):
        if unspaced(character) and not unicodedata.category(character).startswith("M"):
            found.extend(filter(None, (current, character)))
            current = ""
        elif _wordly(character) or (character in ".," and current[-1:].isdecimal() and text[i + 1 : i + 2].isdecimal()):
            current += character
        elif character != "'":
            found.extend(filter(None, (current,)))
            current = ""
    return [*found, *filter(None, (current,))]
