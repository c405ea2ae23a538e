"""How many tokens any stretch of the sources has, looked up rather than counted again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from routelab.chunking.ruler import TOKENIZERS
from routelab.lab.chunks.spans import Span
from routelab.providers.tokens import pieces

Marks: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Ledger:
    """The tokens of whole texts, by source: ascending offsets at which a token ends, and how many have ended there."""

    marks: Mapping[str, Marks]

    @staticmethod
    def of(corpora: Mapping[str, str], tokenizer: str = "o200k_base") -> Ledger:
        """Return the ledger of texts; ConfigError when the tokenizer cannot be loaded."""
        encode = TOKENIZERS[tokenizer]()
        made: dict[str, Marks] = {}
        for name, text in corpora.items():
            offsets, counts = [np.zeros(1, dtype=np.int64)], [np.zeros(1, dtype=np.int64)]
            seen = 0
            for piece in pieces(text):
                ends, numbers = encode(piece)
                counts.append(numbers + counts[-1][-1])
                offsets.append(ends + seen)
                seen += len(piece)
            made[name] = np.concatenate(offsets), np.concatenate(counts)
        return Ledger(marks=made)

    def tokens(self, source: str, span: Span) -> int:
        """Return how many tokens of the text the stretch touches; alone it may have one more or fewer."""
        offsets, counts = self.marks[source]
        first = int(offsets.searchsorted(span[0], "right")) - 1
        last = int(offsets.searchsorted(span[1], "left"))
        return int(counts[last] - counts[first])

    def total(self, spans: Mapping[str, Sequence[Span]]) -> int:
        """Return the tokens of stretches by source."""
        return sum(self.tokens(source, span) for source, found in spans.items() for span in found)

    def reach(self, source: str, start: int, tokens: int) -> int:
        """Return where a stretch from `start` ends that touches at most so many tokens."""
        offsets, counts = self.marks[source]
        first = int(offsets.searchsorted(start, "right")) - 1
        last = int(counts.searchsorted(counts[first] + tokens, "right")) - 1
        return max(start, int(offsets[last]))
