"""Data sets: whatever is wrong with a file is said with its file, line and key, and nothing is dropped in silence."""

from __future__ import annotations

import dataclasses
import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routelab.core.errors import DataError
from routelab.core.values import Message, Prompt
from routelab.lab.datasets import Dataset, shipped

GOOD = {
    "id": "a",
    "prompt": "2+2?",
    "task": "math",
    "reference": "4",
    "scorer": {"kind": "number", "answer": 4},
    "difficulty": 2,
}


def written(content: str | bytes, tmp_path: Path, name: str = "d.jsonl") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


def complaint(content: str | bytes, tmp_path: Path, name: str = "d.jsonl") -> str:
    with pytest.raises(DataError) as caught:
        Dataset.read(written(content, tmp_path, name))
    return str(caught.value).replace(f"{tmp_path}/", "")


def line(**changes: Any) -> str:
    return json.dumps({k: v for k, v in {**GOOD, **changes}.items() if v is not ...})


# Reading


def test_a_line_becomes_a_prompt_with_everything_it_says(tmp_path: Path) -> None:
    text = line(system="be brief", wrong=["5", 3], group="g", tags={"lang": "en"}, source="me", level=1)
    [prompt] = Dataset.read(written(text, tmp_path))
    assert prompt == Prompt(
        id="a",
        messages=(Message(role="system", content="be brief"), Message(role="user", content="2+2?")),
        task="math",
        reference="4",
        scorer={"kind": "number", "answer": 4},
        difficulty=2.0,
        wrong=("5", "3"),
        group="g",
        tags={"lang": "en", "source": "me", "level": "1"},
    )


def test_a_csv_file_says_the_same_as_a_jsonl_file(tmp_path: Path) -> None:
    rows = [GOOD, {**GOOD, "id": "b", "prompt": 'He said "two,\nthree" – é', "difficulty": None, "task": None}]
    frame = pd.DataFrame([{**row, "scorer": json.dumps(row["scorer"])} for row in rows])
    frame.to_csv(tmp_path / "d.csv", index=False)
    jsonl = "\n".join(json.dumps({k: v for k, v in row.items() if v is not None}) for row in rows)
    one, two = Dataset.read(tmp_path / "d.csv"), Dataset.read(written(jsonl + "\n\n", tmp_path))
    assert one.prompts == two.prompts
    assert one.name == two.name == "d"


@pytest.mark.parametrize("name", ["d.jsonl", "d.jsonl.gz", "D.JSONL.GZ"])
def test_gzip_bom_line_ends_and_odd_separators_do_not_matter(name: str, tmp_path: Path) -> None:
    text = "\ufeff" + line(prompt="one\u2028two") + "\r\n" + line(id="b", prompt="x\x85y") + "\r\n"
    content = gzip.compress(text.encode()) if name.lower().endswith("gz") else text.encode()
    assert [p.text for p in Dataset.read(written(content, tmp_path, name))] == ["one\u2028two", "x\x85y"]


