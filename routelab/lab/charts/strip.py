"""A distribution as one row an arm: a thinned sample, the middle half, and quantiles with their intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from routelab.core.ports import Floats
from routelab.lab.charts.look import INK, Heading, Mark, Scale, hover, key, label, layout, rupture, whiskers
from routelab.lab.spread import quantile
from routelab.lab.statistics import Estimate, mean

DOTS = 70
"""How many evenly spaced order statistics stand for a sample: enough for its shape, and a saved notebook stays small."""
DETAILS = 90
"""Pixels beside the plot for the figures of each row."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Strip:
    """What is drawn of one sample; a quantile is None when n is too small for its interval.

    `left_out` counts the values that are not known; `detail` is what stands at the right end of the row.
    """

    name: str
    n: int
    left_out: int
    dots: tuple[float, ...]
    middle: Estimate | None
    low_quarter: Estimate | None
    high_quarter: Estimate | None
    p95: Estimate | None
    mean: Estimate | None
    detail: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Wording:
    """How a strip chart speaks: what its values are, and how one is written on an axis and in a sentence."""

    heading: Heading
    unit: str
    axis: str
    head: str
    tick: Callable[[float], str]
    say: Callable[[float | None], str]
    means: bool


def strip(name: str, values: Floats, *, detail: str = "", note: str = "", missing: int | None = None) -> Strip:
    """Return the strip of a sample (n,) with NaN for what is not known."""
    known = np.sort(values[~np.isnan(values)])
    return Strip(
        name=name,
        n=len(known),
        left_out=len(values) - len(known) if missing is None else missing,
        dots=_thin(known),
        middle=quantile(known, 0.5),
        low_quarter=quantile(known, 0.25),
        high_quarter=quantile(known, 0.75),
        p95=quantile(known, 0.95),
        mean=mean(known) if len(known) else None,
        detail=detail,
        note=note,
    )


def _thin(ordered: Floats) -> tuple[float, ...]:
    if len(ordered) <= DOTS:
        return tuple(float(v) for v in ordered)
    at = np.floor((np.arange(DOTS) + 0.5) / DOTS * len(ordered)).astype(int)
    # The extremes belong to the picture: they are what a tail is about.
    at[0], at[-1] = 0, len(ordered) - 1
    return tuple(float(v) for v in ordered[at])


def bounds(strips: Sequence[Strip]) -> list[float]:
    """Return every value that the axis must hold."""
    return [
        v
        for s in strips
        for v in (*s.dots, *(q for e in (s.middle, s.p95) if e is not None for q in (e.interval or ())))
    ]


def figure(strips: Sequence[Strip], own: Mapping[str, Mark], at: Scale, wording: Wording) -> dict[str, Any]:
    """Return the plotly figure: rows from top to bottom in the order given, each with its mark in `own`."""
    rows = list(strips)
    traces: list[dict[str, Any]] = []
    for place, row in enumerate(rows):
        traces += _row(row, -place, own[row.name], at, wording)
    traces += _legend(rows, wording)
    ticks = {
        "tickvals": [-i for i in range(len(rows))],
        "ticktext": [label(s.name, 30) for s in rows],
        "range": [-len(rows) + 0.45, 0.55],
        "showgrid": False,
        "zeroline": False,
        "fixedrange": True,
    }
    shapes = [] if at.break_at is None else [rupture(at.break_at)]
    drawn = layout(
        wording.heading,
        above=16,
        plot=max(46 * len(rows), 92),
        below=44,
        x={**at.axis, "title": wording.axis + (" (logarithmic)" if at.log else ""), "zeroline": False},
        y=ticks,
        shapes=shapes,
        annotations=[*_details(rows, wording)],
    )
    drawn["margin"]["r"] = DETAILS + 24
    return {"data": traces, "layout": drawn}


