"""Fitted acceptance: how likely one answer serves both questions, learned from labelled pairs under one law.

The law: of two pairs, the one that is at least as alike in everything, with no more objections, is never the less likely. A
logistic without it learns how a file was made: where negatives were mined for their spelling, it turns away what is spelled alike.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from routelab.core.ports import Floats
from routelab.core.values import digest
from routelab.lab.caches.pairs import Pairs, folded, pieces

Bools = NDArray[np.bool_]
Ints = NDArray[np.intp]

FOLDS = 5
KNEES = (0.5, 0.7, 0.85)
"""Cosines from which another slope may set in."""
SEEN = 10
"""An objection's kind needs so many pairs to have a weight of its own; the rarer share one."""
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, kw_only=True, eq=False)
class Acceptance:
    """A logistic over likeness: `weights` (one a name, never negative) times features, plus `offset`."""

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    weights: Floats
    offset: float

    def __call__(self, pairs: Pairs, cosines: Mapping[str, Floats], objections: Sequence[str | None]) -> Floats:
        """Return for each pair how likely one answer serves both, 0 to 1."""
        found, _ = features(pairs, cosines, objections, self.kinds)
        return np.asarray(special.expit(found @ self.weights + self.offset))


def features(
    pairs: Pairs, cosines: Mapping[str, Floats], objections: Sequence[str | None], kinds: Sequence[str]
) -> tuple[Floats, tuple[str, ...]]:
    """Return n × m features that grow with likeness, and their names.

    Cosines with knees, words in common over all words, over the fewer words, neighbouring words in common, the ratio of the
    lengths, and for each kind of objection whether it was *not* raised.
    """
    columns: dict[str, Floats] = {}
    for name, cosine in cosines.items():
        columns[f"cosine {name}"] = cosine
        for knee in KNEES:
            columns[f"cosine {name} above {knee}"] = np.maximum(0.0, cosine - knee)
    shared = np.array([_overlap(a, b) for a, b in zip(pairs.asked, pairs.known, strict=True)]).reshape(-1, 4)
    columns |= dict(zip(("words", "fewer words", "neighbouring words", "length"), shared.T, strict=True))
    for kind in kinds:
        columns[f"no objection: {kind}"] = np.array([float(o != kind) for o in objections])
    rare = set(kinds)
    columns["no other objection"] = np.array([float(o is None or o in rare) for o in objections])
    return np.column_stack(list(columns.values())), tuple(columns)


def fit(
    pairs: Pairs, cosines: Mapping[str, Floats], objections: Sequence[str | None], *, ridge: float = 1.0
) -> Acceptance:
    """Return the acceptance that makes the labels likeliest, less half of `ridge` times the squared standardised weights."""
    count: dict[str, int] = {}
    for kind in objections:
        if kind is not None:
            count[kind] = count.get(kind, 0) + 1
    kinds = tuple(sorted(kind for kind, n in count.items() if n >= SEEN))
    found, names = features(pairs, cosines, objections, kinds)
    spread = found.std(axis=0)
    scale = np.where(spread > 1e-9, spread, np.inf)  # what never varies here has no say
    centre = found.mean(axis=0)
    x, sign = (found - centre) / scale, np.where(pairs.same, 1.0, -1.0)

    def loss(w: Floats) -> tuple[float, Floats]:
        margin = sign * (x @ w[1:] + w[0])
        pull = -sign * special.expit(-margin)
        value = float(np.logaddexp(0.0, -margin).sum() + 0.5 * ridge * (w[1:] @ w[1:]))
        return value, np.concatenate([[pull.sum()], pull @ x + ridge * w[1:]])

    limits = [(None, None), *[(0.0, None)] * x.shape[1]]
    best = optimize.minimize(loss, np.zeros(1 + x.shape[1]), jac=True, bounds=limits, method="L-BFGS-B")
    weights = best.x[1:] / scale
    return Acceptance(names=names, kinds=kinds, weights=weights, offset=float(best.x[0] - centre @ weights))


def rehearsed(
    pairs: Pairs, cosines: Mapping[str, Floats], objections: Sequence[str | None], *, seed: int = 0
) -> Floats:
    """Return for each pair the score of an acceptance that learned from pairs which share no text with it."""
    piece = pieces(pairs)
    fold = {name: int(digest(seed, "fold", name), 16) % FOLDS for name in set(piece.values())}
    where = np.array(
        [(fold[piece[folded(a)]], fold[piece[folded(b)]]) for a, b in zip(pairs.asked, pairs.known, strict=True)]
    ).reshape(-1, 2)
    scores = np.full(len(pairs), np.nan)
    for k in range(FOLDS):
        held = where[:, 0] == k
        if not held.any():
            continue
        taught = (where != k).all(axis=1)  # no text of these belongs to this fold
        head = fit(*_part(pairs, cosines, objections, taught))
        scores[held] = head(*_part(pairs, cosines, objections, held))
    return scores


def _part(
    pairs: Pairs, cosines: Mapping[str, Floats], objections: Sequence[str | None], which: Bools
) -> tuple[Pairs, Mapping[str, Floats], Sequence[str | None]]:
    at = np.flatnonzero(which)
    return pairs[at], {name: cosine[at] for name, cosine in cosines.items()}, [objections[int(i)] for i in at]


def _overlap(asked: str, known: str) -> tuple[float, float, float, float]:
    a, b = (_WORD.findall(text.casefold()) for text in (asked, known))
    one, two = set(a), set(b)
    common = len(one & two)
    steps, others = set(pairwise(a)), set(pairwise(b))
    return (
        common / max(1, len(one | two)),
        common / max(1, min(len(one), len(two))),
        len(steps & others) / max(1, len(steps | others)),
        min(len(asked), len(known)) / max(1, len(asked), len(known)),
    )
