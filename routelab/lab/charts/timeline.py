"""Context policies over one conversation: what every request was made of, where it was folded, and which facts lived on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from routelab.lab.charts.arms import many, sentence, titled
from routelab.lab.charts.chart import Chart
from routelab.lab.charts.look import INK, Heading, axis, hover, key, label, labels, layout, scale
from routelab.lab.charts.tokens import amount
from routelab.lab.contexts.timeline import Moment, State, Timeline
from routelab.present import Table, percent, tokens, usd

BARS, CELL, GAP, HEAD = 132, 13, 26, 48
"""Pixels: the height of a policy's bars, of a fact's row, between policies, and of a policy's heading."""
MADE: Mapping[str, tuple[str, str, str]] = {
    "kept": ("#0072B2", "", "sent as it was said"),
    "note": ("#009E73", "", "sent as a note (summary, quoted facts)"),
    "summarised": ("rgba(0,158,115,0.20)", "", "not sent: told by the note"),
    "dropped": ("rgba(128,128,128,0.28)", "x", "not sent: left out"),
}
STATES: Mapping[State, tuple[str, str, str]] = {
    "verbatim": ("#0072B2", "", "its own message is sent"),
    "note": ("#009E73", "n", "the note tells it"),
    "stale": ("#E69F00", "!", "only what was corrected is told"),
    "lost": ("#D55E00", "×", "lost"),
}
FACTS = 14


@dataclass(frozen=True, kw_only=True, eq=False)
class Timelines:
    """Policies over the same conversation, in their order."""

    items: tuple[Timeline, ...]

    @property
    def simulated(self) -> bool:
        """Whether a summary was written by no real model."""
        return any(t.simulated for t in self.items)

    def table(self) -> Table:
        """Return one row a policy: tokens, summaries, and the facts held at the end, with those that were lost by name."""
        facts = any(t.dialogue.facts for t in self.items)
        told = ("facts held", "lost") if facts else ()
        return Table(
            head=("policy", "requests", "input tokens", "saved", *told, "summaries", "largest request"),
            rows=[_cells(t, facts=facts) for t in self.items],
            numbers=frozenset((1, 2, 3, 4, 7) if facts else (1, 2, 3, 5)),
            caption="policies over the same conversation" + (" (summaries simulated)" if self.simulated else ""),
            notes=(
                "saved: input tokens against sending everything, what the summariser reads counted; facts held: when each is asked for at the end "
                "(in a log: at its last request)",
            ),
        )


def context_timeline(shown: Timelines) -> Chart:
    """Return the chart: for each policy a bar a request (sent above what was not), its lines and folds, and below them a row a fact."""
    title = titled(f"Context of {shown.items[0].dialogue.id}" if shown.items else "Context", shown.simulated)
    words = sentence(*_said(shown))
    heading = Heading(title=title, caption=words)
    return Chart(
        kind="context timeline",
        title=title,
        caption=words,
        table=shown.table(),
        draw=lambda: _figure(shown.items, heading),
    )


def _said(shown: Timelines) -> list[str]:
    if not shown.items:
        return ["no policy was chosen"]
    first = shown.items[0]
    facts, asked = first.dialogue.facts, any(t.probes for t in shown.items)
    return [
        f"{many(len(first.moments), 'request')}, {many(len(first.dialogue.messages), 'message')}",
        f"{many(len(facts), 'fact')}" + (", asked for at the end (last column)" if asked else "")
        if facts
        else "no facts are known of it",
        f"the first {FACTS} facts are drawn" if len(facts) > FACTS else "",
        "the summariser is simulated: it shows how the policy behaves, not how well a model summarises"
        if shown.simulated
        else "",
    ]


def held_text(t: Timeline) -> str:
    """Return how many facts were held at the end, and that all were lost where they were."""
    states = t.states
    if not states:
        return "–"
    held = sum(s in ("verbatim", "note") for s in states)
    return f"{held} of {len(states)}" + (" (all lost)" if held == 0 else "")


