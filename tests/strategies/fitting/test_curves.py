"""Calibration: Platt's curve and isotonic regression against their definitions, and the two measures of a fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from routelab.strategies.fitting.calibration import Method, brier, calibration_error, fitted

METHODS: tuple[Method, ...] = ("platt", "isotonic")
PAIRS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60)


def drawn(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    scores = rng.random(n)
    return scores, rng.random(n) < 1 / (1 + np.exp(-(8 * scores - 4)))


@settings(max_examples=60, deadline=None)
@given(PAIRS, st.sampled_from(METHODS))
def test_a_curve_never_falls_and_stays_a_chance(pairs: list[tuple[float, bool]], method: Method) -> None:
    curve = fitted(method, np.array([s for s, _ in pairs]), np.array([r for _, r in pairs]))
    found = curve(np.linspace(0, 1, 101))
    assert (np.diff(found) >= -1e-12).all()
    assert (found >= 0).all()
    assert (found <= 1).all()


def test_platts_curve_is_the_maximum_of_its_likelihood() -> None:
    scores, right = drawn(500)
    target = np.where(right, (right.sum() + 1) / (right.sum() + 2), 1 / ((~right).sum() + 2))

    def loss(at: np.ndarray) -> float:
        logits = at[0] * scores + at[1]
        return float((np.logaddexp(0, logits) - target * logits).sum())

    assert loss(fitted("platt", scores, right).y) <= minimize(loss, np.zeros(2)).fun + 1e-6


def test_an_isotonic_curve_goes_through_the_centres_of_the_pools() -> None:
    from sklearn.isotonic import IsotonicRegression

    scores, right = drawn(400)
    curve = fitted("isotonic", scores, right)
    steps = IsotonicRegression().fit_transform(scores, right.astype(float))
    levels = [level for level in np.unique(steps) if 0.01 < level < 0.99]
    centres = np.array([scores[steps == level].mean() for level in levels])
    assert len(levels) > 3
    assert np.allclose(curve(centres), levels)


@pytest.mark.parametrize("method", METHODS)
def test_a_calibrated_chance_is_right_as_often_as_it_says(method: Method) -> None:
    scores, right = drawn(6000)
    half = np.arange(6000) % 2 == 0
    chances = fitted(method, scores[half], right[half])(scores[~half])
    assert calibration_error(chances, right[~half]) < 0.04 < calibration_error(scores[~half], right[~half])
    assert brier(chances, right[~half]) < brier(scores[~half], right[~half])


def test_scores_that_say_nothing_or_the_contrary_become_the_share_that_was_right() -> None:
    scores = np.array([0.1, 0.2, 0.8, 0.9])
    curve = fitted("platt", scores, np.array([True, True, False, False]))
    assert np.allclose(curve(scores), 0.5)


def test_nothing_cannot_be_calibrated() -> None:
    with pytest.raises(ValueError, match="at least one score"):
        fitted("platt", np.zeros(0), np.zeros(0, dtype=bool))


def test_brier_and_calibration_error_are_what_their_formulas_say() -> None:
    chances, right = np.array([0.9, 0.7, 0.2, 0.05]), np.array([True, False, False, True])
    assert brier(chances, right) == pytest.approx((0.01 + 0.49 + 0.04 + 0.9025) / 4)
    # Two bins: 0.9 and 0.7 with one right, 0.2 and 0.05 with one right.
    assert calibration_error(chances, right, bins=2) == pytest.approx((abs(1.6 - 1) + abs(0.25 - 1)) / 4)
