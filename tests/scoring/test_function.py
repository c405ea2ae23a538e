from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from routelab.core.errors import RoutelabError
from routelab.core.values import Prompt, Score
from routelab.scoring import Function, ScoreError

PROMPT = Prompt.of("Well?")


@pytest.mark.parametrize(
    ("judged", "score"),
    [
        (True, Score(quality=1.0)),
        (False, Score(quality=0.0)),
        (0.25, Score(quality=0.25)),
        (1, Score(quality=1.0)),
        (np.float32(0.5), Score(quality=0.5)),
        (np.bool_(True), Score(quality=1.0)),
        (np.array(0.75), Score(quality=0.75)),
        (Score(quality=0.5, reason="half"), Score(quality=0.5, reason="half")),
    ],
)
def test_numbers_bools_and_scores_are_scores(judged: Any, score: Score) -> None:
    assert Function(lambda answer, prompt: judged)("x", PROMPT) == score


@pytest.mark.parametrize(
    "judged",
    [
        float("nan"),
        float("inf"),
        -0.1,
        1.1,
        None,
        "0.5",
        10**400,
        np.float64("nan"),
        np.ones(2),
        Score(quality=2.0),
        [1],
        1j,
    ],
)
def test_anything_else_is_a_score_error_of_one_line(judged: Any) -> None:
    def mine(answer: str, prompt: Prompt) -> Any:
        return judged

    with pytest.raises(ScoreError) as trouble:
        Function(mine)("x", PROMPT)
    assert isinstance(trouble.value, RoutelabError)
    assert trouble.value.message.startswith("scorer mine: a quality from 0 to 1 is wanted, not ")
    assert "\n" not in trouble.value.message


def test_what_the_function_raises_is_not_touched() -> None:
    with pytest.raises(ZeroDivisionError):
        Function(lambda answer, prompt: 1 / 0)("x", PROMPT)
