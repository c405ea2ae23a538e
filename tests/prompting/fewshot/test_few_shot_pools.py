"""Examples out of files, lists and data sets, and what they have in common with prompts."""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.core.errors import DataError
from routelab.core.values import Message, Prompt
from routelab.lab.datasets import Dataset
from routelab.prompting.fewshot import Example, Leak, Pool, leaks, same, turns

PAIRS = [("how do I say hotel", "translate"), ("is it raining", "weather")]
FILES = {
    "a.csv": "question,answer\nhow do I say hotel,translate\nis it raining,weather\n",
    "b.csv": "id, label ,text,notes\n,translate,how do I say hotel,x\n,weather,is it raining,\n",
    "c.jsonl": '{"question": "how do I say hotel", "answer": "translate"}\n\n{"text": "is it raining", "label": "weather"}\n',
    "d.jsonl": '{"prompt": "how do I say hotel", "reference": "translate"}\n{"prompt": "is it raining", "reference": "weather"}',
}


@pytest.mark.parametrize("name", FILES)
def test_files_say_the_same_in_many_forms(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(FILES[name], encoding="utf-8")
    packed = tmp_path / f"{name}.gz"
    packed.write_bytes(gzip.compress(FILES[name].encode()))
    found, again = Pool.of(path), Pool.read(packed)
    assert [(e.question, e.answer) for e in found] == PAIRS
    assert found == again
    assert found.digest == again.digest
    assert [e.id for e in found] == [Prompt.of(q).id for q, _ in PAIRS]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "question,answr\nx,y\n", ":1: the column `answer` is missing"),
        ("a.csv", "question,answer\nx,y\n,z\n", ":3: question: is empty"),
        ("a.csv", 'question,answer\n"x\ny",\n', ":3: answer: is empty"),
        ("a.csv", "question,answer\nx\n", ":2: has 1 fields, the head has 2"),
        ("a.csv", "text,label,text\n", ":1: the column 'text' is there twice"),
        ("a.csv", 'text,label\n"x,y\n', ":2: not CSV (unexpected end of data)"),
        ("a.csv", "", ":1: the column `question` is missing"),
        ("a.csv", "text,label\n", ": has no examples"),
        ("a.jsonl", '{"question": "x"}\n', ":1: `answer` is missing"),
        (
            "a.jsonl",
            '{"question": "x", "answer": "y"}\n{"question": "x", "answer": ["y"]}',
            ":2: answer: must be a text (got ['y'])",
        ),
        ("a.jsonl", "{]\n", ":1: not JSON at column 2 (Expecting property name enclosed in double quotes)"),
        ("a.jsonl", "[1]\n", ":1: must be a JSON object, not list"),
        ("a.txt", "", ": is neither .csv nor .jsonl"),
        (
            "a.csv",
            "id,question,answer\n1,x,y\n1,z,y\n",
            ":3: the id '1' was used before, at {path}:2",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_told_with_the_line(name: str, text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as trouble:
        Pool.read(path)
    assert trouble.value.message == f"{path}{said.replace('{path}', str(path))}"


def test_a_near_name_of_a_column_is_suggested(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("question,answr\nx,y\n", encoding="utf-8")
    with pytest.raises(DataError) as trouble:
        Pool.read(path)
    assert trouble.value.hint == "did you mean 'answr'?"


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such file"):
        Pool.read(tmp_path / "a.csv")


def test_what_comes_twice_is_kept_once_and_other_answers_get_other_ids() -> None:
    rows = [("x", "1"), ("x", "1"), ("x", "2"), ("x", "2"), ("y", "1")]
    found = Pool.of([{"question": q, "answer": a} for q, a in rows])
    own = Prompt.of("x").id
    assert [(e.id, e.answer) for e in found] == [(own, "1"), (f"{own}~2", "2"), (Prompt.of("y").id, "1")]


def test_a_data_set_with_references_is_a_pool() -> None:
    data = Dataset.of(
        [
            {"id": "a", "prompt": "2 + 2?", "reference": "4", "group": "sums"},
            {
                "id": "b",
                "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "hm"}],
                "reference": "m",
            },
        ]
    )
    assert Pool.of(data).examples == (
        Example(id="a", question="2 + 2?", answer="4", group="sums"),
        Example(id="b", question="hm", answer="m"),
    )
    with pytest.raises(DataError, match=r"the prompt '.*' has no reference"):
        Pool.of([Prompt.of("x")])


def test_what_holds_no_examples_is_told() -> None:
    with pytest.raises(DataError, match="cannot take examples from a int"):
        Pool.of(3)
    with pytest.raises(DataError, match=r"examples\[0\]: must be a mapping with question and answer, not str"):
        Pool.of(["x"])


@given(
    st.lists(
        st.tuples(st.text(min_size=1), st.text(min_size=1), st.none() | st.text(min_size=1)).filter(
            lambda row: all(t is None or (t.strip() and t < "\ud800") for t in row)
        ),
        min_size=1,
        max_size=8,
    )
)
def test_a_pool_that_is_written_is_read_again(rows: list[tuple[str, str, str | None]]) -> None:
    pool = Pool.of([Example(id=f"e{i}", question=q, answer=a, group=g) for i, (q, a, g) in enumerate(rows)])
    with tempfile.TemporaryDirectory() as folder:
        for name in ("a.csv", "a.jsonl"):
            assert pool.write(Path(folder, name)) == pool


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("What's  up?", "whats up", True),
        ("ＨＯＴＥＬ", "hotel", True),
        ("Straße", "STRASSE", True),
        ("cafe\N{COMBINING ACUTE ACCENT}", "caf\N{LATIN SMALL LETTER E WITH ACUTE}", True),
        ("a+b", "a<b", False),
        ("good bye", "Goodbye!", True),
        ("?", "!", False),
        ("...", " ... ", True),
        ("की", "का", False),
    ],
)
def test_texts_are_the_same_apart_from_case_width_punctuation_and_blanks(one: str, other: str, alike: bool) -> None:
    assert (same(one) == same(other)) is alike


def test_a_long_run_of_marks_is_compared_in_reasonable_time() -> None:
    assert same("e" + "\N{COMBINING ACUTE ACCENT}\N{COMBINING DOT BELOW}" * 50_000) != same("e")


def test_leaks_name_who_would_see_what() -> None:
    pool = Pool.of(
        [
            Example(id="a", question="Is it raining?", answer="weather"),
            Example(id="b", question="will it rain", answer="weather", group="g"),
            Example(id="c", question="is it raining now", answer="news"),
            Example(id="d", question="play a song", answer="music"),
        ]
    )
    asked = Prompt(id="d", messages=(Message(role="user", content="is it raining"),), reference="weather", group="g")
    other = Prompt.of("book a flight")
    found = leaks(pool, [asked, other], near=0.7, embedder="lexical")
    told = [(leak.prompt, leak.example, leak.why, leak.agree) for leak in found.found]
    assert told == [
        ("d", "a", "text", True),
        ("d", "b", "group", True),
        ("d", "d", "id", False),
        ("d", "c", "near", False),
    ]
    assert found.counts == {"text": 1, "group": 1, "id": 1, "near": 1}
    assert 0.7 <= (found.found[3].cosine or 0) < 1
    assert "1 by group, 1 by id, 1 by near, 1 by text" in str(found.table())
    assert leaks(pool, [other]) == leaks(pool, [other]).__class__(found=(), prompts=1, examples=4)


def test_a_leak_is_a_value() -> None:
    assert Leak(prompt="p", example="e", why="id", text="t", question="q") == Leak(
        prompt="p", example="e", why="id", text="t", question="q"
    )


def test_examples_are_turns_of_a_conversation() -> None:
    assert turns([Example(id="a", question="q", answer="r")]) == (
        Message(role="user", content="q"),
        Message(role="assistant", content="r"),
    )
