"""Spans and the ledger of tokens, against sets of characters and plain counting."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.lab.chunks.ledger import Ledger
from routelab.lab.chunks.spans import Found, common, found, length, omega, union, without
from routelab.providers.tokens import bundled

span = st.tuples(st.integers(0, 40), st.integers(1, 12)).map(lambda s: (s[0], s[0] + s[1]))
spans = st.lists(span, max_size=6)


def characters(given_spans: list[tuple[int, int]]) -> set[int]:
    return {i for start, end in given_spans for i in range(start, end)}


@given(spans, spans)
def test_unions_and_common_parts_are_those_of_the_sets_of_characters(one: list[tuple[int, int]], two: list[tuple[int, int]]) -> None:  # fmt: skip
    for made, wanted in ((union(one), characters(one)), (common(one, two), characters(one) & characters(two))):
        assert characters(made) == wanted
        assert length(made) == len(wanted)
        assert made == sorted(made)


@given(span, spans)
def test_what_is_left_of_a_span_is_what_the_others_do_not_have(one: tuple[int, int], others: list[tuple[int, int]]) -> None:  # fmt: skip
    left = without(one, others)
    assert characters(left) == characters([one]) - characters(others)
    assert length(left) == len(characters(left))


@given(st.lists(span, min_size=1, max_size=4), spans, st.integers(0, 30))
def test_shares_are_those_of_chunking_evaluation_counted_by_characters(
    wanted: list[tuple[int, int]], retrieved: list[tuple[int, int]], elsewhere: int
) -> None:
    both = len(characters(wanted) & characters(retrieved))
    paid = sum(b - a for a, b in retrieved) + elsewhere
    sought = sum(b - a for a, b in wanted)
    # Each wanted span is missed by itself, also where two of them overlap.
    missed = sum(len(characters([w]) - characters(retrieved)) for w in wanted)
    assert found(wanted, retrieved, elsewhere=elsewhere) == Found(
        recall=both / sought,
        precision=both / paid if paid else 0.0,
        iou=both / (paid + missed),
    )


@given(st.lists(span, min_size=1, max_size=4), spans)
def test_omega_is_the_precision_of_all_passages_that_meet_an_answer(
    wanted: list[tuple[int, int]], passages: list[tuple[int, int]]
) -> None:
    meeting = [p for p in passages if any(w[0] <= p[1] and p[0] <= w[1] for w in wanted)]
    both = len(characters(wanted) & characters(meeting))
    assert omega(wanted, passages) == (both / len(characters(meeting) | characters(wanted)) if both else 0.0)


def test_what_is_retrieved_twice_is_paid_twice() -> None:
    assert found([(0, 10)], [(0, 10)]) == Found(recall=1.0, precision=1.0, iou=1.0)
    assert found([(0, 10)], [(0, 10), (5, 15)]) == Found(recall=1.0, precision=0.5, iou=0.5)
    assert found([(0, 10)], [(5, 10)], elsewhere=5) == Found(recall=0.5, precision=0.5, iou=5 / 15)
    assert found([(0, 10)], []) == Found(recall=0.0, precision=0.0, iou=0.0)


def test_a_passage_that_only_touches_an_answer_lowers_omega() -> None:
    assert omega([(10, 20)], [(10, 20), (21, 30)]) == 1.0
    assert omega([(10, 20)], [(10, 20), (20, 30)]) == 0.5


TEXT = "The bank's rate rose 2.5 % — naïve 東京 \U0001f468\u200d\U0001f469\u200d\U0001f467. " * 3


@given(st.integers(0, len(TEXT)), st.integers(0, len(TEXT)))
def test_stretches_at_tokens_have_the_tokens_that_counting_gives(a: int, b: int) -> None:
    encoding = bundled()
    assert encoding is not None
    ledger = Ledger.of({"a": TEXT})
    start, end = sorted((a, b))
    # Between two marks exactly; anywhere else, what the stretch touches.
    offsets = set(ledger.marks["a"][0].tolist())
    counted = ledger.tokens("a", (start, end))
    if start in offsets and end in offsets:
        assert counted == len(encoding.encode_ordinary(TEXT[:end])) - len(encoding.encode_ordinary(TEXT[:start]))
    assert 0 <= counted <= ledger.tokens("a", (0, len(TEXT))) == len(encoding.encode_ordinary(TEXT))


@given(st.integers(0, len(TEXT)), st.integers(0, 80))
def test_a_reach_is_the_furthest_end_within_the_tokens(start: int, tokens: int) -> None:
    ledger = Ledger.of({"a": TEXT})
    end = ledger.reach("a", start, tokens)
    assert end == start or ledger.tokens("a", (start, end)) <= tokens
    later = [o for o in ledger.marks["a"][0].tolist() if o > end]
    assert not later or ledger.tokens("a", (start, later[0])) > tokens


def test_stretches_of_several_sources_are_added() -> None:
    ledger = Ledger.of({"a": "one two three", "b": "four"})
    assert ledger.total({"a": [(0, 3), (3, 7)], "b": [(0, 4)]}) == 3
    with pytest.raises(KeyError):
        ledger.tokens("c", (0, 1))
