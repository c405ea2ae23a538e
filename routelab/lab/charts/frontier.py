"""Cost against quality: every arm with its intervals, what is worth its money, and what mixing single models would do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from routelab.core.ports import Floats
from routelab.lab.charts.arms import caption, chosen, everyone, many, marks_of, quality_text, titled, unlike
from routelab.lab.charts.chart import Chart
from routelab.lab.charts.dominance import DRAWS, common, hull_band, settled
from routelab.lab.charts.look import Heading, Scale, dollars, scale
from routelab.lab.charts.plane import Mixing, Plane, figure
from routelab.lab.charts.points import CONTROLS, SAYS, Point, points
from routelab.lab.compare import Comparison, same
from routelab.lab.controls import Hull
from routelab.lab.statistics import Estimate
from routelab.present import Table, percent, usd


def frontier(comparison: Comparison, *, limit: int = 8, log: bool | None = None) -> Chart:
    """Return the chart of cost per call against quality; `limit` arms get a mark of their own, the others are grey dots.

    A free arm has no place on a logarithmic axis and stands left of a break in it.
    """
    rows = points(comparison)
    names = _named(comparison, rows, limit)
    hull = None if comparison.controls is None else comparison.controls.hull
    held = marks_of(comparison)
    own = {name: held[name] for name in names}
    plane = Plane(x=_scale(rows, hull, log), window=_window(rows, names))
    title = titled("Cost and quality", comparison.terms.simulated)
    words = caption(comparison, *_said(comparison, rows, names, plane))
    return Chart(
        kind="frontier",
        title=title,
        caption=words,
        table=_table(rows, title, words),
        draw=lambda: figure(rows, _mixing(comparison), own, plane, Heading(title=title, caption=words)),
    )


def _mixing(comparison: Comparison) -> Mixing | None:
    """Return the zero router with the band that resampling the prompts gives it, where every model is known on enough of them."""
    hull = None if comparison.controls is None else comparison.controls.hull
    if hull is None:
        return None
    outcomes = comparison.outcomes
    if outcomes is None:
        return Mixing(hull=hull)
    columns = [outcomes.column(model) for model, _, _ in hull.corners]
    quality = np.where(outcomes.failed, 0.0, outcomes.quality)
    every = [k for k in range(len(outcomes.models)) if _whole(quality[:, k]) and _whole(outcomes.cost_usd[:, k])]
    if not set(columns) <= set(every):
        return Mixing(hull=hull)
    field = common([quality[:, k] for k in every], [outcomes.cost_usd[:, k] for k in every], outcomes.clusters)
    return Mixing(hull=hull, band=lambda at: hull_band(field, at, seed=comparison.terms.seed))


def _whole(values: Floats) -> bool:
    # The hull's corners are means over what each model was recorded on; a band over fewer prompts would not hold them.
    return not np.isnan(values).any()


def _named(comparison: Comparison, rows: Sequence[Point], limit: int) -> tuple[str, ...]:
    """Return the arms with a mark of their own: the winner, the baseline, the nominated, and then the efficient ones."""
    first = {shown.name for shown in chosen(comparison, limit)[0]}
    distinct = {shown.name for shown in unlike(everyone(comparison))}
    nominated = set(comparison.terms.nominated or ())
    arms = [p for p in rows if p.part not in CONTROLS]

    def rank(p: Point) -> tuple[int, int]:
        place = 1 if p.name in nominated else 2 if p.efficient else 3
        return (0 if p.part != "arm" else place if p.name in distinct else 4, int(p.name not in first))

    kept = {p.name for p in sorted(arms, key=rank)[:limit]}
    return tuple(p.name for p in arms if p.name in kept)


def _said(comparison: Comparison, rows: Sequence[Point], names: Sequence[str], plane: Plane) -> list[str]:
    arms = [p for p in rows if p.part not in CONTROLS]
    dots = [p for p in arms if p.placed and p.name not in names]
    missing = [p.name for p in arms if p.cost is None]
    unscored = [p.name for p in arms if p.cost is not None and p.quality is None]
    free = [p.name for p in arms if p.cost is not None and p.cost.value == 0]
    below = [p.name for p in dots if p.quality is not None and 100 * p.quality.value < plane.window[0]]
    return [
        f"{many(len(dots), 'arm')} as grey dots without a name" if dots else "",
        f"below the axis: {_listed(below)}" if below else "",
        f"not drawn, cost not known: {_listed(missing)}" if missing else "",
        *_twins(comparison),
        f"not drawn, not scored: {_listed(unscored)}" if unscored else "",
        f"free, so left of the break in the axis: {_listed(free)}" if free and plane.x.log else "",
    ]


def _twins(comparison: Comparison) -> list[str]:
    """Return the clauses that name arms with the same answers, whose marks hide each other."""
    every = everyone(comparison)
    distinct = unlike(every)
    found = []
    for first in distinct:
        others = [s.arm.name for s in every if s not in distinct and same(s.arm.walked, first.arm.walked)]
        if others:
            found.append(f"same answers as {first.arm.name}: {_listed(others, 2)}")
    return found[:2]


def _scale(rows: Sequence[Point], hull: Hull | None, log: bool | None) -> Scale:
    costs = [p.cost.value for p in rows if p.cost is not None and p.quality is not None]
    corners = [] if hull is None else [cost for _, cost, _ in hull.corners]
    highs = [p.cost.high for p in rows if p.cost is not None and p.quality is not None and p.cost.high is not None]
    everything = [*costs, *corners, *highs]
    if log is None:
        positive = [c for c in (*costs, *corners) if c > 0]
        # Most fleets span two decades and more; a linear axis would press all the cheap arms into one corner.
        log = len(positive) > 1 and max(positive) / min(positive) >= 10
    return scale(everything, dollars, log=log, zero="free ($0)")


def _listed(names: Sequence[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _table(rows: Sequence[Point], title: str, words: str) -> Table:
    return Table(
        head=("arm", "cost per call", "95 %", "quality [95 %]", "n", "frontier"),
        rows=[
            (
                p.name,
                "?" if p.cost is None else usd(p.cost.value) + (f" ({p.cost.n:,} known)" if p.partly else ""),
                "" if p.cost is None or p.cost.low is None else f"{usd(p.cost.low)} to {usd(p.cost.high)}",
                quality_text(p.quality),
                "0" if p.quality is None else f"{p.quality.n:,}",
                _standing(p),
            )
            for p in rows
        ],
        numbers=frozenset({1, 2, 3, 4}),
        caption=title,
        notes=(
            words,
            f"on it: no other arm is at least as good and as cheap; beaten, open: one is, in that share of {DRAWS} resamples",
        ),
    )


def _standing(p: Point) -> str:
    """Return where an arm stands: on the frontier, beaten beyond doubt, or below it by what may be chance."""
    if p.efficient:
        return "on it"
    if p.beaten is None:
        return SAYS.get(p.part, "")
    return f"{'beaten' if settled(p.beaten) else 'open'} ({percent(p.beaten, 0)})"


def _window(rows: Sequence[Point], names: Sequence[str]) -> tuple[float, float]:
    """Return the quality range in per cent: all that has a name or is a control, and the grey dots unless they lie far below."""
    values = [p for p in rows if p.quality is not None and p.placed]
    ends = [v for p in values if p.name in names or p.part in CONTROLS for v in _ends(p.quality)]
    if not ends:
        return (0.0, 100.0)
    low, high = min(ends), max(ends)
    reach = max(high - low, 0.05)
    low = min([low, *(v for p in values for v in _ends(p.quality)[:1] if v >= high - 2 * reach)])
    pad = max(0.06 * (high - low), (0.05 - (high - low)) / 2)
    return (100 * max(-0.02, low - pad), 100 * min(1.03, high + pad))


def _ends(estimate: Estimate | None) -> tuple[float, ...]:
    return () if estimate is None else (estimate.value, *(estimate.interval or ()))
