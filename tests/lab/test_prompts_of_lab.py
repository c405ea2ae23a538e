"""A lab's prompt library: the log, the folder, and what calls used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from routelab.config import RouteConfig
from routelab.core.errors import ConfigError
from routelab.lab.prompts import Prompts
from routelab.lab.session import Lab
from routelab.prompting import Template
from routelab.testing import Scripted, fleet


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab(fleet=fleet({"good": Scripted("yes")})) as made:
        yield made


def test_a_template_is_kept_in_the_log_and_in_the_folder_if_there_is_one(lab: Lab, tmp_path: Path) -> None:
    prompts = Prompts(lab=lab, folder=tmp_path / "prompts")
    one = prompts.add({"name": "ask", "user": "{{ question }}!"}, note="first")
    assert (one.reference, one.note) == ("ask@1", "first")
    assert not prompts.folder.exists()
    prompts.folder.mkdir()
    two = prompts.add(Template(user="{{ question }}?"), name="ask")
    assert two.reference == "ask@2"
    assert [p.name for p in prompts.folder.iterdir()] == ["ask@2.yaml"]
    assert prompts.get("ask") == two
    assert prompts.get("ask@1") == one
    assert prompts.names() == ["ask", "cot", "json", "plain", "qa"]


def test_a_folder_is_made_on_demand_and_then_has_the_say(lab: Lab, tmp_path: Path) -> None:
    prompts = Prompts(lab=lab, folder=tmp_path / "prompts")
    prompts.add({"name": "ask", "user": "{{ question }}!"}, file=True)
    assert (prompts.folder / "ask@1.yaml").is_file()
    with pytest.raises(ConfigError, match="a new one belongs there"):
        prompts.add({"name": "ask", "user": "{{ question }}?"}, file=False)


def test_what_is_no_template_is_refused(lab: Lab, tmp_path: Path) -> None:
    prompts = Prompts(lab=lab, folder=tmp_path)
    with pytest.raises(ConfigError, match=r"template: user: line 1: \{\{ qestion \}\} is not defined; did you mean"):
        prompts.add({"name": "ask", "user": "{{ qestion }}"})
    with pytest.raises(ConfigError, match="template: name: 'A b' is none"):
        prompts.add(Template(), name="A b")


def test_a_config_asks_with_a_template_of_the_log(lab: Lab, tmp_path: Path) -> None:
    Prompts(lab=lab, folder=tmp_path).add({"name": "shout", "user": "{{ question }}!"})
    config = RouteConfig(name="a", strategy={"kind": "fixed", "model": "good"}, prompt={"template": "shout"})
    answer = lab.router(config).route("Why?")
    assert [m.content for m in answer.run.messages] == ["Why?!"]
    provider = lab.fleet.endpoint("good").provider
    assert isinstance(provider, Scripted)
    assert provider.requests[0].messages[-1].content == "Why?!"
    assert Prompts(lab=lab, folder=tmp_path).used()["shout@1"].calls == 1


def test_versions_are_told_apart(lab: Lab, tmp_path: Path) -> None:
    prompts = Prompts(lab=lab, folder=tmp_path)
    assert prompts.diff("plain", prompts.get("cot")).title == "plain@1 → cot@1: +27 words"


def test_the_library_shows_itself(lab: Lab, tmp_path: Path) -> None:
    prompts = Prompts(lab=lab, folder=tmp_path)
    prompts.add({"name": "ask", "user": "{{ question }}! <b>"}, note="<i>loud</i>")
    rows = {row[0]: row for row in prompts.table().rows}
    assert list(rows) == ["ask@1", "cot@1", "json@1", "plain@1", "qa@1"]
    assert rows["ask@1"][3:] == (f"{tmp_path}, log", "0", "–", "–", "<i>loud</i>")
    assert rows["plain@1"][2:4] == ("–", "routelab")
    assert "<i>" not in prompts._repr_mimebundle_()["text/html"]
    assert repr(prompts).startswith("templates\n")
