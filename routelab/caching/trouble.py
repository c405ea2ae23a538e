"""What a cache complains about: once a cause, because every prompt would meet it again."""

from __future__ import annotations

import threading
import warnings


class CacheTrouble(UserWarning):
    """A cache goes on without something that it needs; the text says what, and what that means. Said once a cause."""


class Complaints:
    """Says each thing once; safe among threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._said: set[str] = set()

    def say(self, what: str, trouble: BaseException) -> None:
        """Warn that `what`, because of the trouble, unless that was said; the cache then misses instead."""
        with self._lock:
            new = what not in self._said
            self._said.add(what)
        if new:
            said = " ".join((str(trouble).partition("\n")[0] or type(trouble).__name__).split())[:200]
            warnings.warn(f"cache: {what} ({said}); such prompts go to the models", CacheTrouble, stacklevel=3)
