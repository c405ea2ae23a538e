"""Adaptive data: weighted sequences cover at every look, and a plain mean does not even get the middle right."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from routelab.lab.adaptive import Draws, difference, estimates, sequences
from routelab.lab.choices import Choices
from routelab.strategies.fitting.tally import Tally, thompson, track, with_floor

FLOOR, BATCH = 0.05, 25


def played(rates: tuple[float, ...], n: int, seed: int, *, algorithm: str = "thompson") -> Draws:
    """Return the draws of a bandit over models that are right at these rates."""
    rng, truth = np.random.default_rng(seed), np.array(rates)
    tally = Tally.empty(len(rates))
    actions, rewards, chances = [], [], []
    while len(rewards) * BATCH < n:
        chosen = thompson(tally) if algorithm == "thompson" else track(tally, minimum=20)
        chance = with_floor(chosen, FLOOR)
        action = rng.choice(len(rates), size=BATCH, p=chance)
        reward = (rng.random(BATCH) < truth[action]).astype(float)
        tally = tally.plus(action, reward)
        actions.append(action)
        rewards.append(reward)
        chances.append(np.tile(chance, (BATCH, 1)))
    return Draws(action=np.concatenate(actions), chances=np.concatenate(chances), reward=np.concatenate(rewards))


@functools.lru_cache(maxsize=8)
def simulated(rates: tuple[float, ...], n: int, runs: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return per run and model: whether its sequence held at every look, the error of the plain mean, that of the weighted."""
    held, plain, weighted = [], [], []
    for seed in range(runs):
        draws = played(rates, n, seed)
        found = sequences(draws)
        half = found.half_width()
        held.append((np.abs(found.value - np.array(rates)) <= half).all(axis=0))
        counts = np.bincount(draws.action, minlength=len(rates))
        sums = np.bincount(draws.action, weights=draws.reward, minlength=len(rates))
        plain.append(sums / np.maximum(counts, 1) - np.array(rates))
        weighted.append(found.value[-1] - np.array(rates))
    return np.array(held), np.array(plain), np.array(weighted)


@pytest.mark.parametrize("rates", [(0.7, 0.75), (0.5, 0.6, 0.9)])
def test_the_sequence_of_every_model_holds_at_every_look(rates: tuple[float, ...]) -> None:
    held, _, _ = simulated(rates, 500, 500)
    assert (held.mean(axis=0) >= 0.935).all()


def test_a_plain_mean_of_a_thompson_run_is_biased_and_the_weighted_one_is_not() -> None:
    rates = (0.7, 0.75)
    _, plain, weighted = simulated(rates, 500, 500)
    error = plain.std(axis=0) / np.sqrt(len(plain)), weighted.std(axis=0) / np.sqrt(len(weighted))
    assert plain[:, 0].mean() < -4 * error[0][0]
    assert plain[:, 0].mean() < -0.01
    assert (np.abs(weighted.mean(axis=0)) < 3.5 * error[1]).all()


@pytest.mark.soak
@pytest.mark.parametrize("rates", [(0.7, 0.75), (0.95, 0.9, 0.2, 0.9), (0.9, 0.05, 0.1), (0.02, 0.05, 0.1), (0.7,) * 3])
def test_the_sequence_holds_over_two_thousand_runs(rates: tuple[float, ...]) -> None:
    held, _, _ = simulated(rates, 1000, 2000)
    assert (held.mean(axis=0) >= 0.935).all()


def test_differences_hold_at_every_look_too() -> None:
    misses = 0
    for seed in range(200):
        draws = played((0.7, 0.75), 400, seed, algorithm="track")
        looks = range(50, 401, 50)
        cut = [Draws(action=draws.action[:k], chances=draws.chances[:k], reward=draws.reward[:k]) for k in looks]
        gaps = [difference(d, 1, 0) for d in cut]
        misses += any(g.low is not None and g.high is not None and not g.low <= 0.05 <= g.high for g in gaps)
    assert misses <= 0.065 * 200


def test_scores_are_unbiased_whatever_the_chances_were() -> None:
    rng = np.random.default_rng(5)
    chances = rng.dirichlet([0.5, 1.0, 3.0], size=40_000).clip(0.02)
    chances /= chances.sum(axis=1, keepdims=True)
    action = (rng.random((40_000, 1)) > np.cumsum(chances, axis=1)).sum(axis=1).clip(max=2)
    reward = (rng.random(40_000) < np.array([0.2, 0.5, 0.8])[action]).astype(float)
    found = estimates(Draws(action=action, chances=chances, reward=reward))
    for estimate, truth in zip(found, (0.2, 0.5, 0.8), strict=True):
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.low <= truth <= estimate.high
        assert estimate.high - estimate.low < 0.2


def test_a_log_that_kept_only_the_chance_of_the_drawn_model_is_enough() -> None:
    misses, widths = np.zeros(2), []
    for seed in range(200):
        draws = played((0.7, 0.75), 400, seed)
        rows = np.arange(len(draws))
        logged = Draws.of(
            Choices(
                models=("a", "b"),
                action=draws.action,
                reward=draws.reward,
                propensity=draws.chances[rows, draws.action],
            )
        )
        known, found = sequences(draws), sequences(logged)
        assert np.array_equal(found.value, known.value)
        misses += (np.abs(found.value - np.array([0.7, 0.75])) > found.half_width()).any(axis=0)
        widths.append(found.half_width()[-1] / known.half_width()[-1])
    assert (misses <= 0.065 * 200).all()
    assert 0.9 < float(np.median(widths)) < 1.2


def test_choices_that_know_every_chance_are_taken_as_they_are() -> None:
    draws = played((0.5, 0.9), 100, 0)
    chosen = draws.chances[np.arange(100), draws.action]
    logged = Choices(
        models=("a", "b"), action=draws.action, reward=draws.reward, propensity=chosen, chances=draws.chances
    )
    assert np.array_equal(Draws.of(logged).chances, draws.chances)


def test_an_estimate_is_the_sequences_last_look() -> None:
    draws = played((0.5, 0.9), 200, 0)
    found = sequences(draws)
    for k, estimate in enumerate(estimates(draws)):
        assert estimate.value == found.value[-1, k]
        assert estimate.high is not None
        assert abs(estimate.high - estimate.value - found.half_width()[-1, k]) < 1e-12
        assert estimate.n == int((draws.action == k).sum())


def test_a_model_that_was_never_asked_has_no_interval() -> None:
    draws = Draws(action=np.zeros(30, dtype=np.intp), chances=np.full((30, 2), 0.5), reward=np.ones(30))
    known, unknown = estimates(draws)
    assert known.low is not None
    assert (unknown.low, unknown.high, unknown.note) == (None, None, "never asked")


@pytest.mark.parametrize(
    "given",
    [
        {"chances": np.array([[1.0, 0.0]])},
        {"reward": np.array([np.nan])},
        {"reward": np.array([1.0, 0.0])},
        {"chances": np.array([[np.nan, 0.5]])},
    ],
)
def test_draws_without_a_chance_or_a_reward_are_refused(given: dict[str, np.ndarray]) -> None:
    whole = {"action": np.array([0]), "chances": np.array([[0.5, 0.5]]), "reward": np.array([1.0])}
    with pytest.raises(ValueError, match="draws need"):
        Draws(**{**whole, **given})  # type: ignore[arg-type]
