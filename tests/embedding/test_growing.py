"""Growing indexes: what comparing with every entry finds, whatever comes and goes, from however many threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routelab.core.errors import ConfigError, DataError
from routelab.embedding.growing import FIRST_FIT, LEADING, Growing, GrowingExact, growing_of
from routelab.embedding.growingchroma import GrowingChroma

WIDE = 2 * LEADING
MADE: dict[str, Callable[..., Growing]] = {
    "exact": GrowingExact,
    "chroma": lambda *, dimensions: GrowingChroma(dimensions=dimensions, waiting=0),
}
both = pytest.mark.parametrize("made", MADE.values(), ids=MADE)


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def rows_of(n: int, d: int = 16, seed: int = 0, *, groups: int = 0, noise: float = 0.5) -> np.ndarray:
    """Unit rows, in as many groups as wanted: 0 for none at all."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, d))
    if groups:
        rows = rng.normal(size=(groups, d))[rng.integers(groups, size=n)] + noise * rows
    return unit(rows)


def names(n: int, start: int = 0) -> list[str]:
    return [f"entry {i}" for i in range(start, start + n)]


def compared(
    entries: Sequence[tuple[str, np.ndarray]], vector: np.ndarray, k: int, at_least: float = -1.0
) -> list[tuple[str, float]]:
    """Compare with every entry, in their order of adding, the plain way."""
    cosines = [float((row.astype(float) * vector.astype(float)).sum()) for _, row in entries]
    order = sorted(range(len(entries)), key=lambda i: -cosines[i])[: max(k, 0)]
    return [(entries[i][0], cosines[i]) for i in order if cosines[i] >= at_least]


# The same answer as comparing everything


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 3 * FIRST_FIT),
    st.sampled_from([0, 1, 5, 60]),
    st.sampled_from([0.0, 1e-7, 1e-4, 0.05, 0.5, 2.0]),
    st.integers(-1, 40),
    st.sampled_from([-1.0, -0.2, 0.0, 0.3, 0.7, 0.93, 0.999999, 1.0, 1.1]),
    st.integers(0, 10_000),
)
def test_two_steps_find_what_comparing_everything_finds(
    n: int, groups: int, noise: float, k: int, at_least: float, seed: int
) -> None:
    rows = rows_of(n, WIDE, seed, groups=groups, noise=noise)
    index = GrowingExact(dimensions=WIDE)
    index.add(names(n), rows)
    rng = np.random.default_rng(seed)
    asked = [rows[0], unit(rows[-1] + 0.1 * rng.normal(size=WIDE)), -rows[n // 2], unit(rng.normal(size=WIDE))]
    known = list(zip(names(n), rows, strict=True))
    for vector in asked:
        assert index.nearest(vector, k, at_least) == compared(known, vector, k, at_least)


def test_two_steps_hold_for_rows_within_and_outside_their_basis() -> None:
    # Rows that the basis holds wholly, and rows that it does not hold at all: the two ends of the bound.
    flat = np.zeros((2000, WIDE), dtype=np.float32)
    flat[:, : LEADING - 1] = rows_of(2000, LEADING - 1)
    off = np.zeros((40, WIDE), dtype=np.float32)
    off[:, LEADING:] = rows_of(40, WIDE - LEADING, 1)
    index = GrowingExact(dimensions=WIDE)
    index.add(names(2000), flat)
    index.add(names(40, 2000), off)
    known = list(zip(names(2040), [*flat, *off], strict=True))
    for vector in (flat[3], off[3], unit(flat[3] + off[3])):
        for k, at_least in ((1, -1.0), (7, 0.5), (3000, -1.0)):
            assert index.nearest(vector, k, at_least) == compared(known, vector, k, at_least)


@pytest.mark.parametrize("k", [1, 5, 3000])
def test_chroma_finds_what_comparing_everything_finds(k: int) -> None:
    rows = rows_of(1200, 24, groups=30)
    exact, chroma = GrowingExact(dimensions=24), GrowingChroma(dimensions=24)
    for index in (exact, chroma):
        index.add(names(1000), rows[:1000])
        index.add(names(200, 1000), rows[1000:])
    for vector in rows_of(50, 24, 1, groups=30):
        assert chroma.nearest(vector, k) == exact.nearest(vector, k)
        assert chroma.nearest(vector, k, 0.8) == exact.nearest(vector, k, 0.8)


def test_chroma_finds_nearly_all_of_many_neighbours_in_the_right_order() -> None:
    rows = rows_of(1200, 24, groups=30)
    exact, chroma = GrowingExact(dimensions=24), GrowingChroma(dimensions=24)
    for index in (exact, chroma):
        index.add(names(1200), rows)
    missed = 0
    for vector in rows_of(50, 24, 1, groups=30):
        wanted, found = exact.nearest(vector, 60), chroma.nearest(vector, 60)
        assert found == [pair for pair in exact.nearest(vector, 1200) if pair in found]
        missed += len(set(wanted) - set(found))
    assert missed <= 0.05 * 50 * 60


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.lists(st.integers(0, 30), min_size=0, max_size=12)),
        st.tuples(st.just("remove"), st.lists(st.integers(0, 35), min_size=0, max_size=12)),
        st.tuples(st.just("ask"), st.integers(1, 40)),
    ),
    max_size=25,
)


