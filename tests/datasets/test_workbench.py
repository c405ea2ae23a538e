"""The shipped prompts keep their promises."""

from __future__ import annotations

import json
import re

import pytest

from routelab.core.values import Prompt
from routelab.lab.datasets import Dataset, shipped
from routelab.scoring import score
from routelab.strategies.rules import recognise

WORKBENCH = Dataset.load("workbench")
TASKS = ("classification", "code_generation", "code_review", "research", "simple_qa", "summarization", "translation")


def quality(answer: str, prompt: Prompt) -> float:
    judged = score(answer, prompt)
    assert judged is not None
    return judged.quality


def test_there_are_at_least_fifty_prompts_a_task_of_graded_difficulty() -> None:
    assert len(WORKBENCH) >= 350
    for task in TASKS:
        levels = [p.difficulty for p in WORKBENCH if p.task == task]
        assert len(levels) >= 50
        assert {1, 2, 3, 4, 5} == set(levels)


@pytest.mark.parametrize("task", TASKS)
def test_every_reference_passes_its_scorer_and_every_wrong_answer_fails(task: str) -> None:
    failed = {}
    for prompt in WORKBENCH.where(lambda p: p.task == task):
        assert prompt.reference is not None
        assert len(prompt.wrong) >= 2
        if quality(prompt.reference, prompt) < 0.99:
            failed[prompt.id] = "reference"
        for wrong in prompt.wrong:
            if quality(wrong, prompt) >= 0.5:
                failed[prompt.id] = wrong
    assert failed == {}


@pytest.mark.parametrize("task", TASKS)
def test_repeating_the_prompt_is_not_an_answer(task: str) -> None:
    assert [p.id for p in WORKBENCH.where(lambda p: p.task == task) if quality(p.text, p) >= 0.99] == []


def test_keyword_rules_do_not_give_the_tasks_away() -> None:
    right = sum(recognise(p.text)[0] == p.task for p in WORKBENCH)
    assert 0.3 < right / len(WORKBENCH) < 0.67


def test_fewer_than_half_of_the_prompts_name_their_task() -> None:
    words = {"summarization": "summar", "translation": "translat", "classification": "classif", "code_review": "review"}
    for task, word in words.items():
        prompts = [p.text.lower() for p in WORKBENCH if p.task == task]
        assert sum(word in text for text in prompts) < len(prompts) / 2


def test_the_files_hold_the_promised_keys_and_nothing_else() -> None:
    keys = {"id", "task", "difficulty", "prompt", "reference", "wrong", "scorer", "tags"}
    for path in sorted((shipped("datasets") / "workbench").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            assert set(row) == keys
            assert row["task"] == path.stem
            assert re.fullmatch(rf"{path.stem}/\d{{3}}", row["id"])


def test_the_card_states_the_real_counts() -> None:
    assert f"{len(WORKBENCH)} prompts" in WORKBENCH.card
    for task in TASKS:
        count = sum(p.task == task for p in WORKBENCH)
        assert f"| {task} | {count} |" in WORKBENCH.card
