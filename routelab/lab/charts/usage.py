"""The token monitor drawn: a bar a type of query, of its tokens in all, a call, or of what they cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from routelab.core.errors import ConfigError
from routelab.lab.charts.arms import many, sentence, titled
from routelab.lab.charts.chart import Chart
from routelab.lab.charts.look import GRID, INK, Heading, dollars, hover, label, labels, layout, scale
from routelab.lab.charts.tokens import PARTS as LOOKS
from routelab.lab.charts.tokens import amount
from routelab.lab.usage.monitor import NO_TASK, NO_TEMPLATE, PARTS, Type, Usage
from routelab.present import percent, usd

ROWS = 16
MEASURES: Mapping[str, str] = {
    "tokens": "tokens in all",
    "a call": "tokens a call",
    "cost": "USD per 1,000 calls",
}
DETAILS = 150


def usage(used: Usage, *, measure: str = "tokens", limit: int = ROWS) -> Chart:
    """Return the chart of a token monitor: stacked bars by query type, split into input, cached, output and reasoning.

    `measure`: "tokens" in all, "a call" (mean), or "cost" per 1,000 calls where the fleet's prices explain it. The `limit` largest
    are drawn, the table has all.
    """
    if measure not in MEASURES:
        raise ConfigError(f"measure: unknown '{measure}'", hint=f"one of {', '.join(MEASURES)}")
    told = [(t, values) for t in used.types if (values := _values(t, measure)) is not None]
    shown = sorted(told, key=lambda pair: (-sum(pair[1].values()), pair[0].name))[:limit]
    title = titled(f"{MEASURES[measure][:1].upper()}{MEASURES[measure][1:]} by query type", used.simulated)
    words = sentence(*_said(used, len(told), len(shown), measure))
    table = used.table(limit=max(1, len(used)))
    heading = Heading(title=title, caption=words)
    return Chart(
        kind="usage",
        title=title,
        caption=words,
        table=table,
        draw=lambda: _figure(shown, measure, heading),
    )


def _values(t: Type, measure: str) -> Mapping[str, float] | None:
    """Return the parts to draw, without overlap; None where nothing is known."""
    counted = t.calls - t.unknown
    if measure == "cost":
        priced = t.calls - t.unpriced
        return None if t.parts_usd is None or priced < 1 else {k: 1000 * v / priced for k, v in t.parts_usd.items()}
    if t.input is None or counted < 1:
        return None
    each = 1 if measure == "tokens" else counted
    return {part: (value or 0) / each for part, value in t.disjoint.items()}


def _said(used: Usage, told: int, shown: int, measure: str) -> list[str]:
    calls, unknown = sum(t.calls for t in used.types), sum(t.unknown for t in used.types)
    estimated = sum(t.estimated for t in used.types)
    why = "the fleet's prices do not explain what they cost" if measure == "cost" else "no call says what it used"
    return [
        f"n = {many(calls, 'call')} of {many(len(used.types), 'type')}",
        f"tokens not known for {many(unknown, 'call')}, so more were used" if unknown else "",
        f"counts of {many(estimated, 'call')} are estimates (~)" if estimated else "",
        f"{many(len(used.types) - told, 'type')} not drawn: {why}" if told < len(used.types) else "",
        f"{many(told - shown, 'smaller bar')} in the table only" if told > shown else "",
    ]


def _figure(rows: Sequence[tuple[Type, Mapping[str, float]]], measure: str, heading: Heading) -> dict[str, Any]:
    tick = dollars if measure == "cost" else amount
    totals = [sum(values.values()) for _, values in rows]
    axis = scale([v for v in totals if v], tick, log=False).axis
    names = labels([_kind(t) for t, _ in rows], 34)
    tasks = labels([t.task or NO_TASK for t, _ in rows], 30)
    drawn = layout(
        heading,
        above=16,
        plot=max(38 * len(rows), 90),
        below=44,
        x={**axis, "title": MEASURES[measure], "zeroline": False},
        y={
            "tickvals": [-i for i in range(len(rows))],
            "ticktext": [f"{task}<br>{name}" for task, name in zip(tasks, names, strict=True)],
            "range": [-max(1, len(rows)) + 0.45, 0.55],
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
        },
        shapes=[
            {
                "type": "line",
                "xref": "paper",
                "x0": 0,
                "x1": 1,
                "y0": -i + 0.5,
                "y1": -i + 0.5,
                "line": {"color": GRID, "width": 1},
            }
            for i in range(1, len(rows))
        ],
        barmode="stack",
        bargap=0.35,
        showlegend=True,
        annotations=_details(rows),
    )
    drawn["margin"]["r"] = DETAILS + 16
    shown = [part for part in PARTS if any(values.get(part) for _, values in rows)]
    empty = {"type": "scatter", "x": [None], "y": [None], "showlegend": False, "hoverinfo": "skip"}
    return {"data": [_bars(part, rows, _teller(measure)) for part in shown] or [empty], "layout": drawn}


def _teller(measure: str) -> Callable[[float, Type], str]:
    if measure == "cost":
        return lambda value, t: usd(value)
    return lambda value, t: f"{'~' if t.estimated else ''}{value:,.0f}"


def _bars(
    part: str, rows: Sequence[tuple[Type, Mapping[str, float]]], tell: Callable[[float, Type], str]
) -> dict[str, Any]:
    colour, says = LOOKS[part]
    return {
        "type": "bar",
        "orientation": "h",
        "x": [values.get(part, 0.0) for _, values in rows],
        "y": [-i for i in range(len(rows))],
        "name": says,
        "marker": {"color": colour, "line": {"width": 0}},
        "hoverinfo": "text",
        "hovertext": [
            hover(
                f"{t.task or NO_TASK}, {_kind(t)}",
                f"{says}: {tell(values.get(part, 0.0), t)} of {tell(sum(values.values()), t)} "
                f"({percent(values.get(part, 0.0) / (sum(values.values()) or 1.0), 0)})",
                f"{many(t.calls, 'call')}, {usd(t.thousand_usd)} per 1,000",
                f"not known for {many(t.unknown, 'call')}" if t.unknown else "",
            )
            for t, values in rows
        ],
    }


def _kind(t: Type) -> str:
    named = t.template or (NO_TEMPLATE if t.what == "answering" else t.what)
    return f"{named} · {t.model}"


def _details(rows: Sequence[tuple[Type, Mapping[str, float]]]) -> list[dict[str, Any]]:
    font = {"size": 12, "color": INK}
    place = {"xref": "paper", "x": 1, "xanchor": "left", "xshift": 8, "showarrow": False, "align": "left", "font": font}
    head = {
        **place,
        "yref": "paper",
        "y": 1,
        "yanchor": "bottom",
        "text": "calls, per 1,000",
        "font": {**font, "size": 11},
    }
    return [
        head,
        *(
            {**place, "y": -i, "text": label(f"{t.calls:,} × {usd(t.thousand_usd)}", 28)}
            for i, (t, _) in enumerate(rows)
        ),
    ]
