"""Which model's answer counted, as a share of each arm's prompts (or calls)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from routelab.core.plan import NOBODY
from routelab.lab.charts.arms import caption, chosen, everyone, left_out, many, sentence, titled
from routelab.lab.charts.calls import Calls
from routelab.lab.charts.chart import Chart
from routelab.lab.charts.look import INK, LEGEND, PALETTE, Heading, hover, label, layout
from routelab.lab.compare import Arm, Comparison
from routelab.present import Table, percent

NONE = "no answer"
OTHERS = "other models"
DRAWN = len(PALETTE)


@dataclass(frozen=True, kw_only=True)
class Share:
    """How many of an arm's n prompts a model answered; NONE stands for nobody."""

    name: str
    model: str
    count: int
    n: int

    @property
    def share(self) -> float:
        """The part of all, 0 to 1."""
        return self.count / self.n


def shares(comparison: Comparison) -> tuple[Share, ...]:
    """Return each arm's shares, largest first; prompts for which the outcome was not recorded do not count."""
    return tuple(s for shown in everyone(comparison) for s in _of(shown.name, _answered(shown.arm, comparison.models)))


def _answered(arm: Arm, models: Sequence[str]) -> Counter[str]:
    walked = arm.walked
    # NOBODY with a quality of 0 is a failure; NOBODY with NaN only says that nothing was recorded.
    known = (walked.model != NOBODY) | ~np.isnan(walked.quality)
    return Counter(NONE if k == NOBODY else models[int(k)] for k in walked.model[known])


def _of(name: str, counts: Mapping[str, int]) -> list[Share]:
    n = sum(counts.values())
    return [
        Share(name=name, model=m, count=c, n=n)
        for m, c in sorted(counts.items(), key=lambda kv: (kv[0] == NONE, -kv[1], kv[0]))
    ]


def mix(comparison: Comparison, *, limit: int = 12) -> Chart:
    """Return the chart of who answered in each arm; `limit` arms are drawn, the table has all.

    Arms that ask one model for everything are not drawn beside arms that route, unless they are the baseline or the winner.
    """
    rows = shares(comparison)
    names = [shown.name for shown in everyone(comparison)]
    routing = {s.name for s in rows if s.model != NONE and s.share < 1}
    drawn = [s.name for s in chosen(comparison, len(names))[0] if s.name in routing or s.role != "arm" or not routing]
    alone, drawn, hidden = len(names) - len(drawn), drawn[:limit], max(0, len(drawn) - limit)
    title = titled("Who answered", comparison.terms.simulated)
    words = caption(
        comparison,
        f"{many(alone, 'arm')} asking one model not drawn" if alone else "",
        left_out(hidden, limit),
        intervals=False,
        costs=False,
    )
    return _chart(rows, names, drawn, title, words, "prompts")


def mix_of_calls(calls: Calls, *, limit: int = 12) -> Chart:
    """Return the same of rows of the log: calls that brought an answer, cache hits among them, the others as "no answer"."""
    # By model every bar would be of one colour; without arms there is one bar of all calls.
    groups = {n: calls.of(n) for n in calls.names} if calls.by == "arm" else {"all calls": calls.calls}
    names = tuple(groups)
    rows = [s for n in names for s in _of(n, Counter((c.model if c.answered else NONE) for c in groups[n]))]
    title = titled("Who answered", calls.simulated)
    words = sentence(f"n = {many(len(calls.calls), 'call')}", left_out(max(0, len(names) - limit), limit))
    return _chart(rows, names, names[:limit], title, words, "calls")


