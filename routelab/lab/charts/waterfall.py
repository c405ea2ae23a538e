"""From the baseline's cost to an arm's, drawn: what routing, cache, context and prompt saved, and what judging and retries added."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from routelab.lab.charts.arms import caption, everyone, many, marks_of, titled
from routelab.lab.charts.chart import Chart
from routelab.lab.charts.look import INK, Heading, Mark, dollars, hover, label, layout, scale, whiskers
from routelab.lab.charts.savings import PER, Savings, Step, savings
from routelab.lab.compare import Comparison
from routelab.lab.statistics import Estimate
from routelab.present import Table, percent, usd

STEP = "rgba(128,128,128,0.6)"
"""Colours are the arms'; what saves is plain, and what adds has stripes."""


def waterfall(comparison: Comparison, *, arm: str | None = None) -> Chart:
    """Return the chart of what led from the baseline's cost to an arm's (default: the winner, else the first other arm), per 1,000 prompts."""
    held = savings(comparison, arm)
    title = titled(f"What {held.arm} saves against {held.baseline}", comparison.terms.simulated)
    words = caption(comparison, *_said(held), intervals=False)
    own = marks_of(comparison)
    ends = tuple(
        next(item.name for item in everyone(comparison) if item.arm.name == n) for n in (held.baseline, held.arm)
    )
    return Chart(
        kind="waterfall",
        title=title,
        caption=words,
        table=_table(held, title, words),
        draw=lambda: _figure(held, [(name, own[name]) for name in ends], Heading(title=title, caption=words)),
    )


def _said(held: Savings) -> list[str]:
    return [
        f"USD per {PER:,} prompts",
        f"{total_text(held)}" if held.n else "no prompt whose cost is known for both",
        f"costs not known for {many(held.unknown, 'prompt')}, which {'is' if held.unknown == 1 else 'are'} left out"
        if held.unknown
        else "",
        *(f"not separated on {many(count, 'prompt')}: {why}" for why, count in held.unseparated),
    ]


def total_text(held: Savings) -> str:
    """Return the whole difference in words, with its interval and its share of the baseline's cost."""
    if held.total is None:
        return "?"
    value, share = held.total.value, held.total.value / held.base_usd if held.base_usd > 0 else None
    if value == 0:
        return "the same cost"
    what = "saved" if value < 0 else "added"
    part = "" if share is None else f" ({percent(abs(share), 0 if abs(share) >= 0.1 else 1)})"
    return f"{usd(abs(value))} {what}{part}{_ends(held.total, -1 if value < 0 else 1)}"


def _ends(total: Estimate, sign: int) -> str:
    if total.low is None or total.high is None:
        return ", no interval"
    low, high = sorted((sign * total.low, sign * total.high))
    return f", 95 % from {usd(low)} to {usd(high)}"


def change(value: float) -> str:
    """Return a change of cost with its sign.

    >>> change(-0.25), change(0.001)
    ('−$0.25', '+$0.00100')
    """
    return usd(value) if value < 0 else f"+{usd(value)}"


def _table(held: Savings, title: str, words: str) -> Table:
    rows = [(f"{held.baseline} (baseline)", usd(held.base_usd), "", f"{held.n:,}", "what the baseline cost")]
    rows += [(s.name, change(s.usd), _share(s.usd, held), f"{s.prompts:,}", s.says) for s in held.steps]
    if held.n and not held.steps:
        rows.append(("nothing", "$0", "", f"{held.n:,}", "no cost differs"))
    rows.append((held.arm, usd(held.arm_usd), "", f"{held.n:,}", "what the arm cost"))
    rows.append(("in all", *_all(held), f"{held.n:,}", total_text(held)))
    return Table(
        head=("step", f"USD per {PER:,} prompts", "of baseline", "prompts", "what it is"),
        rows=rows,
        numbers=frozenset({1, 2, 3}),
        caption=title,
        notes=(words,),
    )


def _all(held: Savings) -> tuple[str, str]:
    return ("?", "") if held.total is None else (change(held.total.value), _share(held.total.value, held))


def _share(value: float, held: Savings) -> str:
    if not held.base_usd > 0:
        return ""
    share = percent(abs(value) / held.base_usd)
    return f"{'−' if value < 0 else '+'}{share}"


def _figure(held: Savings, ends: Sequence[tuple[str, Mark]], heading: Heading) -> dict[str, Any]:
    (base, base_mark), (arm, arm_mark) = ends
    names = [label(base), *(label(s.name) for s in held.steps), label(arm)]
    last = len(names) - 1
    traces: list[dict[str, Any]] = []
    if held.n:
        traces.append(_whole(0, held.base_usd, base_mark, base, held.n))
        traces += _steps(held)
        traces.append(_whole(-last, held.arm_usd, arm_mark, arm, held.n, held))
    highest, lowest = _reach(held)
    # The amounts stand right of the bars.
    x = {
        **_axis(lowest, highest),
        "title": f"USD per {PER:,} prompts",
        "zeroline": True,
    }
    return {
        "data": traces or [{"type": "scatter", "x": [None], "y": [None], "showlegend": False, "hoverinfo": "skip"}],
        "layout": layout(
            heading,
            plot=max(38 * len(names), 114),
            below=0,
            x=x,
            y={
                "tickvals": [-i for i in range(len(names))],
                "ticktext": names,
                "range": [-last - 0.6, 0.6],
                "showgrid": False,
                "zeroline": False,
                "fixedrange": True,
            },
            bargap=0.35,
            showlegend=False,
            shapes=_threads(held),
            annotations=_amounts(held),
        ),
    }


