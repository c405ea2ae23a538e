"""Chroma as an index over vectors that are kept elsewhere: it holds nothing that cannot be made again.

Measured with 1.5.9: two processes that write one folder lose each other's neighbours without an error, a collection
keeps the distance it was made with whatever is asked for later, and reading `collection.configuration` can build an
embedder that the file names. Hence: vectors are always passed, one process a folder, the name of a collection says what
is in it, and a folder that this module did not make is never opened.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import uuid
import warnings
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from routelab.core.errors import ConfigError
from routelab.embedding.index import Floats, Ints, Vectors, ranked, stacked

MARK = "routelab-index"
"""The file that says that a folder is ours; it names the layout's version and the folder within that is in use."""
VERSION = "1"
SPARE = 16
"""Neighbours asked for beyond k, so that rounding and ties cannot push one out."""
SEARCH = 400
"""How widely the graph is searched; with 15,000 MiniLM vectors it misses fewer than one neighbour in a thousand."""


class IndexRebuilt(UserWarning):
    """A folder could not be used as an index; the text says where it was set aside and that a new one was made."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Chroma:
    """Finds neighbours through a Chroma collection filled with `rows` (m × d, unit length), in memory or in `folder`.

    A folder is filled once and read by later processes, one at a time: while another process has it, this one works in
    memory. A folder that is foreign, damaged or of another version is set aside and made anew, with one warning.
    """

    rows: Vectors
    folder: str | Path | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def nearest(self, vectors: Vectors, k: int) -> tuple[Ints, Floats]:
        """Return positions and cosines of the k nearest; see `Index`. Cosines are the rows' own, not Chroma's."""
        k = min(k, len(self))
        if len(vectors) == 0 or k == 0:
            return stacked([], k)
        wanted = min(k + SPARE, len(self))
        found = self._collection.query(
            query_embeddings=np.asarray(vectors, dtype=np.float32), n_results=wanted, include=["distances"]
        )
        rows = []
        for vector, ids in zip(vectors, found["ids"], strict=True):
            near = np.array([int(i) for i in ids], dtype=np.intp)
            if len(near) < k:
                # The graph can leave out what it did not link; then nothing is guessed.
                near = np.arange(len(self), dtype=np.intp)
            rows.append(ranked(vector, self.rows[near], near, k))
        return stacked(rows, k)

    @property
    def persisted(self) -> bool:
        """Whether the collection is in the folder, rather than in memory."""
        return self._opened[1]

    @property
    def _collection(self) -> Any:
        return self._opened[0]

    @cached_property
    def _opened(self) -> tuple[Any, bool]:
        if self.folder is not None:
            found = _in_folder(Path(self.folder).expanduser(), self.rows)
            if found is not None:
                return found, True
        client = _client(None)
        # Every client in memory shares one store, so the name must be nobody else's.
        name = f"rl_{uuid.uuid4().hex}"
        collection = _filled(client, name, self.rows)
        weakref.finalize(self, _dropped, client, name)
        return collection, False


def _in_folder(folder: Path, rows: Vectors) -> Any | None:
    """Return the collection in the folder, made or made anew where needed; None while another process has the folder."""
    folder = Path(os.path.realpath(folder))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as trouble:
        raise ConfigError(f"index.folder: {folder.parent} cannot be made ({trouble.strerror})") from None
    if not _ours(folder.with_name(folder.name + ".lock")):
        return None
    name = f"rl_cosine_{rows.shape[1]}_{hashlib.sha256(np.ascontiguousarray(rows).tobytes()).hexdigest()[:24]}"
    if folder.exists() and not _made_here(folder):
        _set_aside(folder, "it is not an index of this version of routelab")
    try:
        return _opened(folder, name, rows)
    except _broken() as trouble:
        _set_aside(folder, " ".join(str(trouble).split())[:120] or type(trouble).__name__)
        return _opened(folder, name, rows)


def _opened(folder: Path, name: str, rows: Vectors) -> Any:
    with _panics():
        client = _client(folder)
        known = {c.name for c in client.list_collections()}
        if name in known:
            collection = client.get_collection(name, embedding_function=None)
            if _whole(collection, rows):
                return collection
        for old in sorted(known):
            # Vectors of an earlier fit; the folder holds one set at a time.
            client.delete_collection(old)
        return _filled(client, name, rows)


def _whole(collection: Any, rows: Vectors) -> bool:
    space = collection.configuration_json.get("hnsw", {}).get("space")
    if space != "cosine" or collection.count() != len(rows):
        return False
    # A probe: every tenth of the rows must find itself.
    probe = np.unique(np.linspace(0, len(rows) - 1, num=min(10, len(rows)), dtype=np.intp))
    found = collection.query(query_embeddings=rows[probe], n_results=1, include=["distances"])
    return all(row and abs(row[0]) < 1e-3 for row in found["distances"])


def _filled(client: Any, name: str, rows: Vectors) -> Any:
    settings = {"space": "cosine", "ef_construction": SEARCH // 2, "ef_search": SEARCH, "max_neighbors": 32}
    collection = client.create_collection(name, embedding_function=None, configuration={"hnsw": settings})
    step = client.get_max_batch_size()
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        collection.add(ids=[str(i) for i in range(start, start + len(part))], embeddings=part)
    return collection


def _client(folder: Path | None) -> Any:
    import chromadb
    from chromadb.config import Settings

    quiet = Settings(anonymized_telemetry=False)
    if folder is None:
        return chromadb.EphemeralClient(settings=quiet)
    return chromadb.PersistentClient(path=str(folder / _within(folder)), settings=quiet)


def _within(folder: Path) -> str:
    """Return the folder within that is in use; a new name where there is none.

    Chroma keeps what it opened by its path for as long as the process lives, even when that failed, so a folder that is
    made again must not have the path of the one before it.
    """
    mark = folder / MARK
    if not mark.exists():
        folder.mkdir(exist_ok=True)
        mark.write_text(f"{VERSION} {uuid.uuid4().hex[:12]}", encoding="utf-8")
    return mark.read_text(encoding="utf-8").split()[1]


def _dropped(client: Any, name: str) -> None:
    # At the interpreter's end the client may be gone already, and its memory with it.
    with contextlib.suppress(*_broken(), ImportError):
        client.delete_collection(name)


def _made_here(folder: Path) -> bool:
    try:
        return re.fullmatch(f"{VERSION} [0-9a-f]{{12}}", (folder / MARK).read_text(encoding="utf-8")) is not None
    except (OSError, UnicodeDecodeError):
        # An empty folder is nobody's.
        return folder.is_dir() and not any(folder.iterdir())


def _set_aside(folder: Path, why: str) -> None:
    names = (folder.with_name(f"{folder.name}.unusable{'' if n == 0 else f'-{n}'}") for n in range(1000))
    aside = next(name for name in names if not name.exists())
    try:
        folder.rename(aside)
    except OSError as trouble:
        raise ConfigError(f"index.folder: {folder} cannot be set aside ({trouble.strerror})") from None
    warnings.warn(f"{folder}: {why}; it is now {aside.name}, and the index was made anew", IndexRebuilt, stacklevel=2)


def _broken() -> tuple[type[BaseException], ...]:
    import sqlite3

    from chromadb.errors import ChromaError

    # The last three: what a damaged catalogue becomes on its way through the client.
    return (ChromaError, sqlite3.Error, OSError, _Panic, ValueError, KeyError, AttributeError)


class _Panic(Exception):
    """Chroma's Rust core gave up."""


@contextlib.contextmanager
def _panics() -> Iterator[None]:
    """Turn a panic of the Rust core, which is no Exception, into one."""
    try:
        yield
    except BaseException as trouble:
        if type(trouble).__name__ == "PanicException":
            raise _Panic(str(trouble)) from None
        raise


# What this process holds locked, by path: a lock is a process's, so it is taken once and let go of when the process ends.
_HELD: dict[str, int] = {}


def _ours(lock: Path) -> bool:
    """Say that this process is the only one with the folder; it keeps the right until it ends."""
    if str(lock) in _HELD:
        return True
    try:
        import fcntl
    except ImportError:  # Windows: an open file cannot be renamed or replaced by another process
        return True
    try:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as trouble:
        raise ConfigError(f"index.folder: {lock} cannot be written ({trouble.strerror})") from None
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return False
    _HELD[str(lock)] = handle
    return True
