"""Markdown by its structure: sections, blocks, sentences, with the headings above each chunk."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from routelab.chunking.chunk import Chunk
from routelab.chunking.limits import Limits, Unit
from routelab.chunking.packing import packed
from routelab.chunking.prose import Prose
from routelab.chunking.ruler import Ruler
from routelab.text.blocks import Mark, marks
from routelab.text.breaks import last_line, last_sentence


@dataclass(frozen=True, kw_only=True)
class Markdown:
    """Ends a chunk before a heading, the higher the better, else between blocks, items, sentences, words.

    Fences of code or mathematics, tables and front matter are not divided where they fit into a chunk, and longer ones
    only between lines; what a chunk repeats never begins inside one. `headings` of a chunk is the path of titles above
    its first new character. A stronger break is taken when it leaves the chunk filled to the share `fill`. A heading of
    level `apart` or higher (1 is the highest) always begins a new chunk; 0: none must.
    """

    size: int = 400
    overlap: int | float = 0
    unit: Unit = "tokens"
    tokenizer: str = "o200k_base"
    fill: float = 0.5
    apart: int = 0

    def __post_init__(self) -> None:
        self.limits()
        if not 0 <= self.fill <= 1:
            raise ValueError(f"fill: a share from 0 to 1 is wanted, not {self.fill!r}")
        if not 0 <= self.apart <= 6:
            raise ValueError(f"apart: a heading's level, 1 to 6, or 0 is wanted, not {self.apart!r}")

    def limits(self) -> Limits:
        """Return what the fields say as limits."""
        return Limits(size=self.size, overlap=self.overlap, unit=self.unit, tokenizer=self.tokenizer)

    def stream(self, text: str, source: str = "") -> Iterator[Chunk]:
        """Yield the chunks one by one."""
        limits = self.limits()
        ruler = limits.ruler(text)
        guide = _Sections(text=text, ruler=ruler, size=self.size, fill=self.fill, apart=self.apart)
        return packed(text, source, limits, ruler, guide)

    def __call__(self, text: str, source: str = "") -> tuple[Chunk, ...]:
        """Return all chunks."""
        return tuple(self.stream(text, source))


class _Sections:
    """The guide of one text: its marks around the chunk that is being made, and the headings in force."""

    def __init__(self, *, text: str, ruler: Ruler, size: int, fill: float, apart: int) -> None:
        self._text = text
        self._ruler = ruler
        self._size = size
        self._fill = fill
        self._apart = apart
        self._coming = marks(text)
        self._marks: deque[Mark] = deque()
        self._prose = Prose(text=text, levels=(last_sentence, last_line), fill=fill)
        self._titles: list[tuple[int, tuple[tuple[int, str], ...]]] = [(0, ())]

    def end(self, start: int, fresh: int, reach: int) -> int:
        """Return the best break in (fresh, reach]."""
        self._look(start, reach)
        ahead = [mark for mark in self._marks if fresh < mark.at <= reach]
        for mark in ahead:
            if mark.rank <= self._apart and mark.at < len(self._text):
                return mark.at
        if reach >= len(self._text):
            return reach
        floor = max(fresh + 1, start + int(self._fill * (reach - start)))
        torn = next((m for m in reversed(self._marks) if m.at < reach < m.end), None)
        if torn is not None:
            if torn.at > fresh and (torn.at >= floor or self._fits(torn)):
                return self._best(ahead, min(floor, torn.at), torn.at)
            cut = last_line(self._text, max(fresh, torn.at), reach)
            return cut if cut > fresh else self._prose.end(start, fresh, reach)
        found = self._best(ahead, floor, reach)
        return found if found > fresh else self._outside(self._prose.end(start, fresh, reach), fresh)

    def begin(self, least: int, end: int) -> int:
        """Return a mark in the first half of what may be repeated, else a sentence, a word, outside of what stays whole."""
        self._look(0, end)
        whole = next((m for m in reversed(self._marks) if m.at == end and m.end), None)
        if whole is not None and self._fits(whole):
            # What comes next stays whole, so it gets the room it needs.
            least = max(least, min(end, self._ruler.back(whole.end, self._size)))
        held = next((m for m in self._marks if m.at < least < m.end), None)
        if held is not None:
            least = min(held.end, end)
        middle = (least + end) // 2
        found = next((m.at for m in self._marks if least <= m.at <= middle), -1)
        found = found if found >= 0 else self._prose.begin(least, end)
        held = next((m for m in self._marks if m.at < found < m.end), None)
        return found if held is None else min(held.end, end)

    def headings(self, at: int) -> tuple[str, ...]:
        """Return the path of titles in force at an offset, the outermost first."""
        self._look(0, at)
        known = bisect_right(self._titles, at, key=lambda entry: entry[0]) - 1
        del self._titles[:known]
        return tuple(title for _, title in self._titles[0][1] if title)

    def _fits(self, mark: Mark) -> bool:
        return self._ruler.reach(mark.at, self._size) >= mark.end

    def _best(self, ahead: list[Mark], low: int, high: int) -> int:
        """Return the last of the best ranked breaks in [low, high], or -1; where something whole ends is a break too."""
        best, rank = -1, 99
        for mark in ahead:
            if low <= mark.at <= high and mark.rank <= rank:
                best, rank = mark.at, mark.rank
        return best

    def _outside(self, cut: int, fresh: int) -> int:
        held = next((m for m in self._marks if m.at < cut < m.end), None)
        return cut if held is None else held.at if held.at > fresh else cut

    def _look(self, start: int, upto: int) -> None:
        """Read the marks up to an offset; forget what lies before the chunk."""
        while self._marks and self._marks[0].at < start and self._marks[0].end <= start:
            self._marks.popleft()
        while not self._marks or self._marks[-1].at <= upto:
            mark = next(self._coming, None)
            if mark is None:
                return
            self._marks.append(mark)
            if mark.end and mark.end < len(self._text):
                # What stays whole may be followed by text without a blank line between.
                self._marks.append(Mark(at=mark.end, rank=mark.rank))
            if mark.title is not None:
                above = tuple(entry for entry in self._titles[-1][1] if entry[0] < mark.rank)
                self._titles.append((mark.at, (*above, (mark.rank, mark.title))))
