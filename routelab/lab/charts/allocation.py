"""How a bandit's prompts were shared out as it learned, and what was known of each model's reward by then."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from routelab.lab.adaptation import Adaptation
from routelab.lab.adaptive import sequences
from routelab.lab.charts.arms import many, sentence, titled
from routelab.lab.charts.chart import Chart
from routelab.lab.charts.look import LEGEND, Heading, hover, label, layout, marks
from routelab.present import Table, interval, percent

POINTS = 80
"""A line keeps at most so many points; the first and the last are always among them."""


@dataclass(frozen=True, kw_only=True)
class Course:
    """One model over the prompts: at[i] prompts were played when `value[i]` held; `low` and `high` are empty where there is no band."""

    name: str
    at: tuple[int, ...]
    value: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


def chance_courses(adaptation: Adaptation) -> tuple[Course, ...]:
    """Return each model's mean chance of being asked, batch by batch."""
    starts = [first for first, _ in adaptation.terms.rounds if first < len(adaptation)]
    ends = [*starts[1:], len(adaptation)]
    kept = _thin(len(starts))
    return tuple(
        Course(
            name=name,
            at=tuple(ends[i] for i in kept),
            value=tuple(float(adaptation.chances[starts[i] : ends[i], k].mean()) for i in kept),
        )
        for k, name in enumerate(adaptation.models)
    )


def reward_courses(adaptation: Adaptation) -> tuple[Course, ...]:
    """Return each model's weighted mean reward with its sequence, from when it was first asked."""
    found = sequences(adaptation.draws)
    half = found.half_width()
    courses = []
    for k, name in enumerate(adaptation.models):
        asked = np.flatnonzero(found.asked[:, k] > 0)
        at = asked[_thin(len(asked))] if len(asked) else asked
        courses.append(
            Course(
                name=name,
                at=tuple(int(i) + 1 for i in at),
                value=tuple(found.value[at, k].tolist()),
                low=tuple((found.value - half)[at, k].tolist()),
                high=tuple((found.value + half)[at, k].tolist()),
            )
        )
    return tuple(courses)


def chances(adaptation: Adaptation) -> Chart:
    """Return the chart of the models' chances of being asked, over the prompts played."""
    rows = chance_courses(adaptation)
    title = titled("Whom the bandit asked", adaptation.terms.simulated)
    words = sentence(
        f"{many(len(adaptation), 'prompt')} in batches of {adaptation.terms.batch}",
        "the mean chance of each model in each batch",
    )
    table = Table(
        head=("model", "first chance", "last chance", "asked"),
        rows=[
            (row.name, percent(row.value[0]), percent(row.value[-1]), f"{int((adaptation.action == k).sum()):,}")
            if row.value
            else (row.name, "?", "?", "0")
            for k, row in enumerate(rows)
        ],
        numbers=frozenset({1, 2, 3}),
        caption=title,
        notes=(words,),
    )
    y = {"title": "chance of being asked", "range": [0, 1.02], "tickformat": ".0%", "zeroline": False}
    return Chart(
        kind="allocation",
        title=title,
        caption=words,
        table=table,
        draw=lambda: _figure(rows, y, Heading(title=title, caption=words), percent),
    )


def rewards(adaptation: Adaptation) -> Chart:
    """Return the chart of each model's weighted mean reward with the sequence that is valid at every look."""
    rows = reward_courses(adaptation)
    title = titled("What each model brings", adaptation.terms.simulated)
    words = sentence(
        many(len(adaptation), "prompt"), "answers weighted by one over their chance; 95 % bands, valid at every look"
    )
    table = Table(
        head=("model", "reward", "every look", "asked"),
        rows=[
            (
                row.name,
                f"{row.value[-1]:.3f}" if row.value else "?",
                interval(row.low[-1], row.high[-1]) if row.value else "[?, ?]",
                f"{int((adaptation.action == k).sum()):,}",
            )
            for k, row in enumerate(rows)
        ],
        numbers=frozenset({1, 2, 3}),
        caption=title,
        notes=(words,),
    )
    values = [v for row in rows for v in row.value]
    spread = max(0.1, 0.5 * (max(values, default=1.0) - min(values, default=0.0)))
    # A band of a model that was asked twice is wider than anything worth seeing.
    shown = [min(values, default=0.0) - spread, max(values, default=1.0) + spread]
    y = {"title": "reward", "range": shown, "zeroline": False}
    return Chart(
        kind="reward",
        title=title,
        caption=words,
        table=table,
        draw=lambda: _figure(rows, y, Heading(title=title, caption=words), lambda v: f"{v:.3f}"),
    )


def _figure(
    rows: Sequence[Course], y: dict[str, Any], heading: Heading, told: Callable[[float], str]
) -> dict[str, Any]:
    own = marks([row.name for row in rows])
    traces: list[dict[str, Any]] = []
    for row in rows:
        mark = own[row.name]
        if row.low:
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "x": [*row.at, *reversed(row.at)],
                    "y": [*row.high, *reversed(row.low)],
                    "fill": "toself",
                    "fillcolor": mark.colour,
                    "opacity": 0.12,
                    "line": {"width": 0},
                    "hoverinfo": "skip",
                    "showlegend": False,
                    "legendgroup": row.name and label(row.name, LEGEND),
                }
            )
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "x": list(row.at),
                "y": list(row.value),
                "name": label(row.name, LEGEND),
                "legendgroup": label(row.name, LEGEND),
                "line": {"color": mark.colour, "width": 2},
                "marker": {"symbol": mark.symbol, "size": 8, "color": mark.colour, "maxdisplayed": 8},
                "hoverinfo": "text",
                "hovertext": [
                    hover(row.name, f"{told(v)} after {at:,} prompts") for at, v in zip(row.at, row.value, strict=True)
                ],
            }
        )
    x = {"title": "prompts", "rangemode": "tozero", "zeroline": False}
    return {"data": traces, "layout": layout(heading, plot=300, below=19 * ((len(rows) + 1) // 2) + 6, x=x, y=y)}


def _thin(n: int) -> list[int]:
    if n <= POINTS:
        return list(range(n))
    return sorted({math.floor(i * (n - 1) / (POINTS - 1)) for i in range(POINTS)})
