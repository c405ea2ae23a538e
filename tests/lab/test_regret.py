"""Regret: what somebody who had known would have had more, and which part of that the floor owes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from routelab.config import RouteConfig
from routelab.core.errors import DataError
from routelab.lab.adapt import Course, bandit_replay
from routelab.lab.adaptation import Adaptation
from routelab.lab.outcomes import Outcomes
from routelab.lab.regret import regret
from routelab.strategies import Bandit


def played(outcomes: Outcomes, bandit: Bandit) -> Adaptation:
    return bandit_replay(outcomes, RouteConfig(name="b", models=outcomes.models, strategy=bandit), Course(batch=20))


def random_cube(cube: Callable[..., Outcomes], n: int = 600) -> Outcomes:
    quality = (np.random.default_rng(0).random((n, 3)) < np.array([0.9, 0.5, 0.2])).astype(float)
    return cube(quality, cost_usd=np.tile([0.02, 0.01, 0.0], (n, 1)))


def test_regret_is_the_best_single_models_reward_minus_what_was_had(cube: Callable[..., Outcomes]) -> None:
    outcomes = random_cube(cube)
    found = played(outcomes, Bandit(floor=0.02))
    lost = regret(found, outcomes)
    rows = [outcomes.rows[p.id] for p in found.prompts]
    assert lost.best == "a"
    assert np.allclose(lost.total, np.cumsum(outcomes.quality[rows, 0] - found.quality))
    assert lost.total.shape == lost.floor.shape == (600,)


def test_a_bandit_loses_less_than_an_even_draw_and_little_more_than_its_floor(cube: Callable[..., Outcomes]) -> None:
    outcomes = random_cube(cube)
    learns, even = (regret(played(outcomes, b), outcomes) for b in (Bandit(floor=0.02), Bandit(floor=1 / 3)))
    assert learns.total[-1] < even.total[-1] / 3
    assert abs(even.floor[-1] - even.total[-1]) < 40  # an even draw is all floor, but for luck
    assert learns.floor[-1] < learns.total[-1]


def test_costs_count_as_the_bandit_counts_them(cube: Callable[..., Outcomes]) -> None:
    outcomes = random_cube(cube)
    dear = played(outcomes, Bandit(reward={"cost_weight": 100.0}))
    assert regret(dear, outcomes).best == "c"


def test_outcomes_that_were_not_played_are_refused(cube: Callable[..., Outcomes]) -> None:
    outcomes = random_cube(cube)
    found = played(outcomes, Bandit())
    with pytest.raises(DataError, match="do not hold the prompts"):
        regret(found, outcomes.take(np.arange(10)))
    with pytest.raises(DataError, match="model 'b' has no recorded outcomes"):
        regret(found, outcomes.only(["a", "c"]))
    holes = outcomes.quality.copy()
    holes[0, 0] = np.nan
    with pytest.raises(DataError, match="some rewards were not recorded"):
        regret(found, dataclasses.replace(outcomes, quality=holes))
