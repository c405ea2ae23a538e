"""The winner as a file: it runs elsewhere as it is, and says for itself what is known of it and what is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from routelab.config import RouteConfig
from routelab.core.errors import ConfigError, DataError
from routelab.fleet import Fleet
from routelab.lab.compare import Comparison
from routelab.lab.export import evidence, runnable, write_config, write_winner
from routelab.lab.replay import replay
from routelab.router import Router
from routelab.strategies import Fixed, Random, Rules, Split

CHEAP, DEAR = "qwen-local", "gpt-5-mini"


def compared(
    cube: Callable[..., Any], *, confirm: float = 0.5, arms: Any = None, n: int = 800, **more: Any
) -> Comparison:
    """Return a comparison in which the cheap model is as good as the dear one."""
    quality = (np.arange(n) % 5 != 0).astype(float)[:, None].repeat(2, axis=1)
    outcomes = cube(quality, cost_usd=[[0.001, 0.01]] * n, models=(CHEAP, DEAR), dataset="quiz", **more)
    return replay(
        outcomes, arms or {"cheap": Fixed(model=CHEAP), "dear": Fixed(model=DEAR)}, confirm=confirm, baseline="dear"
    )


def test_the_winner_is_confirmed_with_its_evidence(cube: Any, tmp_path: Path) -> None:
    found = compared(cube)
    path = write_winner(found, tmp_path / "winner.yaml")
    assert path == tmp_path / "winner.yaml"
    said = yaml.safe_load(path.read_text())["evidence"]
    assert said == evidence(found, found["cheap"])
    assert (said["status"], said["baseline"], said["dataset"], said["arms_tried"]) == ("confirmed", "dear", "quiz", 2)
    assert (said["margin"], said["seed"], said["simulated"]) == (0.02, 0, False)
    assert said["split"]["tune"] + said["split"]["confirm"] == 800
    assert said["n"] == said["split"]["confirm"]
    assert said["quality_ci"][0] < said["quality"] < said["quality_ci"][1]
    assert said["verdict"] == "non-inferior"
    assert said["cost_ratio"] == pytest.approx(0.1)
    assert said["config"] == RouteConfig.from_yaml(path).fingerprint
    assert said["prices_as_of"] is None
    assert said["why"] == found.why


def test_the_head_of_the_file_says_in_words_what_it_is(cube: Any, tmp_path: Path) -> None:
    found = compared(cube)
    write_winner(found, tmp_path / "winner.yaml")
    head = (tmp_path / "winner.yaml").read_text().split("routelab: 1")[0]
    assert head == f"# cheap: exported by routelab.\n# {found.why}\n"


def test_an_arm_that_did_not_win_is_stamped_unconfirmed(cube: Any, tmp_path: Path) -> None:
    found = compared(cube)
    path = write_winner(found, tmp_path / "dear.yaml", arm="dear")
    assert path is not None
    assert yaml.safe_load(path.read_text())["evidence"]["status"] == "unconfirmed"
    with pytest.raises(DataError, match=r"no arm 'chep'; did you mean 'cheap'\?"):
        write_winner(found, tmp_path / "x.yaml", arm="chep")


def test_without_a_confirm_split_nothing_is_confirmed(cube: Any, tmp_path: Path) -> None:
    found = compared(cube, confirm=0)
    assert write_winner(found, tmp_path / "winner.yaml") is None
    assert not (tmp_path / "winner.yaml").exists()
    path = write_winner(found, tmp_path / "cheap.yaml", arm="cheap")
    assert path is not None
    assert yaml.safe_load(path.read_text())["evidence"]["status"] == "unconfirmed"


def test_figures_of_practice_models_are_stamped_simulated(cube: Any, tmp_path: Path) -> None:
    path = write_winner(compared(cube, simulated=True), tmp_path / "winner.yaml")
    assert path is not None
    text = path.read_text()
    assert text.startswith("# SIMULATED: the figures below come from practice models, not from real ones.\n")
    assert yaml.safe_load(text)["evidence"]["simulated"] is True


def test_the_file_runs_as_it_is_with_the_practice_fleet_offline(cube: Any, tmp_path: Path) -> None:
    path = write_winner(compared(cube), tmp_path / "winner.yaml")
    assert path is not None
    answer = Router.from_yaml(path, fleet=Fleet.practice(latency=0, errors=0)).route("What is the capital of France?")
    assert (answer.model, answer.simulated, answer.error) == (CHEAP, True, None)
    own = RouteConfig(name="own", strategy=Fixed(model=CHEAP), fleet="practice")
    path = write_winner(compared(cube, arms={"own": own, "dear": Fixed(model=DEAR)}), tmp_path / "own.yaml")
    assert path is not None
    assert Router.from_yaml(path).fleet.simulated


def test_the_file_decides_what_the_arm_decided(cube: Any, tmp_path: Path) -> None:
    arms = {
        "split": Split(weights={CHEAP: 1, DEAR: 1}),
        "rules": Rules(table={"math": (CHEAP, DEAR)}, default=(DEAR,)),
        "whole": RouteConfig(name="other", models=[DEAR, CHEAP], strategy=Random(seed=2)),
        "dear": Fixed(model=DEAR),
    }
    found = compared(cube, arms=arms)
    assert found.outcomes is not None
    for arm in found.arms:
        path = write_winner(found, tmp_path / f"{arm.name}.yaml", arm=arm.name)
        assert path is not None
        config = RouteConfig.from_yaml(path)
        assert (config.name, config) == (arm.name, runnable(arm))
        picks = Router(config, fleet=Fleet.practice(latency=0)).plan(found.outcomes.prompts).order[:, 0]
        names = [config.names[m] for m in picks]
        assert names == [found.models[m] for m in arm.walked.model]


def test_a_model_by_its_name_is_a_config_too(cube: Any) -> None:
    found = compared(cube)
    assert found.controls is not None
    best = found.controls.best_single
    assert runnable(best) == RouteConfig(name="best-single", strategy=Fixed(model=str(best.config)))


def test_an_arm_over_nobody_in_particular_cannot_run_elsewhere(cube: Any, tmp_path: Path) -> None:
    found = compared(cube, arms={"any": Random(), "dear": Fixed(model=DEAR)})
    with pytest.raises(ConfigError, match="arm 'any' does not name its models, so it cannot run elsewhere"):
        write_winner(found, tmp_path / "any.yaml", arm="any")


@pytest.mark.parametrize("name", ["no", "\x85\x00\x1b[31m", "a: b # c\n- d", "\ud800", "'\"", "../../x", "🙂" * 80])
def test_hostile_names_end_in_a_file_that_loads(name: str, cube: Any, tmp_path: Path) -> None:
    found = compared(cube, arms={name: Fixed(model=CHEAP), "dear": Fixed(model=DEAR)})
    path = write_winner(found, tmp_path / "winner.yaml", arm=name)
    assert path is not None
    assert RouteConfig.from_yaml(path).name == name
    assert [p.name for p in tmp_path.iterdir()] == ["winner.yaml"]


def test_an_unknown_target_is_named_with_the_nearest_and_nothing_is_written(cube: Any, tmp_path: Path) -> None:
    config = RouteConfig(name="a", strategy=Fixed(model=CHEAP))
    with pytest.raises(ConfigError, match=r"unknown export target 'litelm'; did you mean 'litellm'\?"):
        write_winner(compared(cube), tmp_path / "x.yaml", to="litelm")
    with pytest.raises(ConfigError, match=r"unknown export target 'yaml'"):
        write_config(config, tmp_path / "x.yaml", to="yaml")
    assert list(tmp_path.iterdir()) == []


def test_a_config_is_written_without_evidence(tmp_path: Path) -> None:
    config = RouteConfig(name="a", strategy=Fixed(model=CHEAP))
    path = write_config(config, tmp_path / "a.yaml")
    assert "evidence" not in path.read_text()
    assert RouteConfig.from_yaml(path) == config
    with pytest.raises(ConfigError, match="cannot be written"):
        write_config(config, tmp_path / "no" / "a.yaml")
