"""Tests of paired arms, and corrections for having asked many questions at once."""

from __future__ import annotations

import numpy as np
from scipy import stats

from routelab.core.ports import Floats


def mcnemar(better: int, worse: int) -> float:
    """Return McNemar's exact two-sided p value from the discordant pairs; 1 when there are none."""
    pairs = better + worse
    return 1.0 if pairs == 0 else float(stats.binomtest(min(better, worse), pairs, 0.5).pvalue)


def paired_permutation(difference: Floats, *, seed: int, rounds: int = 9999) -> float:
    """Return the two-sided p value of a mean difference of 0, by flipping signs at random; (b + 1)/(rounds + 1).

    All flips are enumerated instead when there are at most 2**12 of them.
    """
    d = difference[difference != 0]
    if len(d) == 0:
        return 1.0
    observed = abs(float(d.sum())) - 1e-12 * float(np.abs(d).sum())
    if len(d) <= 12:
        codes = np.arange(2 ** len(d))[:, None] >> np.arange(len(d)) & 1
        return float((np.abs((1 - 2 * codes) @ d) >= observed).mean())
    rng = np.random.default_rng(seed)
    beyond, done = 0, 0
    while done < rounds:
        batch = min(rounds - done, max(1, 2_000_000 // len(d)))
        signs = rng.integers(0, 2, size=(batch, len(d)), dtype=np.int8) * 2 - 1
        beyond += int((np.abs(signs @ d) >= observed).sum())
        done += batch
    return (beyond + 1) / (rounds + 1)


def holm(p: Floats) -> Floats:
    """Return Holm's step-down adjusted p values (family-wise error), in the order given."""
    p = np.asarray(p, dtype=float)
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted


def benjamini_hochberg(p: Floats) -> Floats:
    """Return Benjamini and Hochberg's step-up adjusted p values (false discovery rate), in the order given."""
    p = np.asarray(p, dtype=float)
    order = np.argsort(p, kind="stable")[::-1]
    ranks = np.arange(len(p), 0, -1)
    steps = np.minimum.accumulate(p[order] * len(p) / ranks) if len(p) else p
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted
