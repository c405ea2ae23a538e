"""The plane of cost and quality, drawn: points, their intervals, the frontier of the arms and the zero router's line."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from routelab.core.ports import Floats
from routelab.lab.charts.arms import many, quality_text
from routelab.lab.charts.look import BAND, INK, LEGEND, Heading, Mark, Scale, hover, label, layout, rupture, whiskers
from routelab.lab.charts.points import CONTROLS, SAYS, Part, Point
from routelab.lab.controls import Hull
from routelab.lab.statistics import Estimate
from routelab.present import percent, usd

SYMBOLS: Mapping[Part, str] = MappingProxyType(
    {"best-single": "square-open", "cheapest": "diamond-open", "shuffle": "x-open", "oracle": "star-open"}
)


@dataclass(frozen=True, kw_only=True)
class Plane:
    """The scale of costs and the range of quality, in per cent, that the chart shows."""

    x: Scale
    window: tuple[float, float]


@dataclass(frozen=True, kw_only=True, eq=False)
class Mixing:
    """The zero router's hull, and its 95 % band where the outcomes behind it are at hand."""

    hull: Hull
    band: Callable[[Floats], tuple[Floats, Floats]] | None = None


def figure(
    rows: Sequence[Point], mixing: Mixing | None, own: Mapping[str, Mark], plane: Plane, heading: Heading
) -> dict[str, Any]:
    """Return the plotly figure; arms in `own` have a mark of their own, the others are grey dots."""
    at = plane.x
    arms = [p for p in rows if p.part not in CONTROLS and p.placed]
    traces: list[dict[str, Any]] = []
    if mixing is not None and len(mixing.hull.corners) > 1:
        traces += _mixed(mixing, at)
    traces += _steps([p for p in arms if p.efficient], at)
    others = [p for p in arms if p.name not in own]
    if others:
        traces.append(_dots(others, at))
    traces += [_mark(p, own[p.name], at) for p in arms if p.name in own]
    traces += [_mark(p, Mark(colour=INK, symbol=SYMBOLS[p.part]), at) for p in rows if p.part in CONTROLS and p.placed]
    if not any(p.placed for p in rows):
        return _nothing(heading)
    shapes = [] if at.break_at is None else [rupture(at.break_at)]
    return {
        "data": traces,
        "layout": layout(
            heading,
            plot=340,
            below=19 * ((len(traces) + 1) // 2) + 6,
            x={**at.axis, "title": "cost per call, USD" + (" (logarithmic)" if at.log else "")},
            y={"title": "quality", "range": list(plane.window), "ticksuffix": " %"},
            shapes=shapes,
            annotations=[_flag(p, at) for p in arms if p.part == "winner"],
        ),
    }


def _mixed(mixing: Mixing, at: Scale) -> list[dict[str, Any]]:
    """Return the hull's line over its band; on a logarithmic axis its straight pieces bend, so they come in small steps."""
    costs: list[float] = []
    corners = mixing.hull.corners
    for (_, left, _), (_, right, _) in itertools.pairwise(corners):
        start = max(left, at.break_at or at.floor * 1.0001) if at.log else left
        costs += [left] if left == 0 and at.log else []
        # The band bends between corners on any axis.
        costs += [float(c) for c in (np.geomspace(start, right, 24) if at.log else np.linspace(left, right, 12))]
    x = [at.at(c) for c in costs]
    line = {
        "type": "scatter",
        "mode": "lines",
        "x": x,
        "y": [100 * (mixing.hull.quality_at(c) or 0.0) for c in costs],
        "name": "zero router (random mixing)",
        "line": {"color": INK, "width": 1.4, "dash": "dash"},
        "hoverinfo": "text",
        "hovertext": [
            hover(
                "zero router: mixing single models at random",
                f"{100 * (mixing.hull.quality_at(c) or 0):.1f} % for {usd(c)} a call",
            )
            for c in costs
        ],
    }
    if mixing.band is None:
        return [line]
    low, high = mixing.band(np.array(costs))
    band = {
        "type": "scatter",
        "mode": "lines",
        "x": [*x, *x[::-1]],
        "y": [float(100 * v) for v in (*high, *low[::-1])],
        "name": "95 % band of random mixing",
        "line": {"width": 0},
        "fill": "toself",
        "fillcolor": BAND,
        "hoverinfo": "skip",
    }
    return [band, line]


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
        "name": many(len(others), "other arm"),
        "marker": {"color": INK, "size": 6, "opacity": 0.55},
        "hoverinfo": "text",
        "hovertext": [told(p) for p in others],
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
        "name": label(point.name, LEGEND),
        "marker": {
            "color": mark.colour,
            "symbol": mark.symbol,
            "size": 14 if control else 15 if point.part == "winner" else 11,
            "line": {"width": 1.8 if control else 1, "color": mark.colour if control else INK},
        },
        "error_x": _bar(point.cost, x, at.at, mark.colour),
        "error_y": _bar(point.quality, y, lambda v: 100 * v, mark.colour),
        "hoverinfo": "text",
        "hovertext": [told(point)],
    }


def _bar(estimate: Estimate, middle: float, place: Callable[[float], float], colour: str) -> dict[str, Any]:
    if estimate.low is None or estimate.high is None or (estimate.low == estimate.high):
        return {"visible": False}
    return whiskers([middle], [(place(estimate.low), place(estimate.high))], colour, thickness=1.3, width=4)


def told(p: Point) -> str:
    """Return a point's hover text."""
    assert p.cost is not None
    ends = "" if p.cost.low is None else f" ({usd(p.cost.low)} to {usd(p.cost.high)})"
    return hover(
        p.name,
        SAYS.get(p.part, ""),
        f"quality {quality_text(p.quality)}",
        f"cost {usd(p.cost.value)} a call{ends}",
        f"cost known for {p.cost.n:,} calls only" if p.partly else "",
        "on the frontier" if p.efficient else "",
        f"beaten by another arm in {percent(p.beaten, 0)} of resamples"
        if p.beaten is not None and not p.efficient
        else "",
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


def _nothing(heading: Heading) -> dict[str, Any]:
    blank = {"visible": False}
    text = {
        "text": "no arm has both a known cost and a quality; chart('quality') shows the quality alone",
        "showarrow": False,
        "xref": "paper",
        "yref": "paper",
        "x": 0.5,
        "y": 0.5,
    }
    return {"data": [], "layout": layout(heading, plot=110, below=0, x=blank, y=blank, annotations=[text])}
