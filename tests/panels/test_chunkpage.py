"""A page of a text: every character once, in order, with the borders where the chunks have them, and nothing but text."""

from __future__ import annotations

import html
import itertools
import re

import numpy as np
import pytest
from cached import elements, read
from chunked import HOSTILE, corpora
from hypothesis import given
from hypothesis import strategies as st

from routelab.chunking import Chunk, chunker_of
from routelab.panels.chunkdrawing import histogram
from routelab.panels.chunkpage import BACK, PAGE, Marks, legend, metadata, page, page_of, pages, plain

TEXT = corpora()["attic"]
SIGNS = re.compile(r'<b class="rl-no.*?</b> |<i class="rl-end".*?</i>', re.DOTALL)


def tokens(chunks: tuple[Chunk, ...]) -> np.ndarray:
    return np.array([7] * len(chunks), dtype=np.int64)


def said(shown: str) -> str:
    """Return the text of a page without its signs."""
    body = shown.partition('tabindex="0">')[2].removesuffix("</div>")
    return html.unescape(re.sub(r"<[^>]*>", "", SIGNS.sub("", body)))


def spans(shown: str) -> list[tuple[str, str]]:
    """Return each stretch with its class."""
    body = SIGNS.sub("", shown.partition('tabindex="0">')[2])
    return [
        (c, html.unescape(re.sub(r"<[^>]*>", "", t)))
        for c, t in re.findall(r'<span class="([^"]*)">(.*?)</span>', body, re.DOTALL)
    ]


@pytest.mark.parametrize("kind", ["tokens", "recursive", "markdown", "sentences"])
@pytest.mark.parametrize("overlap", [0.0, 0.2, 0.7])
def test_every_character_of_a_page_is_there_once(kind: str, overlap: float) -> None:
    chunks = chunker_of({"kind": kind, "size": 60, "overlap": overlap})(TEXT)
    borders = pages(TEXT, 700)
    assert "".join(said(page(TEXT, chunks, tokens(chunks), b)) for b in itertools.pairwise(borders)) == TEXT


def test_tints_alternate_and_what_two_chunks_share_has_a_third() -> None:
    chunks = (
        Chunk(text="abcd", start=0, end=4, order=0),
        Chunk(text="defg", start=3, end=7, order=1, repeated=1),
        Chunk(text="hi", start=7, end=9, order=2),
    )
    shown = page("abcdefghi", chunks, tokens(chunks), (0, 9))
    assert spans(shown) == [("rl-even", "abc"), ("rl-twice", "d"), ("rl-odd", "efg"), ("rl-even", "hi")]
    assert re.findall(r'<b class="rl-no[^>]*>([^<]*)</b>', shown) == ["1", "2", "3"]
    # Where a chunk ends inside the next one is said; where the next one begins there, its number says it.
    assert re.findall(r"◂(\d+)", shown) == ["1"]


def test_what_no_chunk_holds_is_shown_as_lost() -> None:
    chunks = (Chunk(text="ab", start=0, end=2, order=0), Chunk(text="ef", start=4, end=6, order=1))
    assert spans(page("abcdefg", chunks, tokens(chunks), (0, 7))) == [
        ("rl-even", "ab"),
        ("rl-none", "cd"),
        ("rl-odd", "ef"),
        ("rl-none", "g"),
    ]


def test_hits_carry_rank_and_score_and_the_answer_is_bold() -> None:
    chunks = chunker_of({"kind": "markdown", "size": 60})(TEXT, "attic")
    start = TEXT.index("weighs")
    marks = Marks(hits={1: (2, 0.8314)}, gold=((start, start + 6),))
    shown = page(TEXT, chunks, tokens(chunks), (0, len(TEXT)), marks)
    assert re.findall(r"<b class=\"rl-no rl-found\"[^>]*>([^<]*)</b>", shown) == ["2 ★2 0.831"]
    assert re.findall(r'<b class="rl-gold"[^>]*>(.*?)</b>', shown) == ["weighs"]
    assert {text for c, text in spans(shown) if "rl-hit" in c} <= {text for _, text in spans(shown)}
    hit = "".join(text for c, text in spans(shown) if "rl-hit" in c)
    assert hit == chunks[1].text
    assert said(shown) == TEXT
    assert "«weighs»" in plain(TEXT, chunks, (0, len(TEXT)), marks)
    assert "⟦2 ★2 0.831⟧" in plain(TEXT, chunks, (0, len(TEXT)), marks)


