"""How a text of a prompt is laid out: headings, list items, prose, and what must not be touched inside."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from routelab.text.blocks import ITEM, marks

Kind = Literal["blank", "heading", "source", "item", "prose", "whole"]

_ITEM = re.compile(r"[ \t]*(?:[-*+•]|\d{1,9}[.)])[ \t]")
_SOURCE = re.compile(r"\[\d{1,5}\] \S")
_INDENTED = re.compile(r"(?: {2,}| ?\t)[ \t]*\S")
_INNER = re.compile(r"(?<=[^\s.!?…:;])[^\S\n]{2,}(?=\S)")
_TABBED = re.compile(r"\S[^\S\n]*\t[^\S\n]*\S")
_SPACED = re.compile(r"[^\S\n]{2}|\t")
_DIFF = re.compile(r"@@ -\d+(?:,\d+)? \+\d+(?:,\d+)? @@|diff --git ")
# What HTML shows as it stands. The name is repeated at the end, so that one does not close the other.
_SHOWN = re.compile(r"<(pre|textarea|table)\b", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A stretch of a text from `start` to `end`, its line end included.

    "source" is the line that numbers a passage, "whole" what means something by its blanks and lines: fences, tables, front matter,
    indented text, columns. The smaller a heading's `rank`, the higher it stands; a source's is 0. `tagged`: it is whole for its
    indentation, but most of its lines begin with a tag, as those of a web page do.
    """

    kind: Kind
    start: int
    end: int
    rank: int = 0
    tagged: bool = False


@functools.lru_cache(maxsize=4)
def blocks(text: str) -> tuple[Block, ...]:
    """Return the blocks of a text, which follow one another without a gap; the latest few texts' are remembered.

    >>> [b.kind for b in blocks("# Fees\\n\\nThere are two:\\n- one\\n- two\\n\\n```\\nx  = 1\\n```\\n")]
    ['heading', 'blank', 'prose', 'item', 'item', 'blank', 'whole']
    """
    if structured(text):
        return (Block(kind="whole", start=0, end=len(text)),)
    wholes, titles = _marked(text)
    found: list[Block] = []
    at = 0
    for start, end in [*wholes, (len(text), len(text))]:
        if start > at:
            found += _plain(text, at, start, titles)
        if end > start:
            found.append(Block(kind="whole", start=start, end=end))
        at = end
    return tuple(found)


def structured(text: str) -> bool:
    """Say whether a text is JSON as a whole: an object or a list."""
    bare = text.strip()
    if bare[:1] not in ("{", "[") or bare[-1:] not in ("}", "]"):
        return False
    try:
        json.loads(bare)
    except (ValueError, RecursionError):
        return False
    return True


def _marked(text: str) -> tuple[list[tuple[int, int]], dict[int, int]]:
    """Return the stretches that stay whole, in order and apart, and the ranks of headings by their offsets."""
    wholes: list[tuple[int, int]] = []
    titles: dict[int, int] = {}
    for mark in marks(text):
        if mark.end > mark.at:
            wholes.append((mark.at, mark.end))
        elif mark.title is not None and mark.rank < ITEM:
            titles[mark.at] = mark.rank
    shown = list(_shown(text))
    if not shown:
        return wholes, titles
    joined: list[tuple[int, int]] = []
    for start, end in sorted([*wholes, *shown]):
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined, titles


def _shown(text: str) -> Iterator[tuple[int, int]]:
    """Yield the lines of HTML's tables and preformatted texts that are closed."""
    at = 0
    lowered = text.lower() if "<" in text else ""
    # Lowering may change the length of a few letters; offsets would then be wrong.
    if len(lowered) != len(text):
        return
    missing: set[str] = set()
    while (found := _SHOWN.search(text, at)) is not None:
        name = found[1].lower()
        close = -1 if name in missing else lowered.find(f"</{name}>", found.end())
        if close < 0:
            missing.add(name)
            at = found.end()
            continue
        end = text.find("\n", close) + 1 or len(text)
        start = text.rfind("\n", 0, found.start()) + 1
        yield start, end
        at = end


def _plain(text: str, low: int, high: int, titles: dict[int, int]) -> Iterator[Block]:
    """Yield the blocks of a stretch without anything whole: paragraphs, divided at headings, sources and items."""
    lines: list[tuple[int, int]] = []
    at = low
    while at < high:
        end = min(text.find("\n", at) + 1 or high, high)
        blank = text[at:end].isspace()
        if blank:
            yield from _paragraph(text, lines, titles)
            lines = []
            yield Block(kind="blank", start=at, end=end)
        else:
            lines.append((at, end))
        at = end
    yield from _paragraph(text, lines, titles)


def _paragraph(text: str, lines: list[tuple[int, int]], titles: dict[int, int]) -> Iterator[Block]:
    rest: list[tuple[int, int]] = []
    n = 0
    while n < len(lines):
        start, end = lines[n]
        n += 1
        rank = titles.get(start)
        if rank is not None:
            yield from _body(text, rest)
            rest = []
            if text[start:end].lstrip()[:1] != "#" and n < len(lines):
                end = lines[n][1]  # the line that underlines it
                n += 1
            yield Block(kind="heading", start=start, end=end, rank=rank)
        elif _SOURCE.match(text, start):
            yield from _body(text, rest)
            rest = []
            yield Block(kind="source", start=start, end=end)
        else:
            rest.append((start, end))
    yield from _body(text, rest)


def _body(text: str, lines: list[tuple[int, int]]) -> Iterator[Block]:
    """Yield lines that belong together as one block of prose or one that stays whole, and their items one by one."""
    if not lines:
        return
    items = [n for n, (start, _) in enumerate(lines) if _ITEM.match(text, start)]
    first = items[0] if items else len(lines)
    low, high = lines[0][0], lines[-1][1]
    spaced = _SPACED.search(text, low, high) is not None
    indented = spaced and any(_INDENTED.match(text, start) for start, _ in lines[:first])
    if indented or (spaced and _aligned(text, lines)) or _changes(text, lines):
        tags = sum(text[start : min(end, start + 200)].lstrip()[:1] == "<" for start, end in lines)
        yield Block(kind="whole", start=low, end=high, tagged=2 * tags > len(lines))
        return
    if first:
        yield Block(kind="prose", start=lines[0][0], end=lines[first - 1][1])
    for n, following in zip(items, [*items[1:], len(lines)], strict=False):
        yield Block(kind="item", start=lines[n][0], end=lines[following - 1][1])


def _aligned(text: str, lines: list[tuple[int, int]]) -> bool:
    """Say whether lines form columns: tabs between words, or runs of blanks that end under one another."""
    before: set[int] = set()
    for start, end in lines:
        if _TABBED.search(text, start, end):
            return True
        ends = {found.end() - start for found in _INNER.finditer(text, start, end)}
        if ends & before:
            return True
        before = ends
    return False


def _changes(text: str, lines: list[tuple[int, int]]) -> bool:
    """Say whether lines are a diff, in which each line's first character means something."""
    low, high = lines[0][0], lines[-1][1]
    said = text.find("@@ -", low, high) >= 0 or text.startswith("diff --git ", low)
    return said and any(_DIFF.match(text, start) for start, _ in lines)
