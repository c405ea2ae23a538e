"""Programs by their structure: definitions, statements, blocks, lines."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from routelab.chunking.breaks import last_word, whole, whole_after
from routelab.chunking.chunk import Chunk
from routelab.chunking.limits import Limits, Unit
from routelab.chunking.lines import Line, check_language, ranked
from routelab.chunking.packing import packed


@dataclass(frozen=True, kw_only=True)
class Code:
    """Ends a chunk before the outermost thing that begins in its last part, from the share `fill` of the room on.

    With `language` auto, a text that parses as Python is cut by its syntax tree, and `headings` names the classes and
    functions around a chunk's first new line; any other language by indentation, brackets and blank lines. Lines are
    divided only when they are longer than a chunk. A text up to `lines.PARSED` characters is parsed whole; of a longer
    one, and of other languages, only the lines around a chunk are held.
    """

    size: int = 400
    overlap: int | float = 0
    unit: Unit = "tokens"
    tokenizer: str = "o200k_base"
    fill: float = 0.5
    language: Literal["auto", "python", "other"] = "auto"

    def __post_init__(self) -> None:
        self.limits()
        check_language(self.language)
        if not 0 <= self.fill <= 1:
            raise ValueError(f"fill: a share from 0 to 1 is wanted, not {self.fill!r}")

    def limits(self) -> Limits:
        """Return what the fields say as limits."""
        return Limits(size=self.size, overlap=self.overlap, unit=self.unit, tokenizer=self.tokenizer)

    def stream(self, text: str, source: str = "") -> Iterator[Chunk]:
        """Yield the chunks one by one."""
        limits = self.limits()
        guide = _Program(text=text, fill=self.fill, lines=ranked(text, self.language))
        return packed(text, source, limits, limits.ruler(text), guide)

    def __call__(self, text: str, source: str = "") -> tuple[Chunk, ...]:
        """Return all chunks."""
        return tuple(self.stream(text, source))


class _Program:
    """The guide of one program: its lines around the chunk that is being made."""

    def __init__(self, *, text: str, fill: float, lines: Iterator[Line]) -> None:
        self._text = text
        self._fill = fill
        self._coming = lines
        self._lines: deque[Line] = deque()
        self._names: list[tuple[int, tuple[str, ...]]] = [(0, ())]

    def end(self, start: int, fresh: int, reach: int) -> int:
        """Return the best line's beginning in (fresh, reach]."""
        self._look(start, reach)
        if reach >= len(self._text):
            return reach
        floor = max(fresh + 1, start + int(self._fill * (reach - start)))
        best, rank, last = -1, -1, -1
        for line in self._lines:
            if fresh < line.at <= reach:
                last = line.at
                if line.at >= floor and (best < 0 or line.rank <= rank):
                    best, rank = line.at, line.rank
        if best >= 0 or last >= 0:
            return best if best >= 0 else last
        found = last_word(self._text, fresh, reach)
        return found if found > fresh else whole(self._text, reach, fresh)

    def begin(self, least: int, end: int) -> int:
        """Return the first line from `least` on; within a line that is longer, the first character."""
        self._look(0, end)
        found = next((line.at for line in self._lines if least <= line.at < end), -1)
        return found if found >= 0 else whole_after(self._text, least, end)

    def headings(self, at: int) -> tuple[str, ...]:
        """Return the names of what encloses the line at an offset, the outermost first."""
        self._look(0, at)
        known = bisect_right(self._names, at, key=lambda entry: entry[0]) - 1
        del self._names[:known]
        return self._names[0][1]

    def _look(self, start: int, upto: int) -> None:
        while self._lines and self._lines[0].at < start:
            self._lines.popleft()
        while not self._lines or self._lines[-1].at <= upto:
            line = next(self._coming, None)
            if line is None:
                return
            self._lines.append(line)
            if line.names != self._names[-1][1]:
                self._names.append((line.at, line.names))
