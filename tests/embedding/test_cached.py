from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from routelab.embedding import Cached, Lexical, content_hash
from routelab.testing.embedders import Shelf


@dataclass(frozen=True, kw_only=True)
class Counting:
    """Lexical, with a note of what it was asked for."""

    id: str = "counting@8"
    dimensions: int = 8
    seen: list[str] = field(default_factory=list)

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.seen.extend(texts)
        return Lexical(dimensions=8)(texts)


def test_no_text_is_embedded_twice() -> None:
    inner, shelf = Counting(), Shelf()
    cached = Cached(embedder=inner, store=shelf)
    first = cached(["a", "b", "a"])
    again = cached(["b", "c", "a"])
    assert inner.seen == ["a", "b", "c"]
    assert shelf.asked == [2, 3]
    assert np.array_equal(first[0], first[2])
    assert np.array_equal(again[[0, 2]], first[[1, 0]])


def test_the_whole_text_is_hashed_and_nothing_else() -> None:
    assert content_hash("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert content_hash("\ud800") != content_hash("\ud801")
    assert content_hash("a ") != content_hash("a")


def test_another_embedder_does_not_get_these_vectors() -> None:
    shelf = Shelf()
    one, other = Counting(), Counting(id="other@8")
    Cached(embedder=one, store=shelf)(["a"])
    Cached(embedder=other, store=shelf)(["a"])
    assert other.seen == ["a"]


def test_a_stored_vector_that_cannot_be_right_is_computed_again() -> None:
    for broken in (np.ones(7, np.float32), np.full(8, np.nan, np.float32), np.ones((1, 8), np.float32)):
        inner, shelf = Counting(), Shelf()
        shelf.vectors[inner.id, content_hash("a")] = broken
        rows = Cached(embedder=inner, store=shelf)(["a"])
        assert inner.seen == ["a"]
        assert np.array_equal(rows, Lexical(dimensions=8)(["a"]))
        assert np.array_equal(shelf.vectors[inner.id, content_hash("a")], rows[0])


def test_a_kept_row_does_not_keep_its_batch_alive() -> None:
    shelf = Shelf()
    Cached(embedder=Counting(), store=shelf)(["a", "b"])
    assert all(vector.base is None for vector in shelf.vectors.values())


def test_nothing_is_asked_or_given_for_no_texts() -> None:
    shelf = Shelf()
    assert Cached(embedder=Counting(), store=shelf)([]).shape == (0, 8)
    assert (shelf.asked, shelf.given) == ([], [])


@given(st.lists(st.lists(st.sampled_from(["a", "b", "c", "", "\ud800"]), max_size=6), max_size=4))
def test_cached_vectors_are_those_of_the_embedder(batches: list[list[str]]) -> None:
    cached = Cached(embedder=Counting(), store=Shelf())
    for texts in batches:
        assert np.array_equal(cached(texts), Lexical(dimensions=8)(texts))
