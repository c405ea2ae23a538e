"""Rulers measure stretches of a text in characters or in tokens, without holding the tokens of all of it."""

from __future__ import annotations

import functools
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from routelab.core.errors import ConfigError
from routelab.providers.tokens import bundled, pieces

Ints: TypeAlias = NDArray[np.int64]
Marks: TypeAlias = tuple[Ints, Ints]
"""Where a text can be cut between two tokens without cutting a character: ascending offsets, and the tokens before each.

The text's beginning is left out, its end is the last mark.
"""
Tokenizer: TypeAlias = Callable[[str], Marks]

_SURROGATE = re.compile("[\ud800-\udfff]")


class Ruler(Protocol):
    """Measures stretches of one text; asks come roughly in ascending order."""

    def reach(self, start: int, size: int) -> int:
        """Return the furthest end of a stretch from `start` of at most `size` units; a longer one only if nothing fits."""

    def back(self, end: int, size: int) -> int:
        """Return the earliest start of a stretch up to `end` of at most `size` units; `end` itself if nothing fits."""

    def tokens(self, start: int, end: int) -> int | None:
        """Return how many tokens the stretch touches, or None when characters are measured."""

    def forget(self, before: int) -> None:
        """Promise that nothing before this offset is asked for again."""


class CharacterRuler:
    """Measures in characters (code points)."""

    def __init__(self, length: int) -> None:
        self._length = length

    def reach(self, start: int, size: int) -> int:
        """Return ``start + size``, or the end of the text."""
        return min(start + size, self._length)

    def back(self, end: int, size: int) -> int:
        """Return ``end - size``, or the beginning of the text."""
        return max(end - size, 0)

    def tokens(self, start: int, end: int) -> int | None:
        """Return None."""
        return None

    def forget(self, before: int) -> None:
        """Do nothing."""


class TokenRuler:
    """Measures in the tokens that the whole text has, encoding it piece by piece as far as it is asked.

    A chunk that ends between two tokens has these tokens when it is encoded by itself too: no merge of a byte-pair
    encoding crossed that border, so none of the merges inside depended on it. Only where the cut divides what the
    tokenizer's own pattern keeps together (a run of blank lines, say) can the count differ by a token.
    """

    def __init__(self, text: str, tokenizer: Tokenizer) -> None:
        self._length = len(text)
        self._tokenizer = tokenizer
        self._pieces: Iterator[str] = pieces(text)
        # Views give plain numbers: a look-up in them takes a third of the time of one in an array.
        self._offsets = np.zeros(1, dtype=np.int64).data
        self._counts = np.zeros(1, dtype=np.int64).data
        # Where offsets that were given out stand: most are asked for again at once.
        self._known: dict[int, int] = {}
        self._seen = 0
        self._before = 0

    def reach(self, start: int, size: int) -> int:
        """Return the last mark with at most `size` tokens since the one at or before `start`, or the next mark."""
        first = self._floor(start)
        limit = self._counts[first] + size
        while self._counts[-1] <= limit and self._seen < self._length:
            self._more()
            first = self._floor(start)
        last = first + size
        if last >= len(self._counts) or self._counts[last] != limit:  # unless every token ends a character
            last = bisect_right(self._counts, limit, first, min(last + 1, len(self._counts))) - 1
        end = self._offsets[last]
        if end <= start:
            return self._offsets[first + 1]
        self._known[end] = last
        return end

    def back(self, end: int, size: int) -> int:
        """Return the first mark with at most `size` tokens up to the one at or after `end`."""
        last = self._ceiling(end)
        limit = self._counts[last] - size
        first = max(0, last - size)
        if self._counts[first] != limit:
            first = bisect_left(self._counts, limit, first, last)
        start = self._offsets[first]
        self._known[start] = first
        return min(end, start)

    def tokens(self, start: int, end: int) -> int | None:
        """Return the tokens between the marks around the stretch."""
        last = self._ceiling(end)
        return self._counts[last] - self._counts[self._floor(start)]

    def forget(self, before: int) -> None:
        """Let go of the marks before this offset when the next piece is encoded."""
        self._before = before

    def _floor(self, offset: int) -> int:
        while self._seen < offset:
            self._more()
        known = self._known.get(offset)
        return bisect_right(self._offsets, offset) - 1 if known is None else known

    def _ceiling(self, offset: int) -> int:
        while self._seen < offset:
            self._more()
        known = self._known.get(offset)
        return bisect_left(self._offsets, offset) if known is None else known

    def _more(self) -> None:
        piece = next(self._pieces)
        offsets, counts = self._tokenizer(piece)
        kept = max(0, bisect_right(self._offsets, self._before) - 1)
        counted = self._counts[-1]
        self._counts = np.concatenate((np.asarray(self._counts)[kept:], counts + counted)).data
        self._offsets = np.concatenate((np.asarray(self._offsets)[kept:], offsets + self._seen)).data
        self._known.clear()
        self._seen += len(piece)


