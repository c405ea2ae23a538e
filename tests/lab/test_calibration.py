"""Calibration and selective answering, against scikit-learn and by hand."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.lab.calibration import (
    calibration,
    confidently_wrong,
    equal_mass,
    expected_error,
    selective,
)

metrics: Any = pytest.importorskip("sklearn.metrics")
curves: Any = pytest.importorskip("sklearn.calibration")


def made(n: int, seed: int = 0, *, sharper: float = 1.0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    truth = rng.beta(2, 1, n)
    return np.clip(truth**sharper, 0, 1), (rng.random(n) < truth).astype(float)


@given(n=st.integers(20, 300), seed=st.integers(0, 50), bins=st.integers(2, 12), rounded=st.booleans())
def test_bins_and_brier_are_those_of_scikit_learn(n: int, seed: int, bins: int, rounded: bool) -> None:
    confidence, quality = made(n, seed)
    confidence = np.round(confidence, 1) if rounded else confidence
    held = calibration(confidence, quality, bins=bins)
    true, said = curves.calibration_curve(quality, confidence, n_bins=bins, strategy="quantile")
    assert np.allclose([b.quality.value for b in held.bins], true)
    assert np.allclose([b.confidence for b in held.bins], said)
    assert held.brier.value == pytest.approx(metrics.brier_score_loss(quality, confidence))
    sizes = np.array([b.quality.n for b in held.bins])
    assert held.ece == pytest.approx(float((sizes / n * np.abs(true - said)).sum()))
    assert sizes.sum() == n


def test_exact_confidences_are_told_from_overconfident_ones() -> None:
    exact = calibration(*made(2000, 1))
    over = calibration(*made(2000, 1, sharper=0.3))
    assert exact.p is not None
    assert over.p is not None
    assert exact.p > 0.05 > over.p
    assert exact.ece_expected == pytest.approx(exact.ece, abs=0.02)
    assert over.gap.low is not None
    assert over.gap.low > 0
    assert "overconfident by" in over.said()
    assert "confident" not in exact.said()
    assert exact.skill is not None
    assert over.skill is not None
    assert exact.skill > over.skill


def test_the_p_value_of_exact_confidences_is_rarely_small() -> None:
    small = sum((calibration(*made(200, seed)).p or 0) <= 0.1 for seed in range(60))
    assert small <= 13  # 6 expected; 13 is beyond the 99.5 % point


def test_graded_qualities_have_no_p_value_and_clusters_widen_the_intervals() -> None:
    confidence, quality = made(400, 2)
    graded = calibration(confidence, 0.5 * quality + 0.25)
    assert (graded.p, graded.ece_expected) == (None, None)
    twice = np.repeat(np.arange(200), 2)
    alone = calibration(np.repeat(confidence[:200], 2), np.repeat(quality[:200], 2))
    grouped = calibration(np.repeat(confidence[:200], 2), np.repeat(quality[:200], 2), twice)
    assert alone.brier.se is not None
    assert grouped.brier.se is not None
    assert grouped.brier.se == pytest.approx(alone.brier.se * 2**0.5, rel=0.02)


def test_what_cannot_be_a_confidence_is_refused() -> None:
    for confidence, quality in (([1.2], [1.0]), ([np.nan], [1.0]), ([0.5], [np.nan]), ([], []), ([0.5, 0.5], [1.0])):
        with pytest.raises(ValueError):  # noqa: PT011 - the two texts are ours
            calibration(np.array(confidence), np.array(quality))


def test_the_table_has_a_row_a_bin_and_says_how_it_errs() -> None:
    held = calibration(*made(500, 3, sharper=0.3))
    table = held.table("arm")
    assert len(table.rows) == len(held.bins) == 10
    assert "exact confidences: about" in table.text()


def test_the_area_under_the_risk_curve_is_the_mean_over_all_orders_of_equal_confidences() -> None:
    confidence = np.array([0.9, 0.9, 0.9, 0.4, 0.4, 0.1])
    quality = np.array([1.0, 0.0, 1.0, 0.0, 1.0, 0.0])
    areas = []
    for first, second in itertools.product(itertools.permutations(range(3)), itertools.permutations((3, 4))):
        order = [*first, *second, 5]
        loss = 1 - quality[order]
        areas.append((np.cumsum(loss) / np.arange(1, 7)).mean())
    held = selective(confidence, quality)
    assert held.aurc.value == pytest.approx(np.mean(areas))
    assert held.best == pytest.approx((np.cumsum([0, 0, 0, 1, 1, 1]) / np.arange(1, 7)).mean())
    assert held.chance == 0.5
    assert held.risk[-1] == 0.5


@given(seed=st.integers(0, 30), n=st.integers(8, 120))
def test_the_area_lies_between_the_best_order_and_the_worst_and_a_constant_is_chance(seed: int, n: int) -> None:
    confidence, quality = made(n, seed)
    held = selective(confidence, quality, rounds=20)
    worst = selective(-quality + 1, quality, rounds=20).aurc.value
    assert held.best - 1e-12 <= held.aurc.value <= worst + 1e-12
    assert selective(np.full(n, 0.3), quality, rounds=20).aurc.value == pytest.approx(held.chance)
    assert held.coverage[-1] == 1.0


def test_the_most_confident_answers_are_better_and_ties_stay_together() -> None:
    held = selective(*made(2000, 4), rounds=50)
    assert held.at(0.2).value > held.at(0.9).value > 1 - held.chance - 0.02
    assert held.at(1.0).n == 2000
    tied = selective(np.array([0.9, 0.9, 0.9, 0.1]), np.array([1.0, 0.0, 1.0, 0.0]), rounds=5)
    assert (tied.at(0.25).n, tied.at(0.25).value) == (3, pytest.approx(2 / 3))
    assert (tied.aurc.low, tied.aurc.high) == (None, None)  # four answers have no interval
    with pytest.raises(ValueError, match="coverage"):
        held.at(0.0)


def test_the_interval_of_the_area_covers_and_is_seeded() -> None:
    one, again = (selective(*made(300, 5), seed=7) for _ in range(2))
    assert one.aurc == again.aurc
    population = selective(*made(100_000, 999), rounds=2).aurc.value
    covered = 0
    for seed in range(40):
        low, high = selective(*made(300, seed), rounds=150).aurc.interval or (0, 0)
        covered += low <= population <= high
    assert covered >= 34


def test_clusters_are_drawn_whole() -> None:
    confidence, quality = made(100, 6)
    doubled = selective(np.repeat(confidence, 4), np.repeat(quality, 4), np.repeat(np.arange(100), 4))
    alone = selective(confidence, quality)
    assert doubled.aurc.se == pytest.approx(alone.aurc.se, rel=0.25)


def test_confidently_wrong_is_a_share_of_the_wrong_answers() -> None:
    confidence = np.array([0.95, 0.95, 0.2, 0.99, 0.5])
    wrong = np.array([1.0, 1.0, 1.0, 0.0, 0.0])
    held = confidently_wrong(confidence, wrong, at_least=0.9)
    assert held is not None
    assert (held.value, held.n, held.method) == (pytest.approx(2 / 3), 3, "Wilson")
    assert confidently_wrong(confidence, np.zeros(5), at_least=0.9) is None


def test_bins_of_equal_values_are_one_bin() -> None:
    where, _ = equal_mass(np.full(50, 0.7))
    assert len(set(where.tolist())) == 1
    assert expected_error(np.full(50, 0.7), np.ones(50), where) == pytest.approx(0.3)