def test_a_conversation_is_kept_turn_by_turn(tmp_path: Path) -> None:
    turns = [{"role": r, "content": c} for r, c in (("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "c"))]
    [prompt] = Dataset.read(written(line(messages=turns, prompt=...), tmp_path))
    assert [(m.role, m.content) for m in prompt.messages] == [
        ("system", "s"),
        ("user", "a"),
        ("assistant", "b"),
        ("user", "c"),
    ]
    [prompt] = Dataset.read(written(line(messages=turns[1:], prompt=..., system="put before"), tmp_path))
    assert (prompt.system, prompt.text) == ("put before", "c")
    pd.DataFrame([{"messages": json.dumps(turns)}]).to_csv(tmp_path / "m.csv", index=False)
    assert Dataset.read(tmp_path / "m.csv").prompts[0].messages == (
        Message(role="system", content="s"),
        *prompt.messages[1:],
    )


def test_an_id_of_zero_is_an_id_and_a_missing_one_is_the_contents_hash(tmp_path: Path) -> None:
    first, second, third = Dataset.read(written("\n".join([line(id=0), line(id=...), line(id="")]), tmp_path))
    assert (first.id, second.id) == ("0", Prompt.of("2+2?").id)
    assert third.id == f"{second.id}~2"  # asking the same twice is two prompts


# What is wrong with a file


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (line() + "\n{", "d.jsonl:2: not JSON at column 2 (Expecting property name enclosed in double quotes)"),
        (line() + "\n\n[1]", "d.jsonl:3: must be a JSON object, not list"),
        ("nonsense", "d.jsonl:1: not JSON at column 1 (Expecting value)"),
        ('{"prompt": "x", "prompt": "y"}', "d.jsonl:1: prompt: given twice"),
        ('{"prompt": "x", "a": ' + "[" * 100_000 + "]" * 100_000 + "}", "d.jsonl:1: is nested too deep"),
        (line(prompt=...), "d.jsonl:1: `prompt` is missing or empty\n  hint: columns here: id, task, reference, scorer, difficulty"),
        (line(prompt=..., promt="x"), "d.jsonl:1: `prompt` is missing or empty\n  hint: did you mean 'promt'?"),
        (line(prompt="  \n"), "d.jsonl:1: `prompt` is missing or empty"),
        (line(prompt=5), "d.jsonl:1: `prompt` is missing or empty"),
        ("{}", "d.jsonl:1: `prompt` is missing or empty\n  hint: columns here: none"),
        (line(messages=[{"role": "user", "content": "x"}]), "d.jsonl:1: has both `prompt` and `messages`"),
        (line(prompt=..., messages="x"), "d.jsonl:1: messages: must be a list of objects with role and content"),
        (line(prompt=..., messages={"role": "user", "content": "x"}), "d.jsonl:1: messages: must be a list of objects with role and content"),
        (line(prompt=..., messages=[]), "d.jsonl:1: messages: must be a list of objects with role and content"),
        (line(prompt=..., messages=["x"]), "d.jsonl:1: messages[0].role: must be one of system, user, assistant, tool (got None)"),
        (line(prompt=..., messages=[{"role": "usr", "content": "x"}]), "d.jsonl:1: messages[0].role: must be one of system, user, assistant, tool (got 'usr')\n  hint: did you mean 'user'?"),
        (line(prompt=..., messages=[{"role": ["user"], "content": "x"}]), "d.jsonl:1: messages[0].role: must be one of"),
        (line(prompt=..., messages=[{"role": "user", "content": "x"}, {"role": "assistant"}]), "d.jsonl:1: messages[1].content: must be a text (got NoneType)"),
        (line(prompt=..., messages=[{"role": "user", "content": [{"type": "text", "text": "x"}]}]), "d.jsonl:1: messages[0].content: must be a text (got list)"),
        (line(scorer={"kind": "numbr", "answer": 4}), "d.jsonl:1: scorer.kind: unknown 'numbr'; did you mean 'number'?"),
        (line(scorer={"answer": 4}), "d.jsonl:1: scorer.kind: missing"),
        (line(scorer={"kind": "number"}), "d.jsonl:1: scorer.answer: missing"),
        (line(scorer={"kind": "number", "anwser": 4}), "d.jsonl:1: scorer (number): unknown 'anwser'; did you mean 'answer'?"),
        (line(scorer=[1]), "d.jsonl:1: scorer: a mapping with a kind is wanted, not list"),
        (line(scorer="number"), "d.jsonl:1: scorer: must be a JSON object such as"),
        (line(scorer="3"), "d.jsonl:1: scorer: a mapping with a kind is wanted, not int"),
        (line(difficulty="hard"), "d.jsonl:1: difficulty: must be a number (got 'hard')"),
        (line(difficulty=[1]), "d.jsonl:1: difficulty: must be a number (got [1])"),
        (line(difficulty=True), "d.jsonl:1: difficulty: must be a number (got True)"),
        (line(difficulty=float("inf")), "d.jsonl:1: difficulty: must be a number (got inf)"),
        (line(difficulty=10**400), "d.jsonl:1: difficulty: must be a number (got 1000"),
        (line() + "\n" + line(id="b") + "\n" + line(prompt="other"), "d.jsonl:3: the id 'a' was used before, at d.jsonl:1\n  hint: ids must differ"),
        ("", "d.jsonl: has no prompts"),
        ("\n  \n", "d.jsonl: has no prompts"),
        (line().encode() + b"\n\xff\n", "d.jsonl:2: is not UTF-8\n  hint: save the file as UTF-8"),
        ('{"prompt": "é"}'.encode("latin-1"), "d.jsonl:1: is not UTF-8"),
        ('{"prompt": "x"}'.encode("utf-16"), "d.jsonl:1: is not UTF-8"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_jsonl_file_is_said_with_line_and_key(
    text: str | bytes, said: str, tmp_path: Path
) -> None:
    assert complaint(text, tmp_path).startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("promt\nx\n", "d.csv:2: `prompt` is missing or empty\n  hint: did you mean 'promt'?"),
        ("question,task\nx,y\n", "d.csv:2: `prompt` is missing or empty\n  hint: columns here: question, task"),
        ("prompt,task\na,b,c\n", "d.csv:2: the line has more fields than the head"),
        ("prompt,task\na,b\nc\n", "d.csv:3: the line has fewer fields than the head"),
        ("prompt,difficulty\na,1\nb,\nc,hard\n", "d.csv:4: difficulty: must be a number (got 'hard')"),
        ("prompt,difficulty\na,nan\n", "d.csv:2: difficulty: must be a number (got 'nan')"),
        ("prompt,difficulty\n\n\na,hard\n", "d.csv:4: difficulty: must be a number (got 'hard')"),
        ("prompt,scorer\na,{'kind': 'number'}\n", "d.csv:2: scorer: must be a JSON object such as"),
        ("id,prompt\n1,a\n2,b\n1,c\n", "d.csv:4: the id '1' was used before, at d.csv:2"),
        ("prompt,prompt\na,b\n", "d.csv:1: the column 'prompt' is there twice"),
        ('prompt\n"a\n', "d.csv:2: not CSV (unexpected end of data)"),
        ('prompt\n"a"b\n', "d.csv:2: not CSV ("),
        (
            "prompt\n" + "x" * 200_000 + "\n",
            "d.csv:2: not CSV (field larger than field limit (131072))\n  hint: a .jsonl file holds texts of any length",
        ),
        ("prompt,messages\n,[]\n", "d.csv:2: messages: must be a list of objects with role and content"),
        ("prompt\n", "d.csv: has no prompts"),
        ("", "d.csv: has no prompts"),
    ],
)
def test_what_is_wrong_with_a_csv_file_is_said_with_line_and_key(text: str, said: str, tmp_path: Path) -> None:
    assert complaint(text, tmp_path, "d.csv").startswith(said)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("d.jsonl.gz", b"not gzip", "d.jsonl.gz: cannot be read (Not a gzipped file"),
        ("d.jsonl.gz", gzip.compress(line().encode(), mtime=0)[:-9], "d.jsonl.gz: cannot be read ("),
        (
            "d.jsonl.gz",
            gzip.compress(line().encode() * 50, mtime=0)[:12] + b"\xff" * 30,
            "d.jsonl.gz: cannot be read (",
        ),
        ("d.txt", b"x", "d.txt: is neither .jsonl nor .csv"),
        ("d.parquet", b"x", "d.parquet: is neither .jsonl nor .csv"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    assert complaint(content, tmp_path, name).startswith(said)


def test_a_file_that_is_not_there_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no\.jsonl: there is no such file"):
        Dataset.read(tmp_path / "no.jsonl")
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(DataError, match=r"folder\.jsonl: cannot be read"):
        Dataset.read(tmp_path / "folder.jsonl")


@settings(max_examples=300, deadline=None)
@given(
    row=st.dictionaries(
        st.sampled_from([*GOOD, "messages", "wrong", "group", "tags", "system", "more"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda v: (
                st.lists(v, max_size=2)
                | st.dictionaries(st.sampled_from(["kind", "role", "content", "x"]), v, max_size=2)
            ),
            max_leaves=4,
        ),
    )
)
def test_no_row_is_worse_than_a_data_error(row: dict[str, Any]) -> None:
    said = "data[0]"
    try:
        [prompt] = Dataset.of([row])
    except DataError as trouble:
        said = str(trouble)
    else:
        assert prompt.messages
        assert all(isinstance(v, str) for v in (*prompt.wrong, *prompt.tags.values()))
    assert said.startswith("data[0]")


# Anything that holds prompts


def test_frames_lists_mappings_and_names_are_taken() -> None:
    frame = pd.DataFrame({"prompt": ["a", "b"], "task": ["t", None], "difficulty": [1, np.nan], "n": [7, 8]})
    assert [(p.text, p.task, p.difficulty, p.tags) for p in Dataset.of(frame)] == [
        ("a", "t", 1.0, {"n": "7"}),
        ("b", None, None, {"n": "8"}),
    ]
    assert [p.text for p in Dataset.of(["a", {"prompt": "b"}, Prompt.of("c")])] == ["a", "b", "c"]
    assert [p.text for p in Dataset.of(pd.Series(["a", "b"]))] == ["a", "b"]
    assert [p.text for p in Dataset.of(t for t in "ab")] == ["a", "b"]
    assert Dataset.of("workbench").name == "workbench"
    whole = Dataset.of(["a"], name="mine")
    assert Dataset.of(whole) is whole
    assert whole.name == "mine"


def test_missing_cells_of_every_kind_are_missing() -> None:
    frame = pd.DataFrame(
        {
            "prompt": pd.array(["a"], dtype="string"),
            "id": pd.array([pd.NA], dtype="Int64"),
            "task": pd.array([pd.NA], dtype="string"),
            "group": [pd.NaT],
            "reference": [np.nan],
            "difficulty": pd.array([pd.NA], dtype="Float64"),
            "more": pd.Categorical([None], categories=["x"]),
        }
    )
    assert Dataset.of(frame).prompts == (Prompt.of("a"),)


def test_a_path_is_read_whatever_type_it_has(tmp_path: Path) -> None:
    path = written(line(), tmp_path)
    assert Dataset.of(path).prompts == Dataset.of(str(path)).prompts == Dataset.read(path).prompts


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (5, "data: cannot take prompts from a int"),
        (
            {"prompt": "a"},
            "data: cannot take prompts from a dict\n  hint: give a frame, a list (of one mapping, for one prompt)",
        ),
        (b"prompt", "data: cannot take prompts from a bytes"),
        ([3], "data[0]: must be a text or a mapping, not int"),
        (["a", " "], "data[1]: is an empty text"),
        ([], "data: has no prompts"),
        (pd.DataFrame({"promt": ["a"]}), "data[0]: `prompt` is missing or empty\n  hint: did you mean 'promt'?"),
        (pd.DataFrame({"prompt": ["a", None]}), "data[1]: `prompt` is missing or empty"),
        ("workbnch", "there is no data set 'workbnch'; did you mean 'workbench'?\n  hint: shipped: "),
    ],
)
def test_what_holds_no_prompts_is_refused(data: object, said: str) -> None:
    with pytest.raises(DataError) as caught:
        Dataset.of(data)
    assert str(caught.value).startswith(said)


# Choosing


def many(*sizes: int) -> Dataset:
    return Dataset.of(
        [{"id": f"{t}-{i}", "prompt": f"{t} {i}", "task": f"t{t}"} for t, n in enumerate(sizes) for i in range(n)]
    )


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(1, 20), min_size=1, max_size=5), n=st.integers(0, 110), seed=st.integers(0, 99))
def test_a_sample_is_spread_over_the_tasks_in_proportion_and_keeps_the_order(
    sizes: list[int], n: int, seed: int
) -> None:
    whole = many(*sizes)
    sample = whole.sample(n, seed=seed)
    assert len(sample) == min(n, len(whole))
    assert list(sample.prompts) == [p for p in whole if p in set_of(sample)]
    counts = Counter(p.task for p in sample)
    for t, size in enumerate(sizes):
        assert abs(counts[f"t{t}"] - len(sample) * size / len(whole)) <= len(sizes)
    assert sample.prompts == many(*sizes).sample(n, seed=seed).prompts


