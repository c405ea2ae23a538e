"""Where an arm is better or worse than the baseline: paired differences slice by slice, each with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from routelab.lab.charts.arms import caption, chosen, left_out, many, marks_of, titled
from routelab.lab.charts.chart import Chart
from routelab.lab.charts.look import INK, Heading, Mark
from routelab.lab.charts.rows import Dot, Rows, figure, reach
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
    held_marks = marks_of(comparison)
    own = {name: held_marks[name] for name in names}
    return Chart(
        kind="slices",
        title=title,
        caption=words,
        table=_table(held, names, title, words),
        draw=lambda: _figure(
            _dots(held), held, own, kept, comparison.terms.margin, Heading(title=title, caption=words)
        ),
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
    dots: Sequence[Dot], held: Evaluation, own: Mapping[str, Mark], kept: Sequence[str], margin: float, heading: Heading
) -> dict[str, Any]:
    ends = reach([dot for dot in dots if dot.row in kept])
    low, high = min([*ends, -150 * margin]), max([*ends, 100 * margin])
    pad = 0.05 * (high - low)
    wide = {"type": "line", "yref": "paper", "y0": 0, "y1": 1}
    plan = Rows(
        own=own,
        rows=tuple(kept),
        beside=lambda row: f"n = {_size(held, row)}",
        x={
            "title": f"quality minus the baseline's, points (dotted: margin −{100 * margin:g})",
            "range": [low - pad, high + pad],
        },
        rules=(
            {**wide, "x0": 0, "x1": 0, "line": {"color": INK, "width": 1.5}},
            {**wide, "x0": -100 * margin, "x1": -100 * margin, "line": {"color": INK, "width": 1, "dash": "dot"}},
        ),
        hollow=True,
    )
    return figure(dots, plan, heading)


def _dots(held: Evaluation) -> list[Dot]:
    return [
        Dot(
            name=p.arm,
            row=p.slice,
            estimate=p.difference,
            # Hollow: no difference shown after the correction.
            sure=p.verdict in ("better", "worse"),
            told=(
                f"Δ {_points(p.difference)} points",
                "" if p.p_adjusted is None else f"p = {p.p_adjusted:.3f} after correction: {p.verdict}",
                f"n = {p.figures.n:,}",
            ),
        )
        for p in held.parts
        if p.difference is not None
    ]


def _size(held: Evaluation, name: str) -> str:
    # Estimated bands hold slightly different prompts for each arm.
    sizes = sorted({p.figures.n for p in _of(held, name)})
    return f"{sizes[0]:,}" if len(sizes) < 2 else f"{sizes[0]:,}–{sizes[-1]:,}"


def _points(difference: Estimate) -> str:
    # The grid's own words; the grid draws on the charts, so it is not there yet while they are loaded.
    ends = "" if difference.low is None else f" [{signed(difference.low)}, {signed(difference.high)}]"
    return signed(difference.value) + ends
