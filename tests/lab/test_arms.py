"""A file of arms is as strict as a config: a swap, a hostile name or a stray key is one line with file and line."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from routelab.config import RouteConfig
from routelab.core.errors import ConfigError
from routelab.lab.arms import read_arms

FULL = """\
routelab: 1
arms:
  strong: gpt-5
  half:
    models: [a, b]
    strategy: {kind: split, weights: {a: 1, b: 1}, seed: 3}
    limits: {retries: 0}
    fallbacks: {a: [c]}
"""
SWAPS: tuple[Any, ...] = (
    None, True, 0, -1, 0.5, 2**70, "", "x", "no", [], ["x"], [None], [[]], {}, {"x": 1}, {"x": None}, {"strategy": 1}, {"name": "y"},
    [{"name": "y"}], [{"name": 3}], {"kind": "fixed", "model": "m"}, {"strategy": {"kind": "fixed", "model": "m"}},
)  # fmt: skip


def read(text: str, tmp_path: Path) -> dict[str, RouteConfig]:
    path = tmp_path / "arms.yaml"
    path.write_text(text, encoding="utf-8")
    return read_arms(path)


def places(value: Any, key: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if not isinstance(value, (dict, list)):
        return []
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    return [place for name, inner in pairs for place in ((*key, name), *places(inner, (*key, name)))]


def test_a_missing_key_or_a_value_of_another_type_is_nothing_worse_than_a_config_error(tmp_path: Path) -> None:
    valid = yaml.safe_load(FULL)
    for key in places(valid):
        for swap in ("delete", *SWAPS):
            values = copy.deepcopy(valid)
            place = values
            for part in key[:-1]:
                place = place[part]
            if swap == "delete":
                del place[key[-1]]
            else:
                place[key[-1]] = swap
            said, arms = "arms.yaml:1", dict[str, RouteConfig]()
            try:
                arms = read(json.dumps(values), tmp_path)
            except ConfigError as trouble:
                said = str(trouble).replace(f"{tmp_path}/", "")
            assert said.startswith("arms.yaml:1"), (key, swap)
            assert all(isinstance(c, RouteConfig) and c.name == name for name, c in arms.items())


@pytest.mark.parametrize(
    "name", ["no", "3.10", "012", "a\x85b", "it's", '"q"', "🙂", "a: b", "<b>", "../../x", "a.b", "x" * 500]
)
def test_arms_may_have_any_name(name: str, tmp_path: Path) -> None:
    text = yaml.safe_dump({"arms": {name: {"strategy": {"kind": "fixed", "model": name}}}}, allow_unicode=False)
    assert read(text, tmp_path) == {name: RouteConfig(name=name, strategy={"kind": "fixed", "model": name})}


def test_a_complaint_about_an_arm_points_into_the_file_of_arms(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(FULL.replace("retries: 0", "retires: 0"), tmp_path)
    assert (
        str(caught.value).replace(f"{tmp_path}/", "")
        == "arms.yaml:7: limits.retires: unknown key; did you mean 'retries'?"
    )
    with pytest.raises(ConfigError) as caught:
        read(FULL.replace("  half:", "  strong:"), tmp_path)
    assert "arms.yaml:4: arms.strong: given twice (first on line 3)" in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"arms\.yaml: there is no such file"):
        read_arms(tmp_path / "arms.yaml")
