"""Contexts: cited, merged, never over the budget, no character of a source twice."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.core.errors import ConfigError
from routelab.retrieval import Hit, assembled, merged

TEXT = "".join(chr(0x4E00 + i) for i in range(60))


@dataclass(frozen=True, kw_only=True)
class Part:
    """A passage."""

    text: str
    start: int
    end: int
    source: str = "a"
    headings: tuple[str, ...] = ()


def hit(rank: int, start: int, end: int, source: str = "a", headings: tuple[str, ...] = ()) -> Hit:
    part = Part(text=TEXT[start:end], start=start, end=end, source=source, headings=headings)
    return Hit(position=rank, rank=rank, passage=part, score=1 / rank)


def test_passages_are_numbered_by_rank_and_say_where_they_stand() -> None:
    context = assembled([hit(1, 20, 24, headings=("One", "Two")), hit(2, 3, 5, source="b")], count=len)
    assert context.text == (f"[1] a (One › Two), characters 20–24\n{TEXT[20:24]}\n\n[2] b, characters 3–5\n{TEXT[3:5]}")
    assert (context.tokens, context.left_out) == (len(context.text), ())
    assert [(c.number, c.ranks) for c in context.citations] == [(1, (1,)), (2, (2,))]


def test_overlapping_and_touching_passages_of_a_source_become_one() -> None:
    cited = merged([hit(1, 30, 40), hit(2, 5, 10), hit(3, 8, 14), hit(4, 14, 16), hit(5, 15, 20, source="b")])
    assert [(c.source, c.start, c.end, c.ranks) for c in cited] == [
        ("a", 30, 40, (1,)),
        ("a", 5, 16, (2, 3, 4)),
        ("b", 15, 20, (5,)),
    ]
    assert cited[1].text == TEXT[5:16]


def test_a_passage_within_another_adds_nothing() -> None:
    [one] = merged([hit(1, 5, 20), hit(2, 8, 10), hit(3, 18, 22)])
    assert (one.text, one.ranks) == (TEXT[5:22], (1, 2, 3))


def test_what_does_not_fit_is_left_out_whole_and_a_later_one_that_fits_is_taken() -> None:
    hits = [hit(1, 0, 10), hit(2, 20, 50), hit(3, 12, 14)]
    whole = assembled([hits[0], hits[2]], count=len)
    context = assembled(hits, count=len, budget_tokens=whole.tokens)
    assert context.text == whole.text
    assert context.left_out == (2,)
    assert assembled(hits, count=len, budget_tokens=1).left_out == (1, 2, 3)


def test_no_hits_are_an_empty_context() -> None:
    context = assembled([], count=len, budget_tokens=5)
    assert (context.text, context.citations, context.tokens, context.left_out) == ("", (), 0, ())


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="budget_tokens: a whole number from 1 is wanted, not 0"):
        assembled([], count=len, budget_tokens=0)


spans = st.tuples(st.integers(0, 59), st.integers(1, 20), st.sampled_from("ab")).map(
    lambda s: (s[0], min(60, s[0] + s[1]), s[2])
)


@given(st.lists(spans, max_size=8), st.integers(1, 300))
def test_the_budget_is_never_exceeded_and_no_character_is_paid_twice(
    found: list[tuple[int, int, str]], budget: int
) -> None:
    hits = [hit(rank, a, b, source) for rank, (a, b, source) in enumerate(found, start=1)]
    context = assembled(hits, count=len, budget_tokens=budget)
    assert context.tokens == len(context.text) <= budget
    places = [(c.source, i) for c in context.citations for i in range(c.start, c.end)]
    assert len(places) == len(set(places))
    taken = [h for h in hits if h.rank not in context.left_out]
    assert set(places) == {(h.passage.source, i) for h in taken for i in range(h.passage.start, h.passage.end)}
    assert all(c.text == TEXT[c.start : c.end] for c in context.citations)
    assert sorted(r for c in context.citations for r in c.ranks) == [h.rank for h in taken]
    assert [c.number for c in context.citations] == list(range(1, len(context.citations) + 1))
