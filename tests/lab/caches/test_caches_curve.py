"""Every threshold at once: bounds, counts, the choice of a point."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from routelab.lab.caches.curve import (
    Curve,
    Point,
    auc,
    curve,
    hits_needed,
    interval,
    nominated,
    recommended,
    safest,
    upper_bound,
)


def free(n: int) -> np.ndarray:
    return np.arange(2 * n).reshape(-1, 2)


def point(hits: int, false: int, threshold: float = 0.9, positives: int = 1_000) -> Point:
    return Point(threshold=threshold, n=2 * positives, positives=positives, hits=hits, false_hits=false)


def separated(n: int, error: float, seed: int = 0) -> Curve:
    """Return a curve whose share of false hits among the top scores is `error`, and high further down."""
    rng = np.random.default_rng(seed)
    scores = rng.random(n)
    same = rng.random(n) < np.where(scores > 0.5, 1 - error, 0.3)
    return curve(scores, same, free(n))


def test_bounds_are_clopper_and_pearsons() -> None:
    for false, hits in ((0, 1), (0, 299), (2, 311), (5, 5), (40, 100)):
        oracle = stats.binomtest(false, hits)
        one = oracle.__class__(k=false, n=hits, alternative="less", statistic=false / hits, pvalue=1.0)
        assert upper_bound(false, hits) == pytest.approx(one.proportion_ci(0.95, method="exact").high)
        two = oracle.proportion_ci(0.95, method="exact")
        assert interval(false, hits) == pytest.approx((two.low, two.high))


def test_without_hits_nothing_is_known() -> None:
    assert upper_bound(0, 0) is None
    assert interval(0, 0) is None
    nothing = point(0, 0)
    assert (nothing.false_hit_rate, nothing.false_hit_ci, nothing.false_hit_upper) == (None, None, None)
    assert nothing.true_hit_rate == 0.0
    assert point(0, 0, positives=0).true_hit_rate is None


@given(st.integers(0, 60), st.sampled_from([0.005, 0.01, 0.05, 0.3]))
@settings(deadline=None)
def test_hits_needed_is_the_least_number_that_meets_the_budget(false: int, budget: float) -> None:
    needed = hits_needed(false, budget)
    assert (upper_bound(false, needed) or 1.0) <= budget
    assert (upper_bound(false, needed - 1) or 1.0) > budget


@given(st.data())
@settings(deadline=None)
def test_one_pass_counts_what_counting_at_each_threshold_counts(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 40))
    scores = np.array(
        data.draw(st.lists(st.sampled_from([-1.0, 0.2, 0.31234, 0.31236, 0.5, 1.0]), min_size=n, max_size=n))
    )
    same, passed = (np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n))) for _ in range(2))
    nodes = np.array(data.draw(st.lists(st.tuples(st.integers(0, 9), st.integers(10, 19)), min_size=n, max_size=n)))
    found = curve(scores, same, nodes, passed)
    for t in (*found.thresholds.tolist(), 0.3, 0.9, 2.0):
        hit = passed & (scores >= t)
        got = found.at(t)
        assert (got.hits, got.false_hits) == (int(hit.sum()), int((hit & ~same).sum()))
        assert (got.n, got.positives) == (n, int(same.sum()))
    assert [p.hits for p in found.points] == found.hits.tolist()
    assert [p.false_hit_upper for p in found.points] == pytest.approx(found.upper.tolist())
    assert all(a > b for a, b in zip(found.thresholds, found.thresholds[1:], strict=False))
    assert (np.diff(found.hits) > 0).all()


def test_thresholds_have_four_decimals_and_decide_the_same_when_they_are_written_down() -> None:
    found = separated(500, 0.01)
    for t, p in zip(found.thresholds, found.points, strict=True):
        assert found.at(float(f"{t:.4f}")) == p


def test_shared_texts_widen_bounds_and_never_narrow_them() -> None:
    rng = np.random.default_rng(1)
    hubs = np.repeat(np.arange(60), 10)
    same = np.repeat(rng.random(60) < 0.9, 10)
    scores = rng.random(600)
    tied = curve(scores, same, np.column_stack([hubs, 100 + np.arange(600)])).at(0.0)
    alone = curve(scores, same, free(600)).at(0.0)
    assert (tied.hits, tied.false_hits) == (alone.hits, alone.false_hits)
    assert alone.design_effect == 1.0
    assert tied.design_effect == pytest.approx(10.0)
    assert (tied.false_hit_upper or 0) > (alone.false_hit_upper or 1)
    assert tied.false_hit_ci is not None
    assert alone.false_hit_ci is not None
    assert tied.false_hit_ci[1] - tied.false_hit_ci[0] > alone.false_hit_ci[1] - alone.false_hit_ci[0]


def test_the_area_is_the_chance_that_a_true_pair_scores_higher_ties_half() -> None:
    scores, same = np.array([0.9, 0.5, 0.5, 0.1, -np.inf]), np.array([True, True, False, False, True])
    wins = [(a > b) + 0.5 * (a == b) for a in scores[same] for b in scores[~same]]
    assert auc(scores, same) == pytest.approx(np.mean(wins))
    assert auc(scores, np.ones(5, dtype=bool)) is None


def test_recommended_is_the_highest_true_hit_rate_whose_bound_is_within_the_budget() -> None:
    able, more, false = point(299, 0, 0.95), point(480, 1, 0.92), point(700, 8, 0.9)
    assert recommended([able, false, more]) == more
    assert recommended([false, point(298, 0), point(0, 0)]) is None
    assert recommended([able, false], budget=0.05) == false
    assert recommended([point(299, 0, 0.8), point(299, 0, 0.9)]) == point(299, 0, 0.9)


def test_a_nomination_is_within_the_budget_and_says_how_likely_other_pairs_confirm_it() -> None:
    found = separated(8_000, 0.002)
    got = nominated(found)
    best = recommended(found.points)
    assert got is not None
    assert best is not None
    chosen, chance = got
    assert chosen in found.points
    assert (chosen.false_hit_upper or 1.0) <= 0.01
    assert chosen.hits <= best.hits
    assert chance >= found.promises()[found.points.index(best)]
    assert 0.5 < chance <= 1.0


def test_promises_are_kept_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(3)
    said, kept = [], []
    for _ in range(150):
        rate = float(rng.beta(1, 150))
        halves = [curve(np.ones(900), rng.random(900) >= rate, free(900)) for _ in range(2)]
        [chance] = halves[0].promises()
        if chance > 0:
            said.append(chance)
            kept.append((halves[1].at(0.5).false_hit_upper or 1.0) <= 0.01)
    assert abs(np.mean(said) - np.mean(kept)) < 0.12


def test_where_no_bound_is_within_the_budget_nothing_is_nominated_and_the_safest_point_is_known() -> None:
    found = separated(300, 0.1)
    assert nominated(found) is None
    got = safest(found)
    assert got is not None
    assert got.false_hit_upper == pytest.approx(found.upper.min())
    nothing = curve(np.ones(3), np.ones(3, dtype=bool), free(3), np.zeros(3, dtype=bool))
    assert (len(nothing), nothing.points, safest(nothing), nominated(nothing)) == (0, (), None, None)
    assert nothing.at(0.5).hits == 0


def test_a_threshold_chosen_for_its_luck_fails_on_other_pairs_more_often_than_the_nominated_one() -> None:
    lucky = kept = known = 0
    for seed in range(30):
        here, there = separated(3_000, 0.004, seed), separated(3_000, 0.004, 1_000 + seed)
        best, sure = recommended(here.points), nominated(here)
        if best is None or sure is None:
            continue
        known += 1
        lucky += (there.at(best.threshold).false_hit_upper or 1.0) <= 0.01
        kept += (there.at(sure[0].threshold).false_hit_upper or 1.0) <= 0.01
    assert known > 15
    assert kept >= lucky