def _row(row: Strip, y: float, mark: Mark, at: Scale, wording: Wording) -> list[dict[str, Any]]:
    told = _told(row, wording)
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "markers",
            "x": [at.at(v) for v in row.dots],
            "y": [y - 0.27 - 0.11 * ((i * 0.618) % 1) for i in range(len(row.dots))],
            "marker": {"color": mark.colour, "size": 4, "opacity": 0.55},
            "hoverinfo": "skip",
            "showlegend": False,
        }
    ]
    if row.low_quarter is not None and row.high_quarter is not None:
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": [at.at(row.low_quarter.value), at.at(row.high_quarter.value)],
                "y": [y, y],
                "line": {"color": mark.colour, "width": 12},
                "opacity": 0.35,
                "hoverinfo": "skip",
                "showlegend": False,
            }
        )
    for estimate, symbol, size in (
        (row.middle, "line-ns-open", 16),
        (row.p95, "diamond", 9),
        (row.mean if wording.means else None, "x-thin-open", 8),
    ):
        if estimate is not None:
            bar = estimate is not row.mean
            traces.append(_estimate(estimate, y, symbol, size, mark.colour, at, told, bar=bar))
    return traces


def _estimate(
    estimate: Estimate, y: float, symbol: str, size: int, colour: str, at: Scale, told: str, *, bar: bool
) -> dict[str, Any]:
    x = at.at(estimate.value)
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "x": [x],
        "y": [y],
        "marker": {"symbol": symbol, "size": size, "color": colour, "line": {"width": 2, "color": colour}},
        "hoverinfo": "text",
        "hovertext": [told],
        "showlegend": False,
    }
    if bar and estimate.low is not None and estimate.high is not None and estimate.low < estimate.high:
        trace["error_x"] = whiskers([x], [(at.at(estimate.low), at.at(estimate.high))], colour, width=5)
    return trace


def _legend(rows: Sequence[Strip], wording: Wording) -> list[dict[str, Any]]:
    def mark(symbol: str, size: int) -> Mapping[str, Any]:
        return {"symbol": symbol, "size": size, "color": INK, "line": {"width": 2, "color": INK}}

    keys = [key(f"single {wording.unit}", mode="markers", marker={"color": INK, "size": 4})]
    if any(r.low_quarter is not None for r in rows):
        keys.append(key("middle half", mode="lines", line={"color": INK, "width": 9}, opacity=0.4))
    if any(r.middle is not None for r in rows):
        keys.append(key("p50 [95 %]", mode="markers", marker=mark("line-ns-open", 12)))
    if any(r.p95 is not None for r in rows):
        keys.append(key("p95 [95 %]", mode="markers", marker=mark("diamond", 8)))
    if wording.means:
        keys.append(key("mean", mode="markers", marker=mark("x-thin-open", 8)))
    return keys


def _details(rows: Sequence[Strip], wording: Wording) -> list[dict[str, Any]]:
    place = {"xref": "paper", "x": 1, "xanchor": "left", "xshift": 10, "showarrow": False, "align": "left"}
    head = {
        **place,
        "yref": "paper",
        "y": 1,
        "yanchor": "bottom",
        "text": label(wording.head, 24),
        "font": {"size": 11, "color": INK},
    }
    return [
        head,
        *(
            {**place, "y": -i, "text": label(r.detail, 24), "font": {"size": 12, "color": INK}}
            for i, r in enumerate(rows)
        ),
    ]


def _told(row: Strip, wording: Wording) -> str:
    def said(name: str, estimate: Estimate | None) -> str:
        if estimate is None:
            return f"{name}: n too small"
        ends = "" if estimate.low is None else f" ({wording.say(estimate.low)} to {wording.say(estimate.high)})"
        return f"{name}: {wording.say(estimate.value)}{ends}"

    return hover(
        row.name,
        said("p50", row.middle),
        said("p95", row.p95),
        said("mean", row.mean) if wording.means else "",
        f"n = {row.n:,}" + (f", {row.left_out:,} not known" if row.left_out else ""),
        row.note,
    )


def cell(estimate: Estimate | None, say: Callable[[float | None], str]) -> str:
    """Return an estimate with its interval for a table, or "n too small"."""
    if estimate is None:
        return "n too small"
    ends = "" if estimate.low is None else f" [{say(estimate.low)}, {say(estimate.high)}]"
    return f"{say(estimate.value)}{ends}"
