"""Libraries: by vectors, words and both; floors, limits, ties; the same through every index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from routelab.core.errors import ConfigError
from routelab.embedding import Lexical
from routelab.retrieval import WAYS, By, Library, Search

WORDS = ("tax", "court", "river", "budget", "law", "flood", "bank", "vote")


@dataclass(frozen=True, kw_only=True)
class Part:
    """A passage."""

    text: str
    source: str = "a"
    start: int = 0
    end: int = 0
    headings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Axes:
    """Embeds a text as the direction of its first word's number among the words; counts the texts it has seen."""

    id: str = "axes"
    dimensions: int = len(WORDS)

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([np.eye(len(WORDS))[WORDS.index(t.split()[0])] for t in texts], dtype=np.float32)


def parts(*texts: str) -> tuple[Part, ...]:
    return tuple(Part(text=text, start=10 * i, end=10 * i + len(text)) for i, text in enumerate(texts))


def positions(library: Library, prompt: str, search: Search) -> list[int]:
    [hits] = library.search([prompt], search)
    return [hit.position for hit in hits]


def test_vectors_rank_by_cosine_and_the_first_of_equals_comes_first() -> None:
    library = Library(passages=parts("river bank", "tax law", "tax vote"), embedder=Axes())
    [hits] = library.search(["tax"], Search(k=3))
    assert [(h.position, h.rank, h.score, h.cosine, h.bm25) for h in hits] == [
        (1, 1, 1.0, 1.0, None),
        (2, 2, 1.0, 1.0, None),
        (0, 3, 0.0, 0.0, None),
    ]
    assert hits[0].passage == library.passages[1]


def test_words_find_only_passages_that_have_one_of_them() -> None:
    library = Library(passages=parts("river bank", "tax law", "law law tax"))
    assert positions(library, "law", Search(by="words")) == [2, 1]
    assert positions(library, "unheard", Search(by="words")) == []
    [hits] = library.search(["law"], Search(by="words"))
    assert all(h.cosine is None and h.bm25 == h.score > 0 for h in hits)


def test_hybrid_sums_reciprocal_ranks() -> None:
    # By vector: 0 then 1 and 2 (no cosine, in order); by words: 2 only.
    library = Library(passages=parts("tax vote", "river", "bank flood"), embedder=Axes())
    [hits] = library.search(["tax flood"], Search(by="hybrid", k=3))
    fused = {h.position: h.score for h in hits}
    assert fused == pytest.approx({0: 1 / 61 + 1 / 61, 2: 1 / 63 + 1 / 62, 1: 1 / 62})
    assert [h.position for h in hits] == [0, 2, 1]
    assert [(h.cosine, h.bm25 is not None) for h in hits] == [(1.0, True), (0.0, True), (0.0, True)]


def test_what_only_the_words_found_has_its_cosine_too() -> None:
    library = Library(passages=parts("river tax", "bank tax"), embedder=Axes())
    [hits] = library.search(["river bank"], Search(by="hybrid", k=2, pool=2))
    assert {h.position: h.cosine for h in hits} == {0: 1.0, 1: 0.0}


@pytest.mark.parametrize("by", WAYS)
def test_limits_on_sources_and_headings_hold_in_every_way(by: By) -> None:
    passages = (
        Part(text="tax law", source="a", headings=("One", "Two")),
        Part(text="tax law", source="b", headings=("One",)),
        Part(text="tax law", source="b", headings=("Two", "One")),
    )
    library = Library(passages=passages, embedder=Axes())
    assert positions(library, "tax", Search(by=by, sources=("b",))) == [1, 2]
    assert positions(library, "tax", Search(by=by, under=("One",))) == [0, 1]
    assert positions(library, "tax", Search(by=by, under=("One", "Two"), sources=("a", "b"))) == [0]
    assert positions(library, "tax", Search(by=by, sources=("c",))) == []


