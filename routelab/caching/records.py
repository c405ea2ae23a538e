"""What a cache reads of the log; trouble with it is said once, and then there is nothing to read."""

from __future__ import annotations

import time
import warnings
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from routelab.caching.entry import Entry, of_log
from routelab.caching.trouble import CacheTrouble, Complaints
from routelab.core.errors import RoutelabError

if TYPE_CHECKING:
    from routelab.store.recall import Kept
    from routelab.store.shelf import Lesson, Shelf


REST_S = 2.0
"""After trouble with the log, how long it is not asked."""


@runtime_checkable
class Remembering(Protocol):
    """A log that caches can be filled from; `routelab.store.Log` is one."""

    content: Any

    @property
    def shelf(self) -> Shelf: ...
    def recall(self, *, keys: Sequence[str] = (), run_ids: Sequence[str] = ()) -> dict[str, Kept]: ...
    def written_vectors(self, embedder_id: str, hashes: Sequence[str]) -> dict[str, NDArray[np.float32]]: ...
    def put_many(self, embedder_id: str, items: Mapping[str, NDArray[np.float32]]) -> None: ...


class Records(Protocol):
    """What was remembered before, and elsewhere."""

    def sync(self) -> None:
        """Notice what others remembered or forgot."""

    def answer(self, key: str, *, than: str | None = None) -> Entry | None:
        """Return the latest answer under an exact cache's key, None when there is none, or none but that of the run `than`."""

    def within(
        self, namespace: str, after: int, known: Collection[str], since: datetime | None, most: int
    ) -> tuple[list[Entry], int]:
        """Return the `most` latest answers of a namespace that were given after `since`, and how many were noted in all.

        The first `after` that were noted, and those of the runs that are `known`, are left out.
        """

    def answers(self, namespace: str, run_ids: Collection[str]) -> list[Entry] | None:
        """Return the answers of those runs that are not forgotten; None where that cannot be told now."""

    def lessons(self, namespace: str, after: int) -> Sequence[Lesson]:
        """Return what was learned about a namespace's entries, without the first `after`."""

    def lapsed(self, lesson: Lesson) -> bool:
        """Say whether what was learned was forgotten since."""

    def forgotten(self, entry: Entry) -> bool:
        """Say whether an answer was forgotten since it was given."""

    def vectors(self, embedder: str, hashes: Sequence[str]) -> Mapping[str, NDArray[np.float32]]:
        """Return the vectors that are kept, by the hash of their text."""

    def keep_vectors(self, embedder: str, vectors: Mapping[str, NDArray[np.float32]]) -> None:
        """Keep vectors for the next process."""


class Unkept:
    """Records where nothing is kept."""

    def sync(self) -> None:
        """Notice nothing."""

    def answer(self, key: str, *, than: str | None = None) -> Entry | None:
        """Return None."""
        return None

    def within(
        self, namespace: str, after: int, known: Collection[str], since: datetime | None, most: int
    ) -> tuple[list[Entry], int]:
        """Return nothing."""
        return [], 0

    def answers(self, namespace: str, run_ids: Collection[str]) -> list[Entry] | None:
        """Return nothing."""
        return []

    def lessons(self, namespace: str, after: int) -> Sequence[Lesson]:
        """Return nothing."""
        return ()

    def lapsed(self, lesson: Lesson) -> bool:
        """Return False."""
        return False

    def forgotten(self, entry: Entry) -> bool:
        """Return False."""
        return False

    def vectors(self, embedder: str, hashes: Sequence[str]) -> Mapping[str, NDArray[np.float32]]:
        """Return nothing."""
        return {}

    def keep_vectors(self, embedder: str, vectors: Mapping[str, NDArray[np.float32]]) -> None:
        """Keep nothing."""


