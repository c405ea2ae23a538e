"""How long the chunks are, as a small drawing in SVG that is there at once when a control is turned."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from routelab.lab.charts.chunklengths import binned
from routelab.lab.charts.look import GRID, INK, PALETTE

WIDE, HIGH = 460, 168
LEFT, RIGHT, TOP, BOTTOM = 34, 10, 16, 34


def histogram(tokens: NDArray[np.int64], cap: int | None) -> str:
    """Return the drawing: chunks by their tokens, with the size that was asked for as a dashed line where it is in tokens."""
    if not len(tokens):
        return "<div class=m>there is no chunk</div>"
    counts, edges = binned(tokens.astype(float), most=None if cap is None else float(cap))
    most, longest = float(counts.max()), float(edges[-1])
    low = HIGH - BOTTOM

    def x(value: float) -> float:
        return round(LEFT + value / longest * (WIDE - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        return round(low - value / most * (low - TOP), 1)

    parts = [f'<path d="M{LEFT} {y(most * share)}H{WIDE - RIGHT}" stroke="{GRID}"/>' for share in (0.5, 1.0)]
    parts.append(f'<text x="{LEFT - 4}" y="{y(most) + 4}" text-anchor="end">{most:,.0f}</text>')
    for i, n in enumerate(counts.tolist()):
        if n:
            left, right = x(float(edges[i])), x(float(edges[i + 1]))
            wide = max(1.0, right - left - 1)
            span = f"{edges[i]:,.0f} to {edges[i + 1] - 1:,.0f} tokens: {n:,.0f} chunk{'s' * (n > 1)}"
            parts.append(
                f'<rect x="{left}" y="{y(n)}" width="{wide:.1f}" height="{low - y(n):.1f}" fill="{PALETTE[0]}"><title>{span}</title></rect>'
            )
    parts.append(f'<path d="M{LEFT} {low}H{WIDE - RIGHT}" stroke="{INK}"/>')
    parts += [
        f'<text x="{x(value)}" y="{low + 14}" text-anchor="middle">{value:,.0f}</text>' for value in _ticks(longest)
    ]
    if cap is not None:
        parts.append(f'<path d="M{x(cap)} {TOP - 4}V{low}" stroke="{INK}" stroke-width="1.4" stroke-dasharray="5 4"/>')
        anchor = "end" if cap > 0.7 * longest else "start"
        parts.append(
            f'<text x="{x(cap) + (-4 if anchor == "end" else 4)}" y="{TOP - 5}" text-anchor="{anchor}">size {cap:,}</text>'
        )
    middle = (LEFT + WIDE - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HIGH - 3}" text-anchor="middle">tokens a chunk</text>')
    return (
        f'<svg class="rl-lengths" viewBox="0 0 {WIDE} {HIGH}" role="img" aria-label="chunks by their tokens" '
        f'style="width:100%;max-width:{WIDE + 60}px;display:block" font-size="11" fill="{INK}">{"".join(parts)}</svg>'
    )


def _ticks(longest: float) -> list[float]:
    step = next(s * 10**e for e in range(7) for s in (1, 2, 5) if longest / (s * 10**e) <= 6)
    return [step * k for k in range(int(longest // step) + 1)]
