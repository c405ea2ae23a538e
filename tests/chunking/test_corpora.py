"""Corpora: found where people keep them, read as they are, and every trouble names the file."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from routelab.chunking.corpora import Corpora, Corpus, read
from routelab.core.errors import ConfigError, DataError


@pytest.fixture
def handbook(tmp_path: Path) -> Path:
    """A folder of documents with what lies among documents."""
    folder = tmp_path / "handbook"
    (folder / "guide").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / "a.md").write_bytes("\ufeffone\r\ntwo".encode())
    (folder / "guide" / "b.py").write_text("x = 1\n")
    (folder / "guide" / "page.html").write_text("<h1>Leave</h1><p>Two&nbsp;weeks</p>")
    (folder / "empty.txt").write_text(" \n")
    (folder / "numbers.csv").write_text("a,b\n1,2\n")
    (folder / "rows.jsonl").write_text('{"id": 7, "text": "seven"}\n\n{"id": "x", "text": "ix", "more": 1}\n')
    (folder / ".hidden.md").write_text("no")
    (folder / ".git" / "c.md").write_text("no")
    (folder / "photo.png").write_bytes(b"\x89PNG")
    return folder


def test_a_folder_is_its_documents_by_their_paths_and_says_what_it_left_out(handbook: Path) -> None:
    corpus = read(handbook)
    assert (corpus.name, dict(corpus.texts)) == (
        "handbook",
        {
            "a.md": "\ufeffone\r\ntwo",
            "guide/b.py": "x = 1\n",
            "guide/page.html": "# Leave\n\nTwo\xa0weeks",
            "rows.jsonl#7": "seven",
            "rows.jsonl#x": "ix",
        },
    )
    assert corpus.notes == ("empty.txt: left out, is empty", "numbers.csv: left out, has no column 'id'")
    assert len(corpus) == 5


def test_a_table_is_a_document_a_row(tmp_path: Path) -> None:
    (tmp_path / "faq.csv").write_text('id,title,text\n1,x,"two\nlines"\nb,y,' + "z" * 200_000 + "\n")
    assert dict(read(tmp_path / "faq.csv").texts) == {"1": "two\nlines", "b": "z" * 200_000}
    (tmp_path / "faq.jsonl.gz").write_bytes(gzip.compress(json.dumps({"id": "é", "text": "t"}).encode()))
    assert dict(read(tmp_path / "faq.jsonl.gz").texts) == {"é": "t"}


@pytest.mark.parametrize(
    ("name", "raw", "said"),
    [
        ("a.md", b"fine\n\xff", "a.md:2: byte 5 of the file"),
        ("a.md", b" \n", "a.md: is empty"),
        ("a.csv", b"", "a.csv: is empty"),
        ("a.csv", b"id,txt\n", "a.csv:1: has no column 'text'; did you mean 'txt'?"),
        ("a.csv", b"id,text\n1,one\n1,two\n", "a.csv:3: the id '1' is that of line 2 too"),
        ("a.csv", b"id,text\n1\n", "a.csv:2: has 1 cells, the first line has 2"),
        ("a.csv", b'id,text\n1,"one\n', "a.csv:2: is not CSV"),
        ("a.csv", b"id,text\n1, \n", "a.csv:2: text: is empty"),
        ("a.jsonl", b'{"id": 1, "text": "t"}\n{"id": 2', "a.jsonl:2: is not JSON"),
        ("a.jsonl", b"[1]", "a.jsonl:1: must be an object with id and text"),
        ("a.jsonl", b'{"id": 1}', "a.jsonl:1: has no 'text'"),
        ("a.jsonl", b'{"id": true, "text": "t"}', "a.jsonl:1: `id` must be a text or a whole number"),
        ("a.jsonl", b"\xff", "a.jsonl:1: is not UTF-8"),
        ("a.jsonl.gz", b"no gzip", "a.jsonl.gz: cannot be read"),
        ("a.bin", b"x", "a.bin: is of no kind that is read"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line_that_names_it(tmp_path: Path, name: str, raw: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(DataError) as trouble:
        read(tmp_path / name)
    assert trouble.value.message.startswith(f"{tmp_path}/{said}")
    assert "\n" not in trouble.value.message


def test_a_broken_file_in_a_folder_is_named_and_an_empty_folder_says_so(handbook: Path, tmp_path: Path) -> None:
    (handbook / "rows.jsonl").write_text("{")
    with pytest.raises(DataError, match=r"handbook/rows\.jsonl:1: is not JSON"):
        read(handbook)
    (tmp_path / "nothing").mkdir()
    (tmp_path / "nothing" / "a.md").write_text("")
    with pytest.raises(DataError, match=r"nothing: has no documents \(a\.md: left out, is empty\)"):
        read(tmp_path / "nothing")
    with pytest.raises(DataError, match="there is no such file or folder"):
        read(tmp_path / "none")


def test_links_that_lead_round_or_nowhere_are_not_followed(handbook: Path) -> None:
    before = read(handbook).digest
    os.symlink(handbook, handbook / "guide" / "round")
    os.symlink(handbook / "gone.md", handbook / "broken.md")
    assert read(handbook).digest == before
    assert Corpora().state(str(handbook))


def test_the_digest_is_that_of_sources_and_texts() -> None:
    one, other = ({"a": "xy", "b": "z"}, {"b": "z", "a": "xy"})
    assert Corpus(name="n", texts=one).digest == Corpus(name="m", texts=other).digest
    assert len({Corpus(name="n", texts=t).digest for t in (one, {"a": "x", "b": "yz"}, {"ax": "y", "b": "z"})}) == 3


def test_what_was_given_comes_before_what_lies_about(handbook: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(handbook.parent)
    corpora = Corpora(given={"handbook": {"a": "given"}, "list": ["x", "y"], "path": str(handbook / "guide")})
    assert dict(corpora("handbook").texts) == {"a": "given"}
    assert dict(corpora("list").texts) == {"1": "x", "2": "y"}
    assert sorted(corpora("path").texts) == ["b.py", "page.html"]
    assert len(Corpora()("handbook")) == 5


def test_a_name_is_looked_for_beside_the_file_then_where_one_works_and_under_corpora(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, beside = tmp_path / "here", tmp_path / "beside"
    for folder in (here / "corpora", beside):
        folder.mkdir(parents=True)
    monkeypatch.chdir(here)
    (here / "corpora" / "faq.md").write_text("under corpora")
    assert dict(Corpora().beside(beside)("faq").texts) == {"faq.md": "under corpora"}
    (here / "faq.txt").write_text("here")
    assert dict(Corpora()("faq").texts) == {"faq.txt": "here"}
    (beside / "faq").mkdir()
    (beside / "faq" / "a.md").write_text("beside")
    assert dict(Corpora().beside(beside)("faq").texts) == {"a.md": "beside"}
    assert dict(Corpora()(str(beside / "faq" / "a.md")).texts) == {"a.md": "beside"}
    (here / "faq.md").write_text("here too")
    with pytest.raises(ConfigError, match=r"faq\.md and faq\.txt both have that name"):
        Corpora()("faq")


def test_an_unknown_name_gets_the_nearest_and_where_it_was_looked_for(
    handbook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(handbook.parent)
    with pytest.raises(ConfigError) as trouble:
        Corpora(folders=(Path("configs"),), given={"wiki": ["x"]})("handbok")
    assert trouble.value.message == "there is no corpus 'handbok'; did you mean 'handbook'?"
    assert trouble.value.hint == (
        "a folder or file of that name in configs, the working directory or in corpora/ there, or lab.corpora['handbok'] = ..."
    )
    with pytest.raises(DataError, match="corpus gone: nowhere: there is no such file or folder"):
        Corpora(given={"gone": "nowhere"})("gone")


@pytest.mark.parametrize("given", [{}, {"a": ""}, {"a": 1}, {1: "a"}, []])
def test_what_is_given_must_be_texts(given: object) -> None:
    with pytest.raises(DataError, match="corpus n: "):
        Corpora(given={"n": given})("n")  # type: ignore[dict-item]


def test_the_state_changes_with_the_files_and_is_told_without_reading_them(handbook: Path) -> None:
    corpora = Corpora(given={"texts": {"a": "x"}, "there": handbook})
    before = corpora.state("there")
    assert corpora.state("there") == before
    (handbook / "a.md").write_bytes(b"\xff not UTF-8")
    assert corpora.state("there") != before
    assert corpora.state("texts") == Corpus(name="any", texts={"a": "x"}).digest
