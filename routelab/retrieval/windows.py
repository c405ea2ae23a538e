"""Long passages for an embedder with a short window: all of the text is read, window by window, and the vectors averaged."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from routelab.core.ports import Embedder
from routelab.embedding import Cached, VectorStore, embedder_of

Divide: TypeAlias = Callable[[str], Sequence[str]]

WINDOW = 254
"""Word pieces that the bundled MiniLM reads of a text: 256 less its two marks."""
BACK = 24
"""How many word pieces a cut may move back to fall between two words."""


@dataclass(frozen=True, kw_only=True)
class Windowed:
    """Embeds a text as the mean of the vectors of its windows, scaled to length 1; a text of one window as it is.

    Windows are of about equal length, so that no short rest counts as much as a full one. What an embedder does with a text
    beyond its window is to ignore it: of a chunk of 800 tokens, MiniLM reads the first third.
    """

    embedder: Embedder
    divide: Divide
    name: str = f"mean-{WINDOW}"

    @property
    def id(self) -> str:
        """The embedder's id and the name of the division."""
        return f"{self.embedder.id}+{self.name}"

    @property
    def dimensions(self) -> int:
        """The embedder's dimensions."""
        return self.embedder.dimensions

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one unit vector a text, n × dimensions."""
        divided = [self.divide(text) for text in texts]
        made = self.embedder([window for windows in divided for window in windows])
        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        at = 0
        for row, windows in enumerate(divided):
            part = made[at : at + len(windows)]
            at += len(windows)
            vectors[row] = part[0] if len(part) == 1 else _mean(part)
        return vectors


def _mean(part: NDArray[np.float32]) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = part.mean(axis=0, dtype=np.float64)
    length = float(np.linalg.norm(mean))
    # Windows that cancel out to nothing have no direction of their own: the first one's is as good as any.
    return mean / length if length > 1e-9 else part[0].astype(np.float64)


@functools.cache
def minilm_windows(limit: int = WINDOW) -> Divide:
    """Return what divides a text into parts of at most `limit` of MiniLM's word pieces, between words; "" is one part."""
    from tokenizers import Tokenizer

    from routelab.embedding.minilm import BUNDLED

    tokenizer = Tokenizer.from_str((BUNDLED / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer.no_padding()
    tokenizer.no_truncation()

    def divide(text: str) -> Sequence[str]:
        if len(text) <= limit:  # no piece is shorter than a character
            return (text,)
        encoded = tokenizer.encode(text.encode("utf-8", "replace").decode("utf-8"), add_special_tokens=False)
        begins = [span[0] for span in encoded.offsets]
        cuts = [begins[i] for i in _cuts(encoded.word_ids, limit)]
        return tuple(text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True))

    return divide


def _cuts(words: Sequence[int | None], limit: int) -> list[int]:
    """Return the pieces before which a row of pieces is cut, so that each part has at most `limit` and they are alike."""
    cuts: list[int] = []
    start = 0
    while len(words) - start > limit:
        left = len(words) - start
        cut = start + math.ceil(left / math.ceil(left / limit))
        back = next((i for i in range(cut, max(start, cut - BACK), -1) if words[i] != words[i - 1]), cut)
        cuts.append(back)
        start = back
    return cuts


def whole(spec: Mapping[str, Any] | str, store: VectorStore | None = None) -> Embedder:
    """Return the embedder that a spec describes, reading texts to their end: in windows where it is MiniLM.

    With a store, vectors of windows are kept there. Raises ConfigError for a spec that cannot be used.
    """
    made = embedder_of(spec)
    return windowed(made if store is None else Cached(embedder=made, store=store), spec)


def windowed(embedder: Embedder, spec: Mapping[str, Any] | str) -> Embedder:
    """Return the embedder of a spec, or one in front of it, so that it reads texts to their end."""
    kind = spec if isinstance(spec, str) else spec.get("kind")
    return Windowed(embedder=embedder, divide=minilm_windows()) if kind == "minilm" else embedder
