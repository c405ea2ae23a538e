"""Losses as values, and files written whole or not at all."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from routelab import CacheConfig, Limits, PromptConfig, RouteConfig
from routelab.core.errors import ConfigError
from routelab.lab.export import write_config
from routelab.lab.targets import Exported, Lossy, export, lossy_table
from routelab.lab.targets.lossy import KNOWN, everywhere

PICKS = Lossy(field="a", touches="picks", why="b", written="c")
COST = Lossy(field="d", touches="cost", why="e", written="f")


def test_losses_of_picks_come_first_and_nothing_lost_is_said() -> None:
    assert [row[0] for row in lossy_table([COST, PICKS], to="litellm").rows] == ["picks", "cost"]
    assert lossy_table([], to="litellm").caption == "litellm: nothing was lost"


def test_an_export_is_exact_unless_picks_are_touched() -> None:
    assert Exported(to="x", text="", lossy=(COST,)).exact
    assert not Exported(to="x", text="", lossy=(COST, PICKS)).exact


def test_a_head_goes_above_the_file_as_comments() -> None:
    assert Exported(to="x", text="a: 1\n").under("one\n\ntwo").text == "# one\n#\n# two\na: 1\n"


def test_what_belongs_beside_the_file_is_written_beside_it(tmp_path: Path) -> None:
    exported = Exported(to="x", text="a: 1\n", files={"b.py": "c = 1\n"})
    assert exported.write(tmp_path / "out.yaml") == tmp_path / "out.yaml"
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"out.yaml": "a: 1\n", "b.py": "c = 1\n"}


def test_a_folder_that_is_not_there_is_said_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        Exported(to="x", text="").write(tmp_path / "no" / "out.yaml")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("to", ["litellm", "vllm-sr"])
def test_write_config_writes_what_export_returns(to: str, tmp_path: Path) -> None:
    config = RouteConfig(name="a", models=["m"], strategy={"kind": "fixed", "model": "m"})
    path = write_config(config, tmp_path / "out.yaml", to=to)
    assert path.read_text() == export(config, to=to).text


def test_exports_know_no_key_that_a_config_has_not() -> None:
    sections = {"cache": CacheConfig, "prompt": PromptConfig, "limits": Limits}
    fields = {f"{name}.{f.name}" for name, cls in sections.items() for f in dataclasses.fields(cls)}
    assert {key for key in KNOWN if "." in key} <= fields


def test_a_key_that_exports_do_not_know_is_named_as_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    config = RouteConfig(name="a", models=["m"], strategy={"kind": "fixed", "model": "m"})
    monkeypatch.setattr(
        RouteConfig,
        "to_mapping",
        lambda self: {"routelab": 1, "name": "a", "context": {"keep": 3}, "cache": {"elsewhere": 1}},
    )
    assert [i.field for i in everywhere(config, []) if i.why.startswith("exports do not know")] == [
        "context",
        "cache.elsewhere",
    ]
