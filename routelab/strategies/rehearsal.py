"""How a semantic vote does on examples it has not seen: the calibration, the threshold and the report of a fit.

Examples are cross-fitted: each is judged by a head that was made without it. Half of them fit the curve and choose the
threshold, the other half reports. Only examples in scope choose the threshold: examples out of scope are few and of one
kind, and what comes is of another. They count as wrong when the curve is fitted, and how many are found is reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routelab.strategies import voting
from routelab.strategies.calibration import Curve, Floats, Method, brier, calibration_error, fitted
from routelab.strategies.examples import Examples, Ints
from routelab.strategies.voting import Ballot, Vectors, Vote

FOLDS = 5
MANY = 3_000
"""From so many examples on one fold is held out instead of each in turn: a fifth of them is enough, and five heads take long."""


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """Which vote is rehearsed, how its confidence is calibrated, and which share of good prompts may be turned away."""

    vote: Vote
    k: int = 10
    calibrate: Method | None = None
    reject: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Rehearsed:
    """The curve (None: not calibrated), the threshold on the confidence (None: none was asked for), and the report."""

    curve: Curve | None
    threshold: float | None
    report: Mapping[str, Any]


def rehearse(terms: Rehearsal, examples: Examples, embedded: Vectors, number: Ints) -> Rehearsed:
    """Return what cross-fitting says about examples (n), their vectors (n × d) and routes (n; -1: out of scope)."""
    rows, ballot, right = _held_out(terms, examples, embedded, number)
    if len(rows) == 0:
        # Nothing can be held out where every route has one example; the raw confidence is all there is.
        curve = None if terms.calibrate is None else _level()
        return Rehearsed(curve=curve, threshold=None if terms.reject is None else 0.0, report={"held_out": 0})
    raw = ballot.raw
    inside = number[rows] >= 0
    first = examples.halves()[rows]
    if first.all() or not first.any() or not (inside & first).any() or not (inside & ~first).any():
        first = np.arange(len(rows)) % 2 == 0
    curve = None if terms.calibrate is None else fitted(terms.calibrate, raw[first], right[first])
    confidence = raw if curve is None else curve(raw)
    threshold = None if terms.reject is None else threshold_for(confidence[first & inside], terms.reject)
    report = {"held_out": len(rows), **_told(ballot.share, right, inside & ~first)}
    if curve is not None:
        seen = ~first & inside
        report |= {
            "calibration_error": calibration_error(confidence[seen], right[seen]),
            "brier": brier(confidence[seen], right[seen]),
        }
    if threshold is not None:
        seen, stray = confidence[~first & inside], confidence[~first & ~inside]
        report["false_rejections"] = float((seen < threshold).mean())
        report["out_of_scope"] = len(stray)
        report["oos_recall"] = float((stray < threshold).mean()) if len(stray) else None
    return Rehearsed(curve=curve, threshold=threshold, report=report)


def threshold_for(confidence: Floats, reject: float) -> float:
    """Return the highest threshold that turns away at most this share of the confidences, all of which should pass."""
    if len(confidence) == 0:
        return 0.0
    ordered = np.sort(confidence)
    return float(ordered[min(int(reject * len(ordered) + 1e-9), len(ordered) - 1)])


def _held_out(
    terms: Rehearsal, examples: Examples, embedded: Vectors, number: Ints
) -> tuple[Ints, Ballot, NDArray[np.bool_]]:
    """Return which examples were held out, the votes about them, and whether they went right (out of scope never does)."""
    rows, ballots, right = [], [], []
    for rest, held in _folds(examples, number):
        known = np.unique(number[rest][number[rest] >= 0])
        if len(known) == 0 or len(held) == 0:
            continue
        # A head knows its routes by position, without gaps.
        taught = rest[number[rest] >= 0]
        head = voting.fit(terms.vote, embedded[taught], np.searchsorted(known, number[taught]), len(known), k=terms.k)
        ballot = head(embedded[held])
        rows.append(held)
        ballots.append(ballot)
        right.append(known[ballot.route] == number[held])
    if not rows:
        nothing = np.zeros(0)
        return nothing.astype(np.intp), Ballot(route=nothing, share=nothing, similarity=nothing), nothing.astype(bool)
    whole = Ballot(
        route=np.concatenate([b.route for b in ballots]),
        share=np.concatenate([b.share for b in ballots]),
        similarity=np.concatenate([b.similarity for b in ballots]),
    )
    return np.concatenate(rows), whole, np.concatenate(right)


def _folds(examples: Examples, number: Ints) -> Iterator[tuple[Ints, Ints]]:
    fold = examples.folds(FOLDS)
    for i in range(1 if len(examples) >= MANY else FOLDS):
        # Examples out of scope teach no head, so all of them can be asked of a single one.
        held = fold == i if len(examples) < MANY else (fold == i) | (number < 0)
        yield np.flatnonzero(~held), np.flatnonzero(held)


def _level() -> Curve:
    return Curve(method="platt", x=np.zeros(0), y=np.zeros(2))


def _told(share: Floats, right: NDArray[np.bool_], seen: NDArray[np.bool_]) -> dict[str, Any]:
    """Return how often the vote was right on these, and how well its own share would do as a chance."""
    return {
        "n": int(seen.sum()),
        "accuracy": float(right[seen].mean()),
        "calibration_error_before": calibration_error(share[seen], right[seen]),
        "brier_before": brier(share[seen], right[seen]),
    }
