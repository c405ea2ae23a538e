"""Chunks of a text, and what can be said about a row of them: what they repeat, what they lose, whether two are the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from routelab.core.errors import DataError


@dataclass(frozen=True, kw_only=True, slots=True)
class Chunk:
    """A part of a text: ``text == original[start:end]``, always; offsets count characters (code points).

    `order` counts from 0 within the text. The first `repeated` characters are also the end of the chunk before.
    `headings` are the titles (Markdown) or the names of classes and functions (code) above the first character that is
    not repeated, outermost first. `tokens` is None where none were counted.
    """

    text: str
    start: int
    end: int
    order: int
    source: str = ""
    headings: tuple[str, ...] = ()
    repeated: int = 0
    tokens: int | None = None


class Chunker(Protocol):
    """Cuts a text into chunks, in order; the same text is cut the same way every time."""

    def stream(self, text: str, source: str = "") -> Iterator[Chunk]:
        """Yield the chunks one by one; what is held besides the text does not grow with it, but for what the kind states."""

    def __call__(self, text: str, source: str = "") -> tuple[Chunk, ...]:
        """Return all chunks; an empty text has none."""


def restored(chunks: Sequence[Chunk]) -> str:
    """Return the text that the chunks were cut from: one after the other without what they repeat.

    Raises DataError where something between two chunks is missing.

    >>> restored([Chunk(text="abc", start=0, end=3, order=0), Chunk(text="cd", start=2, end=4, order=1, repeated=1)])
    'abcd'
    """
    parts, reached = [], 0
    for chunk in chunks:
        if chunk.start > reached:
            raise DataError(f"chunk {chunk.order}: characters {reached} to {chunk.start} are in no chunk")
        parts.append(chunk.text[reached - chunk.start :])
        reached = max(reached, chunk.end)
    return "".join(parts)


def missing(chunks: Iterable[Chunk], text: str) -> Iterator[tuple[int, int]]:
    """Yield each stretch of the text, from and to, that is in no chunk; ours leave none, an adapted splitter may."""
    reached = 0
    for chunk in chunks:
        if chunk.start > reached:
            yield reached, chunk.start
        reached = max(reached, chunk.end)
    if reached < len(text):
        yield reached, len(text)


def identity(chunks: Iterable[Chunk]) -> str:
    """Return 64 hexadecimal digits that are equal exactly when sources, offsets and texts are: evaluate such chunkings once.

    Headings and token counts are left out, since what is retrieved is the text.
    """
    digest = hashlib.sha256()
    for chunk in chunks:
        source = chunk.source.encode("utf-8", "surrogatepass")
        digest.update(b"%d %d %d %d\n" % (len(source), chunk.start, chunk.end, len(chunk.text)))
        digest.update(source)
        digest.update(chunk.text.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
