"""What every reader of a foreign format gives: calls, rejected rows and notes, and how files become rows."""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias, cast

from routelab.core.errors import DataError
from routelab.core.values import Message, Prompt, Role
from routelab.lab.readers import MAX_CELL, Rejected

UNKNOWN = math.nan
PICKLES = (".pkl", ".pickle", ".p", ".joblib", ".dill", ".pt", ".pth")
LINES, WHOLE, SHEETS = (".jsonl", ".ndjson"), (".json",), (".csv",)
MAX_DOCUMENT = 1 << 31
"""No JSON document may be larger, in bytes: it is held in memory as a whole, unlike a file of lines."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One recorded answer of a model to a prompt; a measure that was not recorded is NaN.

    `line` is the line of a CSV or JSONL file, and the number of the record, from 1, in a JSON document. Of several
    calls with one prompt id and one model the one with the highest `at` counts. `same` is compared instead of the
    messages where a format words one prompt differently for each model.
    """

    file: str
    line: int
    prompt: Prompt
    model: str
    quality: float = UNKNOWN
    cost_usd: float = UNKNOWN
    latency_s: float = UNKNOWN
    input_tokens: float = UNKNOWN
    output_tokens: float = UNKNOWN
    failed: bool = False
    response: str | None = None
    dataset: str | None = None
    at: float = 0.0
    same: str | None = None


