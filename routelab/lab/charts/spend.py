"""What was spent over time, added up call by call; of a replay, what its prompts would have cost one after the other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from routelab.core.errors import DataError
from routelab.lab.charts.arms import caption, chosen, everyone, left_out, many, marks_of, sentence, titled
from routelab.lab.charts.calls import Calls
from routelab.lab.charts.chart import Chart
from routelab.lab.charts.look import LEGEND, Axis, Heading, Mark, dollars, hover, label, layout, marks, scale
from routelab.lab.compare import Comparison
from routelab.present import Table, usd

STEPS = 120
"""A line keeps at most so many points, so that a saved notebook stays small; the first and the last are always among them."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One group's running total in USD: at[i] is when (a time in UTC, or how many prompts), total[i] what was spent by then."""

    name: str
    at: tuple[datetime, ...] | tuple[int, ...]
    total: tuple[float, ...]
    unknown: int = 0

    @property
    def spent(self) -> float:
        """The last total."""
        return self.total[-1] if self.total else 0.0


def lines(calls: Calls) -> tuple[Line, ...]:
    """Return a running total for each group, in time; calls without a cost or a time are counted as unknown."""
    found = []
    for name in calls.names:
        mine = calls.of(name)
        known = sorted(
            ((c.at, c.cost_usd) for c in mine if c.at is not None and c.cost_usd is not None), key=lambda p: p[0]
        )
        totals = np.cumsum([cost for _, cost in known])
        found.append(
            Line(
                name=name,
                at=tuple(at for at, _ in known),
                total=tuple(float(t) for t in totals),
                unknown=len(mine) - len(known),
            )
        )
    return tuple(found)


def spend_of_calls(calls: Calls, *, limit: int = 12) -> Chart:
    """Return the chart of what was spent over time, one line an arm or model; the dearest `limit` are drawn.

    Raises DataError when no call has both a time and a cost.
    """
    rows = lines(calls)
    if not any(row.at for row in rows):
        raise DataError("no call has both a time and a cost", hint="costs need a price: see %routelab models")
    kept = {row.name for row in sorted(rows, key=lambda r: -r.spent)[:limit]}
    drawn = [row for row in rows if row.name in kept]
    title = titled("Spend over time", calls.simulated)
    unknown = sum(row.unknown for row in rows)
    words = sentence(
        f"{usd(sum(row.spent for row in rows))} in {many(len(calls.calls), 'call')} by {calls.by}, times in UTC",
        f"calls of unknown cost: {unknown:,}, so more was spent" if unknown else "",
        left_out(len(rows) - len(drawn), limit),
    )
    table = Table(
        head=(calls.by, "calls", "spent", "first", "last"),
        rows=[
            (
                row.name,
                f"{len(row.at) + row.unknown:,}" + (f" ({row.unknown:,} not known)" if row.unknown else ""),
                usd(row.spent) if row.at else "?",
                _moment(row.at[0]) if row.at else "?",
                _moment(row.at[-1]) if row.at else "?",
            )
            for row in rows
        ],
        numbers=frozenset({1, 2}),
        caption=title,
        notes=(words,),
    )
    x = {"type": "date", "title": "time, UTC", "zeroline": False}
    return Chart(
        kind="spend",
        title=title,
        caption=words,
        table=table,
        draw=lambda: _figure(drawn, marks([row.name for row in drawn]), x, Heading(title=title, caption=words)),
    )


def spend(comparison: Comparison, *, limit: int = 12) -> Chart:
    """Return the chart of what each arm's prompts cost, added up in the order of the prompts; the table has all arms."""
    rows = []
    for shown in everyone(comparison):
        costs = shown.arm.walked.cost_usd
        known = ~np.isnan(costs)
        rows.append(
            Line(
                name=shown.name,
                at=tuple(int(i) + 1 for i in np.flatnonzero(known)),
                total=tuple(float(t) for t in np.cumsum(costs[known])),
                unknown=int((~known).sum()),
            )
        )
    drawn, hidden = chosen(comparison, limit)
    names = {shown.name for shown in drawn}
    replayed = comparison.outcomes is not None
    title = titled("Cost added up" if replayed else "Spend, prompt by prompt", comparison.terms.simulated)
    words = caption(
        comparison, "a replay: nothing was spent" if replayed else "", left_out(hidden, limit), intervals=False
    )
    table = Table(
        head=("arm", "prompts", "would have cost" if replayed else "spent", "per 1,000 prompts"),
        rows=[
            (
                row.name,
                f"{len(row.at):,}" + (f" (+{row.unknown:,} not known)" if row.unknown else ""),
                usd(row.spent) if row.at else "?",
                usd(1000 * row.spent / len(row.at)) if row.at else "?",
            )
            for row in rows
        ],
        numbers=frozenset({1, 2, 3}),
        caption=title,
        notes=(words,),
    )
    x = {"title": "prompts", "rangemode": "tozero", "zeroline": False}
    kept = [row for row in rows if row.name in names]
    return Chart(
        kind="spend",
        title=title,
        caption=words,
        table=table,
        draw=lambda: _figure(kept, marks_of(comparison), x, Heading(title=title, caption=words)),
    )


def _figure(rows: Sequence[Line], own: Mapping[str, Mark], x: Axis, heading: Heading) -> dict[str, Any]:
    at = scale([row.spent for row in rows], dollars, log=False)
    traces = []
    for row in rows:
        kept = _thin(len(row.at))
        when = [row.at[i] for i in kept]
        mark = own[row.name]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "x": [w.isoformat(sep=" ", timespec="milliseconds") if isinstance(w, datetime) else w for w in when],
                "y": [row.total[i] for i in kept],
                "name": label(row.name, LEGEND),
                "line": {"color": mark.colour, "width": 2, "shape": "hv"},
                # A symbol on every point would be a worm; a few tell the lines apart where colours do not.
                "marker": {"symbol": mark.symbol, "size": 8, "color": mark.colour, "maxdisplayed": 8},
                "hoverinfo": "text",
                "hovertext": [
                    hover(row.name, f"{usd(row.total[i])} after {i + 1:,} calls", str(_moment(row.at[i]))) for i in kept
                ],
            }
        )
    y = {**at.axis, "title": "USD, added up", "zeroline": False}
    return {"data": traces, "layout": layout(heading, plot=300, below=19 * ((len(rows) + 1) // 2) + 6, x=x, y=y)}


def _thin(n: int) -> list[int]:
    if n <= STEPS:
        return list(range(n))
    return sorted({math.floor(i * (n - 1) / (STEPS - 1)) for i in range(STEPS)})


def _moment(at: datetime | int) -> str:
    return at.isoformat(sep=" ", timespec="seconds") if isinstance(at, datetime) else f"prompt {at:,}"
