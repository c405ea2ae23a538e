"""The router metrics of the literature, each pinned to one definition, with intervals where there is one.

Qualities lie in 0..1, costs are USD a call, one value a prompt. "Weak" and "strong" are the two models a router
chooses between; what a metric cannot say is None with a note, never a number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from routelab.core.errors import DataError
from routelab.core.plan import NOBODY
from routelab.core.ports import Floats
from routelab.lab.compare import Arm, Comparison
from routelab.lab.controls import Controls, Hull, oracle, zero_router
from routelab.lab.outcomes import Ints, Outcomes
from routelab.lab.spread import cost_ratio_bootstrap
from routelab.lab.statistics import Estimate, mean, paired_difference
from routelab.lab.walk import Walked
from routelab.present.numbers import percent, signed
from routelab.present.table import Table

Point = tuple[float, float]
"""(mean cost of a call in USD, mean quality)."""

ARENA_BETA, ARENA_MOST_USD, ARENA_LEAST_USD = 0.1, 200.0, 0.0044
UNDEFINED = "undefined"


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """A share of the gap between two models: `value` is None, and `note` says why, where the gap is not established."""

    value: float | None
    low: float | None
    high: float | None
    gap: Estimate
    method: str
    note: str = ""

    def __str__(self) -> str:
        if self.value is None:
            return f"{UNDEFINED}: {self.note}"
        ends = "" if self.low is None or self.high is None else f" [{self.low:.3f}, {self.high:.3f}]"
        return f"{self.value:.3f}{ends}"


def pgr(
    router: Floats, weak: Floats, strong: Floats, clusters: NDArray[np.intp] | None = None, *, level: float = 0.95
) -> Recovery:
    """Return the performance gap recovered, (Q_router − Q_weak)/(Q_strong − Q_weak), with Fieller's interval.

    Definition: RouteLLM (arXiv 2406.18665). Interval: Fieller 1954 on the paired differences, cluster-robust where
    clusters are given. Undefined unless the interval of the gap lies above 0.
    """
    return _recovery(router - weak, weak, strong, clusters, level=level)


def pgr_bootstrap(
    router: Floats,
    weak: Floats,
    strong: Floats,
    clusters: NDArray[np.intp] | None = None,
    *,
    seed: int,
    rounds: int = 2000,
) -> Recovery:
    """Return the same share with a BCa bootstrap interval (Efron 1987) over prompts, or over whole clusters; 95 %."""
    gap = paired_difference(strong, weak, clusters)
    refused = _no_gap(gap)
    if refused is not None:
        return Recovery(value=None, low=None, high=None, gap=gap, method="BCa bootstrap", note=refused)
    member = np.arange(len(weak)) if clusters is None else np.unique(clusters, return_inverse=True)[1].reshape(-1)
    gained, whole = (np.asarray(np.bincount(member, weights=d), dtype=float) for d in (router - weak, strong - weak))
    found = cost_ratio_bootstrap(gained, whole, seed=seed, rounds=rounds)
    assert found is not None  # the gap is more than 0
    return Recovery(value=found.value, low=found.low, high=found.high, gap=gap, method="BCa bootstrap")


def apgr(
    need: Floats, weak: Floats, strong: Floats, clusters: NDArray[np.intp] | None = None, *, level: float = 0.95
) -> Recovery:
    """Return the average PGR over all shares of strong calls, 0 to 1, when the prompts of most `need` are sent first.

    Definition: RouteLLM (arXiv 2406.18665), the area under PGR over the call share; chance gives 0.5. The area is
    exact (every threshold, ties sent together), not that of ten thresholds: it equals Σ d_i·(1 − r_i)/Σ d_i with
    d = strong − weak and r_i the mid-rank of prompt i as a share, so Fieller's interval applies, with the ranking
    held fixed.
    """
    rank = (stats.rankdata(-need, method="average") - 0.5) / len(need)
    return _recovery((strong - weak) * (1 - rank), weak, strong, clusters, level=level)


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """What thresholds on a router's score reach, from no strong call to strong calls only.

    `strong_share` rises from 0 to 1; `quality` and `cost_usd` are means at those shares, cost None when not known.
    """

    strong_share: Floats
    quality: Floats
    cost_usd: Floats | None = None

    @property
    def recovered(self) -> Floats | None:
        """PGR at each share, or None when the strong model is no better than the weak one."""
        gap = float(self.quality[-1] - self.quality[0])
        return (self.quality - self.quality[0]) / gap if gap > 0 else None


def curve(need: Floats, quality: Floats, cost_usd: Floats | None = None, *, cuts: int | None = None) -> Curve:
    """Return the curve of a router's score: `need` (n,), and quality and cost (n, 2) of the weak and strong model.

    One point for every distinct score, ties sent together. `cuts=10` keeps eleven equidistant shares, each reached
    by mixing its two neighbours.
    """
    order = np.argsort(-need, kind="stable")
    ordered = need[order]
    ends = np.append(0, np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)) + 1)
    share = ends / len(need)
    points = [_swept(values, order, ends) for values in (quality, cost_usd) if values is not None]
    if cuts is not None:
        wanted = np.linspace(0, 1, cuts + 1)
        points = [np.interp(wanted, share, values) for values in points]
        share = wanted
    return Curve(strong_share=share, quality=points[0], cost_usd=points[1] if len(points) > 1 else None)


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """Where a curve first recovers a share of the gap: in calls, and in money, which is another share.

    `cost_share` is of what strong calls only would cost.
    """

    strong_share: float
    cost_usd: float | None
    cost_share: float | None


def cpt(found: Curve, recovered: float) -> Crossing | None:
    """Return the call-performance threshold: the first crossing of PGR = `recovered`, or None when there is none.

    Definition: RouteLLM (arXiv 2406.18665), the least share of strong calls with PGR ≥ x. Inverting a noisy curve
    by interpolation over its sorted quality can pass over an earlier crossing; here the curve is walked from share
    0 up and interpolated in the step that crosses.
    """
    path = found.recovered
    if path is None or not (path >= recovered).any():
        return None
    k = int(np.argmax(path >= recovered))
    part = 1.0 if k == 0 else float((recovered - path[k - 1]) / (path[k] - path[k - 1]))

    def at(values: Floats) -> float:
        return float(values[k]) if k == 0 else float(values[k - 1] + part * (values[k] - values[k - 1]))

    cost = None if found.cost_usd is None else at(found.cost_usd)
    whole = None if found.cost_usd is None else float(found.cost_usd[-1])
    return Crossing(
        strong_share=at(found.strong_share),
        cost_usd=cost,
        cost_share=None if cost is None or not whole else cost / whole,
    )


@dataclass(frozen=True, kw_only=True)
class Aiq:
    """Average improvement in quality, under both normalisations in use; comparable only over the same cost range."""

    over_range: float
    """The integral over (c_max − c_min): the paper's."""
    over_max: float
    """The integral over c_max: the published code's."""
    low_usd: float
    high_usd: float


