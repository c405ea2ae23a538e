"""Tests of pairs and corrections, against statsmodels, by enumeration, and against what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar as their_mcnemar
from statsmodels.stats.multitest import multipletests

from routelab.lab.significance import benjamini_hochberg, holm, mcnemar, paired_permutation

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=20).map(np.array)


@pytest.mark.parametrize(("better", "worse"), [(0, 0), (1, 0), (5, 12), (30, 18), (7, 7)])
def test_mcnemar_equals_statsmodels(better: int, worse: int) -> None:
    theirs = their_mcnemar([[50, better], [worse, 20]], exact=True).pvalue if better + worse else 1.0
    assert mcnemar(better, worse) == pytest.approx(theirs, abs=1e-12)


@given(P_VALUES)
def test_holm_and_benjamini_hochberg_equal_statsmodels(p: np.ndarray) -> None:
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-12)
    assert benjamini_hochberg(p) == pytest.approx(multipletests(p, method="fdr_bh")[1], abs=1e-12)


@given(P_VALUES)
def test_a_correction_never_makes_a_p_value_smaller(p: np.ndarray) -> None:
    assert (holm(p) >= p - 1e-15).all()
    assert (benjamini_hochberg(p) <= holm(p) + 1e-15).all()


def test_twenty_questions_without_an_answer_give_one_by_chance_unless_corrected() -> None:
    p = np.random.default_rng(1).random((4000, 20))
    assert (p < 0.05).any(axis=1).mean() == pytest.approx(0.64, abs=0.03)
    assert np.mean([(holm(row) < 0.05).any() for row in p]) <= 0.065


def test_the_permutation_test_enumerates_few_pairs_and_agrees_with_the_sign_test() -> None:
    d = np.array([1.0] * 7 + [-1.0] * 1 + [0.0] * 90)
    assert paired_permutation(d, seed=0) == pytest.approx(mcnemar(7, 1), abs=1e-12)


def test_the_permutation_test_draws_when_there_are_many_and_depends_on_its_seed_only() -> None:
    d = np.concatenate([np.ones(30), -np.ones(14), np.zeros(100)])
    assert paired_permutation(d, seed=4) == paired_permutation(d, seed=4)
    assert paired_permutation(d, seed=4) == pytest.approx(mcnemar(30, 14), abs=0.01)
    assert paired_permutation(np.zeros(5), seed=0) == 1.0
