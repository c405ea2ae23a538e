"""What an embedder with a guard does, as the plain values of an arm of the cache bench."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routelab.core.ports import Floats
from routelab.embedding.vectors import id_of
from routelab.lab.caches.curve import Curve, Point, auc, interval
from routelab.lab.caches.pairs import Pairs
from routelab.lab.caches.sharing import effects, kinship

Bools = NDArray[np.bool_]

DRAWN, SHOWN = 40, 10
FITTED = "fitted"


@dataclass(frozen=True, kw_only=True, eq=False)
class Setting:
    """An embedder with a guard: scores, whom the guard lets through and curves, each on the tune and the confirm half.

    `raised` are the kinds of the guard's objections on the confirm half, None where it has none.
    """

    embedder: str
    guard: str
    guard_id: str
    scores: tuple[Floats, Floats]
    passed: tuple[Bools, Bools]
    curves: tuple[Curve, Curve]
    raised: tuple[str | None, ...] = ()

    @property
    def name(self) -> str:
        """What tables call it."""
        return f"{self.embedder}, {'no' if self.guard == 'none' else self.guard} guard"


def arm(setting: Setting, point: Point | None, confirm: Pairs, budget: float, *, chosen: bool) -> dict[str, Any]:
    """Return an arm's figures on the confirm half at the threshold of a point of the tune half (None: nothing can hit)."""
    passed, scores = setting.passed[1], setting.scores[1]
    same = confirm.same
    # Pairs that are too long to be compared are let through by nobody, and no guard objects to them for it.
    objected = np.array([kind is not None for kind in setting.raised], dtype=bool) if setting.raised else ~passed
    reached = setting.curves[1].at(np.inf if point is None else point.threshold)
    hit = passed & (scores >= reached.threshold)
    met = point is not None and point.false_hit_upper is not None and point.false_hit_upper <= budget
    return {
        "name": setting.name if chosen or point is None else f"{setting.name}, fixed {point.threshold:.2f}",
        "embedder": setting.embedder,
        "embedder_id": "+".join(id_of(spec) for spec in setting.embedder.split("+")),
        "guard": setting.guard,
        "guard_id": setting.guard_id,
        "threshold": None if point is None else point.threshold,
        "threshold_is": "chosen on tune" if chosen else "fixed",
        "budget_met_on_tune": met,
        **figures(reached),
        "true_hit_ci": _reach(confirm, hit),
        # What a guard objects to ranks below everything else.
        "auc": auc(np.where(passed, scores, -np.inf), same),
        "auc_let_through": auc(scores[passed], same[passed]),
        "auc_of": "score" if setting.guard == FITTED else "cosine",
        "objected": {"same": _share(objected, same), "different": _share(objected, ~same)},
        "objections": _kinds(setting.raised, same),
        "slices": _slices(confirm, hit, passed),
        "wrong": _wrong(confirm, np.where(hit & ~same, scores, -np.inf)) if chosen else [],
        "tune": figures(point or setting.curves[0].at(np.inf)),
        "points": _points(setting.curves[1]) if chosen else [],
    }


def figures(point: Point) -> dict[str, Any]:
    """Return a point as plain values, without its threshold."""
    return {
        "n": point.n,
        "positives": point.positives,
        "hits": point.hits,
        "true_hits": point.true_hits,
        "false_hits": point.false_hits,
        "true_hit_rate": point.true_hit_rate,
        "false_hit_rate": point.false_hit_rate,
        "false_hit_ci": None if point.false_hit_ci is None else list(point.false_hit_ci),
        "false_hit_upper": point.false_hit_upper,
        "design_effect": point.design_effect,
    }


def _reach(pairs: Pairs, hit: Bools) -> list[float] | None:
    """Return the interval of the true-hit rate, widened by what the texts of pairs labelled 1 share."""
    nodes, missed = pairs.nodes[pairs.same], ~hit[pairs.same]
    if not len(missed):
        return None
    effect = float(effects(nodes, missed, kinship(nodes, missed))[-1])
    found = interval(float((~missed).sum()) / effect, len(missed) / effect)
    return None if found is None else list(found)


def _share(which: Bools, among: Bools) -> float | None:
    return float(which[among].mean()) if among.any() else None


def _kinds(raised: Sequence[str | None], same: Bools) -> dict[str, dict[str, int]]:
    """Return by kind to how many pairs of either label the guard objects: to those labelled 1 it should not."""
    found: dict[str, dict[str, int]] = {}
    for kind, one in zip(raised, same if raised else (), strict=True):
        if kind is not None:
            found.setdefault(kind, {"same": 0, "different": 0})["same" if one else "different"] += 1
    return dict(sorted(found.items()))


def _wrong(pairs: Pairs, scores: Floats) -> list[dict[str, Any]]:
    """Return the false hits with the highest scores (−∞: no false hit)."""
    order = [int(i) for i in np.argsort(-scores, kind="stable")[:SHOWN] if scores[i] > -np.inf]
    return [
        {"text_a": pairs.asked[i], "text_b": pairs.known[i], "score": float(scores[i]), "slice": pairs.slices[i]}
        for i in order
    ]


def _slices(pairs: Pairs, hit: Bools, passed: Bools) -> dict[str, dict[str, Any]]:
    """Return by slice how many pairs there are, how many hits, and how many of these are false."""
    named = np.array(pairs.slices, dtype=object)
    found = {}
    for name in sorted(set(pairs.slices) - {""}):
        inside = named == name
        hits, false = int(hit[inside].sum()), int((hit & ~pairs.same)[inside].sum())
        positives = int(pairs.same[inside].sum())
        found[name] = {
            "n": int(inside.sum()),
            "positives": positives,
            "hits": hits,
            "false_hits": false,
            "true_hit_rate": (hits - false) / positives if positives else None,
            "false_hit_rate": false / hits if hits else None,
            "let_through": int(passed[inside].sum()),
        }
    return found


def _points(found: Curve) -> list[dict[str, Any]]:
    """Return some of the curve's points, evenly spread over its hits, for a picture."""
    if not len(found):
        return []
    wanted = np.linspace(0, len(found) - 1, min(DRAWN, len(found))).round().astype(int)
    drawn = [found.at(float(found.thresholds[i])) for i in np.unique(wanted)]
    return [
        {
            "threshold": p.threshold,
            "hits": p.hits,
            "true_hit_rate": p.true_hit_rate,
            "false_hit_rate": p.false_hit_rate,
            "false_hit_upper": p.false_hit_upper,
        }
        for p in drawn
    ]
