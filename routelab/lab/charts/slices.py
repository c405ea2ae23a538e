"""Where an arm is better or worse than the baseline: paired differences slice by slice, each with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from routelab.lab.charts.arms import caption, chosen, left_out, many, titled
from routelab.lab.charts.chart import Chart
from routelab.lab.charts.look import GRID, INK, LEGEND, Heading, Mark, hover, label, layout, marks
from routelab.lab.compare import Comparison, same
from routelab.lab.evaluation import ALPHA, ENOUGH, By, Evaluation, Part
from routelab.lab.statistics import Estimate
from routelab.present import Table, signed

ARMS, SLICES = 5, 12


def slices(comparison: Comparison, *, by: By = "task", limit: int = ARMS, tasks: int = SLICES) -> Chart:
    """Return the chart of differences from the baseline by task, difficulty or tag; `limit` arms and `tasks` slices are drawn."""
    drawn, hidden = chosen(comparison, limit + 1)
    base = comparison.baseline
    names = [s.arm.name for s in drawn if s.arm.name != base.name and not same(s.arm.walked, base.walked)][:limit]
    held = comparison.by(by, arms=names, beyond=False)
    kept = [s for s in held.slices if any(p.difference is not None for p in _of(held, s))][:tasks]
    more = len([s for s in held.slices if not any(p.small for p in _of(held, s))]) - len(kept)
    small = sum(all(p.small for p in _of(held, s)) for s in held.slices)
    title = titled(f"Difference from {comparison.baseline.name} by {held.by}", comparison.terms.simulated)
    words = caption(
        comparison,
        f"filled: p ≤ {ALPHA:g} after Holm's correction over {many(_asked(held), 'difference')}",
        left_out(hidden, limit) if hidden else "",
        f"{many(small, 'slice')} of fewer than {ENOUGH} prompts not drawn" if small else "",
        f"{many(more, 'more slice')} in the table only" if more > 0 and len(kept) == tasks else "",
        *(note for note in held.notes if note.startswith("bands")),
        costs=False,
    )
    return Chart(
        kind="slices",
        title=title,
        caption=words,
        table=_table(held, names, title, words),
        draw=lambda: _figure(held, names, kept, comparison.terms.margin, Heading(title=title, caption=words)),
    )


def _of(held: Evaluation, name: str) -> list[Part]:
    return [p for p in held.parts if p.slice == name and p.arm != held.baseline]


def _asked(held: Evaluation) -> int:
    return sum(p.p_adjusted is not None for p in held.parts)


def _table(held: Evaluation, names: Sequence[str], title: str, words: str) -> Table:
    rows = [
        (
            p.slice,
            p.arm,
            f"{p.figures.n:,}",
            "–" if p.difference is None else _points(p.difference),
            "–" if p.p_adjusted is None else f"{p.p_adjusted:.3f}",
            p.verdict,
        )
        for p in held.parts
        if p.arm in names
    ]
    return Table(
        head=(held.by, "arm", "n", "Δ points [95 %]", "p, corrected", "verdict"),
        rows=rows or [("–", "–", "0", "–", "–", "no arm but the baseline")],
        numbers=frozenset({2, 3, 4}),
        caption=title,
        notes=(words,),
    )


def _figure(
    held: Evaluation, names: Sequence[str], kept: Sequence[str], margin: float, heading: Heading
) -> dict[str, Any]:
    own = marks(names)
    step = 0.78 / max(1, len(names))
    traces = []
    for k, name in enumerate(names):
        seen = [
            (-i + 0.39 - step * (k + 0.5), p)
            for i, s in enumerate(kept)
            for p in _of(held, s)
            if p.arm == name and p.difference is not None
        ]
        traces.append(_trace(name, own[name], seen))
    ends = [
        100 * v
        for p in held.parts
        if p.slice in kept and p.difference is not None
        for v in (p.difference.value, *(p.difference.interval or ()))
    ]
    low, high = min([*ends, -150 * margin]), max([*ends, 100 * margin])
    pad = 0.05 * (high - low)
    wide = {"type": "line", "yref": "paper", "y0": 0, "y1": 1}
    rows = max(1, len(kept))
    rules: list[dict[str, Any]] = [
        {**wide, "x0": 0, "x1": 0, "line": {"color": INK, "width": 1.5}},
        {**wide, "x0": -100 * margin, "x1": -100 * margin, "line": {"color": INK, "width": 1, "dash": "dot"}},
        *(
            {
                "type": "line",
                "xref": "paper",
                "x0": 0,
                "x1": 1,
                "y0": -i + 0.5,
                "y1": -i + 0.5,
                "line": {"color": GRID, "width": 1},
            }
            for i in range(1, rows)
        ),
    ]
    return {
        "data": traces or [{"type": "scatter", "x": [None], "y": [None], "showlegend": False, "hoverinfo": "skip"}],
        "layout": layout(
            heading,
            plot=max(90, rows * max(34, 15 * len(names))),
            below=19 * ((len(names) + 1) // 2) + 6,
            x={
                "title": f"quality minus the baseline's, points (dotted: margin −{100 * margin:g})",
                "range": [low - pad, high + pad],
                "zeroline": False,
            },
            y={
                "tickvals": [-i for i in range(len(kept))],
                "ticktext": [f"{label(s, 26)}<br>n = {_size(held, s)}" for s in kept],
                "range": [-rows + 0.5, 0.5],
                "showgrid": False,
                "zeroline": False,
                "fixedrange": True,
            },
            showlegend=True,
            shapes=rules,
        ),
    }


def _size(held: Evaluation, name: str) -> str:
    # Estimated bands hold slightly different prompts for each arm.
    sizes = sorted({p.figures.n for p in _of(held, name)})
    return f"{sizes[0]:,}" if len(sizes) < 2 else f"{sizes[0]:,}–{sizes[-1]:,}"


def _trace(name: str, mark: Mark, seen: Sequence[tuple[float, Part]]) -> dict[str, Any]:
    found = [(y, p, p.difference) for y, p in seen if p.difference is not None]
    ends = [d.interval or (d.value, d.value) for _, _, d in found]
    sure = [p.verdict in ("better", "worse") for _, p, _ in found]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [100 * d.value for _, _, d in found],
        "y": [y for y, _, _ in found],
        "name": label(name, LEGEND),
        # Hollow: no difference shown after the correction.
        "marker": {
            "color": [mark.colour if s else "rgba(0,0,0,0)" for s in sure],
            "symbol": mark.symbol,
            "size": 9,
            "line": {"width": 1.6, "color": mark.colour},
        },
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [100 * (high - d.value) for (_, high), (_, _, d) in zip(ends, found, strict=True)],
            "arrayminus": [100 * (d.value - low) for (low, _), (_, _, d) in zip(ends, found, strict=True)],
            "color": mark.colour,
            "thickness": 1.4,
            "width": 3,
        },
        "hoverinfo": "text",
        "hovertext": [
            hover(
                name,
                p.slice,
                f"Δ {_points(d)} points",
                "" if p.p_adjusted is None else f"p = {p.p_adjusted:.3f} after correction: {p.verdict}",
                f"n = {p.figures.n:,}",
            )
            for _, p, d in found
        ],
    }


def _points(difference: Estimate) -> str:
    # The grid's own words; the grid draws on the charts, so it is not there yet while they are loaded.
    ends = "" if difference.low is None else f" [{signed(difference.low)}, {signed(difference.high)}]"
    return signed(difference.value) + ends
