"""Confidence sequences and the sample-ratio check: formulas by hand, laws, and agreement of the running and the one-look form."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from routelab.lab.sequential import (
    anytime,
    anytime_needed,
    anytime_non_inferiority,
    confidence_sequence,
    sample_ratio,
    sample_ratio_sequence,
)
from routelab.lab.statistics import mean, non_inferiority

PAIRS = st.lists(st.sampled_from([-1.0, 0.0, 0.0, 0.0, 1.0]), min_size=2, max_size=60)


def margin_by_hand(n: int, variance: float, alpha: float = 0.05, tightest_at: float = 100) -> float:
    rho2 = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha)) + 1) / tightest_at
    return math.sqrt((n * variance * rho2 + 1) / (n**2 * rho2) * math.log((n * variance * rho2 + 1) / alpha**2))


@given(PAIRS)
def test_the_running_band_is_the_look_at_each_prompt(rows: list[float]) -> None:
    d = np.array(rows)
    found = confidence_sequence(d)
    last = anytime(d)
    assert (found.value[-1], found.low[-1], found.high[-1]) == pytest.approx((last.value, last.low, last.high))
    assert found.high[-1] - found.value[-1] == pytest.approx(margin_by_hand(len(d), float(d.var(ddof=1))))
    fixed = mean(d)
    assert (found.fixed_low[-1], found.fixed_high[-1]) == pytest.approx((fixed.low, fixed.high), abs=1e-6)
    assert math.isnan(found.low[0])


@given(PAIRS)
def test_watching_costs_width(rows: list[float]) -> None:
    found = confidence_sequence(np.array(rows * 3))
    later = slice(5, None)
    assert (found.low[later] <= found.fixed_low[later] + 1e-12).all()
    assert (found.high[later] >= found.fixed_high[later] - 1e-12).all()


def test_answers_that_never_differ_still_have_a_band_that_narrows() -> None:
    found = confidence_sequence(np.zeros(500))
    assert (found.high[1:] > 0).all()
    assert (np.diff(found.high[1:]) < 0).all()
    assert found.fixed_high[-1] == 0.0


def test_an_empty_or_unknown_sequence_is_said_so() -> None:
    assert len(confidence_sequence(np.array([])).value) == 0
    with pytest.raises(ValueError, match="no NaN"):
        confidence_sequence(np.array([0.0, np.nan]))


def test_one_prompt_and_few_clusters_have_no_band() -> None:
    assert anytime(np.array([1.0])).interval is None
    assert anytime(np.arange(12.0), np.arange(12) % 3).interval is None
    grouped = anytime(np.arange(60.0) % 7, np.arange(60) // 3)
    assert grouped.clusters == 20
    assert grouped.se == mean(np.arange(60.0) % 7, np.arange(60) // 3).se


def test_a_margin_must_wait_longer_when_the_test_is_watched() -> None:
    d = np.tile([1.0, -1.0, *[0.0] * 18], 60)
    planned, watched = non_inferiority(mean(d), 0.02), anytime_non_inferiority(d, 0.02)
    assert (planned.verdict, watched.verdict) == ("non-inferior", "inconclusive")
    assert watched.n_needed is not None
    assert watched.n_needed > 1200
    longer = np.tile(d, math.ceil(watched.n_needed / len(d)))
    assert anytime_non_inferiority(longer, 0.02).verdict == "non-inferior"


@given(PAIRS, st.floats(0.01, 0.9))
def test_the_always_valid_p_and_the_verdict_never_disagree(rows: list[float], margin: float) -> None:
    found = anytime_non_inferiority(np.array(rows * 4), margin)
    assert (found.p < 0.025) == (found.verdict == "non-inferior")
    assert found.difference.low is not None
    assert (found.p_better < 0.025) == (found.difference.low > 0)


def test_a_loss_beyond_the_margin_is_called_worse_while_watching() -> None:
    d = np.tile([-1.0, 0.0, 0.0], 200)
    found = anytime_non_inferiority(d, 0.02)
    assert (found.verdict, found.p, found.n_needed) == ("worse", 1.0, None)


@pytest.mark.parametrize(("variance", "margin"), [(0.1, 0.02), (0.05, 0.05), (1.0, 0.1)])
def test_the_number_that_a_watched_test_needs_is_the_least_that_is_enough(variance: float, margin: float) -> None:
    n = anytime_needed(variance, margin)

    def reach(k: int) -> float:
        return margin_by_hand(k, variance) + stats.norm.ppf(0.8) * math.sqrt(variance / k)

    assert reach(n) <= margin < reach(n - 1)


def test_the_ratio_check_is_pearsons() -> None:
    found = sample_ratio([5200, 4800], [1, 1])
    assert found.p == pytest.approx(float(stats.chi2.sf(16.0, 1)))
    assert (found.counts, found.shares, found.alarm) == ((5200, 4800), (0.5, 0.5), True)
    assert str(found).startswith("sample-ratio mismatch")
    assert str(sample_ratio([500, 500], [1, 1])).startswith("the shares are as intended")


def test_an_arm_that_should_get_nothing_must_get_nothing() -> None:
    assert sample_ratio([10, 10, 1], [1, 1, 0]).alarm
    assert not sample_ratio([10, 10, 0], [1, 1, 0]).alarm
    assert (sample_ratio([0, 0], [1, 1]).p, sample_ratio([7], [1]).p) == (1.0, 1.0)
    found, p = sample_ratio_sequence(np.array([0, 1, 2, 0]), [1, 1, 0])
    assert found.alarm
    assert p.tolist()[2:] == [0.0, 0.0]


@pytest.mark.parametrize("shares", [[], [0, 0], [1, -1], [1, 1, 1]])
def test_shares_that_are_none_are_refused(shares: list[float]) -> None:
    with pytest.raises(ValueError, match="intended share"):
        sample_ratio([1, 1], shares)


@given(st.lists(st.integers(0, 2), min_size=1, max_size=80))
def test_the_running_ratio_check_never_recovers_and_is_the_bayes_factor(rows: list[int]) -> None:
    assigned = np.array(rows)
    found, p = sample_ratio_sequence(assigned, [2, 1, 1], prior=20)
    assert (np.diff(p) <= 0).all()
    assert ((p > 0) & (p <= 1)).all()
    assert found.p == p[-1]
    counts = np.bincount(assigned, minlength=3)
    marginal = stats.dirichlet_multinomial.logpmf(counts, [10, 5, 5], len(rows))
    intended = stats.multinomial.logpmf(counts, len(rows), [0.5, 0.25, 0.25])
    assert found.p <= min(1.0, math.exp(intended - marginal)) + 1e-9
    whole = min(
        min(
            1.0,
            math.exp(
                stats.multinomial.logpmf(c, k + 1, [0.5, 0.25, 0.25])
                - stats.dirichlet_multinomial.logpmf(c, [10, 5, 5], k + 1)
            ),
        )
        for k, c in enumerate(np.cumsum(np.eye(3, dtype=int)[assigned], axis=0))
    )
    assert found.p == pytest.approx(whole)


def test_before_the_first_assignment_nothing_is_wrong() -> None:
    found, p = sample_ratio_sequence(np.array([], dtype=np.intp), [1, 1])
    assert (found.p, found.alarm, len(p)) == (1.0, False, 0)
