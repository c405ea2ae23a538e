"""The exact cache: the same request in the same scope gets the same answer, for `ttl_s` seconds."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from dataclasses import dataclass

from routelab.core.events import Event, Missed, Recalled
from routelab.core.ports import Clock
from routelab.core.run import Run
from routelab.core.values import Message


@dataclass(frozen=True, kw_only=True)
class _Entry:
    text: str
    model: str
    run_id: str
    simulated: bool
    kept_at: float


class Exact:
    """Answers by the SHA-256 of the whole request (never a prefix of it); least recently used ones go first."""

    def __init__(self, *, clock: Clock, ttl_s: float | None = None, size: int = 10_000) -> None:
        self._clock = clock
        self._ttl_s = ttl_s
        self._size = size
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    def look(self, messages: tuple[Message, ...], scope: str) -> Event:
        """Return Recalled, or Missed with the key to remember the answer under."""
        key = key_of(messages, scope)
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None and self._ttl_s is not None and self._clock.monotonic() - entry.kept_at >= self._ttl_s:
                del self._entries[key]
                entry = None
            if entry is None:
                return Missed(cache="exact", key=key)
            self._entries.move_to_end(key)
        return Recalled(
            cache="exact",
            key=key,
            text=entry.text,
            model=entry.model,
            source_run=entry.run_id,
            simulated=entry.simulated,
        )

    def keep(self, run: Run, key: str) -> None:
        """Remember the run's answer."""
        answered = run.answered
        assert answered is not None
        entry = _Entry(
            text=answered.text,
            model=answered.model,
            run_id=run.id,
            simulated=answered.simulated,
            kept_at=self._clock.monotonic(),
        )
        with self._lock:
            self._entries[key] = entry
            self._entries.move_to_end(key)
            while len(self._entries) > self._size:
                self._entries.popitem(last=False)


def key_of(messages: tuple[Message, ...], scope: str) -> str:
    """Return 64 hexadecimal digits that depend on every message and on the scope."""
    request = json.dumps([scope, [(m.role, m.content) for m in messages]], ensure_ascii=False)
    return hashlib.sha256(request.encode("utf-8", "surrogatepass")).hexdigest()
