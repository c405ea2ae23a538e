"""What the log remembers for caches, by key: kept in memory, and up to date with other processes at the cost of two stats.

Texts stay in the file; here is only which keys there are, when their answers were given and under which label. This process's
own answers arrive through `took` as they are recorded. That somebody else wrote is seen from the file itself, and then
the rows after the last ones that were read are read, without what is pending and without the views over it.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from routelab.core.errors import LogError
from routelab.core.events import Remembered
from routelab.core.run import Run
from routelab.store.file import Connection
from routelab.store.rows import utc
from routelab.store.schema import FORGOTTEN
from routelab.store.text import storable

MOST = 200_000
"""How many remembered answers are looked up at most, the latest: a key takes some 400 bytes."""
PATIENCE_S = 0.2
AGAIN_S = 0.5
"""After trouble with the file, how long nobody asks it again: a look-up must not wait for a log that is held."""
LATEST_S = 5.0
"""A change that looked like this process's own is looked into after so long: another one may have written in the same moment."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a remembered answer stands: its run, when that began, and the label that it can be forgotten by."""

    run_id: str
    started_at: datetime
    label: str


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What a run found out that asked although an entry was near: was the answer that the run `entry` had once got right here too?"""

    run_id: str
    entry: str
    similarity: float
    right: bool
    started_at: datetime
    label: str


class Source(Protocol):
    """The file, as far as a shelf needs it."""

    def read(self, work: Any, *, pending: Sequence[Any] = (), patience_s: float | None = None) -> Any: ...
    def stamp(self) -> object: ...

    turn: threading.Lock

    @property
    def own(self) -> tuple[object, ...]: ...


class Shelf:
    """Keys and namespaces of the remembered answers of one log; safe among threads, one for a log and process."""

    def __init__(self, file: Source) -> None:
        self._file = file
        self._lock = threading.RLock()
        self._clear()
        self._retry_at = self._synced_at = 0.0
        self.trouble: LogError | None = None
        """What the latest look into the file met; None when it went well."""

    def _clear(self) -> None:
        self._log: str | None = None
        self._next = self._next_event = 0
        self._seen: object = None
        self._places: dict[str, Place] = {}
        self._rooms: dict[str, list[Place]] = {}
        self._here: set[tuple[str, str]] = set()
        self._lessons: dict[str, list[Lesson]] = {}
        self._heard: set[tuple[str, str]] = set()
        self._forgotten: dict[str | None, datetime] = {}

    def took(self, run: Run) -> None:
        """Note the answer of a run that is being recorded, and what it taught."""
        found = [e for e in run.events if isinstance(e, Remembered)]
        if not found or run.answered is None:
            return
        run_id, began = storable(run.id), utc(run.started_at)
        with self._lock:
            for event in found:
                label = storable(event.label)
                if event.entry is not None and event.similarity is not None and event.learned is not None:
                    lesson = Lesson(
                        run_id=run_id,
                        entry=event.entry,
                        similarity=event.similarity,
                        right=event.learned,
                        started_at=began,
                        label=label,
                    )
                    self._teach(event.key, lesson)
                if not event.refused:
                    exact, semantic = (event.key if event.cache == c else None for c in ("exact", "semantic"))
                    self._note(exact, semantic, Place(run_id=run_id, started_at=began, label=label))

    def forgot(self, at: datetime, label: str | None) -> None:
        """Note that answers of runs that began by then are forgotten, all or those under a label."""
        with self._lock:
            self._forget(label, at)

    def forgotten(self, started_at: datetime, label: str) -> bool:
        """Say whether an answer was forgotten since it was given."""
        marks = [at for at in (self._forgotten.get(None), self._forgotten.get(label)) if at is not None]
        return any(started_at <= at for at in marks)

    def newest(self, key: str) -> Place | None:
        """Return where the latest answer under an exact cache's key stands."""
        with self._lock:
            place = self._places.get(key)
        return None if place is None or self.forgotten(place.started_at, place.label) else place

    def within(self, namespace: str, after: int = 0) -> list[Place]:
        """Return the answers of a semantic cache's namespace in the order in which they came, without the first `after`."""
        with self._lock:
            return self._rooms.get(namespace, [])[after:]

    def lessons(self, namespace: str, after: int = 0) -> list[Lesson]:
        """Return what was learned about the entries of a namespace, in the order in which it came, without the first `after`."""
        with self._lock:
            return self._lessons.get(namespace, [])[after:]

    def renew(self) -> None:
        """Read the file at the next `sync`, whoever wrote into it."""
        self._seen, self._retry_at = None, 0.0

    def sync(self) -> None:
        """Notice what other processes remembered or forgot; two stats when they did nothing. Trouble is left for later."""
        stamp = self._file.stamp()
        if stamp == self._seen or time.monotonic() < self._retry_at:
            return
        late = self._seen is None or time.monotonic() - self._synced_at > LATEST_S
        if not late and self._file.turn.locked():
            # This process is just writing: what the file will be like is known in a moment.
            return
        with self._lock:
            own = self._file.own
            if not late and own and own[-1] == stamp and self._seen in own:
                self._seen = stamp
                return
            try:
                self._file.read(self._catch_up, patience_s=PATIENCE_S)
            except LogError as trouble:
                self.trouble = trouble
                self._retry_at = time.monotonic() + AGAIN_S
                return
            self.trouble = None
            self._synced_at = time.monotonic()
            # As it was before the read: what was written since is read next time.
            self._seen = stamp

    def _catch_up(self, con: Connection) -> None:
        [(log,)] = con.execute("select max(value) from meta where key = 'log'").fetchall()
        [(rows,)] = con.execute("select coalesce(max(rowid), -1) + 1 from answers").fetchall()
        [(events,)] = con.execute("select coalesce(max(rowid), -1) + 1 from events").fetchall()
        if self._log is not None and (log != self._log or rows < self._next or events < self._next_event):
            # Another file stands in this one's place.
            self._clear()
        self._log = log
        found = con.execute(_ADDED, [self._next, MOST]).fetchall()
        for key, namespace, run_id, started_at, label in reversed(found):
            self._note(key, namespace, Place(run_id=run_id, started_at=started_at, label=label or ""))
        names = [f.name for f in dataclasses.fields(Lesson)]
        for key, *facts in reversed(con.execute(_TAUGHT, [self._next_event, MOST]).fetchall()):
            if None not in (key, *facts):
                self._teach(key, Lesson(**dict(zip(names, facts, strict=True))))
        self._next, self._next_event = rows, events
        for label, at in con.execute("select value, noted_at from meta where key = ?", [FORGOTTEN]).fetchall():
            self._forget(label, at)

    def _note(self, key: str | None, namespace: str | None, place: Place) -> None:
        if key is not None:
            known = self._places.get(key)
            if known is None or known.started_at <= place.started_at:
                self._places[key] = place
        # This process's own rows come a second time, when they are read.
        if namespace is not None and (namespace, place.run_id) not in self._here:
            self._here.add((namespace, place.run_id))
            self._rooms.setdefault(namespace, []).append(place)

    def _teach(self, namespace: str, lesson: Lesson) -> None:
        if (namespace, lesson.run_id) not in self._heard:
            self._heard.add((namespace, lesson.run_id))
            self._lessons.setdefault(namespace, []).append(lesson)

    def _forget(self, label: str | None, at: datetime) -> None:
        known = self._forgotten.get(label)
        if known is None or known < at:
            self._forgotten[label] = at


_ADDED = """
    select cache_key, cache_namespace, run_id, started_at, cache_label from answers
    where rowid >= ? and (cache_key is not null or cache_namespace is not null) and text is not null
    order by rowid desc limit ?"""
_TAUGHT = """
    select try(payload ->> '$.key'), run_id, try(payload ->> '$.entry'), try(cast(payload ->> '$.similarity' as double)),
           try(cast(payload ->> '$.learned' as boolean)), started_at, coalesce(try(payload ->> '$.label'), '')
    from events where rowid >= ? and kind = 'remembered' and contains(payload, '"learned":')
    order by rowid desc limit ?"""
