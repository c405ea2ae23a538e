"""Cached: any embedder, with the vectors kept so that no text is embedded twice."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from routelab.core.ports import Embedder


class VectorStore(Protocol):
    """Keeps vectors by the embedder's id and the text's hash."""

    def get_many(self, embedder_id: str, hashes: Sequence[str], /) -> Mapping[str, NDArray[np.float32]]:
        """Return the vectors that are there, by hash; the others are left out."""

    def put_many(self, embedder_id: str, vectors: Mapping[str, NDArray[np.float32]], /) -> None:
        """Keep the vectors, by hash; one that is there already may be kept or replaced."""


@dataclass(frozen=True, kw_only=True)
class Cached:
    """Embeds with `embedder` what `store` does not have, and gives the rest from there; a text is hashed whole.

    A stored vector of another shape, or one that is not finite, is computed again. The id is the embedder's own: cached
    and fresh vectors are the same.
    """

    embedder: Embedder
    store: VectorStore

    @property
    def id(self) -> str:
        """The embedder's id."""
        return self.embedder.id

    @property
    def dimensions(self) -> int:
        """The embedder's dimensions."""
        return self.embedder.dimensions

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one unit vector a text, n × dimensions; each different text is looked up and embedded once."""
        hashes = [content_hash(text) for text in texts]
        different = dict(zip(hashes, texts, strict=True))
        found = self.store.get_many(self.id, list(different)) if different else {}
        known = {h: np.asarray(v, dtype=np.float32) for h, v in found.items() if h in different}
        known = {h: v for h, v in known.items() if v.shape == (self.dimensions,) and np.isfinite(v).all()}
        missing = [h for h in different if h not in known]
        if missing:
            fresh = self.embedder([different[h] for h in missing])
            # Copies: a row that is kept must not keep the whole batch alive.
            made = {h: fresh[i].copy() for i, h in enumerate(missing)}
            self.store.put_many(self.id, made)
            known.update(made)
        return np.array([known[h] for h in hashes], dtype=np.float32).reshape(len(texts), self.dimensions)


def content_hash(text: str) -> str:
    """Return the sha256 of a text, in hexadecimal; lone surrogates are hashed as they are."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