class Logged:
    """Records in a log. What the log cannot give is a miss, with one warning; it is asked again after REST_S."""

    def __init__(self, log: Remembering) -> None:
        self._log = log
        self._complaints = Complaints()
        self._retry_at = 0.0

    def sync(self) -> None:
        """Notice what others remembered or forgot."""
        shelf = self._log.shelf
        shelf.sync()
        if shelf.trouble is not None:
            self._complaints.say("the log cannot be read", shelf.trouble)

    def answer(self, key: str, *, than: str | None = None) -> Entry | None:
        """Return the latest answer under the key, read from the file: a look-up of what nobody remembers reads nothing."""
        place = self._log.shelf.newest(key)
        if place is None or place.run_id == than or self._resting:
            return None
        try:
            kept = self._log.recall(keys=[key]).get(key)
        except RoutelabError as trouble:
            self._rest(trouble)
            return None
        return None if kept is None else of_log(kept, key)

    def within(
        self, namespace: str, after: int, known: Collection[str], since: datetime | None, most: int
    ) -> tuple[list[Entry], int]:
        """Return the namespace's later answers; those that could not be read come with the next call."""
        if self._resting:
            return [], after
        shelf = self._log.shelf
        places = shelf.within(namespace, after)
        wanted = [
            p.run_id
            for p in places
            if p.run_id not in known
            and (since is None or p.started_at > since)
            and not shelf.forgotten(p.started_at, p.label)
        ]
        # What memory does not hold anyway is not read; it would push out the later ones.
        kept = self._kept(wanted[-most:])
        if kept is None:
            return [], after
        return [of_log(kept[run_id], namespace) for run_id in wanted if run_id in kept], after + len(places)

    def answers(self, namespace: str, run_ids: Collection[str]) -> list[Entry] | None:
        """Return those runs' answers, None while the log cannot be read."""
        kept = None if self._resting else self._kept(sorted(run_ids))
        if kept is None:
            return None
        found = [of_log(each, namespace) for each in kept.values() if each.namespace == namespace]
        return [entry for entry in found if not self.forgotten(entry)]

    def lessons(self, namespace: str, after: int) -> Sequence[Lesson]:
        """Return what runs found that asked although an entry was near."""
        return self._log.shelf.lessons(namespace, after)

    def lapsed(self, lesson: Lesson) -> bool:
        """Say whether what was learned was forgotten since."""
        return self._log.shelf.forgotten(lesson.started_at, lesson.label)

    def _kept(self, run_ids: Sequence[str]) -> Mapping[str, Kept] | None:
        try:
            return self._log.recall(run_ids=run_ids) if run_ids else {}
        except RoutelabError as trouble:
            self._rest(trouble)
            return None

    @property
    def _resting(self) -> bool:
        return time.monotonic() < self._retry_at

    def _rest(self, trouble: RoutelabError) -> None:
        # A log that another process holds would hold up every look-up.
        self._retry_at = time.monotonic() + REST_S
        self._complaints.say("the log cannot be read", trouble)

    def forgotten(self, entry: Entry) -> bool:
        """Say whether an answer was forgotten since it was given."""
        return self._log.shelf.forgotten(entry.kept_at, entry.label)

    def vectors(self, embedder: str, hashes: Sequence[str]) -> Mapping[str, NDArray[np.float32]]:
        """Return the vectors in the log."""
        try:
            return self._log.written_vectors(embedder, hashes)
        except RoutelabError as trouble:
            self._rest(trouble)
            return {}

    def keep_vectors(self, embedder: str, vectors: Mapping[str, NDArray[np.float32]]) -> None:
        """Put vectors into the log."""
        try:
            self._log.put_many(embedder, vectors)
        except RoutelabError as trouble:
            self._complaints.say("vectors cannot be kept", trouble)


def records_of(log: object) -> Records:
    """Return what a cache can read of a log; nothing where it keeps no texts, which is said, or is none that remembers."""
    if not isinstance(log, Remembering):
        return Unkept()
    if log.content != "full":
        warnings.warn(
            f"the log keeps no texts (content={log.content!r}), so what caches remember ends with this process",
            CacheTrouble,
            stacklevel=2,
        )
        return Unkept()
    return Logged(log)
