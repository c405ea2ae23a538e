"""Every program's results become the same outcomes, and no row is lost without a reason."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routelab import cli
from routelab.core.errors import ConfigError, DataError
from routelab.lab import formats
from routelab.lab.outcomes import Outcomes

SHAPES = {
    "llmrouterbench": ("llmrouterbench", 2, 2, 4, 3),
    "routerbench": ("routerbench.csv", 3, 2, 5, 0),
    "frugalgpt": ("frugalgpt", 2, 2, 4, 0),
    "routerarena": ("routerarena.json", 2, 2, 3, 1),
    "litellm": ("litellm.jsonl", 4, 2, 4, 3),
    "promptfoo": ("promptfoo.json", 2, 2, 4, 0),
}
NAN = np.nan


@pytest.mark.parametrize(("kind", "shape"), SHAPES.items())
def test_records_in_are_records_kept_and_records_rejected(files: Path, kind: str, shape: tuple[Any, ...]) -> None:
    name, prompts, models, kept, rejected = shape
    found = Outcomes.read(outcomes=files / name)
    assert (len(found), len(found.models), int(found.asked.sum()), len(found.rejected)) == (
        prompts,
        models,
        kept,
        rejected,
    )
    assert found.notes[0] == f"read as {kind}: {kept + rejected} records, {kept} kept, {rejected} rejected"


@pytest.mark.parametrize(("kind", "name"), [(kind, shape[0]) for kind, shape in SHAPES.items()])
def test_the_content_tells_the_format(files: Path, kind: str, name: str) -> None:
    assert formats.detect(files / name) == kind


def test_every_format_has_a_name_that_the_command_line_lists(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["replay", "--help"])
    shown = capsys.readouterr().out
    assert [kind for kind in (formats.OWN, *formats.KINDS) if kind not in shown] == []


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_routelabs_own_tables_are_not_taken_for_another_format(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"outcomes.{ending}"
    row = {"prompt_id": "a", "model": "x", "quality": 1, "cost_usd": 0.1}
    path.write_text(
        json.dumps(row) if ending == "jsonl" else ",".join(row) + "\n" + ",".join(map(str, row.values())) + "\n"
    )
    assert formats.detect(path) == formats.OWN
    with pytest.raises(DataError, match="needs its prompts"):
        Outcomes.read(outcomes=path)


def test_a_compressed_file_is_read_like_the_file(files: Path, tmp_path: Path) -> None:
    for name in ("routerbench.csv", "litellm.jsonl", "promptfoo.json"):
        packed = tmp_path / f"{name}.gz"
        packed.write_bytes(gzip.compress((files / name).read_bytes()))
        one, other = Outcomes.read(outcomes=files / name), Outcomes.read(outcomes=packed)
        np.testing.assert_array_equal(one.quality, other.quality)
        assert one.models == other.models


def test_a_format_is_named_when_the_name_is_wrong(files: Path) -> None:
    with pytest.raises(ConfigError, match="format: unknown 'promptfo'; did you mean 'promptfoo'") as trouble:
        Outcomes.read(outcomes=files / "promptfoo.json", format="promptfo")
    assert "litellm" in str(trouble.value.hint)


def test_a_file_of_another_format_than_the_one_named_is_refused_in_one_line(files: Path) -> None:
    with pytest.raises(DataError) as trouble:
        Outcomes.read(outcomes=files / "promptfoo.json", format="litellm")
    assert "holds no call that can be read as litellm" in trouble.value.message
    assert "\n" not in trouble.value.message


def test_a_folder_without_results_says_so(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("nothing")
    with pytest.raises(DataError, match="no known format in this folder"):
        Outcomes.read(outcomes=tmp_path)


def test_given_prompts_replace_those_of_the_file(files: Path, tmp_path: Path) -> None:
    given_ = tmp_path / "prompts.jsonl"
    given_.write_text(json.dumps({"prompt_id": "GSM8K_4", "prompt": "said again", "group": "g"}) + "\n")
    found = Outcomes.read(outcomes=files / "routerarena.json", prompts=given_)
    assert [(p.text, p.group) for p in found.prompts] == [("Please answer ArcMMLU_98.", None), ("said again", "g")]


def test_one_dataset_is_taken_by_name_and_an_unknown_one_is_named(files: Path) -> None:
    found = Outcomes.read(outcomes=files / "routerbench.csv", dataset="mtbench")
    assert ([p.id for p in found.prompts], found.dataset, found.rejected) == (["mtbench.7"], "mtbench", ())
    with pytest.raises(DataError, match="unknown dataset 'mtbenc'; did you mean 'mtbench'"):
        Outcomes.read(outcomes=files / "routerbench.csv", dataset="mtbenc")


def test_a_log_of_single_choices_says_that_it_cannot_be_replayed_exactly(files: Path) -> None:
    found = Outcomes.read(outcomes=files / "litellm.jsonl")
    assert found.single_choice
    assert "one model a prompt: no exact replay, off-policy only" in repr(found)
    assert any("exact replay is not possible" in note for note in found.notes)
    whole = Outcomes.read(outcomes=files / "frugalgpt")
    assert not whole.single_choice
    assert not any("exact replay" in note for note in whole.notes)


def test_a_cube_with_gaps_says_how_much_of_it_can_be_replayed_exactly(files: Path) -> None:
    assert any(
        note.startswith("2 of 3 prompts were asked of all 2 models; exact replay holds on those only")
        for note in Outcomes.read(outcomes=files / "routerbench.csv").notes
    )


def test_a_cost_of_nothing_is_unknown_and_not_free(files: Path) -> None:
    found = Outcomes.read(outcomes=files / "llmrouterbench")
    assert np.isnan(found.cost_usd[1, found.column("large")])
    assert "a recorded cost of 0 is taken as unknown (1 answers); pass prices= to price them" in found.notes


class Explodes:
    """Writes a file when it is unpickled."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.proof),)


