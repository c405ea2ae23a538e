"""A text page by page with its chunks shaded, what overlaps, what was found and where the answer stands; escaped, and readable bare."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from routelab.chunking import Chunk
from routelab.lab.chunks.spans import Span
from routelab.present import escape
from routelab.present.html import PLAIN

PAGE = 2_500
"""Characters of a page; it ends at a line or a word before that."""
BACK = 400
GOLD = "holds a part of the answer"
# Tints over whatever the page's colour is, so that they are seen on white and on black; each kind of mark has a sign too.
STYLE = (
    "<style>"
    ".rl .rl-chunks{white-space:pre-wrap;overflow-wrap:anywhere;line-height:1.75;max-height:42em;overflow:auto;padding:4px 10px;"
    "border:1px solid var(--jp-border-color2,var(--vscode-panel-border,#8886))}"
    ".rl .rl-even{background:rgba(128,128,128,.17)}.rl .rl-odd{background:rgba(86,180,233,.24)}"
    ".rl .rl-twice{background:rgba(230,159,0,.30)}.rl .rl-none{text-decoration:line-through;opacity:.7}"
    ".rl .rl-hit{border-bottom:2px solid #0072B2;-webkit-box-decoration-break:clone;box-decoration-break:clone}"
    ".rl .rl-gold{font-weight:700;text-decoration:underline;text-decoration-thickness:2px;outline:1px solid #D55E00}"
    ".rl .rl-no{font-size:10.5px;font-weight:600;padding:0 4px;margin:0 2px 0 1px;border-radius:3px;white-space:nowrap;cursor:help;"
    "border:1px solid var(--jp-border-color1,#888a);background:var(--jp-layout-color1,transparent)}"
    ".rl .rl-no.rl-found{background:#0072B2;border-color:#0072B2;color:#fff}"
    ".rl .rl-end{font-size:10.5px;font-weight:400;opacity:.75;white-space:nowrap;cursor:help}"
    ".rl .rl-key{display:inline-block;margin:2px 16px 2px 0;white-space:nowrap}"
    ".rl .rl-key>span{padding:0 5px;margin-right:2px}"
    "</style>"
)


@dataclass(frozen=True, kw_only=True)
class Marks:
    """What is marked besides the borders: found chunks by order with rank and score, and where the answer stands."""

    hits: Mapping[int, tuple[int, float]] = field(default_factory=dict)
    gold: tuple[Span, ...] = ()


def pages(text: str, size: int = PAGE) -> list[int]:
    """Return the borders of a text's pages, from 0 to its length: each at the end of a line or a word where one is near.

    >>> pages("ab cd ef", 4)
    [0, 3, 6, 8]
    """
    borders = [0]
    while (start := borders[-1]) + size < len(text):
        reach = start + size
        floor = max(start + 1, reach - BACK)
        line = text.rfind("\n", floor, reach)
        at = line if line >= 0 else text.rfind(" ", floor, reach)
        borders.append(at + 1 if at >= 0 else reach)
    return [*borders, len(text)] if text else [0, 0]


def page(
    text: str, chunks: Sequence[Chunk], tokens: NDArray[np.int64], between: Span, marks: Marks | None = None
) -> str:
    """Return HTML of the text between two offsets; `tokens` are the chunks' own, in their order."""
    marks = marks or Marks()
    start, end = between
    near = [c for c in chunks[_before(chunks, start) :] if c.start < end and c.end > start]
    cuts = {start, end}
    for a, b in [*((c.start, c.end) for c in near), *marks.gold]:
        cuts |= {offset for offset in (a, b) if start < offset < end}
    edges = sorted(cuts)
    parts = []
    for a, b in pairwise(edges):
        here = [c for c in near if c.start <= a and c.end >= b]
        begin = [c for c in here if c.start == a or (a == start and c.start < start)]
        # Where the next one begins is also where this one ends: nothing needs to be said.
        ending = [c for c in near if c.end == b and c.end < len(text) and not any(d.start == b for d in near)]
        signs = (
            "".join(_number(c, len(chunks), int(tokens[c.order]), marks, cut=c.start < a) for c in begin),
            "".join(_end(c, len(chunks)) for c in ending),
        )
        parts.append(_piece(text[a:b], here, marks, signs, gold=any(g <= a and b <= h for g, h in marks.gold)))
    return f'{STYLE}<div class="rl-chunks {PLAIN}" tabindex="0">{"".join(parts)}</div>'


