"""Semantic chunks end where the subject changes, within their sizes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from routelab.chunking import Semantic

CATS = "The cat sleeps. A cat purrs. Every cat eats fish. My cat climbs. "
TAXES = "The tax is due. A tax rises. Every tax is paid. My tax was low. "


class Topics:
    """An embedder that sees cats, taxes, and nothing else."""

    id = "topics"
    dimensions = 3

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.batches.append(len(texts))
        rows = np.array([[t.count("cat"), t.count("tax"), 0.01] for t in texts], dtype=np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_a_chunk_ends_where_the_subject_changes() -> None:
    text = (CATS + TAXES) * 3
    chunks = Semantic(size=200, unit="characters", embedder=Topics(), percentile=75, around=1)(text)
    assert [chunk.text for chunk in chunks] == [CATS, TAXES] * 3


@pytest.mark.parametrize("breaks", ["percentile", "gradient"])
def test_the_size_is_a_cap_and_the_least_is_kept(breaks: str) -> None:
    text = (CATS * 4 + TAXES) * 5
    chunker = Semantic(size=120, least=0.5, unit="characters", embedder=Topics(), breaks=breaks, overlap=0.2)  # type: ignore[arg-type]
    chunks = chunker(text)
    assert max(len(chunk.text) for chunk in chunks) <= 120
    assert min(len(chunk.text) for chunk in chunks[:-1]) >= 60


def test_a_text_about_one_thing_is_cut_between_sentences() -> None:
    chunks = Semantic(size=100, unit="characters", embedder=Topics())(CATS * 5)
    assert all(chunk.text.endswith(". ") for chunk in chunks)


def test_sentences_are_embedded_in_batches() -> None:
    embedder = Topics()
    Semantic(size=100, embedder=embedder)(CATS * 200)
    assert embedder.batches == [256, 256, 256, 32]


def test_the_distance_of_each_border_is_that_of_the_groups_around_it() -> None:
    embedder = Topics()
    text = "".join(f"One {w}. " for w in ("cat", "tax", "cat", "cat", "tax", "tax", "cat") * 80)
    chunker = Semantic(size=100, embedder=embedder, around=2)
    ends = np.array([m + 9 for m in range(0, len(text) - 9, 9)])
    whole = [0, *ends.tolist(), len(text)]
    groups = embedder([text[whole[i] : whole[min(i + 2, len(whole) - 1)]] for i in range(len(whole) - 1)])
    expected = [1 - float(groups[max(0, i - 1)] @ groups[i + 1]) for i in range(len(ends))]
    assert chunker._distances(text, ends) == pytest.approx(expected)


def test_the_bundled_model_sees_the_same_border() -> None:
    text = (
        "The cat slept on the sofa all day. Cats purr when they are content. Kittens love to play with wool. "
        "Income tax is due at the end of April. The tax office charges interest on late payments. "
        "A refund is paid into your bank account."
    )
    first, second = Semantic(size=80, percentile=70, around=1)(text)
    assert second.text.startswith("Income tax")
    assert first.text + second.text == text
