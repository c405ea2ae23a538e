"""Cost against quality: every arm with its intervals, what is worth its money, and what mixing single models would do."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from routelab.lab.charts.arms import Shown, caption, chosen, clusters_of, everyone, quality_text, titled, unlike
from routelab.lab.charts.chart import Chart
from routelab.lab.charts.look import GRID, INK, Heading, Mark, Scale, dollars, hover, label, layout, marks, scale
from routelab.lab.compare import Arm, Comparison, same
from routelab.lab.controls import Hull
from routelab.lab.outcomes import Ints
from routelab.lab.statistics import Estimate, mean
from routelab.present import Table, usd

Part = Literal["winner", "baseline", "arm", "best-single", "cheapest", "shuffle", "oracle"]

CONTROLS = {"best-single": "square-open", "cheapest": "diamond-open", "shuffle": "x-open", "oracle": "star-open"}
SAYS = {
    "best-single": "control: best single model",
    "cheapest": "control: cheapest model",
    "shuffle": "control: same shares at random",
    "oracle": "control: oracle (hindsight, inflated by luck)",
}


@dataclass(frozen=True, kw_only=True)
class Point:
    """One mark: mean cost of a call in USD and quality, each with its interval; None is not known.

    `partly` says that the cost is known for some calls only. `efficient`: no other arm is at least as good and cheaper.
    """

    name: str
    part: Part
    cost: Estimate | None
    quality: Estimate | None
    partly: bool = False
    efficient: bool = False

    @property
    def placed(self) -> bool:
        """Whether both coordinates are known."""
        return self.cost is not None and self.quality is not None


def points(comparison: Comparison) -> tuple[Point, ...]:
    """Return a point for every arm, efficient ones marked, and then one for every control."""
    clusters = clusters_of(comparison)
    arms = [_point(shown, clusters) for shown in everyone(comparison)]
    efficient = pareto(arms)
    marked = tuple(dataclasses.replace(p, efficient=i in efficient) for i, p in enumerate(arms))
    return (*marked, *_controls(comparison, clusters))


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


def frontier(comparison: Comparison, *, limit: int = 8, log: bool | None = None) -> Chart:
    """Return the chart of cost per call against quality; `limit` arms get a mark of their own, the others are grey dots.

    A free arm has no place on a logarithmic axis and stands left of a break in it.
    """
    rows = points(comparison)
    names = _named(comparison, rows, limit)
    hull = None if comparison.controls is None else comparison.controls.hull
    at, window = _scale(rows, hull, log), _window(rows, names)
    title = titled("Cost and quality", comparison.terms.simulated)
    words = caption(comparison, *_said(comparison, rows, names, at, window))
    return Chart(
        kind="frontier",
        title=title,
        caption=words,
        table=_table(rows, title, words),
        draw=lambda: _figure(rows, hull, names, at, window, Heading(title=title, caption=words)),
    )


def _named(comparison: Comparison, rows: Sequence[Point], limit: int) -> tuple[str, ...]:
    """Return the arms with a mark of their own: the winner, the baseline, the nominated, and then the efficient ones."""
    first = {shown.name for shown in chosen(comparison, limit)[0]}
    distinct = {shown.name for shown in unlike(everyone(comparison))}
    nominated = set(comparison.terms.nominated or ())
    arms = [p for p in rows if p.part not in CONTROLS]

    def rank(p: Point) -> tuple[int, int]:
        place = 1 if p.name in nominated else 2 if p.efficient else 3
        return (0 if p.part != "arm" else place if p.name in distinct else 4, int(p.name not in first))

    kept = {p.name for p in sorted(arms, key=rank)[:limit]}
    return tuple(p.name for p in arms if p.name in kept)


def _said(
    comparison: Comparison, rows: Sequence[Point], names: Sequence[str], at: Scale, window: tuple[float, float]
) -> list[str]:
    arms = [p for p in rows if p.part not in CONTROLS]
    dots = [p for p in arms if p.placed and p.name not in names]
    missing = [p.name for p in arms if p.cost is None]
    unscored = [p.name for p in arms if p.cost is not None and p.quality is None]
    free = [p.name for p in arms if p.cost is not None and p.cost.value == 0]
    below = [p.name for p in dots if p.quality is not None and 100 * p.quality.value < window[0]]
    return [
        f"{len(dots)} arms are grey dots without a name" if dots else "",
        f"below the axis: {_listed(below)}" if below else "",
        f"not drawn, cost not known: {_listed(missing)}" if missing else "",
        *_twins(comparison),
        f"not drawn, not scored: {_listed(unscored)}" if unscored else "",
        f"free, so left of the break in the axis: {_listed(free)}" if free and at.log else "",
    ]


def _twins(comparison: Comparison) -> list[str]:
    """Return the clauses that name arms with the same answers, whose marks hide each other."""
    every = everyone(comparison)
    distinct = unlike(every)
    found = []
    for first in distinct:
        others = [s.arm.name for s in every if s not in distinct and same(s.arm.walked, first.arm.walked)]
        if others:
            found.append(f"same answers as {first.arm.name}: {_listed(others, 2)}")
    return found[:2]


def _scale(rows: Sequence[Point], hull: Hull | None, log: bool | None) -> Scale:
    costs = [p.cost.value for p in rows if p.cost is not None and p.quality is not None]
    corners = [] if hull is None else [cost for _, cost, _ in hull.corners]
    highs = [p.cost.high for p in rows if p.cost is not None and p.quality is not None and p.cost.high is not None]
    everything = [*costs, *corners, *highs]
    if log is None:
        positive = [c for c in (*costs, *corners) if c > 0]
        # Most fleets span two decades and more; a linear axis would press all the cheap arms into one corner.
        log = len(positive) > 1 and max(positive) / min(positive) >= 10
    return scale(everything, dollars, log=log, zero="free ($0)")


def _listed(names: Sequence[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _table(rows: Sequence[Point], title: str, words: str) -> Table:
    return Table(
        head=("arm", "cost per call", "95 %", "quality [95 %]", "n", "frontier"),
        rows=[
            (
                p.name,
                "?" if p.cost is None else usd(p.cost.value) + (f" ({p.cost.n:,} known)" if p.partly else ""),
                "" if p.cost is None or p.cost.low is None else f"{usd(p.cost.low)} to {usd(p.cost.high)}",
                quality_text(p.quality),
                "0" if p.quality is None else f"{p.quality.n:,}",
                "on it" if p.efficient else SAYS.get(p.part, ""),
            )
            for p in rows
        ],
        numbers=frozenset({1, 2, 3, 4}),
        caption=title,
        notes=(words, "frontier: no other arm is at least as good and as cheap"),
    )


def _figure(
    rows: Sequence[Point],
    hull: Hull | None,
    names: Sequence[str],
    at: Scale,
    window: tuple[float, float],
    heading: Heading,
) -> dict[str, Any]:
    arms = [p for p in rows if p.part in ("arm", "winner", "baseline") and p.placed]
    own = marks(names)
    traces: list[dict[str, Any]] = []
    if hull is not None and len(hull.corners) > 1:
        traces.append(_mixing(hull, at))
    traces += _steps([p for p in arms if p.efficient], at)
    others = [p for p in arms if p.name not in own]
    if others:
        traces.append(_dots(others, at))
    traces += [_mark(p, own[p.name], at) for p in arms if p.name in own]
    traces += [_mark(p, Mark(colour=INK, symbol=CONTROLS[p.part]), at) for p in rows if p.part in CONTROLS and p.placed]
    if not any(p.placed for p in rows):
        return _nothing(heading)
    shapes = [] if at.break_at is None else [_break(at.break_at)]
    return {
        "data": traces,
        "layout": layout(
            heading,
            plot=340,
            below=19 * ((len(traces) + 1) // 2) + 6,
            x={**at.axis, "title": "cost per call, USD" + (" (logarithmic)" if at.log else "")},
            y={"title": "quality", "range": list(window), "ticksuffix": " %"},
            shapes=shapes,
            annotations=[_flag(p, at) for p in arms if p.part == "winner"],
        ),
    }


def _window(rows: Sequence[Point], names: Sequence[str]) -> tuple[float, float]:
    """Return the quality range in per cent: all that has a name or is a control, and the grey dots unless they lie far below."""
    values = [p for p in rows if p.quality is not None and p.placed]
    ends = [v for p in values if p.name in names or p.part in CONTROLS for v in _ends(p.quality)]
    if not ends:
        return (0.0, 100.0)
    low, high = min(ends), max(ends)
    reach = max(high - low, 0.05)
    low = min([low, *(v for p in values for v in _ends(p.quality)[:1] if v >= high - 2 * reach)])
    pad = max(0.06 * (high - low), (0.05 - (high - low)) / 2)
    return (100 * max(-0.02, low - pad), 100 * min(1.03, high + pad))


def _ends(estimate: Estimate | None) -> tuple[float, ...]:
    return () if estimate is None else (estimate.value, *(estimate.interval or ()))


def _mixing(hull: Hull, at: Scale) -> dict[str, Any]:
    """Return the hull's line; on a logarithmic axis its straight pieces bend, so they are drawn in small steps."""
    costs: list[float] = []
    for (_, left, _), (_, right, _) in zip(hull.corners, hull.corners[1:], strict=False):
        start = max(left, at.floor * 1.0001) if at.log else left
        costs += [left] if left == 0 and at.log else []
        costs += [float(c) for c in (np.geomspace(start, right, 24) if at.log else (left, right))]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [at.at(c) for c in costs],
        "y": [100 * (hull.quality_at(c) or 0.0) for c in costs],
        "name": "zero router: mixing single models at random",
        "line": {"color": INK, "width": 1.4, "dash": "dash"},
        "hoverinfo": "text",
        "hovertext": [
            hover(
                "zero router: mixing single models at random",
                f"{100 * (hull.quality_at(c) or 0):.1f} % for {usd(c)} a call",
            )
            for c in costs
        ],
    }


