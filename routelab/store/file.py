"""One DuckDB file, open only for as long as it takes to write a batch or to read: two notebooks can share it.

Nothing but DuckDB opens the database file while this process may hold it. On POSIX, closing any descriptor of a file
drops every lock that the process has on it, DuckDB's too, and a second process can then write into it (measured).

DuckDB reads the file's header before it locks the file, and not again after (measured, 2.0): what another process commits
in between is overwritten by whoever opens then. So each open looks whether the file is the one that it was before.
"""

from __future__ import annotations

import contextlib
import json
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import duckdb

from routelab.core.errors import LogBusy, LogError
from routelab.store import paths, tables, trouble, watermark
from routelab.store.clock import Timepiece
from routelab.store.rows import Unit
from routelab.store.schema import FACTS, VERSION
from routelab.store.watermark import Watermark

T = TypeVar("T")
Connection = duckdb.DuckDBPyConnection
SEALED: Mapping[str, bool] = MappingProxyType({"enable_external_access": False, "python_enable_replacements": False})
"""No other file, no network, and no variable of this process under a table's name."""
CHAIN = 64
"""How many writes in a row are known to be nobody else's."""
# The system's own generator: waiting must not advance a generator that the user has seeded.
_JITTER = random.SystemRandom()


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Acknowledged rows that are not in the file any more, by table, and where the damaged WAL was put."""

    rows: Mapping[str, int]
    wal: str | None = None

    def __str__(self) -> str:
        lost = ", ".join(f"{n} of {name}" for name, n in self.rows.items())
        what = f"acknowledged rows are missing: {lost}" if lost else "no acknowledged row is missing"
        return what if self.wal is None else f"the WAL was damaged and is kept as {self.wal}; {what}"


class LogFile:
    """A log on disk: `write` and `read` open it, do their work and let go; one of them at a time in this process."""

    def __init__(
        self, path: Path, *, session: str, clock: Timepiece, lock_s: float = 10.0, read_only: bool = False
    ) -> None:
        self.path = path
        self.read_only = read_only
        self.session = session
        self.losses: tuple[Loss, ...] = ()
        self.turn = threading.Lock()
        """Held while the file is open; a fork takes it first, or the child would inherit an open database."""
        self._clock = clock
        self._lock_s = lock_s
        self._closed = False
        self._known: str | None = None
        self._aside: str | None = None
        self.own: tuple[object, ...] = ()
        """The file as this process's latest writes left it, one after the other, and as the first of these found it."""
        self._reading_now: Connection | None = None

    def prepare(self, *, patience_s: float | None = None) -> None:
        """Make the file if it is not there and check that it is a log; raises a LogError. Read-only: only check."""
        if paths.foreign(self.path):
            raise trouble.foreign(self.path)
        if self.read_only:
            self.read(lambda con: None, patience_s=patience_s)
            return
        self.write((), patience_s=patience_s)

    def write(self, units: Sequence[Unit], *, patience_s: float | None = None) -> int:
        """Write the units in one transaction, without those that are there already; returns the number of rows.

        When it returns, the rows survive a kill of the process and a crash of the machine.
        """

        def work(con: Connection) -> tuple[int, Mapping[str, int]]:
            written = tables.write(con, units)
            return sum(written.values()), written

        return self._patiently(lambda: self._writing(work), patience_s)

    def change(self, work: Callable[[Connection], tuple[T, Mapping[str, int]]]) -> T:
        """Do the work in one transaction, whose result and rows by table it returns; raises LogBusy when the file is held."""
        return self._patiently(lambda: self._writing(work), None)

    def merge(self, other: Path) -> dict[str, int]:
        """Take over what another log has and this one has not; returns the rows by table."""

        def work(con: Connection) -> tuple[dict[str, int], Mapping[str, int]]:
            tables.identify(con, other, catalog="other")
            taken = tables.merge(con)
            return taken, taken

        return self._patiently(lambda: self._writing(work, attach=other), None)

    def read(
        self, work: Callable[[Connection], T], *, pending: Sequence[Unit] = (), patience_s: float | None = None
    ) -> T:
        """Return the work's result on a read-only connection that sees the pending units too, and no other file."""
        result = self._patiently(lambda: self._reading(work, pending), patience_s)
        if self._aside is not None:
            # This read had to set a damaged WAL aside: count at once what went with it.
            self.write((), patience_s=patience_s)
        return result

    def release(self) -> None:
        """Close for good: what runs is stopped, nothing begins any more, and nothing is open when it returns."""
        self._closed = True
        stop(self.turn, lambda: self._reading_now)

    def stamp(self) -> object:
        """Return what changes when anybody writes into the file."""
        return (paths.identity(self.path), paths.identity(paths.wal_of(self.path)))

    def renew(self) -> None:
        """Forget the locks that threads of a parent process held at the fork."""
        self.turn = threading.Lock()

    def _patiently(self, once: Callable[[], T], patience_s: float | None) -> T:
        # Real seconds on purpose: it is another process that is waited for, and no test's clock moves that one.
        until = time.monotonic() + (self._lock_s if patience_s is None else patience_s)
        while True:
            try:
                with self.turn:
                    if self._closed:
                        raise LogError(f"{self.path}: this log is closed", hint="open it again: Log(path)")
                    return once()
            except LogBusy:
                if self._closed or time.monotonic() >= until:
                    raise
            time.sleep(_JITTER.uniform(0.005, 0.05))

    # Both run with `turn` held, in a frame of their own, so that the connection is gone before the turn is given away.

    def _writing(self, work: Callable[[Connection], tuple[T, Mapping[str, int]]], attach: Path | None = None) -> T:
        self._make()
        crashed = paths.wal_of(self.path).exists()
        found = self.stamp()
        con = self._connect(read_only=False)
        with self._closing(con):
            self._validate(con, recount=crashed)
            if attach is not None:
                con.execute(f"attach {_quoted(attach)} as other (read_only)")
            con.begin()
            try:
                result, written = work(con)
            except duckdb.Error as error:
                raise trouble.refused(error, self.path) from error
            con.commit()
            self._mark(con, written)
        chain = self.own if self.own and self.own[-1] == found else (found,)
        self.own = (*chain, self.stamp())[-CHAIN:]
        return result

    def _reading(self, work: Callable[[Connection], T], pending: Sequence[Unit]) -> T:
        con = self._connect(read_only=True)
        with self._closing(con):
            version, _ = tables.identify(con, self.path)
            tables.overlay(con, pending, version)
            con.execute("set lock_configuration = true")
            self._reading_now = con
            try:
                return work(con)
            finally:
                self._reading_now = None

    @contextlib.contextmanager
    def _closing(self, con: Connection) -> Iterator[None]:
        try:
            yield
        except (duckdb.Error, OSError) as error:
            raise trouble.mapped(error, self.path) from error
        finally:
            # Closing checkpoints; where that fails (disk full) the commit is safe in the WAL for the next open.
            with contextlib.suppress(duckdb.Error):
                con.close()

    def _connect(self, *, read_only: bool) -> Connection:
        wal = paths.identity(paths.wal_of(self.path))
        try:
            return self._current(read_only)
        except trouble.WalDamaged:
            if self.read_only:
                raise
            self._quarantine(wal)
            return self._current(read_only)

    def _current(self, read_only: bool) -> Connection:
        """Return a connection to the file as it is; raises LogBusy when another process wrote while it was opened."""
        before = paths.settled(self.path)
        try:
            con = self._connected(read_only)
        except LogBusy:
            raise
        except LogError as error:
            # A header of before with blocks of after looks like damage.
            if paths.identity(self.path) != before:
                raise trouble.busy(self.path, None) from error
            raise
        if paths.identity(self.path) == before:
            return con
        # Nothing of this may reach the file: what it holds is older.
        with contextlib.suppress(duckdb.Error):
            con.execute("pragma disable_checkpoint_on_shutdown")
        con.close()
        raise trouble.busy(self.path, None)

    def _connected(self, read_only: bool) -> Connection:
        try:
            if read_only:
                con = duckdb.connect(str(self.path), read_only=True, config=dict(SEALED))
            else:
                # No configuration here: a user's plain duckdb.connect of the same file then shares the instance.
                con = duckdb.connect(str(self.path))
            # On inside Jupyter by default, where it draws widgets from this thread (duckdb#6815, #10216).
            con.execute("set enable_progress_bar = false")
            con.execute("set python_enable_replacements = false")
        except duckdb.Error as error:
            raise trouble.mapped(error, self.path) from error
        return con

    def _make(self) -> None:
        with contextlib.suppress(OSError):
            if self.path.stat().st_size > 0 or self.path.is_dir():
                return
        if not self.path.parent.is_dir():
            raise trouble.missing(self.path)
        new = self.path.with_name(f".{self.path.name}.{self.session}.new")
        try:
            paths.lay(new, self.path, log_id=uuid.uuid4().hex, session=self.session, now=self._clock.now())
        except (OSError, duckdb.Error) as error:
            raise trouble.mapped(error, self.path) from error

    def _validate(self, con: Connection, *, recount: bool) -> None:
        """Check whose file it is and, after a crash or on the first open, that no acknowledged row is missing."""
        version, log = tables.identify(con, self.path)
        if version < VERSION:
            tables.upgrade(con, version)
        if log == self._known and not recount and self._aside is None:
            return
        mark = watermark.read(self.path)
        rows = tables.count(con, FACTS)
        missing = mark.above(rows) if mark is not None and mark.log == log else {}
        if missing or self._aside is not None:
            self.losses = (*self.losses, Loss(rows=missing, wal=self._aside))
            facts = json.dumps({"rows": missing, "wal": self._aside})
            tables.note(con, "loss", facts, session=self.session, at=self._clock.now())
        self._known, self._aside = log, None
        self._keep(Watermark(log=log, rows=rows))

    def _mark(self, con: Connection, written: Mapping[str, int]) -> None:
        if not any(written.values()):
            return
        assert self._known is not None
        mark = watermark.read(self.path)
        if mark is None or mark.log != self._known:
            rows = tables.count(con, FACTS)
        else:
            rows = {name: mark.rows.get(name, 0) + written.get(name, 0) for name in FACTS}
        self._keep(Watermark(log=self._known, rows=rows))

    def _keep(self, mark: Watermark) -> None:
        # The rows are committed; a watermark that lags (disk full) notices less, and is made good after the next crash.
        with contextlib.suppress(OSError):
            watermark.write(self.path, mark)

    def _quarantine(self, failed: paths.Identity | None) -> None:
        """Move the WAL aside that could not be replayed, unless another process has repaired the log meanwhile."""
        wal = paths.wal_of(self.path)
        try:
            with paths.alone(self.path):
                if failed is not None and paths.identity(wal) == failed:
                    self._aside = paths.set_aside(wal, "corrupt", self._clock.now()).name
                    watermark.settle(self.path.parent)
        except OSError as error:
            raise trouble.mapped(error, self.path) from error


def stop(turn: threading.Lock, reading_now: Callable[[], Connection | None], most_s: float = 5.0) -> None:
    """Return when nobody is inside DuckDB: a query that runs is interrupted, a write is waited for.

    A daemon thread that is still in there when the interpreter goes is ended in the middle of C++, which aborts.
    """
    until = time.monotonic() + most_s
    while not turn.acquire(timeout=0.05):
        con = reading_now()
        if con is not None:
            con.interrupt()
        if time.monotonic() >= until:
            return
    turn.release()


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
