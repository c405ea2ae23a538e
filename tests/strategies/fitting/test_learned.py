"""Learned arrays: equal by content, plain in YAML, an npz beside it when large, never a pickle."""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import routelab.strategies as strategies
from routelab.config import RouteConfig
from routelab.core.errors import ConfigError
from routelab.core.plan import Plan, plan_of
from routelab.core.values import Prompt, Roster
from routelab.strategies import spec_of, strategy_of
from routelab.strategies.fitting.learned import INLINE, Learned, learned_of, placed, told


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pupil:
    """A strategy that has learned something and does nothing with it."""

    models: tuple[str, ...] = ("a", "b")
    learned: Learned | None = None

    def plan(self, prompts: Sequence[Prompt], roster: Roster) -> Plan:
        return plan_of([[0]] * len(prompts), ["because"] * len(prompts))


@pytest.fixture(autouse=True)
def pupils(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strategies, "KINDS", {**strategies.KINDS, "pupil": Pupil})


def large(seed: int = 0) -> Learned:
    values = np.random.default_rng(seed).normal(size=(INLINE, 3)).astype(np.float32)
    return Learned(arrays={"vectors": values, "mean": np.array([0.25, np.nan])}, about={"models": ["a", "b"]})


def config(learned: Learned, name: str = "c") -> RouteConfig:
    return RouteConfig(name=name, strategy=Pupil(learned=learned))


arrays = st.sampled_from(["float64", "float32", "int64", "int8", "bool"]).flatmap(
    lambda kind: hnp.arrays(kind, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
)
facts = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.from_regex(r"[a-z]{1,3}", fullmatch=True), arrays, max_size=3), st.dictionaries(st.text(), facts)
)
def test_what_is_written_inline_or_to_bytes_comes_back_equal(arrays: Any, about: Any) -> None:
    learned = Learned(arrays=arrays, about=about)
    again = learned_of(learned.inline())
    assert again == learned
    assert {n: (a.dtype, a.shape) for n, a in again.arrays.items()} == {
        n: (a.dtype, a.shape) for n, a in learned.arrays.items()
    }
    assert Learned.from_bytes(learned.to_bytes(), about) == learned


def test_it_is_equal_by_content_and_cannot_be_changed() -> None:
    values = np.array([1.0, 2.0])
    one = Learned(arrays={"a": values, "b": values}, about={"x": [1]})
    values[0] = 7.0
    assert one == Learned(arrays={"b": np.array([1.0, 2.0]), "a": np.array([1.0, 2.0])}, about={"x": (1,)})
    assert hash(one) == hash(Learned(arrays={"b": one["b"], "a": one["a"]}, about={"x": (1,)}))
    assert one != Learned(arrays={"a": np.array([1, 2]), "b": one["b"]}, about={"x": [1]})
    with pytest.raises(ValueError, match="read-only"):
        one["a"][0] = 3.0
    assert pickle.loads(pickle.dumps(one)) == one


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"arrays": {"a": np.array(["x"])}}, "learned.arrays.a: must hold numbers, not <U1"),
        ({"arrays": {"a": np.array([object()])}}, "learned.arrays.a: must hold numbers, not object"),
        ({"arrays": {"not a name": np.zeros(1)}}, "learned: 'not a name' cannot be an array's name"),
        ({"arrays": {}, "about": {"x": object}}, "learned.about: <class 'object'> is not plain"),
        ({"arrays": {}, "about": {"x": float("nan")}}, "learned.about: nan is not plain"),
    ],
)
def test_only_numbers_and_plain_facts_are_taken(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match="learned") as trouble:
        Learned(**given)
    assert str(trouble.value).startswith(message)


def test_a_small_one_is_written_out_in_the_yaml(tmp_path: Path) -> None:
    small = Learned(arrays={"mean": np.array([0.5, np.nan]), "k": np.array(3)}, about={"tasks": ["x", "y"]})
    made = config(small)
    assert RouteConfig.from_text(made.to_text()) == made
    assert "mean: [0.5, null]" in made.to_text()
    assert RouteConfig.from_yaml(made.to_yaml(tmp_path / "c.yaml")) == made
    assert [p.name for p in tmp_path.iterdir()] == ["c.yaml"]


def test_a_large_one_lies_in_a_file_beside_the_yaml_that_is_checked_by_its_hash(tmp_path: Path) -> None:
    made = config(large())
    path = made.to_yaml(tmp_path / "winner.yaml", comment="why")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["winner.npz", "winner.yaml"]
    raw = (tmp_path / "winner.npz").read_bytes()
    assert hashlib.sha256(raw).hexdigest() in path.read_text(encoding="utf-8")
    again = RouteConfig.from_yaml(path)
    assert again == made
    assert again.fingerprint == made.fingerprint
    made.to_yaml(tmp_path / "winner.yaml")
    assert (tmp_path / "winner.npz").read_bytes() == raw


