"""Files of every format become the same outcomes, and every complaint is one line that says where."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.core.errors import DataError
from routelab.lab.outcomes import Outcomes
from routelab.lab.readers import read_table
from routelab.lab.recorded import read_prompts

PROMPTS = [
    {
        "prompt_id": "a",
        "dataset": "one",
        "task": "qa",
        "prompt": "What is\nthis?",
        "context": "Be brief.",
        "group": "g",
    },
    {"prompt_id": "b", "dataset": "one", "task": "qa", "prompt": "NA", "reference": "None"},
    {"prompt_id": "c", "dataset": "two", "task": "code", "prompt": "def f():"},
]
ROWS = [
    {"prompt_id": "a", "dataset": "one", "model": "x", "quality": 1, "cost_usd": 0.5, "response": 'first,\n"line"'},
    {"prompt_id": "a", "dataset": "one", "model": "y", "quality": 0.25, "latency_s": 2.5},
    {"prompt_id": "b", "dataset": "one", "model": "x", "quality": None, "cost_usd": 0.1, "response": "None"},
    {"prompt_id": "b", "dataset": "one", "model": "y", "quality": 1, "error": "timeout"},
    {"prompt_id": "c", "dataset": "two", "model": "x", "quality": 0},
]


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows in the format that the path's name asks for."""
    names = list(dict.fromkeys(k for row in rows for k in row))
    name = path.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        types = ["DOUBLE" if any(isinstance(r.get(k), (int, float)) for r in rows) else "VARCHAR" for k in names]
        with duckdb.connect(":memory:") as con:
            columns = ", ".join(f'"{n}" {t}' for n, t in zip(names, types, strict=True))
            con.execute(f"create table t ({columns})")
            insert = f"insert into t values ({', '.join('?' * len(names))})"
            con.executemany(insert, [[r.get(n) for n in names] for r in rows])
            con.execute(f"copy t to '{path}' (format parquet)")
        return path
    if name.endswith(".jsonl"):
        text = "".join(json.dumps(row) + "\n" for row in rows)
    else:
        out = io.StringIO()
        writer = csv.DictWriter(out, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        text = out.getvalue()
    path.write_bytes(gzip.compress(text.encode()) if path.name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "jsonl", "jsonl.gz", "parquet"])
def test_every_format_gives_the_same_outcomes(tmp_path: Path, ending: str) -> None:
    prompts = written(tmp_path / f"prompts.{ending}", PROMPTS)
    found = Outcomes.read(prompts=prompts, outcomes=written(tmp_path / f"o.{ending}", ROWS), dataset="one")
    assert found.models == ("x", "y")
    assert [p.id for p in found.prompts] == ["a", "b"]
    assert found.quality == pytest.approx(np.array([[1, 0.25], [np.nan, 0]]), nan_ok=True)
    assert found.cost_usd == pytest.approx(np.array([[0.5, np.nan], [0.1, np.nan]]), nan_ok=True)
    assert found.latency_s == pytest.approx(np.array([[np.nan, 2.5], [np.nan, np.nan]]), nan_ok=True)
    assert found.failed.tolist() == [[False, False], [False, True]]
    assert found.cost_kind == ("recorded", None)
    assert (found.dataset, found.rejected, found.simulated) == ("one", (), False)


def test_what_was_said_is_fetched_on_demand_and_a_blank_is_no_answer(tmp_path: Path) -> None:
    prompts = written(tmp_path / "p.csv", PROMPTS)
    found = Outcomes.read(prompts=prompts, outcomes=written(tmp_path / "o.csv", ROWS), dataset="one")
    first = found.reply("a", "x")
    assert first is not None
    assert (first.text, first.cost_usd, first.served_model) == ('first,\n"line"', 0.5, "x")
    second = found.reply("b", "x")
    assert second is not None
    assert second.text == "None"
    assert [found.reply("a", "y"), found.reply("b", "y"), found.reply("z", "x"), found.reply("a", "z")] == [None] * 4


def test_a_prompt_keeps_its_context_task_group_and_a_reference_that_looks_like_nothing(tmp_path: Path) -> None:
    (a, b), rejected = read_prompts(written(tmp_path / "p.csv", PROMPTS), "one")
    assert ([m.role for m in a.messages], a.system, a.text) == (["system", "user"], "Be brief.", "What is\nthis?")
    assert (a.task, a.group, b.text, b.reference, rejected) == ("qa", "g", "NA", "None", ())


def test_prompts_in_json_lines_keep_their_scorer_and_wrong_answers(tmp_path: Path) -> None:
    row = {"id": "a", "prompt": "2+2?", "scorer": {"kind": "number", "answer": 4}, "wrong": ["5"], "difficulty": 2}
    ((prompt,), _) = read_prompts(written(tmp_path / "p.jsonl", [row]))
    assert (prompt.scorer, prompt.wrong, prompt.difficulty) == ({"kind": "number", "answer": 4}, ("5",), 2.0)


