"""Intervals against statsmodels and scipy, their coverage by enumeration or seeded simulation, and the three verdicts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats
from statsmodels.api import OLS
from statsmodels.stats.proportion import proportion_confint

from routelab.lab.statistics import (
    Estimate,
    items_for_margin,
    mean,
    n_needed,
    non_inferiority,
    paired_difference,
    quality_mean,
    tango,
    wilson,
)


def wald(successes: float, n: int) -> tuple[float, float]:
    rate = successes / n
    reach = 1.959964 * math.sqrt(rate * (1 - rate) / n)
    return rate - reach, rate + reach


def covered(interval: object, n: int, p: float) -> float:
    """Return the exact coverage of an interval for a rate, by enumeration of all outcomes."""
    weights = stats.binom.pmf(np.arange(n + 1), n, p)
    hits = [low <= p <= high for low, high in map(interval, np.arange(n + 1))]  # type: ignore[arg-type]
    return float(weights[hits].sum())


def clustered_sample(rng: np.random.Generator, clusters: int, each: int, icc: float) -> tuple[np.ndarray, np.ndarray]:
    shared = rng.normal(size=clusters).repeat(each) * math.sqrt(icc)
    return shared + rng.normal(size=clusters * each) * math.sqrt(1 - icc), np.arange(clusters).repeat(each)


@pytest.mark.parametrize("seed", range(25))
def test_means_and_clustered_means_equal_statsmodels_to_nine_digits(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, groups = rng.random(80), rng.integers(0, 12, 80)
    plain, robust = mean(values), mean(values, groups)
    theirs = OLS(values, np.ones(80)).fit()
    clustered = OLS(values, np.ones(80)).fit(cov_type="cluster", cov_kwds={"groups": groups}, use_t=True)
    assert (plain.se, plain.low, plain.high) == pytest.approx((theirs.bse[0], *theirs.conf_int()[0]), abs=1e-9)
    assert (robust.se, robust.low, robust.high) == pytest.approx((clustered.bse[0], *clustered.conf_int()[0]), abs=1e-9)


@pytest.mark.parametrize("seed", range(25))
def test_wilson_and_paired_differences_equal_statsmodels_and_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    k = int(rng.integers(0, 61))
    theirs = proportion_confint(k, 60, method="wilson")
    assert (wilson(k, 60).low, wilson(k, 60).high) == pytest.approx(theirs, abs=1e-9)
    new, base = rng.random(300), rng.random(300)
    ours = paired_difference(new, base)
    t = stats.ttest_rel(new, base).confidence_interval()
    assert (ours.low, ours.high) == pytest.approx((t.low, t.high), abs=1e-9)


def test_one_cluster_a_prompt_is_no_clustering() -> None:
    values = np.random.default_rng(0).random(50)
    assert mean(values, np.arange(50)).se == pytest.approx(mean(values).se, abs=1e-12)


def test_few_clusters_warn_and_fewer_than_five_have_no_interval() -> None:
    values = np.arange(40.0)
    assert mean(values, np.arange(40) % 4).interval is None
    assert mean(values, np.arange(40) % 4).note == "4 clusters are too few for an interval (at least 5)"
    assert mean(values, np.arange(40) % 10).note == "only 10 clusters: the interval may be too narrow"
    assert mean(values, np.arange(40)).note == ""


def test_wald_undercovers_where_wilson_does_not() -> None:
    assert covered(lambda k: wald(k, 100), 100, 0.95) == pytest.approx(0.879, abs=0.002)
    assert covered(lambda k: wilson(float(k), 100).interval, 100, 0.95) == pytest.approx(0.966, abs=0.002)


def test_naive_intervals_undercover_clustered_data_and_the_clustered_t_does_not() -> None:
    rng = np.random.default_rng(7)
    naive = robust = 0
    for _ in range(1500):
        values, groups = clustered_sample(rng, 30, 5, 0.3)
        plain, clustered = mean(values), mean(values, groups)
        naive += plain.low <= 0 <= plain.high  # type: ignore[operator]
        robust += clustered.low <= 0 <= clustered.high  # type: ignore[operator]
    assert naive / 1500 < 0.85
    assert 0.935 <= robust / 1500 <= 0.965


def test_ten_clusters_need_the_t_and_not_the_normal_quantile() -> None:
    rng = np.random.default_rng(8)
    normal = student = 0
    for _ in range(1500):
        values, groups = clustered_sample(rng, 10, 5, 0.3)
        found = mean(values, groups)
        assert found.se is not None
        normal += abs(found.value) <= 1.96 * found.se
        student += found.low <= 0 <= found.high  # type: ignore[operator]
    assert normal / 1500 < 0.94
    assert 0.935 <= student / 1500 <= 0.97


def test_quality_is_a_rate_when_it_is_right_or_wrong_and_stays_between_0_and_1() -> None:
    assert quality_mean(np.array([1.0, 1.0, 0.0, 1.0])).method == "Wilson"
    assert quality_mean(np.ones(20)).interval == pytest.approx((0.8389, 1.0), abs=1e-4)
    mixed = quality_mean(np.array([0.9, 1.0, 1.0, 0.97]))
    assert (mixed.method, mixed.high) == ("t", 1.0)


def test_no_number_that_is_not_a_number_gets_in() -> None:
    with pytest.raises(ValueError, match="no NaN"):
        mean(np.array([1.0, np.nan]))
    with pytest.raises(ValueError, match="at least one value"):
        mean(np.array([]))


def score_by_maximum_likelihood(better: int, worse: int, n: int, delta: float) -> float:
    """Return Tango's statistic with the restricted maximum found by a general optimiser."""

    def minus(q: float) -> float:  # q: share of worse pairs; better pairs have q + delta
        parts = ((better, q + delta), (worse, q), (n - better - worse, 1 - 2 * q - delta))
        return -sum(count * math.log(max(share, 1e-300)) for count, share in parts if count)

    low, high = max(0.0, -delta), (1 - delta) / 2
    q = optimize.minimize_scalar(minus, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x
    return (better - worse - n * delta) / math.sqrt(n * (2 * q + delta * (1 - delta)))


@pytest.mark.parametrize(("better", "worse", "n"), [(3, 10, 400), (12, 7, 50), (0, 4, 100), (5, 5, 30), (40, 1, 90)])
def test_the_ends_of_tangos_interval_solve_its_score_equation(better: int, worse: int, n: int) -> None:
    low, high = tango(better, worse, n)
    assert score_by_maximum_likelihood(better, worse, n, low) == pytest.approx(1.959964, abs=1e-3)
    assert score_by_maximum_likelihood(better, worse, n, high) == pytest.approx(-1.959964, abs=1e-3)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 60))
