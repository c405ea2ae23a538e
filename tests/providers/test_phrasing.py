from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.core.values import Message, Prompt
from routelab.providers.phrasing import half, mistakes, pieces, salient, truth, unscripted, wordy
from routelab.scoring import score

WORKBENCH = Path(__file__).resolve().parents[2] / "datasets" / "workbench"


def prompt_of(reference: str | None = None, wrong: tuple[str, ...] = (), **scorer: object) -> Prompt:
    return Prompt(
        id="p",
        messages=(Message(role="user", content="Well?"),),
        reference=reference,
        scorer=scorer or None,
        wrong=wrong,
    )


def quality(answer: str, prompt: Prompt) -> float:
    judged = score(answer, prompt)
    assert judged is not None
    return judged.quality


def workbench(*, code: bool) -> list[Prompt]:
    rows = [
        json.loads(line) for path in sorted(WORKBENCH.glob("*.jsonl")) for line in path.read_text("utf-8").splitlines()
    ]
    return [
        Prompt(
            id=row["id"],
            messages=(Message(role="user", content=row["prompt"]),),
            task=row["task"],
            reference=row["reference"],
            scorer=row["scorer"],
            wrong=tuple(row["wrong"]),
            difficulty=row["difficulty"],
        )
        for row in rows
        if (row["scorer"]["kind"] == "code") == code
    ]


def test_more_words_around_it_never_change_what_an_answer_is_worth() -> None:
    prompts = [*workbench(code=False), *workbench(code=True)[::10]]
    assert prompts
    for prompt in prompts:
        assert prompt.reference is not None
        for u in (0.1, 0.5, 0.9):
            assert quality(wordy(prompt.reference, prompt, u), prompt) >= 0.99, (prompt.id, u)
        for wrong in prompt.wrong:
            assert quality(wordy(wrong, prompt, 0.4), prompt) < 0.5, (prompt.id, wrong)


def test_half_an_answer_is_worth_something_but_not_all() -> None:
    halves = [(prompt, half(prompt, u)) for prompt in workbench(code=False) for u in (0.0, 0.5, 0.99)]
    grades = [quality(text, prompt) for prompt, text in halves if text is not None]
    assert len(grades) > 30
    assert min(grades) > 0.3
    assert max(grades) < 1.0


def test_many_wordings_are_really_longer() -> None:
    prompts = workbench(code=False)
    longer = sum(len(wordy(p.reference or "", p, 0.5)) > len(p.reference or "") for p in prompts)
    assert longer > 0.4 * len(prompts)


@pytest.mark.parametrize(
    ("prompt", "right"),
    [
        (prompt_of("yes", kind="exact", answers=["no"]), "yes"),
        (prompt_of(kind="exact", answers=["Paris", "paris, france"]), "Paris"),
        (prompt_of(kind="choice", answer="B", options=["A", "B"]), "B"),
        (prompt_of(kind="number", answer=12.5), "12.5"),
        (prompt_of(kind="json", schema={}, equals={"a": 1}), '{"a": 1}'),
        (prompt_of(kind="contains", all=[["red", "rouge"], ["two"]]), "red, two"),
        (prompt_of(kind="code", tests="assert f() == 1"), None),
        (prompt_of(), None),
    ],
)
def test_a_right_answer_is_the_reference_or_what_the_scorer_accepts(prompt: Prompt, right: str | None) -> None:
    assert truth(prompt) == right


@pytest.mark.parametrize(
    "prompt",
    [
        prompt_of(kind="choice", answer="B", options=["A", "B", "C"]),
        prompt_of("It is 12,500 metres.", kind="number", answer=12500, tolerance=3),
        prompt_of("0", kind="number", answer=0),
        prompt_of(kind="exact", answers=["Paris"]),
        prompt_of(
            "A long reference text about harbours.", kind="f1", answers=["A long reference text about harbours."]
        ),
        prompt_of("```python\ndef f():\n    return 1\n```", kind="code", tests="assert f() == 1", entry="f"),
        prompt_of("Red comes before two.", kind="contains", all=[["red"], ["two"]]),
    ],
)
def test_without_given_mistakes_plausible_ones_are_made_up_and_all_are_wrong(prompt: Prompt) -> None:
    made = mistakes(prompt)
    assert made
    assert all(quality(wrong, prompt) < 0.5 for wrong in made)


def test_given_mistakes_are_used_as_they_are() -> None:
    assert mistakes(prompt_of("42", ("41", "43"), kind="number", answer=42)) == ("41", "43")


def test_half_needs_a_reference_and_two_points() -> None:
    two = {"kind": "contains", "all": [["red"], ["two"]]}
    assert half(prompt_of("It is red. There are two.", **two), 0.0) == "There are two."
    assert half(prompt_of("It is red. There are two.", **two), 0.9) == "It is red."
    assert half(prompt_of("Two are red.", **two), 0.0) is None
    assert half(prompt_of("Red.", kind="contains", all=[["red"]]), 0.0) is None
    assert half(prompt_of(**two), 0.0) is None


@given(st.text(max_size=200))
def test_pieces_put_together_are_the_text(text: str) -> None:
    assert "".join(pieces(text)) == text


@given(st.text(max_size=300), st.integers(1, 5))
def test_any_text_has_something_salient(text: str, most: int) -> None:
    picked = salient(text, most)
    assert 1 <= len(picked) <= most
    assert all(sentence in text for sentence in picked)


@given(st.text(max_size=300), st.integers(0, 3))
def test_any_message_gets_an_openly_simulated_reply(text: str, seed: int) -> None:
    reply = unscripted((Message(role="user", content=text),), "gpt-5", seed)
    assert "simulated" in reply.casefold()
    assert "gpt-5" in reply
