"""Indexes: exact neighbours, the same ones through Chroma, and a folder that survives what happens to it."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routelab.core.errors import ConfigError
from routelab.embedding.chroma import MARK, Chroma, IndexRebuilt
from routelab.embedding.index import Exact, Index, checked, index_of


def unit(n: int, d: int = 16, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(n, d))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


ROWS, ASKED = unit(300), unit(40, seed=1)


@pytest.mark.parametrize("k", [1, 7, 300, 1000])
def test_the_exact_index_finds_what_a_full_sort_finds(k: int) -> None:
    near, cosines = Exact(rows=ROWS).nearest(ASKED, k)
    wanted = np.argsort(-(ASKED.astype(float) @ ROWS.astype(float).T), axis=1, kind="stable")[:, : min(k, 300)]
    assert np.array_equal(near, wanted)
    assert (np.diff(cosines, axis=1) <= 0).all()


@pytest.mark.parametrize("k", [1, 7, 300])
def test_chroma_finds_the_same_neighbours_with_the_same_cosines(k: int) -> None:
    exact, chroma = (index.nearest(ASKED, k) for index in (Exact(rows=ROWS), Chroma(rows=ROWS)))
    assert np.array_equal(exact[0], chroma[0])
    assert np.array_equal(exact[1], chroma[1])


@pytest.mark.parametrize("made", [Exact, Chroma])
def test_of_equally_near_rows_the_first_comes_first(made: type) -> None:
    index: Index = made(rows=np.repeat(ROWS[:2], 3, axis=0))
    assert index.nearest(ROWS[:1], 4)[0].tolist() == [[0, 1, 2, 3]]


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 40), st.integers(1, 30))
def test_neighbours_depend_on_their_own_vector_to_the_last_digit(n: int, k: int) -> None:
    index = Exact(rows=ROWS)
    together = index.nearest(ASKED[:n], k)
    alone = [index.nearest(ASKED[i : i + 1], k) for i in range(n)]
    assert np.array_equal(together[0], np.concatenate([a[0] for a in alone]))
    assert np.array_equal(together[1], np.concatenate([a[1] for a in alone]))


@pytest.mark.parametrize("made", [Exact, Chroma])
def test_no_vectors_have_no_neighbours(made: type) -> None:
    near, cosines = made(rows=ROWS).nearest(ASKED[:0], 3)
    assert near.shape == cosines.shape == (0, 3)


def test_two_indexes_in_memory_do_not_meet() -> None:
    one, two = Chroma(rows=ROWS[:10]), Chroma(rows=ROWS[10:20])
    assert one.nearest(ROWS[3:4], 1)[0].tolist() == [[3]]
    assert two.nearest(ROWS[13:14], 1)[0].tolist() == [[3]]


# In a folder


def found(folder: Path, rows: np.ndarray = ROWS) -> tuple[bool, list[list[int]]]:
    index = Chroma(rows=rows, folder=folder)
    return index.persisted, index.nearest(rows[5:6], 1)[0].tolist()


def test_a_folder_is_filled_once_and_read_again(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "log.duckdb.index"
    assert found(folder) == (True, [[5]])
    before = {p.name for p in folder.iterdir()}
    assert found(folder) == (True, [[5]])
    assert {p.name for p in folder.iterdir()} == before
    assert MARK in before


def test_other_vectors_take_the_place_of_the_old_ones(tmp_path: Path) -> None:
    folder = tmp_path / "i"
    assert found(folder) == (True, [[5]])
    assert found(folder, unit(50, d=8, seed=4)) == (True, [[5]])
    assert found(folder) == (True, [[5]])


def test_a_foreign_folder_is_set_aside_with_one_warning_and_never_opened(tmp_path: Path) -> None:
    folder = tmp_path / "i"
    folder.mkdir()
    (folder / "chroma.sqlite3").write_bytes(b"somebody else's")
    with pytest.warns(IndexRebuilt, match=r"i\.unusable") as said:
        assert found(folder) == (True, [[5]])
    assert len(said) == 1
    assert (tmp_path / "i.unusable" / "chroma.sqlite3").read_bytes() == b"somebody else's"


DAMAGE = {
    "no database at all": "raw = b'this is not SQLite' * 500",
    "cut off": "raw = path.read_bytes()[: 3 * 4096]",
    "empty": "raw = b''",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_folder_is_set_aside_and_made_again(tmp_path: Path, damage: str) -> None:
    # In processes of their own: Chroma keeps what it has opened for as long as a process lives.
    start = (
        "import sys, warnings, numpy as np\nfrom pathlib import Path\nfrom routelab.embedding.chroma import Chroma\n"
        "rng = np.random.default_rng(0)\nrows = rng.normal(size=(300, 16))\n"
        "rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)\n"
        "folder = Path(sys.argv[1])\n"
        "def look():\n"
        "    index = Chroma(rows=rows, folder=folder)\n"
        "    return index.persisted, index.nearest(rows[5:6], 1)[0].tolist()\n"
    )
    first = start + "assert look() == (True, [[5]])\n"
    spoil = f"from pathlib import Path\nimport sys\npath, = Path(sys.argv[1]).glob('*/chroma.sqlite3')\n{DAMAGE[damage]}\npath.write_bytes(raw)\n"
    second = (
        start
        + "with warnings.catch_warnings(record=True) as said:\n"
        + "    warnings.simplefilter('always')\n"
        + "    assert look() == (True, [[5]]), look()\n"
        + "print(sum('made anew' in str(w.message) for w in said))\n"
    )
    folder = tmp_path / "i"
    for code in (first, spoil, second):
        ran = subprocess.run(
            [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False, env=dict(os.environ)
        )
        assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() in (["1"], ["0"])
    if ran.stdout.split() == ["1"]:
        assert (tmp_path / "i.unusable").is_dir()


def test_a_second_process_works_in_memory_while_the_first_has_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "i"
    assert found(folder) == (True, [[5]])
    code = (
        "import sys, numpy as np\nfrom routelab.embedding.chroma import Chroma\n"
        "index = Chroma(rows=np.eye(4, dtype=np.float32), folder=sys.argv[1])\n"
        "print(index.nearest(np.eye(4, dtype=np.float32)[2:3], 1)[0].tolist(), index.persisted)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[[2]] False"
    assert found(folder) == (True, [[5]])


def test_an_index_says_nothing_and_asks_for_no_network(tmp_path: Path) -> None:
    code = (
        "import socket, sys, warnings\n"
        "warnings.simplefilter('error')\n"
        "def refuse(*a, **k): raise SystemExit('network')\n"
        "import numpy as np\nfrom routelab.embedding.chroma import Chroma\n"
        "socket.socket.connect = refuse\nsocket.getaddrinfo = refuse\n"
        "for folder in (None, sys.argv[1]):\n"
        "    Chroma(rows=np.eye(4, dtype=np.float32), folder=folder).nearest(np.eye(4, dtype=np.float32), 2)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(tmp_path / "i")], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


# Configuration


def test_an_index_is_made_from_its_name_or_mapping(tmp_path: Path) -> None:
    assert isinstance(index_of("exact", ROWS), Exact)
    chroma = index_of({"kind": "chroma", "folder": str(tmp_path / "i")}, ROWS)
    assert isinstance(chroma, Chroma)
    assert chroma.folder == str(tmp_path / "i")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("exakt", "unknown 'exakt'; did you mean 'exact'"),
        ({}, "unknown None"),
        ({"kind": "exact", "folder": "x"}, r"index\.folder: unknown key"),
        ({"kind": "chroma", "folder": 3}, r"index\.folder: must be a text"),
    ],
)
def test_what_is_no_index_is_refused(spec: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        checked(spec)  # type: ignore[arg-type]


def test_a_folder_that_cannot_be_made_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with warnings.catch_warnings(), pytest.raises(ConfigError, match=r"index\.folder: .* cannot be made"):
        Chroma(rows=ROWS, folder=tmp_path / "file" / "i").nearest(ASKED, 1)