def aiq(points: Sequence[Point], *, low_usd: float | None = None, high_usd: float | None = None) -> Aiq | None:
    """Return the mean height of the non-decreasing concave hull of (cost, quality) points over a range of cost.

    Definition: RouterBench (arXiv 2403.12031). The range is that of the hull's own corners unless it is given, so
    a dominated point never changes the figure. Left of the cheapest corner the hull mixes with asking nobody (cost
    0, quality 0); right of the last one it stays level. None when the range has no width.
    """
    hull = _hull(points)
    if hull is None:
        return None
    corners = [(c, q) for _, c, q in hull.corners]
    low = corners[0][0] if low_usd is None else low_usd
    high = corners[-1][0] if high_usd is None else high_usd
    if not 0 <= low < high:
        return None
    if low < corners[0][0]:
        widened = _hull([(0.0, 0.0), *points])
        assert widened is not None
        corners = [(c, q) for _, c, q in widened.corners]
    costs, qualities = (np.array(x) for x in zip(*corners, strict=True))
    grid = np.unique(np.concatenate([costs[(costs > low) & (costs < high)], [low, high]]))
    area = float(np.trapezoid(np.interp(grid, costs, qualities), grid))
    return Aiq(over_range=area / (high - low), over_max=area / high, low_usd=low, high_usd=high)