def _steps(efficient: Sequence[Point], at: Scale) -> list[dict[str, Any]]:
    ordered = sorted((p.cost.value, p.quality.value) for p in efficient if p.cost is not None and p.quality is not None)
    if len(ordered) < 2:
        return []
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "x": [at.at(c) for c, _ in ordered],
            "y": [100 * q for _, q in ordered],
            "name": "frontier of the arms",
            "line": {"color": INK, "width": 1.6, "shape": "hv"},
            "hoverinfo": "skip",
        }
    ]


def _dots(others: Sequence[Point], at: Scale) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [at.at(p.cost.value) for p in others if p.cost is not None],
        "y": [100 * p.quality.value for p in others if p.quality is not None],
        "name": f"{len(others)} other arms",
        "marker": {"color": INK, "size": 6, "opacity": 0.55},
        "hoverinfo": "text",
        "hovertext": [_told(p) for p in others],
    }


def _mark(point: Point, mark: Mark, at: Scale) -> dict[str, Any]:
    assert point.cost is not None
    assert point.quality is not None
    control = point.part in CONTROLS
    x, y = at.at(point.cost.value), 100 * point.quality.value
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [x],
        "y": [y],
        "name": label(point.name, 44),
        "marker": {
            "color": mark.colour,
            "symbol": mark.symbol,
            "size": 14 if control else 15 if point.part == "winner" else 11,
            "line": {"width": 1.8 if control else 1, "color": mark.colour if control else INK},
        },
        "error_x": _bar(point.cost, x, at.at, mark.colour),
        "error_y": _bar(point.quality, y, lambda v: 100 * v, mark.colour),
        "hoverinfo": "text",
        "hovertext": [_told(point)],
    }


