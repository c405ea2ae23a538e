"""Looking up: what was found, under its names, within the budget."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.chunking import Chunk
from routelab.embedding import Lexical
from routelab.retrieval import Found, Library, Lookup, Search, framed, quoted
from routelab.retrieval.lookup import tokens

TEXTS = ("The river floods in spring.", "Tax is due in May.", "The court sits on Monday.", "Votes are counted by hand.")


def library() -> Library:
    chunks = [Chunk(text=t, start=100 * i, end=100 * i + len(t), order=i, source="a.md") for i, t in enumerate(TEXTS)]
    return Library(passages=chunks, embedder=Lexical(dimensions=256))


def lookup(**given: object) -> Lookup:
    fields = {"library": library(), "search": Search(k=2), "corpus": "town", "digest": "d", **given}
    return Lookup(**fields)  # type: ignore[arg-type]


def test_what_is_found_is_named_scored_and_framed() -> None:
    found = lookup()("When is tax due?")
    assert (found.corpus, found.digest, found.left_out) == ("town", "d", 0)
    assert found.chunks[0] == "a.md:100-118"
    assert found.scores == tuple(sorted(found.scores, reverse=True))
    assert quoted(found.context)[0].text == TEXTS[1]
    assert found.tokens == tokens(found.context)
    assert len(found.chunks) == len(found.scores) == len(found.citations) == 2


def test_nothing_found_is_no_context() -> None:
    nothing = Found(corpus="town", chunks=(), scores=(), context="", tokens=0, digest="d")
    assert lookup()(" ") == nothing
    assert lookup(search=Search(floor=0.99))("When is tax due?") == nothing


def test_passages_that_touch_have_the_score_of_the_better_one() -> None:
    text = "".join(TEXTS)
    cuts = [0, *(sum(map(len, TEXTS[: i + 1])) for i in range(4))]
    chunks = [Chunk(text=text[a:b], start=a, end=b, order=i) for i, (a, b) in enumerate(itertools.pairwise(cuts))]
    made = Lookup(
        library=Library(passages=chunks, embedder=Lexical(dimensions=256)), search=Search(k=4), corpus="c", digest="d"
    )
    [hits] = made.library.search(["tax"], made.search)
    found = made("tax")
    assert (found.chunks, found.scores) == ((f":0-{len(text)}",), (hits[0].score,))


@given(st.integers(1, 200), st.sampled_from(TEXTS))
def test_the_frame_is_within_the_budget_too(budget: int, prompt: str) -> None:
    found = lookup(search=Search(k=4), budget_tokens=budget, count=len)(prompt)
    assert len(found.context) == found.tokens <= budget
    assert found.left_out + len(found.chunks) == 4


@pytest.mark.parametrize("text", ["", "word " * 9_000, "日本語"])
def test_tokens_are_counted_or_estimated(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = tokens(text)
    monkeypatch.setattr("routelab.retrieval.lookup.bundled", lambda: None)
    assert tokens(text) == pytest.approx(counted, rel=0.6, abs=2)


def test_an_empty_context_frames_to_nothing() -> None:
    assert framed("") == ""
