"""How sure it is that an arm is beaten."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from routelab.lab.charts.dominance import Field, beaten, common, hull_band


def field(rates: list[float], costs: list[float], n: int = 400, seed: int = 0) -> Field:
    rng = np.random.default_rng(seed)
    return Field(
        quality=(rng.random((n, len(rates))) < rates).astype(float),
        cost_usd=rng.lognormal(0, 0.3, size=(n, 1)) * np.array(costs),
    )


def test_an_arm_that_is_worse_and_dearer_is_beaten_in_every_draw() -> None:
    assert beaten(field([0.9, 0.5], [1, 2]), seed=1).tolist() == [0.0, 1.0]


def test_a_cheaper_but_worse_arm_is_never_beaten() -> None:
    assert beaten(field([0.9, 0.5], [2, 1]), seed=1).tolist() == [0.0, 0.0]


def test_a_dearer_arm_of_like_quality_is_left_open() -> None:
    quality = np.ones((400, 2))
    quality[:20, 0] = quality[20:40, 1] = 0.0  # each is alone right on 20 prompts
    share = beaten(Field(quality=quality, cost_usd=np.tile([1.0, 2.0], (400, 1))), seed=1)[1]
    assert 0.4 < share < 0.6


def test_arms_with_the_same_answers_do_not_beat_each_other() -> None:
    one = field([0.8], [0.001])
    twin = Field(quality=np.repeat(one.quality, 3, axis=1), cost_usd=np.repeat(one.cost_usd, 3, axis=1))
    assert beaten(twin, seed=1).tolist() == [0.0, 0.0, 0.0]


def test_the_share_is_that_of_an_ordinary_bootstrap() -> None:
    given = field([0.80, 0.83], [1, 2], seed=4)
    rng = np.random.default_rng(9)
    rows = rng.integers(0, 400, size=(4000, 400))
    means = given.quality[rows].mean(axis=1)
    assert abs(beaten(given, seed=2, draws=4000)[1] - (means[:, 0] >= means[:, 1]).mean()) < 0.05


def test_clusters_are_drawn_whole_so_that_copies_of_a_prompt_add_nothing() -> None:
    small = field([0.80, 0.83], [1, 2], n=60, seed=4)
    copied = Field(
        quality=np.repeat(small.quality, 20, axis=0),
        cost_usd=np.repeat(small.cost_usd, 20, axis=0),
        clusters=np.repeat(np.arange(60), 20),
    )
    assert np.allclose(beaten(copied, seed=3), beaten(small, seed=3))


def test_only_prompts_on_which_all_arms_are_known_are_drawn() -> None:
    nan = np.nan
    made = common([np.array([1, nan, 0.0]), np.array([1, 1, 1.0])], [np.ones(3), np.array([1, 1, nan])], np.arange(3))
    assert made.quality.tolist() == [[1.0, 1.0]]
    assert made.clusters is not None
    assert made.clusters.tolist() == [0]
    assert beaten(Field(quality=np.zeros((0, 2)), cost_usd=np.zeros((0, 2))), seed=0).tolist() == [0.0, 0.0]


unit = st.integers(0, 4).map(lambda k: k / 4)


@settings(max_examples=60)
@given(arrays(float, (12, 3), elements=unit), arrays(float, (12, 3), elements=unit), st.integers(0, 5))
def test_shares_are_shares_the_seed_fixes_them_and_somebody_is_never_beaten_everywhere(
    quality: np.ndarray, cost: np.ndarray, seed: int
) -> None:
    shares = beaten(Field(quality=quality, cost_usd=cost), seed=seed, draws=40)
    assert ((shares >= 0) & (shares <= 1)).all()
    assert np.array_equal(shares, beaten(Field(quality=quality, cost_usd=cost), seed=seed, draws=40))
    assert shares.sum() <= 2 + 1e-9


def test_the_band_of_the_hull_holds_the_true_line_at_95_per_cent_of_the_costs() -> None:
    at, truth = np.array([1.0, 1.5, 2.0]) * np.exp(0.045), [0.6, 0.7, 0.8]
    held = np.zeros(3)
    for seed in range(60):
        low, high = hull_band(field([0.6, 0.8], [1, 2], seed=seed), at, seed=1, draws=200)
        held += (low <= truth) & (truth <= high)
    assert (held >= 51).all()


def test_the_band_of_one_model_is_level_and_of_certain_ones_a_line() -> None:
    one = field([0.7], [1])
    low, high = hull_band(one, np.array([0.5, 5.0]), seed=1)
    assert low[0] == low[1] < one.quality.mean() < high[0] == high[1]
    sure = Field(quality=np.tile([0.5, 1.0], (40, 1)), cost_usd=np.tile([1.0, 3.0], (40, 1)))
    both = hull_band(sure, np.array([1.0, 2.0, 3.0]), seed=1)
    np.testing.assert_allclose(both, [[0.5, 0.75, 1.0]] * 2)
