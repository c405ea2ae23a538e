"""Tokens are counted as the whole text has them, and held only around where they are asked for."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routelab.chunking import KINDS, Tokens, chunker_of, document
from routelab.chunking.ruler import TokenRuler, o200k, wordpiece
from routelab.core.values import Model
from routelab.providers.tokens import Counter, bundled

GPT = Model(name="a", provider="openai", upstream="gpt-5")


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(), max_size=200))
def test_the_marks_are_where_tokens_and_characters_both_end(text: str) -> None:
    encoding = bundled()
    assert encoding is not None
    offsets, counts = o200k()(text)
    plain = "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)
    tokens = encoding.encode_ordinary(plain)
    raw = b""
    expected = []
    for count, token in enumerate(tokens, 1):
        raw += encoding.decode_single_token_bytes(token)
        try:
            expected.append((len(raw.decode("utf-8")), count))
        except UnicodeDecodeError:
            continue
    assert list(zip(offsets.tolist(), counts.tolist(), strict=True)) == expected


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(), max_size=200))
def test_the_marks_of_word_pieces_ascend_to_the_end(text: str) -> None:
    offsets, counts = wordpiece()(text)
    assert all(a < b for a, b in pairwise([0, *offsets.tolist()]))
    assert all(a < b for a, b in pairwise([0, *counts.tolist()]))
    assert offsets.tolist()[-1:] == ([len(text)] if text else [])


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.sampled_from(["word ", "漢字", "\N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}", "\n\n", "x" * 30, ". "]), max_size=80
    ),
    st.data(),
)
def test_reaching_and_going_back_agree_with_counting(parts: list[str], data: st.DataObject) -> None:
    text = "".join(parts)
    offsets, counts = (np.concatenate(([0], row)) for row in o200k()(text))
    at = int(data.draw(st.integers(0, len(offsets) - 1)))
    size = data.draw(st.integers(1, 40))
    ruler = TokenRuler(text, o200k())
    start = int(offsets[at])
    if start < len(text):
        fitting = [int(o) for o, c in zip(offsets, counts, strict=True) if o > start and c - counts[at] <= size]
        assert ruler.reach(start, size) == (fitting[-1] if fitting else int(offsets[at + 1]))
    assert ruler.back(start, size) == next(
        int(o) for o, c in zip(offsets, counts, strict=True) if counts[at] - c <= size
    )


def test_a_chunk_has_its_tokens_by_itself_too(shared: Path) -> None:
    text = document(shared / "data" / "rag_chunking" / "corpora" / "wikitexts.md")
    chunks = Tokens(size=100, overlap=20)(text)
    alone = [Counter().count(chunk.text, GPT).input for chunk in chunks]
    assert {chunk.tokens for chunk in chunks[:-1]} <= {97, 98, 99, 100}
    off = [abs((chunk.tokens or 0) - (n or 0)) for chunk, n in zip(chunks, alone, strict=True)]
    assert max(off) <= 2
    assert sum(map(bool, off)) <= len(chunks) // 50


def test_a_long_document_is_streamed_in_bounded_memory() -> None:
    sentence = "The quick brown fox jumps over the lazy dog, and number {} sleeps. "

    def grown(count: int) -> int:
        text = "".join(sentence.format(i) for i in range(count))
        o200k()("warm")
        tracemalloc.start()
        for _ in Tokens(size=400, overlap=80).stream(text):
            pass
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    # 62,500 sentences of 16 tokens are a million.
    assert grown(62_500) < 1.2 * grown(6_250) < 4_000_000


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"langchain", "chonkie", "semantic"}))
@pytest.mark.parametrize(
    "line", ["x", " ", "漢", "1.", "\N{REGIONAL INDICATOR SYMBOL LETTER D}", "a\N{COMBINING TILDE}"]
)
def test_one_line_of_a_million_characters_is_cut(kind: str, line: str) -> None:
    text = line * (1_000_000 // len(line))
    reached = 0
    for chunk in chunker_of({"kind": kind, "size": 5_000, "overlap": 0.2}).stream(text):
        assert chunk.start <= reached < chunk.end
        reached = chunk.end
    assert reached == len(text)
