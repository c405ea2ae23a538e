"""Rulers measure stretches of a text in characters or in tokens, without holding the tokens of all of it."""

from __future__ import annotations

import functools
import re
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
        self._offsets: Ints = np.zeros(1, dtype=np.int64)
        self._counts: Ints = np.zeros(1, dtype=np.int64)
        self._seen = 0
        self._before = 0

    def reach(self, start: int, size: int) -> int:
        """Return the last mark with at most `size` tokens since the one at or before `start`, or the next mark."""
        first = self._floor(start)
        limit = int(self._counts[first]) + size
        while self._counts[-1] <= limit and self._seen < self._length:
            self._more()
            first = self._floor(start)
        last = int(self._counts.searchsorted(limit, "right")) - 1
        end = int(self._offsets[last])
        return end if end > start else int(self._offsets[first + 1])

    def back(self, end: int, size: int) -> int:
        """Return the first mark with at most `size` tokens up to the one at or after `end`."""
        count = int(self._counts[self._ceiling(end)])
        return min(end, int(self._offsets[int(self._counts.searchsorted(count - size, "left"))]))

    def tokens(self, start: int, end: int) -> int | None:
        """Return the tokens between the marks around the stretch."""
        last = self._ceiling(end)
        return int(self._counts[last] - self._counts[self._floor(start)])

    def forget(self, before: int) -> None:
        """Let go of the marks before this offset when the next piece is encoded."""
        self._before = before

    def _floor(self, offset: int) -> int:
        while self._seen < offset:
            self._more()
        return int(self._offsets.searchsorted(offset, "right")) - 1

    def _ceiling(self, offset: int) -> int:
        while self._seen < offset:
            self._more()
        return int(self._offsets.searchsorted(offset, "left"))

    def _more(self) -> None:
        piece = next(self._pieces)
        offsets, counts = self._tokenizer(piece)
        kept = max(0, int(self._offsets.searchsorted(self._before, "right")) - 1)
        self._counts = np.concatenate((self._counts[kept:], counts + self._counts[-1]))
        self._offsets = np.concatenate((self._offsets[kept:], offsets + self._seen))
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
        # tiktoken would join two halves of a pair that stand apart, and with it two characters.
        plain = text if text.isascii() else _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
        tokens = encoding.encode_to_numpy(plain, disallowed_special=())
        return _whole(plain, np.cumsum(lengths[tokens]))

    return marks


def _vocabulary(encoding: Any) -> tuple[list[int], list[bytes]]:
    raw = encoding.token_byte_values()
    return [encoding.encode_single_token(piece) for piece in raw], raw


def _whole(text: str, ends: Ints) -> Marks:
    """Return the marks among tokens that end at these bytes: those that end a character."""
    counts = np.arange(1, len(ends) + 1, dtype=np.int64)
    if text.isascii():
        return ends, counts
    raw = np.frombuffer(text.encode("utf-8"), dtype=np.uint8)
    begins = np.append((raw & 0xC0) != 0x80, True)
    clean = begins[ends]
    return np.cumsum(begins[:-1], dtype=np.int64)[ends[clean] - 1], counts[clean]


@functools.cache
def wordpiece() -> Tokenizer:
    """Return the tokenizer of the bundled MiniLM, whose window is 256 tokens; blanks go with the token before."""
    from tokenizers import Tokenizer as Loaded

    from routelab.embedding.minilm import BUNDLED

    tokenizer = Loaded.from_str((BUNDLED / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer.no_padding()
    tokenizer.no_truncation()

    def marks(text: str) -> Marks:
        plain = text if text.isascii() else _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
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
