from __future__ import annotations

from typing import Any

import pytest

from routelab.core.errors import ConfigError
from routelab.core.values import Prompt, Score
from routelab.scoring import Exact, Number, score, scorer_of


def test_a_mapping_becomes_a_scorer() -> None:
    assert scorer_of({"kind": "exact", "answers": ["Paris"]}) == Exact(answers=("Paris",))
    assert scorer_of({"kind": "number", "answer": 42}) == Number(answer=42.0, tolerance=0.0)


def test_a_prompt_is_scored_by_its_own_scorer_if_it_has_one() -> None:
    prompt = Prompt(id="1", messages=(), scorer={"kind": "number", "answer": 42})
    assert score("It is 42.", prompt) == Score(quality=1.0, reason="states “42”, 42 is wanted")
    assert score("It is 42.", Prompt.of("How many?")) is None


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"kind": "exat"}, "scorer.kind: unknown 'exat'; did you mean 'exact'?"),
        ({"kind": "zzz"}, "scorer.kind: unknown 'zzz'"),
        ({"kind": 3}, "scorer.kind: unknown 3"),
        ({"kind": ["exact"]}, "scorer.kind: unknown ['exact']"),
        ({}, "scorer.kind: missing"),
        ("exact", "scorer: a mapping with a kind is wanted, not str"),
        ({"kind": "exact", "answer": "x"}, "scorer (exact): unknown 'answer'; did you mean 'answers'?"),
        ({"kind": "exact"}, "scorer.answers: missing, a scorer of kind 'exact' needs it"),
        ({"kind": "exact", "answers": "x"}, "scorer.answers: a list of texts is wanted, not 'x'"),
        ({"kind": "exact", "answers": []}, "scorer.answers: at least 1 wanted, not 0"),
        ({"kind": "exact", "answers": ["a", 2]}, "scorer.answers[1]: a text is wanted, not 2"),
        ({"kind": "choice", "answer": "E", "options": ["A", "B"]}, "scorer.answer: 'E' is none of the options"),
        ({"kind": "choice", "answer": "A", "options": ["A"]}, "scorer.options: at least 2 wanted, not 1"),
        ({"kind": "number", "answer": "4"}, "scorer.answer: a number is wanted, not '4'"),
        ({"kind": "number", "answer": True}, "scorer.answer: a number is wanted, not True"),
        ({"kind": "number", "answer": float("nan")}, "scorer.answer: a number is wanted, not nan"),
        ({"kind": "number", "answer": 1, "tolerance": -1}, "scorer.tolerance: must be at least 0, not -1"),
        ({"kind": "contains"}, "scorer.all: name at least one point to make (or, in scorer.none, one mistake)"),
        ({"kind": "contains", "all": ["a"]}, "scorer.all[0]: a list of texts is wanted, not 'a'"),
        ({"kind": "contains", "all": [[" "]]}, "scorer.all[0][0]: a text is wanted, not ' '"),
        ({"kind": "contains", "all": [["a"]], "max_words": 0}, "scorer.max_words: must be at least 1, not 0"),
        ({"kind": "contains", "all": [["a"]], "max_words": 1.5}, "scorer.max_words: a whole number is wanted, not 1.5"),
        ({"kind": "code", "tests": "x ="}, "scorer.tests: not Python: invalid syntax (<unknown>, line 1)"),
        ({"kind": "code", "tests": "x = 1"}, "scorer.tests: there is no assert in it"),
        ({"kind": "code", "tests": "assert f()", "entry": "f()"}, "scorer.entry: 'f()' is not a name"),
        ({"kind": "code", "tests": "assert f()", "memory_mb": 1}, "scorer.memory_mb: must be at least 64, not 1"),
    ],
)
def test_a_mapping_that_cannot_be_used_says_which_key_and_why(spec: Any, message: str) -> None:
    with pytest.raises(ConfigError) as trouble:
        scorer_of(spec)
    assert trouble.value.message == message