def arena_score(accuracy: float, usd_per_1k: float, *, beta: float = ARENA_BETA) -> float:
    """Return RouterArena's score (1+β)·A·C/(β·A+C), with C = (log₂200 − log₂c)/(log₂200 − log₂0.0044), in 0..1.

    Source: RouterArena (arXiv 2510.00202). `usd_per_1k` is the cost of a thousand prompts; from $200 on the score
    is 0, where the published formula would turn negative. ValueError for a cost of 0 or an accuracy outside 0..1.

    >>> round(100 * arena_score(0.7597, 0.11), 1)
    75.4
    """
    if not 0 <= accuracy <= 1 or not usd_per_1k > 0:
        raise ValueError(f"an arena score needs 0 ≤ accuracy ≤ 1 and a cost above 0 (got {accuracy}, {usd_per_1k})")
    cheapness = _cheapness(usd_per_1k)
    if cheapness <= 0 or accuracy == 0:
        return 0.0
    return (1 + beta) * accuracy * cheapness / (beta * accuracy + cheapness)


def arena(
    quality: Floats, cost_usd: Floats, clusters: NDArray[np.intp] | None = None, *, beta: float = ARENA_BETA
) -> Estimate | None:
    """Return the arena score of prompts with an interval by the delta method, or None when nothing was paid.

    dS/dA = (1+β)C²/(βA+C)² and dS/dC = (1+β)βA²/(βA+C)², applied to each prompt's quality and cost together.
    """
    accuracy, per_call = float(np.mean(quality)), float(np.mean(cost_usd))
    if not per_call > 0:
        return None
    score, cheapness = arena_score(accuracy, 1000 * per_call, beta=beta), _cheapness(1000 * per_call)
    below = (beta * accuracy + cheapness) ** 2
    if cheapness <= 0 or below == 0:
        return Estimate(value=score, low=None, high=None, se=None, n=len(quality), note="dearer than the scale")
    by_quality = (1 + beta) * cheapness**2 / below
    by_cost = (1 + beta) * beta * accuracy**2 / below * -1 / (per_call * math.log(2) * _span())
    linear = score + by_quality * (quality - accuracy) + by_cost * (cost_usd - per_call)
    found = mean(linear, clusters)
    return Estimate(**{**found.__dict__, "value": score, "method": f"delta, {found.method}"})


@dataclass(frozen=True, kw_only=True)
class VersusSingle:
    """A router's points against the best single model.

    `perf_gain` is the best quality relative to the single model's, minus 1, `perf_gain_points` their difference;
    `cost_save` the part of its cost that the cheapest point of at least its quality saves, None when no point
    reaches it.
    """

    perf_gain: float | None
    perf_gain_points: float
    cost_save: float | None


def versus_single(points: Sequence[Point], single: Point) -> VersusSingle:
    """Return PerfGain and CostSave of a router's points (LLMRouterBench, arXiv 2601.07206).

    The published figure does not say whether a gain is relative; both are given.
    """
    if not points:
        raise ValueError("a router needs at least one point")
    cost, quality = single
    best = max(q for _, q in points)
    reaching = [c for c, q in points if q >= quality - 1e-12]
    return VersusSingle(
        perf_gain=best / quality - 1 if quality > 0 else None,
        perf_gain_points=best - quality,
        cost_save=1 - min(reaching) / cost if reaching and cost > 0 else None,
    )


def pareto_distance(points: Sequence[Point], frontier: Sequence[Point]) -> float | None:
    """Return the mean Euclidean distance of points to the nearest point of the frontier that none dominates.

    ParetoDist of LLMRouterBench (arXiv 2601.07206); both axes are scaled to the range of all points, which is our
    choice. None when an axis has no range.
    """
    everything = np.array([*points, *frontier], dtype=float)
    scale = np.ptp(everything, axis=0)
    if len(points) == 0 or (scale == 0).any():
        return None
    cost, quality = everything[:, 0], everything[:, 1]
    no_worse = (cost[None] <= cost[:, None]) & (quality[None] >= quality[:, None])
    beaten = no_worse & ((cost[None] < cost[:, None]) | (quality[None] > quality[:, None]))
    best = everything[~beaten.any(axis=1)]
    gaps = (np.array(points, dtype=float)[:, None] - best[None]) / scale
    return float(np.sqrt((gaps**2).sum(axis=2)).min(axis=1).mean())


def ibc_lift(method: Point, weak: Point, strong: Point) -> float | None:
    """Return how much more quality a dollar buys than by moving from weak to strong, as a relative lift.

    AutoMix (arXiv 2310.12963): (ΔP/ΔC of the method)/(ΔP/ΔC of weak → strong) − 1, both from the weak model.
    None when a step costs nothing or the strong model is no better.
    """
    step, whole = method[0] - weak[0], strong[0] - weak[0]
    if step <= 0 or whole <= 0 or strong[1] <= weak[1]:
        return None
    return ((method[1] - weak[1]) / step) / ((strong[1] - weak[1]) / whole) - 1


