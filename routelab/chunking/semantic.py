"""Semantic boundaries: a chunk ends where the text begins to be about something else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from routelab.chunking.chunk import Chunk
from routelab.chunking.limits import Limits, Unit
from routelab.chunking.packing import packed
from routelab.chunking.prose import Prose
from routelab.chunking.ruler import Ruler
from routelab.embedding import embedder_of, vectors
from routelab.text.breaks import sentence_ends

BATCH = 256
"""Groups of sentences embedded at a time; only their distances are kept."""
LONGEST = 4_000
"""Characters of a group that are embedded: the bundled model reads 256 tokens."""


@dataclass(frozen=True, kw_only=True)
class Semantic:
    """Ends a chunk where consecutive groups of sentences are far apart, within a least and a most size.

    Around each end of a sentence, the `around` sentences before and those after are embedded; their distance is 1 − the
    cosine. With `breaks: percentile` a boundary is where the distance is above that percentile of all distances of the
    text; with `gradient`, where its rise is. A chunk ends at the first boundary after `least` (a share of the size), and
    where the size comes before any boundary, at the sentence with the greatest distance in the chunk's part after
    `least`: the size is a cap, never exceeded.

    `embedder` is what `embedder_of` takes, or an embedder. Texts are embedded once a process (`embedding.vectors`). Held
    besides the text: eight bytes a sentence and a number each.
    """

    size: int = 400
    overlap: int | float = 0
    unit: Unit = "tokens"
    tokenizer: str = "o200k_base"
    embedder: Any = field(default="minilm", hash=False)
    breaks: Literal["percentile", "gradient"] = "percentile"
    percentile: int | float = 90
    around: int = 2
    least: float = 0.25

    def __post_init__(self) -> None:
        self.limits()
        if self.breaks not in ("percentile", "gradient"):
            raise ValueError(f"breaks: must be percentile or gradient, not {self.breaks!r}")
        if isinstance(self.percentile, bool) or not 0 <= self.percentile <= 100:
            raise ValueError(f"percentile: a number from 0 to 100 is wanted, not {self.percentile!r}")
        if isinstance(self.around, bool) or self.around < 1:
            raise ValueError(f"around: a whole number of sentences from 1 is wanted, not {self.around!r}")
        if not 0 <= self.least <= 1:
            raise ValueError(f"least: a share of the size from 0 to 1 is wanted, not {self.least!r}")
        if isinstance(self.embedder, (str, Mapping)):
            embedder_of(self.embedder)
        elif not callable(self.embedder):
            raise ValueError(f"embedder: a name, a mapping with a kind or an embedder is wanted, not {self.embedder!r}")

    def limits(self) -> Limits:
        """Return what the fields say as limits."""
        return Limits(size=self.size, overlap=self.overlap, unit=self.unit, tokenizer=self.tokenizer)

    def stream(self, text: str, source: str = "") -> Iterator[Chunk]:
        """Yield the chunks one by one, after all sentences are embedded; raises what the embedder raises."""
        limits = self.limits()
        ruler = limits.ruler(text)
        ends = np.fromiter(sentence_ends(text, 0, len(text)), dtype=np.int64)
        # The text's end is no boundary inside it.
        ends = ends[ends < len(text)]
        apart = self._distances(text, ends)
        guide = _Meaning(
            text=text,
            ruler=ruler,
            least=int(self.least * self.size),
            ends=ends,
            apart=apart,
            borders=ends[self._borders(apart)],
        )
        yield from packed(text, source, limits, ruler, guide)

    def __call__(self, text: str, source: str = "") -> tuple[Chunk, ...]:
        """Return all chunks."""
        return tuple(self.stream(text, source))

    def _distances(self, text: str, ends: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return how far apart the groups before and after each end of a sentence are."""
        bounds = np.concatenate(([0], ends, [len(text)]))
        count = len(bounds) - 1
        # The group of `around` sentences from each sentence on; near the end it is shorter.
        groups = (text[bounds[i] : bounds[min(i + self.around, count)]][:LONGEST] for i in range(count))
        apart = np.zeros(len(ends))
        held: list[NDArray[np.float32]] = []
        first = 0  # the sentence of held[0]
        while batch := list(islice(groups, BATCH)):
            held.extend(self._vectors(batch))
            known = first + len(held)
            # The end after sentence i lies between the group that ends with it and the one from i + 1 on.
            for i in range(max(0, known - len(batch) - 1), min(known - 1, len(ends))):
                before = max(0, i + 1 - self.around)
                apart[i] = 1.0 - float(held[before - first] @ held[i + 1 - first])
            gone = max(0, len(held) - self.around - 1)
            held, first = held[gone:], first + gone
        return apart

    def _vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if isinstance(self.embedder, (str, Mapping)):
            return vectors(self.embedder, texts)
        made: NDArray[np.float32] = np.asarray(self.embedder(texts), dtype=np.float32)
        return made

    def _borders(self, apart: NDArray[np.float64]) -> NDArray[np.bool_]:
        if len(apart) < 2:
            return np.zeros(len(apart), dtype=bool)
        measured = apart if self.breaks == "percentile" else np.gradient(apart)
        above: NDArray[np.bool_] = measured > np.percentile(measured, self.percentile)
        return above


class _Meaning:
    """The guide of one text: the ends of its sentences, how far apart what they divide is, and which are boundaries."""

    def __init__(
        self,
        *,
        text: str,
        ruler: Ruler,
        least: int,
        ends: NDArray[np.int64],
        apart: NDArray[np.float64],
        borders: NDArray[np.int64],
    ) -> None:
        self._text = text
        self._ruler = ruler
        self._least = least
        self._ends = ends
        self._apart = apart
        self._borders = borders
        self._prose = Prose(text=text)

    def end(self, start: int, fresh: int, reach: int) -> int:
        """Return the first boundary after the least size, else the most distant end of a sentence."""
        floor = max(fresh + 1, min(self._ruler.reach(start, self._least), reach) if self._least else 0)
        at = int(self._borders.searchsorted(floor))
        if at < len(self._borders) and self._borders[at] <= reach:
            return int(self._borders[at])
        if reach >= len(self._text):
            return reach
        low, high = int(self._ends.searchsorted(floor)), int(self._ends.searchsorted(reach, "right"))
        if low < high:
            # Of equals the last, so that the chunk is fuller.
            window = self._apart[low:high][::-1]
            return int(self._ends[high - 1 - int(window.argmax())])
        return self._prose.end(start, fresh, reach)

    def begin(self, least: int, end: int) -> int:
        """Return the first sentence in the first half of what may be repeated, else a word, else a character."""
        return self._prose.begin(least, end)

    def headings(self, at: int) -> tuple[str, ...]:
        """Return none."""
        return ()
