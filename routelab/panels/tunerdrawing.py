"""The plane of cost and quality while a slider moves: a small drawing in SVG, which a browser replaces without a flicker.

Measured in JupyterLab: a Plotly figure that is replaced in an Output widget stops the page for up to 0.4 s a step and is
built anew each time; this takes a few milliseconds. The full chart is drawn when it is asked for.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from routelab.lab.charts.arms import quality_text
from routelab.lab.charts.look import GRID, INK, Mark, Scale, dollars, scale
from routelab.lab.controls import Hull
from routelab.lab.statistics import Estimate
from routelab.present import escape, usd

Part = Literal["arm", "baseline", "model"]

WIDE, HIGH = 620, 340
LEFT, RIGHT, TOP, BOTTOM = 50, 14, 12, 42
NAME = 60
NOT_DRAWN = "no chart: costs are not known, so nothing can be held against quality"


@dataclass(frozen=True, kw_only=True)
class Spot:
    """A point: mean cost of a call in USD and mean quality; `mark` is how it is drawn."""

    name: str
    part: Part
    cost_usd: float
    quality: float
    mark: Mark


@dataclass(frozen=True, kw_only=True)
class Present:
    """The arm at its present setting, with intervals; `says` is the setting in few words."""

    name: str
    says: str
    cost: Estimate
    quality: Estimate
    mark: Mark


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What does not move: the axes, the points, the zero router and the knob's whole curve as (cost, quality)."""

    x: Scale
    window: tuple[float, float]
    spots: Sequence[Spot]
    hull: Hull | None
    curve: Sequence[tuple[float, float]]
    mark: Mark

    @cached_property
    def still(self) -> str:
        """The part of the drawing that stays as it is at every step."""
        return "".join([*_axes(self), *_hull(self), *_curve(self), *_spots(self)])

    def place(self, cost_usd: float, quality: float) -> tuple[float, float]:
        """Return where a point stands, in the drawing's pixels."""
        start, end = self.x.axis["range"]
        at = self.x.at(cost_usd)
        across = ((math.log10(at) if self.x.log else at) - start) / (end - start)
        low, high = self.window
        up = (quality - low) / (high - low)
        return (
            round(LEFT + min(max(across, 0.0), 1.0) * (WIDE - LEFT - RIGHT), 1),
            round(HIGH - BOTTOM - min(max(up, 0.0), 1.0) * (HIGH - TOP - BOTTOM), 1),
        )


def ground(
    spots: Sequence[Spot],
    hull: Hull | None,
    curve: Sequence[tuple[float, float]],
    mark: Mark,
    *,
    least: tuple[float, float] | None = None,
) -> Ground | None:
    """Return the ground for these points, or None without one whose cost is known.

    Quality shows what matters for the choice: the arms, the curve and the hull; single models far below it are left out.
    `least` is a window that must be within the new one, so that it never shrinks under a hand.
    """
    placed = [s for s in spots if np.isfinite(s.cost_usd) and np.isfinite(s.quality)]
    line = [(c, q) for c, q in curve if np.isfinite(c) and np.isfinite(q)]
    corners = [] if hull is None else [(c, q) for _, c, q in hull.corners]
    matters = [(s.cost_usd, s.quality) for s in placed if s.part != "model"] + line + corners
    if not matters:
        return None
    low, high = min(q for _, q in matters), max(q for _, q in matters)
    pad = max(0.08 * (high - low), 0.01)
    window = (max(-0.01, low - pad), min(1.01, high + pad))
    if least is not None:
        window = (min(window[0], least[0]), max(window[1], least[1]))
    costs = [c for c, _ in matters]
    positive = [c for c in costs if c > 0]
    log = len(positive) > 1 and max(positive) / min(positive) >= 10
    kept = [s for s in placed if s.part != "model" or window[0] <= s.quality]
    return Ground(
        x=scale(costs, dollars, log=log, zero="free"), window=window, spots=kept, hull=hull, curve=line, mark=mark
    )


