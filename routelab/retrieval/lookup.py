"""Looking something up: a library with a way to search it and a budget, as one function of the prompt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from routelab.providers.tokens import bundled, by_characters, pieces
from routelab.retrieval.context import Citation, assembled
from routelab.retrieval.framing import framed
from routelab.retrieval.library import Library
from routelab.retrieval.search import Search


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was found for a prompt: the passages in their order, what ranked each, and the framed text made of them.

    `chunks` name the passages as "source:start-end" in characters; the nth is cited as [n]. A passage of several hits has the
    score of the best. `left_out` counts hits that did not fit the budget; `digest` says which state of the corpus they are from.
    """

    corpus: str
    chunks: tuple[str, ...]
    scores: tuple[float, ...]
    context: str
    tokens: int
    digest: str
    left_out: int = 0
    citations: tuple[Citation, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Lookup:
    """Finds the passages for a prompt: `search` in `library`, assembled and framed within `budget_tokens`, frame included."""

    library: Library
    search: Search
    corpus: str
    digest: str
    budget_tokens: int | None = None
    count: Callable[[str], int] | None = None

    def __call__(self, prompt: str) -> Found:
        """Return what was found; a blank prompt finds nothing. Raises what the embedder raises."""
        count = self.count or tokens
        hits = self.library.search([prompt], self.search)[0] if prompt.strip() else ()
        made = assembled(hits, count=lambda text: count(framed(text)), budget_tokens=self.budget_tokens)
        scores = {hit.rank: hit.score for hit in hits}
        return Found(
            corpus=self.corpus,
            chunks=tuple(f"{c.source}:{c.start}-{c.end}" for c in made.citations),
            scores=tuple(scores[min(c.ranks)] for c in made.citations),
            context=framed(made.text),
            tokens=made.tokens,
            digest=self.digest,
            left_out=len(made.left_out),
            citations=made.citations,
        )


def tokens(text: str) -> int:
    """Return how many tokens of o200k_base a text has, estimated where the vocabulary cannot be loaded."""
    encoding = bundled()
    if encoding is None:
        return round(by_characters(text))
    return sum(len(encoding.encode_ordinary(piece)) for piece in pieces(text))