def legend(*, overlap: bool, lost: bool, hits: bool, gold: bool) -> str:
    """Return what the marks mean, those that there are."""
    keys = [
        '<span class="rl-no">7</span> chunk 7 begins; point at it for more',
        '<span class="rl-even">one chunk</span><span class="rl-odd">and the next</span>',
        *(['<span class="rl-twice">in two chunks</span> (overlap; ◂6 is where chunk 6 ends)'] if overlap else []),
        *(['<span class="rl-none">in no chunk</span>'] if lost else []),
        *(
            ['<span class="rl-no rl-found">7 ★1 0.83</span> <span class="rl-hit">found</span>: rank and score']
            if hits
            else []
        ),
        *(['<span class="rl-gold">gold</span> ' + GOLD] if gold else []),
    ]
    return f'<div class="m {PLAIN}">' + "".join(f'<span class="rl-key">{key}</span> ' for key in keys) + "</div>"


def metadata(chunk: Chunk, of: int, tokens: int) -> tuple[tuple[str, str], ...]:
    """Return what a chunk carries, as names and texts."""
    path = " › ".join(chunk.headings) if chunk.headings else "none"
    return (
        ("source", chunk.source or "none"),
        ("headings", path),
        (
            "characters",
            f"{chunk.start:,} – {chunk.end:,} ({chunk.end - chunk.start:,}, {chunk.repeated:,} of them repeated)",
        ),
        ("order", f"{chunk.order + 1:,} of {of:,}"),
        ("tokens", f"{tokens:,}"),
    )


def plain(text: str, chunks: Sequence[Chunk], between: Span, marks: Marks | None = None) -> str:
    """Return the text between two offsets with a sign where each chunk begins, for where no HTML is shown."""
    marks = marks or Marks()
    start, end = between
    signs: list[tuple[int, str]] = []
    for chunk in chunks[_before(chunks, start) :]:
        if start <= chunk.start < end:
            hit = marks.hits.get(chunk.order)
            signs.append((chunk.start, f"⟦{chunk.order + 1}{'' if hit is None else f' ★{hit[0]} {hit[1]:.3f}'}⟧"))
    for a, b in marks.gold:
        signs += [(at, sign) for at, sign in ((a, "«"), (b, "»")) if start <= at <= end]
    parts, at = [], start
    for offset, sign in sorted(signs):
        parts += [text[at:offset], sign]
        at = offset
    return "".join([*parts, text[at:end]])


def _before(chunks: Sequence[Chunk], offset: int) -> int:
    """Return the first chunk that may reach beyond the offset; chunks are in the order of where they begin."""
    at = bisect_right(chunks, offset, key=lambda chunk: chunk.start)
    while at > 0 and chunks[at - 1].end > offset:
        at -= 1
    # An adapted splitter's chunks may end in another order: one more is looked at.
    return max(0, at - 1)


def _number(chunk: Chunk, of: int, tokens: int, marks: Marks, *, cut: bool) -> str:
    hit = marks.hits.get(chunk.order)
    found, more = ("", "") if hit is None else (" rl-found", f" ★{hit[0]} {hit[1]:.3f}")
    said = "&#10;".join(escape(f"{name}: {value}", 600) for name, value in metadata(chunk, of, tokens))
    if hit is not None:
        said = f"found: rank {hit[0]}, score {hit[1]:.4f}&#10;{said}"
    return f'<b class="rl-no{found}" title="{said}">{"…" if cut else ""}{chunk.order + 1}{more}</b> '


def _end(chunk: Chunk, of: int) -> str:
    return f'<i class="rl-end" title="chunk {chunk.order + 1} of {of} ends here">◂{chunk.order + 1}</i>'


def _piece(text: str, here: Sequence[Chunk], marks: Marks, signs: tuple[str, str], *, gold: bool) -> str:
    shade = "rl-none" if not here else "rl-twice" if len(here) > 1 else "rl-odd" if here[0].order % 2 else "rl-even"
    hit = " rl-hit" if any(chunk.order in marks.hits for chunk in here) else ""
    # Signs stand beside the first and the last word: alone on a line that is otherwise empty they would belong to nothing.
    words = text.strip("\n")
    before, after = text[: len(text) - len(text.lstrip("\n"))] if words else "", ""
    if words:
        after = text[len(before) + len(words) :]
    body = escape(words, 10 * PAGE)
    if gold and words:
        body = f'<b class="rl-gold" title="{GOLD}">{body}</b>'
    return f'<span class="{shade}{hit}">{before}{signs[0]}{body}{signs[1]}{after if words else text}</span>'


def page_of(borders: Sequence[int], offset: int) -> int:
    """Return the page, from 0, that an offset is on."""
    return max(0, min(bisect_right(borders, offset) - 1, len(borders) - 2))


def chunk_at(chunks: Sequence[Chunk], offset: int) -> int:
    """Return the order of the first chunk that begins at an offset or after it, or the last one."""
    return min(bisect_left(chunks, offset, key=lambda chunk: chunk.start), max(0, len(chunks) - 1))