def lost_text(t: Timeline, most: int = 4) -> str:
    """Return the facts that were lost, by what was said."""
    lost = t.lost
    if not lost:
        return "–" if t.states else ""
    names = [f"{f.answer} ({f.how})" for f in lost[:most]]
    return ", ".join(names) + (f" and {len(lost) - most} more" if len(lost) > most else "")


def _cells(t: Timeline, *, facts: bool) -> tuple[str, ...]:
    read, wrote = t.summary_tokens
    unsent = sum(not m.sent for m in t.moments)
    largest = max((m.after or 0 for m in t.moments), default=0)
    count = len(t.paid)
    return (
        t.name,
        f"{len(t.moments):,}" + (f" ({unsent:,} did not fit)" if unsent else ""),
        tokens(t.tokens),
        percent(t.saved),
        *((held_text(t), lost_text(t)) if facts else ()),
        f"{count:,}: {tokens(read)} read + {tokens(wrote)} written, {usd(t.cost_usd)}" if count else "–",
        f"{largest:,}",
    )


def _figure(items: Sequence[Timeline], heading: Heading) -> dict[str, Any]:
    facts = [min(FACTS, len(t.dialogue.facts)) for t in items]
    heights = [HEAD + BARS + (6 + CELL * n if n else 0) for n in facts]
    whole = max(1, sum(heights) + GAP * max(0, len(items) - 1))
    drawn = layout(
        heading,
        plot=whole,
        below=48,
        x=_requests(items),
        y={"visible": False},
        barmode="stack",
        bargap=0.18,
        showlegend=True,
        shapes=[],
        annotations=[],
    )
    top = max((_tall(m) for t in items for m in t.moments), default=1) * 1.08
    data: list[dict[str, Any]] = []
    used: set[str] = set()
    at = 0.0
    number = 1
    for t, n, height in zip(items, facts, heights, strict=True):
        bars = (1 - (at + HEAD + BARS) / whole, 1 - (at + HEAD) / whole)
        name = "y" if number == 1 else f"y{number}"
        place = {
            **scale([top], amount, log=False).axis,
            "range": [0, top],
            "domain": list(bars),
            "anchor": "x",
            "title": "tokens",
            "zeroline": False,
        }
        drawn[f"yaxis{'' if number == 1 else number}"] = axis(place)
        data += _bars(t, name, used) + _folds(t, name, used)
        drawn["shapes"] += _lines(t, name, top)
        drawn["annotations"] += [_heading(t, 1 - at / whole), *_limits(t, name, top)]
        number += 1
        if n:
            cells = (1 - (at + height) / whole, bars[0] - 6 / whole)
            drawn[f"yaxis{number}"] = axis(_rows(t, n, cells))
            data.append(_heat(t, n, f"y{number}"))
            number += 1
        at += height + GAP
    states = {s for t in items for s in (*t.states, *(s for m in t.moments for s in m.states))}
    data += [_square(state) for state in STATES if state in states]
    return {"data": data, "layout": drawn}


def _requests(items: Sequence[Timeline]) -> dict[str, Any]:
    """Return the axis of requests, below everything, with a place for the questions at the end."""
    wide = max((len(t.moments) for t in items), default=1)
    step = 1 if wide <= 12 else 5 if wide <= 60 else 10
    ticks = list(range(step, wide + 1, step))
    asked = [wide + 2] if any(t.probes for t in items) else []
    return {
        "title": "request",
        "range": [0.3, wide + (2.7 if asked else 0.7)],
        "tickvals": [*ticks, *asked],
        "ticktext": [*map(str, ticks), *(["asked"] if asked else [])],
        "anchor": "free",
        "position": 0,
        "zeroline": False,
        "showgrid": False,
    }


def _tall(m: Moment) -> int:
    return m.kept + m.note + m.summarised + m.dropped


def _numbers(t: Timeline) -> list[int]:
    return list(range(1, len(t.moments) + 1))


