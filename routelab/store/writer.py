"""The one thread that writes: it gathers rows, writes them in batches, and puts them aside while the log is held.

Callers reach the thread through two structures whose every operation is one step of the interpreter: a deque of rows
and a SimpleQueue of wishes. A Python-level lock, such as a Condition's, can stay locked for ever when an interrupted
kernel raises KeyboardInterrupt in the middle of taking it, and a finalizer run by the garbage collector must take none.
"""

from __future__ import annotations

import contextlib
import queue
import random
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from routelab.core.errors import LogBusy, LogError
from routelab.store import spool, trouble
from routelab.store.file import Connection, Loss
from routelab.store.health import Health
from routelab.store.rows import Unit
from routelab.store.shelf import Shelf
from routelab.store.spool import Spool

T = TypeVar("T")
IDLE_S = 2.0
"""How long an idle writer sleeps at most: a caller that was interrupted before it could ring is heard then."""
_BACKOFF_S = (0.5, 15.0)
_JITTER = random.SystemRandom()


class File(Protocol):
    """What the writer writes into: a file on disk or one in memory."""

    path: Path
    session: str
    losses: tuple[Loss, ...]
    turn: threading.Lock

    def prepare(self, *, patience_s: float | None = None) -> None: ...
    def write(self, units: Sequence[Unit], *, patience_s: float | None = None) -> int: ...
    def read(
        self, work: Callable[[Connection], T], *, pending: Sequence[Unit] = (), patience_s: float | None = None
    ) -> T: ...
    def change(self, work: Callable[[Connection], tuple[T, Mapping[str, int]]]) -> T: ...
    def merge(self, other: Path) -> dict[str, int]: ...
    def release(self) -> None: ...
    def renew(self) -> None: ...
    def stamp(self) -> object: ...
    @property
    def own(self) -> tuple[object, ...]: ...


class Ticket:
    """A wish to hear when everything taken so far is safe: None is put into `answer` then, or the error that stands."""

    def __init__(self) -> None:
        self.answer: queue.SimpleQueue[LogError | None] = queue.SimpleQueue()
        self.target = -1


