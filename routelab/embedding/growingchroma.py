"""Chroma in front of a growing exact index: it proposes neighbours, our own rows decide, and what it cannot is done exactly.

What `embedding.chroma` says about Chroma holds here too. Beyond it: a vector that is removed keeps its place in Chroma's
graph, so a removal only stops listening to it, and the collection is made anew when most of it is of that kind.
"""

from __future__ import annotations

import hashlib
import os
import threading
import uuid
import warnings
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from routelab.core.errors import ConfigError
from routelab.embedding.chroma import SPARE, _broken, _client, _dropped, _made_here, _ours, _panics, _set_aside
from routelab.embedding.growing import Floats32, GrowingExact, unit_rows
from routelab.embedding.index import Vectors

WAITING = 128
"""Entries that may wait beside the graph, compared exactly, before they are put into it together: alone, one costs 4 to 23 ms."""
PROBES = 16
"""Vectors that must find themselves after each change of the graph."""
SETTINGS = {"space": "cosine", "ef_construction": 200, "ef_search": 200, "max_neighbors": 32}
_NAME = "rl_growing1_cosine"
_ITSELF = 1e-3


class IndexGivenUp(UserWarning):
    """Chroma failed while it was in use; the text says why, and that every entry is compared from then on."""


class GrowingChroma:
    """Finds neighbours through a Chroma collection, in memory or in `folder`; see `Growing`.

    The collection holds each distinct vector once, by its hash. Entries that it does not hold yet, and those whose vector is
    the one asked for, are compared whatever it says, so an entry is always found by its own vector. When fewer than k
    neighbours come back, or Chroma fails, every entry is compared: slower, never worse.

    A folder is one index's at a time: while another process, or another index of this one, has it, this one works in memory.
    What a folder holds serves entries that are added again; one that is foreign, damaged or does not find what it holds is
    set aside and made anew, with one warning (`IndexRebuilt`). Raises ConfigError for a folder that cannot be written.
    """

    def __init__(self, *, dimensions: int, folder: str | Path | None = None, waiting: int = WAITING) -> None:
        self._dimensions = dimensions
        self._folder = None if folder is None else _claimed(self, Path(folder))
        self._most_waiting = waiting
        self._exact = GrowingExact(dimensions=dimensions)
        # Writers come one at a time and may wait for Chroma; whoever looks up waits for the second lock only.
        self._writing = threading.Lock()
        self._lock = threading.Lock()
        self._key_of: dict[str, str] = {}
        self._ids_of: dict[str, dict[str, None]] = {}
        self._waiting: dict[str, None] = {}
        self._graph: _Graph | None = None
        self._usable = True
        self._asked = False

    def __len__(self) -> int:
        return len(self._exact)

    @property
    def persisted(self) -> bool:
        """Whether a collection is in use and in the folder, rather than in memory."""
        graph = self._graph
        return graph is not None and graph.folder is not None

    def add(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Add or replace entries; see `Growing`."""
        rows = unit_rows(vectors, self._dimensions)
        with self._writing:
            self._exact.add(ids, rows)
            with self._lock:
                for entry, row in zip(ids, rows, strict=True):
                    self._forget(entry)
                    key = self._key_of[entry] = key_of(row)
                    self._ids_of.setdefault(key, {})[entry] = None
                    self._waiting[entry] = None
            if self._usable and len(self._waiting) > self._most_waiting:
                self._put()

    def remove(self, ids: Iterable[str]) -> None:
        """Remove entries; see `Growing`."""
        ids = list(ids)
        with self._writing:
            self._exact.remove(ids)
            with self._lock:
                for entry in ids:
                    self._forget(entry)

    def nearest(self, vector: Floats32, k: int, at_least: float = -1.0) -> list[tuple[str, float]]:
        """Return the k nearest; see `Growing`. One that the graph does not propose can be missing; its own vector's, never."""
        row = unit_rows(vector, self._dimensions, one=True)[0]
        with self._lock:
            self._asked = True
            # What waits is read before the graph is asked: what is put into it in between is seen twice rather than never.
            graph, entries = self._graph, dict(self._waiting)
            entries.update(self._ids_of.get(key_of(row), {}))
            distinct = len(self._ids_of)
        if graph is None or k < 1 or 4 * k > distinct or 8 * len(entries) > len(self):
            return self._exact.nearest(row, k, at_least)
        try:
            [keys] = graph.nearest(row[None], k + SPARE)
        except _broken() as trouble:
            self._give_up(graph, trouble)
            return self._exact.nearest(row, k, at_least)
        with self._lock:
            proposed = [entry for key in keys for entry in self._ids_of.get(key, ())]
        if len(proposed) < k:
            return self._exact.nearest(row, k, at_least)
        entries.update(dict.fromkeys(proposed))
        return self._exact.among(row, entries, k, at_least)

    def _forget(self, entry: str) -> None:
        key = self._key_of.pop(entry, None)
        if key is not None:
            self._waiting.pop(entry, None)
            del self._ids_of[key][entry]
            if not self._ids_of[key]:
                del self._ids_of[key]

    def _put(self) -> None:
        """Put what waits into the graph, made or made anew where it must be, and check that it is found."""
        graph = self._graph
        try:
            if graph is None:
                graph = _opened(self._folder, self._dimensions)
            # Before the first question, what an earlier session left behind may still be added again.
            elif self._asked and len(graph.held - self._ids_of.keys()) > max(self._most_waiting, len(self._ids_of)):
                self._all_wait()
                graph = graph.anew(self._dimensions)
            self._fill(graph)
        except _failures() as trouble:
            self._all_wait()
            if self._folder is None:
                self._give_up(None, trouble)
                return
            try:
                _set_aside(self._folder, _short(trouble))
                graph = _opened(self._folder, self._dimensions)
                self._fill(graph)
            except _failures(ConfigError) as again:
                self._give_up(None, again)

    def _all_wait(self) -> None:
        with self._lock:
            self._graph = None
            self._waiting = dict.fromkeys(self._key_of)

    def _fill(self, graph: _Graph) -> None:
        waiting, rows = self._exact.rows_of(self._waiting)
        missing = {self._key_of[entry]: i for i, entry in enumerate(waiting) if self._key_of[entry] not in graph.held}
        graph.put(list(missing), rows[list(missing.values())])
        ids = self._exact.ids()
        probes = np.unique(np.linspace(0, len(ids) - 1, num=PROBES, dtype=np.intp)).tolist()
        if not graph.finds(self._exact.rows_of(ids[i] for i in probes)[1]):
            raise _Lost("it does not find what it holds")
        with self._lock:
            self._waiting.clear()
            self._graph = graph

    def _give_up(self, expected: _Graph | None, trouble: BaseException) -> None:
        with self._lock:
            if not self._usable or self._graph is not expected:
                # Another thread said it already, or the graph was replaced while it was asked: nothing is lost by that.
                return
            self._graph, self._usable = None, False
        said = f"index: Chroma failed ({_short(trouble)}); every entry is compared from here on"
        warnings.warn(said, IndexGivenUp, stacklevel=3)


class _Lost(Exception):
    """A graph does not find a vector that it holds."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Graph:
    """A collection with the keys that it holds."""

    client: Any
    collection: Any
    held: set[str]
    folder: Path | None

    def put(self, keys: Sequence[str], rows: Vectors) -> None:
        step = self.client.get_max_batch_size()
        with _panics():
            for start in range(0, len(keys), step):
                part = list(keys[start : start + step])
                self.collection.upsert(ids=part, embeddings=rows[start : start + step])
                self.held.update(part)

    def nearest(self, rows: Vectors, n: int) -> list[list[str]]:
        with _panics():
            found = self.collection.query(query_embeddings=rows, n_results=min(n, len(self.held)), include=[])
        keys: list[list[str]] = found["ids"]
        return keys

    def finds(self, rows: Vectors) -> bool:
        with _panics():
            found = self.collection.query(query_embeddings=rows, n_results=1, include=["distances"])
        return all(row and abs(row[0]) < _ITSELF for row in found["distances"])

    def anew(self, dimensions: int) -> _Graph:
        with _panics():
            if self.folder is not None:
                self.client.delete_collection(self.collection.name)
            return _made(self.client, self.folder, dimensions)


def key_of(row: Vectors) -> str:
    """Return the name of a vector in the collection: 32 digits of a hash of its bytes."""
    return hashlib.blake2b(row.tobytes(), digest_size=16).hexdigest()


def _opened(folder: Path | None, dimensions: int) -> _Graph:
    with _panics():
        client = _client(folder)
        # In memory, all clients of a process share what there is.
        mine = [] if folder is None else [c.name for c in client.list_collections() if c.name.startswith(_NAME)]
        if len(mine) == 1 and mine[0].startswith(f"{_NAME}_{dimensions}_"):
            collection = client.get_collection(mine[0], embedding_function=None)
            if collection.configuration_json.get("hnsw", {}).get("space") != SETTINGS["space"]:
                raise _Lost("its collection does not measure cosines")
            held = set(collection.get(include=[])["ids"])
            return _Graph(client=client, collection=collection, held=held, folder=folder)
        for old in mine:
            client.delete_collection(old)
        return _made(client, folder, dimensions)


def _made(client: Any, folder: Path | None, dimensions: int) -> _Graph:
    name = f"{_NAME}_{dimensions}_{uuid.uuid4().hex}"
    collection = client.create_collection(name, embedding_function=None, configuration={"hnsw": SETTINGS})
    graph = _Graph(client=client, collection=collection, held=set(), folder=folder)
    if folder is None:
        weakref.finalize(graph, _dropped, client, name)
    return graph


# The folders that indexes of this process have; the lock on a folder keeps out other processes only.
_TAKEN: set[str] = set()
_TAKING = threading.Lock()


def _claimed(index: GrowingChroma, folder: Path) -> Path | None:
    """Return the folder's real path, free of what is not ours, for as long as the index lives; None while another has it."""
    folder = Path(os.path.realpath(folder.expanduser()))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as trouble:
        raise ConfigError(f"index.folder: {folder.parent} cannot be made ({trouble.strerror})") from None
    with _TAKING:
        if str(folder) in _TAKEN or not _ours(folder.with_name(folder.name + ".lock")):
            return None
        _TAKEN.add(str(folder))
        weakref.finalize(index, _TAKEN.discard, str(folder))
    if folder.exists() and not _made_here(folder):
        _set_aside(folder, "it is not an index of this version of routelab")
    return folder


def _failures(*more: type[BaseException]) -> tuple[type[BaseException], ...]:
    return (_Lost, *more, *_broken())


def _short(trouble: BaseException) -> str:
    return " ".join(str(trouble).split())[:120] or type(trouble).__name__
