"""The log: every run that was ever played, in one DuckDB file that several notebooks can share."""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import time
import uuid
import warnings
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from multiprocessing.util import Finalize, register_after_fork
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from routelab.core.errors import LogBusy, LogError
from routelab.core.run import Run
from routelab.core.values import Prompt
from routelab.store import asking, recall, rows, spool, summaries, templates
from routelab.store.asking import Asked, Errand
from routelab.store.clock import SystemTime, Timepiece
from routelab.store.file import Connection, LogFile
from routelab.store.health import Health
from routelab.store.memory import MEMORY, MemoryFile
from routelab.store.recall import Kept, Recorded
from routelab.store.shelf import PATIENCE_S, Shelf
from routelab.store.spool import Spool
from routelab.store.summaries import KeptSummary
from routelab.store.templates import KeptTemplate
from routelab.store.text import Content, storable
from routelab.store.writer import Writer

T = TypeVar("T")
OPEN_S = 3.0
QUERY_S = 60.0

# One writer a file and process, found by its real path: DuckDB refuses two configurations of one file in a process, and
# two writers would stand in each other's way. Weak, so that a log that nobody holds is not kept alive from here.
_WRITERS: weakref.WeakValueDictionary[str, Writer] = weakref.WeakValueDictionary()
_OPENING = threading.Lock()


class RowsMissing(UserWarning):
    """The log was damaged when it was opened; the text says which acknowledged rows are gone."""


