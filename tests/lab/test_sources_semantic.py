"""A search's semantic routes: task tables whose tasks are found in the prompts."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from routelab.core.values import Message
from routelab.lab.outcomes import Outcomes
from routelab.lab.search import search
from routelab.lab.sources import PLAIN
from routelab.lab.sources.semantic import recognised, semantic
from routelab.strategies import Semantic

SUBJECTS = {
    "sums": "what is {} plus twelve",
    "songs": "write a song about a {} river",
}


def texts(cube: Any, n: int = 240) -> Outcomes:
    """Return outcomes in which the cheap model is as good at sums, and useless at songs."""
    tasks = [("sums", "songs")[i % 2] for i in range(n)]
    rng = np.random.default_rng(0)
    dear = rng.random(n) < 0.9
    cheap = np.where(np.array(tasks) == "sums", dear, False)
    made: Outcomes = cube(np.column_stack([cheap, dear]), tasks=tasks, cost_usd=[[1, 10]] * n, models=("cheap", "dear"))
    prompts = tuple(
        dataclasses.replace(p, messages=(Message(role="user", content=SUBJECTS[str(p.task)].format(i)),))
        for i, p in enumerate(made.prompts)
    )
    return dataclasses.replace(made, prompts=prompts)


def test_a_recognised_table_sends_prompts_without_a_task_where_their_task_goes(cube: Any) -> None:
    outcomes = texts(cube)
    config = recognised(outcomes, vote="centroid", tolerance=0.05)
    assert isinstance(config.ranking, Semantic)
    assert {name: route["models"][0] for name, route in config.ranking.routes.items()} == {
        "songs": "dear",
        "sums": "cheap",
    }
    assert config.ranking.decide(["what is 7 plus twelve", "a song about an old river"]).routes == ("sums", "songs")
    assert config.from_text(config.to_text()) == config


def test_there_are_none_without_two_tasks(cube: Any) -> None:
    assert list(semantic(cube(np.ones((20, 2)), cost_usd=1.0))) == []
    assert list(semantic(cube(np.ones((20, 2)), cost_usd=1.0, tasks=["x"] * 20))) == []


def test_without_costs_there_is_one_candidate_a_vote(cube: Any) -> None:
    names = [c.name for c in semantic(cube(np.ones((20, 2)), tasks=["x", "y"] * 10))]
    assert names == ["semantic-centroid-tol0", "semantic-knn-tol0"]


def test_a_search_finds_the_table_without_being_told_the_tasks(cube: Any) -> None:
    found = search(texts(cube, 1200), sources=(PLAIN[0], semantic))
    winner = found.winner()
    assert winner is not None
    assert winner.name.startswith("semantic-")
    assert found.terms.arms_tried == 2 + 10
