"""Scorers that need no right answer."""

from __future__ import annotations

import pytest

from routelab.core.errors import ConfigError
from routelab.core.values import Prompt, Score
from routelab.scoring import Length, Nonempty, Refusal, Regex, States, scorer_of
from routelab.scoring.refusal import refused

PROMPT = Prompt.of("Which city?")


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry — I cannot assist with this request.",
        "**Sorry**: I am unable to open links.",
        "As an AI language model, I have no opinion.",
        "I don't know.",
        "Answer: I don't know",
        "There is not enough information to tell.",
        "Es tut mir leid, dabei kann ich nicht helfen.",
        "Je ne peux pas répondre.",
        "Lo siento, no puedo ayudar.",
        "Mi dispiace, non posso aiutarti.",
        "[]",
        "{}",
        "",
    ],
)
def test_a_refusal_is_recognised(answer: str) -> None:
    assert Refusal()(answer, PROMPT).quality == 0


@pytest.mark.parametrize(
    "answer",
    [
        "Paris",
        "The letter says: he was sorry, and she could not help it.",
        "x" * 500 + " I'm sorry",
        "You can help the model by giving an example.",
        "[f(a=1)]",
        "Nobody knows who wrote it, but most people think of Homer.",
    ],
)
def test_an_answer_is_no_refusal(answer: str) -> None:
    assert Refusal()(answer, PROMPT) == Score(quality=1.0)
    assert refused(answer) is None


def test_a_pattern_that_never_ends_is_stopped() -> None:
    given = Regex(pattern="(a+)+$")("a" * 4_000 + "b", PROMPT)
    assert given == Score(quality=0.0, reason="the pattern took more than 0.5 s")


def test_what_is_forbidden_wins_over_what_is_wanted() -> None:
    rule = Regex(pattern="Paris", forbidden="(?i)lyon")
    assert [rule(a, PROMPT).quality for a in ("Paris", "paris", "Paris or LYON")] == [1.0, 0.0, 0.0]
    assert Regex(forbidden="TODO")("def f(): ...", PROMPT).reason == "nothing forbidden is found"


@pytest.mark.parametrize(
    ("answer", "quality", "reason"),
    [
        ("one two three", 1.0, "3 words"),
        ("one", 0.0, "1 words, at least 2 are wanted"),
        ("one two three four five", 0.0, "5 words, at most 4 are allowed"),
        ("a " + "b" * 60, 0.0, "62 characters, at most 40 are allowed"),
        ("", 0.0, "0 words, at least 2 are wanted"),
    ],
)
def test_length_counts_words_and_characters(answer: str, quality: float, reason: str) -> None:
    rule = Length(min_words=2, max_words=4, max_characters=40)
    assert rule(answer, PROMPT) == Score(quality=quality, reason=reason)


@pytest.mark.parametrize(
    ("what", "yes", "no"),
    [
        ("number", "so it is 42", "so it is many"),
        ("choice", "(B)", "A or B"),
        ("calls", "[f(a=1)]", '{"a": [1, 2], "b": 3}'),
        ("json", '{"a": [1, 2]}', "a = [1, 2"),
        ("text", "Paris", "I don't know"),
    ],
)
def test_what_is_stated_is_recognised(what: str, yes: str, no: str) -> None:
    rule = scorer_of({"kind": "states", "what": what})
    assert (rule(yes, PROMPT).quality, rule(no, PROMPT).quality) == (1.0, 0.0)


def test_nonempty_wants_a_letter_or_a_digit() -> None:
    assert [Nonempty()(a, PROMPT).quality for a in ("", " \n", "...", "7", "日本")] == [0.0, 0.0, 0.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Regex(), "scorer.pattern: missing, a scorer of kind 'regex' needs it (or `forbidden`)"),
        (lambda: Regex(pattern="("), "scorer.pattern: “(” is not a regular expression (missing ) at position 1)"),
        (lambda: Length(min_words=0), "scorer.min_words: must be at least 1, not 0"),
        (lambda: Length(min_words=5, max_words=2), "scorer.max_words: must be at least min_words (5), not 2"),
        (lambda: States(what="numbre"), "scorer.what: unknown 'numbre'; did you mean 'number'?"),  # type: ignore[arg-type]
    ],
)
def test_settings_that_cannot_be_used_are_refused(make: object, message: str) -> None:
    with pytest.raises(ConfigError) as trouble:
        make()  # type: ignore[operator]
    assert trouble.value.message == message