def _bars(t: Timeline, axis_name: str, used: set[str]) -> list[dict[str, Any]]:
    found = []
    for part, (colour, pattern, says) in MADE.items():
        values = [getattr(m, part) if m.sent or part == "dropped" else 0 for m in t.moments]
        if not any(values):
            continue
        found.append(
            {
                "type": "bar",
                "x": _numbers(t),
                "y": values,
                "yaxis": axis_name,
                "name": says,
                "legendgroup": part,
                "showlegend": part not in used,
                "marker": {
                    "color": colour,
                    "line": {"width": 0},
                    "pattern": {"shape": pattern, "fgcolor": "rgba(128,128,128,0.5)", "size": 5, "fillmode": "overlay"},
                },
                "hoverinfo": "text",
                "hovertext": [_told(t, i, m) for i, m in enumerate(t.moments, 1)],
            }
        )
        used.add(part)
    return found


def _told(t: Timeline, number: int, m: Moment) -> str:
    return hover(
        f"{t.name}, request {number}: {m.end} messages",
        f"sent {tokens(m.after)} of {tokens(m.before)} tokens" if m.sent else "not sent",
        f"note {m.note:,} tokens" if m.note else "",
        f"told by the note {m.summarised:,}, left out {m.dropped:,}" if m.summarised or m.dropped else "",
        f"trigger {m.trigger:,.0f}" if m.trigger is not None else "",
        f"limit {m.limit:,}" if m.limit is not None else "",
        f"summaries written now: {len(m.paid)}" if m.paid else "",
        m.error,
    )


def _folds(t: Timeline, axis_name: str, used: set[str]) -> list[dict[str, Any]]:
    """Return the marks of requests for which a summary was written, or that were not sent."""
    found = []
    folds = [(i, m) for i, m in enumerate(t.moments, 1) if m.paid]
    failed = [(i, m) for i, m in enumerate(t.moments, 1) if not m.sent or m.error]
    for kind, rows, symbol, says in (
        ("fold", folds, "triangle-down", "folded: a summary was written"),
        ("trouble", failed, "x", "not sent, or not as the policy wanted"),
    ):
        if rows:
            found.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "x": [i for i, _ in rows],
                    "y": [_tall(m) * 1.02 for _, m in rows],
                    "yaxis": axis_name,
                    "name": says,
                    "legendgroup": kind,
                    "showlegend": kind not in used,
                    "cliponaxis": False,
                    "marker": {
                        "symbol": symbol,
                        "size": 9,
                        "color": "#D55E00" if kind == "trouble" else "#E69F00",
                        "line": {"width": 1, "color": INK},
                    },
                    "hoverinfo": "text",
                    "hovertext": [_fold(i, m) for i, m in rows],
                }
            )
            used.add(kind)
    return found


def _fold(number: int, m: Moment) -> str:
    read = sum(s.tokens.input or 0 for s in m.paid)
    wrote = sum(s.tokens.output or 0 for s in m.paid)
    costs = [s.cost_usd for s in m.paid]
    cost = None if None in costs else sum(c or 0.0 for c in costs)
    return hover(
        f"request {number}",
        f"{m.paid[0].model} read {read:,} and wrote {wrote:,} tokens, {usd(cost)}" if m.paid else "",
        m.error,
    )


def _levels(t: Timeline) -> list[tuple[str, float, str]]:
    """Return the lines of a policy: the limit that it keeps, the trigger, and the model's window."""
    last = t.moments[-1] if t.moments else None
    found: list[tuple[str, float, str]] = []
    if last is not None and last.trigger is not None:
        found.append(("trigger", last.trigger, "dot"))
    if last is not None and last.limit is not None and last.limit != t.window:
        found.append(("limit", float(last.limit), "dash"))
    if t.window is not None:
        found.append(("window", float(t.window), "solid"))
    return found


def _lines(t: Timeline, axis_name: str, top: float) -> list[dict[str, Any]]:
    return [
        {
            "type": "line",
            "xref": "x",
            "x0": 0.4,
            "x1": len(t.moments) + 0.6,
            "yref": axis_name,
            "y0": value,
            "y1": value,
            "line": {"color": INK, "width": 1.4, "dash": dash},
        }
        for _, value, dash in _levels(t)
        if value <= top
    ]


