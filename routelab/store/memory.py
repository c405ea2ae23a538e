"""A log that lives and dies with the process, behind the same door as a file."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import duckdb

from routelab.core.errors import LogError
from routelab.store import tables, trouble
from routelab.store.clock import Timepiece
from routelab.store.file import SEALED, Connection, Loss, stop
from routelab.store.rows import Unit

T = TypeVar("T")
MEMORY = ":memory:"


class MemoryFile:
    """One connection and a lock: what `LogFile` does, without a file."""

    def __init__(self, *, session: str, clock: Timepiece) -> None:
        self.path = Path(MEMORY)
        self.session = session
        self.losses: tuple[Loss, ...] = ()
        self.turn = threading.Lock()
        self._clock = clock
        self.own: tuple[object, ...] = ()
        self._inherited: tuple[Connection, ...] = ()
        self._reading_now: Connection | None = None
        self._con = self._made()

    def _made(self) -> Connection:
        con = duckdb.connect(MEMORY, config=dict(SEALED))
        con.execute("set enable_progress_bar = false")
        tables.create(con)
        tables.note(con, "log", uuid.uuid4().hex, session=self.session, at=self._clock.now())
        con.execute("set lock_configuration = true")
        return con

    def prepare(self, *, patience_s: float | None = None) -> None:
        """Do nothing: memory is always there."""

    def write(self, units: Sequence[Unit], *, patience_s: float | None = None) -> int:
        """Write the units in one transaction, without those that are there already; returns the number of rows."""

        def work(con: Connection) -> tuple[int, Mapping[str, int]]:
            written = tables.write(con, units)
            return sum(written.values()), written

        return self.change(work)

    def change(self, work: Callable[[Connection], tuple[T, Mapping[str, int]]]) -> T:
        """Do the work in one transaction, whose result and rows by table it returns."""
        with self.turn:
            self._con.begin()
            try:
                result, _ = work(self._con)
            except duckdb.Error as error:
                with contextlib.suppress(duckdb.TransactionException):
                    self._con.rollback()
                raise trouble.refused(error, self.path) from error
            self._con.commit()
        return result

    def merge(self, other: Path) -> dict[str, int]:
        """Refuse: a log in memory reads no files."""
        raise LogError(f"a log in memory cannot take over {other}", hint="open a log on disk and merge into that")

    def read(
        self, work: Callable[[Connection], T], *, pending: Sequence[Unit] = (), patience_s: float | None = None
    ) -> T:
        """Return the work's result on a connection of its own, in a transaction that cannot write."""
        with self.turn:
            return self._reading(work, pending)

    def _reading(self, work: Callable[[Connection], T], pending: Sequence[Unit]) -> T:
        try:
            con = self._con.cursor()
        except duckdb.ConnectionException as error:
            raise LogError("this log in memory is closed", hint="open a new one") from error
        try:
            tables.overlay(con, pending)
            con.execute("begin transaction read only")
            self._reading_now = con
            return work(con)
        except duckdb.Error as error:
            raise trouble.mapped(error, self.path) from error
        finally:
            self._reading_now = None
            con.close()

    def release(self) -> None:
        """Stop a query that runs, and close the connection, which drops the rows."""
        stop(self.turn, lambda: self._reading_now)
        with self.turn:
            self._con.close()

    def stamp(self) -> object:
        """Return nothing that changes: nobody else can write here."""
        return None

    def renew(self) -> None:
        """Start empty: a fork's child cannot use the parent's connection, and the rows there are the parent's."""
        self.turn = threading.Lock()
        # Kept, because to drop it is to wait for DuckDB's own threads, which the child does not have.
        self._inherited = (*self._inherited, self._con)
        self._con = self._made()
