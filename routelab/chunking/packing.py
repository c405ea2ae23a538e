"""Packing: chunk after chunk, each as long as its guide lets it be within the limits, each repeating the end of the last."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from routelab.chunking.chunk import Chunk
from routelab.chunking.limits import Limits
from routelab.chunking.ruler import Ruler


class Guide(Protocol):
    """Knows the good places of one text."""

    def end(self, start: int, fresh: int, reach: int) -> int:
        """Return where a chunk from `start` ends: after `fresh`, where the last one ended, and not after `reach`."""

    def begin(self, least: int, end: int) -> int:
        """Return where the chunk after `end` begins to repeat: from `least` to `end`."""

    def headings(self, at: int) -> tuple[str, ...]:
        """Return the titles above an offset."""


def packed(text: str, source: str, limits: Limits, ruler: Ruler, guide: Guide) -> Iterator[Chunk]:
    """Yield the chunks of a text: together they hold all of it, and each but for one indivisible cluster fits the size.

    What is repeated shrinks where the next thing that must stay whole needs the room, and to half of a chunk that is
    itself not longer than the overlap.
    """
    size, repeat, length = limits.size, limits.repeat, len(text)
    start = fresh = order = 0
    while fresh < length:
        reach = ruler.reach(start, size)
        if reach <= fresh:
            # What was repeated leaves no room for the next cluster, which may have several tokens.
            start = min(fresh, max(start, ruler.back(ruler.reach(fresh, 1), size)))
            reach = ruler.reach(start, size)
            if reach <= fresh:
                start, reach = fresh, ruler.reach(fresh, size)
        end = guide.end(start, fresh, reach)
        yield Chunk(
            text=text[start:end],
            start=start,
            end=end,
            order=order,
            source=source,
            headings=guide.headings(fresh),
            repeated=fresh - start,
            tokens=ruler.tokens(start, end),
        )
        ruler.forget(start)
        if repeat and end < length:
            least = ruler.back(end, repeat)
            start = guide.begin(least if least > start else min(end, (start + end + 1) // 2), end)
        else:
            start = end
        fresh, order = end, order + 1
