"""Paragraphs, else lines, else sentences, else words, else characters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from routelab.chunking.chunk import Chunk
from routelab.chunking.limits import Limits, Unit
from routelab.chunking.packing import packed
from routelab.chunking.prose import Prose
from routelab.text.breaks import last_line, last_paragraph, last_sentence

LEVELS = (last_paragraph, last_line, last_sentence)


@dataclass(frozen=True, kw_only=True)
class Recursive:
    """Ends a chunk at its last paragraph; where that would leave it too empty, at its last line, sentence, word, character.

    "Too empty" is less than the share `fill` of what there is room for; at 0 a heading of one line before a long paragraph
    becomes a chunk of its own. Looking back from where the room ends gives the same cuts as dividing from the top and
    putting the pieces together again, without making the pieces.
    """

    size: int = 400
    overlap: int | float = 0
    unit: Unit = "tokens"
    tokenizer: str = "o200k_base"
    fill: float = 0.5

    def __post_init__(self) -> None:
        self.limits()
        if not 0 <= self.fill <= 1:
            raise ValueError(f"fill: a share from 0 to 1 is wanted, not {self.fill!r}")

    def limits(self) -> Limits:
        """Return what the fields say as limits."""
        return Limits(size=self.size, overlap=self.overlap, unit=self.unit, tokenizer=self.tokenizer)

    def stream(self, text: str, source: str = "") -> Iterator[Chunk]:
        """Yield the chunks one by one."""
        limits = self.limits()
        return packed(text, source, limits, limits.ruler(text), Prose(text=text, levels=LEVELS, fill=self.fill))

    def __call__(self, text: str, source: str = "") -> tuple[Chunk, ...]:
        """Return all chunks."""
        return tuple(self.stream(text, source))
