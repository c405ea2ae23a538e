"""Vectors for whoever needs them in this process: every text is embedded once, and the memory that takes has a bound.

Strategies are plain values that hold no embedder: they name one, and ask here.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from routelab.core.ports import Embedder
from routelab.embedding.cached import Cached

Vector: TypeAlias = NDArray[np.float32]

LIMIT_BYTES = 256_000_000


@dataclass(kw_only=True)
class Memory:
    """Vectors by embedder and hash of the text, the longest unused thrown away beyond `limit_bytes`; safe among threads."""

    limit_bytes: int = LIMIT_BYTES
    _held: OrderedDict[tuple[str, str], Vector] = field(default_factory=OrderedDict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _bytes: int = 0

    def __len__(self) -> int:
        return len(self._held)

    @property
    def used_bytes(self) -> int:
        """What the vectors take."""
        return self._bytes

    def get_many(self, embedder_id: str, hashes: Sequence[str], /) -> Mapping[str, Vector]:
        """Return the vectors that are there, by hash."""
        found: dict[str, Vector] = {}
        with self._lock:
            for name in hashes:
                vector = self._held.get((embedder_id, name))
                if vector is not None:
                    self._held.move_to_end((embedder_id, name))
                    found[name] = vector
        return found

    def put_many(self, embedder_id: str, vectors: Mapping[str, Vector], /) -> None:
        """Keep the vectors, by hash."""
        with self._lock:
            for name, vector in vectors.items():
                # A copy of its own: a view would keep the batch it was cut from.
                own = np.array(vector, dtype=np.float32)
                own.setflags(write=False)
                before = self._held.pop((embedder_id, name), None)
                self._bytes += own.nbytes - (0 if before is None else before.nbytes)
                self._held[embedder_id, name] = own
            while self._bytes > self.limit_bytes and self._held:
                self._bytes -= self._held.popitem(last=False)[1].nbytes


@dataclass(kw_only=True)
class Embedders:
    """One embedder a mapping, each with the same memory in front of it: a model is loaded once a process."""

    memory: Memory = field(default_factory=Memory)
    _made: dict[str, Embedder] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __getitem__(self, spec: Mapping[str, Any] | str) -> Cached:
        from routelab.embedding import embedder_of

        whole = {"kind": spec} if isinstance(spec, str) else spec
        key = json.dumps(whole, sort_keys=True, default=repr)
        with self._lock:
            if key not in self._made:
                self._made[key] = embedder_of(spec)
            return Cached(embedder=self._made[key], store=self.memory)


# The one memory of the process: what a model makes of a text is the same for everybody, and expensive.
_PROCESS = Embedders()


def vectors(spec: Mapping[str, Any] | str, texts: Sequence[str]) -> NDArray[np.float32]:
    """Return one unit vector a text, n × dimensions, embedding only what this process has not embedded before.

    `spec` is what `embedder_of` takes. Raises ConfigError for a spec that cannot be used, ProviderError when an
    embedder behind a server cannot answer.
    """
    return _PROCESS[spec](texts)


def id_of(spec: Mapping[str, Any] | str) -> str:
    """Return the embedder's id; one that hashes its model's files (23 MB for MiniLM) does so once a process."""
    return _PROCESS[spec].id


def remember(spec: Mapping[str, Any] | str, known: Mapping[str, NDArray[np.float32]]) -> None:
    """Keep vectors that were made elsewhere, such as those of a log, by `content_hash` of their texts."""
    _PROCESS.memory.put_many(_PROCESS[spec].id, known)
