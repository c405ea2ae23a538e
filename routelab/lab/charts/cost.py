"""What calls cost, arm by arm, and how much of it the dearest hundredth makes up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from routelab.core.ports import Floats
from routelab.lab.charts.arms import caption, chosen, everyone, left_out, many, marks_of, sentence, titled
from routelab.lab.charts.calls import Calls, numbers
from routelab.lab.charts.chart import Chart
from routelab.lab.charts.look import Heading, Mark, dollars, marks, scale
from routelab.lab.charts.strip import Strip, Wording, bounds, cell, figure, strip
from routelab.lab.compare import Comparison
from routelab.lab.spread import top_share
from routelab.present import Table, percent, usd

SHARE = 0.01


def cost(comparison: Comparison, *, limit: int = 12, log: bool | None = None) -> Chart:
    """Return the chart of what an arm's prompts cost, every attempt counted; `limit` arms are drawn, the table has all."""
    drawn, hidden = chosen(comparison, limit)
    strips = {shown.name: row(shown.name, shown.arm.walked.cost_usd) for shown in everyone(comparison)}
    title = titled("Cost of a prompt", comparison.terms.simulated)
    words = caption(comparison, _unknown(list(strips.values())), left_out(hidden, limit))
    own = {name: mark for name, mark in marks_of(comparison).items() if name in {s.name for s in drawn}}
    return _chart(list(strips.values()), own, title, words, unit="prompts", log=log)


def cost_of_calls(calls: Calls, *, limit: int = 12, log: bool | None = None) -> Chart:
    """Return the same of rows of the log, one value a call; cache hits and failures that cost nothing are left out."""
    fresh = [c for c in calls.calls if not c.cached]
    asked = [c for c in fresh if c.answered or c.cost_usd]
    strips = [row(name, numbers(c.cost_usd for c in asked if c.name == name)) for name in calls.names]
    strips = [s for s in strips if s.n or s.left_out]
    order = sorted(strips, key=lambda s: -s.n)[:limit]
    kept = [s.name for s in strips if s in order]
    title = titled("Cost of a call", calls.simulated)
    hits, failed = len(calls.calls) - len(fresh), len(fresh) - len(asked)
    words = sentence(
        f"n = {many(len(asked), 'call')} by {calls.by}",
        f"cache hits left out: {hits:,}" if hits else "",
        f"failed calls that cost nothing left out: {failed:,}" if failed else "",
        _unknown(strips),
        left_out(len(strips) - len(kept), limit),
    )
    return _chart(strips, marks(kept), title, words, unit="calls", log=log)


def row(name: str, costs: Floats) -> Strip:
    """Return the strip of costs in USD, with the share of the dearest 1 %."""
    known = costs[~np.isnan(costs)]
    share = top_share(known, SHARE)
    total = float(known.sum())
    detail = "cost not known" if len(known) == 0 else "all free" if total == 0 else f"top 1 %: {percent(share, 0)}"
    note = (
        ""
        if share is None
        else f"the dearest {max(1, int(np.ceil(SHARE * len(known)))):,} of {len(known):,} make up {percent(share)} of {usd(total)}"
    )
    return strip(name, costs, detail=detail, note=note)


def _unknown(strips: Sequence[Strip]) -> str:
    missing = sum(s.left_out for s in strips)
    return f"costs not known: {missing:,}" if missing else ""


def _chart(
    strips: Sequence[Strip], own: Mapping[str, Mark], title: str, words: str, *, unit: str, log: bool | None
) -> Chart:
    shown = [s for s in strips if s.name in own]
    at = scale(bounds(shown), dollars, log=log, zero="free ($0)")
    wording = Wording(
        heading=Heading(title=title, caption=words),
        unit=unit,
        axis="cost, USD",
        head="share of cost",
        tick=dollars,
        say=usd,
        means=True,
    )
    table = Table(
        head=("arm", "n", "mean", "p50 [95 %]", "p95 [95 %]", "total", "top 1 % of calls"),
        rows=[
            (
                s.name,
                f"{s.n:,}" + (f" (+{s.left_out:,} not known)" if s.left_out else ""),
                "?" if s.mean is None else usd(s.mean.value),
                cell(s.middle, usd) if s.n else "?",
                cell(s.p95, usd) if s.n else "?",
                "?" if s.mean is None else usd(s.mean.value * s.n),
                s.detail.removeprefix("top 1 %: "),
            )
            for s in strips
        ],
        numbers=frozenset(range(1, 7)),
        caption=title,
        notes=(words,),
    )
    return Chart(kind="cost", title=title, caption=words, table=table, draw=lambda: figure(shown, own, at, wording))
