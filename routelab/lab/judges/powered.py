"""Corrected means: many judge's verdicts, a few certain labels, and an interval that holds what the judge gets wrong.

Prediction-powered inference (Angelopoulos et al., Science 2023, arXiv 2301.09633) with power tuning (PPI++, 2311.01453), and the
correction of a rate by sensitivity and specificity (Rogan & Gladen, Am. J. Epidemiology 1978) as the alternative. All of them take
the labelled answers as a random sample of all: people who rate what annoys them are not one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from routelab.core.errors import DataError
from routelab.core.ports import Floats
from routelab.lab.judges.robust import absent, influenced, within
from routelab.lab.statistics import Estimate, mean

Method = Literal["ppi", "ppi++", "rogan-gladen"]
Ints = NDArray[np.intp]

FEW_LABELS = 30
ODD_LABELS = 0.01
"""Below this p value the labelled answers look unlike the others to the judge, and the note says so."""


@dataclass(frozen=True, kw_only=True)
class Corrected:
    """A mean (or a paired difference) corrected by labels.

    `estimate` is θ with SE and interval; `naive` is what the judge alone says, `people` what the labels alone say; `tuning` is λ,
    how much of the judge is used (1 in plain PPI, None in Rogan–Gladen); `unread` counts answers without a readable verdict.
    """

    method: Method
    estimate: Estimate
    naive: Estimate
    people: Estimate
    labelled: int
    unlabelled: int
    tuning: float | None
    unread: int = 0
    notes: tuple[str, ...] = ()


def powered(
    judged: Floats,
    truth: Floats,
    clusters: Ints | None = None,
    *,
    tuned: bool = True,
    level: float = 0.95,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Corrected:
    """Return θ = λ·mean(f, unlabelled) + mean(y − λ·f, labelled), with SE² = λ²·var(f)/N + var(y − λ·f)/n.

    `judged` (m,) are the verdicts f of all answers, `truth` (m,) the labels y, NaN where there is none. λ is 1, or with `tuned` the one
    with the smallest SE, cov(y, f)/((1 + n/N)·var(f)), kept in 0..1. With clusters the SE adds each cluster's part of both means.
    A verdict that is missing counts as the judge's mean: the correction holds for any f, so it costs power and not truth.
    Raises DataError without two labelled and two other answers.
    """
    judged, truth, unread = _read(judged, truth)
    known = np.isfinite(truth)
    n, rest = int(known.sum()), int((~known).sum())
    y, f, g = truth[known], judged[known], judged[~known]
    weight = _tuning(y, f, g) if tuned else 1.0
    value = float(weight * g.mean() + (y - weight * f).mean())
    pull = np.empty(len(judged))
    pull[~known] = weight * _spread(g)
    pull[known] = _spread(y - weight * f)
    found = within(_interval(value, pull, known, clusters, level), *bounds)
    notes = list(_odd(f, g))
    if n < FEW_LABELS:
        notes.append(f"only {n} labelled answers: the interval may be too narrow")
    if tuned and weight == 0.0:
        notes.append("the judge says nothing about the labels (λ = 0): this is the mean of the labels alone")
    return Corrected(
        method="ppi++" if tuned else "ppi",
        estimate=replace(found, method="ppi++" if tuned else "ppi"),
        naive=within(mean(judged, clusters, level=level), *bounds),
        people=within(mean(y, None if clusters is None else clusters[known], level=level), *bounds),
        labelled=n,
        unlabelled=rest,
        tuning=weight,
        unread=unread,
        notes=tuple(notes),
    )


def powered_difference(
    judged: tuple[Floats, Floats],
    truth: tuple[Floats, Floats],
    clusters: Ints | None = None,
    *,
    tuned: bool = True,
    level: float = 0.95,
) -> Corrected:
    """Return the corrected mean of new − base over the same prompts; each tuple is (new, base), one value a prompt.

    A prompt is labelled when both of its answers are.
    """
    return powered(
        np.asarray(judged[0], dtype=float) - np.asarray(judged[1], dtype=float),
        np.asarray(truth[0], dtype=float) - np.asarray(truth[1], dtype=float),
        clusters,
        tuned=tuned,
        level=level,
        bounds=(-1.0, 1.0),
    )


def by_error_rates(judged: Floats, truth: Floats, clusters: Ints | None = None, *, level: float = 0.95) -> Corrected:
    """Return Rogan and Gladen's rate: θ = (p + spec − 1)/(sens + spec − 1), with a delta-method interval.

    p is the share of yes among the unlabelled, sens and spec come from the labelled; verdicts and labels count as yes from ½ on. NaN
    when sens + spec − 1 is not clearly more than 0: such a judge cannot tell right from wrong, and the ratio means nothing.
    """
    judged, truth, unread = _read(judged, truth)
    known = np.isfinite(truth)
    says, right = (judged >= 0.5).astype(float), (truth >= 0.5) & known
    wrong, rest = known & ~right, ~known
    base = Corrected(
        method="rogan-gladen",
        estimate=absent("", len(judged)),
        naive=within(mean(says, clusters, level=level), 0.0, 1.0),
        people=within(
            mean(right[known].astype(float), None if clusters is None else clusters[known], level=level), 0.0, 1.0
        ),
        labelled=int(known.sum()),
        unlabelled=int(rest.sum()),
        tuning=None,
        unread=unread,
        notes=tuple(_odd(says[known], says[rest])),
    )
    if right.sum() < 2 or wrong.sum() < 2:
        return replace(base, estimate=absent("fewer than two right or two wrong labelled answers", len(judged)))
    p, sensitivity, specificity = says[rest].mean(), says[right].mean(), 1.0 - says[wrong].mean()
    youden = float(sensitivity + specificity - 1.0)
    blur = math.sqrt(sensitivity * (1 - sensitivity) / right.sum() + specificity * (1 - specificity) / wrong.sum())
    if youden <= float(stats.norm.ppf((1 + level) / 2)) * blur:
        return replace(
            base, estimate=absent(f"the judge cannot tell right from wrong (sens + spec − 1 = {youden:.2f})")
        )
    value = float((p + specificity - 1.0) / youden)
    pull = np.zeros(len(judged))
    pull[rest] = (says[rest] - p) / rest.sum()
    pull[right] = -value * (says[right] - sensitivity) / right.sum()
    pull[wrong] = (1.0 - value) * ((1.0 - says[wrong]) - specificity) / wrong.sum()
    found = within(_interval(value, pull / youden, known, clusters, level), 0.0, 1.0)
    return replace(base, estimate=replace(found, value=min(max(value, 0.0), 1.0), method="rogan-gladen"))


def _read(judged: Floats, truth: Floats) -> tuple[Floats, Floats, int]:
    judged, truth = np.asarray(judged, dtype=float), np.asarray(truth, dtype=float)
    if judged.ndim != 1 or judged.shape != truth.shape:
        raise ValueError(f"verdicts and labels must be one value an answer each, not {judged.shape} and {truth.shape}")
    known = np.isfinite(truth)
    if known.sum() < 2 or (~known).sum() < 2:
        raise DataError(
            f"{int(known.sum())} of {len(truth)} answers are labelled: at least two labelled and two other answers are needed",
            hint="rate more answers"
            if known.sum() < 2
            else "with labels everywhere, use their mean: it needs no judge",
        )
    missing = ~np.isfinite(judged)
    if missing.all():
        raise DataError("the judge gave no verdict that can be read", hint="check its judgements in the log")
    return np.where(missing, judged[~missing].mean(), judged), truth, int(missing.sum())


def _tuning(y: Floats, f: Floats, g: Floats) -> float:
    spread = float(np.concatenate([f, g]).var(ddof=1))
    if spread == 0.0:
        return 0.0
    together = float(((y - y.mean()) * (f - f.mean())).sum() / (len(y) - 1))
    return min(max(together / ((1 + len(f) / len(g)) * spread), 0.0), 1.0)


def _spread(values: Floats) -> Floats:
    # Each row's part of its mean's error; the root makes the plain sum of squares the unbiased variance of the mean.
    n = len(values)
    return np.asarray((values - values.mean()) / math.sqrt(n * (n - 1)))


def _interval(value: float, pull: Floats, known: NDArray[np.bool_], clusters: Ints | None, level: float) -> Estimate:
    """Return the interval with as many degrees of freedom as the labels have, the smaller of the two samples as a rule."""
    if clusters is not None:
        found = influenced(value, pull, clusters, level=level)
        labelled = len(np.unique(clusters[known]))
        if found.se is None or labelled < 5:
            few = f"{labelled} clusters with labels are too few for an interval (at least 5)"
            return replace(found, low=None, high=None, note=found.note or few)
        reach = float(stats.t.ppf((1 + level) / 2, labelled - 1)) * found.se
        return replace(found, low=value - reach, high=value + reach)
    se = math.sqrt(float(pull @ pull))
    reach = float(stats.t.ppf((1 + level) / 2, int(known.sum()) - 1)) * se
    return Estimate(value=value, low=value - reach, high=value + reach, se=se, n=len(pull), method="t")


def _odd(labelled: Floats, others: Floats) -> list[str]:
    """Return a warning when the judge itself sees a difference between what was labelled and what was not."""
    if np.ptp(labelled) == 0 and np.ptp(others) == 0:
        return []
    p = float(stats.ttest_ind(labelled, others, equal_var=False).pvalue)
    if not p < ODD_LABELS:
        return []
    return [
        f"the labelled answers look unlike the others to the judge (mean {labelled.mean():.2f} against {others.mean():.2f}): "
        "if they are no random sample, nothing here corrects for that"
    ]
