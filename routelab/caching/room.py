"""One namespace of a semantic cache: its entries, their index, and what each has learned about its reach."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from routelab.caching.entry import Entry
from routelab.embedding.cached import content_hash

if TYPE_CHECKING:
    from routelab.caching.entrywise import Observations
    from routelab.embedding.growing import Growing

Vectors = NDArray[np.float32]
Embed = Callable[[Sequence[str]], Vectors]
FEW = 64
"""Up to so many entries a room compares by itself: there may be many small rooms, and an index takes a megabyte."""


@dataclass(frozen=True, kw_only=True)
class Near:
    """An entry with the cosine of its question and the one that is asked."""

    entry: Entry
    similarity: float

    @property
    def id(self) -> str:
        """The entry's id in its room."""
        return content_hash(self.entry.asked)


class Room:
    """Entries by the hash of their question: one question has one answer, the latest. Its user holds the lock.

    `noted` counts the answers of the log that were looked at, and `heard` what it says that was learned.
    """

    def __init__(self, *, namespace: str, index: str | Mapping[str, Any]) -> None:
        self.namespace = namespace
        self.noted = self.heard = 0
        self._spec = index
        self._entries: dict[str, Entry] = {}
        self._waiting: dict[str, Entry] = {}
        self._few: dict[str, Vectors] = {}
        self._index: Growing | None = None
        self._seen: dict[str, Observations] = {}
        self._read: set[str] = set()
        self._learned: set[str] = set()
        self.runs: dict[str, tuple[str, str]] = {}
        """The runs whose answers came here, with the hashes of question and answer; also those that others have replaced."""

    def __len__(self) -> int:
        return len(self._entries)

    @staticmethod
    def id_of(entry: Entry) -> str:
        """Return the id of an entry: the hash of its question."""
        return content_hash(entry.asked)

    def entries(self) -> list[Entry]:
        """Return all entries."""
        return list(self._entries.values())

    def entry(self, id_: str) -> Entry:
        """Return the entry of an id."""
        return self._entries[id_]

    def told(self, text: str) -> Entry | None:
        """Return the entry of this very question."""
        return self._entries.get(content_hash(text))

    def waiting(self) -> list[Entry]:
        """Return the entries that are not in the index yet."""
        return list(self._waiting.values())

    def was_read(self, entry: Entry) -> bool:
        """Say that an entry that waits came out of the log."""
        return self.id_of(entry) in self._read

    def put(self, entry: Entry, *, read: bool = False) -> str:
        """Add or replace an entry and return its id; it comes into the index when somebody looks. `read`: out of the log."""
        id_ = self.id_of(entry)
        if read:
            self._read.add(id_)
        known = self._entries.get(id_)
        self._entries[id_] = entry
        self.place(entry)
        if known is None:
            self._waiting[id_] = entry
        elif known.text != entry.text:
            # What it learned was about the answer that it had.
            self._seen.pop(id_, None)
        return id_

    def place(self, entry: Entry) -> None:
        """Note which words a run's answer had, without giving them to anybody."""
        self.runs[entry.run_id] = (self.id_of(entry), content_hash(entry.text))

    def drop(self, entry: Entry) -> None:
        """Remove an entry, if it is there."""
        id_ = self.id_of(entry)
        self._entries.pop(id_, None)
        self._waiting.pop(id_, None)
        self._read.discard(id_)
        self._few.pop(id_, None)
        self._seen.pop(id_, None)
        if self._index is not None:
            self._index.remove([id_])

    def rebuild(self) -> None:
        """Throw the index away: the next look makes it again."""
        self._index = None
        self._few = {}
        self._waiting = dict(self._entries)

    def vectors_of(self, entries: Iterable[Entry], embed: Embed) -> dict[str, Vectors]:
        """Return the vectors of the entries' questions by id."""
        listed = list(entries)
        return dict(zip(map(self.id_of, listed), embed([e.asked for e in listed]), strict=True))

    def index_them(self, entries: Sequence[Entry], known: Mapping[str, Vectors], embed: Embed) -> None:
        """Put entries that wait into the index; those whose vector is not known are embedded."""
        lacking = [e for e in entries if self.id_of(e) not in known]
        made = {**known, **(self.vectors_of(lacking, embed) if lacking else {})}
        fresh = {id_: made[id_] for id_ in map(self.id_of, entries)}
        if self._index is None and len(self._few) + len(fresh) > FEW:
            self._index = self._grown({**self._few, **fresh})
            self._few = {}
        elif self._index is None:
            self._few.update(fresh)
        else:
            self._index.add(list(fresh), np.array(list(fresh.values()), dtype=np.float32))
        for id_ in fresh:
            self._waiting.pop(id_, None)
            self._read.discard(id_)

    def nearest(self, vector: Vectors, k: int, at_least: float = -1.0) -> list[Near]:
        """Return the k nearest entries whose cosine is `at_least`, nearest first."""
        if self._index is not None:
            found = self._index.nearest(vector, k, at_least)
        else:
            wide = np.asarray(vector, dtype=np.float64)
            cosines = [(id_, float((row.astype(np.float64) * wide).sum())) for id_, row in self._few.items()]
            found = sorted((pair for pair in cosines if pair[1] >= at_least), key=lambda pair: -pair[1])[:k]
        return [Near(entry=self._entries[id_], similarity=min(1.0, s)) for id_, s in found if id_ in self._entries]

    def seen(self, near: Near) -> Observations:
        """Return what an entry has seen."""
        from routelab.caching.entrywise import Observations

        return self._seen.get(near.id, Observations())

    def learn(self, run_id: str, source: str, similarity: float, right: bool) -> None:
        """Let the entry that has the answer of the run `source` know whether it was right for a question of that similarity.

        What the run `run_id` found counts once, whoever tells it, and only for the words that it was about.
        """
        from routelab.caching.entrywise import Observations, learn

        if run_id in self._learned or source not in self.runs:
            return
        self._learned.add(run_id)
        id_, answer = self.runs[source]
        if id_ in self._entries and content_hash(self._entries[id_].text) == answer:
            self._seen[id_] = learn(self._seen.get(id_, Observations()), similarity, right)

    def _grown(self, vectors: Mapping[str, Vectors]) -> Growing:
        from pathlib import Path

        from routelab.embedding.growing import growing_of

        spec: Any = self._spec
        if not isinstance(spec, str) and "folder" in spec:
            # One folder a namespace: nothing of another one can be found in it.
            spec = {**spec, "folder": str(Path(str(spec["folder"])) / self.namespace)}
        rows = np.array(list(vectors.values()), dtype=np.float32)
        index = growing_of(spec, dimensions=rows.shape[1])
        index.add(list(vectors), rows)
        return index