def set_of(data: Dataset) -> list[Prompt]:
    return list(data.prompts)


def test_a_larger_sample_holds_the_smaller_one_and_another_seed_another() -> None:
    whole = many(30, 30, 30)
    ids = [{p.id for p in whole.sample(n)} for n in (10, 20, 50)]
    assert ids[0] < ids[1] < ids[2]
    assert {p.id for p in whole.sample(10, seed=1)} != ids[0]


def test_take_and_where_keep_the_name_and_the_order() -> None:
    whole = many(3, 2)
    assert [p.id for p in whole.take(2)] == ["0-0", "0-1"]
    assert [p.id for p in whole.where(lambda p: p.task == "t1")] == ["1-0", "1-1"]
    assert whole.take(99).prompts == whole.prompts
    assert whole.take(2).name == whole.name


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "b"},
        {"messages": Prompt.of("other").messages},
        {"messages": Prompt.of("2+2?", system="x").messages},
        {"reference": "5"},
        {"task": "sums"},
        {"scorer": {"kind": "number", "answer": 5}},
        {"scorer": None},
    ],
)
def test_the_fingerprint_changes_with_what_is_asked_and_how_it_is_scored(changes: dict[str, Any]) -> None:
    whole = Dataset.of([GOOD])
    changed = dataclasses.replace(whole, prompts=(dataclasses.replace(whole.prompts[0], **changes),))
    assert changed.fingerprint != whole.fingerprint
    assert Dataset.of([GOOD], name="other").fingerprint == whole.fingerprint


# Showing


def test_a_data_set_shows_its_counts() -> None:
    data = Dataset.of([GOOD, {**GOOD, "id": "b", "difficulty": 3}, {"prompt": "x"}], name="mine")
    assert data.table().text().splitlines() == [
        "mine: 3 prompts",
        "task  prompts  difficulty 2  difficulty 3  scorers",
        "────  ───────  ────────────  ────────────  ───────",
        "math        2             1             1  number",
        "–           1             0             0  –",
    ]
    assert repr(data) == "Dataset(mine: 3 prompts, 2 tasks)"


def test_what_ships_with_the_package_loads_and_has_a_card() -> None:
    whole = Dataset.load("workbench")
    assert whole.card.startswith("#")
    assert len(whole) == len({p.id for p in whole}) > 300
    assert all(p.scorer is not None for p in whole)
    with pytest.raises(DataError, match="the package has no nonsense with it"):
        shipped("nonsense")
