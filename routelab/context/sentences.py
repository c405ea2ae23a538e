"""Sentences of a message, for summaries and facts: a stated, simple division."""

from __future__ import annotations

import re

_END = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+(?=[\"'“‘(\[]*[^\sa-zà-ÿ])|(?<=[。！？])|\n+")
_SHORT = re.compile(r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|No|Nr|vs|etc|e\.g|i\.e|approx|a\.m|p\.m)\.|\b[A-Z]\.)$")
LONGEST = 600
"""Characters; a longer sentence is most likely none (a table, a log, minified code) and is divided at a blank."""


def sentences(text: str) -> tuple[str, ...]:
    """Return the text's sentences and lines without the blanks around them; none is longer than 600 characters.

    >>> sentences("Ask Dr. Ito at 3.30 p.m. today. Why? Because.")
    ('Ask Dr. Ito at 3.30 p.m. today.', 'Why?', 'Because.')
    """
    found: list[str] = []
    joined = ""
    for part in _END.split(text):
        joined = f"{joined} {part}".strip() if joined else part.strip()
        if joined and not _SHORT.search(joined):
            found += _divided(joined)
            joined = ""
    return (*found, *_divided(joined)) if joined else tuple(found)


def _divided(text: str) -> list[str]:
    pieces = []
    while len(text) > LONGEST:
        cut = text.rfind(" ", LONGEST // 2, LONGEST)
        cut = cut if cut > 0 else LONGEST
        pieces.append(text[:cut].rstrip())
        text = text[cut:].lstrip()
    return [*pieces, text] if text else pieces
