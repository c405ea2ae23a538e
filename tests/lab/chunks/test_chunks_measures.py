"""Scores of a question by hand, equal contexts, prices and paired differences."""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.chunking import Chunk
from routelab.core.values import Model, Price
from routelab.lab.chunks.ledger import Ledger
from routelab.lab.chunks.measures import Scores, difference, fill, scored, usd_per_1000
from routelab.lab.chunks.questions import Questions

# One token a word: "w" and its blank, whatever stands before.
TEXT = "one two three four five six seven eight nine ten"
ENDS = [i for i, c in enumerate(TEXT) if c == " "] + [len(TEXT)]


def cut(start: int, end: int, source: str = "a") -> Chunk:
    return Chunk(text=TEXT[start:end], start=start, end=end, order=0, source=source)


def asked(*spans: tuple[int, int], source: str = "a") -> Questions:
    return Questions(texts=("q",), sources=(source,), spans=(spans,), corpora={"a": TEXT, "b": TEXT})


def one(questions: Questions, passages: list[Chunk], order: list[int], k: int = 5) -> Scores:
    return scored(questions, passages, [order], Ledger.of(questions.corpora), k=k, budgets=(2, 4))


def test_a_question_is_scored_by_hand() -> None:
    # "three four" (8 to 18) is wanted; the first hit is of the other source, the second holds half, the third the whole.
    passages = [cut(0, 7, "b"), cut(0, 13), cut(8, 23), cut(24, 35)]
    scores = one(asked((8, 18)), passages, [0, 1, 2])
    assert scores.recall.tolist() == [1.0]
    assert scores.precision.tolist() == [10 / (7 + 13 + 15)]
    assert scores.iou.tolist() == [10 / 35]
    assert scores.omega.tolist() == [10 / 23]
    assert scores.reciprocal_rank.tolist() == [0.5]
    assert (scores.hit.tolist(), scores.whole.tolist()) == ([1.0], [1.0])
    gained = 0.5 / math.log2(3) + 1.0 / math.log2(4)
    ideal = 1.0 / math.log2(2) + 0.5 / math.log2(3)
    assert scores.ndcg.tolist() == pytest.approx([gained / ideal])
    # "one two", and merged "one two three four five": 2 + 5 tokens; one by one: 2 + 3 + 3.
    assert (scores.context_tokens.tolist(), scores.retrieved_tokens.tolist()) == ([7.0], [8.0])
    assert scores.recall_per_1k_tokens == pytest.approx(1000 / 7)


def test_only_the_first_k_count() -> None:
    scores = one(asked((8, 18)), [cut(0, 7), cut(8, 18)], [0, 1], k=1)
    assert (scores.recall.tolist(), scores.hit.tolist(), scores.whole.tolist()) == ([0.0], [0.0], [0.0])
    assert scores.reciprocal_rank.tolist() == [0.0]
    assert scores.omega.tolist() == [1.0]  # the first chunk ends a blank before the answer


def test_part_of_an_answer_is_a_hit_and_not_the_whole() -> None:
    scores = one(asked((8, 13), (24, 27)), [cut(8, 13), cut(24, 27)], [0])
    assert (scores.hit.tolist(), scores.whole.tolist()) == ([1.0], [0.0])
    assert scores.recall.tolist() == [5 / 8]


def test_nothing_retrieved_is_nothing_found() -> None:
    scores = one(asked((0, 3)), [cut(0, 3)], [])
    assert [float(v[0]) for v in (scores.recall, scores.precision, scores.iou, scores.ndcg, scores.context_tokens)] == [0.0] * 5  # fmt: skip
    assert scores.recall_per_1k_tokens == 0.0


def test_equal_contexts_are_filled_in_order_and_the_last_passage_is_cut() -> None:
    scores = one(asked((8, 18)), [cut(0, 7), cut(4, 13), cut(14, 23)], [0, 1, 2])
    # Two tokens are "one two"; four are "one two three" and " four", or what of it fits.
    assert scores.recall_at[2].tolist() == [0.0]
    assert scores.tokens_at[2].tolist() == [2.0]
    assert scores.recall_at[4].tolist() == pytest.approx([9 / 10])
    assert scores.tokens_at[4].tolist() == [4.0]


def test_rows_can_be_taken_out() -> None:
    questions = Questions(
        texts=("p", "q"), sources=("a", "a"), spans=(((0, 3),), ((4, 7),)), corpora={"a": TEXT}
    )  # fmt: skip
    both = scored(questions, [cut(0, 3)], [[0], [0]], Ledger.of(questions.corpora), k=1, budgets=(2,))
    second = both.only(np.array([1]))
    assert (both.recall.tolist(), second.recall.tolist()) == ([1.0, 0.0], [0.0])
    assert second.recall_at[2].tolist() == [0.0]


stretch = st.tuples(st.sampled_from("ab"), st.integers(0, 9), st.integers(0, 9)).map(
    lambda s: cut([0, *(e + 1 for e in ENDS)][min(s[1:])], ENDS[max(s[1:])], s[0])
)


@given(st.lists(stretch, max_size=6), st.integers(1, 25))
def test_a_filled_context_keeps_its_budget_and_takes_nothing_twice(ranked: list[Chunk], budget: int) -> None:
    ledger = Ledger.of({"a": TEXT, "b": TEXT})
    filled, tokens = fill(ranked, ledger, budget)
    assert tokens == ledger.total(filled) <= budget
    places = [(name, i) for name, spans in filled.items() for a, b in spans for i in range(a, b)]
    assert len(places) == len(set(places))
    there = {(p.source, i) for p in ranked for i in range(p.start, p.end)}
    assert set(places) <= there
    if tokens < budget - 1:  # a cut can fall a token short, where the next one begins with a blank that is not taken
        assert set(places) == there


def test_prices_are_those_of_the_input_and_unknown_is_none() -> None:
    price = Price(usd_per_mtok_in=2.0, usd_per_mtok_out=9.0, as_of=date(2026, 1, 1))
    models = (
        Model(name="a", provider="openai", upstream="gpt-5", price=price),
        Model(name="b", provider="anthropic", upstream="claude-x", price=price),
        Model(name="c", provider="x", upstream="y"),
    )
    assert usd_per_1000(500.0, models) == {"a": 1.0, "b": pytest.approx(1.16), "c": None}


def test_differences_are_paired_by_question_and_clustered_by_source() -> None:
    new = np.array([1.0, 0.5, 0.0, 1.0, 0.5, 1.0] * 5)
    base = np.array([0.5, 0.5, 0.0, 0.5, 0.5, 1.0] * 5)
    gap = difference(new, base, np.repeat(np.arange(5), 6))
    assert gap.questions.value == gap.sources.value == pytest.approx(1 / 6)
    assert (gap.questions.n, gap.questions.clusters, gap.sources.clusters) == (30, None, 5)
    assert gap.questions.low is not None
    assert 0 < gap.questions.low < 1 / 6
