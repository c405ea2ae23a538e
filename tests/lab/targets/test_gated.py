"""What looks at an answer, or at what a text is like: written where the target decides alike, else refused with the part that stands in the way."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from exported import prompts, written

from routelab import Fleet
from routelab.config import RouteConfig
from routelab.core.errors import ConfigError
from routelab.lab.parity import verify
from routelab.lab.targets import TARGETS, export
from routelab.strategies import Agreement, Cascade, Semantic

EXAMPLES = {"sums": {"models": ["a"], "examples": ["2 + 2?"]}, "songs": {"models": ["b"], "examples": ["sing!"]}}


def cascade(gate: Mapping[str, Any], **more: Any) -> RouteConfig:
    return RouteConfig(name="x", strategy=Cascade(order=("small", "own", "large"), gate=gate), **more)


@pytest.mark.parametrize("to", TARGETS)
@pytest.mark.parametrize(
    ("strategy", "message", "hint"),
    [
        (
            Agreement(ask=("a", "b"), then=("c",)),
            "strategy agreement: compares an answer with others before it decides whether to ask the next model",
            "to='routelab' keeps it as it is",
        ),
        (
            Cascade(order=("a", "b"), gate={"scorer": "nonempty"}),
            "strategy.gate: 'nonempty' looks at an answer before it decides whether to ask the next model; without it the first",
            "to='vllm-sr' has a gate on mean_logprob with one bar for all models",
        ),
        (
            Cascade(order=("a", "b"), gate={"scorer": "min_logprob", "at_least": 0.5}),
            "strategy.gate: 'min_logprob' looks at an answer",
            "to='routelab' keeps it",
        ),
        (
            Semantic(routes=EXAMPLES, default=("a",)),
            "strategy.embedder: a gateway's own embedding model sees other likenesses than minilm",
            "let callers say the route (rules with tasks: given)",
        ),
    ],
    ids=["agreement", "rule", "min", "semantic"],
)
def test_what_a_target_would_decide_otherwise_is_refused_with_the_part_and_what_to_do(
    strategy: Any, message: str, hint: str, to: str
) -> None:
    with pytest.raises(ConfigError) as trouble:
        export(RouteConfig(name="x", strategy=strategy), to=to)
    assert trouble.value.message.startswith(message)
    assert hint in str(trouble.value.hint)


@pytest.mark.parametrize("bar", [0.8, 0.055, 1.0])
def test_a_gate_on_the_mean_log_probability_becomes_the_routers_own(fleet: Fleet, bar: float) -> None:
    exported = export(cascade({"scorer": "mean_logprob", "at_least": bar}), to="vllm-sr", fleet=fleet)
    [decision] = yaml.safe_load(exported.text)["routing"]["decisions"]
    assert [ref["model"] for ref in decision["modelRefs"]] == ["small", "own", "large"]
    assert decision["algorithm"]["type"] == "confidence"
    assert decision["algorithm"]["confidence"] == {
        "confidence_method": "avg_logprob",
        "threshold": pytest.approx((math.log(bar) + 3) / 3),
        "escalation_order": "declared",
        "on_error": "skip",
    }
    assert "fallback" not in yaml.safe_load(exported.text)["routing"]
    assert not exported.exact
    assert {i.touches for i in exported.lossy if i.field == "strategy.gate"} == {"picks"}


@pytest.mark.parametrize("at_least", [{"small": 0.8, "own": 0.7}, 0.04], ids=["bars that differ", "no bar there"])
def test_bars_that_the_router_cannot_have_are_refused(fleet: Fleet, at_least: Any) -> None:
    with pytest.raises(ConfigError, match=r"strategy\.gate: 'mean_logprob' looks at an answer"):
        export(cascade({"scorer": "mean_logprob", "at_least": at_least}), to="vllm-sr", fleet=fleet)


def test_equal_bars_of_the_models_that_are_judged_are_one_bar(fleet: Fleet) -> None:
    one = export(cascade({"scorer": "mean_logprob", "at_least": 0.8}), to="vllm-sr", fleet=fleet)
    each = {"scorer": "mean_logprob", "at_least": {"small": 0.8, "own": 0.8}}
    other = export(cascade(each), to="vllm-sr", fleet=fleet)
    assert yaml.safe_load(one.text)["routing"] == yaml.safe_load(other.text)["routing"]


def test_fallbacks_behind_a_gate_are_named_as_lost(fleet: Fleet) -> None:
    config = cascade({"scorer": "mean_logprob", "at_least": 0.8})
    config = dataclasses.replace(config, fallbacks={"large": ["claude"]})
    exported = export(config, to="vllm-sr", fleet=fleet)
    [lost] = [i for i in exported.lossy if i.field == "fallbacks"]
    assert lost.written == "on_error: skip"
    assert "[picks] fallbacks: a model that fails is skipped" in exported.text


@pytest.mark.parity
def test_vllm_sr_takes_the_cascade(fleet: Fleet, real: Callable[[str], Path], tmp_path: Path) -> None:
    config = cascade({"scorer": "mean_logprob", "at_least": 0.8})
    exported, path = written(config, "vllm-sr", fleet, tmp_path)
    parity = verify(config, exported, path, prompts()[:50], fleet=fleet, python=real("vllmsr"))
    assert parity.ok, parity.table().text(width=300)
