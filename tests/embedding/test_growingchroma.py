"""Chroma under entries that come and go: folders, crashes, damage, and a graph that is never trusted blindly."""

from __future__ import annotations

import gc
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from routelab.core.errors import ConfigError
from routelab.embedding import growingchroma
from routelab.embedding.chroma import MARK, IndexRebuilt
from routelab.embedding.growing import GrowingExact
from routelab.embedding.growingchroma import GrowingChroma, IndexGivenUp

N, WIDE = 300, 16


def rows_of(n: int, seed: int = 0, d: int = WIDE) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(n, d))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def names(n: int, start: int = 0) -> list[str]:
    return [f"entry {i}" for i in range(start, start + n)]


ROWS = rows_of(N)
START = f"""
import sys, warnings
import numpy as np
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_growingchroma import *
folder = Path(sys.argv[1])
"""


def filled(folder: Path | None, n: int = N, *, waiting: int = 0) -> GrowingChroma:
    index = GrowingChroma(dimensions=WIDE, folder=folder, waiting=waiting)
    index.add(names(n), ROWS[:n])
    return index


def found(index: GrowingChroma, n: int = N, rows: np.ndarray = ROWS) -> int:
    """How many entries are found by a vector next to their own, with which the hash of their own is no help."""
    near = rows[:n] + 1e-4 * rows_of(n, 9)
    near = (near / np.linalg.norm(near, axis=1, keepdims=True)).astype(np.float32)
    return sum(index.nearest(row, 1)[0][0] == name for row, name in zip(near, names(n), strict=True))


def elsewhere(code: str, folder: Path) -> list[str]:
    """What code prints in a process of its own: Chroma keeps what it has opened for as long as a process lives."""
    ran = subprocess.run([sys.executable, "-c", START + code, str(folder)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


def collections(folder: Path) -> list[tuple[str, int]]:
    return [
        tuple(line.split(":"))
        for line in elsewhere(  # type: ignore[misc]
            "from routelab.embedding.chroma import _client\n"
            "for c in _client(folder).list_collections(): print(f'{c.name}:{c.count()}')\n",
            folder,
        )
    ]


# In memory


def test_the_graph_is_asked_and_not_only_what_stands_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    plain = growingchroma._Graph.nearest
    monkeypatch.setattr(growingchroma._Graph, "nearest", lambda *a: asked.append(1) or plain(*a))
    assert found(filled(None)) == N
    assert len(asked) == N


def test_a_few_entries_need_no_chroma() -> None:
    code = "filled(None, 100, waiting=128).nearest(ROWS[0], 1); print('chromadb' in sys.modules)"
    assert elsewhere(code, Path()) == ["False"]


def test_indexes_in_memory_do_not_meet() -> None:
    one, two = filled(None, 200), GrowingChroma(dimensions=WIDE, waiting=0)
    two.add(names(100), ROWS[200:])
    assert one.nearest(ROWS[250], 1, 0.999) == []
    assert [e for e, _ in two.nearest(ROWS[250], 1, 0.999)] == ["entry 50"]
    del one
    gc.collect()
    assert [e for e, _ in two.nearest(ROWS[250], 1, 0.999)] == ["entry 50"]


def test_many_entries_with_one_vector_are_all_found() -> None:
    index = filled(None)
    index.add(names(500, N), np.repeat(ROWS[:1], 500, axis=0))
    assert [e for e, _ in index.nearest(ROWS[0], 501)] == ["entry 0", *names(500, N)]
    index.remove(["entry 0"])
    assert index.nearest(ROWS[0], 1) == [("entry 300", pytest.approx(1.0, abs=1e-6))]


def test_a_graph_of_mostly_removed_entries_is_made_anew() -> None:
    index, exact = filled(None), GrowingExact(dimensions=WIDE)
    rows = rows_of(1500, 5)
    held = []
    for start in range(0, 1500, 50):
        index.nearest(ROWS[0], 1)
        index.remove(names(N) if start == 0 else names(50, 1000 + start - 250))
        index.add(names(50, 1000 + start), rows[start : start + 50])
        assert index._graph is not None
        held.append(len(index._graph.held))
    exact.add(names(250, 1000 + 1250), rows[1250:])
    assert len(index) == 250
    assert max(held) <= 2 * 250 + 50 + 50
    for row in rows[::50]:
        assert index.nearest(row, 3) == exact.nearest(row, 3)


def test_a_graph_that_fails_in_use_is_given_up_with_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException):
        """As the one of Chroma's Rust core is named."""

    def panics(*_: object, **__: object) -> None:
        raise PanicException("range start index 10 out of range")

    index, right = filled(None), GrowingExact(dimensions=WIDE)
    right.add(names(N), ROWS)
    assert index._graph is not None
    monkeypatch.setattr(index._graph.collection, "query", panics)
    with pytest.warns(IndexGivenUp, match="out of range") as said:
        first = index.nearest(ROWS[7], 3)
    assert (len(said), first) == (1, right.nearest(ROWS[7], 3))
    # Nothing is lost, nothing is said again, and entries still come.
    index.add(["one more"], ROWS[:1])
    assert [e for e, _ in index.nearest(ROWS[0], 2)] == ["entry 0", "one more"]
    assert not index.persisted


def test_a_graph_that_loses_vectors_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growingchroma._Graph, "put", _half)
    with pytest.warns(IndexGivenUp, match="does not find what it holds"):
        index = filled(None)
    assert found(index) == N


