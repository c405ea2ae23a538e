"""What another threshold would have done: quality, cost and the strongest model's share over the values of an arm's knob or bar."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from routelab.core.errors import ConfigError
from routelab.core.ports import Floats
from routelab.lab.charts.arms import caption, many, marks_of, titled
from routelab.lab.charts.chart import Chart
from routelab.lab.charts.curve import Curve, Turning, curve_of, turning_of
from routelab.lab.charts.look import BAND, INK, Heading, Mark, axis, hover, label, layout
from routelab.lab.compare import Arm, Comparison
from routelab.present import Table, percent, signed, usd

ROWS = 21
"""How many values the table has: evenly spaced ones, and the arm's own."""
PANEL, GAP = 130, 0.08
NONE = "no arm of this comparison has a threshold over recorded outcomes"


def thresholds(comparison: Comparison, *, arm: str | None = None, knob: str | None = None) -> Chart:
    """Return the chart of one knob of an arm (default: its first) over the prompts reported (default: the winner's, else the first arm's that has one).

    It explains a choice that was made elsewhere: who chooses by it has seen the confirm split. Raises ConfigError for an arm that is
    named and has no threshold, and for a knob that it does not have.
    """
    found = _found(comparison, arm, knob)
    title = titled(
        "Quality and cost by threshold" + (f" of {found[0].name}" if found else ""), comparison.terms.simulated
    )
    words = caption(comparison, *(_said(comparison, found[1]) if found else [NONE]), intervals=False)
    heading = Heading(title=title, caption=words)
    own = None if found is None else marks_of(comparison)[found[0].name]
    return Chart(
        kind="thresholds",
        title=title,
        caption=words,
        table=_table(None if found is None else found[1], comparison, title, words),
        draw=lambda: _nothing(heading) if found is None or own is None else figure(found[1], own, heading),
    )


def _found(comparison: Comparison, name: str | None, knob: str | None) -> tuple[Arm, Curve] | None:
    outcomes, base = comparison.outcomes, comparison.baseline
    arms = [comparison[name]] if name is not None else _by_turn(comparison)
    if outcomes is not None:
        for arm in arms:
            # A baseline's config is the name of its model.
            plain = arm.config is None or isinstance(arm.config, str)
            found = None if plain else turning_of(arm.config, outcomes, knob)
            if found is not None:
                return arm, curve_of(found, outcomes, baseline=base.walked)
    if name is None:
        return None
    why = (
        "has no threshold" if outcomes is not None else "is live: what another threshold would have asked is not known"
    )
    hint = (
        "arbitrage has min_quality or cost_weight, a cascade the bar of its gate; over recorded outcomes (lab.replay)"
    )
    raise ConfigError(f"chart 'thresholds': arm '{name}' {why}", hint=hint)


def _by_turn(comparison: Comparison) -> list[Arm]:
    winner = comparison.winner()
    return [*([] if winner is None else [winner]), *(a for a in comparison.arms if a is not winner)]


def _said(comparison: Comparison, held: Curve) -> list[str]:
    others = held.turning.others
    stay = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
    return [
        f"scored for both: {many(held.n, 'prompt')}" if held.n < comparison.terms.confirm else "",
        f"band: 95 % of the paired difference from {comparison.baseline.name}",
        f"as they are: {stay}" if others else "",
        "to choose a threshold, sweep it: whoever chooses by this chart has seen the prompts reported",
    ]


def spoken(turning: Turning) -> str:
    """Return what the threshold is, for an axis."""
    return turning.knob.says + (" (logarithmic)" if turning.logarithmic else "")


def _table(held: Curve | None, comparison: Comparison, title: str, words: str) -> Table:
    head = ("threshold", "quality", "Δ points [95 %]", "cost per call", "of baseline [95 %]", "strongest")
    if held is None:
        rows: list[tuple[str, ...]] = [(NONE, "", "", "", "", "")]
        return Table(head=head, rows=rows, caption=title, notes=(words,))
    return Table(
        head=(*head[:5], f"share of {held.strongest}"),
        rows=[_row(held, k) for k in rows_of(held)],
        numbers=frozenset(range(1, 6)),
        caption=title,
        notes=(words, f"threshold: {spoken(held.turning)}"),
    )


def rows_of(held: Curve, most: int = ROWS) -> list[int]:
    """Return which values a table shows: evenly spaced ones, and the arm's own."""
    count = len(held.values)
    kept = set(np.linspace(0, count - 1, min(most, count)).round().astype(int).tolist())
    kept.add(held.nearest(held.chosen))
    return sorted(kept)


