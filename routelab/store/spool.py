"""Rows that cannot be written into the log now, kept as JSON lines beside it and taken in when it is next opened."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from routelab.store import paths, watermark
from routelab.store.rows import Unit

STALE_S = 60.0


class Spool:
    """One session's file of waiting units, `<log>.spool/<session>.jsonl`; locked for as long as the session lives."""

    def __init__(self, log: Path, session: str) -> None:
        self._folder = paths.spool_of(log)
        self._session = session
        self._started = 0
        self._file: IO[str] | None = None
        self.path = self._folder / f"{session}.jsonl"

    def append(self, units: Sequence[Unit]) -> None:
        """Add the units; when it returns, they survive a crash. Raises OSError."""
        if self._file is None:
            # A new name each time: the one before may be waiting for the next who opens the log.
            self._folder.mkdir(exist_ok=True)
            self._started += 1
            self.path = self._folder / f"{self._session}-{self._started}.jsonl"
            self._file = _started(self.path)
        self._file.write("".join(_line(unit) for unit in units))
        self._file.flush()
        os.fsync(self._file.fileno())
        watermark.settle(self.path.parent)

    def clear(self) -> None:
        """Remove the file: its units are in the log now. Nothing happens when there is none."""
        if self._file is not None:
            self.close()
            _discard(self.path)

    def close(self) -> None:
        """Let go of the file and leave it there for whoever opens the log next."""
        if self._file is not None:
            # What could not be written through was never acknowledged.
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None


def refuse(beside: Path, unit: Unit) -> None:
    """Keep a unit that DuckDB refuses in a file that is not taken in again, to be looked at. Raises OSError."""
    beside.parent.mkdir(exist_ok=True)
    with beside.with_suffix(".refused").open("a", encoding="utf-8") as file:
        file.write(_line(unit))


def left_behind(log: Path) -> list[Path]:
    """Return the spool files of sessions that have ended, oldest first."""
    folder = paths.spool_of(log)
    if not folder.is_dir():
        return []
    found = []
    for path in sorted(folder.glob("*.jsonl")):
        with contextlib.suppress(OSError), path.open("r+", encoding="utf-8") as file:
            _lock(file)
            found.append(path)
    for path in folder.glob("*.starting"):
        # Killed between making the file and naming it: it holds nothing. A living session needs a moment for that, not a minute.
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > STALE_S:
                path.unlink()
    return found


def read(path: Path) -> list[Unit]:
    """Return the units of a spool file; a line that a crash cut short was never acknowledged and is left out."""
    return list(_units(path))


def discard(path: Path) -> None:
    """Remove a spool file whose units are in the log, and the folder with the last one."""
    _discard(path)


def _units(path: Path) -> Iterator[Unit]:
    with path.open("rb") as file:
        for line in file:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                facts = json.loads(line)
                rows = {
                    name: tuple(tuple(_out(v) for v in row) for row in found) for name, found in facts["rows"].items()
                }
                yield Unit(table=facts["table"], key=tuple(facts["key"]), rows=rows)


def _discard(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
        path.parent.rmdir()


def _line(unit: Unit) -> str:
    rows = {name: [[_in(v) for v in row] for row in found] for name, found in unit.rows.items()}
    return json.dumps({"table": unit.table, "key": unit.key, "rows": rows}, separators=(",", ":")) + "\n"


def _in(value: Any) -> Any:
    if isinstance(value, datetime):
        return {"at": value.isoformat()}
    return {"b64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _out(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return datetime.fromisoformat(value["at"]) if "at" in value else base64.b64decode(value["b64"])


def _started(path: Path) -> IO[str]:
    if sys.platform == "win32":
        return path.open("a", encoding="utf-8")
    # Locked before it has its name, so that nobody can take a living session's file for one that was left behind.
    new = path.with_suffix(".starting")
    file = new.open("a", encoding="utf-8")
    try:
        _lock(file)
        new.rename(path)
    except OSError:
        file.close()
        raise
    return file


def _lock(file: IO[str]) -> None:
    """Take the file for this process; raises OSError when a living session has it."""
    if sys.platform == "win32":  # there, a file that is open elsewhere cannot be removed
        return
    import fcntl

    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
