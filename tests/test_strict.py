"""The door for YAML: no surprise gets in, and every complaint says where."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routelab import strict
from routelab.core.errors import ConfigError


def refused(text: str | bytes, tmp_path: Path) -> str:
    """Return the complaint about a file's content, with the folder taken out."""
    path = tmp_path / "a.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ConfigError) as caught:
        strict.read(path)
    return str(caught.value).replace(f"{tmp_path}/", "")


BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        # keys
        ("a: 1\nb: 2\na: 3\n", "a.yaml:3: a: given twice (first on line 1)"),
        ("x:\n  a: 1\n  'a': 2\n", "a.yaml:3: x.a: given twice (first on line 2)"),
        ("x: {a: 1, a: 1}\n", "a.yaml:1: x.a: given twice (first on line 1)"),
        ("? [a, b]\n: 1\n", "a.yaml:1: a key must be a plain name"),
        # anchors, aliases, tags
        ("a: &x [1]\nb: *x\n", "a.yaml:1: b: anchors and aliases (&, *) are not allowed"),
        (BOMB, "a.yaml:1: b.0: anchors and aliases (&, *) are not allowed"),
        ("a: &x {b: *x}\n", "a.yaml:1: a.b: anchors and aliases (&, *) are not allowed"),
        ("a: &x b\n*x : c\n", "a.yaml:1: a key must not be an alias"),
        ("a: &x {k: 1}\nb:\n  <<: *x\n", "a.yaml:1: b.<<: anchors and aliases (&, *) are not allowed"),
        ("a: !!python/object/apply:os.system [ls]\n", "tag:yaml.org,2002:python/object/apply:os.system is not allowed"),
        ("a: !!python/name:os.system ''\n", "a.yaml:1: a: the tag tag:yaml.org,2002:python/name:os.system is not allowed"),
        ("a: 1\nb: !!int '3'\n", "a.yaml:2: b: the tag tag:yaml.org,2002:int is not allowed"),
        ("a: !!python/object:x.Y {b: 1}\n", "a.yaml:1: a: the tag tag:yaml.org,2002:python/object:x.Y is not allowed"),
        ("!!python/object:x.Y {b: 1}\n", "a.yaml:1: the tag tag:yaml.org,2002:python/object:x.Y is not allowed"),
        ("!!python/name:os.system a: 1\n", "a.yaml:1: the tag tag:yaml.org,2002:python/name:os.system is not allowed"),
        ("a: !!str 3\n", "a.yaml:1: a: the tag tag:yaml.org,2002:str is not allowed"),
        ("a: !!str true\n", "a.yaml:1: a: the tag tag:yaml.org,2002:str is not allowed"),
        ("a: !env KEY\n", "a.yaml:1: a: the tag !env is not allowed"),
        ("a: !!binary aGk=\n", "a.yaml:1: a: the tag tag:yaml.org,2002:binary is not allowed"),
        ("a: !!set {x, y}\n", "a.yaml:1: a: the tag tag:yaml.org,2002:set is not allowed"),
        # words and numbers that mean different things in different tools
        ("a: no\n", "a.yaml:1: a: `no` could mean a word or a truth value"),
        ("a:\n  - Yes\n", "a.yaml:2: a.0: `Yes` could mean a word or a truth value"),
        ("a: [on]\n", "a.yaml:1: a.0: `on` could mean a word or a truth value"),
        ("a: True\n", "a.yaml:1: a: `True` could mean a word or a truth value"),
        ("a: 012\n", "a.yaml:1: a: `012` reads as different numbers in different tools"),
        ("a: 12:30:45\n", "a.yaml:1: a: `12:30:45` reads as different numbers in different tools"),
        ("a: 1_000\n", "a.yaml:1: a: `1_000` reads as different numbers in different tools"),
        ("a: 0x1F\n", "a.yaml:1: a: `0x1F` reads as different numbers in different tools"),
        ("a: .nan\n", "a.yaml:1: a: `.nan` reads as different numbers in different tools"),
        ("a: -.inf\n", "a.yaml:1: a: `-.inf` reads as different numbers in different tools"),
        ("a: 1e999\n", "a.yaml:1: a: the number is too large"),
        ("a: " + "9" * 5000 + "\n", "a.yaml:1: a: the number is too large"),
        ("a: NULL\n", "a.yaml:1: a: the tag tag:yaml.org,2002:null is not allowed"),
        ("a: =\n", "a.yaml:1: a: the tag tag:yaml.org,2002:value is not allowed"),
        # form
        ("a: 1\n\tb: 2\n", "a.yaml:2: not YAML: found character '\\t' that cannot start any token"),
        ("a: [1, 2\nb: 3\n", "a.yaml:2: not YAML: "),
        ("a: 1\nb: \x00\n", "a.yaml:2: not YAML: unacceptable character #x0000"),
        ("a: 1\nb: '\x1b[31m'\n", "a.yaml:2: not YAML: unacceptable character #x001b"),
        ("a: 1\n---\nb: 2\n", "a.yaml:2: not YAML: but found another document"),
        ("- a\n- b\n", "a.yaml:1: the top level must be `key: value` lines"),
        ("just text\n", "a.yaml:1: the top level must be `key: value` lines"),
        ("", "a.yaml: the file is empty"),
        ("# only a comment\n", "a.yaml: the file is empty"),
        ("a: 1\nb: " + "[" * 60 + "]" * 60 + "\n", "a.yaml:2: nested more than 50 levels deep"),
        ("a: " + "[" * 10_000 + "]" * 10_000 + "\n", "a.yaml: nested more than 50 levels deep"),
        ("".join(" " * i + "k:\n" for i in range(60)), "a.yaml:52: nested more than 50 levels deep"),
        # bytes
        (b"a: 1\nb: \xff\n", "a.yaml:2: byte 8 is not UTF-8"),
        ("a: é\n".encode("latin-1"), "a.yaml:1: byte 3 is not UTF-8"),
        ("a: 1\n".encode("utf-16"), "a.yaml:1: byte 0 is not UTF-8"),
        (b"a: \xed\xa0\x80\n", "a.yaml:1: byte 3 is not UTF-8"),
        (b"a: " + b"x" * 1_000_000, "a.yaml: 1,000,003 bytes is more than a configuration may have (1,000,000)"),
    ],
)  # fmt: skip
def test_a_surprise_is_refused_with_its_file_and_line(text: str | bytes, complaint: str, tmp_path: Path) -> None:
    assert complaint in refused(text, tmp_path)