Row: TypeAlias = Call | Rejected | str
"""A call, a row that was not taken, or a note about the file as a whole."""
Reader: TypeAlias = Callable[[Path], Iterator[Row]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a row stands: the file, and the line or the number of the record."""

    file: str
    line: int

    def rejected(self, column: str, reason: str) -> Rejected:
        """Return the rejection of the row."""
        return Rejected(file=self.file, line=self.line, column=column, reason=reason)

    def call(
        self, prompt: Prompt, model: object, measures: Mapping[str, tuple[str, object]], **given: Any
    ) -> Call | Rejected:
        """Return the call, or its rejection; `measures` gives for each measure the file's own name and its value."""
        name = "" if model is None else str(model).strip()
        if not name:
            return self.rejected("model", "is blank")
        found: dict[str, Any] = {}
        for measure, (column, value) in measures.items():
            found[measure], reason = figure(value, high=1.0 if measure == "quality" else math.inf)
            if reason is not None:
                return self.rejected(column, reason)
        return Call(file=self.file, line=self.line, prompt=prompt, model=name, **found, **given)


def figure(value: object, *, low: float = 0.0, high: float = math.inf) -> tuple[float, str | None]:
    """Return a value as a number, NaN where it is missing, and why it cannot be used, if it cannot.

    >>> figure("0.5"), figure(None), figure(True, high=1.0)
    ((0.5, None), (nan, None), (1.0, None))
    >>> figure("=1+1")
    (nan, "'=1+1' is not a number")
    """
    if value is None or value == "" or value != value:  # only NaN differs from itself
        return UNKNOWN, None
    if type(value) is float and low <= value <= high and value < math.inf:  # nearly every cell of a large file
        return value, None
    shown = str(value)[:40] if not isinstance(value, int) or abs(value) < 1 << 64 else "a huge number"
    text = {"true": "1", "false": "0"}.get(shown.strip().lower(), value)
    try:
        if not isinstance(text, (str, int, float)) or (isinstance(text, str) and "_" in text):
            raise ValueError
        number = float(text)
    except (ValueError, OverflowError):
        return UNKNOWN, f"'{shown}' is not a number"
    if not math.isfinite(number):
        return UNKNOWN, f"'{shown}' is not a number"
    if not low <= number <= high:
        limits = f"at least {low:g}" if math.isinf(high) else f"between {low:g} and {high:g}"
        return UNKNOWN, f"{shown} is not {limits}"
    return number, None


def text_of(value: object) -> str | None:
    """Return a value as text: itself, or its JSON; None when there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def mapping(value: object) -> Mapping[str, Any]:
    """Return a JSON object, also one that is written as text, or an empty one for anything else."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, Mapping) else {}


def turns(value: object) -> tuple[Message, ...] | None:
    """Return messages out of a text or a list of {role, content}; None when there is nothing readable.

    Of content that comes in parts the texts are kept, and every other part leaves its type in brackets.
    """
    if isinstance(value, str):
        return (Message(role="user", content=value),) if value else None
    if isinstance(value, Mapping) and isinstance(value.get("messages"), list):
        value = value["messages"]
    if not isinstance(value, list) or not value:
        return None
    roles = {"developer": "system", "function": "tool"}
    found = []
    for turn in value:
        role = turn.get("role") if isinstance(turn, Mapping) else None
        role = roles.get(role, role) if isinstance(role, str) else None
        if role not in ("system", "user", "assistant", "tool"):
            return None
        found.append(Message(role=cast(Role, role), content=_content(turn.get("content"))))
    return tuple(found)


def _content(value: object) -> str:
    if isinstance(value, list):
        parts = [part if isinstance(part, Mapping) else {"text": text_of(part)} for part in value]
        return "\n".join(str(p["text"]) if p.get("text") is not None else f"[{p.get('type', 'part')}]" for p in parts)
    return text_of(value) or ""


def files(path: Path, endings: Sequence[str]) -> list[tuple[Path, str]]:
    """Return the files to read, in order, with their names for messages: the path, or what its folder holds."""
    if path.is_file():
        return [(path, path.name)]
    if not path.is_dir():
        raise DataError(f"{path}: no such file", hint="check the path")
    found = sorted(
        p for p in path.rglob("*") if p.is_file() and not p.name.startswith(".") and _ending(p).endswith(tuple(endings))
    )
    if not found:
        raise DataError(f"{path}: holds no {' or '.join(endings)} file", hint="check the folder")
    return [(p, p.relative_to(path).as_posix()) for p in found]


def documents(path: Path, endings: Sequence[str] = WHOLE) -> Iterator[tuple[str, Any]]:
    """Yield the name and the content of each JSON file; DataError for one that is not JSON."""
    for file, name in files(path, endings):
        yield name, document(file)


def document(path: Path) -> Any:
    """Return the content of a JSON file; DataError, one line, when it is none."""
    try:
        with _opened(path) as stream:
            raw = stream.read(MAX_DOCUMENT + 1)
        if len(raw) > MAX_DOCUMENT:
            raise DataError(f"{path.name}: is too large for one JSON document", hint="write one object a line (.jsonl)")
        return json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as trouble:
        raise DataError(f"{path.name}: is not UTF-8 (byte {trouble.start})", hint="save it as UTF-8") from None
    except (ValueError, RecursionError) as trouble:
        raise DataError(f"{path.name}: is not JSON ({trouble})", hint="is it complete?") from None
    except (OSError, EOFError, zlib.error) as trouble:
        raise DataError(f"{path.name}: cannot be read ({trouble})", hint="is it damaged, or not complete?") from None


def records(path: Path, endings: Sequence[str] = (*LINES, *WHOLE)) -> Iterator[tuple[Place, Mapping[str, Any] | None]]:
    """Yield every object of files of JSON lines, of JSON lists and of single JSON objects.

    None stands for a row that is no object (NO_OBJECT is the reason); the next row is read all the same.
    """
    for file, name in files(path, endings):
        if _ending(file).endswith(LINES):
            yield from ((Place(file=name, line=n), row) for n, row in _lines(file))
            continue
        content = document(file)
        rows = content if isinstance(content, list) else [content]
        for number, row in enumerate(rows, 1):
            yield Place(file=name, line=number), row if isinstance(row, Mapping) else None


NO_OBJECT = "is not a JSON object in UTF-8 of at most 64 MB"


def _lines(path: Path) -> Iterator[tuple[int, Mapping[str, Any] | None]]:
    try:
        with _opened(path) as stream:
            number = 0
            while raw := stream.readline(MAX_CELL):
                number += 1
                if len(raw) == MAX_CELL and not raw.endswith(b"\n"):
                    while (rest := stream.readline(MAX_CELL)) and not rest.endswith(b"\n"):
                        pass
                    yield number, None
                elif raw.strip():
                    yield number, _object(raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw)
    except (OSError, EOFError, zlib.error) as trouble:
        raise DataError(f"{path.name}: cannot be read ({trouble})", hint="is it damaged, or not complete?") from None


def _object(raw: bytes) -> Mapping[str, Any] | None:
    try:
        row = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _ending(path: Path) -> str:
    return path.name.lower().removesuffix(".gz")


def _opened(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path, "rb")) if path.name.lower().endswith(".gz") else path.open("rb")
