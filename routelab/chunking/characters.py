"""Fixed numbers of characters: the plainest chunker, and the baseline of every other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from routelab.chunking.chunk import Chunk
from routelab.chunking.limits import Limits
from routelab.chunking.packing import packed
from routelab.chunking.ruler import CharacterRuler
from routelab.text.breaks import whole, whole_after


@dataclass(frozen=True, kw_only=True)
class Fixed:
    """The guide that takes all there is room for, but for dividing a grapheme cluster."""

    text: str

    def end(self, start: int, fresh: int, reach: int) -> int:
        """Return `reach`, or some characters less."""
        return whole(self.text, reach, fresh)

    def begin(self, least: int, end: int) -> int:
        """Return `least`, or some characters more."""
        return whole_after(self.text, least, end)

    def headings(self, at: int) -> tuple[str, ...]:
        """Return none."""
        return ()


@dataclass(frozen=True, kw_only=True)
class Characters:
    """Cuts every `size` characters, wherever that is, but not inside what is read as one character.

    >>> [chunk.text for chunk in Characters(size=4, overlap=1)("abcdefgh")]
    ['abcd', 'defg', 'gh']
    """

    size: int = 1600
    overlap: int | float = 0

    def __post_init__(self) -> None:
        self.limits()

    def limits(self) -> Limits:
        """Return what the fields say as limits."""
        return Limits(size=self.size, overlap=self.overlap, unit="characters")

    def stream(self, text: str, source: str = "") -> Iterator[Chunk]:
        """Yield the chunks one by one."""
        return packed(text, source, self.limits(), CharacterRuler(len(text)), Fixed(text=text))

    def __call__(self, text: str, source: str = "") -> tuple[Chunk, ...]:
        """Return all chunks."""
        return tuple(self.stream(text, source))