class Writer:
    """Takes units from any thread; a unit is safe when it is in the file, or fsync'd in the spool.

    `stored` units have left the queue. The first `safe - stored` of the queue are in the spool; they stay in memory
    too, so that queries see them, until the file can be had again.
    """

    def __init__(self, file: File, aside: Spool | None, *, flush_s: float, flush_rows: int) -> None:
        self.file = file
        self.owners: set[object] = set()
        self.shelf = Shelf(file)
        self._flush_s = flush_s
        self._flush_rows = flush_rows
        self._begin(aside)

    def _begin(self, aside: Spool | None) -> None:
        self._aside = aside
        self._gate = threading.Lock()
        self._working = threading.Lock()
        self._thread: threading.Thread | None = None
        self._last: threading.Thread | None = None
        self._queue: deque[Unit] = deque()
        self._bell: queue.SimpleQueue[Ticket | None] = queue.SimpleQueue()
        self._waiting: list[Ticket] = []
        self._stored = self._safe = 0
        self._since: float | None = None
        self._retry_at = 0.0
        self._streak = 0
        self._written = self._refused = 0
        self._error: LogError | None = None
        self._refusal: LogError | None = None

    # Called from any thread.

    def put(self, units: Iterable[Unit]) -> None:
        """Take the units and return at once."""
        self._queue.extend(units)
        self._wake(None)

    def flush(self, timeout_s: float) -> None:
        """Return when everything taken so far is safe; raises the LogError that stands in the way."""
        if not self._queue:
            return
        ticket = Ticket()
        self._wake(ticket)
        try:
            error = ticket.answer.get(timeout=max(0.0, timeout_s))
        except queue.Empty:
            text = f"{self.file.path}: {len(self._queue)} records are not written after {timeout_s:g} s"
            error = self._error or LogBusy(text, hint="flush again, or look at log.health")
        if error is not None:
            raise error

    def pending(self) -> list[Unit]:
        """Return the units that are not in the file yet."""
        while True:
            try:
                return list(self._queue)
            except RuntimeError:  # the deque grew meanwhile
                continue

    def health(self) -> Health:
        """Return how the log is doing."""
        pending = self.pending()
        error, losses = self._error, self.file.losses
        return Health(
            path=str(self.file.path),
            session=self.file.session,
            written=self._written,
            pending=sum(len(unit) for unit in pending),
            spooled=sum(len(unit) for unit in pending[: max(0, self._safe - self._stored)]),
            refused=self._refused,
            missing=sum(sum(loss.rows.values()) for loss in losses),
            last_error=None if error is None else error.message,
            holder=None if error is None else trouble.holder(error),
            losses=losses,
        )

    def blame(self, error: LogError) -> None:
        """Show an error that something else than a batch met; the next batch that is written clears it."""
        self._error = error

    def last_word(self, error: LogError) -> None:
        """Say on stderr, at the end of the process, that rows are lost: there is nobody left who could be asked."""
        if sys.stderr is not None:
            sys.stderr.write(f"routelab: {len(self._queue)} records were not saved: {error.message}\n")

    def leave(self, owner: object) -> None:
        """Write for this log no longer; without any, the thread ends as soon as its rows are safe. Takes no lock."""
        self.owners.discard(owner)
        self._bell.put(None)

    def join(self, timeout_s: float) -> None:
        """Wait for the thread of a writer that nobody owns any more."""
        thread = self._thread
        if self._working.acquire(timeout=timeout_s):
            self._working.release()
        for ending in (thread, self._last):
            if ending is not None and ending.ident is not None and ending is not threading.current_thread():
                ending.join(timeout_s)

    def drain(self) -> None:
        """Write what is left from the calling thread, where no other can be started: at the very end of a process."""
        if self._queue and self._working.acquire(blocking=False):
            try:
                self._store(self.pending())
            finally:
                self._working.release()

    def end(self) -> None:
        """Stop at the end of the process: no thread may be inside DuckDB while the interpreter goes, or it aborts."""
        self.owners.clear()
        self._bell.put(None)
        self.join(1.0)
        self.file.release()

    def renew(self, session: str, aside: Spool | None) -> None:
        """Start afresh in a fork's child: threads, locks and rows are the parent's."""
        self.file.renew()
        self.file.session = session
        self.shelf = Shelf(self.file)
        self._begin(aside)

    def _wake(self, ticket: Ticket | None) -> None:
        self._bell.put(ticket)
        with self._gate:
            if not self._working.locked() and (self._thread is None or not self._thread.is_alive()):
                self._thread = threading.Thread(target=self._run, name="routelab-log", daemon=True)
                # While the interpreter shuts down no thread can be started: `drain` then writes what is left.
                with contextlib.suppress(RuntimeError):
                    self._thread.start()

    # The writer's own thread.

    def _run(self) -> None:
        # A start that KeyboardInterrupt cut short may look as if it had not happened: the second thread then goes home.
        if not self._working.acquire(blocking=False):
            return
        try:
            while not self._ended():
                self._listen(self._due_in())
                if self._due_in() == 0.0:
                    self._store(self.pending())
                self._answer(None)
        except BaseException as bug:
            # Not swallowed: callers hear of it, and the thread's own traceback follows.
            self._error = LogError(f"the log's writer met a bug: {type(bug).__name__}: {bug}", hint="please report it")
            with self._gate:
                self._gone()
            self._listen(0.0)
            self._answer(self._error)
            raise

    def _ended(self) -> bool:
        if self.owners or self._waiting or self._safe < self._stored + len(self._queue):
            return False
        with self._gate:
            if self.owners or not self._bell.empty() or self._safe < self._stored + len(self._queue):
                return False
            if self._aside is not None:
                self._aside.close()
            self._gone()
            return True

    def _gone(self) -> None:
        """Make way for another thread; the caller holds the gate."""
        self._last, self._thread = threading.current_thread(), None
        self._working.release()

    def _listen(self, timeout_s: float) -> None:
        """Wait for a wish, then take all there are."""
        with contextlib.suppress(queue.Empty):
            ticket = self._bell.get(timeout=timeout_s) if timeout_s > 0 else self._bell.get_nowait()
            while True:
                if ticket is not None:
                    ticket.target = self._stored + len(self._queue)
                    self._waiting.append(ticket)
                ticket = self._bell.get_nowait()

    def _due_in(self) -> float:
        """Return the seconds until there is something to do; 0 is now."""
        if not self._queue:
            self._since = None
            return IDLE_S
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        if any(ticket.target > self._safe for ticket in self._waiting):
            return 0.0
        if now < self._retry_at:
            return min(IDLE_S, self._retry_at - now)
        if not self.owners or len(self._queue) >= self._flush_rows:
            return 0.0
        return max(0.0, min(IDLE_S, self._since + self._flush_s - now))

    def _answer(self, error: LogError | None) -> None:
        """Tell those who wait that their rows are safe, or what stands in the way."""
        for ticket in list(self._waiting):
            if self._safe >= ticket.target or error is not None:
                self._waiting.remove(ticket)
                ticket.answer.put(None if self._safe >= ticket.target else error)

    def _store(self, batch: list[Unit]) -> None:
        before = self._stored
        try:
            written = self.file.write(batch)
        except trouble.RowRefused as error:
            if len(batch) == 1:
                self._refuse(batch[0], error)
                return
            # One odd row must not hold up the others: halve the batch until it stands alone.
            half = len(batch) // 2
            self._store(batch[:half])
            if self._stored == before + half:
                self._store(batch[half:])
        except LogError as error:
            self._put_aside(batch, error)
        else:
            self._error = self._refusal
            self._written += written
            self._leave_queue(len(batch))

    def _leave_queue(self, units: int) -> None:
        # Counted before they leave: who reads in between meets a row twice, which its key tells, rather than never.
        self._stored += units
        self._safe = max(self._safe, self._stored)
        for _ in range(units):
            self._queue.popleft()
        self._since, self._retry_at, self._streak = None, 0.0, 0
        if not self._queue and self._aside is not None:
            self._aside.clear()

    def _put_aside(self, batch: list[Unit], error: LogError) -> None:
        """Make the batch safe in the spool, and try the file again later."""
        self._error = error
        fresh = batch[self._safe - self._stored :]
        if self._aside is not None:
            try:
                self._aside.append(fresh)
            except OSError as full:
                self._error = trouble.mapped(full, self._aside.path)
            else:
                self._safe = max(self._safe, self._stored + len(batch))
        self._streak += 1
        low, high = _BACKOFF_S
        self._retry_at = time.monotonic() + min(low * 2.0 ** min(self._streak, 10), high) * _JITTER.uniform(0.5, 1.0)
        self._answer(self._error)

    def _refuse(self, unit: Unit, error: LogError) -> None:
        if self._aside is not None:
            with contextlib.suppress(OSError):
                spool.refuse(self._aside.path, unit)
        self._refused += len(unit)
        self._error = self._refusal = error
        self._leave_queue(1)
