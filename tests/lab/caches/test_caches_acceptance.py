"""The fitted acceptance: what it may learn, and what it may not."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routelab.lab.caches.acceptance import KNEES, Acceptance, features, fit, rehearsed
from routelab.lab.caches.curve import auc
from routelab.lab.caches.pairs import Pairs, folded

WORDS = ("card", "loan", "rate", "bank", "open", "close", "limit", "fee", "rent", "tax", "bill", "cash")


def world(n: int = 400, seed: int = 0) -> tuple[Pairs, np.ndarray, list[str | None]]:
    """Return pairs that one answer serves when they are alike and no number differs, their cosines and objections."""
    draw = random.Random(seed)
    asked = [" ".join(draw.sample(WORDS, 5)) + f" {i}" for i in range(n)]
    known = [" ".join(draw.sample(a.split(), 4)) for a in asked]
    cosine = np.array([draw.random() for _ in range(n)])
    raised: list[str | None] = [draw.choice([None, None, "number", "date" if i < 30 else None]) for i in range(n)]
    same = [c > 0.5 and o != "number" for c, o in zip(cosine, raised, strict=True)]
    return Pairs.of(asked, known, same), cosine, raised


def head_of(pairs: Pairs, cosine: np.ndarray, raised: list[str | None]) -> Acceptance:
    return fit(pairs, {"m": cosine}, raised)


LEARNED, PAIR = head_of(*world()), world()[0][[0]]


def test_it_learns_cosines_and_objections() -> None:
    pairs, cosine, raised = world(seed=1)
    scores = LEARNED(pairs, {"m": cosine}, raised)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert (auc(scores, pairs.same) or 0) > 0.97 > (auc(cosine, pairs.same) or 1)
    assert LEARNED.kinds == ("number",)
    weight = dict(zip(LEARNED.names, LEARNED.weights, strict=True))
    assert weight["no objection: number"] > 1


def test_no_weight_is_negative_even_where_the_labels_say_the_opposite() -> None:
    pairs, cosine, raised = world()
    turned = Pairs.of(pairs.asked, pairs.known, [not s for s in pairs.same])
    head = fit(turned, {"m": cosine}, raised)
    assert (head.weights >= 0).all()
    scores = head(turned, {"m": cosine}, raised)
    assert (auc(scores, turned.same) or 0) < 0.6


@given(st.floats(-1, 1), st.floats(-1, 1), st.sampled_from([None, "number", "date", "new"]))
@settings(deadline=None)
def test_what_is_more_alike_is_never_less_likely(one: float, two: float, kind: str | None) -> None:
    low, high = sorted((one, two))

    def score(c: float, o: str | None) -> float:
        return float(LEARNED(PAIR, {"m": np.array([c])}, [o])[0])

    assert score(low, kind) <= score(high, kind)
    assert score(low, kind) <= score(low, None)


def test_features_grow_with_likeness_and_are_symmetric() -> None:
    there = Pairs.of(["open a new card", "a"], ["open a card now", "b c"], [1, 0])
    back = Pairs.of(["open a card now", "b c"], ["open a new card", "a"], [1, 0])
    cosine = {"m": np.array([0.8, 0.1])}
    found, names = features(there, cosine, [None, "number"], ("number",))
    assert (found == features(back, cosine, [None, "number"], ("number",))[0]).all()
    row = dict(zip(names, found[0], strict=True))
    assert row["words"] == pytest.approx(3 / 5)
    assert row["fewer words"] == pytest.approx(3 / 4)
    assert row["neighbouring words"] == pytest.approx(1 / 5)
    assert row["length"] == 1.0
    assert [row[f"cosine m above {knee}"] for knee in KNEES] == pytest.approx([0.3, 0.1, 0.0])
    assert found[:, names.index("no objection: number")].tolist() == [1.0, 0.0]
    assert found[:, names.index("no other objection")].tolist() == [1.0, 1.0]


def test_a_pair_is_scored_by_a_head_that_saw_none_of_its_texts() -> None:
    """Labels that only a text's identity tells cannot be told from other texts."""
    draw = random.Random(0)
    hubs = [f"hub {i}" for i in range(60)]
    same = [bool(draw.randrange(2)) for _ in hubs]
    asked = [hub for hub in hubs for _ in range(5)]
    pairs = Pairs.of(asked, [f"leaf {i} {a}" for i, a in enumerate(asked)], [same[hubs.index(a)] for a in asked])
    # A cosine that is the hub's own secret: memorable, but says nothing about other hubs.
    secret = {hub: draw.random() for hub in hubs}
    cosine = {"m": np.array([secret[a] for a in pairs.asked])}
    scores = rehearsed(pairs, cosine, [None] * len(pairs))
    assert not np.isnan(scores).any()
    one = {folded(a): set() for a in pairs.asked}
    for a, score in zip(pairs.asked, scores, strict=True):
        one[folded(a)].add(round(float(score), 6))
    changed = Pairs.of(
        pairs.asked, pairs.known, [not s if a == hubs[0] else s for a, s in zip(pairs.asked, pairs.same, strict=True)]
    )
    again = rehearsed(changed, cosine, [None] * len(pairs))
    own = [i for i, a in enumerate(pairs.asked) if a == hubs[0]]
    assert np.allclose(scores[own], again[own])
    assert not np.allclose(scores, again)


def test_what_never_varies_has_no_say() -> None:
    pairs, cosine, _ = world(100)
    head = fit(pairs, {"m": cosine, "flat": np.full(100, 0.4)}, [None] * 100)
    weight = dict(zip(head.names, head.weights, strict=True))
    assert weight["cosine flat"] == 0.0
    assert weight["no other objection"] == 0.0