def test_the_title_of_a_number_says_what_the_chunk_carries() -> None:
    chunk = Chunk(text="x" * 10, start=5, end=15, order=3, source="a <b>", headings=("One", "Two & more"), repeated=2)
    assert dict(metadata(chunk, 9, 4)) == {
        "source": "a <b>",
        "headings": "One › Two & more",
        "characters": "5 – 15 (10, 2 of them repeated)",
        "order": "4 of 9",
        "tokens": "4",
    }
    shown = page("y" * 5 + "x" * 10, (chunk,) * 4, tokens((chunk,) * 4), (5, 15))
    assert 'title="source: a &lt;b&gt;&#10;headings: One › Two &amp; more&#10;' in shown


def test_hostile_text_stays_text() -> None:
    text = f"one {HOSTILE} two {HOSTILE}\n\n# {HOSTILE}\n" * 3
    chunks = chunker_of({"kind": "markdown", "size": 20, "overlap": 0.3})(text, HOSTILE)
    shown = page(text, chunks, tokens(chunks), (0, len(text)), Marks(hits={0: (1, 1.0)}, gold=((3, 40),)))
    assert elements(shown) <= {"html", "head", "body", "style", "div", "span", "b", "i"}
    assert "mathjax_ignore" in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "<script>alert(1)</script>" in read(shown)


def test_the_legend_names_the_marks_that_there_are() -> None:
    every = read(legend(overlap=True, lost=True, hits=True, gold=True))
    assert all(word in every for word in ("in two chunks", "in no chunk", "rank and score", "part of the answer"))
    few = read(legend(overlap=False, lost=False, hits=False, gold=False))
    assert not any(word in few for word in ("two chunks", "no chunk", "rank", "answer"))


@given(st.text(alphabet="ab \n", max_size=400), st.integers(2, 60))
def test_pages_follow_one_another_and_none_is_too_long(text: str, size: int) -> None:
    borders = pages(text, size)
    assert (borders[0], borders[-1]) == (0, len(text))
    lengths = [b - a for a, b in itertools.pairwise(borders)]
    assert all(0 < n <= size for n in lengths) or text == ""
    for offset in range(len(text)):
        k = page_of(borders, offset)
        assert borders[k] <= offset < borders[k + 1]


def test_a_line_of_a_million_characters_is_shown_in_pages() -> None:
    text = "x" * 1_000_000
    borders = pages(text)
    assert len(borders) == 1_000_000 // PAGE + 1
    chunks = chunker_of({"kind": "characters", "size": 1600, "overlap": 0.2})(text)
    shown = page(text, chunks, tokens(chunks), (borders[200], borders[201]))
    assert said(shown) == text[borders[200] : borders[201]]
    assert len(shown) < 3 * PAGE + 20_000
    assert BACK < PAGE


def test_an_empty_text_has_one_empty_page() -> None:
    assert pages("") == [0, 0]
    assert said(page("", (), tokens(()), (0, 0))) == ""
    assert "there is no chunk" in histogram(tokens(()), 200)


def test_bars_hold_every_chunk_and_the_size_is_marked() -> None:
    drawn = histogram(np.array([10, 20, 20, 199, 200], dtype=np.int64), 200)
    assert sum(int(n) for n in re.findall(r"tokens: (\d+) chunks?", drawn)) == 5
    assert "size 200" in drawn
    assert ">size" not in histogram(np.array([10, 20], dtype=np.int64), None)
