"""Arms and controls as points of cost and quality: which of them nobody beats, and how sure that is."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from routelab.lab.charts.arms import Shown, clusters_of, everyone
from routelab.lab.charts.dominance import beaten, common
from routelab.lab.compare import Arm, Comparison
from routelab.lab.outcomes import Ints
from routelab.lab.statistics import Estimate, mean

Part = Literal["winner", "baseline", "arm", "best-single", "cheapest", "shuffle", "oracle"]

CONTROLS: frozenset[Part] = frozenset({"best-single", "cheapest", "shuffle", "oracle"})
SAYS = {
    "best-single": "control: best single model",
    "cheapest": "control: cheapest model",
    "shuffle": "control: same shares at random",
    "oracle": "control: oracle (hindsight, inflated by luck)",
}


@dataclass(frozen=True, kw_only=True)
class Point:
    """One mark: mean cost of a call in USD and quality, each with its interval; None is not known.

    `partly` says that the cost is known for some calls only. `efficient`: no other arm is at least as good and as cheap; `beaten`
    is the share of resamples in which one is, None where that cannot be told.
    """

    name: str
    part: Part
    cost: Estimate | None
    quality: Estimate | None
    partly: bool = False
    efficient: bool = False
    beaten: float | None = None

    @property
    def placed(self) -> bool:
        """Whether both coordinates are known."""
        return self.cost is not None and self.quality is not None


def points(comparison: Comparison) -> tuple[Point, ...]:
    """Return a point for every arm, efficient ones marked, and then one for every control."""
    clusters = clusters_of(comparison)
    shown = everyone(comparison)
    arms = [_point(item, clusters) for item in shown]
    efficient, shares = pareto(arms), _shares(shown, arms, clusters, comparison.terms.seed)
    marked = tuple(dataclasses.replace(p, efficient=i in efficient, beaten=shares.get(i)) for i, p in enumerate(arms))
    return (*marked, *_controls(comparison, clusters))


def _shares(shown: Sequence[Shown], arms: Sequence[Point], clusters: Ints | None, seed: int) -> dict[int, float]:
    whole = [i for i, p in enumerate(arms) if p.placed and not p.partly]
    if len(whole) < 2:
        return {}
    walks = [shown[i].arm.walked for i in whole]
    field = common([w.quality for w in walks], [w.cost_usd for w in walks], clusters)
    if len(field.quality) < 2:
        return {}
    return {i: float(share) for i, share in zip(whole, beaten(field, seed=seed), strict=True)}


def pareto(arms: Sequence[Point]) -> frozenset[int]:
    """Return which arms nobody beats: none other is at least as good and as cheap, and better in one of the two.

    An arm whose cost is not wholly known neither beats nor is counted in.
    """
    known = [
        (p.cost.value, p.quality.value, i)
        for i, p in enumerate(arms)
        if p.cost is not None and p.quality is not None and not p.partly
    ]
    return frozenset(
        i for c, q, i in known if not any(d <= c and r >= q and (d < c or r > q) for d, r, j in known if j != i)
    )


def _point(shown: Shown, clusters: Ints | None) -> Point:
    cost, partly = _cost(shown.arm, clusters)
    return Point(name=shown.name, part=shown.role, cost=cost, quality=shown.arm.figures.quality, partly=partly)


def _cost(arm: Arm, clusters: Ints | None) -> tuple[Estimate | None, bool]:
    known = ~np.isnan(arm.walked.cost_usd)
    if not known.any():
        return None, False
    estimate = mean(arm.walked.cost_usd[known], None if clusters is None else clusters[known])
    if estimate.low is not None:
        estimate = dataclasses.replace(estimate, low=max(0.0, estimate.low))
    return estimate, bool((~known & ~np.isnan(arm.walked.quality)).any())


def _controls(comparison: Comparison, clusters: Ints | None) -> tuple[Point, ...]:
    controls = comparison.controls
    if controls is None:
        return ()
    found: list[Point] = []
    named: list[tuple[Part, Arm | None]] = [
        ("best-single", controls.best_single),
        ("cheapest", controls.cheapest),
        ("oracle", controls.oracle),
    ]
    for part, arm in named:
        if arm is None or (part == "best-single" and comparison.baseline.name == "best-single"):
            continue  # the baseline is there already
        cost, partly = _cost(arm, clusters)
        name = f"{part}: {arm.config}" if isinstance(arm.config, str) else part
        found.append(Point(name=name, part=part, cost=cost, quality=arm.figures.quality, partly=partly))
    if controls.shuffle is not None:
        f = controls.shuffle.figures
        value = f.cost_usd
        cost = None if value is None else Estimate(value=value, low=None, high=None, se=None, n=f.cost_known)
        found.insert(-1, Point(name=f"shuffle of {controls.shuffle.of}", part="shuffle", cost=cost, quality=f.quality))
    return tuple(found)