def test_a_bomb_of_fifty_megabytes_is_not_even_parsed(tmp_path: Path) -> None:
    assert "52,428,800 bytes is more than" in refused(b"a" * 52_428_800, tmp_path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1", 1),
        ("a: -7", -7),
        ("a: 123456789012345678901234", 123456789012345678901234),
        ("a: -9223372036854775808", -(2**63)),
        ("a: 1.5", 1.5),
        ("a: .5", 0.5),
        ("a: 5.", 5.0),
        ("a: 1e3", 1000.0),
        ("a: true", True),
        ("a: false", False),
        ("a:", None),
        ("a: null", None),
        ("a: ~", None),
        ("a: 2024-01-01", "2024-01-01"),
        ("a: 'no'", "no"),
        ('a: "012"', "012"),
        ("a: y", "y"),
        ("a: gpt-5-mini", "gpt-5-mini"),
        ("a: |\n  one\n  two\n", "one\ntwo\n"),
        ('a: "\\N\\u2028\\ud800"', "\x85\u2028\ud800"),
        ("a: [1, x, [2]]", [1, "x", [2]]),
        ("a: {no: 1, 3.10: 2, 012: 3}", {"no": 1, "3.10": 2, "012": 3}),
        ("\ufeffa: 1", 1),
    ],
)
def test_plain_values_read_as_they_look(text: str, value: object, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(text.encode())
    found = strict.read(path).values["a"]
    assert (found, type(found)) == (value, type(value))


def test_every_key_knows_its_line() -> None:
    document = strict.parse("a: 1\nb:\n  c: [x,\n    y]\n  d:\n    - e: 1\n", name="f.yaml")
    assert document.lines == {
        "": 1,
        "a": 1,
        "b": 2,
        "b.c": 3,
        "b.c.0": 3,
        "b.c.1": 4,
        "b.d": 5,
        "b.d.0": 6,
        "b.d.0.e": 6,
    }
    assert document.where("b", "c", 1) == "f.yaml:4: b.c.1"
    assert document.where("b", "new") == "f.yaml:2: b.new"
    assert document.where() == "f.yaml:1"
    assert strict.Document(values={}, name="config").where("a", "b") == "config: a.b"


def test_a_file_that_is_not_there_names_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "winner.yaml").write_text("a: 1\n")
    with pytest.raises(ConfigError) as caught:
        strict.read(tmp_path / "winer.yaml")
    assert (
        str(caught.value)
        == f"{tmp_path}/winer.yaml: there is no such file\n  hint: YAML files in {tmp_path}: winner.yaml"
    )
    with pytest.raises(ConfigError, match="is a folder, not a YAML file"):
        strict.read(tmp_path)
    with pytest.raises(ConfigError, match="there is no such file"):
        strict.read(tmp_path / "no" / "such.yaml")


# Values out again

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(
        [
            "no",
            "3.10",
            "012",
            "\x85",
            "a\x85b",
            "1_0",
            "12:30",
            "\ud800",
            "👩\u200d🔬",
            "'",
            '"',
            "x" * 200,
            "- a: b",
            "\r",
        ]
    )
)
trees = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)


@settings(max_examples=300, deadline=None)
@given(values=st.dictionaries(st.text(), trees, max_size=5))
def test_what_is_written_is_read_back_equal(values: dict[str, Any]) -> None:
    if not values:
        return
    text = strict.dump(values)
    assert strict.parse(text).values == values
    assert list(strict.parse(text).values) == list(values)
    assert strict.parse(text.encode("utf-8").decode("utf-8")).values == values