def walked(index: Growing, steps: Sequence[tuple[str, object]], seed: int, d: int) -> None:
    """Do the same to the index and to a plain list of entries; they must answer alike throughout."""
    rng = np.random.default_rng(seed)
    # Few distinct vectors, so that ties and duplicates are common.
    pool = unit(rng.normal(size=(12, d)))
    known: list[tuple[str, np.ndarray]] = []
    for what, given_ in steps:
        if what == "ask":
            vector = pool[rng.integers(len(pool))]
            assert index.nearest(vector, given_, 0.1) == compared(known, vector, given_, 0.1)  # type: ignore[arg-type]
            continue
        ids = [f"e{i}" for i in given_]  # type: ignore[attr-defined]
        if what == "remove":
            index.remove(ids)
            known = [entry for entry in known if entry[0] not in ids]
        else:
            rows = pool[rng.integers(len(pool), size=len(ids))].reshape(len(ids), d)
            index.add(ids, rows)
            for entry in zip(ids, rows, strict=True):
                known = [other for other in known if other[0] != entry[0]] + [entry]
        assert len(index) == len(known)


@settings(max_examples=150, deadline=None)
@given(STEPS, st.integers(0, 1000))
def test_whatever_comes_and_goes_the_exact_index_answers_like_a_list(
    steps: list[tuple[str, object]], seed: int
) -> None:
    walked(GrowingExact(dimensions=8), steps, seed, 8)


@settings(max_examples=15, deadline=None)
@given(STEPS, st.integers(0, 1000))
def test_whatever_comes_and_goes_chroma_answers_like_a_list(steps: list[tuple[str, object]], seed: int) -> None:
    walked(GrowingChroma(dimensions=8, waiting=0), steps, seed, 8)


def test_a_large_index_that_turns_over_answers_like_a_list() -> None:
    rng = np.random.default_rng(3)
    rows = rows_of(6000, WIDE, groups=40)
    index = GrowingExact(dimensions=WIDE)
    known: dict[str, np.ndarray] = {}
    for start in range(0, 6000, 500):
        index.add(names(500, start), rows[start : start + 500])
        known.update(zip(names(500, start), rows[start : start + 500], strict=True))
        gone = [list(known)[i] for i in rng.choice(len(known), size=300, replace=False)]
        index.remove(gone)
        for entry in gone:
            del known[entry]
        vector = rows[rng.integers(6000)]
        assert index.nearest(vector, 9, 0.2) == compared(list(known.items()), vector, 9, 0.2)
    index.remove(list(known))
    assert (len(index), index.nearest(rows[0], 3)) == (0, [])
    index.add(["again"], rows[:1])
    assert [entry for entry, _ in index.nearest(rows[0], 3)] == ["again"]


def test_the_order_of_the_ids_of_one_batch_does_not_change_cosines_to_the_last_digit() -> None:
    rows = rows_of(900, WIDE)
    one, other = GrowingExact(dimensions=WIDE), GrowingExact(dimensions=WIDE)
    one.add(names(900), rows)
    for i in reversed(range(900)):
        other.add(names(1, i), rows[i : i + 1])
    for vector in rows_of(20, WIDE, 1):
        assert one.nearest(vector, 30) == other.nearest(vector, 30)


# Single promises


@both
def test_an_empty_index_finds_nothing(made: Callable[..., Growing]) -> None:
    index = made(dimensions=4)
    index.add([], np.empty((0, 4), dtype=np.float32))
    index.remove(["never there"])
    assert (len(index), index.nearest(np.eye(4, dtype=np.float32)[0], 3)) == (0, [])


@both
def test_equally_near_ones_come_in_their_order_of_adding(made: Callable[..., Growing]) -> None:
    index, east = made(dimensions=4), np.eye(4, dtype=np.float32)[[0]]
    for entry in "dacb":
        index.add([entry], east)
    index.remove(["d"])
    index.add(["a"], east)
    assert index.nearest(east[0], 9) == [("c", 1.0), ("b", 1.0), ("a", 1.0)]


@both
def test_an_id_that_is_there_is_replaced_and_of_equal_ids_the_last_counts(made: Callable[..., Growing]) -> None:
    index, axes = made(dimensions=4), np.eye(4, dtype=np.float32)
    index.add(["a", "b", "a"], axes[:3])
    assert len(index) == 2
    assert index.nearest(axes[2], 1, 0.5) == [("a", 1.0)]
    assert index.nearest(axes[0], 1, 0.5) == []
    index.add(["a"], axes[3:])
    assert index.nearest(axes[2], 1, 0.5) == []
    assert index.nearest(axes[3], 1, 0.5) == [("a", 1.0)]