def _chart(
    rows: Sequence[Share], names: Sequence[str], drawn: Sequence[str], title: str, words: str, unit: str
) -> Chart:
    by = {name: [s for s in rows if s.name == name] for name in names}
    table = Table(
        head=("arm", unit, "who answered"),
        rows=[
            (
                name,
                f"{mine[0].n:,}" if mine else "0",
                ", ".join(f"{s.model} {percent(s.share, 0 if s.share >= 0.1 else 1)}" for s in mine) or "?",
            )
            for name, mine in by.items()
        ],
        numbers=frozenset({1}),
        caption=title,
        notes=(words,),
    )
    return Chart(
        kind="mix",
        title=title,
        caption=words,
        table=table,
        draw=lambda: _figure([s for name in drawn for s in by[name]], drawn, Heading(title=title, caption=words), unit),
    )


def _figure(rows: Sequence[Share], names: Sequence[str], heading: Heading, unit: str) -> dict[str, Any]:
    total: Counter[str] = Counter()
    for s in rows:
        if s.model != NONE:
            total[s.model] += s.count
    ranked = [m for m, _ in sorted(total.items(), key=lambda kv: (-kv[1], kv[0]))]
    own = ranked if len(ranked) <= DRAWN else ranked[: DRAWN - 1]
    merged = set(ranked) - set(own)
    series = [(m, PALETTE[i], {m}, "") for i, m in enumerate(own)]
    if merged:
        series.append((f"{len(merged)} {OTHERS}", PALETTE[DRAWN - 1], merged, "."))
    if any(s.model == NONE for s in rows):
        series.append((NONE, INK, {NONE}, "/"))
    return {
        "data": [_bars(name, colour, members, pattern, rows, names, unit) for name, colour, members, pattern in series],
        "layout": layout(
            heading,
            plot=max(38 * len(names), 76),
            below=19 * ((len(series) + 1) // 2) + 6,
            x={
                "range": [0, 100],
                "tickvals": [0, 20, 40, 60, 80, 100],
                "ticktext": [f"{k} %" for k in (0, 20, 40, 60, 80, 100)],
                "ticklabeloverflow": "allow",
                "title": f"share of {unit}",
                "zeroline": False,
                "fixedrange": True,
            },
            y={
                "tickvals": [-i for i in range(len(names))],
                "ticktext": [label(n, 30) for n in names],
                "range": [-len(names) + 0.45, 0.55],
                "showgrid": False,
                "zeroline": False,
                "fixedrange": True,
            },
            barmode="stack",
            bargap=0.32,
            uniformtext={"minsize": 10, "mode": "hide"},
        ),
    }


def _inside(series: str, share: float) -> str:
    """Return what stands in a segment: the name where a narrow chart has room for it, else the share alone, else nothing."""
    said = percent(share, 0)
    return label(f"{series} {said}", 28) if share >= 0.4 else said if share >= 0.07 else ""


def _bars(
    series: str, colour: str, members: set[str], pattern: str, rows: Sequence[Share], names: Sequence[str], unit: str
) -> dict[str, Any]:
    share = [sum(s.share for s in rows if s.name == name and s.model in members) for name in names]
    told = []
    for name in names:
        mine = [s for s in rows if s.name == name and s.model in members]
        told.append(hover(name, *(f"{s.model}: {percent(s.share)} ({s.count:,} of {s.n:,} {unit})" for s in mine[:8])))
    return {
        "type": "bar",
        "orientation": "h",
        "x": [100 * s for s in share],
        "y": [-i for i in range(len(names))],
        "name": label(series, LEGEND),
        "marker": {
            "color": colour,
            "line": {"color": "rgba(128,128,128,0.6)", "width": 0.5},
            **(
                {"pattern": {"shape": pattern, "fgcolor": "rgba(255,255,255,0.6)", "size": 6, "fillmode": "overlay"}}
                if pattern
                else {}
            ),
        },
        "text": [_inside(series, s) for s in share],
        "textposition": "inside",
        "insidetextanchor": "middle",
        "textangle": 0,
        "textfont": {"color": "#ffffff" if colour in ("#0072B2", "#D55E00", "#009E73", INK) else "#111111", "size": 12},
        "constraintext": "inside",
        "hoverinfo": "text",
        "hovertext": told,
    }
