"""Which arm of the cache bench may be used, or why the cache stays off: one arm is nominated, and the confirm half decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from routelab.lab.caches.curve import LEVEL, hits_needed


def verdict(
    arms: Sequence[Mapping[str, Any]], chances: Sequence[float], budget: float
) -> tuple[Mapping[str, Any] | None, str]:
    """Return the arm that may be used, or None, and why in one sentence.

    `chances` say how likely each arm is to pass on new pairs (0: its bound is not within the budget on the tune half). The one
    with the most true hits to expect is nominated, and the confirm half decides on it alone.
    """
    able = [
        (chance * (arm["tune"]["true_hit_rate"] or 0.0), -i)
        for i, (arm, chance) in enumerate(zip(arms, chances, strict=True))
    ]
    best, place = max(able, default=(0.0, 0))
    if best <= 0.0:
        return None, _none(arms, budget)
    arm = arms[-place]
    at, upper = f"{arm['name']} at {arm['threshold']:.4f}", arm["false_hit_upper"]
    counted = f"{arm['false_hits']:,} of {arm['hits']:,} hits"
    if upper is not None and upper <= budget:
        return arm, (
            f"{at} promised most on the half that chose it; on the other it answers {arm['true_hit_rate']:.1%} of the pairs "
            f"labelled 1 with {counted} false, at most {upper:.2%} with {LEVEL:.0%} confidence"
        )
    seen = "nothing hits" if upper is None else f"the bound is {_percent(upper)} ({counted})"
    kept = f"{at} kept false hits under {_percent(budget)} on the half that chose it"
    return None, f"the cache stays off: {kept}, and on the other {seen}{_more(arm, budget)}"


def _none(arms: Sequence[Mapping[str, Any]], budget: float) -> str:
    """Return why the cache stays off when no threshold passed on the tune half."""
    known = [arm for arm in arms if arm["tune"]["false_hit_upper"] is not None]
    if not known:
        return "the cache stays off: no pair of the tune half can be a hit"
    arm = min(known, key=lambda a: float(a["tune"]["false_hit_upper"]))
    tune = arm["tune"]
    counted = f"{tune['false_hits']:,} of {tune['hits']:,} hits, {arm['name']}"
    said = f"the cache stays off: no threshold keeps false hits under {_percent(budget)}: "
    return said + f"the best bound is {_percent(tune['false_hit_upper'])} ({counted})" + _more(tune, budget)


def _more(figures: Mapping[str, Any], budget: float) -> str:
    """Return how many more pairs might show it, where hits are too few rather than too often false."""
    hits, false, effect = figures["hits"], figures["false_hits"], figures["design_effect"]
    if not hits or false / hits > budget / 2:
        return ""
    needed = effect * hits_needed(round(false / effect), budget)
    pairs = round(2 * figures["n"] * max(0.0, needed / hits - 1))
    return f"; too few hits to show it: about {pairs:,} more pairs like these" if pairs else ""


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
