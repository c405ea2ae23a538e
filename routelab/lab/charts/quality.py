"""Quality by task, the arms side by side, each rate with its own interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from routelab.lab.charts.arms import (
    caption,
    chosen,
    clusters_of,
    everyone,
    left_out,
    many,
    prompts_of,
    quality_text,
    titled,
)
from routelab.lab.charts.chart import Chart
from routelab.lab.charts.look import GRID, INK, LEGEND, Heading, Mark, hover, label, layout, marks
from routelab.lab.compare import Comparison
from routelab.lab.outcomes import Bools
from routelab.lab.statistics import Estimate, quality_mean
from routelab.present import Table

ALL = "all prompts"
TASKS = 12
ARMS = BESIDE = 5
"""With more arms neither the marks of a task nor the columns of the table stand side by side any more."""


@dataclass(frozen=True, kw_only=True)
class Rate:
    """An arm's quality on a task; the estimate is None where nothing was scored."""

    task: str
    name: str
    quality: Estimate | None


def rates(comparison: Comparison) -> tuple[Rate, ...]:
    """Return every arm's quality on all prompts and on each task, tasks with most prompts first.

    Rates of right and wrong have Wilson's interval; other scores, and prompts in clusters, a t interval.
    """
    shown, clusters = everyone(comparison), clusters_of(comparison)
    found: list[Rate] = []
    for task, rows in _groups(comparison):
        for item in shown:
            quality = item.arm.walked.quality
            scored = rows & ~np.isnan(quality)
            groups = None if clusters is None else clusters[scored]
            estimate = quality_mean(quality[scored], groups) if scored.any() else None
            found.append(Rate(task=task, name=item.name, quality=estimate))
    return tuple(found)


def _groups(comparison: Comparison) -> list[tuple[str, Bools]]:
    n = len(comparison.baseline.walked)
    tasks = np.array([p.task or "no task" for p in prompts_of(comparison)], dtype=object)
    everything = [(ALL, np.ones(n, dtype=np.bool_))]
    names, counts = np.unique(tasks, return_counts=True) if len(tasks) == n else (np.array([]), np.array([]))
    if len(names) < 2:
        return everything
    order = sorted(range(len(names)), key=lambda k: (-int(counts[k]), str(names[k])))
    return everything + [(str(names[k]), tasks == names[k]) for k in order]


def quality(comparison: Comparison, *, limit: int = ARMS, tasks: int = TASKS) -> Chart:
    """Return the chart of quality by task; `limit` arms are in it, and `tasks` tasks are drawn; the table has every task."""
    rows = rates(comparison)
    drawn, hidden = chosen(comparison, limit)
    every = tuple(dict.fromkeys(r.task for r in rows))
    kept = every[: tasks + 1]
    title = titled("Quality by task" if len(every) > 1 else "Quality", comparison.terms.simulated)
    words = caption(
        comparison,
        left_out(hidden, limit),
        f"{many(len(every) - len(kept), 'smaller task')} in the table only" if len(every) > len(kept) else "",
        costs=False,
    )
    return Chart(
        kind="quality",
        title=title,
        caption=words,
        table=_table(rows, [s.name for s in drawn], title, words),
        draw=lambda: _figure(rows, [s.name for s in drawn], kept, Heading(title=title, caption=words)),
    )


def _table(rows: Sequence[Rate], names: Sequence[str], title: str, words: str) -> Table:
    """Return one row a task and one column an arm when they fit side by side, else one row for each pair."""
    by = {(r.task, r.name): r.quality for r in rows}
    tasks = tuple(dict.fromkeys(r.task for r in rows))
    if len(names) <= BESIDE:
        return Table(
            head=("task", "n", *names),
            rows=[(t, f"{_size(rows, t):,}", *(quality_text(by[t, name]) for name in names)) for t in tasks],
            numbers=frozenset(range(1, len(names) + 2)),
            caption=title,
            notes=(words,),
        )
    return Table(
        head=("task", "arm", "n", "quality [95 %]"),
        rows=[(t, name, f"{e.n:,}" if (e := by[t, name]) else "0", quality_text(e)) for t in tasks for name in names],
        numbers=frozenset({2, 3}),
        caption=title,
        notes=(words,),
    )


def _size(rows: Sequence[Rate], task: str) -> int:
    return max((r.quality.n for r in rows if r.task == task and r.quality is not None), default=0)


def _figure(rows: Sequence[Rate], names: Sequence[str], tasks: Sequence[str], heading: Heading) -> dict[str, Any]:
    own = marks(names)
    step = 0.78 / max(1, len(names))
    traces = []
    for k, name in enumerate(names):
        mine = {r.task: r.quality for r in rows if r.name == name}
        offset = 0.39 - step * (k + 0.5)
        seen = [(-i + offset, task, e) for i, task in enumerate(tasks) if (e := mine.get(task)) is not None]
        traces.append(_trace(name, own[name], seen))
    ends = [
        v
        for r in rows
        if r.quality is not None and r.name in own and r.task in tasks
        for v in (r.quality.value, *(r.quality.interval or ()))
    ]
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    pad = max(0.03, 0.05 * (high - low))
    rules = [
        {
            "type": "line",
            "xref": "paper",
            "x0": 0,
            "x1": 1,
            "y0": -i + 0.5,
            "y1": -i + 0.5,
            "line": {"color": GRID, "width": 2 if i == 1 else 1},
        }
        for i in range(1, len(tasks))
    ]
    return {
        "data": traces,
        "layout": layout(
            heading,
            plot=max(90, len(tasks) * max(34, 15 * len(names))),
            below=19 * ((len(names) + 1) // 2) + 6,
            x={
                "title": "quality",
                "ticksuffix": " %",
                "range": [100 * max(-0.02, low - pad), 100 * min(1.02, high + pad)],
                "zeroline": False,
            },
            y={
                "tickvals": [-i for i in range(len(tasks))],
                "ticktext": [f"{label(t, 26)}<br>n = {_size(rows, t):,}" for t in tasks],
                "range": [-len(tasks) + 0.5, 0.5],
                "showgrid": False,
                "zeroline": False,
                "fixedrange": True,
            },
            shapes=rules,
        ),
    }


def _trace(name: str, mark: Mark, seen: Sequence[tuple[float, str, Estimate]]) -> dict[str, Any]:
    ends = [e.interval or (e.value, e.value) for _, _, e in seen]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [100 * e.value for _, _, e in seen],
        "y": [y for y, _, _ in seen],
        "name": label(name, LEGEND),
        "marker": {"color": mark.colour, "symbol": mark.symbol, "size": 9, "line": {"width": 1, "color": INK}},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [100 * (high - e.value) for (_, high), (_, _, e) in zip(ends, seen, strict=True)],
            "arrayminus": [100 * (e.value - low) for (low, _), (_, _, e) in zip(ends, seen, strict=True)],
            "color": mark.colour,
            "thickness": 1.4,
            "width": 3,
        },
        "hoverinfo": "text",
        "hovertext": [
            hover(name, task, f"quality {quality_text(e)}", f"n = {e.n:,}", e.method and f"interval: {e.method}")
            for _, task, e in seen
        ],
    }
