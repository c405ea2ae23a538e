"""Whether confidence can be trusted: the quality that answers of about the same confidence turned out to have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from routelab.lab.calibration import BINS
from routelab.lab.charts.arms import caption, chosen, left_out, titled
from routelab.lab.charts.chart import Chart
from routelab.lab.charts.look import INK, LEGEND, Heading, Mark, hover, label, layout, marks
from routelab.lab.compare import Comparison
from routelab.lab.evaluation import ALL, Part
from routelab.present import Table, interval, percent

ARMS, PLOT = 5, 360


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
        draw=lambda: _figure(drawn, Heading(title=title, caption=words)),
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


def _figure(parts: Sequence[Part], heading: Heading) -> dict[str, Any]:
    own = marks([p.arm for p in parts])
    diagonal = {
        "type": "scatter",
        "mode": "lines",
        "x": [0, 100],
        "y": [0, 100],
        "line": {"color": INK, "width": 1.2, "dash": "dot"},
        "hoverinfo": "skip",
        "name": "exact",
    }
    return {
        "data": [diagonal, *(_trace(p, own[p.arm]) for p in parts)],
        "layout": layout(
            heading,
            plot=PLOT,
            below=19 * ((len(parts) + 2) // 2) + 6,
            x={"title": "mean confidence of a bin", "ticksuffix": " %", "range": [-3, 103], "zeroline": False},
            y={"title": "quality", "ticksuffix": " %", "range": [-3, 103], "zeroline": False},
            showlegend=True,
        ),
    }


def _trace(part: Part, mark: Mark) -> dict[str, Any]:
    held = part.calibration
    bins = () if held is None else held.bins
    ends = [b.quality.interval or (b.quality.value, b.quality.value) for b in bins]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "x": [100 * b.confidence for b in bins],
        "y": [100 * b.quality.value for b in bins],
        "name": label(part.arm, LEGEND),
        "line": {"color": mark.colour, "width": 1.4},
        "marker": {"color": mark.colour, "symbol": mark.symbol, "size": 8},
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [100 * (high - b.quality.value) for (_, high), b in zip(ends, bins, strict=True)],
            "arrayminus": [100 * (b.quality.value - low) for (low, _), b in zip(ends, bins, strict=True)],
            "color": mark.colour,
            "thickness": 1.2,
            "width": 3,
        },
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
