"""The exact cache: the same request in the same scope gets the same answer, from memory or from the log."""

from __future__ import annotations

import threading
from collections import OrderedDict

from routelab.caching.entry import FOR_EVER, Entry, Lifetime, of_run
from routelab.caching.records import Records, Unkept
from routelab.caching.request import asked
from routelab.caching.settings import SIZE
from routelab.core.events import Missed, Recalled, Remembered
from routelab.core.ports import Clock
from routelab.core.run import Run


class Exact:
    """Answers by the SHA-256 of the whole request; the longest unused leave memory first, and stay in the log.

    `records` is the log, as far as a cache reads it; without one, what is remembered ends with the process.
    """

    kind = "exact"

    def __init__(
        self, *, clock: Clock, lifetime: Lifetime = FOR_EVER, size: int = SIZE, records: Records | None = None
    ) -> None:
        self._clock = clock
        self._lifetime = lifetime
        self._size = size
        self._records = records if records is not None else Unkept()
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def key(self, run: Run, scope: str) -> str:
        """Return the digest of the whole request."""
        return asked(run, scope).key

    def look(self, run: Run, scope: str) -> Recalled | Missed:
        """Return Recalled, or Missed with the key to remember the answer under."""
        key = self.key(run, scope)
        self._records.sync()
        entry = self._at_hand(key)
        now = self._clock.now()
        if entry is None or self._lifetime.state(entry.age_s(now)) != "fresh":
            # Somebody else may have asked since; the log knows the latest.
            newer = self._records.answer(key, than=None if entry is None else entry.run_id)
            if newer is not None and (entry is None or newer.kept_at >= entry.kept_at):
                entry = newer
                self._put(entry)
        if entry is None:
            return Missed(cache=self.kind, key=key)
        age_s = entry.age_s(now)
        state = self._lifetime.state(age_s)
        if state == "expired":
            self._drop(key)
            return Missed(cache=self.kind, key=key, why="expired")
        return Recalled(
            cache=self.kind,
            key=key,
            text=entry.text,
            model=entry.model,
            source_run=entry.run_id,
            simulated=entry.simulated,
            age_s=age_s,
            stale=state == "stale",
        )

    def keep(self, run: Run, key: str, label: str = "") -> Remembered:
        """Remember the run's answer."""
        self._put(of_run(run, key, label))
        return Remembered(cache=self.kind, key=key, label=label)

    def forget(self, label: str | None = None) -> None:
        """Forget what is in memory, all or what was kept under a label."""
        with self._lock:
            for key in [k for k, e in self._entries.items() if label is None or e.label == label]:
                del self._entries[key]

    def _at_hand(self, key: str) -> Entry | None:
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None and self._records.forgotten(entry):
                del self._entries[key]
                return None
            if entry is not None:
                self._entries.move_to_end(key)
            return entry

    def _put(self, entry: Entry) -> None:
        with self._lock:
            known = self._entries.get(entry.key)
            if known is not None and known.kept_at > entry.kept_at:
                return
            self._entries[entry.key] = entry
            self._entries.move_to_end(entry.key)
            while len(self._entries) > self._size:
                self._entries.popitem(last=False)

    def _drop(self, key: str) -> None:
        with self._lock:
            self._entries.pop(key, None)
