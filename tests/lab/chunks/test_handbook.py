"""The handbook that ships with the package: every answer stands where it is said to, and the text is no template's."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

from routelab.chunking import chunker_of, document
from routelab.lab.chunks.bench import Plan, bench
from routelab.lab.chunks.questions import Questions, sources
from routelab.lab.chunks.settings import settings
from routelab.lab.datasets import shipped
from routelab.retrieval import whole

HANDBOOK = shipped("datasets") / "handbook"


def read() -> Questions:
    return Questions.read(HANDBOOK / "questions.csv", HANDBOOK / "corpora")


def test_every_answer_stands_at_its_offsets_and_nowhere_else() -> None:
    with (HANDBOOK / "questions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    texts = sources(HANDBOOK / "corpora")
    wrong = [
        (row["question"], one["content"])
        for row in rows
        for one in json.loads(row["references"])
        if texts[row["corpus_id"]][one["start_index"] : one["end_index"]] != one["content"]
        or texts[row["corpus_id"]].count(one["content"]) != 1
    ]
    assert wrong == []
    assert len({row["question"] for row in rows}) == len(rows)


def test_the_readme_counts_right() -> None:
    found = read()
    card = (HANDBOOK / "README.md").read_text(encoding="utf-8")
    words = sum(len(text.split()) for text in found.corpora.values())
    assert f"({words:,} words)" in card
    assert f"{len(found)} questions with {found.span_count} answer spans" in card
    assert found.rejected == ()
    assert len(found) >= 80
    assert Counter(found.sources).keys() == found.corpora.keys()


def test_no_sentence_stands_twice() -> None:
    said: Counter[str] = Counter()
    for text in read().corpora.values():
        prose = "\n".join(line for line in text.splitlines() if not line.startswith("|"))
        sentences = re.split(r"(?<=[.!?])\s+|\n\n|\n[-\d]", prose)
        said.update(" ".join(s.split()) for s in sentences if len(s.split()) >= 5)
    assert [sentence for sentence, n in said.items() if n > 1] == []


def test_documents_have_headings_tables_lists_and_code() -> None:
    texts = sources(HANDBOOK / "corpora")
    assert all(text.startswith("# ") and "\n## " in text and "\n|" in text for text in texts.values())
    assert sum("\n```" in text for text in texts.values()) >= 4
    assert sum("\n1. " in text for text in texts.values()) >= 6
    chunks = chunker_of({"kind": "markdown", "size": 200})(texts["safety"], "safety")
    assert ("Safety at sea and in the workshop", "On board", "Man overboard") in {c.headings for c in chunks}


def test_the_offsets_can_be_set_anew(tmp_path: Path) -> None:
    copy = shutil.copytree(HANDBOOK, tmp_path / "handbook")
    text = copy / "corpora" / "leave.md"
    text.write_bytes(b"One more line.\n" + text.read_bytes())
    subprocess.run([sys.executable, str(copy / "place.py")], check=True)
    before, after = read(), Questions.read(copy / "questions.csv", copy / "corpora")
    moved = [15 * (source == "leave") for source in before.sources]
    assert after.spans == tuple(
        tuple((a + by, b + by) for a, b in spans) for spans, by in zip(before.spans, moved, strict=True)
    )


def test_an_answer_that_is_gone_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    copy = shutil.copytree(HANDBOOK, tmp_path / "handbook")
    text = copy / "corpora" / "leave.md"
    text.write_bytes(text.read_bytes().replace(b"On Fridays", b"On Sundays"))
    before = (copy / "questions.csv").read_bytes()
    out = subprocess.run([sys.executable, str(copy / "place.py")], capture_output=True, text=True, check=False)
    assert out.returncode == 1
    assert "stands 0 times in its document: 'On Fridays there are" in out.stderr
    assert (copy / "questions.csv").read_bytes() == before


def test_questions_can_be_told_apart_but_not_all_are_easy() -> None:
    tried = settings(("recursive",), (200,), (0.0,))
    found = bench(
        read(), tried, embedders={"lexical": whole("lexical")}, plan=Plan(by=("vectors", "words"), budgets=())
    )
    assert all(0.4 < arm["recall"] < 0.98 for arm in found.arms), [arm["recall"] for arm in found.arms]


def test_the_documents_are_utf_8_with_plain_line_ends() -> None:
    assert [p.name for p in Path(HANDBOOK / "corpora").glob("*.md") if "\r" in document(p)] == []
