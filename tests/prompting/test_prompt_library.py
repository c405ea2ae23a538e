"""The library: names, versions that never change, files and the log."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab import strict
from routelab.core.errors import ConfigError
from routelab.prompting import Library, Template, Turns, template_of
from routelab.prompting.written import filed, written
from routelab.store import Log

FIRST, SECOND = Template(name="ask", user="{{ question }}"), Template(name="ask", user="{{ question }}!")


@pytest.fixture
def log(tmp_path: Path) -> Any:
    with Log(tmp_path / "log.duckdb") as made:
        yield made


def references(library: Library, name: str = "ask") -> list[str]:
    return [v.template.reference for v in library.versions(name)]


def test_a_version_is_new_only_where_its_content_is(tmp_path: Path) -> None:
    library = Library(folders=(tmp_path / "prompts",))
    one = library.add(FIRST, note="the first")
    two = library.add(SECOND)
    assert (one, two) == (
        dataclasses.replace(FIRST, version=1, note="the first"),
        dataclasses.replace(SECOND, version=2),
    )
    assert library.add(dataclasses.replace(FIRST, note="again")) == one
    assert [p.name for p in sorted((tmp_path / "prompts").iterdir())] == ["ask@1.yaml", "ask@2.yaml"]
    assert library.get("ask") == library.get("ask@2") == two
    assert library.get("ask@1") == library.get(f"ask@sha:{one.sha256[:6]}") == one


def test_a_file_and_the_log_have_one_numbering(tmp_path: Path, log: Log) -> None:
    files = Library(folders=(tmp_path / "prompts",))
    files.add(FIRST)
    files.add(SECOND)
    both = dataclasses.replace(files, log=log)
    three = both.add(dataclasses.replace(FIRST, user="{{ question }}?"), note="asks")
    assert [(kept.name, kept.version, kept.sha256) for kept in log.templates("ask")] == [
        ("ask", 1, FIRST.sha256),
        ("ask", 2, SECOND.sha256),
        ("ask", 3, three.sha256),
    ]
    assert Library(log=log).get("ask@3") == Library(folders=files.folders).get("ask@3") == three
    assert [v.sources for v in both.versions("ask")] == [(str(tmp_path / "prompts"), "log")] * 3


def test_a_new_version_of_what_comes_with_routelab_counts_on(log: Log) -> None:
    library = Library(log=log)
    assert library.add(Template(name="plain", user="{{ question }}!")).reference == "plain@2"
    assert [(v.template.reference, v.sources) for v in library.versions("plain")] == [
        ("plain@1", ("routelab", "log")),
        ("plain@2", ("log",)),
    ]


def test_a_log_that_numbered_otherwise_is_not_written_over(tmp_path: Path, log: Log) -> None:
    log.add_template("ask", SECOND.content)
    files = Library(folders=(tmp_path,))
    files.add(FIRST)
    both = Library(folders=(tmp_path,), log=log)
    assert references(both) == ["ask@1", "ask@1"]
    with pytest.raises(ConfigError, match=r"ask@1 stands for two templates: ask@sha:"):
        both.get("ask@1")
    assert both.get(f"ask@sha:{FIRST.short}").sha256 == FIRST.sha256
    with pytest.raises(ConfigError, match=r"ask@1 is number 2 in the log"):
        both.add(dataclasses.replace(FIRST, user="{{ question }}?"))


def test_a_file_that_was_edited_is_an_error_that_names_file_and_line(tmp_path: Path) -> None:
    library = Library(folders=(tmp_path,))
    library.add(FIRST)
    path = tmp_path / "ask@1.yaml"
    path.write_text(path.read_text().replace("{{ question }}", "{{ question }}."))
    with pytest.raises(ConfigError, match=rf"{path}:\d+: sha256: ask does not say what it did") as trouble:
        library.get("ask@1")
    assert trouble.value.hint is not None
    assert library.names() == [*Library().names()][:0] + sorted([*Library().names(), "ask"])


def test_a_file_is_read_line_by_line(tmp_path: Path) -> None:
    template = Template(
        name="ask", system="Be brief.\n\n  - two sentences", user="{{ question }}\nNow.", example=Turns()
    )
    kept = Library(folders=(tmp_path,)).add(template, note="shorter: much")
    assert (tmp_path / "ask@1.yaml").read_text().splitlines() == [
        "# A version of a template: it is not edited, the next one is added.",
        "name: ask",
        "version: 1",
        f"sha256: {kept.sha256}",
        "note: 'shorter: much'",
        "system: |-",
        "  Be brief.",
        "",
        "    - two sentences",
        "user: |-",
        "  {{ question }}",
        "  Now.",
        "example:",
        "  assistant: '{{ answer }}'",
    ]
    assert Library(folders=(tmp_path,)).get("ask") == kept


@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="{}%#"), max_size=40))
def test_whatever_a_template_says_its_file_says_it_again(text: str) -> None:
    template = Template(name="ask", version=1, system=text, user=f"{text}{{{{ question }}}}\n {text}.", note=text[:5])
    doc = strict.parse(filed(template), name="ask@1.yaml")
    assert written(doc.values, doc) == template


def test_a_file_may_be_written_by_hand(tmp_path: Path) -> None:
    (tmp_path / "ask@4.yaml").write_text('user: "{{ question }}"\n')
    assert Library(folders=(tmp_path,)).get("ask") == dataclasses.replace(FIRST, version=4)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('name: other\nuser: "{{ question }}"\n', "says that it is other@4"),
        ('version: 5\nuser: "{{ question }}"\n', "says that it is ask@5"),
        ("user: >\n  {{ qestion }}\n", "ask@4.yaml:1: user: line 1: {{ qestion }} is not defined"),
        ("usr: a\n", "ask@4.yaml:1: usr: unknown key; did you mean 'user'?"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "ask@4.yaml").write_text(text)
    with pytest.raises(ConfigError) as trouble:
        Library(folders=(tmp_path,)).get("ask")
    assert said in trouble.value.message


def test_other_files_in_the_folder_are_no_templates(tmp_path: Path) -> None:
    for name in ("README.md", "ask.yaml", "ask@x.yaml", "ask@1.yml", "ask@01.yaml"):
        (tmp_path / name).write_text("nothing")
    assert Library(folders=(tmp_path,), builtin=False).names() == []


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("aks", "there is no template 'aks'; did you mean 'ask'?"),
        ("nothing", "there is no template 'nothing'"),
        ("ask@3", "there is no ask@3"),
        ("ask@0", "'ask@0' names no template"),
        ("ask@sha:12345", "ask@sha:12345: at least 6 digits of the hash are needed"),
        ("ask@sha:000000", "ask@sha:000000: no version has this hash"),
        ("ask@sha:XYZXYZ", "'ask@sha:XYZXYZ' names no template"),
        ("@1", "'@1' names no template"),
        ("", "'' names no template"),
    ],
)
def test_a_reference_to_nothing_says_what_there_is(tmp_path: Path, reference: str, said: str) -> None:
    library = Library(folders=(tmp_path,), builtin=False)
    library.add(FIRST)
    with pytest.raises(ConfigError) as trouble:
        library.get(reference)
    assert trouble.value.message == said
    assert "did you mean" in said or trouble.value.hint is not None or "digits" in said


def test_there_must_be_somewhere_to_keep_a_template() -> None:
    with pytest.raises(ConfigError, match="nowhere to keep ask"):
        Library().add(FIRST)


def test_a_reference_in_a_file_is_looked_up_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Library(folders=(tmp_path / "prompts",)).add(SECOND)
    (tmp_path / "route.yaml").write_text("prompt:\n  template: ask\n")
    doc = strict.read(tmp_path / "route.yaml")
    assert template_of("ask", doc).reference == "ask@1"
    with pytest.raises(ConfigError, match=r"route.yaml:2: prompt.template: there is no ask@2"):
        template_of("ask@2", doc)
    monkeypatch.chdir(tmp_path)
    assert template_of("ask").reference == "ask@1"


class Racing:
    """A log in which somebody else adds a version between the look and the adding."""

    def add_template(self, name: str, content: Mapping[str, Any], note: str = "") -> int:
        return 2

    def templates(self, name: str | None = None) -> list[Any]:
        return []


def test_a_number_that_somebody_else_got_is_not_used_twice(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ask@1 is number 2 in the log"):
        Library(folders=(tmp_path,), log=Racing()).add(FIRST)
    assert list(tmp_path.iterdir()) == []


def test_a_version_in_the_log_is_dated(log: Log) -> None:
    Library(log=log).add(FIRST)
    assert isinstance(Library(log=log).versions("ask")[0].added_at, datetime)
