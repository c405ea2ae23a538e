"""Rows of chunks: what they restore, what they miss, and when two are the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from routelab.chunking import Characters, Chunk, Recursive, Tokens, identity, missing, restored
from routelab.core.errors import DataError

TEXT = "One sentence here. And another one there. " * 40


def test_identical_chunkings_are_recognised_whoever_made_them() -> None:
    one = Recursive(size=10_000)(TEXT, "a")
    assert identity(one) == identity(Characters(size=50_000)(TEXT, "a")) == identity(Tokens(size=9_000)(TEXT, "a"))


def test_what_is_retrieved_otherwise_is_another_chunking() -> None:
    chunks = Characters(size=100)(TEXT, "a")
    others = [
        Characters(size=101)(TEXT, "a"),
        Characters(size=100, overlap=1)(TEXT, "a"),
        Characters(size=100)(TEXT, "b"),
        Characters(size=100)(TEXT.upper(), "a"),
        chunks[:-1],
        (),
    ]
    assert len({identity(row) for row in (chunks, *others)}) == 7


def test_headings_and_counts_make_no_other_chunking() -> None:
    chunks = Characters(size=100)(TEXT)
    assert identity([replace(c, headings=("h",), tokens=3) for c in chunks]) == identity(chunks)


def test_a_gap_is_not_restored_but_found() -> None:
    chunks = [Chunk(text="ab", start=0, end=2, order=0), Chunk(text="de", start=3, end=5, order=1)]
    with pytest.raises(DataError, match="chunk 1: characters 2 to 3 are in no chunk"):
        restored(chunks)
    assert list(missing(chunks, "abcdef")) == [(2, 3), (5, 6)]
    assert list(missing(Characters(size=7, overlap=3)(TEXT), TEXT)) == []