@pytest.mark.parametrize(
    "name", ["routerbench_0shot.pkl", "a.pickle", "a.joblib", "a.pt", "a.pkl.gz", "a.csv", "a.jsonl", "a.json"]
)
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_is_refused_and_never_opened(tmp_path: Path, name: str, protocol: int) -> None:
    proof = tmp_path / "ran"
    raw = pickle.dumps(Explodes(proof), protocol=protocol)
    path = tmp_path / name
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    for format_ in (None, "routerbench"):
        with pytest.raises(DataError, match="is a pickle") as trouble:
            Outcomes.read(outcomes=path, format=format_)
        assert "CSV" in str(trouble.value.hint)
    assert not proof.exists()


JUNK = st.one_of(
    st.binary(max_size=40).map(lambda b: b.replace(b"\n", b" ")),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=6,
    ).map(lambda v: json.dumps(v).encode()),
)
FIELDS = (
    "model",
    "response_cost",
    "prompt_tokens",
    "messages",
    "metadata",
    "startTime",
    "endTime",
    "response",
    "call_type",
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(rows=st.lists(JUNK, max_size=6), changes=st.dictionaries(st.sampled_from(FIELDS), JUNK, max_size=3))
def test_whatever_a_log_holds_every_line_is_counted_once(
    rows: list[bytes], changes: dict[str, bytes], lines: Callable[..., Path], payload: Callable[..., dict[str, Any]]
) -> None:
    odd = payload(id="odd")
    for name, raw in changes.items():
        with contextlib.suppress(ValueError):
            odd[name] = json.loads(raw)
    path = lines(payload(), *rows, odd)
    found = Outcomes.read(outcomes=path, format="litellm")
    written = sum(bool(line.strip()) for line in path.read_bytes().split(b"\n"))
    assert len(found.rejected) + _kept(found) == written
    assert int(found.asked.sum()) <= _kept(found)


def _kept(found: Outcomes) -> int:
    return int(found.notes[0].split(", ")[1].removesuffix(" kept"))


def test_hostile_lines_are_rejected_one_by_one_with_their_line(
    lines: Callable[..., Path], payload: Callable[..., dict[str, Any]]
) -> None:
    path = lines(
        payload(),
        b'{"model": "\xff\xfe"}',
        b"not json",
        b'["a list"]',
        b"[" * 100_000,
        b'{"model": ' + b"9" * 5000 + b"}",
        payload(model="b", response_cost="=1+1"),
        payload(model="b", response_cost=-1),
        payload(model="b", response_cost=10**400),
        payload(model="b", prompt_tokens=float("inf")),
        payload(model=""),
        payload(model="=HYPERLINK(1)", response_cost=float("nan")),
    )
    found = Outcomes.read(outcomes=path)
    assert [r.line for r in found.rejected] == [2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
    assert [r.reason for r in found.rejected[5:]] == [
        "'=1+1' is not a number",
        "-1 is not at least 0",
        "'a huge number' is not a number",
        "'inf' is not a number",
        "is blank",
    ]
    assert found.models == ("gpt-4o-mini", "=HYPERLINK(1)")
    assert np.isnan(found.cost_usd[0, 1])


def test_a_line_without_end_is_rejected_and_the_next_line_is_read(
    lines: Callable[..., Path], payload: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("routelab.lab.formats.calls.MAX_CELL", 1 << 14)
    path = lines(payload(), b'{"model": "' + b"x" * (1 << 16) + b'"}', payload(model="next"))
    found = Outcomes.read(outcomes=path)
    assert ([r.line for r in found.rejected], found.models) == ([2], ("gpt-4o-mini", "next"))


@pytest.mark.parametrize(
    ("name", "raw", "message"),
    [
        ("a.json", b"{", "a.json: is not JSON"),
        ("a.json", b'"\xff"', "a.json: is not UTF-8"),
        ("a.json", b"[" * 100_000, "a.json: is not JSON"),
        ("a.json.gz", b"\x1f\x8b\x08\x00", "a.json.gz: cannot be read"),
        ("a.jsonl.gz", b"\x1f\x8b\x08\x00", "a.jsonl.gz: cannot be read"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path: Path, name: str, raw: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(DataError) as trouble:
        Outcomes.read(outcomes=tmp_path / name)
    assert trouble.value.message.startswith(message)
    assert "\n" not in trouble.value.message


def test_replay_reads_another_programs_results(
    files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["replay", "--outcomes", str(files / "frugalgpt"), "--format", "frugalgpt", "--confirm", "0"]) == 0
    shown = capsys.readouterr().out
    assert "read as frugalgpt: 4 records, 4 kept, 0 rejected" in shown
    assert cli.main(["replay", "--outcomes", str(files / "frugalgpt_summary.csv")]) == 1
    assert "is a summary: one mean for each model and budget, no answers" in capsys.readouterr().err
