"""What DuckDB and the file system say, as errors of the log: one line each, with the next move."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import duckdb

from routelab.core.errors import LogBusy, LogError, LogUnreadable

_HOLDER = re.compile(r"\(PID (\d+)\)")
_LOCKED = re.compile(
    r"Could not set lock|Conflicting lock|being used by another process|already open in", re.IGNORECASE
)
_HERE = re.compile(r"different configuration than existing connections|already attached", re.IGNORECASE)
_FULL = re.compile(r"No space left|File too large|Disk quota exceeded|not enough space", re.IGNORECASE)
_DENIED = re.compile(r"Permission denied|Read-only file system|Access is denied|Operation not permitted", re.IGNORECASE)
_GONE = re.compile(r"No such file or directory|database does not exist|cannot find the (?:file|path)", re.IGNORECASE)
_OLDER = re.compile(r"version number|newer version of DuckDB|storage version", re.IGNORECASE)
_DAMAGED = re.compile(r"Corrupt|checksum|Serialization Error|Failed to deserialize|out of range", re.IGNORECASE)


class WalDamaged(LogUnreadable):
    """The write-ahead log cannot be replayed; the file itself may be whole."""


class RowRefused(LogError):
    """DuckDB refuses a row for what is in it; asking again cannot help."""


def mapped(error: duckdb.Error | OSError, path: str | Path) -> LogError:
    """Return the error of the log that says what DuckDB or the file system said about the path."""
    text = str(error)
    if _HERE.search(text):
        return busy(path, os.getpid())
    if _LOCKED.search(text):
        found = _HOLDER.search(text)
        return busy(path, int(found.group(1)) if found else None)
    if "replaying WAL" in text:
        return WalDamaged(
            f"{path}.wal is damaged: {first_line(text)}", hint="open it for writing once, to set it aside"
        )
    if _FULL.search(text) or getattr(error, "errno", None) in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        return LogError(f"{path}: the disk is full", hint="free some space; rows wait in memory and are written then")
    if _DENIED.search(text):
        return LogUnreadable(f"{path} cannot be written: {first_line(text)}", hint="choose a folder you may write to")
    if "not a valid DuckDB database" in text:
        return foreign(path)
    if _OLDER.search(text):
        return LogUnreadable(f"{path} was written by a newer DuckDB", hint="python -m pip install -U duckdb")
    if _GONE.search(text):
        return missing(Path(path))
    if "Is a directory" in text:
        return LogUnreadable(f"{path} is a folder", hint="name a file in it, such as log.duckdb")
    if _DAMAGED.search(text):
        return LogUnreadable(
            f"{path} is damaged: {first_line(text)}", hint="move it away and restore a copy, or start a new one"
        )
    return LogError(f"{path}: {first_line(text)}", hint="%routelab doctor shows the log's health")


def refused(error: duckdb.Error, path: str | Path) -> LogError:
    """Return the error for a batch that DuckDB refuses: a RowRefused when it is for what a row holds."""
    if isinstance(error, duckdb.DataError | duckdb.InvalidInputException | duckdb.NotSupportedError):
        return RowRefused(f"{path}: a row is refused: {first_line(str(error))}", hint="please report it: it is a bug")
    return mapped(error, path)


def asked(error: duckdb.Error) -> LogError:
    """Return the error for a query that cannot be answered, as one line."""
    text = str(error)
    if isinstance(error, duckdb.InterruptException):
        return LogError("the query was stopped", hint="ask for less, or give it more time")
    if "pytz" in text:
        return LogError(
            "a time with a time zone cannot be shown here", hint="cast it: now()::timestamp; the log's are UTC"
        )
    said = text.split("\n\nLINE ")[0]
    said = " ".join(line.strip() for line in said.splitlines() if line.strip())
    return LogError(first_line(said), hint="show tables; describe calls")


def missing(path: Path) -> LogUnreadable:
    """Return the error for a file or its folder that is not there."""
    if not path.parent.is_dir():
        return LogUnreadable(
            f"the folder of the log is not there: {path.parent}", hint="make the folder, or name another"
        )
    return LogUnreadable(f"there is no log at {path}", hint="a Log makes one when something is recorded")


def foreign(path: str | Path) -> LogUnreadable:
    """Return the error for a file that is not a DuckDB database."""
    return LogUnreadable(f"{path} is not a DuckDB database", hint="name another file; this one is left as it is")


def not_a_log(path: str | Path) -> LogUnreadable:
    """Return the error for a DuckDB database that somebody else made."""
    return LogUnreadable(
        f"{path} is a DuckDB database, but not a log of routelab", hint="name another file; this one is left as it is"
    )


def newer(path: str | Path, version: int, known: int) -> LogUnreadable:
    """Return the error for a log that a later routelab wrote."""
    return LogUnreadable(
        f"{path} has schema {version}, this routelab knows up to {known}", hint="python -m pip install -U routelab"
    )


def busy(path: str | Path, pid: int | None) -> LogBusy:
    """Return the error for a file that somebody holds, naming the process where the system told it."""
    if pid == os.getpid():
        return LogBusy(
            f"{path} is open in this very process (PID {pid}) with duckdb.connect", hint="close that connection first"
        )
    who = "another process" if pid is None else f"process PID {pid}"
    return LogBusy(
        f"{path} is held by {who}",
        hint="close it there, read a copy of it, or log to a file of your own and merge it later with log.merge(path)",
    )


def holder(error: LogError) -> int | None:
    """Return the PID that a LogBusy names, or None."""
    found = re.search(r"PID (\d+)", error.message)
    return int(found.group(1)) if found else None


def first_line(text: str) -> str:
    """Return the first line of what DuckDB says, without its own heading."""
    line = next((line for line in text.splitlines() if line.strip()), "").strip()
    return re.sub(r"^(?:[A-Z][\w ]* Error|INTERRUPT Error): ", "", line)
