"""What a Markdown text is made of, line by line: where it may be broken, and what had better stay whole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

FRONT_LINES = 200
"""A front matter longer than this is taken for text between two rulers."""
BLOCK, ITEM = 7, 8
"""Ranks below a heading's, which is its level, 1 to 6."""

LONGEST_TITLE = 200

_HEADING = re.compile(r" {0,3}(#{1,6})(?=\s|\Z)")
_FENCE = re.compile(r"[ \t]*(?:>[ \t]?|[-*+][ \t]+|\d{1,9}[.)][ \t]+){0,8}(`{3,}|~{3,}|\$\$)([^\n]*)")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*\r?\n?\Z")
_DELIMITERS = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*\r?\n?\Z")
_ITEM = re.compile(r"[ \t]*(?:[-*+•]|\d{1,9}[.)])[ \t]")
_LINK = re.compile(r"!?\[([^\]\[]*)\]\([^()\s]*\)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """At `at` something begins: the smaller the rank, the better a chunk ends before it.

    `end` is where what begins here ends if it should stay whole (a fence, a table, front matter), else 0. `title` is a
    heading's.
    """

    at: int
    rank: int
    end: int = 0
    title: str | None = None


def marks(text: str) -> Iterator[Mark]:
    """Yield the marks of a text in ascending order, one line ahead of what is asked, but for a fence: that is read to its end."""
    lines = _Lines(text)
    front = _front_matter(text)
    if front:
        yield Mark(at=0, rank=BLOCK, end=front)
        lines.at = front
    between = True
    while (line := lines.next()) is not None:
        start, content = line
        if not content or content.isspace():
            between = True
            continue
        head = content.lstrip()[0]
        special = _special(text, lines, start, content, head)
        if special is not None:
            yield special
            between = True
        elif between:
            yield _paragraph(text, lines, start, content)
            between = False
        elif head in "-*+•0123456789" and _ITEM.match(content):
            yield Mark(at=start, rank=ITEM)


class _Lines:
    """The lines of a text with their offsets, one after the other; `at` may be moved on."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.at = 0

    def next(self) -> tuple[int, str] | None:
        """Return the next line and move on, or None at the end."""
        start = self.at
        if start >= len(self._text):
            return None
        self.at = self._text.find("\n", start) + 1 or len(self._text)
        return start, self._text[start : self.at]

    def peek(self) -> str:
        """Return the next line."""
        end = self._text.find("\n", self.at) + 1 or len(self._text)
        return self._text[self.at : end]


def _special(text: str, lines: _Lines, start: int, content: str, head: str) -> Mark | None:
    if head == "#" and (found := _HEADING.match(content)):
        return Mark(at=start, rank=len(found[1]), title=_plain(_opened(content[found.end() :])))
    if head in "`~$>-*+0123456789" and (found := _FENCE.match(content)):
        fence, rest = found[1], found[2]
        if (fence[0] == "`" and "`" in rest) or (fence == "$$" and "$$" in rest):
            return None  # code within a line
        return Mark(at=start, rank=BLOCK, end=_close(text, lines, fence))
    if "|" in content and "|" in (below := lines.peek()) and "-" in below and _DELIMITERS.match(below):
        while "|" in lines.peek():
            lines.next()
        return Mark(at=start, rank=BLOCK, end=lines.at)
    return None


def _close(text: str, lines: _Lines, fence: str) -> int:
    """Move past the line that closes a fence, or to the end of the text, as CommonMark has it."""
    closing = re.compile(rf"^[ \t>]*{re.escape(fence[0])}{{{len(fence)},}}[ \t]*\r?$", re.MULTILINE)
    at = lines.at
    # Jumping from fence to fence is faster than reading lines.
    while (found := text.find(fence, at)) >= 0:
        line = text.rfind("\n", lines.at - 1, found) + 1
        if line >= lines.at and closing.match(text, line):
            lines.at = text.find("\n", found) + 1 or len(text)
            return lines.at
        at = text.find("\n", found) + 1 or len(text)
    lines.at = len(text)
    return lines.at


def _paragraph(text: str, lines: _Lines, start: int, content: str) -> Mark:
    """Return the mark of a paragraph's first line, which is a heading when the next line underlines it."""
    below = lines.peek()
    if below[:4].lstrip(" ")[:1] in ("=", "-") and (found := _UNDERLINE.match(below)) and not _ITEM.match(content):
        lines.next()
        return Mark(at=start, rank=1 if found[1][0] == "=" else 2, title=_plain(content))
    return Mark(at=start, rank=BLOCK)


def _front_matter(text: str) -> int:
    """Return where a front matter (YAML between `---`, TOML between `+++`) ends, or 0."""
    opening = re.match(r"\ufeff?(---|\+\+\+)[ \t]*\r?\n", text)
    if opening is None:
        return 0
    at = opening.end()
    for _ in range(FRONT_LINES):
        end = text.find("\n", at) + 1 or len(text)
        line = text[at:end].rstrip()
        if line == opening[1] or (line == "..." and opening[1] == "---"):
            return end
        if end >= len(text):
            break
        at = end
    return 0


def _opened(title: str) -> str:
    """Return a heading's text without the marks that may close it."""
    title = title.strip()
    bare = title.rstrip("#")
    return bare if not bare or bare[-1].isspace() else title


def _plain(title: str) -> str:
    """Return a title as it is read: links by their text, no marks of emphasis or code, one line."""
    return " ".join(_LINK.sub(r"\1", title[: 5 * LONGEST_TITLE]).replace("*", "").replace("`", "").split())[
        :LONGEST_TITLE
    ]
