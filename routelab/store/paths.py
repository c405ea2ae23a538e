"""The log's files by name: making them whole, setting them aside, and locking them the way DuckDB does."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

import duckdb

from routelab.store import tables, trouble

Identity: TypeAlias = tuple[int, int, int]
TICK_S = 0.02
"""Two writes that are so far apart have different times; Linux keeps a file's time in steps of up to 10 ms."""
_MAGIC = slice(8, 12)  # of a DuckDB file, after its first checksum


def wal_of(log: Path) -> Path:
    """Return where DuckDB keeps the log's write-ahead log."""
    return log.with_name(log.name + ".wal")


def spool_of(log: Path) -> Path:
    """Return the folder where rows wait that could not be written into the log."""
    return log.with_name(log.name + ".spool")


def identity(path: Path) -> Identity | None:
    """Return what tells one version of a file from the next, or None when it is not there."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def settled(path: Path) -> Identity | None:
    """Return the file's identity once a later write is sure to change it: file systems tell times a few milliseconds apart."""
    while True:
        found = identity(path)
        age_s = math.inf if found is None else time.time() - found[2] / 1e9
        # A time in the future is another machine's clock, for which there is nothing to wait.
        if not 0 <= age_s < TICK_S:
            return found
        time.sleep(TICK_S - age_s)


def set_aside(path: Path, why: str, now: datetime) -> Path:
    """Rename the file to a free name that says why and when, and return that name."""
    stem = f"{path.name}.{why}-{now:%Y%m%dT%H%M%S}"
    names = (path.with_name(stem if n == 0 else f"{stem}-{n}") for n in range(1000))
    aside = next(name for name in names if not name.exists())
    path.rename(aside)
    return aside


def lay(new: Path, path: Path, *, log_id: str, session: str, now: datetime) -> None:
    """Make an empty log under the first name and give it the second in one step, so that nobody ever meets half a log.

    A log that another process has put there meanwhile stays, and so does any file that is not empty.
    """
    try:
        con = duckdb.connect(str(new))
        try:
            tables.create(con)
            tables.note(con, "log", log_id, session=session, at=now)
        finally:
            con.close()
        wal = wal_of(path)
        if wal.exists() and not path.exists():
            # Left behind by a log that somebody deleted; DuckDB would take it for ours.
            set_aside(wal, "stray", now)
        _name(new, path)
    finally:
        for leftover in (new, wal_of(new)):
            leftover.unlink(missing_ok=True)


def _name(new: Path, path: Path) -> None:
    if path.exists():
        # An empty file, as tempfile and touch make them. DuckDB itself refuses to start from one.
        if path.stat().st_size == 0:
            new.replace(path)
        return
    try:
        os.link(new, path)
    except FileExistsError:
        return
    except OSError:
        # No hard links here (FAT, some network drives). On Windows a rename never replaces.
        if not path.exists():
            new.rename(path)


@contextlib.contextmanager
def alone(log: Path) -> Iterator[None]:
    """Hold the log's file against every other process for a moment; raises LogBusy when somebody holds it.

    Only for a file that this process does not have open: letting go drops DuckDB's own locks in this process too.
    """
    if sys.platform == "win32":  # there, a file that somebody has open cannot be renamed anyway
        yield
        return
    import fcntl

    with log.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise trouble.busy(log, None) from error
        yield


def foreign(path: Path) -> bool:
    """Say that the file is there, is not empty and is not DuckDB's; False where that cannot be looked at safely.

    DuckDB itself would take a SQLite file for its own and reach for the network to download an extension.
    """
    if not path.is_file() or _open_here(path):
        return False
    try:
        with path.open("rb") as file:
            start = file.read(12)
    except PermissionError:
        return False
    return bool(start) and start[_MAGIC] != b"DUCK"


def _open_here(path: Path) -> bool:
    """Say that this process may have the file open, so that opening and closing it would drop DuckDB's lock."""
    if sys.platform == "win32":
        return False
    mine = path.stat()
    try:
        handles = [int(name) for name in os.listdir("/dev/fd")]
    except OSError:
        return True
    for handle in handles:
        with contextlib.suppress(OSError):
            found = os.fstat(handle)
            if (found.st_dev, found.st_ino) == (mine.st_dev, mine.st_ino):
                return True
    return False
