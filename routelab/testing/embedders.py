"""What every embedder promises, as tests: subclass `EmbedderContract` and say how to make one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from routelab.core.ports import Embedder

TEXTS = (
    "How do I reset my password?",
    "I forgot my password, what now?",
    "The cat sleeps on the sofa.",
    "",
    " \n\t",
    "\x00",
    "\ud800 half a pair",
    "日本語の文",
    "e" + "\N{COMBINING ACUTE ACCENT}" * 500,
    "\N{FAMILY}\N{ZERO WIDTH JOINER}\N{SNOWMAN}",
    "word " * 2_000,
    "x" * 50_000,
)


class Shelf:
    """A `VectorStore` in memory that counts what it is asked for and given."""

    def __init__(self) -> None:
        self.vectors: dict[tuple[str, str], NDArray[np.float32]] = {}
        self.asked: list[int] = []
        self.given: list[int] = []

    def get_many(self, embedder_id: str, hashes: Sequence[str], /) -> dict[str, NDArray[np.float32]]:
        """Return the vectors that are there."""
        self.asked.append(len(hashes))
        return {h: self.vectors[embedder_id, h] for h in hashes if (embedder_id, h) in self.vectors}

    def put_many(self, embedder_id: str, vectors: Mapping[str, NDArray[np.float32]], /) -> None:
        """Keep the vectors."""
        self.given.append(len(vectors))
        self.vectors.update({(embedder_id, h): v for h, v in vectors.items()})


class EmbedderContract:
    """The contract of `core.ports.Embedder`; pytest collects the subclass."""

    tolerance = 0.0
    """How far a vector may be from that of the same text embedded alone; 0 means equal to the last bit."""

    def embedder(self) -> Embedder:
        """Return the embedder under test."""
        raise NotImplementedError

    def test_every_text_gets_one_unit_row(self) -> None:
        embedder = self.embedder()
        rows = embedder(TEXTS)
        assert rows.shape == (len(TEXTS), embedder.dimensions)
        assert rows.dtype == np.float32
        assert np.isfinite(rows).all()
        assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)

    def test_no_texts_give_no_rows(self) -> None:
        embedder = self.embedder()
        assert embedder([]).shape == (0, embedder.dimensions)
        assert embedder([]).dtype == np.float32

    def test_a_text_has_the_same_vector_alone_and_in_any_company(self) -> None:
        embedder = self.embedder()
        together = embedder(TEXTS)
        alone = np.concatenate([embedder([text]) for text in TEXTS])
        backwards = embedder(TEXTS[::-1])[::-1]
        assert np.abs(together - alone).max() <= self.tolerance
        assert np.abs(together - backwards).max() <= self.tolerance

    def test_the_same_text_twice_gives_the_same_row_twice(self) -> None:
        rows = self.embedder()([TEXTS[0], TEXTS[2], TEXTS[0]])
        assert np.abs(rows[0] - rows[2]).max() <= self.tolerance

    def test_different_texts_have_different_vectors(self) -> None:
        rows = self.embedder()(TEXTS[:4])
        cosines = rows @ rows.T
        assert (cosines[~np.eye(4, dtype=bool)] < 0.999).all()

    def test_the_id_and_the_dimensions_stay(self) -> None:
        one, other = self.embedder(), self.embedder()
        one(TEXTS[:1])
        assert one.id == other.id
        assert one.id.strip() == one.id != ""
        assert one.dimensions == other.dimensions > 0
