"""Files become tables, and cells become numbers; every complaint names the file, the line and the column."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from routelab.core.errors import DataError, suggest
from routelab.core.ports import Floats

if TYPE_CHECKING:
    import pandas as pd

Read: TypeAlias = tuple[Mapping[str, Sequence[Any]], Sequence[int]]

MAX_CELL = 1 << 26
"""No cell of a CSV file may be longer, in characters: an open quote would otherwise swallow the file."""

FORMATS = (".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".parquet")
REJECTED_SHARE = 0.01
"""Up to this share of a file's rows is set aside row by row; beyond it the file is something else."""


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """A row that was not taken: where it stands and why."""

    file: str
    line: int
    column: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}, {self.column}: {self.reason}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """A file's rows. `frame` holds the columns as they were written, blank cells missing; `lines` where each row begins.

    The frame's index keeps its values when rows are taken out, so that it always leads to the line.
    """

    path: Path
    frame: pd.DataFrame
    lines: Sequence[int]

    @property
    def name(self) -> str:
        """The file's name, for messages."""
        return self.path.name

    def __len__(self) -> int:
        return len(self.frame)

    def line(self, row: int) -> int:
        """Return the line, counted from 1, on which a row begins; `row` is a label of the frame's index."""
        return self.lines[row]

    def require(self, columns: Sequence[str]) -> None:
        """Raise DataError for the first column that is not there, with the nearest name that is."""
        for column in columns:
            if column not in self.frame.columns:
                near = suggest(column, self.frame.columns)
                raise DataError(
                    f"{self.name}, line 1: column '{column}' is missing",
                    hint=f"columns there: {', '.join(self.frame.columns)}" + ("" if near is None else f"; {near}"),
                )

    def of(self, dataset: str | None) -> tuple[Table, str | None]:
        """Return the rows of one dataset and its name; DataError when the name is not there or one must be chosen."""
        if "dataset" not in self.frame.columns:
            if dataset is not None:
                raise DataError(
                    f"{self.name}: has no column 'dataset', so '{dataset}' cannot be chosen", hint="leave dataset out"
                )
            return self, None
        there = [str(name) for name in self.frame["dataset"].dropna().unique()]
        if dataset is None:
            if len(there) > 1:
                raise DataError(
                    f"{self.name}: holds {len(there)} datasets; name one", hint=f"datasets: {', '.join(sorted(there))}"
                )
            return self, there[0] if there else None
        if dataset not in there:
            near = suggest(dataset, there)
            raise DataError(
                f"{self.name}, column dataset: unknown dataset '{dataset}'" + ("" if near is None else f"; {near}"),
                hint=f"datasets: {', '.join(sorted(there))}",
            )
        rows = self.frame[self.frame["dataset"] == dataset]
        return Table(path=self.path, frame=rows, lines=self.lines), dataset


def read_table(path: str | Path, columns: Sequence[str] | None = None) -> Table:
    """Return the rows of a csv, csv.gz, jsonl, jsonl.gz or parquet file; DataError when it cannot be read as such.

    `columns` limits what is kept, to save memory; names that the file does not have are passed over.
    """
    path = Path(path)
    name = path.name.lower().removesuffix(".gz")
    if not path.is_file():
        near = suggest(path.name, [p.name for p in path.parent.iterdir()]) if path.parent.is_dir() else None
        raise DataError(f"{path}: no such file" + ("" if near is None else f"; {near}"), hint="check the path")
    wanted = None if columns is None else set(columns)
    read = next((reader for ending, reader in _READERS.items() if name.endswith(ending)), None)
    if read is None:
        raise DataError(f"{path.name}: unknown format", hint=f"formats: {', '.join(FORMATS)}, or a DuckDB log")
    try:
        found, lines = read(path, wanted)
    except (OSError, EOFError, zlib.error) as trouble:
        raise DataError(f"{path.name}: cannot be read ({trouble})", hint="is it damaged, or not complete?") from None
    except UnicodeDecodeError as trouble:
        raise DataError(f"{path.name}: is not UTF-8 (byte {trouble.start})", hint="save it as UTF-8") from None
    import pandas as pd

    frame = pd.DataFrame({n: pd.Series(list(cells), dtype=object) for n, cells in found.items()})
    return Table(path=path, frame=frame, lines=lines)


def numbers(
    table: Table, column: str, *, low: float = 0.0, high: float = np.inf
) -> tuple[Floats, list[tuple[int, str]]]:
    """Return a column as numbers, NaN where blank or absent, and the (row label, reason) of unusable cells."""
    if column not in table.frame.columns:
        return np.full(len(table), np.nan), []
    raw = table.frame[column]
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(raw) or pd.api.types.is_bool_dtype(raw):
        raw = raw.map(_spelled, na_action="ignore")
    values = pd.to_numeric(raw, errors="coerce").to_numpy(dtype=float, na_value=np.nan).copy()
    blank = table.frame[column].isna().to_numpy(dtype=bool)
    unreadable = (np.isnan(values) & ~blank) | np.isinf(values)
    outside = (values < low) | (values > high)
    bad: list[tuple[int, str]] = []
    limits = f"at least {low:g}" if np.isinf(high) else f"between {low:g} and {high:g}"
    for i in np.flatnonzero(unreadable | outside):
        shown = str(table.frame[column].iloc[int(i)])[:40]
        bad.append(
            (
                int(table.frame.index[int(i)]),
                f"'{shown}' is not a number" if unreadable[i] else f"{shown} is not {limits}",
            )
        )
    values[unreadable | outside] = np.nan
    return values, bad


