from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.core.values import Prompt, Score
from routelab.scoring import F1
from routelab.scoring.f1 import bag, overlap

PROMPT = Prompt.of("Translate.")


@pytest.mark.parametrize(
    ("wanted", "said", "quality"),
    [
        ("the black cat", "A black cat.", 1),
        ("the black cat", "cat", 2 / 3),
        ("the black cat", "Answer: black cat", 1),
        ("black cat", "white dog", 0),
        ("the", "The", 1),
        ("it costs 3.5 euros", "It costs 3.5 euros!", 1),
        ("don't", "don’t", 1),
        ("well-known", "well known", 1),
        ("今日は天気がいい", "今日は天気がいい。", 1),
        ("今日は", "明白", 0),
        ("a b", "", 0),
    ],
)
def test_f1_counts_shared_words(wanted: str, said: str, quality: float) -> None:
    assert F1(answers=(wanted,))(said, PROMPT).quality == pytest.approx(quality)


def test_the_best_reference_counts() -> None:
    score = F1(answers=("a red house", "the crimson home"))("Crimson home", PROMPT)
    assert score == Score(quality=1.0, reason="F1 1.00 with “the crimson home”")


WORDS = st.lists(st.sampled_from(["uno", "dos", "tres", "quatro", "the", "a"]), max_size=8).map(" ".join)


@given(WORDS, WORDS)
def test_f1_is_symmetric_within_bounds_and_one_for_equal_bags(one: str, other: str) -> None:
    a, b = bag(one), bag(other)
    assert overlap(a, b) == overlap(b, a)
    assert 0 <= overlap(a, b) <= 1
    assert overlap(a, a) == bool(a)


@given(WORDS)
def test_repeating_a_word_does_not_help(text: str) -> None:
    wanted = bag("uno dos tres")
    assert overlap(wanted, bag(text + " uno" * 3)) <= max(
        overlap(wanted, bag(text + " uno")), overlap(wanted, bag(text))
    )
