"""How a semantic vote does on examples it has not seen: the calibration, the threshold and the report of a fit.

Examples are cross-fitted: each is judged by a head that was made without it, and without the texts that say almost the
same (people who write examples repeat themselves; with near copies on both sides, CLINC150's held-out accuracy is 2 points
too good). Half of them fit the curve and choose the threshold, the other half reports. Only examples in scope choose the threshold: examples out of scope are few and of one
kind, and what comes is of another. They count as wrong when the curve is fitted, and how many are found is reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routelab.strategies.examples import Examples, Ints
from routelab.strategies.fitting import voting
from routelab.strategies.fitting.calibration import Curve, Floats, Method, brier, calibration_error, fitted
from routelab.strategies.fitting.voting import Ballot, Vectors, Vote

Flags = NDArray[np.bool_]
FOLDS = 5
ALIKE = 0.85
"""Texts of one label with a cosine above this are kept on one side."""
SURE = 0.95
"""The confidence with which no more than the allowed share is turned away."""
MANY = 3_000
"""From so many examples on one fold is held out instead of each in turn: a fifth of them is enough, and five heads take long."""


@dataclass(frozen=True, kw_only=True, eq=False)
class HeldOut:
    """Votes about examples by heads that have not seen them.

    `inside` tells which are in scope, `right` which went to their route (none out of scope does), `first` is the half
    that fits; the other one reports.
    """

    ballot: Ballot
    right: Flags
    inside: Flags
    first: Flags

    def __len__(self) -> int:
        return len(self.ballot)

    @property
    def accuracy(self) -> float | None:
        """The share of all held-out examples in scope that went to their route; None when there are none."""
        return float(self.right[self.inside].mean()) if self.inside.any() else None


@dataclass(frozen=True, kw_only=True, eq=False)
class Rehearsed:
    """The curve (None: not calibrated), the threshold on the confidence (None: none was asked for), and the report."""

    curve: Curve | None
    threshold: float | None
    report: Mapping[str, Any]


def held_out(vote: Vote, k: int, examples: Examples, embedded: Vectors, number: Ints) -> HeldOut:
    """Return the cross-fitted votes about examples (n), given their vectors (n × d) and routes (n; -1: out of scope)."""
    rows, ballots, right = [], [], []
    groups = voting.alike(embedded, number, cosine=ALIKE)
    for taught, held in _folds(examples, number, groups):
        known = np.unique(number[taught])
        # A head knows its routes by position, without gaps.
        head = voting.fit(vote, embedded[taught], np.searchsorted(known, number[taught]), len(known), k=k)
        ballot = head(embedded[held])
        rows.append(held)
        ballots.append(ballot)
        right.append(known[ballot.route] == number[held])
    if not rows:
        nothing = np.zeros(0)
        ballot = Ballot(route=nothing.astype(np.intp), share=nothing, similarity=nothing)
        return HeldOut(ballot=ballot, right=nothing > 0, inside=nothing > 0, first=nothing > 0)
    which = np.concatenate(rows)
    whole = Ballot(
        route=np.concatenate([b.route for b in ballots]),
        share=np.concatenate([b.share for b in ballots]),
        similarity=np.concatenate([b.similarity for b in ballots]),
    )
    inside = number[which] >= 0
    first = examples.folds(2, seed=1, groups=groups)[which] == 0
    if not (inside & first).any() or not (inside & ~first).any():
        first = np.arange(len(which)) % 2 == 0
    return HeldOut(ballot=whole, right=np.concatenate(right), inside=inside, first=first)


def concluded(held: HeldOut, *, calibrate: Method | None = None, reject: float | None = None) -> Rehearsed:
    """Return the curve and the threshold that the first half gives, and the report of the second."""
    if len(held) == 0:
        # Where every route has one example nothing can be held out: no chance can be told, and nothing is turned away.
        level = None if calibrate is None else Curve(method="platt", x=np.zeros(0), y=np.zeros(2))
        return Rehearsed(curve=level, threshold=None if reject is None else 0.0, report={"held_out": 0})
    raw = held.ballot.raw
    curve = None if calibrate is None else fitted(calibrate, raw[held.first], held.right[held.first])
    confidence = raw if curve is None else curve(raw)
    seen, stray = ~held.first & held.inside, ~held.first & ~held.inside
    report: dict[str, Any] = {"held_out": len(held), "n": int(seen.sum())}
    if seen.any():
        report |= _figures(held, confidence, seen, calibrated=curve is not None)
    threshold = None
    if reject is not None:
        threshold = threshold_for(confidence[held.first & held.inside], reject)
        report["false_rejections"] = float((confidence[seen] < threshold).mean()) if seen.any() else None
        report["out_of_scope"] = int(stray.sum())
        report["oos_recall"] = float((confidence[stray] < threshold).mean()) if stray.any() else None
    return Rehearsed(curve=curve, threshold=threshold, report=report)


def threshold_for(confidence: Floats, reject: float) -> float:
    """Return a threshold that turns away at most the share `reject` of what these confidences are a sample of.

    With `SURE` confidence, as Clopper and Pearson's (1934) one-sided bound has it: among n held-out examples fewer than
    reject·n are turned away, and none when n is small (below 59 for a share of 0.05).
    """
    n = len(confidence)
    if n == 0:
        return 0.0
    return float(np.sort(confidence)[_allowed(n, reject)])


def _allowed(n: int, reject: float) -> int:
    """Return the most out of n, less than n, whose upper bound is still at most `reject`."""
    from scipy.stats import beta

    counts = np.arange(min(int(reject * n) + 1, n))
    bounds = beta.ppf(SURE, counts + 1, n - counts)
    return max(int((bounds <= reject).sum()) - 1, 0)


def _folds(examples: Examples, number: Ints, groups: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Yield (examples in scope to learn from, examples to judge), neither ever empty."""
    fold = examples.folds(FOLDS, groups=groups)
    for i in range(1 if len(examples) >= MANY else FOLDS):
        # Examples out of scope teach no head, so a single one can judge all of them.
        held = fold == i if len(examples) < MANY else (fold == i) | (number < 0)
        taught = ~held & (number >= 0)
        if taught.any() and held.any():
            yield np.flatnonzero(taught), np.flatnonzero(held)


def _figures(held: HeldOut, confidence: Floats, seen: Flags, *, calibrated: bool) -> dict[str, float]:
    """Return how often the vote was right, and how well its share (before) and its confidence (after) do as chances."""
    right, share = held.right[seen], held.ballot.share[seen]
    figures = {
        "accuracy": float(right.mean()),
        "calibration_error_before": calibration_error(share, right),
        "brier_before": brier(share, right),
    }
    if calibrated:
        figures["calibration_error"] = calibration_error(confidence[seen], right)
        figures["brier"] = brier(confidence[seen], right)
    return figures
