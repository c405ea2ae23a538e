"""Programs by their structure: definitions, statements, blocks, lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from routelab.chunking.chunk import Chunk
from routelab.chunking.limits import Limits, Unit
from routelab.chunking.lines import Statements, check_language, goes_on, outermost, python
from routelab.chunking.packing import packed
from routelab.text.breaks import last_word, whole, whole_after


@dataclass(frozen=True, kw_only=True)
class Code:
    """Ends a chunk before the outermost thing that begins in its last part, from the share `fill` of the room on.

    With `language` auto, a text that parses as Python is cut by its syntax tree, and `headings` names the classes and
    functions around a chunk's first new line; any other language by indentation, brackets and blank lines. Lines are
    divided only when they are longer than a chunk. A Python text up to `lines.PARSED` characters is parsed whole before the
    first chunk; longer ones are cut by layout, which looks at the lines of one chunk only and is much faster.
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
        statements = None if self.language == "other" else python(text)
        return packed(
            text, source, limits, limits.ruler(text), _Program(text=text, fill=self.fill, statements=statements)
        )

    def __call__(self, text: str, source: str = "") -> tuple[Chunk, ...]:
        """Return all chunks."""
        return tuple(self.stream(text, source))


@dataclass(frozen=True, kw_only=True)
class _Program:
    """The guide of one program."""

    text: str
    fill: float
    statements: Statements | None

    def end(self, start: int, fresh: int, reach: int) -> int:
        """Return the best line's beginning in (fresh, reach]; first in the last part, then in all of it."""
        if reach >= len(self.text):
            return reach
        floor = max(fresh, start + int(self.fill * (reach - start)))
        second = -1
        for low in (floor, fresh) if floor > fresh else (fresh,):
            found = -1 if self.statements is None else self.statements.best(low, reach)
            found = found if found > low else outermost(self.text, low, reach)
            if found > low and not goes_on(self.text, found):
                return found
            second = max(second, found)
        found = second if second > fresh else last_word(self.text, fresh, reach)
        return found if found > fresh else whole(self.text, reach, fresh)

    def begin(self, least: int, end: int) -> int:
        """Return the first line from `least` on; within a line that is longer, the first character."""
        found = self.text.find("\n", max(0, least - 1), end - 1) + 1
        return found if found > 0 else whole_after(self.text, least, end)

    def headings(self, at: int) -> tuple[str, ...]:
        """Return the names of what encloses the line at an offset, the outermost first."""
        return () if self.statements is None else self.statements.around(at)
