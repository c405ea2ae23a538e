"""Answers that say the same are alike, whatever their dress; nothing here knows the right answer."""

from __future__ import annotations

import itertools
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.core.values import Message, Prompt
from routelab.scoring import literals
from routelab.scoring.matching import MATCHES, Form, Match, alike, form
from routelab.testing.scorers import ANSWERS

PROMPT = Prompt.of("What is it?")
CALLS = [
    '[weather(city="Paris", days=5)]',
    "[weather(days=5.0, city='paris')]",
    "```json\n[weather(city='Paris', days=5)]\n```",
    "weather(city='Paris', days=5)",
    "Here is the call:\n\n[weather(city='Paris', days=5)]",
    '[{"name": "weather", "arguments": {"days": 5, "city": "Paris"}}]',
    '{"name": "weather", "parameters": {"days": 5, "city": "Paris"}}',
    '{"type": "tool_use", "id": "x", "name": "weather", "input": {"days": 5, "city": "Paris"}}',
    '{"type": "function", "function": {"name": "weather", "arguments": "{\\"days\\": 5, \\"city\\": \\"Paris\\"}"}}',
    '[{"weather": "{\\"days\\": 5, \\"city\\": \\"Paris\\"}"}]',
    "[\"weather(city='Paris', days=5)\"]",
    "[\"```python\\nprint(default_api.weather(city='Paris', days=5))\\n```\"]",
]
NUMBERS = [
    "42",
    "The answer is 42.",
    "**Answer:** 42.0",
    "\\boxed{42}",
    "so 6 * 7 = 42\n#### 42",
    '{"answer": "42"}',
    "42 metres",
]


def asked(**about: Any) -> Prompt:
    return Prompt(id="p", messages=(Message(role="user", content=about.pop("text", "What?")),), **about)


@pytest.mark.parametrize("group", [CALLS, NUMBERS], ids=["calls", "numbers"])
def test_the_dress_of_an_answer_makes_no_difference(group: list[str]) -> None:
    assert alike(group, PROMPT) == (0,) * len(group)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("[f(a=1)]", "[f(a=2)]"),
        ("[f(a=1)]", "[g(a=1)]"),
        ("[f(a=1)]", "[f(a='1')]"),
        ("[f(a=1)]", "[f(a=True)]"),
        ("[f(a=1)]", "[f(a=1, b=None)]"),
        ("[f(a=1)]", "[f(a=1), f(a=1)]"),
        ("[f(a=[1, 2])]", "[f(a=[2, 1])]"),
        ('{"a": 1}', '{"a": "1"}'),
        ("Answer: 42", "Answer: 43"),
        ("Answer: Paris", "Answer: Lyon"),
        ("Answer: B", "Answer: C"),
        ("[f(a=3*x)]", "[f(a=2*x)]"),
    ],
)
def test_what_means_something_else_is_something_else(one: str, other: str) -> None:
    assert alike([one, other], PROMPT) == (0, 1)


def test_calls_have_no_order_but_their_number_counts() -> None:
    assert alike(["[f(a=1), g()]", "[g(), f(a=1)]", "[f(a=1), g(), g()]"], PROMPT) == (0, 0, 1)


def test_an_expression_is_compared_as_it_is_written() -> None:
    assert alike(["[f(a=lambda x: 3 * x, b=1)]", "[f(b=1, a=lambda x:3*x)]"], PROMPT) == (0, 0)


def test_a_letter_is_a_choice_however_it_is_marked() -> None:
    given = ["(B)", "**B**", "Answer: B. Paris", "\\boxed{B} because it is", "b)"]
    assert {form(a, PROMPT) for a in given} == {Form(kind="choice", key="b")}


def test_the_options_of_a_scorer_are_used_and_its_answer_is_not() -> None:
    one = asked(scorer={"kind": "choice", "answer": "spam", "options": ["spam", "not spam"]})
    other = asked(scorer={"kind": "choice", "answer": "not spam", "options": ["spam", "not spam"]})
    said = ["It is spam.", "Label: not spam", "not-spam", "spam or not spam"]
    assert alike(said, one) == alike(said, other) == (0, 1, 1, 2)


@pytest.mark.parametrize(
    ("prompt", "answer", "wanted"),
    [
        (asked(scorer={"kind": "number", "answer": 7}), "There are 3 and 4, so 7 in all.", "number 7"),
        (asked(task="math_word_problem"), "There are 3 and 4, so 7 in all.", "number 7"),
        (asked(task="mmlu_law", text="Which?\nA. x\nB. y\nC. z"), "I would say that option B is right", "choice b"),
        (asked(scorer={"kind": "exact", "answers": ["x"]}), "Answer: **Rome**.", "text rome"),
        (asked(scorer={"kind": "json", "schema": {}}), 'Here: {"b": 1, "a": [true]}', "json {'a': [True], 'b': 1}"),
    ],
)
def test_the_scorer_or_the_task_says_what_kind_of_answer_is_wanted(prompt: Prompt, answer: str, wanted: str) -> None:
    assert str(form(answer, prompt)) == wanted


