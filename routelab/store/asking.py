"""Questions to the log in SQL: read-only by statement, by connection and by transaction, in a thread of their own."""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import duckdb

from routelab.core.errors import LogError
from routelab.store import trouble
from routelab.store.file import Connection

T = TypeVar("T")
_READS = frozenset({"SELECT", "EXPLAIN"})
_TABLE_INFO = re.compile(r"\s*pragma\s+table_info\s*\(", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A question: SQL with its bound parameters."""

    sql: str
    parameters: Sequence[Any] = ()

    def run(self, con: Connection) -> Connection:
        """Return the connection with the answer ready to fetch; a LogError for what is not one reading statement."""
        refuse_writes(con, self.sql)
        return con.execute(self.sql, list(self.parameters))


def rows(asked: Asked) -> Callable[[Connection], list[tuple[Any, ...]]]:
    """Return the work that fetches a question's rows."""

    def work(con: Connection) -> list[tuple[Any, ...]]:
        return _answered(lambda: asked.run(con).fetchall())

    return work


def frame(asked: Asked) -> Callable[[Connection], Any]:
    """Return the work that fetches a question's rows as a pandas DataFrame."""

    def work(con: Connection) -> Any:
        return _answered(lambda: asked.run(con).df())

    return work


def refuse_writes(con: Connection, sql: str) -> None:
    """Raise a LogError unless the text is one SELECT, WITH, FROM, DESCRIBE, SHOW, SUMMARIZE, EXPLAIN or table_info.

    The type of a statement is DuckDB's own parser's; a SELECT that hides a write meets a connection that cannot write.
    """
    statements = _answered(lambda: con.extract_statements(sql))
    if len(statements) != 1:
        raise LogError(f"one statement at a time: found {len(statements)}", hint="select ... from calls")
    # DuckDB 1 calls a pragma that returns rows a SELECT, and rewrites its text.
    pragma = re.match(r"\s*pragma\b", sql, re.IGNORECASE)
    kind = "PRAGMA" if pragma else statements[0].type.name
    if kind not in _READS and not _TABLE_INFO.match(sql):
        raise LogError(f"the log is read-only here: {kind} is refused", hint="select, with, describe, show, explain")


def _answered(fetch: Callable[[], T]) -> T:
    try:
        return fetch()
    except duckdb.Error as error:
        raise trouble.asked(error) from error


class Errand:
    """Work in a thread of its own, which the caller can stop waiting for: DuckDB in the main thread has crashed kernels
    that were interrupted (duckdb#10699, #25011)."""

    def __init__(self) -> None:
        self._con: Connection | None = None
        self._lock = threading.Lock()
        self._given_up = False
        self._ended = threading.Event()

    def watched(self, work: Callable[[Connection], T]) -> Callable[[Connection], T]:
        """Return the work with its connection noted, so that it can be interrupted; nobody waits for it: it does not begin."""

        def noted(con: Connection) -> T:
            with self._lock:
                if self._given_up:
                    raise LogError("nobody waits for this query any more")
                self._con = con
            try:
                return work(con)
            finally:
                with self._lock:
                    self._con = None

        return noted

    def run(self, fetch: Callable[[], T], timeout_s: float) -> T:
        """Return what `fetch` returns or raise what it raises; interrupt it after `timeout_s` or on Ctrl-C."""
        answer: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

        def do() -> None:
            try:
                answer.put((fetch(), None))
            except BaseException as error:  # noqa: BLE001  # raised again, in the caller's thread
                answer.put((None, error))
            finally:
                self._ended.set()

        threading.Thread(target=do, name="routelab-log-read", daemon=True).start()
        try:
            result, error = answer.get(timeout=timeout_s)
        except queue.Empty:
            self._interrupt()
            raise LogError(f"the query took longer than {timeout_s:g} s", hint="ask for less at a time") from None
        except KeyboardInterrupt:
            self._interrupt()
            raise
        if error is not None:
            raise error
        return result  # type: ignore[return-value]  # None only where fetch returned None

    def _interrupt(self) -> None:
        with self._lock:
            self._given_up = True
        threading.Thread(target=self._nag, name="routelab-log-interrupt", daemon=True).start()

    def _nag(self) -> None:
        """Interrupt until the work has ended: DuckDB forgets an interrupt that comes before the query has begun."""
        while True:
            with self._lock:
                if self._con is not None:
                    self._con.interrupt()
            if self._ended.wait(0.02):
                return