def optimal_selection(walked: Walked, outcomes: Outcomes) -> float | None:
    """Return the share of the prompts that some model gets right on which the cheapest best answer was chosen.

    RouterArena's Opt.Sel (arXiv 2510.00202) as its description reads; equal quality at equal cost counts as chosen.
    """
    best = oracle(outcomes)
    won = (best.quality > 0) & ~np.isnan(walked.quality) & ~np.isnan(walked.cost_usd)
    if not won.any():
        return None
    same = (walked.model == best.model) & (walked.model != NOBODY)
    as_good = (walked.quality >= best.quality) & (walked.cost_usd <= best.cost_usd)
    return float((same | as_good)[won].mean())


def dominance(
    cost_usd: Floats, quality: Floats, *, seed: int, clusters: Ints | None = None, rounds: int = 1000
) -> Floats:
    """Return for each arm (columns of n × m arrays) the share of bootstrap draws in which another arm dominates it.

    Dominated: another arm costs no more and is no worse, and is better in one of the two. Whole clusters are drawn.
    Call an arm dominated when this is at least 0.95.
    """
    n = len(quality)
    member = np.arange(n) if clusters is None else np.unique(clusters, return_inverse=True)[1].reshape(-1)
    size = int(member.max()) + 1
    sums = [np.zeros((size, quality.shape[1])) for _ in range(2)]
    for total, values in zip(sums, (cost_usd, quality), strict=True):
        np.add.at(total, member, values)
    each = np.bincount(member, minlength=size)
    rng = np.random.default_rng(seed)
    beaten = np.zeros(quality.shape[1])
    batch = max(1, 4_000_000 // size)
    for start in range(0, rounds, batch):
        drawn = rng.multinomial(size, np.full(size, 1 / size), size=min(batch, rounds - start)).astype(float)
        count = drawn @ each
        cost, good = (drawn @ total / count[:, None] for total in sums)
        no_dearer, no_worse = cost[:, None, :] <= cost[:, :, None], good[:, None, :] >= good[:, :, None]
        strictly = (cost[:, None, :] < cost[:, :, None]) | (good[:, None, :] > good[:, :, None])
        beaten += (no_dearer & no_worse & strictly).any(axis=2).sum(axis=0)
    return np.asarray(beaten / rounds)


def above_mixing(point: Point, hull: Hull) -> float | None:
    """Return a router's quality minus what random mixing of single models reaches at its cost, None below the hull."""
    cheapest = hull.corners[0][1]
    # The mean of equal costs may lie a rounding error below the corner that it is.
    reached = hull.quality_at(cheapest if math.isclose(point[0], cheapest) else point[0])
    return None if reached is None else point[1] - reached


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The router metrics of one arm; weak is the cheapest single model, strong the best one, both chosen on tune.

    `strong_share` counts answers of the strong model, `cost_share` is of what it alone would cost; None where a cost
    is not known, or where one model is both.
    """

    arm: str
    recovered: Recovery | None
    strong_share: float
    cost_share: float | None
    arena: Estimate | None
    versus: VersusSingle | None
    above_mixing: float | None
    optimal: float | None


def standings(comparison: Comparison) -> tuple[Standing, ...]:
    """Return the router metrics of a comparison's arms, on the prompts reported; DataError without recorded outcomes."""
    controls, outcomes = comparison.controls, comparison.outcomes
    if controls is None or outcomes is None:
        raise DataError(
            "router metrics need what the single models answered", hint="replay recorded outcomes: lab.replay(...)"
        )
    return tuple(_standing(arm, controls, outcomes) for arm in comparison.arms)


def standings_table(found: Sequence[Standing]) -> Table:
    """Return the router metrics of arms as a table."""
    return Table(
        head=("arm", "PGR", "strong calls", "of its cost", "Arena", "PerfGain", "CostSave", "above mixing", "Opt.Sel"),
        rows=[
            (
                s.arm,
                "–" if s.recovered is None else UNDEFINED if s.recovered.value is None else str(s.recovered),
                percent(s.strong_share),
                percent(s.cost_share),
                "?" if s.arena is None else f"{100 * s.arena.value:.1f}",
                percent(None if s.versus is None else s.versus.perf_gain),
                "–" if s.versus is None or s.versus.cost_save is None else percent(s.versus.cost_save),
                signed(s.above_mixing),
                percent(s.optimal),
            )
            for s in found
        ],
        numbers=frozenset(range(1, 9)),
        notes=("PGR from the cheapest single model (0) to the best one (1); Arena as published, β = 0.1",),
    )


def _standing(arm: Arm, controls: Controls, outcomes: Outcomes) -> Standing:
    strong, walked = controls.best_single, arm.walked
    weak = controls.cheapest
    rows = ~np.isnan(walked.quality) & ~np.isnan(strong.walked.quality)
    if weak is not None:
        rows &= ~np.isnan(weak.walked.quality)
    clusters = None if outcomes.clusters is None else outcomes.clusters[rows]
    quality, cost = walked.quality[rows], walked.cost_usd[rows]
    best, best_cost = strong.walked.quality[rows], strong.walked.cost_usd[rows]
    recovered = None
    if weak is not None and weak.config != strong.config and rows.any():
        recovered = pgr(quality, weak.walked.quality[rows], best, clusters)
    known = rows.any() and not np.isnan(cost).any() and not np.isnan(best_cost).any()
    point = (float(cost.mean()), float(quality.mean())) if known else None
    single = (float(best_cost.mean()), float(best.mean())) if known else None
    return Standing(
        arm=arm.name,
        recovered=recovered,
        strong_share=float((walked.model[rows] == outcomes.column(str(strong.config))).mean()) if rows.any() else 0.0,
        cost_share=point[0] / single[0] if point is not None and single is not None and single[0] > 0 else None,
        arena=arena(quality, cost, clusters) if known else None,
        versus=versus_single([point], single) if point is not None and single is not None else None,
        above_mixing=above_mixing(point, controls.hull) if point is not None and controls.hull is not None else None,
        optimal=optimal_selection(walked, outcomes),
    )


def _recovery(
    gained: Floats, weak: Floats, strong: Floats, clusters: NDArray[np.intp] | None, *, level: float
) -> Recovery:
    gap = paired_difference(strong, weak, clusters, level=level)
    refused = _no_gap(gap)
    if refused is not None:
        return Recovery(value=None, low=None, high=None, gap=gap, method="Fieller", note=refused)
    whole = strong - weak
    n, top, bottom = len(whole), float(gained.mean()), float(whole.mean())
    member = np.arange(n) if clusters is None else np.unique(clusters, return_inverse=True)[1].reshape(-1)
    sums = np.vstack([np.bincount(member, weights=v - v.mean()) for v in (gained, whole)])
    c = sums.shape[1]
    cov = c / (c - 1) * (sums @ sums.T) / n**2
    t2 = float(stats.t.ppf((1 + level) / 2, c - 1)) ** 2
    # (top − θ·bottom)² ≤ t²·Var(top − θ·bottom), a quadratic in θ; the gap excludes 0, so it opens upwards.
    a = bottom**2 - t2 * cov[1, 1]
    b = top * bottom - t2 * cov[0, 1]
    reach = math.sqrt(max(0.0, b**2 - a * (top**2 - t2 * cov[0, 0]))) / a
    return Recovery(value=top / bottom, low=b / a - reach, high=b / a + reach, gap=gap, method="Fieller", note=gap.note)


def _no_gap(gap: Estimate) -> str | None:
    if gap.low is None or gap.high is None:
        return f"the gap between the models has no interval ({gap.note})"
    if gap.low <= 0 <= gap.high:
        return "the interval of the gap between the models holds 0"
    return "the strong model is worse than the weak one" if gap.high < 0 else None


def _swept(values: Floats, order: NDArray[np.intp], ends: NDArray[np.intp]) -> Floats:
    weak, strong = values[:, 0], values[:, 1]
    steps = np.append(0.0, np.cumsum((strong - weak)[order]))[ends]
    swept = (weak.sum() + steps) / len(values)
    swept[-1] = strong.mean()
    return np.asarray(swept)


def _hull(points: Sequence[Point]) -> Hull | None:
    costs, qualities = (np.array(x, dtype=float) for x in zip(*points, strict=True)) if points else ((), ())
    return zero_router([str(k) for k in range(len(points))], np.asarray(costs), np.asarray(qualities))


def _span() -> float:
    return math.log2(ARENA_MOST_USD) - math.log2(ARENA_LEAST_USD)


def _cheapness(usd_per_1k: float) -> float:
    return (math.log2(ARENA_MOST_USD) - math.log2(usd_per_1k)) / _span()
