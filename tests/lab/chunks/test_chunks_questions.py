"""Sources and questions as files: read strictly, refused in one line, halved without sharing a question."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from routelab.core.errors import DataError
from routelab.lab.chunks.questions import Questions, halves, sources

TEXT = "Rates rose. Banks paid."


def reference(start: int, end: int, **more: Any) -> dict[str, Any]:
    return {"content": TEXT[start:end], "start_index": start, "end_index": end, **more}


def files(folder: Path, rows: list[dict[str, Any]], texts: dict[str, str] | None = None) -> tuple[Path, Path]:
    """Write sources and questions; references that are no text are written as JSON."""
    corpora = folder / "corpora"
    corpora.mkdir(exist_ok=True)
    for name, text in ({"bank.md": TEXT} if texts is None else texts).items():
        (corpora / name).write_bytes(text.encode("utf-8"))
    path = folder / "q.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        table = csv.DictWriter(stream, ["question", "references", "corpus_id"], extrasaction="ignore")
        table.writeheader()
        for row in rows:
            cell = row["references"]
            table.writerow({**row, "references": cell if isinstance(cell, str) else json.dumps(cell)})
    return path, corpora


def row(references: Any, question: str = "What rose?", corpus_id: str = "bank") -> dict[str, Any]:
    return {"question": question, "references": references, "corpus_id": corpus_id}


def test_questions_are_read_with_their_spans(tmp_path: Path) -> None:
    path, corpora = files(tmp_path, [row([reference(0, 11)]), row([reference(0, 5), reference(12, 17)], "Who?")])
    questions = Questions.read(path, corpora)
    assert (questions.texts, questions.sources) == (("What rose?", "Who?"), ("bank", "bank"))
    assert questions.spans == (((0, 11),), ((0, 5), (12, 17)))
    assert (questions.corpora, questions.notes, questions.span_count) == ({"bank": TEXT}, (), 3)


def test_line_ends_stay_as_they_are_and_offsets_count_characters(tmp_path: Path) -> None:
    text = "\ufeffa\r\n東京 b"
    path, corpora = files(tmp_path, [row([{"start_index": 4, "end_index": 6, "content": "東京"}])], {"bank.txt": text})
    assert Questions.read(path, corpora).corpora == {"bank": text}


def test_a_span_without_its_content_is_taken_as_it_is(tmp_path: Path) -> None:
    path, corpora = files(tmp_path, [row([{"start_index": 0, "end_index": 5}])])
    assert Questions.read(path, corpora).spans == (((0, 5),),)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (row([reference(0, 5)], question=" "), "q.csv, line 2, question: is empty"),
        (row([reference(0, 5)], corpus_id="banc"), "q.csv, line 2, corpus_id: there is no text 'banc'; did you mean 'bank'?"),
        (row([reference(0, 5)], corpus_id=""), "q.csv, line 2, corpus_id: is empty"),
        (row(""), "q.csv, line 2, references: is empty"),
        (row("[{]"), "q.csv, line 2, references: is not JSON; the form is "),
        (row([]), "q.csv, line 2, references: is no list of objects; the form is "),
        (row({"start_index": 0}), "q.csv, line 2, references: is no list of objects; the form is "),
        (row([reference(0, 5, start_index="0")]), "q.csv, line 2, references: start_index of reference 1 is no whole number ('0')"),
        (row([reference(0, 5), reference(5, 5)]), "q.csv, line 2, references: reference 2 is from 5 to 5, and bank has 23 characters"),
        (row([reference(0, 5, end_index=99)]), "q.csv, line 2, references: reference 1 is from 0 to 99, and bank has 23 characters"),
        (row([reference(0, 5, content="Rate ")]), "q.csv, line 2, references: reference 1: characters 0 to 5 of bank are not its content"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_used_is_named_with_line_and_column(tmp_path: Path, bad: dict[str, Any], said: str) -> None:  # fmt: skip
    path, corpora = files(tmp_path, [bad])
    with pytest.raises(DataError) as trouble:
        Questions.read(path, corpora)
    assert trouble.value.message.startswith(said)
    assert "\n" not in trouble.value.message


def test_one_bad_row_in_a_hundred_is_set_aside_and_noted(tmp_path: Path) -> None:
    rows = [row([reference(0, 5)], f"Question {i}?") for i in range(100)]
    path, corpora = files(tmp_path, [*rows, row("x")])
    questions = Questions.read(path, corpora)
    assert len(questions) == 100
    assert questions.notes == (f"1 row rejected: {questions.rejected[0]}",)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ({}, "has no text"),
        ({"a.md": "x", "a.txt": "y"}, "a.md and a.txt have one name"),
        ({"a.pdf": "x"}, "has no text"),
    ],
)
def test_a_folder_that_cannot_be_used_is_said_so(tmp_path: Path, texts: dict[str, str], said: str) -> None:
    _, corpora = files(tmp_path, [], texts)
    with pytest.raises(DataError, match=said):
        sources(corpora)


def test_missing_places_and_broken_utf8_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such folder"):
        sources(tmp_path / "none")
    path, corpora = files(tmp_path, [row([reference(0, 5)])])
    with pytest.raises(DataError, match="is a file"):
        sources(path)
    (corpora / "other.md").write_bytes(b"ok\nno\xff")
    with pytest.raises(DataError, match=r"other.md:2: byte 5 of the file .* 0xff, is not UTF-8"):
        Questions.read(path, corpora)


def made(texts: list[str], names: list[str]) -> Questions:
    return Questions(
        texts=tuple(texts), sources=tuple(names), spans=(((0, 1),),) * len(texts), corpora=dict.fromkeys(names, "abc")
    )


def test_halves_are_even_in_every_source_share_no_question_and_do_not_depend_on_the_order() -> None:
    texts = [f"q{i}" for i in range(60)] + ["q3", "q4"]
    names = ["a" if i % 3 else "b" for i in range(60)] + ["a", "a"]
    questions = made(texts, names)
    tune, confirm = halves(questions, seed=1)
    assert sorted([*tune, *confirm]) == list(range(62))
    assert {texts[i] for i in tune}.isdisjoint({texts[i] for i in confirm})
    for name in ("a", "b"):
        assert abs(sum(names[i] == name for i in tune) - sum(names[i] == name for i in confirm)) <= 4
    back = made(texts[::-1], names[::-1])
    assert {back.texts[i] for i in halves(back, seed=1)[0]} == {texts[i] for i in tune}
    assert not np.array_equal(tune, halves(questions, seed=2)[0])


def test_the_recorded_questions_are_all_read_and_stand_where_they_say(shared: Path) -> None:
    data = shared / "data" / "rag_chunking"
    questions = Questions.read(data / "questions_df.csv", data / "corpora")
    assert (len(questions), questions.span_count, questions.asked_about, questions.notes) == (472, 790, 5, ())
