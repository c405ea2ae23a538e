"""Whether confidence can be trusted: the quality that answers of about the same confidence turned out to have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from routelab.lab.calibration import BINS
from routelab.lab.charts.arms import caption, chosen, left_out, marks_of, titled
from routelab.lab.charts.chart import Chart
from routelab.lab.charts.look import INK, LEGEND, Heading, Mark, axis, hover, label, layout, whiskers
from routelab.lab.compare import Comparison
from routelab.lab.evaluation import ALL, Part
from routelab.present import Table, interval, percent

ARMS, PLOT = 6, 360
TOGETHER, COLUMNS, PANEL = 2, 3, 190
"""How many arms share one diagram, how many diagrams stand side by side, and the height of each in pixels."""
GAP, DROP = 0.07, 0.17


def calibration(comparison: Comparison, *, confidence: str | None = None, bins: int = BINS, limit: int = ARMS) -> Chart:
    """Return the reliability diagram of the arms that have confidences: predicted qualities, or those of the gate named."""
    held = comparison.by(None, confidence=confidence, bins=bins)
    known = [p for p in held.parts if p.calibration is not None]
    names = {s.arm.name for s in chosen(comparison, len(held.parts))[0]}
    drawn = [p for p in known if p.arm in names][:limit]
    title = titled("Calibration", comparison.terms.simulated)
    words = caption(
        comparison,
        f"confidence: {drawn[0].confidence}" if drawn else "no arm of this comparison has confidences",
        f"{bins} bins of equal mass" if drawn else "",
        left_out(len(known) - len(drawn), limit) if len(known) > len(drawn) else "",
        costs=False,
    )
    return Chart(
        kind="calibration",
        title=title,
        caption=words,
        table=_table([p for p in held.parts if p in known] or list(held.parts), title, words),
        draw=lambda: _figure(drawn, marks_of(comparison), Heading(title=title, caption=words)),
    )


def _table(parts: Sequence[Part], title: str, words: str) -> Table:
    """Return one row a bin, and one a arm that says how far off it is in all."""
    rows: list[tuple[str, ...]] = []
    for part in parts:
        held = part.calibration
        if held is None:
            rows.append((part.arm, "no confidence", f"{part.figures.n:,}", "–", "–"))
            continue
        rows.append((part.arm, ALL, f"{held.n:,}", "–", held.said()))
        rows += [
            (
                part.arm,
                f"{b.low:.2f} to {b.high:.2f}",
                f"{b.quality.n:,}",
                percent(b.confidence),
                f"{percent(b.quality.value)} {interval(b.quality.low, b.quality.high)}",
            )
            for b in held.bins
        ]
    return Table(
        head=("arm", "confidence", "n", "mean confidence", "quality [95 %]"),
        rows=rows,
        numbers=frozenset({2, 3}),
        caption=title,
        notes=(words,),
    )


def _figure(parts: Sequence[Part], own: Mapping[str, Mark], heading: Heading) -> dict[str, Any]:
    """Return one diagram for two arms at most, and small ones side by side for more, which would hide each other."""
    if len(parts) > TOGETHER:
        return _beside(parts, own, heading)
    return {
        "data": [_diagonal(), *(_trace(p, own[p.arm]) for p in parts)],
        "layout": layout(
            heading,
            plot=PLOT,
            below=19 * ((len(parts) + 2) // 2) + 6,
            x={"title": "mean confidence of a bin", **_window(parts)},
            y={"title": "quality", **_window(parts)},
            showlegend=True,
        ),
    }


def _beside(parts: Sequence[Part], own: Mapping[str, Mark], heading: Heading) -> dict[str, Any]:
    across = min(COLUMNS, len(parts))
    down = -(-len(parts) // across)
    wide, high = (1 - GAP * (across - 1)) / across, (1 - DROP * (down - 1)) / down
    shares = _window(parts)
    traces: list[dict[str, Any]] = []
    axes: dict[str, Any] = {}
    names: list[dict[str, Any]] = []
    for i, part in enumerate(parts):
        row, column = divmod(i, across)
        number = "" if i == 0 else str(i + 1)
        left, top = column * (wide + GAP), 1 - row * (high + DROP)
        on = {"xaxis": f"x{number}", "yaxis": f"y{number}"}
        traces += [{**t, **on, "showlegend": False} for t in (_diagonal(), _trace(part, own[part.arm]))]
        # The last panel of a column has the title of its axis.
        last = i + across >= len(parts)
        x = {**shares, "domain": [left, left + wide], "anchor": f"y{number}", "nticks": 4}
        y = {**shares, "domain": [max(0.0, top - high), top], "anchor": f"x{number}", "nticks": 5}
        axes[f"xaxis{number}"] = {**x, "title": "mean confidence"} if last else x
        axes[f"yaxis{number}"] = {**y, "title": "quality"} if column == 0 else y
        names.append(
            {
                "text": label(part.arm, 30),
                "x": left + wide / 2,
                "y": top,
                "xref": "paper",
                "yref": "paper",
                "xanchor": "center",
                "yanchor": "bottom",
                "showarrow": False,
                "font": {"size": 12, "color": INK},
            }
        )
    first = axes.pop("xaxis"), axes.pop("yaxis")
    rest = {name: axis(given) for name, given in axes.items()}
    drawn = layout(heading, above=18, plot=PANEL * down, below=0, x=first[0], y=first[1], annotations=names, **rest)
    return {"data": traces, "layout": drawn}


def _window(parts: Sequence[Part]) -> dict[str, Any]:
    """Return what both axes share: from 0, or from where anything is when all of it is high, to 100 %."""
    bins = [b for p in parts if p.calibration is not None for b in p.calibration.bins]
    least = min((v for b in bins for v in (b.confidence, b.quality.value, *(b.quality.interval or ()))), default=0.0)
    low = 10 * math.floor(10 * least) if least > 0.3 else 0
    return {"ticksuffix": " %", "range": [low - 0.03 * (100 - low), 100 + 0.03 * (100 - low)], "zeroline": False}


def _diagonal() -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [0, 100],
        "y": [0, 100],
        "line": {"color": INK, "width": 1.2, "dash": "dot"},
        "hoverinfo": "skip",
        "name": "exact",
    }


def _trace(part: Part, mark: Mark) -> dict[str, Any]:
    held = part.calibration
    bins = () if held is None else held.bins
    values = [100 * b.quality.value for b in bins]
    ends = [b.quality.interval or (b.quality.value, b.quality.value) for b in bins]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "x": [100 * b.confidence for b in bins],
        "y": values,
        "name": label(part.arm, LEGEND),
        "line": {"color": mark.colour, "width": 1.4},
        "marker": {"color": mark.colour, "symbol": mark.symbol, "size": 8},
        "error_y": whiskers(values, [(100 * low, 100 * high) for low, high in ends], mark.colour, thickness=1.2),
        "hoverinfo": "text",
        "hovertext": [
            hover(
                part.arm,
                f"confidence {b.low:.2f} to {b.high:.2f}, mean {percent(b.confidence)}",
                f"quality {percent(b.quality.value)} {interval(b.quality.low, b.quality.high)}",
                f"n = {b.quality.n:,}",
            )
            for b in bins
        ],
    }
