"""Corrections by labels: coverage by seeded simulation, formulas by hand, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.core.errors import DataError
from routelab.lab.judges import by_error_rates, powered, powered_difference

SENSITIVITY, SPECIFICITY, TRUTH = 0.90, 0.80, 0.75


def world(rng: np.random.Generator, n: int = 1_000, labels: int = 150) -> tuple[np.ndarray, np.ndarray]:
    """Return verdicts of a judge with sens .90 and spec .80, and labels of some at random; `n` are not labelled."""
    right = rng.random(n + labels) < TRUTH
    says = np.where(right, rng.random(n + labels) < SENSITIVITY, rng.random(n + labels) >= SPECIFICITY)
    truth = np.where(np.arange(n + labels) < labels, right.astype(float), np.nan)
    return says.astype(float), truth


def covers(interval: tuple[float, float] | None) -> bool:
    assert interval is not None
    return interval[0] <= TRUTH <= interval[1]


@pytest.fixture(params=[1_500, pytest.param(20_000, marks=pytest.mark.soak)], ids=["short", "soak"])
def worlds(request: pytest.FixtureRequest) -> int:
    """How many worlds are simulated."""
    if request.param == 20_000 and "soak" not in request.config.getoption("markexpr"):
        pytest.skip("the full version runs with -m soak")
    return int(request.param)


def test_corrected_intervals_cover_the_truth_where_the_judge_alone_does_not(worlds: int) -> None:
    rng = np.random.default_rng(20)
    hits = {"ppi": 0, "ppi++": 0, "rogan-gladen": 0, "naive": 0}
    errors: dict[str, list[float]] = {"ppi": [], "ppi++": [], "people": []}
    for _ in range(worlds):
        judged, truth = world(rng)
        plain, tuned = powered(judged, truth, tuned=False), powered(judged, truth)
        hits["ppi"] += covers(plain.estimate.interval)
        hits["ppi++"] += covers(tuned.estimate.interval)
        hits["naive"] += covers(plain.naive.interval)
        hits["rogan-gladen"] += covers(by_error_rates(judged, truth).estimate.interval)
        for name, estimate in (("ppi", plain.estimate), ("ppi++", tuned.estimate), ("people", plain.people)):
            errors[name].append(estimate.se or 0.0)
    coverage = {name: n / worlds for name, n in hits.items()}
    assert 0.935 <= coverage["ppi"] <= 0.965, coverage
    assert 0.935 <= coverage["ppi++"] <= 0.965, coverage
    assert 0.930 <= coverage["rogan-gladen"] <= 0.970, coverage
    assert coverage["naive"] < 0.70, coverage
    # The facts' own figures: .0319 against .0353 with people's labels alone.
    assert np.mean(errors["ppi"]) == pytest.approx(0.0319, abs=0.0005)
    assert np.mean(errors["people"]) == pytest.approx(0.0353, abs=0.0005)
    assert np.mean(errors["ppi++"]) < np.mean(errors["ppi"])


def test_the_estimate_is_the_formula() -> None:
    judged, truth = world(np.random.default_rng(3))
    known = np.isfinite(truth)
    f, g, y = judged[known], judged[~known], truth[known]
    found = powered(judged, truth, tuned=False)
    assert found.estimate.value == pytest.approx(g.mean() + (y - f).mean(), abs=1e-12)
    assert found.estimate.se == pytest.approx(np.sqrt(g.var(ddof=1) / 1_000 + (y - f).var(ddof=1) / 150), abs=1e-12)
    assert (found.labelled, found.unlabelled, found.tuning, found.method) == (150, 1_000, 1.0, "ppi")
    tuned = powered(judged, truth)
    spread = np.concatenate([f, g]).var(ddof=1)
    assert tuned.tuning == pytest.approx(np.cov(y, f)[0, 1] / (1.15 * spread), abs=1e-12)


def test_a_paired_difference_is_corrected_too() -> None:
    rng = np.random.default_rng(7)
    hits, naive = 0, 0
    for _ in range(400):
        right = np.stack([rng.random(700) < 0.8, rng.random(700) < 0.7])
        flatter = np.stack(
            [rng.random(700) < 0.5, rng.random(700) < 0.05]
        )  # the judge flatters the first one's mistakes
        judged = np.where(right, 1.0, flatter.astype(float))
        truth = np.where(np.arange(700) < 150, right.astype(float), np.nan)
        found = powered_difference((judged[0], judged[1]), (truth[0], truth[1]))
        low, high = found.estimate.interval or (1.0, 0.0)
        hits += low <= 0.1 <= high
        low, high = found.naive.interval or (1.0, 0.0)
        naive += low <= 0.1 <= high
    assert 0.92 <= hits / 400 <= 0.98
    assert naive / 400 < 0.1


def test_clusters_widen_the_interval_and_keep_its_coverage() -> None:
    rng = np.random.default_rng(8)
    robust, flat = 0, 0
    for _ in range(400):
        groups = np.arange(60).repeat(10)
        level = np.clip(TRUTH + rng.normal(0, 0.2, 60), 0.0, 1.0)
        right = rng.random(600) < level[groups]
        judged = np.where(right, rng.random(600) < SENSITIVITY, rng.random(600) >= SPECIFICITY).astype(float)
        labelled = np.isin(groups, rng.choice(60, 20, replace=False))
        truth = np.where(labelled, right.astype(float), np.nan)
        mean = float(np.clip(TRUTH + 0.2 * np.random.default_rng(0).normal(size=200_000), 0, 1).mean())
        for clusters in (groups, None):
            low, high = powered(judged, truth, clusters).estimate.interval or (1.0, 0.0)
            robust += (low <= mean <= high) if clusters is not None else 0
            flat += (low <= mean <= high) if clusters is None else 0
    assert robust / 400 > 0.92
    assert flat / 400 < 0.90


@given(st.integers(0, 10_000), st.floats(-3.0, 3.0))
def test_any_shift_of_the_judge_is_corrected_away(seed: int, shift: float) -> None:
    judged, truth = world(np.random.default_rng(seed), n=80, labels=40)
    before, after = powered(judged, truth), powered(judged + shift, truth)
    assert after.estimate.value == pytest.approx(before.estimate.value, abs=1e-9)
    assert after.estimate.se == pytest.approx(before.estimate.se, abs=1e-9)


def test_a_judge_that_says_nothing_leaves_the_labels_alone() -> None:
    rng = np.random.default_rng(9)
    _, truth = world(rng)
    constant = powered(np.full(len(truth), 0.5), truth)
    assert constant.tuning == 0.0
    assert constant.estimate.value == pytest.approx(constant.people.value)
    assert "λ = 0" in constant.notes[0]
    coin = by_error_rates((rng.random(len(truth)) < 0.5).astype(float), truth)
    assert np.isnan(coin.estimate.value)
    assert "cannot tell right from wrong" in coin.estimate.note


def test_unreadable_verdicts_cost_power_and_not_truth() -> None:
    judged, truth = world(np.random.default_rng(10))
    gaps = np.where(np.random.default_rng(11).random(len(judged)) < 0.2, np.nan, judged)
    found = powered(gaps, truth)
    whole = powered(judged, truth)
    assert found.unread == int(np.isnan(gaps).sum())
    assert found.estimate.value == pytest.approx(whole.estimate.value, abs=0.02)
    assert found.estimate.se is not None
    assert whole.estimate.se is not None
    assert found.estimate.se > whole.estimate.se


def test_labels_that_are_no_random_sample_are_pointed_out() -> None:
    judged, _ = world(np.random.default_rng(12))
    angry = np.where((judged == 0.0) & (np.arange(len(judged)) % 3 == 0), 0.0, np.nan)
    assert any("unlike the others" in note for note in powered(judged, angry).notes)


def test_too_few_labels_are_refused_or_said() -> None:
    judged, truth = world(np.random.default_rng(13), n=50, labels=10)
    assert any("only 10 labelled" in note for note in powered(judged, truth).notes)
    one = np.where(np.arange(60) == 0, 1.0, np.nan)
    with pytest.raises(DataError, match=r"1 of 60 answers are labelled.*\n.*rate more answers"):
        powered(judged, one)
    with pytest.raises(DataError, match=r"needs no judge"):
        powered(judged, np.ones(60))
    with pytest.raises(DataError, match="no verdict that can be read"):
        powered(np.full(60, np.nan), truth)
