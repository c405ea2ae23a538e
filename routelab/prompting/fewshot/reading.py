"""Files of examples as people keep them: CSV or JSON lines; every complaint names the file, the line and the column."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from routelab.core.errors import DataError, suggest
from routelab.core.files import text_of

PAIRS = (("question", "answer"), ("text", "label"), ("prompt", "reference"))
"""What the columns of a question and its answer may be called."""
KEYS = (*(name for pair in PAIRS for name in pair), "id", "group")
"""What a row may say; other columns of a file are left alone."""


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A row that holds an example, and where it stands; without an id of its own, `id` is None."""

    place: str
    question: str
    answer: str
    id: str | None = None
    group: str | None = None


def rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield ("file:line", row) for each line of a .csv or .jsonl file, gzipped or not."""
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(".jsonl"):
        yield from _json_lines(text_of(path), path)
    elif name.endswith(".csv"):
        yield from _csv_lines(text_of(path), path)
    else:
        raise DataError(f"{path}: is neither .csv nor .jsonl", hint="give a .csv, .csv.gz, .jsonl or .jsonl.gz file")


def placed(row: Mapping[str, Any], place: str) -> Placed:
    """Return the example in a row; DataError says which column is missing, empty or no text."""
    pair = next((pair for pair in PAIRS if pair[0] in row and pair[1] in row), None)
    if pair is None:
        message, hint = _missing(row, place)
        raise DataError(message, hint=hint)
    question, answer = (_text(row[name], f"{place}: {name}") for name in pair)
    own = row.get("id")
    group = row.get("group")
    return Placed(
        place=place,
        question=question,
        answer=answer,
        id=None if own in (None, "") else _text(own, f"{place}: id"),
        group=None if group in (None, "") else _text(group, f"{place}: group"),
    )


def _missing(row: Mapping[str, Any], place: str) -> tuple[str, str]:
    """Return the complaint about a row without a question and an answer: what is missing beside the one that is there."""
    half = next((pair for pair in PAIRS if pair[0] in row or pair[1] in row), PAIRS[0])
    lacking = next(name for name in half if name not in row)
    near = suggest(lacking, [str(name) for name in row if name not in half])
    wanted = "; ".join(f"{q} and {a}" for q, a in PAIRS)
    return (
        f"{place}: `{lacking}` is missing",
        near or f"there is: {', '.join(map(str, row)) or 'nothing'}; wanted: {wanted}",
    )


def _text(value: Any, place: str) -> str:
    # A number is shown the way it is written; true and false could be spelled in many ways.
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return json.dumps(value)
    if not isinstance(value, str):
        raise DataError(f"{place}: must be a text (got {value!r:.60})", hint="write it in quotes")
    if not value.strip():
        raise DataError(f"{place}: is empty", hint="leave the row out")
    return value


def _json_lines(text: str, path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as trouble:
            raise DataError(f"{path}:{number}: not JSON at column {trouble.colno} ({trouble.msg})") from None
        except RecursionError:
            raise DataError(f"{path}:{number}: is nested too deep") from None
        if not isinstance(row, dict):
            raise DataError(f"{path}:{number}: must be a JSON object, not {type(row).__name__}")
        yield f"{path}:{number}", row


def _csv_lines(text: str, path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        head = [name.strip() for name in next(reader, [])]
        _check(head, path)
        for row in reader:
            if not row:
                continue
            if len(row) != len(head):
                raise DataError(f"{path}:{reader.line_num}: has {len(row)} fields, the head has {len(head)}")
            yield f"{path}:{reader.line_num}", dict(zip(head, row, strict=True))
    except csv.Error as trouble:
        raise DataError(
            f"{path}:{reader.line_num}: not CSV ({trouble})",
            hint="a .jsonl file holds texts of any length" if "field limit" in str(trouble) else None,
        ) from None


def _check(head: Sequence[str], path: Path) -> None:
    twice = next((name for i, name in enumerate(head) if name in head[:i]), None)
    if twice is not None:
        raise DataError(f"{path}:1: the column '{twice}' is there twice", hint="keep one")
    if not any(q in head and a in head for q, a in PAIRS):
        message, hint = _missing(dict.fromkeys(head), f"{path}:1")
        raise DataError(message.replace("`", "the column `", 1), hint=hint)
