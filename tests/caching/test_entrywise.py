"""Thresholds learned per entry: the budget holds, exploring becomes rare where the entry is right, and nothing is random."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from routelab.caching.entrywise import (
    LATEST,
    Decision,
    Observations,
    decide,
    learn,
    right_at_least,
    threshold_for,
)

Truth = Callable[[float], float]
Made = Callable[[np.random.Generator], Truth]


def logistic(middle: float, slope: float) -> Truth:
    return lambda s: float(1 / (1 + np.exp(-slope * (s - middle))))


TRUTHS: dict[str, Made] = {
    "logistic": lambda rng: logistic(rng.uniform(0.6, 1.0), rng.uniform(20, 200)),
    "never right": lambda rng: lambda s: 0.0,
    "a coin": lambda rng: lambda s: 0.5,
    "always right": lambda rng: lambda s: 1.0,
    "a step": lambda rng: (lambda at: lambda s: float(s > at))(rng.uniform(0.6, 1.0)),
}


def played(
    truth: Made, *, error: float, entries: int = 20, questions: int = 300, seed: int = 0
) -> tuple[int, np.ndarray]:
    """Return how many questions were answered wrongly, and who explored (entries × questions)."""
    rng, wrong = np.random.default_rng(seed), 0
    explored = np.zeros((entries, questions), dtype=bool)
    for entry in range(entries):
        seen, chance_of = Observations(), truth(rng)
        for i in range(questions):
            similarity = rng.uniform(0.6, 1.0)
            right = bool(rng.random() < chance_of(similarity))
            found = decide(similarity, seen, error=error, chance=rng.random())
            explored[entry, i] = found.explore
            if found.explore:
                seen = learn(seen, similarity, right)
            else:
                wrong += not right
    return wrong, explored


@pytest.mark.parametrize("error", [0.01, 0.05])
@pytest.mark.parametrize("truth", TRUTHS)
def test_the_share_answered_wrongly_stays_under_the_budget(truth: str, error: float) -> None:
    wrong, explored = played(TRUTHS[truth], error=error)
    # More than chance alone would give at exactly the budget: one test in a thousand.
    assert wrong <= stats.binom.ppf(0.999, explored.size, error)


def test_an_entry_that_is_always_right_is_explored_less_and_less() -> None:
    _, explored = played(TRUTHS["always right"], error=0.02)
    by_time = explored.reshape(explored.shape[0], 3, 100).mean(axis=(0, 2))
    assert by_time[0] > 2 * by_time[1] > 2 * by_time[2]
    assert by_time[2] < 0.15


def test_an_entry_that_is_never_right_goes_on_being_explored() -> None:
    _, explored = played(TRUTHS["never right"], error=0.02)
    assert explored[:, -100:].mean() > 0.95


def test_a_larger_budget_explores_less() -> None:
    shares = [played(TRUTHS["logistic"], error=error)[1].mean() for error in (0.005, 0.02, 0.1)]
    assert shares == sorted(shares, reverse=True)


def test_an_entry_without_an_observation_is_explored_whatever_the_draw() -> None:
    found = decide(0.999, Observations(), error=0.5, chance=0.999)
    assert found == Decision(explore=True, explore_chance=1.0, right_at_least=found.right_at_least)


def test_the_chance_to_explore_leaves_the_error_at_the_budget() -> None:
    seen = Observations()
    for _ in range(20):
        seen = learn(seen, 0.9, True)
    found = decide(0.9, seen, error=0.02, chance=0.0)
    assert 0 < found.explore_chance < 1
    assert (1 - found.explore_chance) * (1 - found.right_at_least) == pytest.approx(0.02)
    assert found.explore
    assert not decide(0.9, seen, error=0.02, chance=found.explore_chance).explore


@pytest.mark.parametrize("error", [0.0, 1.0, -0.1, float("nan")])
def test_a_budget_that_is_none_is_refused(error: float) -> None:
    with pytest.raises(ValueError, match="error: must lie between 0 and 1"):
        decide(0.9, Observations(), error=error, chance=0.5)


def test_similarities_and_verdicts_come_in_pairs() -> None:
    with pytest.raises(ValueError, match="2 similarities for 1 verdicts"):
        Observations(similarity=(0.9, 0.8), right=(True,))


seen_ = st.lists(st.tuples(st.floats(-1, 1), st.booleans()), max_size=30)


@given(seen=seen_, similarity=st.floats(-1, 1))
@settings(deadline=None, max_examples=60)
def test_what_is_learned_one_by_one_is_what_is_learned_at_once(
    seen: list[tuple[float, bool]], similarity: float
) -> None:
    step = Observations()
    for s, right in seen:
        step = learn(step, s, right)
    whole = Observations(similarity=tuple(s for s, _ in seen), right=tuple(r for _, r in seen))
    assert step == whole
    assert right_at_least(similarity, step) == pytest.approx(right_at_least(similarity, whole), abs=1e-12)


@given(seen=seen_, pair=st.tuples(st.floats(-1, 1), st.floats(-1, 1)))
@settings(deadline=None, max_examples=60)
def test_a_more_similar_question_is_never_held_less_sure(
    seen: list[tuple[float, bool]], pair: tuple[float, float]
) -> None:
    found = Observations(similarity=tuple(s for s, _ in seen), right=tuple(r for _, r in seen))
    low, high = sorted(pair)
    assert right_at_least(low, found) <= right_at_least(high, found) + 1e-12


def test_the_oldest_observation_is_forgotten_beyond_the_limit() -> None:
    seen = Observations()
    for i in range(LATEST + 5):
        seen = learn(seen, 0.9, i >= 5)
    assert (len(seen), all(seen.right)) == (LATEST, True)
    assert seen.likelihood == pytest.approx(Observations(similarity=seen.similarity, right=seen.right).likelihood)


def test_the_threshold_follows_what_was_seen() -> None:
    assert threshold_for(Observations(), error=0.05) is None
    seen = Observations(similarity=(0.7, 0.9) * 60, right=(False, True) * 60)
    assert threshold_for(seen, error=0.05) == pytest.approx(0.87, abs=0.05)
    assert threshold_for(Observations(similarity=(0.9,) * 60, right=(False,) * 60), error=0.05) is None


def test_decisions_are_the_same_in_every_process(elsewhere: Callable[..., str]) -> None:
    code = (
        "import json\n"
        "from routelab.caching.entrywise import Observations, decide\n"
        "seen = Observations(similarity=(0.7, 0.8, 0.9, 0.95), right=(False, True, True, True))\n"
        "print(json.dumps([decide(s / 100, seen, error=0.02, chance=0.9).explore_chance for s in range(60, 101, 5)]))"
    )
    seen = Observations(similarity=(0.7, 0.8, 0.9, 0.95), right=(False, True, True, True))
    here = [decide(s / 100, seen, error=0.02, chance=0.9).explore_chance for s in range(60, 101, 5)]
    assert json.loads(elsewhere(code)) == here
