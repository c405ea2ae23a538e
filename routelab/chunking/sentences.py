"""Whole sentences, as many as fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from routelab.chunking.chunk import Chunk
from routelab.chunking.limits import Limits, Unit
from routelab.chunking.packing import packed
from routelab.chunking.prose import Prose
from routelab.text.breaks import last_sentence


@dataclass(frozen=True, kw_only=True)
class Sentences:
    """Fills a chunk with whole sentences; one that is longer than a chunk is divided between words.

    A sentence ends at a full stop, a question or exclamation mark of the world's scripts, before white space (none is
    needed after CJK's), not after an abbreviation, an initial, a list's number or inside a decimal, nor before a small
    letter; and at a blank line.

    >>> [c.text for c in Sentences(size=22, unit="characters")("Dr. Who paid 3.50 €. Why? Ask her.")]
    ['Dr. Who paid 3.50 €. ', 'Why? Ask her.']
    """

    size: int = 400
    overlap: int | float = 0
    unit: Unit = "tokens"
    tokenizer: str = "o200k_base"

    def __post_init__(self) -> None:
        self.limits()

    def limits(self) -> Limits:
        """Return what the fields say as limits."""
        return Limits(size=self.size, overlap=self.overlap, unit=self.unit, tokenizer=self.tokenizer)

    def stream(self, text: str, source: str = "") -> Iterator[Chunk]:
        """Yield the chunks one by one."""
        limits = self.limits()
        return packed(text, source, limits, limits.ruler(text), Prose(text=text, levels=(last_sentence,)))

    def __call__(self, text: str, source: str = "") -> tuple[Chunk, ...]:
        """Return all chunks."""
        return tuple(self.stream(text, source))
