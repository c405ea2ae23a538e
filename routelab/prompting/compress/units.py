"""A text in the units that are kept or dropped: sentences, list items, and what stays whole, with the headings that they need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from routelab.prompting.compress.cut import Span
from routelab.prompting.compress.layout import Block, blocks
from routelab.text.breaks import last_word, sentence_ends, whole

LONGEST = 1_000
"""Characters; a longer sentence is most likely none, and is divided between words."""
MARK = "[…]"


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """A stretch of a text without the blanks around it, and the units that it says nothing without: headings, a list's lead.

    A `title` is never kept for itself; what is `held` always is. `block` numbers the paragraph that it is part of, `passage` the numbered
    passage, from 1 in their order; 0 outside of any.
    """

    start: int
    end: int
    needs: tuple[int, ...] = ()
    title: bool = False
    held: bool = False
    block: int = 0
    passage: int = 0


def units(text: str, stays: Sequence[Span] = ()) -> tuple[Unit, ...]:
    """Return the units of a text in order; between them are only blanks."""
    return tuple(_units(text, stays))


def _units(text: str, stays: Sequence[Span]) -> Iterator[Unit]:
    titles: list[tuple[int, int]] = []
    parents: list[tuple[int, int]] = []
    lead: int | None = None
    n = passage = 0
    for number, block in enumerate(blocks(text)):
        if block.kind == "blank":
            continue
        if block.kind in ("heading", "source"):
            titles = [entry for entry in titles if entry[0] < block.rank]
            span = _bare(text, block.start, block.end)
            passage += block.kind == "source"
            above = tuple(at for _, at in titles)
            held = _held(span, stays)
            yield Unit(start=span[0], end=span[1], needs=() if held else above, title=True, held=held, block=number)
            titles.append((block.rank, n))
            lead, parents = None, []
            n += 1
            continue
        above = tuple(at for _, at in titles)
        if block.kind == "item":
            indent = _indent(text, block)
            parents = [entry for entry in parents if entry[0] < indent]
            above = (*above, *(() if lead is None else (lead,)), *(at for _, at in parents))
            parents.append((indent, n))
        else:
            lead, parents = None, []
        for span in _spans(text, block):
            start, end = span
            held = _held(span, stays)
            # A question says something without the heading that it happens to stand below.
            yield Unit(start=start, end=end, needs=() if held else above, held=held, block=number, passage=passage)
            n += 1
        if block.kind == "prose" and text[max(block.start, block.end - 80) : block.end].rstrip()[-1:] in (":", "："):
            lead = n - 1


def _held(span: Span, stays: Sequence[Span]) -> bool:
    return any(start < span[1] and span[0] < end for start, end in stays)


def _indent(text: str, block: Block) -> int:
    line = text[block.start : min(block.end, block.start + 200)]
    return len(line) - len(line.lstrip())


def _spans(text: str, block: Block) -> Iterator[Span]:
    """Yield a block's sentences without the blanks around them; an item and what stays whole undivided."""
    if block.kind == "whole" or (block.kind == "item" and block.end - block.start <= LONGEST):
        yield block.start, _bare(text, block.start, block.end)[1]
        return
    at = block.start
    for end in (*sentence_ends(text, block.start, block.end), block.end):
        yield from _divided(text, at, end)
        at = end


def _divided(text: str, start: int, end: int) -> Iterator[Span]:
    start, end = _bare(text, start, end)
    while end - start > LONGEST:
        cut = last_word(text, start + LONGEST // 2, start + LONGEST)
        cut = cut if cut > start else whole(text, start + LONGEST, start)
        yield _bare(text, start, cut)
        # Only its own blanks: looking for those at the end again and again would take the square of the time.
        start = cut + len(text[cut : cut + LONGEST]) - len(text[cut : cut + LONGEST].lstrip())
    if end > start:
        yield start, end


def _bare(text: str, start: int, end: int) -> Span:
    said = text[start:end]
    return start + len(said) - len(said.lstrip()), end - (len(said) - len(said.rstrip()))


def told(text: str, found: Sequence[Unit], kept: Sequence[int]) -> str:
    """Return the kept units in order, with a mark for each stretch that is left out; what stands together stays as it stands.

    A stretch that is shorter than its mark is left out without one.
    """
    if found and len(kept) == len(found):
        return text[found[0].start : found[-1].end]
    parts: list[str] = []
    before = -1
    for n in [*kept, len(found)]:
        if n == before + 1:
            if 0 < n < len(found):
                parts.append(text[found[before].end : found[n].start])
        else:
            low = found[before].end if before >= 0 else 0
            high = found[n].start if n < len(found) else len(text)
            same = before >= 0 and n < len(found) and found[before].block == found[n].block
            # A line of its own between paragraphs; what is indented keeps its indentation.
            left, right = (" ", " ") if same else ("\n" if before >= 0 else "", "\n" if n < len(found) else "")
            mark = f"{left}{MARK}{right}"
            parts.append(mark if len(mark) <= high - low else left or right)
        if n < len(found):
            parts.append(text[found[n].start : found[n].end])
        before = n
    return "".join(parts)