def _runs(held: Savings) -> list[tuple[Step, float, float]]:
    """Return each step with where it starts and ends."""
    found, at = [], held.base_usd
    for step in held.steps:
        found.append((step, at, at + step.usd))
        at += step.usd
    return found


def _reach(held: Savings) -> tuple[float, float]:
    if not held.n:
        return 1.0, 0.0
    values = [held.base_usd, held.arm_usd, *(end for _, _, end in _runs(held))]
    if held.total is not None and held.total.interval is not None:
        values += [held.base_usd + v for v in held.total.interval]
    return max(values) or 1.0, min(0.0, *values)


def _axis(low: float, high: float) -> dict[str, Any]:
    axis = dict(scale([high, abs(low)], dollars, log=False).axis)
    span = high - low
    axis["range"] = [low - (0.12 * span if low < 0 else 0.0), high + 0.2 * span]
    if low < 0:
        step = axis["tickvals"][1]
        extra = [-step * k for k in range(1, 31)]
        axis["tickvals"] = [*extra, *axis["tickvals"]]
        axis["ticktext"] = [*(label(f"−{dollars(-v)}") for v in extra), *axis["ticktext"]]
    return axis


def _whole(y: int, value: float, mark: Mark, name: str, n: int, held: Savings | None = None) -> dict[str, Any]:
    told = hover(name, f"{usd(value)} per {PER:,} prompts", total_text(held) if held else "", f"n = {n:,} prompts")
    bar: dict[str, Any] = {
        "type": "bar",
        "orientation": "h",
        "x": [value],
        "y": [y],
        "marker": {"color": mark.colour},
        "hoverinfo": "text",
        "hovertext": [told],
    }
    if held is not None and held.total is not None and held.total.low is not None and held.total.high is not None:
        ends = (held.base_usd + held.total.low, held.base_usd + held.total.high)
        bar["error_x"] = whiskers([value], [ends], INK, thickness=1.6, width=6)
    return bar


def _steps(held: Savings) -> list[dict[str, Any]]:
    found = []
    for k, (step, start, end) in enumerate(_runs(held), 1):
        unclear = step.name == "not separated"
        found.append(
            {
                "type": "bar",
                "orientation": "h",
                "base": [min(start, end)],
                "x": [abs(end - start)],
                "y": [-k],
                "marker": {
                    "color": STEP,
                    "line": {"width": 1, "color": INK},
                    "pattern": {
                        "shape": "x" if unclear else "/" if step.usd > 0 else "",
                        "fgcolor": INK,
                        "size": 7,
                        "fillmode": "overlay",
                    },
                },
                "hoverinfo": "text",
                "hovertext": [
                    hover(
                        f"{step.name}: {change(step.usd)} per {PER:,} prompts",
                        step.says,
                        f"{_share(step.usd, held)} of the baseline's cost" if held.base_usd > 0 else "",
                        f"on {many(step.prompts, 'prompt')} of {held.n:,}",
                    )
                ],
            }
        )
    return found


def _threads(held: Savings) -> list[dict[str, Any]]:
    """Return the thin lines from each bar's end to the next bar."""
    if not held.n:
        return []
    ends = [held.base_usd, *(end for _, _, end in _runs(held))]
    line = {"color": "rgba(128,128,128,0.6)", "width": 1, "dash": "dot"}
    return [
        {"type": "line", "x0": v, "x1": v, "y0": -i, "y1": -i - 1, "line": line, "layer": "below"}
        for i, v in enumerate(ends)
    ]


def _amounts(held: Savings) -> list[dict[str, Any]]:
    def amount(x: float, y: int, text: str) -> dict[str, Any]:
        font = {"size": 12, "color": INK}
        return {"x": x, "y": y, "text": label(text), "xanchor": "left", "xshift": 6, "showarrow": False, "font": font}

    if not held.n:
        return []
    high = held.arm_usd
    if held.total is not None and held.total.high is not None:
        high = held.base_usd + held.total.high
    return [
        amount(held.base_usd, 0, usd(held.base_usd)),
        *(amount(max(start, end), -k, change(step.usd)) for k, (step, start, end) in enumerate(_runs(held), 1)),
        amount(max(held.arm_usd, high), -len(held.steps) - 1, usd(held.arm_usd)),
    ]