@both
def test_what_is_too_far_is_not_found(made: Callable[..., Growing]) -> None:
    index, axes = made(dimensions=3), np.eye(3, dtype=np.float32)
    index.add(["east", "north"], axes[:2])
    asked = np.array([0.8, 0.6, 0.0])
    assert [entry for entry, _ in index.nearest(asked, 5)] == ["east", "north"]
    assert [entry for entry, _ in index.nearest(asked, 5, 0.7)] == ["east"]
    assert index.nearest(asked, 5, 0.9) == []
    assert index.nearest(asked, 0) == index.nearest(asked, -1) == []


@both
def test_an_index_keeps_copies(made: Callable[..., Growing]) -> None:
    index, rows = made(dimensions=3), np.eye(3, dtype=np.float32)
    index.add(["a"], rows[:1])
    rows[:] = 0.5
    assert index.nearest(np.eye(3, dtype=np.float32)[0], 1) == [("a", 1.0)]


@both
def test_ids_may_be_any_text(made: Callable[..., Growing]) -> None:
    ids = ["", " ", "é\n", "x" * 5000, "0", "\N{SNOWMAN}", "'; drop table"]
    index, rows = made(dimensions=16), rows_of(7)
    index.add(ids, rows)
    assert [index.nearest(row, 1)[0][0] for row in rows] == ids


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (np.eye(5), r"shape \(5, 5\) where n × 4"),
        (np.eye(4)[0], r"shape \(4,\) where n × 4"),
        (np.zeros((1, 4)), "length 1"),
        (2 * np.eye(4)[:1], "length 1"),
        (np.full((1, 4), np.nan), "length 1"),
        (np.eye(4)[:2], "1 ids came with 2 vectors"),
    ],
)
@both
def test_what_are_no_unit_rows_of_this_width_is_refused_whole(
    made: Callable[..., Growing], rows: np.ndarray, said: str
) -> None:
    index = made(dimensions=4)
    index.add(["kept"], np.eye(4)[:1])
    with pytest.raises(DataError, match=said):
        index.add(["a"] if rows.ndim == 2 and len(rows) < 5 else names(5), rows)
    assert (len(index), index.nearest(np.eye(4)[0], 9)) == (1, [("kept", 1.0)])


@pytest.mark.parametrize("vector", [np.eye(5)[0], np.eye(4)[:2], np.full(4, np.nan), np.zeros(4)])
@both
def test_what_is_no_unit_vector_of_this_width_is_not_looked_for(
    made: Callable[..., Growing], vector: np.ndarray
) -> None:
    with pytest.raises(DataError, match="index: "):
        made(dimensions=4).nearest(vector, 1)


# Threads


@both
def test_eight_threads_add_remove_and_ask_at_once(made: Callable[..., Growing]) -> None:
    index, each = made(dimensions=WIDE), 60
    rows = rows_of(8 * each, WIDE)
    start = threading.Barrier(8)

    def work(t: int) -> list[str]:
        lost = []
        start.wait()
        for i in range(t * each, (t + 1) * each):
            # What a thread has added is there from then on, and what it has removed is not.
            index.add(names(1, i), rows[i : i + 1])
            lost += [e for e in names(1, i) if e not in [f for f, _ in index.nearest(rows[i], 2, 0.999)]]
            if i % 3 == 0:
                index.remove(names(1, i))
                lost += [f"{f} is back" for f, _ in index.nearest(rows[i], 2, 0.999)]
        return lost

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [[]] * 8
    known = [(e, row) for i, (e, row) in enumerate(zip(names(8 * each), rows, strict=True)) if i % 3]
    assert len(index) == len(known)
    for vector in rows[:30]:
        assert index.nearest(vector, 5) == compared(known, vector, 5)


# Configuration


def test_an_index_is_made_from_its_name_or_mapping() -> None:
    assert isinstance(growing_of("exact", dimensions=3), GrowingExact)
    assert isinstance(growing_of("chroma", dimensions=3), GrowingChroma)
    assert isinstance(growing_of({"kind": "chroma"}, dimensions=3), GrowingChroma)


@pytest.mark.parametrize(
    ("spec", "dimensions", "said"),
    [
        ("exakt", 3, "unknown 'exakt'; did you mean 'exact'"),
        ({"kind": "exact", "folder": "x"}, 3, r"index\.folder: unknown key"),
        ("exact", 0, "dimensions from 1"),
        ("exact", True, "dimensions from 1"),
    ],
)
def test_what_is_no_index_is_refused(spec: object, dimensions: int, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        growing_of(spec, dimensions=dimensions)  # type: ignore[arg-type]
