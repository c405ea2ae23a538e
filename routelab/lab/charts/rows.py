"""Estimates as points with whiskers: a row a slice of the prompts, and in each row the arms side by side, always in the same order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from routelab.lab.charts.look import CLEAR, GRID, INK, LEGEND, Heading, Mark, hover, label, labels, layout, whiskers
from routelab.lab.statistics import Estimate


@dataclass(frozen=True, kw_only=True)
class Dot:
    """One estimate of a share or of a difference of shares, drawn in per cent; `sure` fills its mark, `told` are the lines on hover."""

    name: str
    row: str
    estimate: Estimate
    told: tuple[str, ...]
    sure: bool = True


@dataclass(frozen=True, kw_only=True)
class Rows:
    """What stands where: the arms with their marks, in order, the rows from top to bottom, and what is written beside each."""

    own: Mapping[str, Mark]
    rows: tuple[str, ...]
    beside: Callable[[str], str]
    x: Mapping[str, Any]
    rules: tuple[Mapping[str, Any], ...] = ()
    hollow: bool = False
    """Whether marks may be hollow, so that what is filled says something."""
    first_apart: bool = False
    """Whether the first row is of another kind than the others, such as all prompts above the tasks."""


def figure(dots: Sequence[Dot], plan: Rows, heading: Heading) -> dict[str, Any]:
    """Return the plotly figure; `x` is the axis without its colours."""
    count = max(1, len(plan.rows))
    step = 0.78 / max(1, len(plan.own))
    traces = []
    for k, (name, mark) in enumerate(plan.own.items()):
        place = {row: -i + 0.39 - step * (k + 0.5) for i, row in enumerate(plan.rows)}
        mine = [dot for dot in dots if dot.name == name and dot.row in place]
        traces.append(_trace(name, mark, mine, [place[dot.row] for dot in mine], plan.hollow))
    between = [
        {
            "type": "line",
            "xref": "paper",
            "x0": 0,
            "x1": 1,
            "y0": -i + 0.5,
            "y1": -i + 0.5,
            "line": {"color": GRID, "width": 2 if i == 1 and plan.first_apart else 1},
        }
        for i in range(1, count)
    ]
    return {
        "data": traces or [{"type": "scatter", "x": [None], "y": [None], "showlegend": False, "hoverinfo": "skip"}],
        "layout": layout(
            heading,
            plot=max(90, count * max(34, 15 * len(plan.own))),
            below=19 * ((len(plan.own) + 1) // 2) + 6,
            x={"zeroline": False, **plan.x},
            y={
                "tickvals": [-i for i in range(len(plan.rows))],
                "ticktext": [
                    f"{name}<br>{label(plan.beside(row))}"
                    for name, row in zip(labels(plan.rows, 26), plan.rows, strict=True)
                ],
                "range": [-count + 0.5, 0.5],
                "showgrid": False,
                "zeroline": False,
                "fixedrange": True,
            },
            showlegend=True,
            shapes=[*plan.rules, *between],
        ),
    }


def _trace(name: str, mark: Mark, dots: Sequence[Dot], places: Sequence[float], hollow: bool) -> dict[str, Any]:
    values = [100 * dot.estimate.value for dot in dots]
    ends = [dot.estimate.interval or (dot.estimate.value, dot.estimate.value) for dot in dots]
    fill = [mark.colour if dot.sure else CLEAR for dot in dots] if hollow else mark.colour
    return {
        "type": "scatter",
        "mode": "markers",
        "x": values,
        "y": list(places),
        "name": label(name, LEGEND),
        "marker": {
            "color": fill,
            "symbol": mark.symbol,
            "size": 9,
            "line": {"width": 1.6, "color": mark.colour} if hollow else {"width": 1, "color": INK},
        },
        "error_x": whiskers(values, [(100 * low, 100 * high) for low, high in ends], mark.colour),
        "hoverinfo": "text",
        "hovertext": [hover(name, dot.row, *dot.told) for dot in dots],
    }


def reach(dots: Sequence[Dot]) -> list[float]:
    """Return every value that the axis must hold, in per cent."""
    return [100 * v for dot in dots for v in (dot.estimate.value, *(dot.estimate.interval or ()))]
