from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.core.errors import ConfigError
from routelab.core.values import Prompt, Score
from routelab.scoring import Choice

PROMPT = Prompt.of("Which one?")
LETTERS = Choice(answer="B", options=("A", "B", "C", "D"))
SPAM = Choice(answer="not spam", options=("spam", "not spam"))
MOOD = Choice(answer="positive", options=("positive", "negative", "neutral"))
TICKET = Choice(answer="feature request", options=("bug", "feature request", "question"))


@pytest.mark.parametrize(
    "answer",
    [
        *("B", "b", "(B)", "(b)", "B.", "B)", "“B”", "Ｂ", "**B**", "### B", "option B", "Option b.", "Choice: B"),
        *("**Answer: B**", "Answer: **B**", "Answer: (B)", "Answer: B. Paris", "Correct answer: B", "The answer is B."),
        *(
            "B) Paris",
            "B. Paris",
            "(B) Paris",
            "B: Paris",
            "B - Paris",
            "B—Paris",
            "**B. Paris**",
            "The answer is: **B) Paris**",
        ),
        "The correct answer is (B), because A is too small.",
        "Answer: B because D is too large",
        "Answer: B (C would be Rome)",
        "A good reading of the text shows that B fits.",
        "I would pick B",
        "The best choice here is option **B**.",
        "A is wrong since it is old, C is wrong too.\nAnswer: B",
        "\\boxed{B}",
        "$\\boxed{\\text{B}}$",
        "B\n\nA would be wrong because it is old.",
    ],
)
def test_a_letter_is_found_however_it_is_written(answer: str) -> None:
    assert LETTERS(answer, PROMPT) == Score(quality=1.0, reason="names “B”")


@pytest.mark.parametrize(
    "answer",
    [
        *("A", "C.", "Answer: C", "The answer is A.", "", "I don't know", "E", "Bonn", "a b"),
        *(
            "A or B",
            "A, B",
            "B/C",
            "B and C",
            "Both A and B",
            "Answer: A or B",
            "Answer: A, B",
            "A\nB\nC\nD",
            "A) x\nB) y",
            "(A) (B)",
        ),
    ],
)
def test_another_letter_or_several_score_zero(answer: str) -> None:
    assert LETTERS(answer, PROMPT).quality == 0


@pytest.mark.parametrize(
    ("scorer", "answer", "quality"),
    [
        (SPAM, "Not spam", 1),
        (SPAM, "not_spam", 1),
        (SPAM, "NOT-SPAM", 1),
        (SPAM, "This message is not spam.", 1),
        (SPAM, "**Not Spam**\n\nIt is from a friend; there is no sign of spam.", 1),
        (SPAM, "spam", 0),
        (SPAM, "spam or not spam", 0),
        (MOOD, "Positive—she liked it", 1),
        (MOOD, "Sentiment: positive", 1),
        (MOOD, '{"label": "positive"}', 1),
        (MOOD, "Positive. There are negative remarks, though.", 1),
        (MOOD, "Positive\n\nThere is one negative remark.", 1),
        (MOOD, "positive/negative", 0),
        (MOOD, "positive, negative", 0),
        (MOOD, "mixed", 0),
        (TICKET, "`feature_request`", 1),
        (TICKET, "This is a feature request.", 1),
        (TICKET, "This is a bug, not a feature request", 0),
        (TICKET, "bug\nfeature request\nquestion", 0),
        (TICKET, "debugging", 0),
        (Choice(answer="urgent", options=("urgent", "not urgent")), "non-urgent", 0),
        (Choice(answer="yes", options=("yes", "no")), "Yes, there is no doubt about it.", 1),
        (Choice(answer="no", options=("yes", "no")), "Yes, there is no doubt about it.", 0),
        (Choice(answer="I", options=("I", "II")), "I think it is II", 0),
        (Choice(answer="II", options=("I", "II")), "I think it is II", 1),
        (Choice(answer="积极", options=("积极", "消极")), "这条评论是积极的。", 1),
        (Choice(answer="积极", options=("积极", "消极")), "积极或消极", 0),
        (Choice(answer="4", options=("1", "2", "3", "4", "5")), "Rating: 4", 1),
        (Choice(answer="4", options=("1", "2", "3", "4", "5")), "14", 0),
        (Choice(answer="C", options=("C", "C++")), "C++", 0),
        (Choice(answer="C++", options=("C", "C++")), "It is written in C++.", 1),
    ],
)
def test_labels_are_whole_words_and_the_longest_wins(scorer: Choice, answer: str, quality: float) -> None:
    assert scorer(answer, PROMPT).quality == quality


def test_several_named_options_are_told() -> None:
    assert MOOD("both positive and negative", PROMPT).reason == "several options are named: “positive”, “negative”"


def test_the_right_answer_must_be_an_option() -> None:
    with pytest.raises(ConfigError, match=r"scorer\.answer: 'positve' is none of the options; did you mean 'positive'"):
        Choice(answer="positve", options=MOOD.options)


def test_options_must_differ() -> None:
    with pytest.raises(ConfigError, match="two options differ only by case"):
        Choice(answer="a-b", options=("a-b", "A b"))


@given(
    st.lists(st.sampled_from(LETTERS.options), min_size=2, unique=True),
    st.sampled_from([", ", " or ", "\n", " and ", "/"]),
)
def test_naming_several_letters_never_scores(letters: list[str], between: str) -> None:
    assert LETTERS(between.join(letters), PROMPT).quality == 0
    assert LETTERS("Answer: " + between.replace("\n", " ").join(letters), PROMPT).quality == 0


@given(st.text())
def test_at_most_one_kind_of_option_scores_on_any_text(answer: str) -> None:
    qualities = [Choice(answer=option, options=LETTERS.options)(answer, PROMPT).quality for option in LETTERS.options]
    assert sum(qualities) <= 1
