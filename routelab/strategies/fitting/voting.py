"""Which route a text's vector speaks for: by its neighbours, by the routes' centres, or by a fitted linear head.

Every vote gives three numbers a text: the winning route, its share of the vote, and how similar the text is to what the
vote rests on. Similarity tells what no route was made for (a share cannot: something must win), the share tells which
of two routes a text sits between; `raw` joins them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from routelab.embedding.index import Index, index_of

Vectors = NDArray[np.float32]
Ints = NDArray[np.intp]
Floats = NDArray[np.float64]
Vote = Literal["knn", "centroid", "logistic"]

DOUBT = 0.2
"""The power of the share in `raw`. On CLINC150 anything from 0.05 to 0.3 finds 90 % of what is out of scope at 5 % false
rejections; 0 (similarity alone) and 1 find less, and the larger it is the better `raw` tells right from wrong."""
SHARPNESS = 20.0
"""The factor on cosines in the centres' vote before they become shares."""
PENALTY = 10.0
"""The head's C (inverse strength of the ridge penalty); 10 and 30 do equally well on CLINC150, 100 worse."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Ballot:
    """The votes for n texts: the winning route, its share (0 to 1) and the similarity (a cosine)."""

    route: Ints
    share: Floats
    similarity: Floats

    def __len__(self) -> int:
        return len(self.route)

    @property
    def raw(self) -> Floats:
        """Similarity × share ** DOUBT, 0 to 1: a cosine that doubt between routes makes smaller."""
        # Rounded, so that no threshold hangs on the last digits of a sum.
        joined: Floats = np.round(np.clip(self.similarity, 0.0, 1.0) * self.share**DOUBT, 6)
        return joined


@dataclass(frozen=True, kw_only=True, eq=False)
class Head:
    """A fitted vote over `routes` routes, as arrays: "vectors" and "label" (knn), "centres", "weights" and "bias"."""

    vote: Vote
    routes: int
    arrays: Mapping[str, NDArray[Any]]
    k: int = 10
    index: Index | None = None

    def __call__(self, vectors: Vectors) -> Ballot:
        """Return the ballot for n × d unit vectors; each row is decided by itself, whatever its company."""
        return _VOTES[self.vote](self, np.asarray(vectors, dtype=np.float32))


def fit(vote: Vote, vectors: Vectors, label: Ints, routes: int, *, k: int = 10, penalty: float = PENALTY) -> Head:
    """Return the head for examples (n × d) with labels 0 to routes − 1, each label present."""
    arrays: dict[str, NDArray[Any]]
    if vote == "knn":
        arrays = {"vectors": np.asarray(vectors, dtype=np.float32), "label": label.astype(np.int32)}
        return with_index(Head(vote=vote, routes=routes, arrays=arrays, k=k), "exact")
    arrays = {"centres": _centres(vectors, label, routes)}
    if vote == "logistic":
        arrays["weights"], arrays["bias"] = _linear(vectors, label, routes, penalty)
    return Head(vote=vote, routes=routes, arrays=arrays, k=k)


def with_index(head: Head, spec: Mapping[str, Any] | str) -> Head:
    """Return the head with an index over its vectors, where it has any."""
    if head.vote != "knn":
        return head
    made = index_of(spec, head.arrays["vectors"])
    return Head(vote=head.vote, routes=head.routes, arrays=head.arrays, k=head.k, index=made)


def neighbours(known: Vectors, vectors: Vectors) -> tuple[Ints, Floats]:
    """Return the position of each vector's nearest among the known ones, and the cosine."""
    near, cosines = index_of("exact", known).nearest(vectors, 1)
    return near[:, 0], cosines[:, 0]


def alike(vectors: Vectors, label: Ints, *, cosine: float) -> Ints:
    """Return a group for each example: within a label, those at least this near to the group's first member.

    Each example in turn joins the nearest first member, or becomes one.
    """
    group = np.zeros(len(label), dtype=np.intp)
    made = 0
    for name in np.unique(label):
        firsts: list[int] = []
        for i in np.flatnonzero(label == name):
            near = vectors[firsts] @ vectors[i] if firsts else np.zeros(0)
            if len(near) and near.max() >= cosine:
                group[i] = group[firsts[int(near.argmax())]]
            else:
                group[i], made = made, made + 1
                firsts.append(int(i))
    return group


def _centres(vectors: Vectors, label: Ints, routes: int) -> Vectors:
    sums = np.zeros((routes, vectors.shape[1]))
    np.add.at(sums, label, vectors.astype(np.float64))
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    unit: Vectors = (sums / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
    return unit


def _linear(vectors: Vectors, label: Ints, routes: int, penalty: float) -> tuple[Vectors, Vectors]:
    """Return weights (routes × d) and bias of a multinomial logistic regression with a ridge penalty."""
    if routes == 1:
        return np.zeros((1, vectors.shape[1]), dtype=np.float32), np.zeros(1, dtype=np.float32)
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    # On one thread the sums are the same on a machine with more cores, and no slower on a busy one.
    with threadpool_limits(limits=1):
        model = LogisticRegression(C=penalty, max_iter=1000).fit(np.asarray(vectors, dtype=np.float32), label)
    weights, bias = np.asarray(model.coef_, dtype=np.float32), np.asarray(model.intercept_, dtype=np.float32)
    if routes == 2:
        # scikit-learn keeps one row for two classes: the log odds of the second.
        weights, bias = np.concatenate([np.zeros_like(weights), weights]), np.concatenate([np.zeros_like(bias), bias])
    return weights, bias


def _knn(head: Head, vectors: Vectors) -> Ballot:
    assert head.index is not None
    near, cosines = head.index.nearest(vectors, head.k)
    weight = np.clip(cosines, 0.0, None) + 1e-9
    votes = np.zeros((len(vectors), head.routes))
    for j in range(near.shape[1]):
        np.add.at(votes, (np.arange(len(vectors)), head.arrays["label"][near[:, j]]), weight[:, j])
    route = votes.argmax(axis=1) if len(votes) else np.zeros(0, dtype=np.intp)
    share = votes[np.arange(len(votes)), route] / weight.sum(axis=1)
    return Ballot(route=route, share=share, similarity=cosines.mean(axis=1))


def _centroid(head: Head, vectors: Vectors) -> Ballot:
    cosines = _products(head.arrays["centres"], vectors)
    share = _softmax(SHARPNESS * cosines)
    route = cosines.argmax(axis=1)
    rows = np.arange(len(vectors))
    return Ballot(route=route, share=share[rows, route], similarity=cosines[rows, route])


def _logistic(head: Head, vectors: Vectors) -> Ballot:
    share = _softmax(_products(head.arrays["weights"], vectors) + head.arrays["bias"].astype(np.float64))
    cosines = _products(head.arrays["centres"], vectors)
    route = share.argmax(axis=1)
    rows = np.arange(len(vectors))
    return Ballot(route=route, share=share[rows, route], similarity=cosines[rows, route])


_VOTES: Mapping[Vote, Callable[[Head, Vectors], Ballot]] = MappingProxyType(
    {"knn": _knn, "centroid": _centroid, "logistic": _logistic}
)


def _products(matrix: Vectors, vectors: Vectors) -> Floats:
    """Return vectors · matrixᵀ (n × rows), a dot product each: in one product a row's last digits depend on the others."""
    found: Floats = np.vecdot(matrix[None], vectors[:, None]).astype(np.float64)
    return found


def _softmax(logits: Floats) -> Floats:
    if logits.size == 0:
        return logits
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Floats = powers / powers.sum(axis=1, keepdims=True)
    return shares
