"""Results that other programs recorded, read into outcomes; one module a format, and no file is ever unpickled."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from routelab.core.errors import ConfigError, DataError, suggest
from routelab.core.values import Prompt
from routelab.lab.formats import frugalgpt, inspectlogs, litellm, llmrouterbench, promptfoo, routerarena, routerbench
from routelab.lab.formats.calls import LINES, PICKLES, SHEETS, WHOLE, Reader, document, records
from routelab.lab.formats.gathered import gather
from routelab.lab.outcomes import Outcomes

OWN = "routelab"
"""routelab's own tables and logs, which are no foreign format."""

KINDS: Mapping[str, Reader] = {
    "llmrouterbench": llmrouterbench.read_llmrouterbench,
    "routerbench": routerbench.read_routerbench,
    "frugalgpt": frugalgpt.read_frugalgpt,
    "routerarena": routerarena.read_routerarena,
    "litellm": litellm.read_litellm,
    "promptfoo": promptfoo.read_promptfoo,
    "inspect": inspectlogs.read_inspect,
}
"""Every foreign format by its name; a reader yields calls, rejected rows and notes."""

MAX_SNIFFED = 64 << 20
"""A larger JSON document is not read twice to find out what it is."""


def read(path: Path, *, kind: str, dataset: str | None = None, prompts: Sequence[Prompt] = ()) -> Outcomes:
    """Return the outcomes in a file or a folder of a foreign format.

    ConfigError for a format that is not in KINDS, DataError for a file that does not have its form.
    """
    refuse_pickles(path)
    if kind not in KINDS:
        near = suggest(kind, (OWN, *KINDS))
        raise ConfigError(
            f"format: unknown '{kind}'" + ("" if near is None else f"; {near}"),
            hint=f"formats: {', '.join((OWN, *KINDS))}",
        )
    return gather(path, KINDS[kind], kind=kind, dataset=dataset, prompts=prompts)


def detect(path: str | Path) -> str:
    """Return the format of a file or a folder by its content: a name in KINDS, or "routelab" for everything else.

    Raises DataError, one line, for a pickle and for a folder in which no format is found.
    """
    path = Path(path)
    refuse_pickles(path)
    if path.is_dir():
        for file in _inside(path):
            found = detect(file)
            if found != OWN:
                return found
        raise DataError(f"{path}: no known format in this folder", hint=f"pass format=, one of {', '.join(KINDS)}")
    name = path.name.lower().removesuffix(".gz")
    if not path.is_file():
        return OWN
    if name.endswith(".eval"):
        return "inspect"
    if name.endswith(SHEETS):
        return _of_header(_header(path))
    if name.endswith(LINES):
        return _of_record(next((row for _, row in islice(records(path), 20) if row is not None), None))
    if name.endswith(WHOLE):
        return _of_document(path)
    return OWN


def refuse_pickles(path: Path) -> None:
    """Raise DataError for a pickle, by its name or by its first bytes: unpickling runs whatever a stranger wrote."""
    name = path.name.lower().removesuffix(".gz")
    if not name.endswith(PICKLES):
        if not path.is_file():
            return
        with path.open("rb") as stream:
            head = stream.read(2)
        if not (head[:1] == b"\x80" and head[1:] and head[1] <= 5):
            return
    raise DataError(
        f"{path.name}: is a pickle, which can run code when it is opened; it is not opened",
        hint="turn it into CSV with pandas, where you trust it, and read that",
    )


def _inside(folder: Path) -> Iterator[Path]:
    """Yield some of a folder's files, those that can be told apart."""
    endings = (*SHEETS, *LINES, *WHOLE, ".eval", *PICKLES)
    wanted = (p for p in sorted(folder.rglob("*")) if p.is_file() and not p.name.startswith("."))
    return islice((p for p in wanted if p.name.lower().removesuffix(".gz").endswith(endings)), 20)


def _header(path: Path) -> list[str]:
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", errors="replace", newline="") as stream:
            return next(csv.reader([stream.readline(1 << 20)]), [])
    except (OSError, EOFError, zlib.error, csv.Error):
        return []


def _of_header(columns: Sequence[str]) -> str:
    if {"prompt_id", "model"} <= set(columns):
        return OWN
    if routerbench.models_of(columns):
        return "routerbench"
    return "frugalgpt" if frugalgpt.is_answers(columns) else OWN


def _of_record(row: Mapping[str, Any] | None) -> str:
    if row is None or {"prompt_id", "model", "quality"} <= set(row):
        return OWN
    checks = {"litellm": litellm.is_payload, "routerarena": routerarena.is_prediction, "promptfoo": promptfoo.is_result}
    return next((kind for kind, is_one in checks.items() if is_one(row)), OWN)


def _of_document(path: Path) -> str:
    if path.stat().st_size > MAX_SNIFFED:
        raise DataError(
            f"{path.name}: is too large to find out its format", hint=f"pass format=, one of {', '.join(KINDS)}"
        )
    content = document(path)
    if llmrouterbench.is_result(content):
        return "llmrouterbench"
    inner = promptfoo.results_of(content)
    if inner is not None and any(promptfoo.is_result(row) for row in inner[:20]):
        return "promptfoo"
    if isinstance(content, Mapping) and {"eval", "samples"} <= set(content):
        return "inspect"
    rows = content if isinstance(content, list) else [content]
    return _of_record(next((row for row in rows[:20] if isinstance(row, Mapping)), None))