@functools.cache
def o200k() -> Tokenizer:
    """Return the tokenizer of o200k_base, from the package's own file; ConfigError when that cannot be loaded."""
    encoding = bundled()
    if encoding is None:
        raise ConfigError(
            "chunker.tokenizer: o200k_base cannot be loaded",
            hint="pip install --force-reinstall tiktoken routelab, or measure with unit: characters",
        )
    lengths = np.zeros(encoding.n_vocab, dtype=np.int64)
    for token, raw in zip(*_vocabulary(encoding), strict=True):
        lengths[token] = len(raw)

    def marks(text: str) -> Marks:
        if text.isascii():
            ends = np.cumsum(lengths[encoding.encode_to_numpy(text, disallowed_special=())])
            return ends, np.arange(1, len(ends) + 1, dtype=np.int64)
        plain, raw = _encoded(text)
        return _whole(raw, np.cumsum(lengths[encoding.encode_to_numpy(plain, disallowed_special=())]))

    return marks


def _vocabulary(encoding: Any) -> tuple[list[int], list[bytes]]:
    raw = encoding.token_byte_values()
    return [encoding.encode_single_token(piece) for piece in raw], raw


def _encoded(text: str) -> tuple[str, bytes]:
    """Return the text with lone surrogates replaced, and its UTF-8; as many characters as before."""
    # tiktoken would join two halves of a pair that stand apart, and with it two characters.
    try:
        return text, text.encode("utf-8")
    except UnicodeEncodeError:
        plain = _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
        return plain, plain.encode("utf-8")


def _whole(raw: bytes, ends: Ints) -> Marks:
    """Return the marks among tokens that end at these bytes: those that end a character."""
    begins = np.append((np.frombuffer(raw, dtype=np.uint8) & 0xC0) != 0x80, True)
    clean = begins[ends]
    counts = np.flatnonzero(clean) + 1
    # Of a token that ends before a character's first byte, the characters begun so far are whole.
    return np.cumsum(begins[:-1])[ends[clean] - 1], counts


@functools.cache
def wordpiece() -> Tokenizer:
    """Return the tokenizer of the bundled MiniLM, whose window is 256 tokens; blanks go with the token before."""
    from tokenizers import Tokenizer as Loaded

    from routelab.embedding.minilm import BUNDLED

    tokenizer = Loaded.from_str((BUNDLED / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer.no_padding()
    tokenizer.no_truncation()

    def marks(text: str) -> Marks:
        plain, _ = _encoded(text)
        spans = np.array(tokenizer.encode(plain, add_special_tokens=False).offsets, dtype=np.int64).reshape(-1, 2)
        # A token ends where the next begins; accents that the normaliser drops, and blanks, belong to the one before.
        ends = np.append(spans[1:, 0], len(text))[: max(1, len(spans))] if len(text) else np.zeros(0, dtype=np.int64)
        last = np.append(ends[1:] > ends[:-1], True)[: len(ends)]
        counts = np.arange(1, len(ends) + 1, dtype=np.int64)
        clean = last & (ends > 0)
        return ends[clean], counts[clean]

    return marks


TOKENIZERS: Mapping[str, Callable[[], Tokenizer]] = MappingProxyType({"o200k_base": o200k, "minilm": wordpiece})
"""The tokenizers whose vocabulary is in the package, so that nothing is downloaded."""
