from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.core.values import Prompt, Score
from routelab.scoring import Exact

PROMPT = Prompt.of("Which city?")


@pytest.mark.parametrize(
    "answer",
    [
        "paris",
        " **Paris** ",
        "Paris.",
        "Paris!",
        "“Paris”",
        "«Paris»",
        "`Paris`",
        "(Paris)",
        "- Paris",
        "Answer: Paris",
        "I think so.\n\n**Answer:** Paris.",
        "**Final answer**: *Paris*",
        "Final Answer: Paris\n\nHope it helps!",
        "Answer:\nParis",
        "### Answer\n\nParis",
        "The answer is **Paris**.",
        "**The answer is Paris.**",
        "\\boxed{Paris}",
        "$\\boxed{\\text{Paris}}$",
        "Ｐａｒｉｓ",
        "Pa\u200bris",
        "```\nParis\n```",
        "```text\nParis\n```",
    ],
)
def test_the_dress_of_an_answer_does_not_count(answer: str) -> None:
    assert Exact(answers=("Paris",))(answer, PROMPT) == Score(quality=1.0, reason="equals “Paris”")


@pytest.mark.parametrize(
    "answer",
    [
        "London",
        "Paris or London",
        "Answer: London",
        "",
        "Parisian",
        "Not Paris",
        "Answer: Paris\nAnswer: London",
        "The answer is not Paris",
    ],
)
def test_another_answer_scores_zero(answer: str) -> None:
    assert Exact(answers=("Paris",))(answer, PROMPT).quality == 0


@pytest.mark.parametrize(
    ("wanted", "said", "quality"),
    [
        ("C++", "`C++`", 1),
        ("C++", "C", 0),
        ("__init__", "`__init__`", 1),
        ("__init__", "init", 0),
        ("-5", "−5", 1),
        ("-5", "5", 0),
        ("3 p.m.", "3 p.m.", 1),
        ("3 p.m.", "3 p.m", 1),
        ("don't", "don’t", 1),
        ("10–20", "10-20", 1),
        ("café", "cafe\N{COMBINING ACUTE ACCENT}", 1),
        ("café", "cafe", 0),
        ("Straße", "STRASSE", 1),
        ("?", "?", 1),
        ("**", "`**`", 1),
    ],
)
def test_marks_that_are_part_of_what_is_wanted_count(wanted: str, said: str, quality: float) -> None:
    assert Exact(answers=(wanted,))(said, PROMPT).quality == quality


def test_any_of_several_answers_will_do() -> None:
    scorer = Exact(answers=("USA", "United States"))
    assert scorer("The answer is: united states.", PROMPT).reason == "equals “United States”"


def test_a_failure_names_what_was_said_on_one_line() -> None:
    assert (
        Exact(answers=("Paris",))("It might be\nLyon", PROMPT).reason == "“It might be” is none of the accepted answers"
    )


@given(st.text(alphabet=st.characters(categories=("L", "N")), min_size=1, max_size=20))
def test_any_word_equals_itself_in_any_dress(word: str) -> None:
    scorer = Exact(answers=(word,))
    for answer in (word, f"**{word}**.", f"Answer: {word}", f"Well.\n\nAnswer: `{word}`", f"“{word}”"):
        assert scorer(answer, PROMPT).quality == 1
