"""Words and BM25: what counts as a word in which script, and scores against the formula written out."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.retrieval import BM25, words


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The Fed's  rate: 2.5%", ["the", "fed", "s", "rate", "2", "5"]),
        ("STRASSE Straße", ["strasse", "strasse"]),
        ("snake_case x2", ["snake_case", "x2"]),
        ("東京都に", ["東京", "京都", "都に"]),
        ("in 東 only", ["in", "東", "only"]),
        ("iPhone15は高い", ["iphone15", "は高", "高い"]),
        ("한국어 말", ["한국", "국어", "말"]),
        ("ﬁne ①", ["fine", "1"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        (" \t\n—…!", []),
        ("", []),
    ],
)
def test_words_are_runs_of_letters_and_digits_and_pairs_where_there_are_no_blanks(text: str, found: list[str]) -> None:
    assert words(text) == found


@given(st.text(max_size=200))
def test_any_text_has_words_and_none_of_them_is_empty(text: str) -> None:
    assert all(words(text + "\ud800"))


def test_a_long_run_of_combining_marks_is_no_trap() -> None:
    assert words("a" + "\u0301\u0316" * 50_000 + " b")[-1] == "b"


def _bm25(texts: list[str], prompt: str, k1: float = 1.2, b: float = 0.75) -> list[float]:
    """The formula, passage by passage and word by word."""
    counted = [Counter(words(t)) for t in texts]
    mean = sum(sum(c.values()) for c in counted) / len(texts)
    scores = []
    for count in counted:
        total = 0.0
        for word in words(prompt):
            having = sum(word in c for c in counted)
            idf = math.log(1 + (len(texts) - having + 0.5) / (having + 0.5))
            f = count[word]
            total += idf * f / (f + k1 * (1 - b + b * sum(count.values()) / mean)) if f else 0.0
        scores.append(total)
    return scores


@given(
    st.lists(st.lists(st.sampled_from("abcde"), min_size=1, max_size=8).map(" ".join), min_size=1, max_size=6),
    st.lists(st.sampled_from("abcdef"), max_size=4).map(" ".join),
)
def test_scores_are_those_of_the_formula(texts: list[str], prompt: str) -> None:
    np.testing.assert_allclose(BM25.of(texts).scores(prompt), _bm25(texts, prompt), atol=1e-12)


def test_a_known_score() -> None:
    scores = BM25.of(["the cat sat", "the dog", "a bird"]).scores("cat")
    idf = math.log(1 + (3 - 1 + 0.5) / 1.5)
    assert scores[0] == pytest.approx(idf / (1 + 1.2 * (0.25 + 0.75 * 3 / (7 / 3))))
    assert scores[1:].tolist() == [0.0, 0.0]


def test_passages_without_any_word_score_nothing_and_break_nothing() -> None:
    assert BM25.of(["", " — ", "word"]).scores("word absent")[2] > 0
    assert BM25.of(["", "…"]).scores("word").tolist() == [0.0, 0.0]
