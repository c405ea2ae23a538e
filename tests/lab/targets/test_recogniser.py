"""The recogniser's Python file decides as the strategy does."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from exported import configs
from hypothesis import given
from hypothesis import strategies as st

from routelab import Dataset, Fleet
from routelab.lab.targets import export
from routelab.strategies.rules import HEAD, TAIL, recognise

WORDS = [
    "translate",
    "in French",
    "summarize",
    "review",
    "this function",
    "```",
    "who",
    "capital of",
    "\n",
    "study",
    "é",
]


def loaded(name: str, fleet: Fleet) -> Any:
    """Return the file's names, as LiteLLM's import would."""
    [text] = export(configs()[name], to="litellm", fleet=fleet).files.values()
    names: dict[str, Any] = {}
    exec(compile(text, "recogniser", "exec"), names)
    return SimpleNamespace(**names)


def test_the_file_finds_the_same_task_in_every_prompt_of_the_workbench(fleet: Fleet) -> None:
    file = loaded("auto", fleet)
    for prompt in Dataset.load("workbench").prompts:
        assert file.task_of(prompt.text) == recognise(prompt.text)[0]


@given(st.lists(st.sampled_from(WORDS), max_size=10).map(" ".join))
def test_the_file_finds_the_same_task_in_any_mixture(text: str) -> None:
    assert _FILE.task_of(text) == recognise(text)[0]


@given(st.text(max_size=60))
def test_the_file_finds_the_same_task_in_any_text(text: str) -> None:
    assert _FILE.task_of(text) == recognise(text)[0]


def test_the_file_looks_at_the_same_head_and_tail(fleet: Fleet) -> None:
    file = loaded("auto", fleet)
    hidden = "x " * HEAD + "translate into German" + " x" * TAIL
    shown = "translate into German " + "x " * HEAD
    assert (file.task_of(hidden), file.task_of(shown)) == (recognise(hidden)[0], recognise(shown)[0])
    assert file.task_of(shown) == "translation"


@pytest.mark.parametrize(
    ("messages", "tier"),
    [
        ([{"role": "user", "content": "Translate into German: hello"}], "translation"),
        ([{"role": "user", "content": [{"type": "text", "text": "Translate into German: hello"}]}], "translation"),
        (
            [
                {"role": "user", "content": "Summarize this"},
                {"role": "assistant", "content": "Done."},
                {"role": "user", "content": "hm"},
            ],
            "default",
        ),
        ([{"role": "system", "content": "Translate into German"}], "default"),
        ([], "default"),
    ],
)
def test_the_classifier_reads_the_last_user_message(messages: list[Any], tier: str, fleet: Fleet) -> None:
    file = loaded("auto", fleet)
    assert asyncio.run(file.classifier.classify(SimpleNamespace(raw_messages=messages))) == tier


def _module() -> Any:
    from exported import FLEET

    return loaded("auto", Fleet.from_mapping(FLEET))


_FILE = _module()
