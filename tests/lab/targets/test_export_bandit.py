"""A bandit is exported as the shares that it has learned, and the file says that they stay as they are."""

from __future__ import annotations

import dataclasses

import pytest
import yaml

from routelab import Fleet, RouteConfig
from routelab.core.errors import ConfigError
from routelab.core.values import Prompt
from routelab.lab.targets import export
from routelab.strategies import Bandit
from routelab.strategies.bandit import Seen

MODELS = ("small", "large", "own")


def learned(algorithm: str = "thompson") -> RouteConfig:
    outcomes = [
        Seen(prompt=Prompt.of(f"question {i}"), model=MODELS[i % 3], quality=float(i % 3 == 1 or i % 2 == 0))
        for i in range(90)
    ]
    return RouteConfig(name="b", models=MODELS, strategy=Bandit(algorithm=algorithm).update(outcomes))  # type: ignore[arg-type]


@pytest.mark.parametrize("algorithm", ["thompson", "track"])
def test_what_a_bandit_has_learned_becomes_weights_and_the_file_says_that_it_learns_no_more(
    fleet: Fleet, algorithm: str
) -> None:
    config = learned(algorithm)
    exported = export(config, to="litellm", fleet=fleet)
    weights = {
        row["model_info"]["routelab"]["model"]: row["litellm_params"]["weight"]
        for row in yaml.safe_load(exported.text)["model_list"]
        if row["model_name"] == "route"
    }
    roster = fleet.roster(MODELS)
    chances = config.ranking.chances([Prompt.of("x")], roster)[0]  # type: ignore[attr-defined]
    assert weights == pytest.approx(dict(zip(MODELS, chances.tolist(), strict=True)), abs=1e-6)
    assert abs(sum(weights.values()) - 1) < 1e-6
    lost = {item.field: item for item in exported.lossy}
    assert lost["strategy.learned"].touches == "picks"
    assert "after 90 outcomes" in lost["strategy.learned"].written
    assert not exported.exact


def test_who_is_asked_after_a_drawn_model_is_the_bandits_own_order(fleet: Fleet) -> None:
    config = learned()
    pair = dataclasses.replace(config, models=("small", "large"))
    exported = yaml.safe_load(export(pair, to="litellm", fleet=fleet).text)
    assert exported["router_settings"]["enable_weighted_failover"] is True


def test_a_bandit_that_looks_at_the_prompt_is_refused(fleet: Fleet) -> None:
    with pytest.raises(ConfigError, match="decides by more than a prompt's task"):
        export(learned("linucb"), to="litellm", fleet=fleet)


def test_vllm_sr_cannot_draw(fleet: Fleet) -> None:
    with pytest.raises(ConfigError, match="it cannot draw"):
        export(learned(), to="vllm-sr", fleet=fleet)
