"""Kept vectors: read back exactly, or made anew with one warning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from routelab.core.errors import ConfigError
from routelab.embedding.chroma import IndexRebuilt
from routelab.retrieval.kept import Kept

ROWS = np.array([[1.0, 0.0], [0.6, 0.8]], dtype=np.float32)


def test_vectors_are_read_back_to_the_last_bit(tmp_path: Path) -> None:
    kept = Kept(path=tmp_path / "new" / "a.npz")
    assert kept.read("k", 2) is None
    kept.write("k", ROWS)
    found = kept.read("k", 2)
    assert found is not None
    assert found.dtype == np.float32
    assert (found == ROWS).all()
    assert [p.name for p in kept.path.parent.iterdir()] == ["a.npz"]


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "other", "rows", "nan"])
def test_what_cannot_be_used_is_said_once_and_replaced(tmp_path: Path, damage: str) -> None:
    kept = Kept(path=tmp_path / "a.npz")
    kept.write("k", ROWS)
    raw = bytearray(kept.path.read_bytes())
    if damage == "cut":
        kept.path.write_bytes(raw[: len(raw) // 2])
    elif damage == "flip":
        at = raw.find(ROWS.tobytes())
        raw[at] ^= 255
        kept.path.write_bytes(raw)
    elif damage == "empty":
        kept.path.write_bytes(b"")
    elif damage == "other":
        kept.write("another", ROWS)
    elif damage == "rows":
        kept.write("k", ROWS[:1])
    else:
        kept.write("k", ROWS * np.float32("nan"))
    with pytest.warns(IndexRebuilt, match="the index is made anew") as said:
        assert kept.read("k", 2) is None
    assert len(said) == 1
    kept.write("k", ROWS)
    assert kept.read("k", 2) is not None


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"retrieval\.index\.folder: .*file cannot be written"):
        Kept(path=tmp_path / "file" / "a.npz").write("k", ROWS)
