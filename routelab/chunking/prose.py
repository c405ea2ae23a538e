"""The guide of plain prose: the strongest break that leaves a chunk full enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from routelab.text.breaks import (
    first_sentence,
    first_word,
    last_sentence,
    last_word,
    whole,
    whole_after,
)

Level: TypeAlias = Callable[[str, int, int], int]


@dataclass(frozen=True, kw_only=True)
class Prose:
    """Ends a chunk at the first level that has a break in its last part, from the share `fill` of it on; then at a word.

    A word is divided only when it fills a chunk by itself, a grapheme cluster only when it has more than 32 characters.
    """

    text: str
    levels: Sequence[Level] = (last_sentence,)
    fill: float = 0.0

    def end(self, start: int, fresh: int, reach: int) -> int:
        """Return the best break in (fresh, reach]."""
        if reach >= len(self.text):
            return reach
        floor = max(fresh, start + int(self.fill * (reach - start)))
        for level in self.levels:
            found = level(self.text, floor, reach)
            if found > floor:
                return found
        found = last_word(self.text, fresh, reach)
        return found if found > fresh else whole(self.text, reach, fresh)

    def begin(self, least: int, end: int) -> int:
        """Return the first sentence in the first half of what may be repeated, else the first word, else the first character."""
        found = first_sentence(self.text, least, (least + end) // 2 + 1)
        if least <= found < end:
            return found
        found = first_word(self.text, least, end)
        return found if found >= 0 else whole_after(self.text, least, end)

    def headings(self, at: int) -> tuple[str, ...]:
        """Return none."""
        return ()
