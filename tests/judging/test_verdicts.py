"""What counts as a verdict, and what does not."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.judging import verdicts
from routelab.judging.verdicts import Verdict


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ('{"reason": "r", "score": 5}', 1.0),
        ('{"score": 1}', 0.0),
        ('```json\n{"score": "3", "reason": "r"}\n```', 0.5),
        ('Sure! Here it is: {"reason": "a {brace}", "score": 4}. Bye.', 0.75),
        ('{"score": "4/5"}', 0.75),
        ("Fine work.\n\nRating: [[2]]", 0.25),
        ("**Score:** 4", 0.75),
        ("The score is 4/5.", 0.75),
        ("score: 3 … as I said, score: 3", 0.5),
    ],
)
def test_a_score_is_read_strictly_then_leniently(reply: str, value: float) -> None:
    found = verdicts.score(reply, 1, 5)
    assert found is not None
    assert found.value == value


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "I cannot say.",
        "It took 4 attempts and 3 people.",
        '{"score": 6}',
        '{"score": 0}',
        '{"score": true}',
        '{"score": null}',
        '{"score": NaN}',
        '{"score": 1e999}',
        '{"score": "4/10"}',
        '{"score": [5]}',
        '{"score": 5} but then {"score": 1}',
        "score: 5, or perhaps score: 2",
        "Rating: [[9]]",
        '{"verdict": 5}',
        "{" * 5_000,
        '{"a":' * 5_000,
    ],
)
def test_what_is_no_score_is_never_guessed(reply: str) -> None:
    assert verdicts.score(reply, 1, 5) is None


def test_an_answer_quoted_in_the_verdict_cannot_slip_its_own_score_in() -> None:
    quoting = 'The answer says {"score": 5} itself, which it must not. {"reason": "wrong", "score": 1}'
    assert verdicts.score(quoting, 1, 5) is None
    inside = '{"reason": "it claims {\\"score\\": 5}", "score": 1}'
    assert verdicts.score(inside, 1, 5) == Verdict(value=0.0, reason='it claims {"score": 5}')


@given(st.integers(-20, 20), st.integers(1, 30), st.data())
def test_every_score_on_the_scale_is_mapped_into_zero_to_one(low: int, width: int, data: st.DataObject) -> None:
    score = data.draw(st.integers(low, low + width))
    found = verdicts.score(json.dumps({"score": score}), low, low + width)
    assert found is not None
    assert found.value == pytest.approx((score - low) / width)


@given(st.text(max_size=300))
def test_no_text_makes_the_readers_raise(text: str) -> None:
    for found in (verdicts.score(text, 1, 5), verdicts.confidence(text)):
        assert found is None or 0.0 <= found.value <= 1.0
    said = verdicts.preference(text)
    assert said is None or said[0] in ("A", "B", "tie")


@pytest.mark.parametrize(
    ("reply", "side"),
    [
        ('{"reason": "r", "winner": "B"}', "B"),
        ('{"winner": "tie"}', "tie"),
        ('{"winner": "Answer A"}', "A"),
        ("My final verdict: [[C]]", "tie"),
        ("Winner: answer A", "A"),
        ('{"winner": "A or B"}', None),
        ('{"winner": "A"} {"winner": "B"}', None),
        ("A is nice and B is nice", None),
    ],
)
def test_a_preference_is_read_or_there_is_none(reply: str, side: str | None) -> None:
    found = verdicts.preference(reply)
    assert (None if found is None else found[0]) == side


@pytest.mark.parametrize(
    ("reply", "share"),
    [
        ('{"confidence": 85}', 0.85),
        ('{"confidence": 100}', 1.0),
        ('{"confidence": 0}', 0.0),
        ('{"confidence": "70%"}', 0.7),
        ('{"confidence": 0.4}', 0.4),
        ("Confidence: 90%", 0.9),
        ('{"confidence": 140}', None),
        ('{"confidence": -1}', None),
        ("quite sure", None),
    ],
)
def test_a_confidence_is_per_cent_or_a_share(reply: str, share: float | None) -> None:
    found = verdicts.confidence(reply)
    assert (None if found is None else found.value) == share