@settings(deadline=None)
@given(comment=st.text())
def test_a_comment_may_quote_anything(comment: str) -> None:
    text = strict.dump({"a": 1}, comment=comment)
    text.encode("utf-8")
    assert strict.parse(text).values == {"a": 1}


def test_a_value_used_twice_is_written_out_twice() -> None:
    shared = ["x"]
    assert strict.dump({"a": shared, "b": shared}) == "a:\n- x\nb:\n- x\n"


@settings(max_examples=200, deadline=None)
@given(text=st.text(alphabet="abno01:-,[]{}&*!|>'\"#%@`?\n \t.~\x85é\x00", max_size=60))
def test_no_text_makes_it_raise_anything_but_a_config_error(text: str) -> None:
    said = "f.yaml"
    try:
        strict.parse(text, name="f.yaml")
    except ConfigError as trouble:
        said = str(trouble)
    assert said.startswith("f.yaml")


# Values into dataclasses


@dataclass(frozen=True, kw_only=True)
class Box:
    """Something to fill."""

    size: int
    name: str = ""
    share: float = 0.5
    lid: bool = False
    kind: Literal["wood", "steel"] = "wood"
    labels: tuple[str, ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    note: str | None = None

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError(f"size: must be at least 0, not {self.size}")
        if self.name == "bad":
            raise ValueError("this will not do")
        for label, weight in self.weights.items():
            if math.isnan(weight):
                raise ValueError(f"weights.{label}: must be a number")


def boxed(text: str) -> Box:
    document = strict.parse(text, name="f.yaml")
    return strict.build(Box, document.values, (), document)


def test_a_mapping_becomes_a_value() -> None:
    text = "size: 3\nname: '7'\nshare: 1\nlid: true\nkind: steel\nlabels: [a, b]\nweights: {a: 1}\nnote: null\n"
    assert boxed(text) == Box(
        size=3, name="7", share=1.0, lid=True, kind="steel", labels=("a", "b"), weights={"a": 1.0}, note=None
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("size: 1\nnmae: x\n", "f.yaml:2: nmae: unknown key; did you mean 'name'?"),
        ("size: 1\nzzz: x\n", "f.yaml:2: zzz: unknown key\n  hint: keys here: size, name, share, lid, kind, labels, weights, note"),
        ("name: x\n", "f.yaml:1: size: is missing"),
        ("size: '1'\n", "f.yaml:1: size: must be a whole number (got '1')"),
        ("size: 1.5\n", "f.yaml:1: size: must be a whole number (got 1.5)"),
        ("size: true\n", "f.yaml:1: size: must be a whole number (got True)"),
        ("size: null\n", "f.yaml:1: size: must be a whole number (got None)"),
        ("size: 1\nname: 5\n", "f.yaml:2: name: must be a text (got 5)"),
        ("size: 1\nshare: half\n", "f.yaml:2: share: must be a number (got 'half')"),
        ("size: 1\nlid: 1\n", "f.yaml:2: lid: must be true or false (got 1)"),
        ("size: 1\nkind: wod\n", "f.yaml:2: kind: input should be 'wood' or 'steel' (got 'wod')"),
        ("size: 1\nlabels: a\n", "f.yaml:2: labels: must be a list (got 'a')"),
        ("size: 1\nlabels:\n- a\n- 2\n", "f.yaml:4: labels.1: must be a text (got 2)"),
        ("size: 1\nweights: [1]\n", "f.yaml:2: weights: must be `key: value` lines"),
        ("size: 1\nweights:\n  a: 1\n  b: x\n", "f.yaml:4: weights.b: must be a number (got 'x')"),
        ("size: -1\n", "f.yaml:1: size: must be at least 0, not -1"),
        ("size: 1\nname: bad\n", "f.yaml:1: this will not do"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named_with_its_line(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        boxed(text)
    assert str(caught.value) == complaint


def test_a_key_that_is_no_text_is_refused_like_any_unknown_one() -> None:
    document = strict.Document(values={}, name="config")
    with pytest.raises(ConfigError, match="config: 3: unknown key"):
        strict.build(Box, {"size": 1, 3: 1}, (), document)  # type: ignore[dict-item]


@given(value=trees, name=st.sampled_from([f.name for f in dataclasses.fields(Box)]))
def test_any_value_in_any_place_fits_or_is_a_config_error(value: object, name: str) -> None:
    document = strict.Document(values={}, name="config")
    try:
        made = strict.build(Box, {"size": 1, name: value}, (), document)
    except ConfigError:
        return
    if name == "share":
        assert made.share == float(value)  # type: ignore[arg-type]
    elif name == "weights":
        assert made.weights == {k: float(v) for k, v in value.items()}  # type: ignore[attr-defined]
    else:
        assert getattr(made, name) == (tuple(value) if isinstance(value, list) else value)