def test_the_fingerprint_depends_on_what_was_learned() -> None:
    prints = {config(large(seed)).fingerprint for seed in (0, 1)} | {
        config(Learned(arrays={"m": np.array([x])})).fingerprint for x in (0.5, 0.25)
    }
    assert len(prints) == 4
    assert config(large(), name="other").fingerprint == config(large()).fingerprint


def test_a_text_refuses_what_it_cannot_hold_and_a_mapping_tells_it() -> None:
    with pytest.raises(ConfigError, match=r"strategy\.learned: 6,002 numbers are too many for YAML"):
        config(large()).to_text()
    assert config(large()).to_mapping()["strategy"]["learned"] == {
        "digest": large().digest,
        "arrays": {"vectors": "float32 2000×3", "mean": "float64 2"},
        "about": {"models": ["a", "b"]},
    }
    spec = spec_of(Pupil(learned=large()))
    assert strategy_of(spec) == Pupil(learned=large())
    assert [key for key, _ in placed({"strategy": [spec]})] == [("strategy", "0", "learned")]
    assert told(spec)["learned"]["digest"] == large().digest


def spoiled(tmp_path: Path, raw: bytes, old: str = "", new: str = "") -> ConfigError:
    path = config(large()).to_yaml(tmp_path / "w.yaml")
    before = (tmp_path / "w.npz").read_bytes()
    (tmp_path / "w.npz").write_bytes(raw)
    text = path.read_text(encoding="utf-8")
    hashed = text.replace(hashlib.sha256(before).hexdigest(), hashlib.sha256(raw).hexdigest())
    path.write_text(hashed.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigError) as trouble:
        RouteConfig.from_yaml(path)
    return trouble.value


def pickled() -> bytes:
    import io

    file = io.BytesIO()
    np.savez(file, a=np.array([{"code": 1}], dtype=object))
    return file.getvalue()


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "w.npz is not a file of arrays"),
        (b"PK\x03\x04 not really", "w.npz is not a file of arrays"),
        (pickle.dumps([1]), "w.npz is not a file of arrays"),
        (pickled(), "w.npz is not a file of arrays (Object arrays cannot be loaded"),
        (large().to_bytes()[:5000], "w.npz is not a file of arrays"),
    ],
)
def test_a_file_that_holds_no_arrays_is_one_line(tmp_path: Path, raw: bytes, message: str) -> None:
    trouble = spoiled(tmp_path, raw)
    assert trouble.message.startswith(f"{tmp_path / 'w.yaml'}:9: strategy.learned.file: {message}")


def test_a_file_that_is_another_one_or_not_there_is_one_line(tmp_path: Path) -> None:
    path = config(large()).to_yaml(tmp_path / "w.yaml")
    (tmp_path / "w.npz").write_bytes(large(1).to_bytes())
    with pytest.raises(ConfigError, match=r"w\.yaml:9: strategy\.learned\.file: w\.npz is not the file that this YAML"):
        RouteConfig.from_yaml(path)
    (tmp_path / "w.npz").unlink()
    with pytest.raises(ConfigError, match=r"w\.yaml:9: strategy\.learned\.file: w\.npz cannot be read"):
        RouteConfig.from_yaml(path)
    with pytest.raises(ConfigError, match="only from_yaml finds"):
        RouteConfig.from_text(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["../w.npz", "/etc/passwd", "..", "a/b.npz"])
def test_a_file_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    trouble = spoiled(tmp_path, large().to_bytes(), "file: w.npz", f"file: '{name}'")
    assert "must be the name of a file beside the YAML" in trouble.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "must be `key: value` lines with arrays"),
        ("{arrays: {m: [1, x]}}", "arrays.m: is not an array of numbers"),
        ("{arrays: {m: [[1], [1, 2]]}}", "arrays.m: is not an array of numbers"),
        ("{arrays: {m: {dtype: object, shape: [1], values: [1]}}}", "arrays.m: needs dtype"),
        ("{arays: {m: [1]}}", "unknown key 'arays'"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as trouble:
        RouteConfig.from_text(f"routelab: 1\nname: c\nstrategy:\n  kind: pupil\n  learned: {text}\n")
    assert trouble.value.message.startswith(f"yaml:5: strategy.learned: {message}")
