"""Fixed numbers of tokens: chunks that cost the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from routelab.chunking.characters import Fixed
from routelab.chunking.chunk import Chunk
from routelab.chunking.limits import Limits
from routelab.chunking.packing import packed


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Cuts every `size` tokens of the text, and never inside a character that has several tokens.

    A token that is half of a character, or that holds the end of one and the beginning of the next, goes with its whole
    characters: a chunk may then have a token or two less, so that its offsets are exact.

    >>> [chunk.text for chunk in Tokens(size=3)("Call once, route a thousand times.")]
    ['Call once,', ' route a thousand', ' times.']
    """

    size: int = 400
    overlap: int | float = 0
    tokenizer: str = "o200k_base"

    def __post_init__(self) -> None:
        self.limits()

    def limits(self) -> Limits:
        """Return what the fields say as limits."""
        return Limits(size=self.size, overlap=self.overlap, unit="tokens", tokenizer=self.tokenizer)

    def stream(self, text: str, source: str = "") -> Iterator[Chunk]:
        """Yield the chunks one by one; the text is encoded in pieces of 20,000 characters."""
        limits = self.limits()
        return packed(text, source, limits, limits.ruler(text), Fixed(text=text))

    def __call__(self, text: str, source: str = "") -> tuple[Chunk, ...]:
        """Return all chunks."""
        return tuple(self.stream(text, source))
