"""A library's vectors in a file, so that a process that starts need not embed a corpus again.

They can always be made anew: a file that is damaged, or of another state of the corpus, is passed over with one warning and
replaced. It is written whole or not at all, so that any number of processes may read it.
"""

from __future__ import annotations

import contextlib
import os
import uuid
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from routelab.core.errors import ConfigError
from routelab.embedding.chroma import IndexRebuilt
from routelab.embedding.index import Vectors

_BROKEN = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Vectors (passages × dimensions) in an .npz file at `path`, under the `key` of what they were made of."""

    path: Path

    def read(self, key: str, count: int) -> Vectors | None:
        """Return the vectors that were kept under the key, or None; warns of a file that cannot be used."""
        if not self.path.exists():
            return None
        try:
            # Opened here: what is no zip would be left open there.
            with self.path.open("rb") as raw, np.load(raw, allow_pickle=False) as there:
                known, rows = str(there["key"]), np.asarray(there["vectors"], dtype=np.float32)
        except _BROKEN as trouble:
            self._warn(f"is damaged ({' '.join(str(trouble).split())[:120]})")
            return None
        if known != key:
            self._warn("is of another state of the documents, their cuts or the embedder")
            return None
        if rows.ndim != 2 or len(rows) != count or not np.isfinite(rows).all():
            self._warn("is damaged (it has other vectors than it should)")
            return None
        return rows

    def write(self, key: str, rows: Vectors) -> None:
        """Keep the vectors; ConfigError when the place cannot be written."""
        draft = self.path.with_name(f".{uuid.uuid4().hex}.npz")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(draft, key=np.array(key), vectors=rows)
            os.replace(draft, self.path)
        except OSError as trouble:
            with contextlib.suppress(OSError):
                draft.unlink()
            raise ConfigError(
                f"retrieval.index.folder: {self.path.parent} cannot be written ({trouble.strerror})",
                hint="name another folder, or leave it out to keep the index in memory",
            ) from None

    def _warn(self, why: str) -> None:
        warnings.warn(f"{self.path}: {why}; the index is made anew", IndexRebuilt, stacklevel=4)
