"""Every scorer that ships keeps the scorers' contract."""

from __future__ import annotations

from typing import Any

import pytest

from routelab.core.ports import Scorer
from routelab.core.values import Prompt
from routelab.scoring import KINDS, Function, scorer_of
from routelab.testing.scorers import ScorerContract

CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "exact": ({"answers": ["Paris"]}, "Answer: **Paris**", "Lyon"),
    "choice": ({"answer": "B", "options": ["A", "B", "C"]}, "(B)", "(A)"),
    "number": ({"answer": 12.5, "tolerance": 0.01}, "It is 12.50.", "It is 13."),
    "contains": (
        {"all": [["1789"], ["Bastille"]], "none": ["Napoleon"], "max_words": 20},
        "1789: the Bastille",
        "Napoleon in 1789",
    ),
    "f1": ({"answers": ["the black cat"]}, "A black cat.", "one white dog"),
    "json": (
        {"schema": {"type": "object", "required": ["a"]}, "equals": {"a": 1}},
        '```json\n{"a": 1}\n```',
        '{"a": 2}',
    ),
    "code": (
        {"tests": "assert f(2) == 4\nassert f(3) == 9", "entry": "f"},
        "def f(x): return x * x",
        "def f(x): return 2 * x",
    ),
    "nonempty": ({}, "Paris", "…"),
    "length": ({"min_words": 2, "max_words": 200, "max_characters": 20_000}, "in Paris", "Paris"),
    "regex": ({"pattern": r"\bParis\b", "forbidden": "(?i)lyon"}, "Paris", "Paris, or Lyon"),
    "states": ({"what": "number"}, "Answer: 42", "nobody knows"),
    "refusal": ({}, "Paris", "I'm sorry, but I can't help with that."),
}


def test_every_kind_has_a_case() -> None:
    assert set(CASES) == set(KINDS)


@pytest.mark.parametrize("kind", CASES)
class TestShipped(ScorerContract):
    @pytest.fixture(autouse=True)
    def _kind(self, kind: str) -> None:
        self.fields, self.good, self.bad = CASES[kind]
        self.kind = kind

    def scorer(self) -> Scorer:
        return scorer_of({"kind": self.kind, **self.fields})

    def right(self) -> str:
        return self.good

    def wrong(self) -> str:
        return self.bad


def mentions_paris(answer: str, prompt: Prompt) -> bool:
    return "Paris" in answer


class TestFunction(ScorerContract):
    def scorer(self) -> Scorer:
        return Function(mentions_paris)

    def right(self) -> str:
        return "Paris"

    def wrong(self) -> str:
        return "Lyon"
