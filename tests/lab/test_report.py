"""`result.json` as promised, and the text."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from routelab.core.errors import ConfigError
from routelab.lab.outcomes import Outcomes
from routelab.lab.replay import replay
from routelab.lab.report import aligned, result, text, write
from routelab.lab.search import search
from routelab.lab.sources import PLAIN
from routelab.strategies import Fixed, Random

TOP = {"routelab", "dataset", "seed", "margin", "split", "arms_tried", "baseline", "controls", "arms", "winner", "why"}
ARM = {
    "name", "config", "n", "failures", "quality", "quality_ci", "cost_usd", "cost_known", "latency_p50_s", "latency_p95_s",
    "vs_baseline",
}  # fmt: skip
AGAINST = {"quality_delta", "quality_delta_ci", "verdict", "p_adjusted", "cost_ratio", "cost_ratio_ci", "n_needed"}


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [n for v in value.values() for n in numbers(v)]
    if isinstance(value, list):
        return [n for v in value for n in numbers(v)]
    return [value] if isinstance(value, float) else []


@pytest.mark.parametrize("dataset", ["bfcl_2024-08-11", "gsm8k", "llmrouter", "routellm_mmlu", "routerarena_sub10"])
def test_the_result_has_every_promised_key_and_no_number_that_json_lacks(
    recorded: Callable[..., Outcomes], tmp_path: Path, dataset: str
) -> None:
    found = search(recorded(dataset), seed=1, sources=PLAIN)
    values = result(found)
    assert set(values) >= TOP
    assert values["split"] == {"tune": found.terms.tune, "confirm": found.terms.confirm}
    assert all(set(arm) >= ARM and set(arm["vs_baseline"]) >= AGAINST for arm in values["arms"])
    assert {arm["vs_baseline"]["verdict"] for arm in values["arms"]} <= {"non-inferior", "worse", "inconclusive"}
    assert set(values["controls"]) >= {"best-single", "cheapest", "shuffle", "oracle"}
    assert all(math.isfinite(n) for n in numbers(values))
    path = write(found, tmp_path / "result.json")
    assert json.loads(path.read_text(encoding="utf-8")) == values


def test_a_cost_that_is_not_known_is_null_and_never_0(recorded: Callable[..., Outcomes]) -> None:
    values = result(search(recorded("gsm8k"), sources=PLAIN))
    assert values["baseline"] == "best-single"
    assert values["controls"]["cheapest"] is None
    for arm in [*values["arms"], values["controls"]["best-single"], values["controls"]["oracle"]]:
        assert (arm["cost_usd"], arm["cost_known"], arm["latency_p50_s"]) == (None, 0, None)
        assert (arm["vs_baseline"]["cost_ratio"], arm["vs_baseline"]["cost_ratio_ci"]) == (None, None)
    assert values["winner"] is None


def test_an_arm_that_was_never_scored_is_null_and_inconclusive(cube: Any) -> None:
    quality = np.column_stack([np.full(100, np.nan), np.ones(100)])
    values = result(replay(cube(quality), {"a": Fixed(model="a")}, confirm=0))
    (arm,) = values["arms"]
    assert (arm["n"], arm["quality"], arm["quality_ci"]) == (0, None, None)
    assert (arm["vs_baseline"]["verdict"], arm["vs_baseline"]["quality_delta"]) == ("inconclusive", None)


def test_the_winner_is_named_with_its_config_and_what_was_tried(recorded: Callable[..., Outcomes]) -> None:
    values = result(search(recorded("llmrouter", priced=True), sources=PLAIN))
    winner = next(arm for arm in values["arms"] if arm["name"] == values["winner"])
    assert winner["config"]["strategy"]["kind"] == "rules"
    assert winner["nominated"]
    assert values["arms_tried"] > len(values["arms"])
    assert values["why"].startswith(f"adopt {values['winner']}: ")
    assert values["cost_kinds"] == ["estimated"]
    assert "an answer's length was not recorded" in values["notes"][0]


def test_the_oracle_says_that_it_is_inflated_by_luck_and_the_shuffle_whose_it_is(
    recorded: Callable[..., Outcomes],
) -> None:
    controls = result(search(recorded("llmrouter", priced=True), sources=PLAIN))["controls"]
    assert "inflated by luck" in controls["oracle"]["note"]
    assert controls["oracle"]["quality"] == pytest.approx(0.80, abs=0.02)
    assert controls["shuffle"]["lift_ci"][0] > 0
    assert sum(controls["shuffle"]["shares"].values()) == pytest.approx(1.0)
    assert controls["zero-router"][0]["cost_usd"] < controls["zero-router"][-1]["cost_usd"]


def test_a_place_that_cannot_be_written_is_said(cube: Any, tmp_path: Path) -> None:
    found = replay(cube(np.ones((9, 1))), {"a": Fixed(model="a")}, confirm=0)
    with pytest.raises(ConfigError, match=r"result\.json: cannot be written"):
        write(found, tmp_path / "missing" / "result.json")


def test_the_text_lines_up_and_says_what_is_not_known(cube: Any) -> None:
    rng = np.random.default_rng(0)
    quality = (rng.random((60, 2)) < [0.6, 0.8]).astype(float)
    waits = np.where(np.arange(60)[:, None] < 60, 1.5, 0)
    found = replay(
        cube(quality, cost_usd=[[1, 2]] * 60, latency_s=waits, dataset="d"), {"r": Random(models=("a", "b"))}, confirm=0
    )
    shown = text(found)
    table = [line for line in shown.splitlines() if "%" in line and "[" in line]
    assert "n too small" in shown  # 60 values have no interval of a 95th percentile
    assert "oracle (hindsight)" in shown
    assert len({line.index("%") for line in table}) == 1
    assert shown.endswith(found.why)
    assert shown == repr(found)


def test_columns_are_flush() -> None:
    assert aligned([["", "x"], ["long", "1"]]) == ["      x", "long  1"]
