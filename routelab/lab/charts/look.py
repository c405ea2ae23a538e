"""One look for every chart: readable on white and on black, the same colour and symbol for a name, nothing unescaped.

plotly.js renders tags, entities and LaTeX between dollar signs in every text it shows, so every text goes through `label`.
"""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from routelab.present import safe

Axis: TypeAlias = Mapping[str, Any]

INK = "#7a7a7a"
"""The grey with the same contrast (4.3 : 1) on white and on #111."""
BAND = "rgba(128,128,128,0.18)"
GRID = "rgba(128,128,128,0.22)"
CLEAR = "rgba(0,0,0,0)"
# Okabe and Ito's palette without black and yellow, which vanish on a dark and on a white page.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "pentagon")
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
WIDEST = 32
LEGEND = 34
"""The widest name in a legend, so that two columns fit on a chart of 600 pixels."""
CAPTION_WIDE = 104
WIDE_SPREAD = 30.0
"""An axis is logarithmic when its largest value is at least so many times its smallest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """How one name is drawn."""

    colour: str
    symbol: str


def marks(names: Sequence[str]) -> dict[str, Mark]:
    """Return a mark for each name by its place: 42 different ones, since six colours meet seven symbols."""
    return {
        name: Mark(colour=PALETTE[i % len(PALETTE)], symbol=SYMBOLS[i % len(SYMBOLS)])
        for i, name in enumerate(dict.fromkeys(names))
    }


def label(text: str, limit: int = WIDEST) -> str:
    """Return one line that plotly shows as it is, cut in the middle when it is too long.

    >>> label("<b>a</b> & $x$")
    '&lt;b&gt;a&lt;/b&gt; &amp; &#36;x&#36;'
    """
    line = " ".join(safe(text).split())
    if len(line) > limit:
        tail = limit // 3
        line = f"{line[: limit - tail - 1]}…{line[-tail:]}"
    return html.escape(line, quote=False).replace("$", "&#36;")


def labels(texts: Sequence[str], limit: int = WIDEST, most: int = 48) -> list[str]:
    """Return a label for each text, cut less where that keeps different texts apart.

    >>> labels(["parallel_function", "parallel_multiple_function"], 12)
    ['parallel_f…ction', 'parallel_m…ction']
    """
    wanted = len(set(texts))
    wide = next((w for w in range(limit, most, 4) if len({label(t, w) for t in texts}) == wanted), most)
    return [label(t, wide) for t in texts]


def hover(*lines: str) -> str:
    """Return hover text of several lines, each escaped."""
    return "<br>".join(label(line, 90) for line in lines if line)


def dollars(value: float) -> str:
    """Return an amount for an axis, without trailing zeros.

    >>> dollars(0.0001), dollars(2.0), dollars(1500)
    ('$0.0001', '$2', '$1,500')
    """
    return f"${value:,.0f}" if value >= 10 else "$" + f"{value:.12f}".rstrip("0").rstrip(".")


def duration(value: float) -> str:
    """Return a time for an axis.

    >>> duration(0.02), duration(0.5), duration(200)
    ('20 ms', '0.5 s', '200 s')
    """
    return f"{value * 1000:.12g} ms" if 0 < value < 0.1 else f"{value:.12g} s"


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Where values stand on an axis. On a logarithmic one 0 has a place of its own, left of a break."""

    axis: Mapping[str, Any]
    log: bool = False
    floor: float = 0.0
    zero_at: float | None = None
    break_at: float | None = None

    def at(self, value: float) -> float:
        """Return the value to draw: itself, or the place of what a logarithm cannot show."""
        if not self.log or value > self.floor:
            return value
        return self.zero_at if value == 0 and self.zero_at is not None else self.floor


def scale(
    values: Sequence[float], tick: Callable[[float], str], *, log: bool | None = None, zero: str | None = None
) -> Scale:
    """Return the scale of an axis that starts at 0: linear, or logarithmic where values span a factor of 30 (or as asked).

    `zero` is what stands under the place of 0 on a logarithmic axis.
    """
    positive = [v for v in values if v > 0 and math.isfinite(v)]
    if not positive or log is False or (log is None and max(positive) / min(positive) < WIDE_SPREAD):
        return _linear(max(positive, default=1.0), tick)
    low, high = math.log10(min(positive)), math.log10(max(positive))
    pad = max(0.06, 0.05 * (high - low))
    ticks = [10.0**e * d for e in range(math.floor(low) - 1, math.ceil(high) + 2) for d in _digits(high - low)]
    ticks = [t for t in ticks if low - pad - 1 <= math.log10(t) <= high + pad + 1]
    texts = [tick(float(f"{t:.6g}")) for t in ticks]
    start, zero_at, break_at = low - pad, None, None
    if any(v == 0 for v in values):
        gap = max(0.35, 0.2 * (high - low))
        zero_at, break_at = 10 ** (low - gap), 10 ** (low - 0.55 * gap)
        start = low - gap - pad
        kept = [i for i, t in enumerate(ticks) if t > 0.9 * 10**low]
        ticks, texts = [zero_at, *(ticks[i] for i in kept)], [zero or tick(0.0), *(texts[i] for i in kept)]
    axis = {
        "type": "log",
        "range": [start, high + pad],
        "tickvals": ticks,
        "ticktext": [label(t) for t in texts],
    }
    return Scale(axis=axis, log=True, floor=10**start, zero_at=zero_at, break_at=break_at)