def test_prompts_may_be_conversations(tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "2+2?"},
        {"role": "assistant", "content": "4"},
        {"role": "user", "content": "+1?"},
    ]
    ((prompt,), _) = read_prompts(written(tmp_path / "p.jsonl", [{"id": "a", "messages": turns}]))
    assert [(m.role, m.content) for m in prompt.messages] == [(t["role"], t["content"]) for t in turns]
    with pytest.raises(DataError, match=r"line 1, messages: must be a list of \{role, content\}"):
        read_prompts(written(tmp_path / "q.jsonl", [{"id": "a", "messages": [{"role": "robot", "content": "x"}]}]))


@pytest.mark.parametrize("bare", ["prompts", "outcomes", "both"])
def test_a_file_of_one_dataset_need_not_name_it(tmp_path: Path, bare: str) -> None:
    one = [
        {k: v for k, v in row.items() if k != "dataset" or bare == "outcomes"}
        for row in PROMPTS
        if row["dataset"] == "one"
    ]
    rows = [
        {k: v for k, v in row.items() if k != "dataset" or bare == "prompts"} for row in ROWS if row["dataset"] == "one"
    ]
    found = Outcomes.read(prompts=written(tmp_path / "p.csv", one), outcomes=written(tmp_path / "o.csv", rows))
    assert (found.quality.shape, found.dataset) == ((2, 2), None if bare == "both" else "one")
    assert found.reply("a", "x") is not None


def lines(*rows: str) -> str:
    return "\n".join(rows) + "\n"


GOOD = lines("prompt_id,model,quality", "a,x,1", "a,y,0", "b,x,1", "b,y,1")


