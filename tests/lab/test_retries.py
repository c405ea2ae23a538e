"""Answers after a retry against the others: the test's size, its power, and what it does not confuse with an effect."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from routelab.lab.retries import Retried, retried


def test_the_counts_and_means_are_those_of_the_items() -> None:
    quality = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, np.nan], [1.0, 1.0]])
    attempts = np.array([[2, 1], [3, 1], [1, 2], [1, 1]])
    failed = np.array([[False, False], [True, False], [False, False], [False, False]])
    found = retried(quality, attempts, failed)
    assert (found.n, found.unanswered, found.quality, found.others) == (3, 1, 1.0, pytest.approx(0.6))
    assert str(found).startswith(
        "items with ≥ 1 retry: 3 (1 without an answer), quality 100.0 % against 60.0 % of the others"
    )


def test_without_a_retry_there_is_nothing_to_say() -> None:
    assert retried(np.ones((3, 1)), np.ones((3, 1), dtype=np.intp), np.zeros((3, 1), dtype=bool)) == Retried(
        n=0, unanswered=0, quality=None, others=1.0, p=None
    )


def test_the_moments_are_those_of_every_permutation() -> None:
    values = np.array([1.0, 0.0, 0.5, 1.0, 0.0, 0.25])
    chosen = np.array([True, False, True, True, False, False])
    sums = [values[list(rows)].sum() for rows in itertools.combinations(range(6), 3)]
    z = (values[chosen].sum() - np.mean(sums)) / np.std(sums)
    found = retried(values[:, None], np.where(chosen, 2, 1)[:, None], np.zeros((6, 1), dtype=bool))
    from scipy import stats

    assert found.p == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-12)


def test_it_is_the_test_of_cochran_mantel_and_haenszel() -> None:
    from statsmodels.stats.contingency_tables import StratifiedTable

    rng = np.random.default_rng(2)
    quality = (rng.random((300, 3)) < [0.9, 0.6, 0.3]).astype(float)
    again = rng.random((300, 3)) < [0.05, 0.2, 0.4]
    found = retried(quality, np.where(again, 2, 1), np.zeros((300, 3), dtype=bool))
    tables = [
        [
            [float((again[:, k] & (quality[:, k] == q)).sum()) for q in (1, 0)],
            [float((~again[:, k] & (quality[:, k] == q)).sum()) for q in (1, 0)],
        ]
        for k in range(3)
    ]
    expected = StratifiedTable(tables).test_null_odds(correction=False).pvalue
    assert found.p == pytest.approx(expected, rel=1e-9)


def test_a_weak_model_that_fails_often_is_no_effect_and_a_real_one_is_found() -> None:
    rng = np.random.default_rng(3)
    null, real = 0, 0
    for _ in range(300):
        base = rng.random((200, 2)) < [0.95, 0.4]
        again = rng.random((200, 2)) < [0.02, 0.5]
        none = np.zeros((200, 2), dtype=bool)
        null += (retried(base.astype(float), np.where(again, 2, 1), none).p or 1.0) < 0.05
        worse = base & ~(again & (rng.random((200, 2)) < 0.6))
        real += (retried(worse.astype(float), np.where(again, 2, 1), none).p or 1.0) < 0.05
    assert null <= 27  # 5 % of 300 are 15; more than 27 has a chance below 0.2 %
    assert real >= 280
