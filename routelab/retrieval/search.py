"""How a library is searched, as a value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from routelab.core.errors import suggest
from routelab.retrieval.passage import Passage

By: TypeAlias = Literal["vectors", "words", "hybrid"]
WAYS: tuple[By, ...] = ("vectors", "words", "hybrid")


@dataclass(frozen=True, kw_only=True)
class Search:
    """The `k` best passages by the cosine of vectors, by BM25 over words, or by the ranks of both (hybrid).

    Hybrid is reciprocal rank fusion: each of the two lists, `pool` deep, gives a passage 1 / (smoothing + rank), and the sums
    rank them (Cormack, Clarke and Büttcher, SIGIR 2009, whose smoothing is 60). `floor` is the least cosine of a hit, with
    `by: words` the least BM25 score. `sources` and `under` limit the search: to these sources, and to passages whose heading
    path begins with `under`; empty limits nothing. ValueError names the field that cannot be used.
    """

    k: int = 5
    by: By = "vectors"
    floor: float | None = None
    sources: tuple[str, ...] = ()
    under: tuple[str, ...] = ()
    pool: int = 100
    smoothing: float = 60.0

    def __post_init__(self) -> None:
        for name in ("k", "pool"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}: a whole number from 1 is wanted, not {value!r}")
        if self.by not in WAYS:
            near = suggest(self.by, WAYS)
            raise ValueError(f"by: must be one of {', '.join(WAYS)}, not {self.by!r}{'; ' + near if near else ''}")
        if self.floor is not None and (isinstance(self.floor, bool) or not math.isfinite(self.floor)):
            raise ValueError(f"floor: a number is wanted, not {self.floor!r}")
        if not self.smoothing >= 0:
            raise ValueError(f"smoothing: a number from 0 is wanted, not {self.smoothing!r}")
        for name in ("sources", "under"):
            value = getattr(self, name)
            if isinstance(value, str) or not all(isinstance(part, str) for part in value):
                raise ValueError(f"{name}: a list of texts is wanted, not {value!r}")
            object.__setattr__(self, name, tuple(value))

    def admits(self, passage: Passage) -> bool:
        """Return whether the passage's source and headings are within the limits."""
        return (not self.sources or passage.source in self.sources) and (
            tuple(passage.headings[: len(self.under)]) == self.under
        )

    def passes(self, score: float) -> bool:
        """Return whether a cosine, or with `by: words` a BM25 score, reaches the floor."""
        return self.floor is None or score >= self.floor
