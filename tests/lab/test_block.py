"""The reporting block holds every fact of a comparison, in the notebook and in the export."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from routelab import strict
from routelab.config import RouteConfig
from routelab.fleet import Fleet
from routelab.lab.block import block, code, table
from routelab.lab.compare import Comparison
from routelab.lab.datasets import Dataset
from routelab.lab.replay import replay
from routelab.lab.session import Lab
from routelab.strategies import Cascade, Fixed

FACTS = [
    "n",
    "clusters",
    "failures",
    "arms",
    "seed",
    "arms_tried",
    "looks",
    "split",
    "margin",
    "quality_delta",
    "quality_delta_ci",
    "confidence_sequence",
    "p_adjusted",
    "cost_ratio",
    "cost_ratio_ci",
    "latency_p50_s",
    "latency_p95_s",
    "latency_p99_s",
    "latency_p50_ci",
    "latency_p95_ci",
    "latency_p99_ci",
    "cache_hits",
    "false_hits",
    "judge_calibration",
    "prices_as_of",
    "models",
    "code",
]


@pytest.fixture(scope="module")
def live() -> Comparison:
    with Lab(fleet=Fleet.practice(latency=0)) as lab:
        return lab.compare(Dataset.load("workbench").sample(40), ["claude-opus", "qwen-local"])


def test_every_fact_of_a_report_is_there_and_what_was_not_measured_is_none(live: Comparison) -> None:
    facts = block(live, live["qwen-local"])
    assert [name for name in FACTS if name not in facts] == []
    assert (facts["n"], facts["arms_tried"], facts["split"]) == (40, 2, {"tune": 0, "confirm": 40})
    assert (facts["false_hits"], facts["judge_calibration"], facts["latency_p99_s"]) == (None, None, None)
    assert facts["cache_hits"] == 0.0
    assert facts["models"] == {"qwen-local": ["practice/qwen-local"]}
    assert facts["prices_as_of"] >= "2025"  # the oldest price used, the baseline's among them


def test_the_sequence_that_may_be_looked_at_any_time_is_wider_than_the_fixed_interval(live: Comparison) -> None:
    facts = block(live, live["qwen-local"])
    low, high = facts["quality_delta_ci"]
    always_low, always_high = facts["confidence_sequence"]
    assert always_low < low < high < always_high


def test_the_evidence_of_an_export_is_the_same_block(live: Comparison, tmp_path: Path) -> None:
    values = strict.read(live.export(tmp_path / "arm.yaml", arm="qwen-local")).values["evidence"]
    facts = block(live, live["qwen-local"])
    assert values["status"] == "unconfirmed"
    for name, value in facts.items():
        if isinstance(value, float):
            assert math.isclose(values[name], value)
        else:
            assert values[name] == value


def test_a_report_is_a_table_that_says_simulated_and_ends_with_the_verdict(live: Comparison) -> None:
    text = live.report("qwen-local").text()
    assert text.splitlines()[0].startswith("report of qwen-local · SIMULATED")
    assert "judge_calibration    not measured" in text
    assert live.why in text


def test_a_replay_says_that_it_was_exact() -> None:
    with Lab(fleet=Fleet.practice(latency=0)) as lab:
        outcomes = lab.collect(Dataset.load("workbench").sample(40), ["claude-opus", "qwen-local"])
        config = RouteConfig(name="a", strategy={"kind": "split", "weights": {"claude-opus": 1, "qwen-local": 1}})
        comparison = lab.replay(outcomes, {"a": config})
    facts = block(comparison, comparison["a"])
    assert facts["method"] == "exact replay of recorded outcomes"
    assert (facts["looks"], facts["cache_hits"]) == (1, None)
    assert facts["models"] == {"claude-opus": [], "qwen-local": []}


def test_the_code_has_a_fingerprint() -> None:
    assert len(code()) == 16
    assert int(code(), 16) >= 0


def test_the_judge_behind_a_gate_is_held_against_the_exact_scores(cube: Any) -> None:
    rng = np.random.default_rng(1)
    quality = (rng.random((300, 2)) < [0.5, 0.9]).astype(float)
    verdicts = np.where(rng.random(quality.shape) < 0.9, quality, 1 - quality)
    outcomes = cube(quality, cost_usd=[[1, 10]] * 300, models=("cheap", "dear"), gates={"votes": verdicts})
    gated = Cascade(order=("cheap", "dear"), gate={"recorded": "votes", "at_least": 0.5})
    found = replay(outcomes, {"gated": gated, "plain": Fixed(model="cheap")}, confirm=0)
    told = block(found, found["gated"])["judge_calibration"]
    assert (told["gate"], told["answers"]) == ("votes", 600)
    assert told["accuracy"] == pytest.approx((verdicts == quality).mean())
    assert 0.85 < told["sensitivity"] < 0.95
    assert told["accuracy_ci"][0] < told["accuracy"] < told["accuracy_ci"][1]
    assert f"accuracy {told['accuracy']:.4g}" in table(found, found["gated"]).text(width=200)
    assert block(found, found["plain"])["judge_calibration"] is None
