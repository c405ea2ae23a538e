"""What shared texts cost: sums, kinship, design effects, and bounds that hold what they promise."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from routelab.lab.caches.curve import curve, upper_bound
from routelab.lab.caches.sharing import effects, kinship, sums


def related(nodes: np.ndarray, i: int, j: int) -> bool:
    return bool(set(nodes[i].tolist()) & set(nodes[j].tolist()))


@st.composite
def worlds(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    n = draw(st.integers(1, 12))
    pairs = draw(
        st.lists(st.sampled_from(list(itertools.combinations(range(7), 2))), min_size=n, max_size=n, unique=True)
    )
    return np.array(pairs), np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))


@given(worlds())
@settings(deadline=None)
def test_running_sums_are_those_of_counting_again_after_each_pair(world: tuple[np.ndarray, np.ndarray]) -> None:
    nodes, false = world
    found = sums(nodes, false)
    for k in range(1, len(nodes) + 1):
        m = np.bincount(nodes[:k].reshape(-1), minlength=8)
        f = np.bincount(nodes[:k].reshape(-1), weights=np.repeat(false[:k], 2), minlength=8)
        assert (found.false[k - 1], found.both[k - 1], found.all[k - 1]) == (
            (f * f).sum(),
            (f * m).sum(),
            (m * m).sum(),
        )


@given(worlds())
@settings(deadline=None)
def test_the_design_effect_is_the_dyadic_variance_over_that_of_independent_pairs(
    world: tuple[np.ndarray, np.ndarray],
) -> None:
    nodes, false = world
    n, p = len(nodes), false.mean()
    shown = 1.0
    if 0 < p < 1:
        e = false - p
        crossed = sum(e[i] * e[j] for i in range(n) for j in range(n) if i != j and related(nodes, i, j))
        shown = 1 + crossed / (n * p * (1 - p))
    assert effects(nodes, false, 0.0)[-1] == pytest.approx(max(1.0, shown))
    ties = sum(related(nodes, i, j) for i in range(n) for j in range(n) if i != j)
    assert effects(nodes, false, 0.3)[-1] == pytest.approx(max(1.0, shown, 1 + 0.3 * ties / n))


def test_kinship_is_one_where_a_shared_text_settles_the_label_and_zero_where_nothing_is_shared() -> None:
    hubs = np.repeat(np.arange(40), 5)
    nodes = np.column_stack([hubs, 100 + np.arange(200)])
    assert kinship(nodes, hubs % 2 == 0) == pytest.approx(1.0)
    assert kinship(nodes, np.arange(200) % 2 == 0) < 0.05
    assert kinship(np.arange(400).reshape(-1, 2), hubs % 2 == 0) == 0.0
    assert kinship(nodes, np.zeros(200, dtype=bool)) == 1.0
    assert kinship(nodes[:0], np.zeros(0, dtype=bool)) == 0.0


def drawn(
    rng: np.random.Generator, n: int, kind: str, tie: float, rate: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return nodes, labels and scores: four in ten pairs score above .5 and are false at the rate, the others at .6.

    Pairs that share a text draw on one latent normal, with correlation `tie`.
    """
    if kind == "stars":
        nodes = np.column_stack([np.repeat(np.arange(n), rng.integers(1, 13, n))[:n], n + np.arange(n)])
    elif kind == "graph":
        weight = 1 / np.sqrt(np.arange(1, n + 1))
        a, b = (rng.choice(n, n, p=weight / weight.sum()) for _ in range(2))
        nodes = np.column_stack([a, np.where((rng.random(n) < 0.5) & (a != b), b, n + np.arange(n))])
    else:
        nodes = np.arange(2 * n).reshape(-1, 2)
    latent = rng.standard_normal(int(nodes.max()) + 1)
    of_texts = latent[nodes].sum(axis=1) if kind == "graph" else latent[nodes[:, 0]]
    own = 1 - tie * (2 if kind == "graph" else 1)
    z = np.sqrt(tie) * of_texts + np.sqrt(own) * rng.standard_normal(n)
    near = rng.random(n) < 0.4
    false = z > stats.norm.ppf(1 - np.where(near, rate, 0.6))
    return nodes, ~false, np.where(near, 0.5, 0.0) + rng.random(n) / 2


def covered(rounds: int, kind: str, tie: float, rate: float, seed: int = 0) -> tuple[float, float]:
    """Return how often the bound is above the true rate: ours, and the one that takes pairs as independent."""
    rng = np.random.default_rng(seed)
    ours = plain = 0
    for _ in range(rounds):
        nodes, same, scores = drawn(rng, 1_200, kind, tie, rate)
        point = curve(scores, same, nodes).at(0.5)
        assert point.false_hit_upper is not None
        ours += point.false_hit_upper >= rate
        plain += (upper_bound(point.false_hits, point.hits) or 0.0) >= rate
    return ours / rounds, plain / rounds


WORLDS = [("free", 0.0), ("stars", 0.0), ("stars", 0.4), ("stars", 0.95), ("graph", 0.0), ("graph", 0.45)]


@pytest.mark.parametrize(("kind", "tie"), WORLDS)
def test_the_bound_covers_the_true_rate_whether_or_not_texts_are_shared(kind: str, tie: float) -> None:
    rounds = 150
    for rate in (0.01, 0.1):
        # A right bound would fail this with a chance of about 1 in 10,000.
        assert covered(rounds, kind, tie, rate)[0] >= 0.95 - 3.7 * np.sqrt(0.95 * 0.05 / rounds)


def test_a_bound_that_takes_pairs_as_independent_would_not() -> None:
    ours, plain = covered(150, "stars", 0.95, 0.1)
    assert plain < 0.88 < ours


@pytest.mark.soak
@pytest.mark.parametrize(("kind", "tie"), WORLDS)
def test_the_bound_covers_the_true_rate_in_many_worlds(kind: str, tie: float) -> None:
    rounds = 2_000
    for rate in (0.005, 0.01, 0.03, 0.1, 0.3):
        found = covered(rounds, kind, tie, rate, seed=7)[0]
        print(f"{kind}, tie {tie}, rate {rate}: coverage {found:.4f}")
        assert found >= 0.94