@pytest.mark.parametrize(
    "answer",
    [
        "",
        " \n",
        "I'm sorry, but I can't help with that.",
        "I don't know.",
        "You asked: “How much is it? End with Answer: <number>”",
        "Rome is the capital of Italy, and it has been so since 1871, which many people do not know at all.",
        "[]",
    ],
)
def test_refusals_and_prose_agree_with_nothing(answer: str) -> None:
    assert alike([answer, answer], PROMPT) == (0, 1)


def test_long_texts_are_compared_when_that_is_what_is_asked_for() -> None:
    text = "Rome is the capital of Italy, and it has been so since 1871, which many people do not know at all."
    assert alike([text, f"“{text}”"], PROMPT, "text") == (0, 0)


answers = st.one_of(
    st.sampled_from([*CALLS, *NUMBERS, *ANSWERS, "Paris", "paris.", "(B)", "Lyon", "3 cats and 5 dogs"]),
    st.text(max_size=40),
    st.text(alphabet="[](){}\"',:=f1a \n`", max_size=30),
)
matches = st.sampled_from(MATCHES)


@given(st.lists(answers, max_size=6), matches, st.randoms())
def test_being_alike_is_an_equivalence_that_no_order_changes(given_: list[str], match: Match, chance: Any) -> None:
    found = alike(given_, PROMPT, match)
    assert len(found) == len(given_)
    # Every answer is read alone: the classes of any two are those that the two have by themselves.
    for i, j in itertools.combinations(range(len(given_)), 2):
        assert (found[i] == found[j]) == (len(set(alike([given_[j], given_[i]], PROMPT, match))) == 1)
    order = list(range(len(given_)))
    chance.shuffle(order)
    shuffled = alike([given_[i] for i in order], PROMPT, match)
    pairs = [(a, b) for a in range(len(order)) for b in range(a)]
    assert all((shuffled[a] == shuffled[b]) == (found[order[a]] == found[order[b]]) for a, b in pairs)


@given(answers, matches)
def test_an_answer_with_a_form_is_like_itself_and_one_without_is_alone(answer: str, match: Match) -> None:
    made = form(answer, PROMPT, match)
    assert alike([answer, answer], PROMPT, match) == ((0, 0) if made is not None else (0, 1))


@pytest.mark.parametrize(
    "text",
    [
        *("[" * 40_000, "f(" * 20_000, "f(a=" * 12_000, '{"a":' * 9_000, '"' * 49_999, "'''" * 16_000, "\\" * 40_000),
        *("f(" + "a," * 6_000 + ")", "f(" * 30 + "+," * 5_000 + ")" * 30, "[1\n" * 12_000, "f(\n" * 16_000),
        *("#### 1\n" * 7_000, "Answer: " * 6_000, "- " * 20_000, "1.1" * 15_000, "*(" * 20_000, "A. " * 16_000),
    ],
    ids=lambda text: text[:8],
)
def test_the_work_of_reading_grows_no_faster_than_the_text(text: str) -> None:
    def calls(size: int) -> int:
        count = 0

        def seen(frame: Any, event: str, argument: Any) -> None:
            nonlocal count
            count += event in ("call", "c_call")

        sys.setprofile(seen)
        try:
            for match in MATCHES:
                form(text[:size], asked(text="Which?\nA. x\nB. y"), match)
        finally:
            sys.setprofile(None)
        return count

    # Quadratic work would be sixteen times as much.
    assert calls(len(text)) < 6 * calls(len(text) // 4) + 2_000


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (
            "[1, 2.0, 'a', None, true, -0.0]",
            (
                *("list", ("number", "1"), ("number", "2"), ("text", "a")),
                *(("word", None), ("word", True), ("number", "0")),
            ),
        ),
        (
            '{"b": (1, 2), "a": "x\\n"}',
            ("mapping", ("a", ("text", "x\n")), ("b", ("list", ("number", "1"), ("number", "2")))),
        ),
        ("f(1, x=2)", ("call", "f", ("0", ("number", "1")), ("x", ("number", "2")))),
        ("1e999", ("number", "inf")),
        ("just words", None),
        ("(B)", None),
        ("[1] Smith et al. say so", ("list", ("number", "1"))),
        ("[1, 2", None),
    ],
)
def test_values_are_read_as_they_are_written(text: str, value: Any) -> None:
    assert literals.read(text) == value
