"""Cost ratios and quantiles with their intervals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from routelab.lab.spread import cost_ratio, cost_ratio_bootstrap, quantile, top_share


def test_a_cost_ratio_of_proportional_costs_is_certain() -> None:
    base = np.array([1.0, 2.0, 5.0, 0.5])
    found = cost_ratio(base / 4, base)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((0.25, 0.25, 0.25))


def test_nothing_is_cheaper_than_what_costs_nothing() -> None:
    assert cost_ratio(np.ones(3), np.zeros(3)) is None
    assert cost_ratio_bootstrap(np.ones(3), np.zeros(3), seed=0) is None


def test_the_delta_method_covers_and_agrees_with_the_bootstrap() -> None:
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(1000):
        base = rng.lognormal(0, 0.7, 200)
        new = np.where(rng.random(200) < 0.5, base, 0.2 * rng.lognormal(0, 0.7, 200))
        found = cost_ratio(new, base)
        assert found is not None
        hits += found.low <= 0.6 <= found.high  # type: ignore[operator]
    assert 0.92 <= hits / 1000 <= 0.97
    bootstrap = cost_ratio_bootstrap(new, base, seed=1)
    assert bootstrap is not None
    assert (bootstrap.low, bootstrap.high) == pytest.approx((found.low, found.high), abs=0.03)
    assert cost_ratio_bootstrap(new, base, seed=1) == bootstrap


def test_clusters_widen_a_cost_ratio_whose_savings_come_in_clusters() -> None:
    groups = np.arange(30).repeat(10)
    base = np.ones(300)
    new = np.where(groups % 2 == 0, 0.2, 1.0)
    plain, clustered = cost_ratio(new, base), cost_ratio(new, base, groups)
    assert plain is not None
    assert clustered is not None
    assert clustered.high - clustered.value > 2 * (plain.high - plain.value)  # type: ignore[operator]


def test_the_dearest_prompts_have_their_share_of_the_cost() -> None:
    assert top_share(np.array([*[1.0] * 99, 101.0])) == pytest.approx(101 / 200)
    assert top_share(np.zeros(4)) is None


@pytest.mark.parametrize(("q", "enough"), [(0.5, 6), (0.95, 72), (0.99, 368)])
def test_a_quantile_needs_enough_values_for_an_interval(q: float, enough: int) -> None:
    assert quantile(np.arange(float(enough)), q) is not None
    assert quantile(np.arange(float(enough - 1)), q) is None


@pytest.mark.parametrize("q", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("n", [6, 73, 100, 368, 999, 1000, 5000])
def test_the_ranks_of_a_quantile_cover_and_are_the_tightest_that_do(q: float, n: int) -> None:
    found = quantile(np.arange(1.0, n + 1), q)
    if found is None:
        assert stats.binom.pmf(n, n, q) > 0.025 or stats.binom.pmf(0, n, q) > 0.025
        return
    lower, upper = int(found.low or 0), int(found.high or 0)  # the values are their own ranks
    assert stats.binom.cdf(lower - 1, n, q) <= 0.025 < stats.binom.cdf(lower, n, q)
    assert stats.binom.sf(upper - 1, n, q) <= 0.025 < stats.binom.sf(upper - 2, n, q)


def test_the_published_ranks_of_the_99th_percentile_of_a_thousand() -> None:
    found = quantile(np.arange(1.0, 1001), 0.99)
    assert found is not None
    assert (found.low, found.high) == (983, 997)


def test_no_values_have_no_quantile() -> None:
    assert quantile(np.array([]), 0.5) is None
