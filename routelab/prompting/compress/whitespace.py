"""Blanks that say nothing: runs of them, those at the ends of lines, blank lines in a row, characters without a width."""

from __future__ import annotations

import re
from dataclasses import dataclass

from routelab.prompting.compress.cut import Asked, Cut, Keep, check_shared, settled
from routelab.prompting.compress.layout import blocks, structured

_RUN = re.compile(
    # What stands between quotation marks is found first, and left as it is.
    r"\"[^\"\n]{0,400}\"|`[^`\n]{0,400}`|“[^”\n]{0,400}”|«[^»\n]{0,400}»|(?<!\w)'[^'\n]{0,200}'(?!\w)|(?P<blanks>[^\S\n]{2,})"
)
_JSON = re.compile(r"(?P<string>\"(?:[^\"\\]|\\.)*+\")|\s+", re.DOTALL)
_SPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
"""Scripts that mark the ends of words by zero-width spaces: Thai, Lao, Burmese, Khmer."""
_WIDTHLESS = re.compile(
    # Joiners are letters' business in Arabic and Indic scripts, and hold emoji together; beside ASCII they are debris.
    "[\u00ad\u2060\ufeff]"
    f"|(?<![{_SPACED}])\u200b|\u200b(?![{_SPACED}])"
    "|(?<![^\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f])"
)


@dataclass(frozen=True, kw_only=True)
class Whitespace:
    """Takes out blanks that say nothing, and changes no word.

    Runs of blanks within a line become one, blanks at the ends of lines and all but one of several blank lines go, and so do
    characters without a width. Left alone are the insides of code fences, tables, front matter, indented text and columns, runs of
    blanks between quotation marks, and how far a line is indented. A text that is JSON loses all blanks between its strings and
    numbers. `over_tokens` and `keep` are as in `cut.Compressor`.
    """

    over_tokens: int = 0
    keep: tuple[Keep, ...] = ()

    def __post_init__(self) -> None:
        check_shared(self.over_tokens)

    def __call__(self, text: str, asked: Asked) -> Cut:
        """Return the text without them."""
        return settled(text, asked, lambda now: Cut(text=tight(now)))


def tight(text: str) -> str:
    """Return the text after one pass.

    >>> tight('One  two. \\n\\n\\n\\n  it says  "a  b"')
    'One two.\\n\\n  it says "a  b"'
    """
    if structured(text):
        return _JSON.sub(lambda found: found["string"] or "", text)
    parts: list[str] = []
    found = blocks(text)
    n = 0
    while n < len(found):
        block = found[n]
        if block.kind == "whole":
            parts.append(text[block.start : block.end])
        elif block.kind != "blank":
            parts.append(_line_by_line(text[block.start : block.end]))
        else:
            first = n
            while n + 1 < len(found) and found[n + 1].kind == "blank":
                n += 1
            if first > 0 and n + 1 < len(found):
                # Between two blocks that stay whole there may be blank lines of one program.
                within = found[first - 1].kind == "whole" and found[n + 1].kind == "whole"
                parts.append(text[found[first].start : found[n].end] if within else "\n")
        n += 1
    made = "".join(parts)
    return made if found and found[-1].kind == "whole" else made.rstrip()


def _line_by_line(part: str) -> str:
    part = _WIDTHLESS.sub("", part)
    lines = []
    for line in part.split("\n"):
        bare = line.rstrip()
        body = bare.lstrip()
        lines.append(bare[: len(bare) - len(body)] + _RUN.sub(_one, body))
    return "\n".join(lines)


def _one(found: re.Match[str]) -> str:
    blanks = found["blanks"]
    return found[0] if blanks is None else " " if " " in blanks else blanks[0]
