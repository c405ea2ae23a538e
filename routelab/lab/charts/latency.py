"""How long people wait, arm by arm: the distribution with p50 and p95, or "n too small" where a quantile has no interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from routelab.lab.charts.arms import caption, chosen, everyone, left_out, many, marks_of, sentence, titled
from routelab.lab.charts.calls import Call, Calls, numbers
from routelab.lab.charts.chart import Chart
from routelab.lab.charts.look import Heading, Mark, duration, marks, scale
from routelab.lab.charts.strip import Strip, Wording, bounds, cell, figure, strip
from routelab.lab.compare import Comparison
from routelab.lab.statistics import Estimate
from routelab.present import Table, seconds


def latency(comparison: Comparison, *, limit: int = 12, log: bool | None = None) -> Chart:
    """Return the chart of seconds from prompt to answer, all attempts one after the other; the table has all arms."""
    drawn, hidden = chosen(comparison, limit)
    strips = [_row(strip(shown.name, shown.arm.walked.latency_s)) for shown in everyone(comparison)]
    title = titled("Latency of a prompt", comparison.terms.simulated)
    words = caption(comparison, _unknown(strips), left_out(hidden, limit), costs=False)
    own = {name: mark for name, mark in marks_of(comparison).items() if name in {s.name for s in drawn}}
    return _chart(strips, own, title, words, unit="prompts", log=log)


def latency_of_calls(calls: Calls, *, limit: int = 12, log: bool | None = None) -> Chart:
    """Return the same of rows of the log, one value a call.

    Cache hits are left out, for they say nothing about a model. A call that timed out counts with the time at which it was given
    up, which is less than it would have taken; other failures ended early and are left out.
    """
    counted = [c for c in calls.calls if not c.cached and (c.answered or c.timed_out)]
    strips = [_row(strip(name, numbers(c.latency_s for c in counted if c.name == name))) for name in calls.names]
    strips = [s for s in strips if s.n or s.left_out]
    order = sorted(strips, key=lambda s: -s.n)[:limit]
    kept = [s.name for s in strips if s in order]
    title = titled("Latency of a call", calls.simulated)
    words = sentence(*_said(calls.calls, counted, calls.by), _unknown(strips), left_out(len(strips) - len(kept), limit))
    return _chart(strips, marks(kept), title, words, unit="calls", log=log)


def _said(every: Sequence[Call], counted: Sequence[Call], by: str) -> list[str]:
    hits = sum(c.cached for c in every)
    failed = len(every) - hits - len(counted)
    late = sum(c.timed_out for c in counted)
    return [
        f"n = {many(len(counted), 'call')} by {by}",
        f"cache hits left out: {hits:,}" if hits else "",
        f"failed calls left out: {failed:,}" if failed else "",
        f"timed out, counted with the time until they were given up: {late:,}" if late else "",
    ]


def _row(s: Strip) -> Strip:
    detail = "not recorded" if s.n == 0 else f"{_short(s.middle)} / {_short(s.p95)}"
    return Strip(**{**s.__dict__, "detail": detail})


def _short(estimate: Estimate | None) -> str:
    return "n small" if estimate is None else seconds(estimate.value)


def _unknown(strips: Sequence[Strip]) -> str:
    missing = sum(s.left_out for s in strips)
    return f"times not known: {missing:,}" if missing else ""


def _chart(
    strips: Sequence[Strip], own: Mapping[str, Mark], title: str, words: str, *, unit: str, log: bool | None
) -> Chart:
    shown = [s for s in strips if s.name in own]
    at = scale(bounds(shown), duration, log=log, zero="0 s")
    wording = Wording(
        heading=Heading(title=title, caption=words),
        unit=unit,
        axis="seconds",
        head="p50 / p95",
        tick=duration,
        say=seconds,
        means=False,
    )
    table = Table(
        head=("arm", "n", "p50 [95 %]", "p95 [95 %]", "fastest", "slowest"),
        rows=[
            (
                s.name,
                f"{s.n:,}" + (f" (+{s.left_out:,} not known)" if s.left_out else ""),
                cell(s.middle, seconds) if s.n else "?",
                cell(s.p95, seconds) if s.n else "?",
                seconds(min(s.dots, default=math.nan)),
                seconds(max(s.dots, default=math.nan)),
            )
            for s in strips
        ],
        numbers=frozenset(range(1, 6)),
        caption=title,
        notes=(words, *_small(strips)),
    )
    return Chart(kind="latency", title=title, caption=words, table=table, draw=lambda: figure(shown, own, at, wording))


def _small(strips: Sequence[Strip]) -> tuple[str, ...]:
    few = any(s.n and (s.middle is None or s.p95 is None) for s in strips)
    return ("n too small: a 95 % interval needs 6 values for p50 and 72 for p95",) if few else ()