@pytest.mark.parametrize(
    ("outcomes", "message"),
    [
        (lines("prompt_id,modle,quality", "a,x,1"), "o.csv, line 1: column 'model' is missing"),
        (GOOD + "a,x,0\n", "o.csv, line 6, prompt_id, model: a × x is there twice (first in line 2)"),
        (lines("prompt_id,model,quality", "a,x,good"), "o.csv, line 2, quality: 'good' is not a number"),
        (
            lines("prompt_id,model,quality", 'a,"x\ny",1', "b,x,1.5"),
            "o.csv, line 4, quality: 1.5 is not between 0 and 1",
        ),
        (lines("prompt_id,model,quality", "a,x,-0.1"), "o.csv, line 2, quality: -0.1 is not between 0 and 1"),
        (lines("prompt_id,model,quality,cost_usd", "a,x,1,-3"), "o.csv, line 2, cost_usd: -3 is not at least 0"),
        (lines("prompt_id,model,quality,cost_usd", "a,x,1,1e400"), "o.csv, line 2, cost_usd: '1e400' is not a number"),
        (lines("prompt_id,model,quality,latency_s", "a,x,1,nan"), "o.csv, line 2, latency_s: 'nan' is not a number"),
        (lines("prompt_id,model,quality", 'a,x,"0,9"'), "o.csv, line 2, quality: '0,9' is not a number"),
        (lines("prompt_id,model,quality", ",x,1"), "o.csv, line 2, prompt_id: is blank"),
        (lines("prompt_id,model,quality", "a,,1"), "o.csv, line 2, model: is blank"),
        (lines("prompt_id,model,quality", "q,x,1"), "o.csv, line 2, prompt_id: 'q' is not in p.csv"),
        (lines("prompt_id,model,quality,cost_kind", "a,x,1,guess"), "o.csv, line 2, cost_kind: 'guess' is not one of"),
        (lines("prompt_id,model,quality"), "o.csv: holds no outcomes"),
        ("", "o.csv: is empty"),
        (lines("prompt_id,model,quality", "a,x,1,2,3"), "o.csv, line 2: has 5 cells, and the header names 3 columns"),
        (lines("prompt_id,model,quality", "a,x"), "o.csv, line 2: has 2 cells, and the header names 3 columns"),
        (lines("prompt_id,model,quality", "a,x,1", 'b,"x,1'), "o.csv, line 3: unexpected end of data"),
        (lines("prompt_id,model,model", "a,x,1"), "o.csv, line 1: column 'model' is there twice"),
    ],
)
def test_a_complaint_names_file_line_and_column(tmp_path: Path, outcomes: str, message: str) -> None:
    prompts = written(tmp_path / "p.csv", [{"prompt_id": i, "prompt": "x"} for i in "ab"])
    (tmp_path / "o.csv").write_text(outcomes)
    with pytest.raises(DataError) as trouble:
        Outcomes.read(prompts=prompts, outcomes=tmp_path / "o.csv")
    assert trouble.value.message.startswith(message)
    assert "\n" not in trouble.value.message
    assert trouble.value.hint


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("o.jsonl", b'{"prompt_id": "a"}\n\n{"prompt_id": \n', "o.jsonl, line 3: is not JSON"),
        ("o.jsonl", b"[1]\n", "o.jsonl, line 1: is not an object"),
        ("o.jsonl", b"\n", "o.jsonl: is empty"),
        ("o.jsonl", b"[" * 100_000 + b"\n", "o.jsonl, line 1: is not JSON"),
        ("o.csv", b"prompt_id,model\n\xff\xfe,x\n", "o.csv: is not UTF-8"),
        ("o.csv.gz", b"not gzip", "o.csv.gz: cannot be read"),
        ("o.csv.gz", gzip.compress(b"prompt_id\n" * 999, mtime=0)[:-9], "o.csv.gz: cannot be read"),
        ("o.parquet", b"not parquet", "o.parquet: is not parquet"),
        ("o.xlsx", b"", "o.xlsx: unknown format"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_refused(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as trouble:
        read_table(tmp_path / name)
    assert trouble.value.message.startswith(message)


def test_a_missing_file_suggests_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "outcomes.csv").write_text("a\n")
    with pytest.raises(DataError, match=r"no such file; did you mean 'outcomes\.csv'\?"):
        read_table(tmp_path / "outcome.csv")


def test_an_unknown_dataset_lists_those_that_are_there(tmp_path: Path) -> None:
    files = {"prompts": written(tmp_path / "p.csv", PROMPTS), "outcomes": written(tmp_path / "o.csv", ROWS)}
    with pytest.raises(DataError) as unknown:
        Outcomes.read(**files, dataset="on")
    assert (
        str(unknown.value)
        == "o.csv, column dataset: unknown dataset 'on'; did you mean 'one'?\n  hint: datasets: one, two"
    )
    with pytest.raises(DataError, match="holds 2 datasets; name one"):
        Outcomes.read(**files)


def test_outcomes_need_prompts(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="needs its prompts"):
        Outcomes.read(outcomes=written(tmp_path / "o.csv", ROWS))


@given(st.sets(st.integers(0, 399), max_size=9), st.sampled_from(["1.7", "-1", "x", "inf", "1e999"]))
def test_rows_in_are_rows_kept_and_rows_rejected(tmp_path_factory: Any, bad: set[int], value: str) -> None:
    folder = tmp_path_factory.mktemp("rows")
    prompts = written(folder / "p.csv", [{"prompt_id": f"p{i}", "prompt": "x"} for i in range(400)])
    rows = [{"prompt_id": f"p{i}", "model": "x", "quality": value if i in bad else 1} for i in range(400)]
    path = written(folder / "o.csv", rows)
    if len(bad) > 4:
        with pytest.raises(
            DataError, match=rf"line {min(bad) + 2}, quality: .* \(and {len(bad) - 1} more of 400 rows\)"
        ):
            Outcomes.read(prompts=prompts, outcomes=path)
        return
    found = Outcomes.read(prompts=prompts, outcomes=path)
    assert int(np.isfinite(found.quality).sum()) + len(found.rejected) == 400
    assert [r.line for r in found.rejected] == [i + 2 for i in sorted(bad)]


def test_a_byte_order_mark_and_blank_lines_do_no_harm(tmp_path: Path) -> None:
    prompts = written(tmp_path / "p.csv", [{"prompt_id": i, "prompt": "x"} for i in "ab"])
    (tmp_path / "o.csv").write_text("\ufeffprompt_id,model,quality\n\na,x,1\n\nb,x,true\n", encoding="utf-8")
    assert Outcomes.read(prompts=prompts, outcomes=tmp_path / "o.csv").quality.tolist() == [[1.0], [1.0]]


def test_text_that_would_be_a_formula_elsewhere_is_only_text(tmp_path: Path) -> None:
    prompts = written(tmp_path / "p.csv", [{"prompt_id": "=1+1", "prompt": "=cmd|' /C calc'!A0"}])
    found = Outcomes.read(
        prompts=prompts, outcomes=written(tmp_path / "o.csv", [{"prompt_id": "=1+1", "model": "@x", "quality": 1}])
    )
    assert (found.prompts[0].id, found.models) == ("=1+1", ("@x",))


def test_the_one_odd_row_of_the_real_data_is_rejected_with_its_line(recorded: Callable[..., Outcomes]) -> None:
    (rejected,) = recorded("routerarena_sub10").rejected
    assert (rejected.column, rejected.reason[:6]) == ("quality", "-0.033")


def test_a_prompt_longer_than_the_csv_modules_usual_limit_is_read(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    ((prompt,), _) = read_prompts(written(tmp_path / "p.csv", [{"prompt_id": "a", "prompt": "x" * 200_000}]))
    assert (len(prompt.text), csv.field_size_limit()) == (200_000, before)
