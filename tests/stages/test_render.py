"""Render: system text, template, examples."""

from __future__ import annotations

import asyncio
import threading
from datetime import datetime

import pytest

from routelab.core.errors import ConfigError
from routelab.core.events import Compacted
from routelab.core.ports import World
from routelab.core.run import Run
from routelab.core.values import Message, Prompt
from routelab.prompting import Template
from routelab.stages import Render
from routelab.testing import VirtualClock

TURNS = (
    Message(role="system", content="old"),
    Message(role="user", content="a"),
    Message(role="assistant", content="b"),
    Message(role="user", content="c"),
)


def done(stage: Render, *turns: Message) -> Compacted:
    run = Run(id="r", prompt=Prompt(id="p", messages=turns), started_at=datetime(2026, 1, 1))
    return asyncio.run(stage(run, World(clock=VirtualClock())))


def shown(run: Run) -> list[tuple[str, str, str]]:
    return [("e7", f"like {run.prompt.text}?", "yes")]


EXAMPLE = (Message(role="user", content="like c?"), Message(role="assistant", content="yes"))


def test_a_template_names_itself_its_examples_and_its_head() -> None:
    template = Template(name="qa", version=3, system="new", user="{{ question }}!", example=None)
    event = done(Render(template=template, examples=shown), *TURNS)
    asked = (Message(role="user", content="like c?!"), EXAMPLE[1])
    assert event == Compacted(
        policy="template",
        messages=(Message(role="system", content="new"), *asked, *TURNS[1:3], Message(role="user", content="c!")),
        template="qa@3",
        examples=("e7",),
        head=3,
    )


def test_examples_need_no_template() -> None:
    event = done(Render(examples=shown), *TURNS)
    assert event == Compacted(policy="template", messages=(TURNS[0], *EXAMPLE, *TURNS[1:]), examples=("e7",), head=3)
    event = done(Render(system="new", examples=lambda run: []), *TURNS)
    assert event == Compacted(policy="template", messages=(Message(role="system", content="new"), *TURNS[1:]), head=1)


def test_examples_are_chosen_on_another_thread() -> None:
    seen: list[threading.Thread] = []

    def choose(run: Run) -> list[tuple[str, str, str]]:
        seen.append(threading.current_thread())
        return []

    done(Render(examples=choose), *TURNS)
    assert seen != [threading.main_thread()]


def test_two_system_texts_are_one_too_many() -> None:
    with pytest.raises(ConfigError, match=r"prompt.system: has no place in qa@3"):
        Render(system="a", template=Template(name="qa", version=3, system="b"))
    assert Render(system="a", template=Template(system="b {{ system }}")).system == "a"