def texts(table: Table, column: str) -> NDArray[np.object_]:
    """Return a column as texts, None where blank or absent."""
    if column not in table.frame.columns:
        return np.full(len(table), None, dtype=object)
    raw = table.frame[column]
    out = raw.astype(object).to_numpy(dtype=object, copy=True)
    out[raw.isna().to_numpy(dtype=bool)] = None
    return np.array([None if v is None else v if isinstance(v, str) else str(v) for v in out], dtype=object)


def refuse(table: Table, bad: Sequence[tuple[int, str, str]]) -> tuple[Rejected, ...]:
    """Return the rejected rows, given as (row label, column, reason); DataError when they are more than a few."""
    if not bad:
        return ()
    rows = {row: (column, reason) for row, column, reason in reversed(bad)}
    rejected = tuple(
        Rejected(file=table.name, line=table.line(row), column=column, reason=reason)
        for row, (column, reason) in sorted(rows.items())[: 1 if len(rows) > REJECTED_SHARE * len(table) else None]
    )
    if len(rows) > REJECTED_SHARE * len(table):
        more = f" (and {len(rows) - 1} more of {len(table)} rows)" if len(rows) > 1 else ""
        raise DataError(
            f"{rejected[0]}{more}",
            hint=f"bad rows are set aside only up to {REJECTED_SHARE:.0%} of a file; correct it, or leave the cell blank",
        )
    return rejected


def _spelled(value: object) -> object:
    text = str(value).strip()
    return {"true": "1", "false": "0"}.get(text.lower(), text)


def _opened(path: Path) -> IO[str]:
    if path.name.lower().endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open("rt", encoding="utf-8-sig", newline="")


def _read_csv(path: Path, wanted: set[str] | None) -> Read:
    # The csv module's limit is the whole process's, so it is put back: a prompt may be longer than 128 KiB.
    before = csv.field_size_limit(MAX_CELL)
    try:
        with _opened(path) as stream:
            return _csv_columns(csv.reader(stream, strict=True), path.name, wanted)
    finally:
        csv.field_size_limit(before)


def _csv_columns(reader: Any, name: str, wanted: set[str] | None) -> Read:
    lines: list[int] = []
    rows: list[list[str]] = []
    header: list[str] = []
    start = 1
    try:
        for cells in reader:
            if cells and not header:
                header = cells
            elif cells:
                if len(cells) != len(header):
                    raise DataError(
                        f"{name}, line {start}: has {len(cells)} cells, and the header names {len(header)} columns",
                        hint="check the quotes and the commas in that line",
                    )
                lines.append(start)
                rows.append(cells)
            start = reader.line_num + 1
    except csv.Error as trouble:
        raise DataError(f"{name}, line {start}: {trouble}", hint="check the quotes in that line") from None
    if not header:
        raise DataError(f"{name}: is empty", hint="a header line is needed")
    twice = next((column for column in header if header.count(column) > 1), None)
    if twice is not None:
        raise DataError(f"{name}, line 1: column '{twice}' is there twice", hint="rename one of them")
    # Only blanks are missing: a reference may well be the text "None" or "NA".
    return {
        column: [row[k] or None for row in rows]
        for k, column in enumerate(header)
        if wanted is None or column in wanted
    }, lines


def _read_jsonl(path: Path, wanted: set[str] | None) -> Read:
    rows: list[Mapping[str, Any]] = []
    lines: list[int] = []
    with _opened(path) as stream:
        for number, text in enumerate(stream, 1):
            if not text.strip():
                continue
            try:
                row = json.loads(text)
            except (json.JSONDecodeError, RecursionError) as trouble:
                raise DataError(
                    f"{path.name}, line {number}: is not JSON ({trouble})", hint="one object a line"
                ) from None
            if not isinstance(row, dict):
                raise DataError(f"{path.name}, line {number}: is not an object", hint="one object a line")
            rows.append(row if wanted is None else {k: v for k, v in row.items() if k in wanted})
            lines.append(number)
    if not rows:
        raise DataError(f"{path.name}: is empty", hint="one object a line")
    return {n: [row.get(n) for row in rows] for n in dict.fromkeys(k for row in rows for k in row)}, lines


def _read_parquet(path: Path, wanted: set[str] | None) -> Read:
    import duckdb

    # DuckDB reads parquet, so no second engine is needed.
    with duckdb.connect(":memory:") as connection:
        try:
            found = connection.execute("select * from read_parquet(?)", [str(path)])
            names = [d[0] for d in found.description]
            rows = found.fetchall()
        except duckdb.Error as trouble:
            raise DataError(
                f"{path.name}: is not parquet ({str(trouble).splitlines()[0]})", hint="write it again"
            ) from None
    if not rows:
        raise DataError(f"{path.name}: is empty", hint="at least one row is needed")
    columns = zip(names, zip(*rows, strict=True), strict=True)
    return {n: values for n, values in columns if wanted is None or n in wanted}, range(1, len(rows) + 1)


_READERS: Mapping[str, Callable[[Path, set[str] | None], Read]] = {
    ".csv": _read_csv,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}