def test_tangos_interval_holds_the_estimate_and_mirrors_itself(better: int, worse: int, more: int) -> None:
    n = better + worse + more
    low, high = tango(better, worse, n)
    assert -1 <= low <= (better - worse) / n <= high <= 1
    assert tango(worse, better, n) == pytest.approx((-high, -low), abs=1e-9)


def pairs(losses: int, gains: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (new, base) qualities with that many losses and gains of the new arm."""
    base, new = np.zeros(n), np.zeros(n)
    base[:losses] = 1
    new[losses : losses + gains] = 1
    return new, base


def test_at_a_true_loss_of_the_margin_no_loss_is_certified_in_at_most_the_stated_share() -> None:
    """Exact, by enumeration, where all discordant pairs are losses: the case in which plain t intervals are worst."""
    n, margin = 400, 0.02
    counts = np.arange(0, 41)
    chance = stats.binom.pmf(counts, n, margin)
    ours = [non_inferiority(paired_difference(*pairs(int(k), 0, n)), margin).verdict == "non-inferior" for k in counts]
    plain = [mean(-pairs(int(k), 0, n)[1]).low > -margin for k in counts]  # type: ignore[operator]
    assert float(chance[ours].sum()) <= 0.03
    assert float(chance[plain].sum()) > 0.08


def test_identical_answers_on_few_prompts_certify_nothing() -> None:
    few = non_inferiority(paired_difference(np.ones(20), np.ones(20)), 0.02)
    many = non_inferiority(paired_difference(np.ones(400), np.ones(400)), 0.02)
    assert (few.verdict, many.verdict) == ("inconclusive", "non-inferior")


def estimate(value: float, low: float, high: float, n: int = 400) -> Estimate:
    return Estimate(value=value, low=low, high=high, se=(high - low) / 3.92, n=n)


@pytest.mark.parametrize(
    ("low", "high", "verdict", "within"),
    [
        (-0.01, 0.03, "non-inferior", False),
        (-0.015, -0.005, "non-inferior", True),
        (-0.05, -0.01, "worse", False),
        (-0.03, 0.01, "inconclusive", False),
        (-0.02, 0.01, "inconclusive", False),
    ],
)
def test_the_verdict_is_one_of_three_words_by_the_margin(low: float, high: float, verdict: str, within: bool) -> None:
    found = non_inferiority(estimate((low + high) / 2, low, high), 0.02)
    assert (found.verdict, found.worse_within_margin) == (verdict, within)
    assert (found.n_needed is not None) == (verdict == "inconclusive")


def test_an_interval_that_cannot_be_had_is_inconclusive() -> None:
    found = non_inferiority(Estimate(value=0.1, low=None, high=None, se=None, n=3), 0.02)
    assert (found.verdict, found.p, found.n_needed) == ("inconclusive", 1.0, None)


def test_the_p_value_and_the_interval_never_disagree() -> None:
    for losses, gains in [(0, 0), (3, 1), (8, 2), (20, 25), (1, 9)]:
        found = non_inferiority(paired_difference(*pairs(losses, gains, 400)), 0.02)
        assert (found.p < 0.025) == (found.verdict == "non-inferior")
        assert (found.p_better < 0.025) == (found.difference.low > 0)  # type: ignore[operator]


def test_the_items_needed_reproduce_the_published_table() -> None:
    published = {(0.411, 0.01): 10_472, (0.266, 0.02): 1_092, (0.213, 0.01): 2_815, (0.334, 0.05): 276}
    for (sd, margin), n in published.items():
        assert items_for_margin(sd, margin) == pytest.approx(n, rel=0.01)


def test_with_the_printed_number_of_prompts_the_power_is_what_was_promised() -> None:
    rng = np.random.default_rng(3)
    pilot = paired_difference(*pairs(6, 6, 200))
    needed = n_needed(pilot, 0.05)
    assert needed is not None
    wins = 0
    for _ in range(600):
        d = rng.choice([-1.0, 0.0, 1.0], p=[0.03, 0.94, 0.03], size=needed)
        found = non_inferiority(paired_difference((d > 0).astype(float), (d < 0).astype(float)), 0.05)
        wins += found.verdict == "non-inferior"
    assert wins / 600 >= 0.78


def test_more_prompts_are_asked_for_than_were_seen() -> None:
    found = non_inferiority(estimate(-0.019, -0.024, -0.0001 + 0.001, n=5000), 0.02)
    assert found.n_needed is not None
    assert found.n_needed > 5000


def test_a_margin_must_be_positive() -> None:
    with pytest.raises(ValueError, match="margin"):
        non_inferiority(estimate(0, -0.1, 0.1), 0.0)


def test_a_difference_of_two_qualities_is_never_said_to_reach_past_minus_one_or_one() -> None:
    few = paired_difference(np.array([1.0, 1.0, 0.0]), np.array([1.0, 1.0, 1.0]))
    assert few.interval == (-1.0, 1.0)
    clustered = paired_difference(np.full(6, 0.9), np.full(6, 0.1), np.arange(6))
    assert clustered.interval is not None
    assert clustered.interval[1] <= 1.0