def _half(self: growingchroma._Graph, keys: list[str], rows: np.ndarray) -> None:
    self.collection.upsert(ids=keys[::2], embeddings=rows[::2])
    self.held.update(keys)


# In a folder


def test_a_folder_is_filled_once_and_serves_what_is_added_again(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "cache.index"
    first = "index = filled(folder); print(index.persisted, found(index))"
    assert elsewhere(first, folder) == ["True", "300"]
    before = collections(folder)
    assert [n for _, n in before] == ["300"]
    again = (
        "put = growingchroma._Graph.put\nnew = []\n"
        "growingchroma._Graph.put = lambda self, keys, rows: (new.extend(keys), put(self, keys, rows))[1]\n"
        "index = GrowingChroma(dimensions=WIDE, folder=folder, waiting=0)\n"
        "for i in range(0, 300, 50): index.add(names(50, i), ROWS[i : i + 50])\n"
        "print(index.persisted, found(index), len(new))\n"
    )
    assert elsewhere(again, folder) == ["True", "300", "0"]
    assert collections(folder) == before
    assert (folder / MARK).is_file()


def test_what_an_earlier_session_left_behind_is_not_found(tmp_path: Path) -> None:
    folder = tmp_path / "i"
    elsewhere("filled(folder)", folder)
    code = (
        "index = GrowingChroma(dimensions=WIDE, folder=folder, waiting=0)\n"
        "index.add(names(20), ROWS[280:])\n"
        "print(*{e for row in ROWS for e, _ in index.nearest(row, 4)} - set(names(20)), len(index), index.persisted)\n"
        "index.add(['more'], ROWS[:1])\n"
        "print(len(index._graph.held))\n"
    )
    assert elsewhere(code, folder) == ["20", "True", "21"]


def test_an_embedder_of_another_width_starts_afresh(tmp_path: Path) -> None:
    folder = tmp_path / "i"
    elsewhere("filled(folder)", folder)
    code = (
        "index = GrowingChroma(dimensions=8, folder=folder, waiting=0)\n"
        "rows = rows_of(40, d=8)\nindex.add(names(40), rows)\n"
        "print(index.persisted, *[e for e, _ in index.nearest(rows[5], 1)])\n"
    )
    assert elsewhere(code, folder) == ["True", "entry", "5"]
    assert [n for _, n in collections(folder)] == ["40"]


def test_one_index_of_a_process_has_the_folder_until_it_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "i"
    one, two = filled(folder), filled(folder)
    assert (one.persisted, two.persisted) == (True, False)
    assert (found(one), found(two)) == (N, N)
    del one
    gc.collect()
    assert filled(folder).persisted


def test_two_processes_that_write_one_folder_lose_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "i"
    code = (
        "index = GrowingChroma(dimensions=WIDE, folder=folder, waiting=0)\n"
        "index.add(names(100), ROWS[:100]); print(index.persisted, flush=True)\n"
        "sys.stdin.readline()\n"
        "for i in range(100, 300, 5): index.add(names(5, i), ROWS[i : i + 5])\n"
        "print(found(index), flush=True)\nsys.stdin.readline()\n"
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-c", START + code, str(folder)], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    said = [process.stdout.readline().strip() for process in both if process.stdout]
    for process in both:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    counts = [process.stdout.readline().strip() for process in both if process.stdout]
    for process in both:
        process.communicate("end\n", timeout=60)
    assert sorted(said) == ["False", "True"]
    assert counts == ["300", "300"]


@pytest.mark.parametrize("when_s", [0.05, 0.3, 0.7])
def test_after_kill_9_everything_that_is_added_again_is_found(tmp_path: Path, when_s: float) -> None:
    folder = tmp_path / "i"
    code = (
        "index = filled(folder, 40); print('writes', flush=True)\n"
        "for i in range(40, 300): index.nearest(ROWS[i], 1), index.remove([f'entry {i}']), index.add(names(1, i), ROWS[i : i + 1])\n"
    )
    with subprocess.Popen([sys.executable, "-c", START + code, str(folder)], text=True, stdout=subprocess.PIPE) as one:
        assert one.stdout
        assert one.stdout.readline() == "writes\n"
        time.sleep(when_s)
        one.send_signal(signal.SIGKILL)
    again = "warnings.simplefilter('error'); index = filled(folder); print(index.persisted, found(index))"
    assert elsewhere(again, folder) == ["True", "300"]


# Damage


def test_a_foreign_folder_is_set_aside_with_one_warning_and_never_opened(tmp_path: Path) -> None:
    folder = tmp_path / "i"
    folder.mkdir()
    (folder / "chroma.sqlite3").write_bytes(b"somebody else's")
    with pytest.warns(IndexRebuilt, match=r"i\.unusable") as said:
        index = filled(folder)
    assert (len(said), index.persisted, found(index)) == (1, True, N)
    assert (tmp_path / "i.unusable" / "chroma.sqlite3").read_bytes() == b"somebody else's"


DAMAGE = {
    "no database at all": "database.write_bytes(b'this is not SQLite' * 500)",
    "database cut off": "database.write_bytes(database.read_bytes()[: 3 * 4096])",
    "database empty": "database.write_bytes(b'')",
    "database gone": "database.unlink()",
    "database full of zeros from the second page on": (
        "raw = database.read_bytes(); database.write_bytes(raw[:4096] + bytes(len(raw) - 4096))"
    ),
    "graph's files spoilt": (
        "files = [p for p in folder.glob('*/*/*.bin')]; assert files\n"
        "for p in files: p.write_bytes(b'\\xff' * p.stat().st_size)"
    ),
    "graph's files cut off": "for p in folder.glob('*/*/*.bin'): p.write_bytes(p.read_bytes()[:100])",
    "graph's files gone": "for p in folder.glob('*/*/*.bin'): p.unlink()",
    "mark gone": "(folder / MARK).unlink()",
    "mark of another version": "(folder / MARK).write_text('99 abc')",
    "a distance that is not the cosine": (
        "from routelab.embedding.chroma import _client\nclient = _client(folder)\n"
        "[old] = [c.name for c in client.list_collections()]\nclient.delete_collection(old)\n"
        "client.create_collection(old, embedding_function=None, configuration={'hnsw': {'space': 'l2'}})"
    ),
    "vectors that are not theirs": (
        "from routelab.embedding.chroma import _client\n[c] = _client(folder).list_collections()\n"
        "ids = c.get(include=[])['ids']\nc.update(ids=ids, embeddings=rows_of(len(ids), 77))"
    ),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 1,200 entries, enough for the graph's files to be written."""
    folder = tmp_path_factory.mktemp("whole") / "i"
    elsewhere(
        "index = GrowingChroma(dimensions=WIDE, folder=folder, waiting=0)\nindex.add(names(1200), rows_of(1200))",
        folder,
    )
    return folder


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_costs_one_warning_at_most_and_no_entry(tmp_path: Path, whole: Path, damage: str) -> None:
    folder = tmp_path / "i"
    shutil.copytree(whole, folder)
    code = f"database = next(iter(folder.glob('*/chroma.sqlite3')))\n{DAMAGE[damage]}\n"
    if "_client" in code:
        elsewhere(code, folder)
    else:
        exec(code, {**globals(), "folder": folder})
    again = (
        "with warnings.catch_warnings(record=True) as said:\n"
        "    warnings.simplefilter('always')\n"
        "    index = GrowingChroma(dimensions=WIDE, folder=folder, waiting=0)\n"
        "    index.add(names(1200), rows_of(1200))\n"
        "    lost = 300 - found(index, rows=rows_of(1200))\n"
        "print(lost, index.persisted, len(said), *{w.category.__name__ for w in said})\n"
    )
    lost, persisted, warned, *kinds = elsewhere(again, folder)
    assert (lost, persisted) == ("0", "True")
    assert (warned, kinds) in (("0", []), ("1", ["IndexRebuilt"]))
    assert (tmp_path / "i.unusable").exists() == bool(kinds)
    if damage == "no database at all":
        # The next start finds it whole.
        assert elsewhere(again, folder) == ["0", "True", "0"]


def test_a_folder_that_vanishes_in_use_costs_no_entry(tmp_path: Path) -> None:
    folder = tmp_path / "i"
    code = (
        "import shutil\nindex = filled(folder, 200)\nshutil.rmtree(folder)\n"
        "with warnings.catch_warnings(record=True) as said:\n"
        "    warnings.simplefilter('always')\n"
        "    for i in range(200, 300): index.add(names(1, i), ROWS[i : i + 1])\n"
        "    print(found(index), len(said) < 2)\n"
    )
    assert elsewhere(code, folder) == ["300", "True"]


def test_a_folder_that_cannot_be_made_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with warnings.catch_warnings(), pytest.raises(ConfigError, match=r"index\.folder: .* cannot be made"):
        GrowingChroma(dimensions=3, folder=tmp_path / "file" / "i")


def test_it_says_nothing_and_asks_for_no_network(tmp_path: Path) -> None:
    code = (
        "import socket\nwarnings.simplefilter('error')\n"
        "def refuse(*a, **k): raise SystemExit('network')\n"
        "socket.socket.connect = refuse\nsocket.getaddrinfo = refuse\n"
        "for place in (None, folder): assert found(filled(place)) == 300\n"
    )
    assert elsewhere(code, tmp_path / "i") == []
