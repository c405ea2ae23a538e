"""What every threshold of a cache does: hits against false hits, with the bound that a budget is held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from routelab.core.ports import Floats
from routelab.lab.charts.chart import Chart
from routelab.lab.charts.look import BAND, INK, PALETTE, Heading, axis, hover, label, layout
from routelab.present import Table, percent, usd

if TYPE_CHECKING:
    from routelab.lab.caches.curve import Curve
    from routelab.lab.caches.tallies import Tally

POINTS = 161
ROWS = 17
LEAST = 1e-3
"""Where a share of nothing stands on the logarithmic axis of false hits."""
PANEL, GAP = 170, 0.12
TRUE, EXACT, SEMANTIC = "true-hit rate", "exact hits", "semantic hits"
COLOURS: Mapping[str, str] = {TRUE: PALETTE[0], EXACT: PALETTE[2], SEMANTIC: PALETTE[0], "false": PALETTE[3]}


@dataclass(frozen=True, kw_only=True, eq=False)
class Course:
    """What each threshold does, most permissive first: arrays of one share a threshold, NaN where it is not known.

    `hits` are lines by name (the true-hit rate of pairs, hits by level of traffic); `false` is the share of hits that are false,
    `low` to `high` its two-sided 95 % interval and `upper` the one-sided bound. `saved_usd` and `saved_s` are empty for pairs.
    """

    name: str
    about: str
    budget: float
    thresholds: Floats
    hits: Mapping[str, Floats]
    false: Floats
    low: Floats
    high: Floats
    upper: Floats
    saved_usd: Floats = field(default_factory=lambda: np.zeros(0))
    saved_s: Floats = field(default_factory=lambda: np.zeros(0))
    simulated: bool = False

    def __len__(self) -> int:
        return len(self.thresholds)

    def nearest(self, threshold: float) -> int:
        """Return the place of the threshold that is nearest."""
        return int(np.abs(self.thresholds - threshold).argmin())


def course_of_curve(curve: Curve, *, name: str, about: str, budget: float, thresholds: Sequence[float] = ()) -> Course:
    """Return the course of a curve over labelled pairs, at the thresholds given or at evenly spaced ones."""
    if not len(thresholds):
        low = float(curve.scores.min()) if len(curve.scores) else 0.0
        thresholds = np.linspace(min(low, 0.99), 1.0, POINTS).tolist()
    points = [curve.at(t) for t in sorted(thresholds)]
    cis = [p.false_hit_ci or (None, None) for p in points]
    return Course(
        name=name,
        about=about,
        budget=budget,
        thresholds=np.array([p.threshold for p in points]),
        hits={TRUE: known([p.true_hit_rate for p in points])},
        false=known([p.false_hit_rate for p in points]),
        low=known([low for low, _ in cis]),
        high=known([high for _, high in cis]),
        upper=known([p.false_hit_upper for p in points]),
    )


def course_of_tallies(
    tallies: Sequence[Tally], *, name: str, about: str, budget: float, simulated: bool = False
) -> Course:
    """Return the course of tallies over traffic, one for each threshold of one setting; those without a threshold are left out."""
    held = sorted((t for t in tallies if t.threshold is not None), key=lambda t: t.threshold or 0.0)
    cis = [t.false_hit_ci or (None, None) for t in held]
    return Course(
        name=name,
        about=about,
        budget=budget,
        thresholds=np.array([t.threshold for t in held], dtype=float),
        hits={
            EXACT: known([t.exact_hits / t.n if t.n else None for t in held]),
            SEMANTIC: known([t.semantic_hits / t.n if t.n else None for t in held]),
        },
        false=known([t.false_hit_rate for t in held]),
        low=known([low for low, _ in cis]),
        high=known([high for _, high in cis]),
        upper=known([t.false_hit_upper for t in held]),
        saved_usd=known([t.saved_usd for t in held]),
        saved_s=known([t.saved_s for t in held]),
        simulated=simulated,
    )


def known(values: Sequence[float | None]) -> Floats:
    """Return the values as an array, NaN for None."""
    return np.array([np.nan if v is None else v for v in values], dtype=float)


def cache_thresholds(course: Course, *, chosen: float | None = None) -> Chart:
    """Return the chart of a course: hits above, the share of false ones below, with the budget; `chosen` marks a threshold."""
    title = f"Hits and false hits by threshold: {course.name}" + (" (simulated)" if course.simulated else "")
    words = (
        f"{course.about}; band: two-sided 95 % of the false-hit rate; dotted: the one-sided 95 % bound, which is held against the "
        f"budget of {percent(course.budget, 2)}"
    )
    return Chart(
        kind="cache thresholds",
        title=title,
        caption=words,
        table=course_table(course, chosen=chosen, title=title, words=words),
        draw=lambda: _figure(course, chosen, Heading(title=title, caption=words)),
    )


def course_table(course: Course, *, chosen: float | None = None, title: str = "", words: str = "") -> Table:
    """Return some thresholds as rows, and the chosen one, marked with an arrow."""
    kept = {int(k) for k in np.linspace(0, max(len(course) - 1, 0), min(ROWS, len(course))).round()}
    here = None if chosen is None or not len(course) else course.nearest(chosen)
    kept |= set() if here is None else {here}
    saved = len(course.saved_usd) > 0
    head = ("threshold", *course.hits, "false-hit rate", "at most", *(("saved", "waits saved") if saved else ()))
    rows = [
        (
            f"{'→ ' if k == here else ''}{course.thresholds[k]:.4f}",
            *(percent(float(line[k])) for line in course.hits.values()),
            percent(float(course.false[k]), 2),
            percent(float(course.upper[k]), 2),
            *((usd(float(course.saved_usd[k])), _span(float(course.saved_s[k]))) if saved else ()),
        )
        for k in sorted(kept)
    ]
    return Table(
        head=head, rows=rows, numbers=frozenset(range(len(head))), caption=title, notes=(words,) if words else ()
    )


def _span(value: float) -> str:
    return "?" if np.isnan(value) else f"{value:,.0f} s"


def floored(values: Floats) -> Floats:
    """Return shares as they stand on the logarithmic axis: none at LEAST."""
    return np.where(np.isnan(values), np.nan, np.maximum(values, LEAST))


def _figure(course: Course, chosen: float | None, heading: Heading) -> dict[str, Any]:
    x = [float(t) for t in course.thresholds]
    told = _told(course)
    lines = [
        _line(x, 100 * values, COLOURS[name], told, "y", name=name, width=2.2) for name, values in course.hits.items()
    ]
    false, red = floored(course.false), COLOURS["false"]
    band = _band(x, floored(course.low), floored(course.high))
    below = [
        *band,
        _line(x, 100 * floored(course.upper), red, told, "y2", name="bound of false hits", dash="dot"),
        _line(x, 100 * false, red, told, "y2", name="false-hit rate", width=2.2),
        _line(
            [x[0], x[-1]] if x else [],
            np.array([100 * course.budget] * (2 if x else 0)),
            INK,
            [],
            "y2",
            name=f"budget {percent(course.budget, 2)}",
            dash="dash",
        ),
    ]
    height = (1 - GAP) / 2
    ticks = [0.1, 1, 10, 100]
    second = {
        "domain": [0, height],
        "type": "log",
        "range": [-1.08, 2.05],
        "tickvals": ticks,
        "ticktext": ["0 %", "1 %", "10 %", "100 %"],
        "title": "false hits of all hits",
    }
    shapes = []
    if chosen is not None:
        stroke = {"color": INK, "width": 1.2, "dash": "dot"}
        shapes = [{"type": "line", "x0": chosen, "x1": chosen, "yref": "paper", "y0": 0, "y1": 1, "line": stroke}]
    drawn = layout(
        heading,
        plot=2 * PANEL,
        below=26,
        x={"title": "threshold (least cosine)", "anchor": "y2", "zeroline": False},
        y={"domain": [1 - height, 1], "ticksuffix": " %", "rangemode": "tozero", "title": "hits", "zeroline": False},
        yaxis2=axis(second),
        shapes=shapes,
    )
    return {"data": [*lines, *below], "layout": drawn}


def _line(
    x: Sequence[float], y: Floats, colour: str, told: Sequence[str], axis: str, *, name: str, **stroke: Any
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": list(x),
        "y": [None if np.isnan(v) else float(v) for v in y],
        "yaxis": axis,
        "name": label(name, 48),
        "line": {"color": colour, **stroke},
        **({"hoverinfo": "text", "hovertext": list(told)} if len(told) else {"hoverinfo": "skip"}),
    }


def _band(x: Sequence[float], low: Floats, high: Floats) -> list[dict[str, Any]]:
    at = np.flatnonzero(~np.isnan(low))
    if not len(at):
        return []
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "x": [x[k] for k in (*at, *at[::-1])],
            "y": [100 * float(v) for v in (*high[at], *low[at][::-1])],
            "yaxis": "y2",
            "line": {"width": 0},
            "fill": "toself",
            "fillcolor": BAND,
            "hoverinfo": "skip",
            "showlegend": False,
        }
    ]


def _told(course: Course) -> list[str]:
    saved = len(course.saved_usd) > 0
    return [
        hover(
            f"threshold {course.thresholds[k]:.4f}",
            *(f"{name} {percent(float(line[k]))}" for name, line in course.hits.items()),
            f"false hits {percent(float(course.false[k]), 2)}, at most {percent(float(course.upper[k]), 2)}",
            *((f"saved {usd(float(course.saved_usd[k]))}, {_span(float(course.saved_s[k]))}",) if saved else ()),
        )
        for k in range(len(course))
    ]
