"""Hits and false hits over the threshold while a slider moves: a small drawing in SVG, of which a step changes the mark alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from routelab.core.ports import Floats
from routelab.lab.charts.cachecurve import COLOURS, LEAST, Course, floored
from routelab.lab.charts.look import BAND, GRID, INK
from routelab.present import escape, percent

WIDE, HIGH = 620, 380
LEFT, RIGHT = 54, 18
TOP, MIDDLE = (16, 166), (196, 346)
"""The upper and the lower ends of the two panes: hits, and false hits on a logarithmic axis."""
NOT_DRAWN = "no curves: there is nothing to draw"


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawing:
    """The curves of a course, drawn once; `at` adds the mark of a threshold."""

    course: Course

    def at(self, threshold: float) -> str:
        """Return the drawing as HTML, with a mark at the threshold."""
        if not len(self.course):
            return f"<div class=m>{NOT_DRAWN}</div>"
        said = f"hits and false hits over the threshold of {escape(self.course.name, 80)}, at {threshold:.4f}"
        return (
            f'<svg class="rl-curves" viewBox="0 0 {WIDE} {HIGH}" role="img" aria-label="{said}" '
            f'style="width:100%;max-width:{WIDE + 100}px;display:block;overflow:visible" font-size="12" fill="{INK}">'
            f"{self._still}{self._mark(threshold)}</svg>{self._legend}"
        )

    @cached_property
    def _still(self) -> str:
        return "".join([*self._axes(), *self._lines()])

    @cached_property
    def _ends(self) -> tuple[float, float]:
        low, high = float(self.course.thresholds[0]), float(self.course.thresholds[-1])
        return (low, high) if high > low else (low - 0.01, low + 0.01)

    @cached_property
    def _most(self) -> float:
        """The upper end of the upper pane."""
        every = np.concatenate(list(self.course.hits.values()))
        most = float(np.nanmax(every)) if np.isfinite(every).any() else 1.0
        return next((m for m in (0.1, 0.2, 0.5) if most <= m), 1.0)

    def _x(self, threshold: float) -> float:
        low, high = self._ends
        return round(LEFT + (min(max(threshold, low), high) - low) / (high - low) * (WIDE - LEFT - RIGHT), 1)

    def _above(self, share: float) -> float:
        return round(TOP[1] - share / self._most * (TOP[1] - TOP[0]), 1)

    def _below(self, share: float) -> float:
        up = math.log10(min(max(share, LEAST), 1.0) / LEAST) / -math.log10(LEAST)
        return round(MIDDLE[1] - up * (MIDDLE[1] - MIDDLE[0]), 1)

    def _axes(self) -> list[str]:
        right, parts = WIDE - RIGHT, []
        for k in range(5):
            y = self._above(share := self._most * k / 4)
            parts.append(f'<path d="M{LEFT} {y}H{right}" stroke="{GRID}"/>')
            parts.append(f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{100 * share:.3g} %</text>')
        for share in (LEAST, 0.01, 0.1, 1.0):
            y = self._below(share)
            parts.append(f'<path d="M{LEFT} {y}H{right}" stroke="{GRID}"/>')
            said = "0" if share == LEAST else f"{100 * share:.3g}"
            parts.append(f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{said} %</text>')
        low, high = self._ends
        step = next(s for s in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if (high - low) / s <= 8)
        for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1):
            x = self._x(k * step)
            parts.append(f'<path d="M{x} {TOP[0]}V{TOP[1]}M{x} {MIDDLE[0]}V{MIDDLE[1]}" stroke="{GRID}"/>')
            parts.append(f'<text x="{x}" y="{MIDDLE[1] + 16}" text-anchor="middle">{k * step:.2f}</text>')
        parts.append(f'<text x="{LEFT}" y="{TOP[0] - 5}">{escape(" and ".join(self.course.hits))}</text>')
        parts.append(f'<text x="{LEFT}" y="{MIDDLE[0] - 7}">false hits, of all hits (logarithmic)</text>')
        middle = (LEFT + right) / 2
        parts.append(f'<text x="{middle}" y="{HIGH - 4}" text-anchor="middle">threshold (least cosine)</text>')
        return parts

    def _lines(self) -> list[str]:
        course, red = self.course, COLOURS["false"]
        parts = [self._band()]
        for name, values in course.hits.items():
            parts.append(self._path([self._above(v) for v in values], values, COLOURS[name], "2.2"))
        if np.isnan(course.false).all():
            middle = (MIDDLE[0] + MIDDLE[1]) / 2
            parts.append(f'<text x="{(LEFT + WIDE - RIGHT) / 2}" y="{middle}" text-anchor="middle">not known</text>')
        parts.append(self._path([self._below(v) for v in course.upper], course.upper, red, "1.4", dash="2 3"))
        parts.append(self._path([self._below(v) for v in course.false], course.false, red, "2.2"))
        y = self._below(course.budget)
        parts.append(f'<path d="M{LEFT} {y}H{WIDE - RIGHT}" stroke="{INK}" stroke-width="1.4" stroke-dasharray="7 4"/>')
        return parts

    def _band(self) -> str:
        course = self.course
        at = np.flatnonzero(~np.isnan(course.low))
        if len(at) < 2:
            return ""
        low, high = floored(course.low), floored(course.high)
        there = [f"{self._x(course.thresholds[k])} {self._below(high[k])}" for k in at]
        back = [f"{self._x(course.thresholds[k])} {self._below(low[k])}" for k in at[::-1]]
        return f'<path d="M{"L".join([*there, *back])}Z" fill="{BAND}"/>'

    def _path(self, y: Sequence[float], values: Floats, colour: str, width: str, *, dash: str = "") -> str:
        at = np.flatnonzero(~np.isnan(values))
        if not len(at):
            return ""
        points = "L".join(f"{self._x(self.course.thresholds[k])} {y[k]}" for k in at.tolist())
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        return f'<path d="M{points}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-linejoin="round"{dashed}/>'

    def _mark(self, threshold: float) -> str:
        course, x = self.course, self._x(threshold)
        k = course.nearest(threshold)
        parts = [f'<path d="M{x} {TOP[0]}V{TOP[1]}M{x} {MIDDLE[0]}V{MIDDLE[1]}" stroke="{INK}" stroke-width="1.4"/>']
        dots = [(self._above, values[k], COLOURS[name]) for name, values in course.hits.items()]
        dots += [(self._below, course.false[k], COLOURS["false"])]
        for place, value, colour in dots:
            if not np.isnan(value):
                parts.append(f'<circle cx="{x}" cy="{place(value)}" r="5.5" fill="{colour}" stroke="{INK}"/>')
        if not np.isnan(course.upper[k]):
            y = self._below(course.upper[k])
            parts.append(f'<path d="M{x - 7} {y}H{x + 7}" stroke="{COLOURS["false"]}" stroke-width="3"/>')
        return "".join(parts)

    @cached_property
    def _legend(self) -> str:
        def entry(shape: str, text: str) -> str:
            mark = f'<svg width="22" height="12" viewBox="0 0 22 12" style="vertical-align:-2px">{shape}</svg>'
            return f'<span style="white-space:nowrap;margin-right:14px">{mark} {escape(text)}</span> '

        red = COLOURS["false"]
        parts = [
            entry(f'<path d="M1 6H21" stroke="{COLOURS[name]}" stroke-width="2.2"/>', name) for name in self.course.hits
        ]
        parts.append(entry(f'<path d="M1 6H21" stroke="{red}" stroke-width="2.2"/>', "false-hit rate"))
        parts.append(
            entry(f'<path d="M1 6H21" stroke="{red}" stroke-width="1.6" stroke-dasharray="2 3"/>', "at most (95 %)")
        )
        parts.append(entry(f'<rect x="1" y="1" width="20" height="10" fill="{BAND}"/>', "two-sided 95 %"))
        dashes = f'<path d="M1 6H21" stroke="{INK}" stroke-width="1.4" stroke-dasharray="7 4"/>'
        parts.append(entry(dashes, f"budget {percent(self.course.budget, 2)}"))
        return f"<div class=m>{''.join(parts)}</div>"
