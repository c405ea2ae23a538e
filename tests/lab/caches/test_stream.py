"""Traffic through the caches: all settings at once give what a plain cache gives one by one."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routelab.core.errors import ConfigError, UnavailableError
from routelab.lab.caches.neighbours import Neighbours, Verdicts, cosines, neighbours
from routelab.lab.caches.stream import ASKED, EXACT, SEMANTIC, Setting, grid, learned, played
from routelab.lab.caches.streamed import verdicts_for
from routelab.lab.caches.tallies import tallies
from routelab.lab.caches.traffic import Demand, Traffic, zipf


@dataclass(frozen=True)
class Parity:
    """Objects where the lengths of two texts differ in parity."""

    id: str = "parity@1"

    def __call__(self, asked: str, known: str) -> str | None:
        return f"parity: {len(asked)} | {len(known)}" if (len(asked) - len(known)) % 2 else None


def vectors(texts: list[str], dimensions: int = 3) -> np.ndarray:
    """Return a unit vector a text, near for many of them."""
    rows = np.array([np.random.default_rng([ord(c) for c in t]).normal(1.0, 0.6, dimensions) for t in texts])
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def near(traffic: Traffic, at_least: float) -> Neighbours:
    return neighbours(traffic.keys[1], vectors([text for _, text in traffic.keys[1]]), at_least=at_least)


@dataclass
class Entry:
    at: float
    source: int
    used: float


def plainly(traffic: Traffic, setting: Setting, held: Neighbours, nearest: int) -> list[tuple[int, int, bool]]:
    """Return (level, source, stale) of each request with one cache, a dictionary, and no arrays."""
    entries: dict[int, Entry] = {}
    ttl = float("inf") if setting.ttl_s is None else setting.ttl_s
    out = []
    for i, key in enumerate(traffic.keys[0].tolist()):
        now = float(i) if traffic.at_s is None else float(traffic.at_s[i])
        hit, level = None, ASKED
        if key in entries and now - entries[key].at < ttl + setting.stale_s:
            hit, level = key, EXACT if setting.exact else SEMANTIC
        elif setting.threshold is not None:
            alive = [
                other
                for other, cosine, _ in zip(*held.of(key), strict=True)
                if other in entries and now - entries[other].at < ttl + setting.stale_s and cosine >= setting.threshold
            ]
            for other in alive[:nearest]:
                guard = Parity() if setting.guard == "parity" else None
                if guard is None or guard(held.keys[key][1], held.keys[other][1]) is None:
                    hit, level = other, SEMANTIC
                    break
        stale = False
        source = -1
        if hit is not None:
            entry = entries[hit]
            stale, source, entry.used = now - entry.at >= ttl, entry.source, i
        if (hit is None or stale) and traffic.kept[i]:
            entries[key] = Entry(at=now, source=i, used=i + 0.5)
            if setting.size is not None and len(entries) > setting.size:
                del entries[min(entries, key=lambda k: entries[k].used)]
        out.append((level, source, stale))
    return out


EVERY = tuple(
    dict.fromkeys(
        Setting(exact=exact, threshold=threshold, guard=guard, ttl_s=ttl, stale_s=stale, size=size)
        for exact, threshold, guard, (ttl, stale), size in itertools.product(
            (True, False), (None, 0.5, 0.8, 0.95), ("none", "parity"), ((None, 0.0), (5.0, 0.0), (5.0, 4.0)), (None, 3)
        )
        if exact or threshold is not None
    )
)


@given(
    words=st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(["", "x"])), min_size=1, max_size=60),
    gaps=st.lists(st.integers(0, 3), min_size=60, max_size=60),
    lost=st.sets(st.integers(0, 59), max_size=10),
    nearest=st.integers(1, 3),
)
@settings(deadline=None, max_examples=40)
def test_every_setting_at_once_is_each_setting_alone(
    words: list[tuple[str, str]], gaps: list[int], lost: set[int], nearest: int
) -> None:
    n = len(words)
    traffic = Traffic(
        texts=tuple(a + a * len(b) for a, b in words),
        at_s=np.cumsum(np.array(gaps[:n], dtype=float)),
        namespaces=tuple("one" if i % 3 else "other" for i in range(n)),
        kept=np.array([i not in lost for i in range(n)]),
    )
    held = near(traffic, 0.5)
    found = played(traffic, EVERY, held, verdicts_for([], {"parity": Parity()}, held), nearest=nearest)
    for k, setting in enumerate(EVERY):
        told = list(
            zip(found.level[:, k].tolist(), found.source[:, k].tolist(), found.stale[:, k].tolist(), strict=True)
        )
        assert told == plainly(traffic, setting, held, nearest), setting


def test_a_hit_is_not_stored_and_a_miss_is() -> None:
    # c is near b and b is near a, but c is not near a: were b's hit stored, c would be answered by it.
    angles = {"a": 0.0, "b": 20.0, "c": 41.0}
    traffic = Traffic.of(["a", "b", "c", "b"])
    rows = np.array([[np.cos(np.radians(v)), np.sin(np.radians(v))] for v in angles.values()], dtype=np.float32)
    held = neighbours(traffic.keys[1], rows, at_least=0.9)
    found = played(traffic, grid(thresholds=[0.9]), held, {})
    assert found.level[:, 0].tolist() == [ASKED, SEMANTIC, ASKED, SEMANTIC]
    assert found.source[:, 0].tolist() == [-1, 0, -1, 0]


def test_an_answer_is_outdated_from_its_lifetime_on() -> None:
    traffic = Traffic.of(["a", "a", "a", "a"], at_s=[0, 9.999, 10, 25], cost_usd=[1, 1, 1, 1], latency_s=[2, 2, 2, 2])
    found = played(traffic, grid(ttls_s=[10], stales_s=[0, 5]), near(traffic, 1.0), {})
    assert found.level.T.tolist() == [[ASKED, EXACT, ASKED, ASKED], [ASKED, EXACT, EXACT, ASKED]]
    assert found.stale.T.tolist() == [[False] * 4, [False, False, True, False]]
    plain, stale = tallies(traffic, found)
    # A stale hit is asked all the same: it saves the wait, not the money.
    assert (plain.saved_usd, plain.saved_s) == (1.0, 2.0)
    assert (stale.saved_usd, stale.saved_s, stale.stale_hits) == (1.0, 4.0, 1)


def test_a_stale_hit_brings_a_new_answer() -> None:
    traffic = Traffic.of(["a", "a", "a"], at_s=[0, 12, 13])
    found = played(traffic, grid(ttls_s=[10], stales_s=[5]), near(traffic, 1.0), {})
    assert found.source[:, 0].tolist() == [-1, 0, 1]


def test_the_least_recently_used_entry_goes_first() -> None:
    traffic = Traffic.of(["a", "b", "a", "c", "a", "b"])
    found = played(traffic, grid(sizes=[2]), near(traffic, 1.0), {})
    assert found.level[:, 0].tolist() == [ASKED, ASKED, EXACT, ASKED, EXACT, ASKED]
    assert found.evicted.tolist() == [2]


def test_namespaces_never_share_an_answer() -> None:
    rng = np.random.default_rng(0)
    texts = [f"question {k}" for k in rng.integers(0, 20, 400)]
    spaces = [str(k) for k in rng.integers(0, 8, 400)]
    traffic = Traffic.of(texts, namespaces=spaces)
    found = played(traffic, grid(thresholds=[None, -1.0, 0.9]), near(traffic, -1.0), {})
    for k in range(3):
        hit = np.flatnonzero(found.level[:, k] != ASKED)
        assert len(hit)
        assert [spaces[i] for i in hit] == [spaces[int(found.source[i, k])] for i in hit]


def test_an_answer_that_is_not_kept_answers_nobody() -> None:
    traffic = Traffic.of(["a", "a", "a"], kept=[False, True, True])
    found = played(traffic, grid(), near(traffic, 1.0), {})
    assert found.source[:, 0].tolist() == [-1, -1, 1]


def test_a_lower_threshold_never_asks_a_guard_twice() -> None:
    asked: list[tuple[str, str]] = []

    class Counting:
        id = "counting@1"

        def __call__(self, one: str, other: str) -> str | None:
            asked.append((min(one, other), max(one, other)))
            return None if one < other else "later"

    traffic = Traffic.of([f"{k}" for k in np.random.default_rng(0).integers(0, 30, 500)])
    held = near(traffic, 0.5)
    verdicts = verdicts_for([], {"counting": Counting()}, held)
    played(traffic, grid(thresholds=np.arange(0.5, 1.0, 0.05).tolist(), guards=["none", "counting"]), held, verdicts)
    assert len(asked) == len(set(asked)) > 0


def test_lifetimes_need_arrival_times() -> None:
    traffic = Traffic.of(["a", "a"])
    with pytest.raises(
        UnavailableError, match=r"ttl_s = 60: cannot be replayed over traffic, its requests have no arrival"
    ):
        played(traffic, grid(ttls_s=[60]), near(traffic, 1.0), {})


def test_a_guard_that_is_not_there_is_named() -> None:
    traffic = Traffic.of(["a", "b"])
    held = near(traffic, 0.5)
    with pytest.raises(ConfigError, match=r"guard: unknown 'pariti'; did you mean 'parity'\?"):
        played(traffic, [Setting(threshold=0.9, guard="pariti")], held, verdicts_for([], {"parity": Parity()}, held))


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": 1.5},
        {"ttl_s": 0},
        {"stale_s": -1},
        {"size": 0},
        {"per_entry": 0.01},
        {"threshold": 0.8, "per_entry": 1},
    ],
)
def test_settings_that_mean_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Setting(**wrong)


def test_a_grid_has_each_setting_once() -> None:
    found = grid(thresholds=[None, 0.9], guards=["none", "lexical"], ttls_s=[None, 60], stales_s=[0, 10])
    assert len(found) == len(set(found)) == 9
    assert [str(s) for s in found[:2]] == ["exact", "exact; semantic ≥ 0.9"]
    assert grid(exact=[False]) == ()


# Neighbours


@given(seed=st.integers(0, 1000), n=st.integers(1, 40), at_least=st.sampled_from([-1.0, 0.0, 0.5, 0.9]))
@settings(deadline=None, max_examples=40)
def test_neighbours_are_all_pairs_from_the_least_cosine_on(seed: int, n: int, at_least: float) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, 4))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    keys = [(str(k % 2), f"t{k}") for k in range(n)]
    held = neighbours(keys, rows, at_least=at_least)
    for i in range(n):
        others = [j for j in range(n) if j != i and keys[j][0] == keys[i][0]]
        cosine = {j: float(cosines(rows, np.array([i]), np.array([j]))[0]) for j in others}
        wanted = sorted((j for j in others if cosine[j] >= at_least), key=lambda j: (-cosine[j], j))
        found, values, pair = held.of(i)
        assert found.tolist() == wanted
        assert values.tolist() == [cosine[j] for j in wanted]
        assert all(
            pair[k] == held.of(int(j))[2][held.of(int(j))[0].tolist().index(i)] for k, j in enumerate(found.tolist())
        )


def test_neighbours_do_not_depend_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [("", f"t{k}") for k in range(50)]
    rows = vectors([text for _, text in keys])
    whole = neighbours(keys, rows, at_least=0.7)
    monkeypatch.setattr("routelab.lab.caches.neighbours.BLOCK_BYTES", 1)
    small = neighbours(keys, rows, at_least=0.7)
    assert (small.near.tolist(), small.cosine.tolist()) == (whole.near.tolist(), whole.cosine.tolist())


def test_the_words_of_an_objection_are_kept() -> None:
    keys = [("", "a"), ("", "bb")]
    held = neighbours(keys, np.ones((2, 1), dtype=np.float32), at_least=0.5)
    verdicts = Verdicts.of(Parity(), held)
    other, _, pair = held.of(0)
    assert verdicts.objects(0, other, pair).tolist() == [True]
    assert verdicts.words == {0: "parity: 1 | 2"}


# Thresholds learned per entry


def paraphrased(seed: int = 0, requests: int = 4000) -> tuple[Traffic, Neighbours]:
    """Return traffic of 30 questions in 20 wordings each, the wordings of one nearer than those of two."""
    rng = np.random.default_rng(seed)
    middle = rng.normal(size=(30, 24))
    words = {f"q{q}": [f"q{q} w{w}" for w in range(20)] for q in range(30)}
    traffic = zipf(words, Demand(requests=requests, verbatim=0.2, seed=seed))
    place = {
        text: middle[q] + 0.35 * np.random.default_rng([seed, q, w]).normal(size=24)
        for q in range(30)
        for w, text in enumerate(words[f"q{q}"])
    }
    rows = np.array([place[text] for _, text in traffic.keys[1]])
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return traffic, neighbours(traffic.keys[1], rows, at_least=0.3)


@pytest.mark.parametrize("error", [0.02, 0.05])
def test_learned_thresholds_keep_the_error_of_the_traffic_under_the_budget(error: float) -> None:
    traffic, held = paraphrased()
    found = learned(traffic, Setting(threshold=0.3, per_entry=error), held, {})
    [tally] = tallies(traffic, found)
    assert tally.semantic_hits > 100
    assert tally.false_hits / tally.n <= error
    asked = found.level[:, 0] == ASKED
    # Less is asked in the last quarter than in the second, when all entries are there.
    assert asked[3000:].mean() < asked[1000:2000].mean()


def test_learned_thresholds_are_the_same_for_a_seed_and_others_for_another() -> None:
    traffic, held = paraphrased(requests=800)
    setting = Setting(threshold=0.3, per_entry=0.05)
    one, again, other = (learned(traffic, setting, held, {}, seed=s).level.tolist() for s in (1, 1, 2))
    assert one == again
    assert one != other


def test_learned_thresholds_need_labels() -> None:
    traffic, held = paraphrased(requests=50)
    with pytest.raises(UnavailableError, match="per_entry: cannot be replayed over zipf"):
        learned(replace(traffic, labels=None), Setting(threshold=0.3, per_entry=0.05), held, {})


def test_a_pass_is_the_same_in_every_process(elsewhere: Callable[..., str]) -> None:
    code = (
        "import hashlib, test_stream as t\n"
        "traffic, held = t.paraphrased(requests=600)\n"
        "found = t.played(traffic, t.grid(thresholds=[0.3, 0.6, 0.9]), held, {})\n"
        "own = t.learned(traffic, t.Setting(threshold=0.3, per_entry=0.05), held, {})\n"
        "both = found.beside(own)\n"
        "print(hashlib.sha256(both.level.tobytes() + both.source.tobytes()).hexdigest())"
    )
    assert len(elsewhere(code).strip()) == 64