def test_a_limit_is_applied_before_the_k_best_are_taken() -> None:
    passages = (*parts(*["tax"] * 20), Part(text="river", source="b"))
    library = Library(passages=passages, embedder=Axes())
    for by in WAYS[::2]:
        assert positions(library, "tax river", Search(by=by, k=1, sources=("b",))) == [20]


def test_the_floor_is_a_cosine_or_with_words_a_score() -> None:
    library = Library(passages=parts("tax", "river law", "law law"), embedder=Axes())
    assert positions(library, "tax", Search(floor=0.5)) == [0]
    assert positions(library, "tax law", Search(by="hybrid", floor=0.5)) == [0]
    [every] = library.search(["law"], Search(by="words"))
    assert positions(library, "law", Search(by="words", floor=every[0].score)) == [every[0].position]


@given(
    st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join), min_size=1, max_size=12),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join),
    st.sampled_from(WAYS),
    st.integers(1, 6),
)
def test_fewer_hits_are_the_first_of_more_and_a_batch_is_its_prompts(
    texts: list[str], prompt: str, by: By, k: int
) -> None:
    library = Library(passages=parts(*texts), embedder=Lexical(dimensions=64))
    [more] = library.search([prompt], Search(by=by, k=k + 3))
    fewer, again = library.search([prompt, texts[0]], Search(by=by, k=k))
    assert fewer == more[:k]
    assert again == library.search([texts[0]], Search(by=by, k=k))[0]
    assert [h.rank for h in more] == list(range(1, len(more) + 1))
    assert [(-h.score, h.position) for h in more] == sorted((-h.score, h.position) for h in more)


def test_chroma_finds_what_the_exact_index_finds() -> None:
    passages = parts(*(f"{a} {b} {i}" for i, (a, b) in enumerate((a, b) for a in WORDS for b in WORDS)))
    exact, chroma = (Library(passages=passages, embedder=Lexical(dimensions=64), index=i) for i in ("exact", "chroma"))
    for by in WAYS:
        search = Search(by=by, k=4)
        assert exact.search(["tax river", "law"], search) == chroma.search(["tax river", "law"], search)


def test_vectors_that_are_known_are_not_made_again() -> None:
    rows = Axes()(["tax", "river"])
    library = Library(passages=parts("unknown word", "and another"), embedder=Axes(), rows=rows)
    assert positions(library, "river", Search(k=1)) == [1]
    with pytest.raises(ConfigError, match=r"library.rows: 2 vectors for 1 passages"):
        Library(passages=parts("one"), rows=rows)


def test_without_an_embedder_only_words_can_be_searched() -> None:
    with pytest.raises(ConfigError, match="the library has no embedder"):
        Library(passages=parts("tax")).search(["tax"], Search())


def test_an_empty_library_and_no_prompts_find_nothing() -> None:
    for by in WAYS:
        assert Library(passages=(), embedder=Axes()).search(["tax", "law"], Search(by=by)) == ((), ())
        assert Library(passages=parts("tax"), embedder=Axes()).search([], Search(by=by)) == ()


def test_an_unknown_index_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="did you mean 'chroma'"):
        Library(passages=(), index="chrome")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"k": 0}, "k: a whole number from 1 is wanted, not 0"),
        ({"pool": True}, "pool: a whole number from 1 is wanted, not True"),
        ({"by": "hybird"}, "by: must be one of vectors, words, hybrid, not 'hybird'; did you mean 'hybrid'?"),
        ({"floor": float("nan")}, "floor: a number is wanted, not nan"),
        ({"smoothing": -1}, "smoothing: a number from 0 is wanted, not -1"),
        ({"sources": "a"}, "sources: a list of texts is wanted, not 'a'"),
    ],
)
def test_a_search_that_cannot_be_done_names_its_field(given: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError) as trouble:  # noqa: PT011
        Search(**given)  # type: ignore[arg-type]
    assert str(trouble.value) == said
