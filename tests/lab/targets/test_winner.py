"""A winner's file for another router carries its evidence as a comment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from routelab import Fleet
from routelab.lab.export import evidence, write_winner
from routelab.lab.replay import replay
from routelab.strategies import Fixed


@pytest.mark.parametrize("to", ["litellm", "vllm-sr"])
def test_the_evidence_stands_above_the_file(to: str, cube: Callable[..., Any], fleet: Fleet, tmp_path: Path) -> None:
    quality = (np.arange(800) % 5 != 0).astype(float)[:, None].repeat(2, axis=1)
    outcomes = cube(quality, cost_usd=[[0.001, 0.01]] * 800, models=("small", "large"))
    arms = {"small": Fixed(model="small"), "large": Fixed(model="large")}
    found = replay(outcomes, arms, confirm=0.5, baseline="large")
    path = write_winner(found, tmp_path / "out.yaml", to=to, fleet=fleet)
    assert path == tmp_path / "out.yaml"
    above = path.read_text().split("\n# small (")[0].splitlines()
    assert above[:2] == ["# small: exported by routelab.", f"# {found.why}"]
    said = yaml.safe_load("\n".join(line.removeprefix("# ") for line in above[2:]))
    assert said == {"evidence": evidence(found, found["small"])}
    assert yaml.safe_load(path.read_text()).keys() >= ({"model_list"} if to == "litellm" else {"routing"})


def test_nothing_is_written_without_a_winner(cube: Callable[..., Any], fleet: Fleet, tmp_path: Path) -> None:
    quality = np.column_stack([np.zeros(200), np.ones(200)])
    outcomes = cube(quality, cost_usd=[[0.001, 0.01]] * 200, models=("small", "large"))
    found = replay(outcomes, {"small": Fixed(model="small")}, confirm=0.5, baseline="large")
    assert write_winner(found, tmp_path / "out.yaml", to="litellm", fleet=fleet) is None
    assert list(tmp_path.iterdir()) == []