def _linear(top: float, tick: Callable[[float], str]) -> Scale:
    step = _step(top / 5)
    # Ticks reach far beyond the range, so that zooming out and panning still find some.
    ticks = [step * k for k in range(31)]
    axis = {
        "type": "linear",
        "range": [-0.03 * top, 1.06 * top],
        "tickvals": [float(f"{t:.6g}") for t in ticks],
        "ticktext": [label(tick(float(f"{t:.6g}"))) for t in ticks],
    }
    return Scale(axis=axis)


def _step(rough: float) -> float:
    decade = 10.0 ** math.floor(math.log10(rough))
    return next(decade * d for d in (1, 2, 2.5, 5, 10) if decade * d >= rough * 0.999)


def _digits(decades: float) -> tuple[int, ...]:
    """Return the leading digits that get a tick, so that the labels stand side by side on a chart of 600 pixels."""
    return (1, 2, 5) if decades <= 1.4 else (1, 3) if decades <= 2.2 else (1,)


@dataclass(frozen=True, kw_only=True, slots=True)
class Heading:
    """What stands above a chart: its title and, smaller, its caption."""

    title: str
    caption: str = ""


def layout(heading: Heading, *, plot: int, below: int, x: Axis, y: Axis, **more: Any) -> dict[str, Any]:
    """Return a plotly layout: transparent, mid-grey, as wide as its place, with the legend below.

    `plot` is the height of the plotting area in pixels, `below` that of the legend.
    """
    # A live front end shows the figure and nothing else, so the caption is part of it; nobody knows how wide the place is.
    lines = textwrap.wrap(" ".join(safe(heading.caption).split()), CAPTION_WIDE)
    top = (52 if lines else 42) + 15 * len(lines) + more.pop("above", 0)
    return {
        "template": "none",
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "autosize": True,
        "height": top + plot + 52 + below,
        "font": {"color": INK, "family": FONT, "size": 13},
        "title": {
            "text": label(heading.title, 90),
            "x": 0,
            "xref": "container",
            "xanchor": "left",
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "pad": {"l": 8, "t": 10},
            "font": {"size": 15},
            "subtitle": {
                "text": "<br>".join(label(t, CAPTION_WIDE) for t in lines),
                "font": {"size": 11, "color": INK},
            },
        },
        "margin": {"l": 60, "r": 20, "t": top, "b": 52 + below},
        "xaxis": axis(x),
        "yaxis": axis(y),
        "legend": {
            "orientation": "h",
            "traceorder": "normal",
            "x": 0,
            "xanchor": "left",
            "yref": "container",
            "y": 0,
            "yanchor": "bottom",
            "bgcolor": CLEAR,
            "font": {"size": 12},
        },
        "hovermode": "closest",
        "hoverlabel": {
            "bgcolor": "#262626",
            "bordercolor": "#808080",
            "font": {"color": "#f2f2f2", "size": 12},
            "align": "left",
        },
        "modebar": {"bgcolor": CLEAR, "color": INK, "activecolor": "#b0b0b0"},
        **more,
    }


def axis(given: Axis) -> dict[str, Any]:
    """Return an axis in the house's colours; its title is a plain text."""
    line = {"gridcolor": GRID, "zerolinecolor": GRID, "linecolor": GRID, "tickcolor": GRID}
    drawn = {**line, "automargin": True, "tickangle": 0, **given}
    if isinstance(given.get("title"), str):
        drawn["title"] = {"text": label(given["title"], 60), "standoff": 8, "font": {"size": 13}}
    return drawn


def whiskers(
    values: Sequence[float], ends: Sequence[tuple[float, float]], colour: str, *, thickness: float = 1.4, width: int = 3
) -> dict[str, Any]:
    """Return plotly's error bars from each value to its two ends, all in the units of the axis; equal ends draw none."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [max(0.0, high - v) for v, (_, high) in zip(values, ends, strict=True)],
        "arrayminus": [max(0.0, v - low) for v, (low, _) in zip(values, ends, strict=True)],
        "color": colour,
        "thickness": thickness,
        "width": width,
    }


def rupture(where: float) -> dict[str, Any]:
    """Return the dotted line that says that an axis is broken between 0 and its other values."""
    line = {"color": "rgba(128,128,128,0.45)", "width": 1.5, "dash": "dot"}
    return {"type": "line", "x0": where, "x1": where, "yref": "paper", "y0": 0, "y1": 1, "line": line}


def key(name: str, **mark: Any) -> dict[str, Any]:
    """Return a trace that draws nothing and stands in the legend for what a mark means."""
    return {"type": "scatter", "x": [None], "y": [None], "name": label(name, 48), "hoverinfo": "skip", **mark}