class Log:
    """Keeps every run; `Log("log.duckdb")` or, for one process only, `Log(":memory:")`.

    Rows are handed to a writer thread that opens the file, writes a batch and lets go: after `flush_s` seconds or
    `flush_rows` records (a run and its prompt are two). When another process holds the file for longer than `lock_s` seconds, rows wait in memory and
    in `<log>.spool/`, and go into the file as soon as it is free, or when the log is next opened. `content` is what is
    stored of prompts and answers: all (`full`), their length and SHA-256 (`hash`), or nothing (`none`). With `read_only` the
    file must be there and is left as it is: for a log that somebody else wrote.

    Raises LogUnreadable for a file that is foreign, damaged, newer, or cannot be written.
    """

    def __init__(
        self,
        path: str | Path = MEMORY,
        *,
        clock: Timepiece = SystemTime(),  # noqa: B008  # it has no state
        content: Content = "full",
        flush_s: float = 0.25,
        flush_rows: int = 100,
        lock_s: float = 10.0,
        read_only: bool = False,
    ) -> None:
        if content not in ("full", "hash", "none"):
            raise LogError(f"content: unknown {content!r}", hint="full, hash or none")
        self.content = content
        self._clock = clock
        self._token = object()
        self._read_only = read_only
        self._closed = False
        self._patience_s = min(OPEN_S, lock_s)
        if str(path) == MEMORY:
            self._writer = _in_memory(clock, flush_s, flush_rows)
            self._writer.owners.add(self._token)
        else:
            pace = (flush_s, flush_rows, lock_s)
            self._writer = _on_disk(Path(path).expanduser(), self._token, clock, pace, read_only)
        # For a log that is dropped without close(): a finalizer may take no lock, so it only rings.
        self._finalizer = weakref.finalize(self, self._writer.leave, self._token)
        self._finalizer.atexit = False

    @property
    def path(self) -> Path:
        """The file, absolute; ``:memory:`` for a log in memory."""
        return self._writer.file.path

    @property
    def session(self) -> str:
        """The id that this process's rows carry in `runs.session`."""
        return self._writer.file.session

    @property
    def health(self) -> Health:
        """How the log is doing: rows written, pending and in the spool, the last error, who holds the file."""
        return self._writer.health()

    def __repr__(self) -> str:
        return f"Log({str(self.path)!r}{', closed' if self._closed else ''})"

    def record(self, run: Run) -> None:
        """Take a finished run and its prompt; returns at once, the writing happens in another thread.

        A run's id names it: recorded a second time, here or after a crash, it is stored once.
        """
        units = (
            rows.of_run(run, content=self.content, session=self.session),
            rows.of_prompt(run.prompt, added_at=run.started_at, content=self.content),
        )
        self._put(units)
        if self.content == "full":
            self._writer.shelf.took(run)

    def record_prompts(self, prompts: Iterable[Prompt]) -> None:
        """Take prompts; one that is there with the same facts is not stored twice."""
        now = self._clock.now()
        self._put([rows.of_prompt(prompt, added_at=now, content=self.content) for prompt in prompts])

    def record_experiment(
        self,
        experiment: str,
        *,
        dataset: str = "",
        arms: Mapping[str, Any] | None = None,
        seed: int = 0,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """Take an experiment's name, data set, arms (name → configuration as plain values), seed and other facts."""
        unit = rows.of_experiment(
            experiment, dataset=dataset, arms=arms or {}, seed=seed, detail=detail or {}, started_at=self._clock.now()
        )
        self._put([unit])

    def rate(self, run_id: str, value: float, note: str = "") -> None:
        """Take a person's rating of a run; the latest one counts."""
        unit = rows.of_rating(run_id, value, note, rated_at=self._clock.now(), rating_id=uuid.uuid4().hex)
        self._put([unit])

    def flush(self, timeout_s: float = 15.0) -> None:
        """Return when everything recorded so far survives a crash: it is in the file, or fsync'd in the spool.

        Raises the LogError that stands in the way; the rows then stay in memory and are tried again.
        """
        self._writer.flush(timeout_s)

    def query(self, sql: str, parameters: Sequence[Any] = (), *, timeout_s: float = QUERY_S) -> list[tuple[Any, ...]]:
        """Return the rows of one reading statement, with what was recorded but is not in the file yet.

        `?` in the SQL stand for the parameters, in order. Raises LogError in one line for what cannot be answered.
        """
        return self._read(asking.rows(Asked(sql=sql, parameters=parameters)), timeout_s)

    def frame(self, sql: str, parameters: Sequence[Any] = (), *, timeout_s: float = QUERY_S) -> Any:
        """Return the same as `query`, as a pandas DataFrame."""
        return self._read(asking.frame(Asked(sql=sql, parameters=parameters)), timeout_s)

    def run(self, run_id: str) -> Run | None:
        """Return a recorded run with all its events, or None; its texts are empty under a content policy."""
        return self._read(lambda con: recall.run(con, run_id), QUERY_S)

    def prompts(self, prompt_ids: Sequence[str] | None = None) -> list[Prompt]:
        """Return the recorded prompts, all or those with these ids, that were stored in full."""
        return self._read(lambda con: recall.prompts(con, prompt_ids), QUERY_S)

    def remembered(self, key: str) -> Kept | None:
        """Return the latest answer that was remembered under an exact cache's key, or None."""
        return self.remembered_many([key]).get(key)

    def remembered_many(self, keys: Sequence[str]) -> dict[str, Kept]:
        """Return the latest remembered answer of each key that has one; one look into the file for all of them."""
        return self._read(lambda con: recall.remembered(con, keys), QUERY_S)

    def recall(self, *, keys: Sequence[str] = (), run_ids: Sequence[str] = ()) -> dict[str, Kept]:
        """Return remembered answers by exact key, or by run for questions that are like theirs.

        Made for caches: nothing is flushed, rows that wait are looked at only where the file does not have what is sought, and a
        log that another process holds is not waited for. Raises LogBusy then.
        """

        def work(con: Connection) -> dict[str, Kept]:
            return {**recall.remembered(con, keys), **recall.kept(con, run_ids)}

        file = self._writer.file
        found: dict[str, Kept] = file.read(work, patience_s=PATIENCE_S)
        waiting = () if all(name in found for name in (*keys, *run_ids)) else self._writer.pending()
        return file.read(work, pending=waiting, patience_s=PATIENCE_S) if waiting else found

    def summary(self, key: str) -> KeptSummary | None:
        """Return the summary that was kept under a key, or None; raises LogBusy at once where another process holds the file."""
        waiting = [unit for unit in self._writer.pending() if unit.table == "summaries"]
        found: KeptSummary | None = self._writer.file.read(
            lambda con: summaries.summary(con, key), pending=waiting, patience_s=PATIENCE_S
        )
        return found

    def keep_summary(self, kept: KeptSummary) -> None:
        """Take a summary; one that has its key is not stored twice, and under a content policy none is."""
        self._put([summaries.of_summary(kept)] if self.content == "full" else [])

    def written_vectors(self, embedder_id: str, hashes: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Return the vectors of those texts' hashes that are in the file; what waits to be written is not looked at."""
        found: dict[str, NDArray[np.float32]] = self._writer.file.read(
            lambda con: recall.vectors(con, embedder_id, hashes), patience_s=PATIENCE_S
        )
        return found

    @property
    def shelf(self) -> Shelf:
        """Which answers are remembered, for caches: looked up in memory, and up to date with other processes."""
        return self._writer.shelf

    def forget(self, label: str | None = None) -> None:
        """Forget what caches remembered until now, all of it or what was kept under a label; the answers stay in the log."""
        at = self._clock.now()
        self._put([rows.of_forgetting(label, at=at, mark=uuid.uuid4().hex, session=self.session)])
        self._writer.shelf.forgot(at, None if label is None else storable(label))

    def answers_for(
        self,
        experiment: str | None = None,
        *,
        prompt_ids: Sequence[str] | None = None,
        models: Sequence[str] | None = None,
    ) -> list[Recorded]:
        """Return what each model last did with each prompt, one value a pair, failures too; None means all."""
        return self._read(lambda con: recall.recorded(con, experiment, prompt_ids, models), QUERY_S)

    def get_many(self, embedder_id: str, hashes: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Return the cached vectors of those texts' hashes that have one."""
        return self._read(lambda con: recall.vectors(con, embedder_id, hashes), QUERY_S)

    def put_many(self, embedder_id: str, items: Mapping[str, NDArray[np.float32]]) -> None:
        """Take vectors by the hash of their text; one that is there is not stored twice."""
        now = self._clock.now()
        self._put([rows.of_vector(embedder_id, key, vector, added_at=now) for key, vector in items.items()])

    def add_template(self, name: str, content: Mapping[str, Any], note: str = "") -> int:
        """Keep a template's content under its name and return its version: the next one, or the one that has this content.

        In the file when it returns, because nobody else may get the same number: raises LogBusy where another process holds it.
        A template is stored whole under every content policy, as an experiment's arms are: it is a setting, nobody's prompt.
        """
        self._put([])
        work, file = templates.adding(name, content, note, at=self._clock.now()), self._writer.file
        errand = Errand()
        version: int = errand.run(lambda: file.change(errand.watched(work)), QUERY_S)
        return version

    def templates(self, name: str | None = None) -> list[KeptTemplate]:
        """Return the templates with every version of theirs, or one's, by name and version."""
        return self._read(lambda con: templates.kept(con, name), QUERY_S)

    def merge(self, path: str | Path) -> dict[str, int]:
        """Take over from another log what this one lacks, and return the rows by table; doing it twice adds nothing.

        What was forgotten there (`forget`) is forgotten here: caches give no answer of that time and label again, whoever got it.
        """
        self._put([])
        self.flush()
        taken: dict[str, int] = self._writer.file.merge(Path(os.path.realpath(path)))
        self._writer.shelf.renew()
        return taken

    def close(self, timeout_s: float = 15.0) -> None:
        """Flush and let go of file and thread; raises a LogError, and stays open, when rows could not be made safe."""
        if self._closed:
            return
        self._writer.flush(timeout_s)
        self._closed = True
        self._finalizer.detach()
        with _OPENING:
            self._writer.leave(self._token)
            last = not self._writer.owners
            if last:
                # Whoever opens the file from now on gets a writer of their own.
                for key in [key for key, writer in _WRITERS.items() if writer is self._writer]:
                    del _WRITERS[key]
        if last:
            self._writer.join(timeout_s)
            self._writer.file.release()

    def __enter__(self) -> Log:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _put(self, units: Sequence[rows.Unit]) -> None:
        if self._closed:
            raise LogError(f"{self.path}: this log is closed", hint="open it again: Log(path)")
        if self._read_only:
            raise LogError(f"{self.path}: this log is open for reading only", hint="Log(path) writes")
        self._writer.put(units)

    def _read(self, work: Callable[[Connection], T], timeout_s: float) -> T:
        errand, writer = Errand(), self._writer

        def fetch() -> T:
            # What cannot be written now is added from memory by `pending`.
            until = time.monotonic() + self._patience_s
            with contextlib.suppress(LogError):
                writer.flush(self._patience_s)
            left_s = max(0.0, until - time.monotonic())
            return writer.file.read(errand.watched(work), pending=writer.pending(), patience_s=left_s)

        return errand.run(fetch, timeout_s)


def _in_memory(clock: Timepiece, flush_s: float, flush_rows: int) -> Writer:
    file = MemoryFile(session=_session(), clock=clock)
    writer = Writer(file, None, flush_s=flush_s, flush_rows=flush_rows)
    with _OPENING:
        _WRITERS[f"{MEMORY}{file.session}"] = writer
    return writer


def _on_disk(path: Path, token: object, clock: Timepiece, pace: tuple[float, int, float], read_only: bool) -> Writer:
    flush_s, flush_rows, lock_s = pace
    key = os.path.normcase(os.path.realpath(path)) + ("?read" if read_only else "")
    with _OPENING:
        writer = _WRITERS.get(key)
        if writer is None:
            session = _session()
            real = Path(os.path.realpath(path))
            file = LogFile(real, session=session, clock=clock, lock_s=lock_s, read_only=read_only)
            writer = Writer(file, Spool(real, session), flush_s=flush_s, flush_rows=flush_rows)
        writer.owners.add(token)
        try:
            writer.file.prepare(patience_s=min(OPEN_S, lock_s))
            if not read_only:
                _take_in(writer)
        except LogBusy as busy:
            # Not a reason to stop anybody's work: rows wait, and health says who holds the file.
            writer.blame(busy)
        except LogError:
            writer.leave(token)
            raise
        _WRITERS[key] = writer
    for loss in writer.file.losses:
        # Also in `health`, which nobody reads who has no reason to.
        warnings.warn(f"{writer.file.path}: {loss}", RowsMissing, stacklevel=3)
    return writer


def _take_in(writer: Writer) -> None:
    """Write what sessions that have ended left in the spool."""
    for path in spool.left_behind(writer.file.path):
        # Another process may take the same file in at the same time: keys see to it that its rows are stored once.
        with contextlib.suppress(FileNotFoundError):
            writer.file.write(spool.read(path))
            spool.discard(path)


def _session() -> str:
    return uuid.uuid4().hex[:12]


def _at_exit() -> None:
    for writer in list(_WRITERS.values()):
        writer.drain()
        try:
            writer.flush(15.0)
        except LogError as error:
            writer.last_word(error)
        writer.end()


def _before_fork() -> None:
    _OPENING.acquire()
    for writer in list(_WRITERS.values()):
        writer.file.turn.acquire()


def _after_fork_in_parent() -> None:
    for writer in list(_WRITERS.values()):
        writer.file.turn.release()
    _OPENING.release()


def _after_fork_in_child() -> None:
    for writer in list(_WRITERS.values()):
        session = _session()
        on_disk = isinstance(writer.file, LogFile)
        writer.renew(session, Spool(writer.file.path, session) if on_disk else None)
    _OPENING.release()


# Once per import, not per log: neither list can be shortened again. Both do nothing while there is no log.
atexit.register(_at_exit)
# A child of multiprocessing ends without the exit handlers of its parent; it runs its own finalizers instead.
register_after_fork(_OPENING, lambda _: Finalize(None, _at_exit, exitpriority=0))
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