def _row(held: Curve, k: int) -> tuple[str, ...]:
    value = float(held.values[k])
    return (
        held.turning.knob.label(value) + (" ← chosen" if value == held.chosen else ""),
        percent(float(held.quality[k])),
        _delta(held, k),
        usd(float(held.cost_usd[k])),
        _ratio(held, k),
        percent(float(held.strong_share[k])),
    )


def _delta(held: Curve, k: int) -> str:
    low, high = float(held.delta_low[k]), float(held.delta_high[k])
    ends = "" if math.isnan(low) else f" [{signed(low)}, {signed(high)}]"
    return signed(float(held.delta[k])) + ends


def _ratio(held: Curve, k: int) -> str:
    low, high = float(held.ratio_low[k]), float(held.ratio_high[k])
    ends = "" if math.isnan(low) else f" [{low:.2f}, {high:.2f}]"
    return "?" if math.isnan(held.ratio[k]) else f"×{held.ratio[k]:.2f}{ends}"


def figure(held: Curve, own: Mark, heading: Heading) -> dict[str, Any]:
    """Return the plotly figure: one panel a figure, over the same axis of thresholds; costs only where they are known."""
    told = [_told(held, k) for k in range(len(held.values))]
    panels = _panels(held)
    height = (1 - GAP * (len(panels) - 1)) / len(panels)
    traces: list[dict[str, Any]] = []
    axes: dict[str, Any] = {}
    for i, panel in enumerate(panels):
        top = 1 - i * (height + GAP)
        name = "y" if i == 0 else f"y{i + 1}"
        traces += _lines(held, panel, name, own, [each[panel.key] for each in told])
        axes[f"yaxis{name[1:]}"] = {
            "domain": [max(0.0, top - height), top],
            "ticksuffix": panel.suffix,
            "range": _range(panel),
            "zeroline": False,
            "nticks": 5,
        }
    first = axes.pop("yaxis")
    last = "y" if len(panels) == 1 else f"y{len(panels)}"
    x = {"title": spoken(held.turning), "anchor": last, "zeroline": False, **_across(held)}
    drawn = layout(
        heading,
        above=34,
        plot=PANEL * len(panels),
        below=8,
        x=x,
        y=first,
        showlegend=False,
        shapes=_chosen(held),
        annotations=_flags(held, panels),
        **{name: axis(given) for name, given in axes.items()},
    )
    return {"data": traces, "layout": drawn}


@dataclass(frozen=True, kw_only=True, eq=False)
class _Panel:
    """A figure over the thresholds: its values and the ends of their band, the baseline's own value, and what follows a number."""

    key: str
    title: str
    values: Floats
    ends: tuple[Floats, Floats]
    base: float | None = None
    suffix: str = ""


def _panels(held: Curve) -> list[_Panel]:
    nothing = np.full(len(held.values), np.nan)
    quality = _Panel(
        key="quality",
        title="quality (dashed: the baseline)",
        values=100 * held.quality,
        ends=(100 * held.low, 100 * held.high),
        base=100 * held.base_quality,
        suffix=" %",
    )
    cost = _Panel(
        key="cost",
        title="cost ÷ the baseline's cost",
        values=held.ratio,
        ends=(held.ratio_low, held.ratio_high),
        base=1.0,
    )
    title = f"share answered by {held.strongest}"
    shares = _Panel(key="shares", title=title, values=100 * held.strong_share, ends=(nothing, nothing), suffix=" %")
    return [quality, shares] if np.isnan(held.ratio).all() else [quality, cost, shares]


