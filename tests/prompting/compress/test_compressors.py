"""What every compressor promises, over texts of all sorts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from routelab.core.errors import ConfigError
from routelab.prompting.compress import (
    KINDS,
    Asked,
    Boilerplate,
    Compressor,
    Extractive,
    Whitespace,
    compress_of,
    spec_of,
    stays,
)
from routelab.prompting.compress.layout import blocks
from routelab.prompting.compress.question import asks
from routelab.prompting.compress.units import MARK, told, units

PIECES = (
    "The fee is 3.50 €, not 5.  It was raised on 1 March.",
    "Who pays?",
    "Summarise this:",
    "# Fees",
    "Title\n=====",
    "- one  thing\n  - inner\n- another",
    "1. First.\n2. Second.",
    "```py\nx  =  1\n\n\n\ny = 2\n```",
    "```",
    "| a  | b |\n|----|---|\n| 1  | 2 |",
    "    def f():\n        return  1",
    "name     size\nabc      1\ndefg     2",
    '{"a":  [1,  2]}',
    "[1] a.md, characters 0–40\nThe fee is waived. Ask Ann.",
    "[2] b.md (Fees › More), characters 7–90",
    "On Mon, 3 May 2026 at 10:01, Ann <a@b.c> wrote:\n> hi\n> there",
    "-----Original Message-----\nFrom: a\nSent: b\nTo: c\nSubject: d\n\nOld.",
    "Best regards,\nAnn\nHead of Ops\n+49 30 1234567",
    "-- \nBob\nACME",
    "This e-mail is confidential. If you are not the intended recipient, delete it.",
    "<div class='a'><p>Hello&nbsp;<b>you</b></p><!-- x --></div>",
    "<html>\n  <body>\n    <p>Text of a page.</p>\n  </body>\n</html>",
    "<pre>a   b</pre>",
    "Home | About | Contact | Login",
    "Accept all cookies",
    "A paragraph that is long enough to be found twice in a text, word for word.",
    "ACME\nPage 1 of 3\nACME\nPage 2 of 3\nACME\nPage 3 of 3",
    "\f",
    "手数料は５００円です。誰が払いますか？　　はい。",
    "a\u200bb\ufeff \u00ad",
    "\ud800 half",
    'it says "a   b" and `c   d`',
    "word " * 60,
    "x" * 1_300,
    " \t ",
    "",
)
TEXTS = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=12).flatmap(
        lambda parts: st.sampled_from(("\n\n", "\n", " ", "\n\n\n\n", "\r\n\r\n")).map(lambda sep: sep.join(parts))
    ),
    st.text(alphabet=st.sampled_from("ab .?!:\n\t\r\f-*#>|`<&;/\"'[]{}()0123…。？字\u200b\u00a0\ud800é"), max_size=120),
)
QUESTIONS = st.sampled_from(("", "Who pays the fee?", "Is the signature html?", "誰が払いますか？"))


def dice(texts: Any) -> Any:
    """Embed by the sum of the characters: nobody's meaning, but the same every time."""
    import numpy as np

    rows = np.array([[sum(map(ord, t)) % 7 - 3, len(t) % 5 + 1, 1.0] for t in texts], dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def words(text: str) -> int:
    return len(text.split())


COUNTS = st.sampled_from((len, words, lambda text: len(text.encode("utf-8", "surrogatepass")) // 3))
KINDS_MADE = (
    Whitespace(),
    Boilerplate(),
    Extractive(budget_tokens=30, embedder=dice, over_tokens=0),
    Extractive(ratio=0.4, embedder=dice, over_tokens=0),
    Extractive(budget_tokens=12, embedder=dice, relevance=0.5, diversity=1.0, words=0.0),
)


@pytest.mark.parametrize("made", KINDS_MADE, ids=lambda made: type(made).__name__)
@settings(max_examples=150)
@given(text=TEXTS, question=QUESTIONS, count=COUNTS)
def test_a_compressor_never_makes_a_text_longer_and_always_makes_the_same(
    made: Compressor, text: str, question: str, count: Any
) -> None:
    asked = Asked(count=count, question=question, stays=stays)
    cut = made(text, asked)
    assert len(cut.text) <= len(text)
    assert count(cut.text) <= count(text)
    assert made(text, asked) == cut
    assert bool(cut.text.strip()) == bool(text.strip())


@pytest.mark.parametrize("made", [Whitespace(), Boilerplate(), Boilerplate(remove=("markup", "duplicates"))])
@settings(max_examples=300)
@given(text=TEXTS, question=QUESTIONS)
def test_twice_is_once(made: Compressor, text: str, question: str) -> None:
    asked = Asked(count=len, question=question, stays=stays)
    once = made(text, asked).text
    assert made(once, asked) == type(made(once, asked))(text=once)


def bare(text: str) -> str:
    return "".join(c for c in text if not c.isspace() and c not in "\u200b\ufeff\u00ad\u2060\u200c\u200d")


@settings(max_examples=300)
@given(text=TEXTS)
def test_whitespace_changes_no_word(text: str) -> None:
    assert bare(Whitespace()(text, Asked(count=len)).text) == bare(text)


@pytest.mark.parametrize("made", KINDS_MADE[1:], ids=lambda made: type(made).__name__)
@settings(max_examples=200)
@given(text=TEXTS)
def test_the_words_of_the_question_stay(made: Compressor, text: str) -> None:
    asked = Asked(count=words, stays=stays)
    left = made(text, asked).text
    if isinstance(made, Boilerplate):
        # What is a question by its place alone is found anew when what stood around it has gone.
        said = [text[a:b] for a, b in asks(text, stays(text)) if "?" in text[a:b] or "？" in text[a:b]]
    else:
        tight = Whitespace()(text, asked).text
        said = [tight[a:b] for a, b in stays(tight)]
    for one in said:
        assert bare(one) in bare(left)


@settings(max_examples=300)
@given(text=TEXTS, question=QUESTIONS, budget=st.integers(8, 80), count=COUNTS)
def test_a_budget_is_never_exceeded_but_by_what_must_stay(text: str, question: str, budget: int, count: Any) -> None:
    asked = Asked(count=count, question=question, stays=stays)
    cut = Extractive(budget_tokens=budget, embedder=dice)(text, asked)
    tight = Whitespace()(text, asked).text
    found = units(tight, stays(tight))
    closed = {n for n, u in enumerate(found) if u.held} | {m for u in found if u.held for m in u.needs}
    least = count(told(tight, found, sorted(closed))) if closed else 0
    assert count(cut.text) <= max(budget, least)
    nothing = Asked(count=count, question=question)
    if count(MARK) <= budget:
        assert count(Extractive(budget_tokens=budget, embedder=dice)(text, nothing).text) <= budget


@settings(max_examples=200)
@given(text=TEXTS, ratio=st.sampled_from((0.1, 0.3, 0.5, 0.9)))
def test_a_ratio_is_one_of_the_texts_own_tokens(text: str, ratio: float) -> None:
    assume(text.strip())  # there would be nothing left of blanks
    left = Extractive(ratio=ratio, embedder=dice)(text, Asked(count=len)).text
    assert len(left) <= max(8, int(ratio * len(text)))


@settings(max_examples=200)
@given(text=TEXTS)
def test_blocks_and_units_are_the_whole_text_in_order(text: str) -> None:
    assert "".join(text[b.start : b.end] for b in blocks(text)) == text
    found = units(text)
    at = 0
    for n, unit in enumerate(found):
        assert not text[at : unit.start].strip()
        assert text[unit.start : unit.end].strip()
        assert all(m < n for m in unit.needs)
        at = unit.end
    assert not text[at:].strip()
    assert told(text, found, range(len(found))).strip() == text.strip()


@settings(max_examples=200)
@given(text=TEXTS, data=st.data())
def test_what_is_kept_stands_in_the_text_as_it_stood_and_in_its_order(text: str, data: st.DataObject) -> None:
    found = units(text)
    kept = sorted(data.draw(st.sets(st.integers(0, max(0, len(found) - 1)), max_size=len(found)))) if found else []
    made = told(text, found, kept)
    at = 0
    for n in kept:
        at = made.index(text[found[n].start : found[n].end], at) + found[n].end - found[n].start
    assert len(made) <= max(len(text), len(MARK))


@pytest.mark.parametrize(
    "text",
    [
        "word " * 200_000,
        "x" * 1_000_000,
        "字" * 1_000_000,
        "\ud800 " * 500_000,
        "a\n" * 100_000,
        "- item\n" * 50_000,
        "<b " * 300_000,
        "#\n\nTwo words.\n\n" * 20_000,
    ],
    ids=["words", "one-word", "cjk", "surrogates", "lines", "items", "tags", "headings"],
)
@pytest.mark.parametrize("made", [Whitespace(), Boilerplate(), Extractive(ratio=0.3, embedder=dice)])
def test_a_million_characters_are_compressed(made: Compressor, text: str) -> None:
    left = made(text, Asked(count=len, question="Which item?", stays=stays)).text
    assert len(left) <= len(text)
    if isinstance(made, Extractive):
        assert 0.2 * len(text) < len(left) <= 0.3 * len(text)


def test_every_kind_can_be_written_to_yaml_and_read_back() -> None:
    for made in (
        Whitespace(over_tokens=10, keep=("last", "tool")),
        Boilerplate(remove=("quotes", "pages")),
        Extractive(ratio=0.5),
        Extractive(budget_tokens=300, relevance=0.5, embedder={"kind": "lexical", "dimensions": 512}),
    ):
        assert compress_of(spec_of(made)) == made
    assert {type(compress_of({"kind": k, **({"ratio": 0.5} if k == "extractive" else {})})) for k in KINDS} == set(
        KINDS.values()
    )


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("extractive", "extractive needs `budget_tokens` or `ratio`, one of the two"),
        ({"kind": "extractive", "ratio": 0.5, "budget_tokens": 100}, "one of the two"),
        ({"kind": "extractive", "budget_tokens": 3}, "compress.budget_tokens: must be at least 8, not 3"),
        (
            {"kind": "extractive", "ratio": 0.5, "diversity": 1.5},
            "compress.diversity: must lie between 0 and 1, not 1.5",
        ),
        ({"kind": "extractive", "ratio": 0.5, "embedder": "minlm"}, "did you mean 'minilm'?"),
        ({"kind": "whitespace", "over_tokens": -1}, "compress.over_tokens: must be at least 0, not -1"),
        ({"kind": "whitespace", "keep": ["system"]}, "compress.keep"),
        ({"kind": "boilerplate", "remove": ["quote"]}, "compress.remove"),
        ({"kind": "boilerplate", "removes": []}, "compress.removes: unknown key; did you mean 'remove'?"),
    ],
)
def test_what_cannot_be_used_is_said_with_its_place(spec: Any, says: str) -> None:
    with pytest.raises(ConfigError) as raised:
        compress_of(spec, key=("compress",))
    assert says in str(raised.value)
