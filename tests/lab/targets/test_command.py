"""`routelab export --to` another router."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from exported import FLEET, configs

from routelab.cli import main


def laid(folder: Path, *, fleet: bool = True) -> Path:
    """Lay a config, and a fleet beside it, and return the config's path."""
    if fleet:
        (folder / "fleet.yaml").write_text(yaml.safe_dump(FLEET))
    return configs()["given"].to_yaml(folder / "winner.yaml")


def test_the_fleet_beside_the_config_says_where_the_models_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "proxy.yaml"
    assert main(["export", str(laid(tmp_path)), "--to", "litellm", "-o", str(out)]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"wrote {out}\nlitellm: ")
    assert "limits.deadline_s" in said
    assert yaml.safe_load(out.read_text())["model_list"][0]["litellm_params"]["model"] == "openai/gpt-4.1-nano"


def test_without_a_fleet_the_losses_say_what_to_fill_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "proxy.yaml"
    assert main(["export", str(laid(tmp_path, fleet=False)), "--to", "litellm", "-o", str(out)]) == 0
    assert "ROUTELAB_MODEL_SMALL" in capsys.readouterr().out


def test_verify_without_the_real_program_says_how_to_get_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROUTELAB_LITELLM_PYTHON", raising=False)
    out = tmp_path / "proxy.yaml"
    assert main(["export", str(laid(tmp_path)), "--to", "litellm", "-o", str(out), "--verify"]) == 1
    said = capsys.readouterr().err
    assert "no Python with litellm is named" in said
    assert "pip install" in said


@pytest.mark.parity
def test_verify_exits_with_0_when_all_agrees_and_with_1_when_something_differs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], real: Callable[[str], Path]
) -> None:
    prompts = tmp_path / "prompts.csv"
    prompts.write_text('prompt_id,task,prompt\na,translation,"Translate: yes"\nb,poetry,"Ode"\n')
    command = ["--verify", "--python", str(real("litellm")), "--prompts", str(prompts)]
    out = tmp_path / "proxy.yaml"
    assert main(["export", str(laid(tmp_path)), "--to", "litellm", "-o", str(out), *command]) == 0
    assert "agrees with routelab" in capsys.readouterr().out
    # gpt-5 refuses a temperature: LiteLLM knows and does not ask it, routelab asks it and is told.
    fleet = {"routelab": 1, "models": {"small": {"provider": "openai", "upstream": "gpt-5-mini"}}}
    (tmp_path / "fleet.yaml").write_text(yaml.safe_dump(fleet))
    config = {
        "routelab": 1,
        "name": "warm",
        "models": ["small"],
        "strategy": {"kind": "fixed", "model": "small"},
        "prompt": {"temperature": 0.2},
    }
    (tmp_path / "winner.yaml").write_text(yaml.safe_dump(config))
    assert main(["export", str(tmp_path / "winner.yaml"), "--to", "litellm", "-o", str(out), *command]) == 1
    assert "UnsupportedParamsError" in capsys.readouterr().out
