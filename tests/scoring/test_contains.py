from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.core.values import Prompt, Score
from routelab.scoring import Contains
from routelab.scoring.contains import length

PROMPT = Prompt.of("What happened?")
FALL = Contains(all=(("1789", "seventeen eighty-nine"), ("Bastille",)), none=("Napoleon",), max_words=12)


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("In 1789 the Bastille fell.", Score(quality=1.0, reason="2 of 2 points")),
        ("**1789**: the *Bastille*", Score(quality=1.0, reason="2 of 2 points")),
        ("seventeen\neighty–nine, BASTILLE’s end", Score(quality=1.0, reason="2 of 2 points")),
        ("The Bastille.", Score(quality=0.5, reason="1 of 2 points; missing “1789”")),
        ("17890 Bastilles", Score(quality=0.0, reason="0 of 2 points; missing “1789”")),
        ("In 1789 napoleon took the Bastille", Score(quality=0.0, reason="says “Napoleon”")),
        ("In 1789 the Bastille fell" + " and fell" * 5, Score(quality=0.0, reason="15 words, at most 12 are allowed")),
        ("", Score(quality=0.0, reason="the answer is empty")),
        ("- — !", Score(quality=0.0, reason="the answer is empty")),
    ],
)
def test_the_share_of_points_made_is_the_quality(answer: str, score: Score) -> None:
    assert FALL(answer, PROMPT) == score


@pytest.mark.parametrize(
    ("point", "answer", "met"),
    [
        ("3", "(3)", True),
        ("3", "3.", True),
        ("3", "1, 2, 3", True),
        ("3", "1,2,3", True),
        ("3", "3.5", False),
        ("3", "13", False),
        ("3", "1,300", False),
        ("3", "-3", False),
        ("3", "2-3", True),
        ("1234", "1,234 people", True),
        ("1,234", "1234 people", True),
        ("1234", "1 234", True),
        ("1789", "1789–1799", True),
        ("art", "state-of-the-art", True),
        ("state of the art", "State  of\nthe Art", True),
        ("state of the art", "estate of the arts", False),
        ("foo", "foo_bar", False),
        ("foo", "_foo_", True),
        ("foo()", "call `foo()` now", True),
        ("naïve", "a nai\N{COMBINING DIAERESIS}ve view", True),
        ("naïve", "a naive view", False),
        ("東京", "日本の首都は東京です", True),
        ("京都", "日本の首都は東京です", False),
        ("ไทย", "ภาษาไทยยาก", True),
        ("हिन्दी", "यह हिन्दी है", True),
        ("हिन्दी", "यह हिन्दीभाषी है", False),
        ("великий", "Великий Новгород", True),
        ("великий", "превеликий", False),
        ("서울", "수도는 서울이다", True),
        ("ﬁn", "fin", True),
    ],
)
def test_points_are_whole_words_in_any_script(point: str, answer: str, met: bool) -> None:
    assert Contains(all=((point,),))(answer, PROMPT).quality == met


def test_only_forbidden_texts_make_a_scorer_too() -> None:
    scorer = Contains(none=("cat",))
    assert [scorer(a, PROMPT).quality for a in ("a dog", "a cat", "")] == [1, 0, 0]


@pytest.mark.parametrize(
    ("text", "n"), [("a b  c", 3), ("- a — b!", 2), ("東京です", 4), ("in 東京 now", 4), ("", 0), ("don't", 1)]
)
def test_words_are_counted_as_a_word_processor_does(text: str, n: int) -> None:
    assert length(text) == n


@given(
    st.lists(st.sampled_from(["alpha", "beta", "gamma", "delta"]), unique=True),
    st.permutations(["alpha", "beta", "gamma", "delta"]),
)
def test_the_order_of_the_points_does_not_matter_and_more_points_never_hurt(made: list[str], order: list[str]) -> None:
    scorer = Contains(all=tuple((word,) for word in order))
    assert scorer("so " + " ".join(made), PROMPT).quality == len(made) / 4