def _range(panel: _Panel) -> list[float]:
    every = np.concatenate([panel.values, *panel.ends, [] if panel.base is None else [panel.base]])
    known = every[np.isfinite(every)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    pad = max(0.08 * (high - low), 0.02 * max(abs(high), 1e-9))
    return [low - pad, high + pad]


def _across(held: Curve) -> dict[str, Any]:
    if held.turning.logarithmic:
        known = held.values[held.values > 0]
        return {"type": "log", "range": [math.log10(known.min()) - 0.03, math.log10(known.max()) + 0.03]}
    low, high = float(held.values.min()), float(held.values.max())
    pad = 0.02 * (high - low or 1)
    return {"range": [low - pad, high + pad], **({"tickformat": ".0%"} if held.turning.knob.unit == "%" else {})}


def _lines(held: Curve, panel: _Panel, y: str, own: Mark, told: Sequence[str]) -> list[dict[str, Any]]:
    # A logarithm has no place for 0.
    x = [None if held.turning.logarithmic and v <= 0 else float(v) for v in held.values]
    low, high = panel.ends
    traces: list[dict[str, Any]] = []
    known = ~np.isnan(low) & np.array([v is not None for v in x])
    if known.any():
        at = np.flatnonzero(known)
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": [x[k] for k in (*at, *at[::-1])],
                "y": [float(v) for v in (*high[at], *low[at][::-1])],
                "yaxis": y,
                "line": {"width": 0},
                "fill": "toself",
                "fillcolor": BAND,
                "hoverinfo": "skip",
            }
        )
    if panel.base is not None and not math.isnan(panel.base):
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": [next(v for v in x if v is not None), x[-1]],
                "y": [panel.base] * 2,
                "yaxis": y,
                "line": {"color": INK, "width": 1.2, "dash": "dash"},
                "hoverinfo": "skip",
            }
        )
    traces.append(
        {
            "type": "scatter",
            "mode": "lines",
            "x": x,
            "y": [None if math.isnan(v) else float(v) for v in panel.values],
            "yaxis": y,
            "line": {"color": own.colour, "width": 2},
            "hoverinfo": "text",
            "hovertext": list(told),
        }
    )
    k = held.nearest(held.chosen)
    if x[k] is not None and not math.isnan(value := panel.values[k]):
        mark = {"color": own.colour, "symbol": own.symbol, "size": 11, "line": {"width": 1, "color": INK}}
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [x[k]],
                "y": [float(value)],
                "yaxis": y,
                "marker": mark,
                "hoverinfo": "text",
                "hovertext": [told[k]],
            }
        )
    return traces


def _told(held: Curve, k: int) -> dict[str, str]:
    """Return what each panel says of a value on hover."""
    value = float(held.values[k])
    at = held.turning.knob.label(value) + (" (chosen)" if value == held.chosen else "")
    most = sorted(range(len(held.models)), key=lambda m: -held.shares[k, m])[:3]
    answering = [f"{held.models[m]} {percent(float(held.shares[k, m]))}" for m in most if held.shares[k, m] > 0]
    return {
        "quality": hover(
            at, f"quality {percent(float(held.quality[k]))}", f"Δ {_delta(held, k)} points", f"n = {held.n:,}"
        ),
        "cost": hover(at, f"{_ratio(held, k)} of the baseline's cost", f"{usd(float(held.cost_usd[k]))} a call"),
        "shares": hover(at, "who answers:", *answering),
    }


def _chosen(held: Curve) -> list[dict[str, Any]]:
    if held.chosen <= 0 and held.turning.logarithmic:
        return []
    line = {"color": INK, "width": 1.2, "dash": "dot"}
    at = held.chosen
    return [{"type": "line", "xref": "x", "x0": at, "x1": at, "yref": "paper", "y0": 0, "y1": 1, "line": line}]


def _flags(held: Curve, panels: Sequence[_Panel]) -> list[dict[str, Any]]:
    font = {"size": 11, "color": INK}
    found: list[dict[str, Any]] = []
    if _chosen(held):
        at = math.log10(held.chosen) if held.turning.logarithmic else held.chosen
        place = {"x": at, "xref": "x", "y": 1, "yref": "paper", "yanchor": "bottom", "showarrow": False}
        words = label(f"chosen: {held.turning.knob.label(held.chosen)}")
        found.append({**place, "text": words, "font": font, "yshift": 16})
    height = (1 - GAP * (len(panels) - 1)) / len(panels)
    corner = {
        "xref": "paper",
        "x": 0,
        "xanchor": "left",
        "yref": "paper",
        "showarrow": False,
        "font": font,
    }
    for i, panel in enumerate(panels):
        found.append({**corner, "y": 1 - i * (height + GAP), "yanchor": "bottom", "text": label(panel.title, 60)})
    return found


def _nothing(heading: Heading) -> dict[str, Any]:
    blank = {"visible": False}
    at = {"xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5, "showarrow": False}
    empty = {"type": "scatter", "x": [None], "y": [None], "showlegend": False, "hoverinfo": "skip"}
    return {
        "data": [empty],
        "layout": layout(heading, plot=110, below=0, x=blank, y=blank, annotations=[{**at, "text": label(NONE, 90)}]),
    }
