"""Several configs in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from routelab.core.errors import ConfigError
from routelab.lab.arms import read_arms
from routelab.lab.replay import replay
from routelab.lab.sources.singles import fixed
from routelab.strategies import Split

NAMED = """
routelab: 1
arms:
  strong: gpt-5
  half:
    models: [a, b]
    strategy: {kind: split, weights: {a: 1, b: 1}}
"""
LISTED = """
arms:
  - {name: strong, strategy: {kind: fixed, model: gpt-5}}
  - {name: half, models: [a, b], strategy: {kind: split, weights: {a: 1, b: 1}}}
"""
PLAIN = NAMED.replace("arms:\n", "").replace("\n  ", "\n")


def write(folder: Path, text: str) -> Path:
    path = folder / "arms.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("text", [NAMED, LISTED, PLAIN])
def test_arms_may_be_a_mapping_a_list_or_the_whole_file(tmp_path: Path, text: str) -> None:
    arms = read_arms(write(tmp_path, text))
    assert list(arms) == ["strong", "half"]
    assert arms["strong"] == fixed("gpt-5").__class__(name="strong", models=("gpt-5",), strategy=fixed("gpt-5").ranking)
    assert arms["half"].ranking == Split(weights={"a": 1.0, "b": 1.0})


def test_one_config_is_one_arm(tmp_path: Path) -> None:
    path = fixed("gpt-5").to_yaml(tmp_path / "one.yaml")
    assert read_arms(path) == {"gpt-5": fixed("gpt-5")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "arms:\n  a: {stratgy: {kind: fixed}}\n",
            "arms.yaml:2: arms.a.stratgy: unknown key; did you mean 'strategy'?",
        ),
        ("arms:\n  a: 3\n", "arms.yaml:2: arms.a: must be a config or a model's name"),
        ("arms:\n  - {strategy: {kind: fixed, model: a}}\n", "arms.yaml:2: arms.0: an arm in a list needs a `name`"),
        ("arms:\n  - a\n  - a\n", "arms.yaml:3: arms.1: the name 'a' is given twice"),
        ("arms: 3\n", "arms.yaml:1: arms: must be a mapping from names to configs"),
        ("arms: {}\n", "arms.yaml:1: arms: names no arms"),
        ("arms: {a: b}\nother: 1\n", "arms.yaml:2: other: unknown key next to `arms`"),
        ("routelab: 2\narms: {a: b}\n", "arms.yaml:1: routelab: version 2 is not known"),
        (
            "arms:\n  a:\n    strategy: {kind: fixd}\n",
            "arms.yaml:3: strategy.kind: unknown 'fixd'; did you mean 'fixed'?",
        ),
    ],
)
def test_a_complaint_names_the_line_in_the_file_of_arms(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as trouble:
        read_arms(write(tmp_path, text))
    assert trouble.value.message.endswith(message)


def test_the_arms_of_a_file_are_replayed(cube: Any, tmp_path: Path) -> None:
    outcomes = cube(np.ones((100, 2)), cost_usd=[[1, 2]] * 100)
    found = replay(outcomes, read_arms(write(tmp_path, "arms: {cheap: a, dear: b}\n")), confirm=0.5, baseline="dear")
    assert [arm.name for arm in found.arms] == ["cheap", "dear"]
    assert found.terms.arms_tried == 2