def drawing(found: Ground | None, present: Present | None) -> str:
    """Return the drawing as HTML; every text of somebody else is escaped, and told when the mouse rests on its point."""
    if found is None:
        return f"<div class=m>{NOT_DRAWN}</div>"
    names = "" if present is None else f"{escape(present.name, NAME)} at {escape(present.says, NAME)} "
    return (
        f'<svg class="rl-plane" viewBox="0 0 {WIDE} {HIGH}" role="img" aria-label="{names}in the plane of cost and quality" '
        f'style="width:100%;max-width:{WIDE + 100}px;display:block;overflow:visible" font-size="12" fill="{INK}">'
        f"{found.still}{''.join(_present(found, present))}</svg>{_legend(found, present)}"
    )


def _axes(found: Ground) -> list[str]:
    bottom, right = HIGH - BOTTOM, WIDE - RIGHT
    parts = []
    low, high = found.window
    step = next(s for s in (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if (high - low) / s <= 7)
    for k in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1):
        y = found.place(0.0, k * step)[1]
        parts.append(f'<path d="M{LEFT} {y}H{right}" stroke="{GRID}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{100 * k * step:.4g} %</text>')
    start, end = found.x.axis["range"]
    last = -100.0
    for value, text in zip(found.x.axis["tickvals"], found.x.axis["ticktext"], strict=True):
        at = np.log10(value) if found.x.log else value
        x = LEFT + (at - start) / (end - start) * (right - LEFT)
        if start <= at <= end and x - last > 46:
            last = x
            parts.append(f'<path d="M{x:.1f} {TOP}V{bottom}" stroke="{GRID}"/>')
            parts.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{text}</text>')
    if found.x.break_at is not None:
        x = found.place(found.x.break_at, low)[0]
        parts.append(f'<path d="M{x} {TOP}V{bottom}" stroke="{INK}" stroke-dasharray="2 3"/>')
    kind = " (logarithmic)" if found.x.log else ""
    parts.append(f'<text x="{(LEFT + right) / 2}" y="{HIGH - 6}" text-anchor="middle">cost per call, USD{kind}</text>')
    return parts


def _hull(found: Ground) -> list[str]:
    corners = () if found.hull is None else found.hull.corners
    points: list[tuple[float, float]] = []
    for (_, left, _), (_, right, _) in itertools.pairwise(corners):
        start = max(left, found.x.break_at or found.x.floor * 1.0001) if found.x.log else left
        points += [(float(c), found.hull.quality_at(float(c)) or 0.0) for c in np.linspace(start, right, 16)]  # type: ignore[union-attr]
    if len(points) < 2:
        return []
    return [
        f'<path d="{_line(found, points)}" fill="none" stroke="{INK}" stroke-dasharray="5 4"/>',
    ]


def _curve(found: Ground) -> list[str]:
    if len(found.curve) < 2:
        return []
    return [
        f'<path d="{_line(found, found.curve)}" fill="none" stroke="{found.mark.colour}" stroke-width="2" '
        'stroke-linejoin="round" opacity="0.75"/>'
    ]


def _line(found: Ground, points: Sequence[tuple[float, float]]) -> str:
    placed = [found.place(c, q) for c, q in points]
    # Positions of a knob that decide alike are one point.
    return "M" + "L".join(f"{x} {y}" for (x, y), _ in itertools.groupby(placed))


def _spots(found: Ground) -> list[str]:
    parts = []
    for spot in found.spots:
        x, y = found.place(spot.cost_usd, spot.quality)
        told = f"{spot.name}\n{100 * spot.quality:.1f} % for {usd(spot.cost_usd)} a call"
        if spot.part == "baseline":
            shape = (
                f'<rect x="{x - 7}" y="{y - 7}" width="14" height="14" fill="none" stroke="{INK}" stroke-width="2"/>'
            )
        elif spot.part == "model":
            shape = f'<circle cx="{x}" cy="{y}" r="3.5" fill="{INK}" opacity="0.85"/>'
        else:
            shape = symbol(spot.mark, x, y, 5.5)
        parts.append(f'<g pointer-events="all"><title>{escape(told)}</title>{shape}</g>')
    return parts


