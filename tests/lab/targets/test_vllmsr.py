"""Files for vLLM Semantic Router, and our reading of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from exported import TABLE, configs
from hypothesis import given
from hypothesis import strategies as st

from routelab import Dataset, Fleet, Prompt, RouteConfig
from routelab.core.errors import ConfigError
from routelab.lab.targets import export
from routelab.lab.targets.reading import candidates
from routelab.lab.targets.vllmsr import ways
from routelab.strategies import Rules
from routelab.strategies.rules import recognise

GOLDEN = Path(__file__).parent / "golden"
TABLES = ("fixed", "given", "auto", "detect", "remembered", "alike")
WORDS = [
    "translate",
    "in French",
    "summarize",
    "review",
    "this function",
    "```",
    "who",
    "capital of",
    "write a function",
    "study",
    "x",
]


@pytest.mark.parametrize("name", TABLES)
def test_a_file_is_the_one_that_was_read_by_a_person(name: str, fleet: Fleet, regenerate: bool) -> None:
    path = GOLDEN / f"{name}.vllm-sr.yaml"
    text = export(configs()[name], to="vllm-sr", fleet=fleet).text
    if regenerate:
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("name", ["split", "random"])
def test_a_draw_is_refused_and_the_other_target_named(name: str, fleet: Fleet) -> None:
    with pytest.raises(ConfigError, match="it cannot draw") as trouble:
        export(configs()[name], to="vllm-sr", fleet=fleet)
    assert "litellm" in str(trouble.value.hint)


def test_no_key_and_no_header_value_is_in_a_file(fleet: Fleet) -> None:
    config = RouteConfig(name="a", models=["far"], strategy={"kind": "fixed", "model": "far"})
    exported = export(config, to="vllm-sr", fleet=fleet)
    assert "not-for-files" not in exported.text
    [model] = yaml.safe_load(exported.text)["providers"]["models"]
    assert model["backend_refs"] == [
        {
            "name": "own",
            "weight": 100,
            "provider": "openai-compatible",
            "base_url": "https://gateway.example/v1",
            "api_key_env": "GATEWAY_KEY",
        }
    ]


def test_the_ways_to_win_decide_as_the_recogniser_counts() -> None:
    rules = Rules()
    for prompt in Dataset.load("workbench").prompts:
        assert _first_way(rules, prompt.text) == recognise(prompt.text)[0]


@given(st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join))
def test_the_ways_to_win_decide_as_the_recogniser_counts_on_any_mixture(text: str) -> None:
    assert _first_way(Rules(), text) == recognise(text)[0]


def _first_way(rules: Rules, text: str) -> str | None:
    flags = re.IGNORECASE | re.MULTILINE
    return next((t for _, t, _, chosen in ways(rules) if all(re.search(p, text, flags) for p in chosen)), None)


@pytest.mark.parametrize("name", ["given", "auto", "detect"])
def test_a_file_read_back_names_the_same_models_as_the_strategy(name: str, fleet: Fleet) -> None:
    config = configs()[name]
    values = yaml.safe_load(export(config, to="vllm-sr", fleet=fleet).text)
    strategy = config.ranking
    assert isinstance(strategy, Rules)
    for prompt in Dataset.load("workbench").prompts[::5]:
        task, _ = strategy.task(prompt)
        first = dict(strategy.table).get(task or "", strategy.default)[0]
        assert candidates(values, prompt)[0] == first


def test_a_task_without_a_row_gets_the_default_even_if_the_text_says_otherwise(fleet: Fleet) -> None:
    values = yaml.safe_load(export(configs()["auto"], to="vllm-sr", fleet=fleet).text)
    text = "Translate into German: good morning"
    assert candidates(values, Prompt.of(text))[0] == TABLE["translation"][0]
    assert candidates(values, Prompt.of(text, task="poetry"))[0] == "large"


@pytest.mark.parametrize("pattern", [r"a(?=b)", r"(?<!a)b", r"(a)\1", r"a++"])
def test_patterns_that_are_not_re2_are_not_written_and_said(pattern: str) -> None:
    config = RouteConfig(
        name="a", strategy={"kind": "rules", "table": {"t": ["m"]}, "default": ["n"], "patterns": {"t": [pattern]}}
    )
    exported = export(config, to="vllm-sr")
    assert "keywords" not in yaml.safe_load(exported.text)["routing"].get("signals", {})
    assert ("strategy.patterns", "picks") in [(i.field, i.touches) for i in exported.lossy]


def test_too_many_ways_to_win_are_not_written_and_said() -> None:
    patterns = {"t": [f"word{i}" for i in range(12)]}
    config = RouteConfig(
        name="a", strategy={"kind": "rules", "table": {"t": ["m"]}, "default": ["n"], "patterns": patterns}
    )
    exported = export(config, to="vllm-sr")
    assert "keywords" not in yaml.safe_load(exported.text)["routing"].get("signals", {})
    assert not exported.exact


def test_tasks_with_similar_names_keep_signals_apart(fleet: Fleet) -> None:
    config = RouteConfig(
        name="a",
        strategy={"kind": "rules", "table": {"a b": ["small"], "a-b": ["large"], "a_b": ["own"]}, "tasks": "given"},
    )
    values = yaml.safe_load(export(config, to="vllm-sr", fleet=fleet).text)
    names = [signal["name"] for signal in values["routing"]["signals"]["metadata"]]
    assert len(set(names)) == 3
    assert [candidates(values, Prompt.of("x", task=t))[0] for t in ("a b", "a-b", "a_b")] == ["small", "large", "own"]


def test_unknown_targets_are_named_with_the_nearest() -> None:
    config = RouteConfig(name="a", models=["m"], strategy={"kind": "fixed", "model": "m"})
    with pytest.raises(ConfigError, match="did you mean 'litellm'"):
        export(config, to="litelm")
