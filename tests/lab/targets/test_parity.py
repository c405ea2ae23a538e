"""Exported files in the real programs. The tests marked `parity` need ROUTELAB_PARITY_ENVS; the others need nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from exported import configs, prompts, written
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from routelab import Fleet, Prompt
from routelab.core.errors import ConfigError
from routelab.lab.parity import Check, Disagreement, Parity, python_of, verify
from routelab.lab.targets import endpoints_of
from routelab.lab.targets.agreement import clopper_pearson
from routelab.lab.targets.ours import Question, ours

# Our side


def test_our_side_asks_again_then_falls_back(fleet: Fleet) -> None:
    config = configs()["fixed"]
    endpoints = endpoints_of(config, fleet)
    prompt = Prompt.of("hello")
    cases = {
        "none": ({}, ("small",)),
        "may pass": ({"small": "server"}, ("small", "small", "large")),
        "will not pass": ({"small": "auth"}, ("small", "large")),
        "two": ({"small": "auth", "large": "rate_limited"}, ("small", "large", "large", "own")),
        "all": ({"small": "auth", "large": "context", "own": "not_found"}, ("small", "large", "own")),
    }
    questions = [Question(prompt=prompt, called="route", fail=fail) for fail, _ in cases.values()]
    assert ours(config, endpoints, questions) == [wanted for _, wanted in cases.values()]


@given(k=st.integers(0, 60), n=st.integers(1, 60))
def test_the_interval_is_the_exact_binomial_one(k: int, n: int) -> None:
    k = min(k, n)
    low, high = clopper_pearson(k, n, level=0.9)
    assert 0 <= low <= k / n <= high <= 1
    if k > 0:
        assert binom.sf(k - 1, n, low) == pytest.approx(0.05, abs=1e-9)
    if k < n:
        assert binom.cdf(k, n, high) == pytest.approx(0.05, abs=1e-9)


def test_nothing_compared_is_not_agreement() -> None:
    assert not Check(name="a", n=0, agreed=0).ok
    assert not Parity(target="litellm", version="1", checks=()).ok


def test_a_disagreement_is_shown_with_both_sides() -> None:
    check = Check(name="a", n=2, agreed=1, disagreements=(Disagreement(prompt_id="p", ours="x", theirs="y"),))
    shown = Parity(target="litellm", version="1", checks=(check,)).table()
    assert "does not agree" in shown.caption
    assert "a: p: ours x; theirs y" in shown.notes


def test_no_python_named_says_how_to_make_one() -> None:
    with pytest.raises(ConfigError) as trouble:
        python_of("litellm", None, {})
    assert "pip install 'litellm[proxy]==1.106.2'" in str(trouble.value.hint)


def test_a_python_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no"):
        python_of("vllm-sr", tmp_path / "python", {})


def test_a_python_without_the_program_is_said(fleet: Fleet, tmp_path: Path) -> None:
    config = configs()["given"]
    for to in ("litellm", "vllm-sr"):
        exported, path = written(config, to, fleet, tmp_path)
        with pytest.raises(ConfigError, match="--verify"):
            verify(config, exported, path, prompts()[:1], fleet=fleet, python=sys.executable)


# The real programs; `test_proxy.py` has the ones that take long.


@pytest.mark.parity
def test_a_changed_file_is_found_out(fleet: Fleet, real: Callable[[str], Path], tmp_path: Path) -> None:
    config = configs()["given"]
    exported, path = written(config, "litellm", fleet, tmp_path)
    values = yaml.safe_load(path.read_text())
    for row in values["model_list"]:
        if row["model_name"] == "route/translation":
            row["litellm_params"]["model"] = "openai/gpt-4.1"
            row["model_info"]["routelab"]["model"] = "large"
    values["router_settings"]["num_retries"] = 0
    values["router_settings"]["typo_retries"] = 1
    path.write_text(yaml.safe_dump(values))
    parity = verify(config, exported, path, prompts()[:100], fleet=fleet, python=real("litellm"))
    by_name = {check.name: check for check in parity.checks}
    wrong = {d.prompt_id.split("/")[0] for d in by_name["who is asked"].disagreements}
    assert wrong == {"translation"}
    assert not by_name["who is asked when models fail"].ok
    assert "LiteLLM ignores: typo_retries" in parity.notes


@pytest.mark.parity
def test_wrong_shares_are_found_out(fleet: Fleet, real: Callable[[str], Path], tmp_path: Path) -> None:
    config = configs()["split"]
    exported, path = written(config, "litellm", fleet, tmp_path)
    path.write_text(exported.text.replace("weight: 0.75", "weight: 0.1"))
    parity = verify(config, exported, path, prompts()[:100], fleet=fleet, python=real("litellm"))
    assert not all(check.ok for check in parity.checks if check.wanted is not None)


@pytest.mark.parity
@pytest.mark.parametrize("name", ["fixed", "given", "auto", "detect", "remembered", "alike"])
def test_vllm_sr_takes_the_file(name: str, fleet: Fleet, real: Callable[[str], Path], tmp_path: Path) -> None:
    config = configs()[name]
    exported, path = written(config, "vllm-sr", fleet, tmp_path)
    parity = verify(config, exported, path, prompts(), fleet=fleet, python=real("vllmsr"))
    assert parity.ok, parity.table().text(width=300)
    assert parity.version == "0.4.0"


@pytest.mark.parity
def test_vllm_sr_refuses_a_file_that_names_an_unknown_model(
    fleet: Fleet, real: Callable[[str], Path], tmp_path: Path
) -> None:
    config = configs()["given"]
    exported, path = written(config, "vllm-sr", fleet, tmp_path)
    values = yaml.safe_load(path.read_text())
    values["routing"]["decisions"][0]["modelRefs"][0]["model"] = "nobody"
    path.write_text(yaml.safe_dump(values))
    parity = verify(config, exported, path, prompts()[:5], fleet=fleet, python=real("vllmsr"))
    [check] = [c for c in parity.checks if c.name == "vllm-sr config validate"]
    assert not check.ok
    assert "nobody" in check.disagreements[0].theirs
