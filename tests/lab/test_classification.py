"""F1 of labels, against scikit-learn; and which prompts are a classification at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.core.values import Prompt
from routelab.lab.classification import choices, chosen, classified, label
from routelab.scoring.choice import Choice

metrics: Any = pytest.importorskip("sklearn.metrics")
LABELS = ("a", "b", "c", "d")


@given(
    pairs=st.lists(
        st.tuples(st.sampled_from(LABELS), st.one_of(st.none(), st.sampled_from(LABELS))), min_size=2, max_size=80
    )
)
def test_f1_precision_and_recall_are_those_of_scikit_learn(pairs: list[tuple[str, str | None]]) -> None:
    wanted, said = [w for w, _ in pairs], [s for _, s in pairs]
    held = classified(wanted, said)
    names = [x.label for x in held.labels]
    given_ = [s or "none" for s in said]
    assert held.macro_f1.value == pytest.approx(
        metrics.f1_score(wanted, given_, labels=names, average="macro", zero_division=0)
    )
    assert held.micro_f1.value == pytest.approx(
        metrics.f1_score(wanted, given_, labels=names, average="micro", zero_division=0)
    )
    precision, recall, f1, count = metrics.precision_recall_fscore_support(
        wanted, given_, labels=names, zero_division=0
    )
    assert [x.precision or 0.0 for x in held.labels] == pytest.approx(precision)
    assert [x.recall or 0.0 for x in held.labels] == pytest.approx(recall)
    assert [x.f1 for x in held.labels] == pytest.approx(f1)
    assert [x.wanted for x in held.labels] == list(count)
    assert held.accuracy.value == pytest.approx(metrics.accuracy_score(wanted, given_))
    assert held.none == said.count(None)


def test_the_interval_of_f1_has_the_width_that_a_bootstrap_finds() -> None:
    rng = np.random.default_rng(0)
    wanted = rng.choice(LABELS, 600, p=[0.5, 0.25, 0.15, 0.1])
    said = np.where(rng.random(600) < 0.7, wanted, rng.choice(LABELS, 600))
    held = classified(list(wanted), list(said))
    drawn = [
        metrics.f1_score(wanted[i], said[i], average=average)
        for average in ("macro", "micro")
        for i in (rng.integers(0, 600, 600) for _ in range(300))
    ]
    assert held.macro_f1.se == pytest.approx(np.std(drawn[:300]), rel=0.15)
    assert held.micro_f1.se == pytest.approx(np.std(drawn[300:]), rel=0.15)
    clusters = np.repeat(np.arange(100), 6)
    assert classified(list(wanted), list(said), clusters).macro_f1.clusters == 100


def test_right_answers_only_are_an_f1_of_one() -> None:
    held = classified(["a", "b"] * 20, ["a", "b"] * 20)
    assert (held.macro_f1.value, held.micro_f1.value, held.none) == (1.0, 1.0, 0)
    assert held.macro_f1.interval == (1.0, 1.0)
    assert held.table("x").rows[0] == ("a", "20", "20", "1.000", "1.000", "1.000")


def test_no_prompts_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        classified([], [])


def prompt(i: int, **more: Any) -> Prompt:
    return Prompt(id=f"p{i}", messages=(), **more)


def test_a_prompt_with_a_choice_scorer_is_a_classification_and_others_with_a_scorer_are_none() -> None:
    spam = {"kind": "choice", "answer": "Spam", "options": ["spam", "not spam"]}
    own, number, broken = choices(
        [
            prompt(0, scorer=spam),
            prompt(1, scorer={"kind": "number", "answer": 4}, reference="A"),
            prompt(2, scorer={"kind": "choice", "answer": "x", "options": ["a", "b"]}),
        ]
    )
    assert own == Choice(answer="Spam", options=("spam", "not spam"))
    assert (number, broken) == (None, None)
    assert label(own) == "spam"
    assert chosen(own, "This is not spam.") == "not spam"
    assert chosen(own, "Spam or not spam?") is None
    assert chosen(own, "I cannot say.") is None


def test_references_that_come_again_and_again_are_labels_and_others_are_not() -> None:
    letters = [prompt(i, task="quiz", reference="ABCD"[i % 4]) for i in range(40)]
    free = [prompt(100 + i, task="maths", reference=str(i)) for i in range(40)]
    few = [prompt(200 + i, task="few", reference="AB"[i % 2]) for i in range(6)]
    silent = [prompt(300, task="quiz")]
    found = choices([*letters, *free, *few, *silent])
    assert [c.answer if c else None for c in found[:4]] == ["A", "B", "C", "D"]
    assert all(c is not None and c.options == ("A", "B", "C", "D") for c in found[:40])
    assert found[40:] == [None] * 47
    first = found[1]
    assert first is not None
    assert chosen(first, "The answer is (B), because A is too small.") == "B"


def test_references_that_differ_by_case_only_are_no_labels() -> None:
    found = choices([prompt(i, reference=("yes", "Yes")[i % 2]) for i in range(40)])
    assert found == [None] * 40
