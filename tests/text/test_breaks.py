"""Sentences end where a reader says they do, and characters are not divided."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.text.breaks import last_paragraph, last_sentence, last_word, sentence_ends, whole


def sentences(text: str) -> list[str]:
    ends = [0, *sentence_ends(text, 0, len(text))]
    return [text[a:b].strip() for a, b in zip(ends, [*ends[1:], len(text)], strict=True) if text[a:b].strip()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It works. It is fast! Is it? Yes.", ["It works.", "It is fast!", "Is it?", "Yes."]),
        ("Dr. Who met Mr. J. R. Smith.", ["Dr. Who met Mr. J. R. Smith."]),
        ("Pi is 3.14 and e is 2.72. Fine.", ["Pi is 3.14 and e is 2.72.", "Fine."]),
        ("See Fig. 5 and No. 7. She said no. He left.", ["See Fig. 5 and No. 7.", "She said no.", "He left."]),
        ("Use a cache, e.g. Redis, i.e. a server.", ["Use a cache, e.g. Redis, i.e. a server."]),
        ("He lives in the U.S. He likes it.", ["He lives in the U.S.", "He likes it."]),
        ("The U.S. economy grew.", ["The U.S. economy grew."]),
        ('"Why?" he asked. "Because." She left.', ['"Why?" he asked.', '"Because."', "She left."]),
        ("Well... maybe. Or not…  Then yes.", ["Well... maybe.", "Or not…", "Then yes."]),
        ("彼は「はい。」と言った。本当？はい！", ["彼は「はい。」", "と言った。", "本当？", "はい！"]),
        ("这是第一句。这是第二句。", ["这是第一句。", "这是第二句。"]),
        ("यह पहला है। यह दूसरा है।", ["यह पहला है।", "यह दूसरा है।"]),
        ("هل هذا صحيح؟ نعم.", ["هل هذا صحيح؟", "نعم."]),
        ("Das ist z.B. gut, d.h. sehr gut. Ja.", ["Das ist z.B. gut, d.h. sehr gut.", "Ja."]),
        ("A title\n\nText begins", ["A title", "Text begins"]),
        ("A title\r\n\r\nText begins", ["A title", "Text begins"]),
        ("wrapped at\nthe margin", ["wrapped at\nthe margin"]),
        ("To do:\n- one\n- two\n1. three", ["To do:", "- one", "- two", "1. three"]),
        ("www.example.com is up.", ["www.example.com is up."]),
    ],
)
def test_a_sentence_ends_where_a_reader_says_so(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_a_decimal_point_at_the_edge_of_what_is_looked_at_ends_nothing() -> None:
    text = "It costs 3.14 euros."
    assert last_sentence(text, 0, text.index("14")) == -1


def test_marks_that_go_on_beyond_the_edge_are_not_divided() -> None:
    assert last_sentence("Really?!! Yes", 0, 7) == -1
    assert last_sentence("彼は「はい。」と言った", 0, 6) == -1


@given(st.text(st.sampled_from("ab. \n\r\f!?。、\u3000\xa0A1"), max_size=80), st.integers(0, 80), st.integers(0, 80))
def test_breaks_lie_where_they_were_asked_for(text: str, low: int, high: int) -> None:
    low, high = sorted((min(low, len(text)), min(high, len(text))))
    for last in (last_paragraph, last_sentence, last_word):
        found = last(text, low, high)
        assert found == -1 or low < found <= high


def test_what_is_read_as_one_character_is_not_divided() -> None:
    family = "\N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}\N{ZERO WIDTH JOINER}\N{GIRL}"
    text = f"ab{family}cd"
    assert [whole(text, at, 0) for at in range(1, len(text))] == [1, 2, 2, 2, 2, 2, 7, 8]
    assert whole("e\N{COMBINING ACUTE ACCENT}", 1, 0) == 1, "nothing before it to keep"
    assert whole("\r\n\r\n", 3, 0) == 2


def test_a_letter_under_a_thousand_accents_is_divided_all_the_same() -> None:
    assert whole("e" + "\N{COMBINING ACUTE ACCENT}" * 1000, 500, 0) == 500