def _limits(t: Timeline, axis_name: str, top: float) -> list[dict[str, Any]]:
    return [
        {
            "x": 0.5,
            "xref": "x",
            "y": value,
            "yref": axis_name,
            "text": label(f"{name} {value:,.0f}", 30),
            "showarrow": False,
            "xanchor": "left",
            "yanchor": "top" if name == "trigger" else "bottom",
            "font": {"size": 10, "color": INK},
        }
        for name, value, _ in _levels(t)
        if value <= top
    ]


def _heading(t: Timeline, y: float) -> dict[str, Any]:
    read = t.summary_tokens[0]
    parts = [
        f"{tokens(t.tokens)} input tokens",
        f"{percent(t.saved)} saved" if t.saved else "",
        f"{len(t.paid)} summaries (read {tokens(read)}, cost {usd(t.cost_usd)})" if t.paid else "",
        *(f"{name} {value:,.0f}" for name, value, _ in _levels(t) if value > _tallest(t)),
    ]
    facts = [f"facts held {held_text(t)}" if t.states else "", f"lost: {lost_text(t, 2)}" if t.lost else ""]
    told = "<br>".join(label("; ".join(p for p in line if p), 110) for line in (parts, facts))
    return {
        "x": 0,
        "xref": "paper",
        "y": y,
        "yref": "paper",
        "text": f"<b>{label(t.name, 60)}</b><br>{told}",
        "showarrow": False,
        "xanchor": "left",
        "yanchor": "top",
        "align": "left",
        "font": {"size": 11, "color": INK},
    }


def _tallest(t: Timeline) -> float:
    return max((_tall(m) for m in t.moments), default=1) * 1.08


def _rows(t: Timeline, n: int, domain: tuple[float, float]) -> dict[str, Any]:
    return {
        "domain": list(domain),
        "anchor": "x",
        "tickvals": [-i for i in range(n)],
        "ticktext": labels([f.answer for f in t.dialogue.facts[:n]], 18),
        "tickfont": {"size": 10},
        "range": [-n + 0.5, 0.5],
        "showgrid": False,
        "zeroline": False,
        "fixedrange": True,
    }


def _heat(t: Timeline, n: int, axis_name: str) -> dict[str, Any]:
    """Return the facts' rows: a cell a request, and after a gap one for when the fact is asked for at the end."""
    order = list(STATES)
    columns: list[tuple[float, Sequence[State], str]] = [
        (float(i), m.states, f"request {i}") for i, m in enumerate(t.moments, 1)
    ]
    nothing: State = ""
    blank: tuple[State, ...] = tuple(nothing for _ in range(n))
    # A column without anything sets what is asked at the end apart.
    columns += (
        [(len(t.moments) + 1.0, blank, ""), (len(t.moments) + 2.0, t.states, "asked for at the end")]
        if t.probes
        else []
    )
    share = 1 / len(order)
    colours = [[k, STATES[s][0]] for i, s in enumerate(order) for k in (i * share, (i + 1) * share)]
    cells = [[states[i] if i < len(states) else "" for _, states, _ in columns] for i in range(n)]
    return {
        "type": "heatmap",
        "x": [x for x, _, _ in columns],
        "y": [-i for i in range(n)],
        "z": [[None if s == "" else order.index(s) for s in row] for row in cells],
        "text": [["" if s == "" else STATES[s][1] for s in row] for row in cells],
        "texttemplate": "%{text}",
        "textfont": {"size": 9, "color": "#fff"},
        "zmin": -0.5,
        "zmax": len(order) - 0.5,
        "colorscale": colours,
        "showscale": False,
        "xgap": 1,
        "ygap": 1,
        "yaxis": axis_name,
        "hoverongaps": False,
        "hoverinfo": "text",
        "hovertext": [
            [
                hover(f.question or f.answer, f"{where}: {STATES[s][2]}", f"said {f.how}: {f.answer}") if s else ""
                for (_, _, where), s in zip(columns, row, strict=True)
            ]
            for f, row in zip(t.dialogue.facts, cells, strict=False)
        ],
    }


def _square(state: State) -> dict[str, Any]:
    colour, mark, says = STATES[state]
    named = f"fact: {says}" + (f" ({mark})" if mark else "")
    return key(named, mode="markers", marker={"symbol": "square", "size": 10, "color": colour})