def _bar(estimate: Estimate, middle: float, place: Callable[[float], float], colour: str) -> dict[str, Any]:
    if estimate.low is None or estimate.high is None or (estimate.low == estimate.high):
        return {"visible": False}
    return {
        "type": "data",
        "symmetric": False,
        "array": [max(0.0, place(estimate.high) - middle)],
        "arrayminus": [max(0.0, middle - place(estimate.low))],
        "color": colour,
        "thickness": 1.3,
        "width": 4,
    }


def _told(p: Point) -> str:
    assert p.cost is not None
    ends = "" if p.cost.low is None else f" ({usd(p.cost.low)} to {usd(p.cost.high)})"
    return hover(
        p.name,
        SAYS.get(p.part, ""),
        f"quality {quality_text(p.quality)}",
        f"cost {usd(p.cost.value)} a call{ends}",
        f"cost known for {p.cost.n:,} calls only" if p.partly else "",
        "on the frontier" if p.efficient else "",
    )


def _flag(point: Point, at: Scale) -> dict[str, Any]:
    assert point.cost is not None
    assert point.quality is not None
    x = at.at(point.cost.value)
    return {
        # Plotly places annotations on a logarithmic axis by the exponent.
        "x": math.log10(x) if at.log else x,
        "y": 100 * point.quality.value,
        "text": "★ winner",
        "showarrow": True,
        "arrowhead": 0,
        "arrowcolor": INK,
        "ax": -34,
        "ay": -34,
        "font": {"size": 13, "color": INK},
    }


def _break(where: float) -> dict[str, Any]:
    return {
        "type": "line",
        "x0": where,
        "x1": where,
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "line": {"color": GRID, "width": 2, "dash": "dot"},
    }


def _nothing(heading: Heading) -> dict[str, Any]:
    blank = {"visible": False}
    text = {
        "text": "no arm has both a known cost and a quality: see the table",
        "showarrow": False,
        "xref": "paper",
        "yref": "paper",
        "x": 0.5,
        "y": 0.5,
    }
    return {"data": [], "layout": layout(heading, plot=110, below=0, x=blank, y=blank, annotations=[text])}
