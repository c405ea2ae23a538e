"""Track-and-stop: it errs no more than it says, soon enough, and knows when it cannot know."""

from __future__ import annotations

import math

import numpy as np
import pytest

from routelab.core.errors import ConfigError
from routelab.lab.allocation import BestArm, Rehearsals, lower_bound, rehearse, threshold
from routelab.strategies.fitting.tally import Tally

CLOSE = (0.70, 0.75)
VARIANCES = np.array([0.21, 0.1875])


def tally(*counts: tuple[int, int]) -> Tally:
    asked, right = (np.array(column, dtype=float) for column in zip(*counts, strict=True))
    return Tally(count=asked, total=right, squares=right)


# The rule


def test_the_ratio_is_the_squared_gap_over_twice_the_variance_of_the_gap() -> None:
    found = BestArm()(tally((400, 300), (200, 130), (100, 30)))
    mean, count = np.array([0.75, 0.65, 0.3]), np.array([400, 200, 100])
    variance = (count * mean * (1 - mean) + 0.25) / count
    expected = 0.1**2 / (2 * (variance[0] / 400 + variance[1] / 200))
    assert (found.leader, found.rival) == (0, 1)
    assert abs(found.ratio - expected) < 1e-12
    assert abs(found.threshold - math.log((1 + math.log(700)) / 0.05)) < 1e-12
    assert not found.decided


def test_nothing_is_decided_before_every_model_has_its_minimum() -> None:
    assert not BestArm(minimum=20)(tally((500, 500), (19, 0))).decided
    assert BestArm(minimum=20)(tally((500, 500), (20, 0))).decided


def test_models_that_are_always_right_do_not_decide_by_a_variance_of_nothing() -> None:
    assert not BestArm()(tally((20, 20), (20, 19))).decided


def test_an_epsilon_lets_one_of_equal_models_be_named() -> None:
    equal = tally((4000, 2800), (4000, 2799))
    assert not BestArm()(equal).decided
    assert BestArm(epsilon=0.05)(equal).decided


def test_a_single_model_is_the_best() -> None:
    assert BestArm()(tally((1, 0))).decided


def test_the_threshold_grows_with_looks_and_with_certainty() -> None:
    assert threshold(0, 0.05) == threshold(1, 0.05) == math.log(20)
    assert threshold(1000, 0.05) < threshold(2000, 0.05) < threshold(2000, 0.01)


@pytest.mark.parametrize("given", [{"delta": 0.0}, {"delta": 1.0}, {"epsilon": -0.1}, {"minimum": 1}])
def test_a_rule_that_cannot_be_is_refused(given: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(given))):
        BestArm(**given)  # type: ignore[arg-type]


# How it goes


def accepted(found: Rehearsals, best: int, bound: float, delta: float = 0.05) -> None:
    """Check an error of at most δ + 3 Monte-Carlo errors, and a mean of at most twice the lower bound."""
    runs = len(found.named)
    wrong = float(((found.named != best) & (found.named >= 0)).mean())
    assert found.undecided == 0
    assert wrong <= delta + 3 * math.sqrt(delta * (1 - delta) / runs)
    assert float(found.answers.mean()) <= 2 * bound


def test_the_lower_bound_of_two_models_is_the_textbooks() -> None:
    sd = np.sqrt(VARIANCES)
    bound = 2 * (sd.sum() / 0.05) ** 2 * 0.9 * math.log(19)
    assert abs(lower_bound(np.array(CLOSE), VARIANCES) / bound - 1) < 1e-4


def test_close_models_are_told_apart_within_twice_the_lower_bound() -> None:
    found = rehearse(CLOSE, BestArm(), runs=120, batch=50, seed=1)
    accepted(found, 1, lower_bound(np.array(CLOSE), VARIANCES))


def test_a_looser_rule_shows_that_the_error_is_there_to_be_bounded() -> None:
    found = rehearse(CLOSE, BestArm(delta=0.9), runs=120, batch=25, seed=1)
    assert float((found.named == 0).mean()) > 0.02


def test_equal_models_run_to_the_cap() -> None:
    found = rehearse((0.7, 0.7), BestArm(), runs=80, cap=2000, batch=100)
    assert found.undecided >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / 80)
    assert set(found.answers[found.named < 0]) == {2000}


def test_a_rehearsal_is_the_same_every_time() -> None:
    one, two = (rehearse((0.4, 0.8), BestArm(), runs=5, seed=7) for _ in range(2))
    assert one.answers.tolist() == two.answers.tolist()
    assert one.named.tolist() == [1] * 5


@pytest.mark.soak
def test_over_two_thousand_runs_the_error_and_the_length_hold() -> None:
    accepted(rehearse(CLOSE, BestArm(), runs=2000, batch=50, seed=2), 1, lower_bound(np.array(CLOSE), VARIANCES))
    equal = rehearse((0.7, 0.7), BestArm(), runs=1000, cap=5000, batch=100, seed=3)
    assert equal.undecided >= 0.95