def _present(found: Ground, present: Present | None) -> list[str]:
    if present is None:
        return []
    x, y = found.place(present.cost.value, present.quality.value)
    parts = []
    if present.quality.low is not None and present.quality.high is not None:
        low, high = (found.place(present.cost.value, q)[1] for q in (present.quality.low, present.quality.high))
        parts.append(f'<path d="M{x} {low}V{high}" stroke="{present.mark.colour}" stroke-width="1.6"/>')
    if present.cost.low is not None and present.cost.high is not None:
        left, right = (
            found.place(max(0.0, c), present.quality.value)[0] for c in (present.cost.low, present.cost.high)
        )
        parts.append(f'<path d="M{left} {y}H{right}" stroke="{present.mark.colour}" stroke-width="1.6"/>')
    told = f"{present.name}, {present.says}\nquality {quality_text(present.quality)}\ncost {usd(present.cost.value)} a call"
    circle = f'<circle cx="{x}" cy="{y}" r="9" fill="{present.mark.colour}" stroke="{INK}" stroke-width="2"/>'
    return [*parts, f"<g><title>{escape(told)}</title>{circle}</g>"]


def symbol(mark: Mark, x: float, y: float, r: float) -> str:
    """Return an arm's mark as SVG, in the shape and colour that charts give it."""
    paint = f'fill="{mark.colour}" stroke="{INK}" stroke-width="0.8"'
    paths = {
        "square": f"M{x - r} {y - r}h{2 * r}v{2 * r}h{-2 * r}z",
        "diamond": f"M{x} {y - 1.3 * r}l{1.3 * r} {1.3 * r}l{-1.3 * r} {1.3 * r}l{-1.3 * r} {-1.3 * r}z",
        "triangle-up": f"M{x} {y - 1.2 * r}l{1.2 * r} {2.1 * r}h{-2.4 * r}z",
        "triangle-down": f"M{x} {y + 1.2 * r}l{1.2 * r} {-2.1 * r}h{-2.4 * r}z",
        "cross": f"M{x - r / 2.5} {y - r}h{0.8 * r}v{0.6 * r}h{0.6 * r}v{0.8 * r}h{-0.6 * r}v{0.6 * r}h{-0.8 * r}v{-0.6 * r}h{-0.6 * r}v{-0.8 * r}h{0.6 * r}z",
        "pentagon": f"M{x} {y - 1.15 * r}l{1.1 * r} {0.8 * r}l{-0.42 * r} {1.3 * r}h{-1.36 * r}l{-0.42 * r} {-1.3 * r}z",
    }
    found = paths.get(mark.symbol)
    return f'<circle cx="{x}" cy="{y}" r="{r}" {paint}/>' if found is None else f'<path d="{found}" {paint}/>'


def _legend(found: Ground, present: Present | None) -> str:
    """Return what the marks mean, below the drawing; it does not change while a slider moves."""

    def entry(shape: str, text: str) -> str:
        mark = f'<svg width="18" height="14" viewBox="0 0 18 14" style="vertical-align:-2px">{shape}</svg>'
        return f'<span style="white-space:nowrap;margin-right:14px">{mark} {escape(text, NAME)}</span> '

    lines = []
    if present is not None:
        big = f'<circle cx="9" cy="7" r="6" fill="{present.mark.colour}" stroke="{INK}" stroke-width="1.5"/>'
        lines.append(entry(big, f"{present.name}, here"))
        if len(found.curve) > 1:
            stroke = f'<path d="M1 7H17" stroke="{found.mark.colour}" stroke-width="2"/>'
            lines.append(entry(stroke, "all its positions"))
    for spot in found.spots:
        if spot.part == "arm":
            lines.append(entry(symbol(spot.mark, 9, 7, 5), spot.name))
        elif spot.part == "baseline":
            box = f'<rect x="3" y="1" width="12" height="12" fill="none" stroke="{INK}" stroke-width="2"/>'
            lines.append(entry(box, spot.name))
    if any(s.part == "model" for s in found.spots):
        lines.append(entry(f'<circle cx="9" cy="7" r="3.5" fill="{INK}" opacity="0.85"/>', "single models"))
    if found.hull is not None and len(found.hull.corners) > 1:
        lines.append(entry(f'<path d="M1 7H17" stroke="{INK}" stroke-dasharray="5 4"/>', "zero router (random mixing)"))
    return f"<div class=m>{''.join(lines)}</div>"
