"""What caches did, out of the log: by arm, the latest hits with whose answer was given, the latest misses with what was objected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from routelab.lab.charts import Chart
from routelab.lab.charts.cachehits import Arrivals, cache_hits
from routelab.lab.desk import Desk
from routelab.lab.job import Job
from routelab.panels.later import later
from routelab.panels.panel import Panel
from routelab.panels.parts import Guard, Line, Picture, button, column, html, put, row
from routelab.present import Table, bundle, escape, note, percent, seconds, usd

Query = Callable[..., list[tuple[Any, ...]]]

ROWS = 20
MOST = 100_000
"""How many runs a chart over time is made of, the latest."""
SAYS = "Answers that were remembered: how often a cache was asked, how often it answered, what that saved."
EMPTY = "No run has asked a cache yet: `cache: {exact: true}` in an arm's config turns the exact cache on."
LOOK = (
    "<style>.rl.rl-did table{width:100%}.rl.rl-did td{overflow-wrap:anywhere}"
    ".rl.rl-did td:first-child,.rl.rl-did td:nth-child(3){white-space:nowrap}</style>"
)
# A run may have asked two caches and missed both; it counts once.
# A refresh of a stale answer is nobody's request.
_OWN = "r.run_id in (select run_id from events where kind in ('recalled', 'missed')) and try(r.tags ->> '$.revalidates') is null"
_ARMS = f"""
    select coalesce(r.arm, ''), count(*), count(*) filter (r.cached),
           count(*) filter (h.cache = 'exact'), count(*) filter (h.cache = 'semantic'), count(*) filter (h.stale),
           sum(h.saved_usd) filter (not h.stale), count(*) filter (h.run_id is not null and h.saved_usd is null and not h.stale),
           quantile_cont(r.latency_s, 0.5) filter (r.cached), quantile_cont(r.latency_s, 0.5) filter (not r.cached), bool_or(r.simulated)
    from runs r left join cache_hits h using (run_id)
    where {_OWN} group by 1 order by 3 desc, 1
"""
_HITS = f"""
    select started_at, arm, cache, similarity, age_s, stale, model, saved_usd, asked, known, simulated
    from cache_hits order by started_at desc, run_id limit {ROWS}
"""
# Of a run that missed two levels the semantic one says more.
_MISSES = f"""
    select started_at, arm, cache, nearest, objection, why, asked, known, simulated from cache_misses
    where run_id not in (select run_id from cache_hits) and run_id in (select r.run_id from runs r where {_OWN})
    qualify row_number() over (partition by run_id order by nearest is null, cache desc) = 1
    order by started_at desc, run_id limit {ROWS}
"""
_LEVELS = f"""
    select epoch_us(r.started_at) / 1e6, case when h.run_id is null then 'miss' when h.stale then 'stale' else coalesce(h.cache, 'exact') end,
           r.simulated
    from runs r left join cache_hits h using (run_id)
    where {_OWN} order by r.started_at desc limit {MOST}
"""


def tables(query: Query) -> tuple[Table, ...]:
    """Return what caches did as tables: by arm, the latest hits, the latest misses; empty ones are left out."""
    return tuple(table for table in (arms(query), hits(query), misses(query)) if table.rows)


def arms(query: Query) -> Table:
    """Return one row an arm that has asked a cache."""
    rows = [
        (
            (arm or "–") + _made(simulated),
            f"{asked:,}",
            f"{found:,}",
            percent(found / asked),
            f"{exact:,} + {semantic:,}",
            f"{stale:,}",
            usd(saved if found else 0.0) + (f" ({unknown:,} unpriced)" if unknown else ""),
            seconds(hit),
            seconds(miss),
        )
        for arm, asked, found, exact, semantic, stale, saved, unknown, hit, miss, simulated in query(_ARMS)
    ]
    head = ("arm", "asked", "hits", "hit rate", "exact + semantic", "stale", "saved", "wait of a hit", "of a miss")
    return Table(
        head=head, rows=rows, numbers=frozenset(range(1, 9)), caption="what caches did, by arm; waits are medians"
    )


def hits(query: Query) -> Table:
    """Return the latest hits, with the question that the answer was given to."""
    found = query(_HITS)
    every = _all_made([row[-1] for row in found])
    rows = [
        (
            f"{at:%m-%d %H:%M:%S}",
            (arm or "–") + ("" if every else _made(simulated)),
            cache or "?",
            _cosine(like if cache != "exact" else 1.0),
            age(old) + (", stale" if stale else ""),
            usd(saved),
            _line(asked),
            "the same" if known == asked and asked is not None else _line(known),
        )
        for at, arm, cache, like, old, stale, _model, saved, asked, known, simulated in found
    ]
    head = ("when (UTC)", "arm", "cache", "similarity", "age", "saved", "asked", "answered with the answer to")
    return Table(head=head, rows=rows, numbers=frozenset((3, 4, 5)), caption="the latest hits" + every)


def misses(query: Query) -> Table:
    """Return the latest misses, with the nearest question that was known and what spoke against it."""
    found = query(_MISSES)
    every = _all_made([row[-1] for row in found])
    rows = [
        (
            f"{at:%m-%d %H:%M:%S}",
            (arm or "–") + ("" if every else _made(simulated)),
            _cosine(nearest) if nearest is not None else "–",
            " ".join(part for part in (objection, why) if part) or ("not known" if nearest is None else "too far"),
            _line(asked),
            _line(known) if known else "–",
        )
        for at, arm, _cache, nearest, objection, why, asked, known, simulated in found
    ]
    head = ("when (UTC)", "arm", "nearest", "why not", "asked", "the nearest entry")
    return Table(head=head, rows=rows, numbers=frozenset({2}), caption="the latest misses" + every)


def over_time(query: Query) -> Chart:
    """Return the chart of who answered over time, of all runs that asked a cache."""
    rows = query(_LEVELS)[::-1]
    arrivals = Arrivals(
        name="this log",
        about=f"{len(rows):,} runs that asked a cache",
        level=[level for _, level, _ in rows],
        at_s=np.array([at for at, _, _ in rows], dtype=float),
        clock=True,
        simulated=any(made for _, _, made in rows),
    )
    return cache_hits(arrivals)


def age(value: float | None) -> str:
    """Return an age in the largest unit that fits, "?" when it is not known.

    >>> age(90), age(7200), age(None)
    ('90 s', '2.0 h', '?')
    """
    if value is None:
        return "?"
    if value < 600:
        return seconds(value)
    for unit, size in (("min", 60), ("h", 3600)):
        if value < 60 * size and value < 172_800:
            return f"{value / size:.1f} {unit}"
    return f"{value / 3600:.1f} h" if value < 172_800 else f"{value / 86_400:.1f} days"


def _all_made(simulated: Sequence[bool | None]) -> str:
    return " (all simulated)" if simulated and all(simulated) else ""


def _made(simulated: bool | None) -> str:
    return " (simulated)" if simulated else ""


def _cosine(value: float | None) -> str:
    return "?" if value is None else f"{value:.3f}"


def _line(text: str | None) -> str:
    return "?" if text is None else " ".join(text.split())[:160]


class Did:
    """The part of the tab that shows what caches did."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.jobs: list[Job] = []
        self.shown: Sequence[Table] = ()
        self.line, self._body, self.picture = Line(), html(), Picture()
        guard = self._guard = Guard(self.line)
        self.refresh = button("Refresh", "read the log again", icon="refresh")
        self.chart = button("Over time", "who answered, over time: exact, semantic, stale, a model", icon="area-chart")
        live = column(row(self.refresh, self.chart), self.line.widget, self.picture.widget, self._body)
        self.panel = Panel(live, self.still, name="cache: log")
        self.refresh.on_click(guard(lambda _: self.renew()))
        self.chart.on_click(guard(self._draw))
        desk.hear("log", guard(self.renew))
        guard(self.renew)()

    def renew(self) -> None:
        """Read the log again."""
        self.shown = tables(self.desk.lab.log.query)
        self.chart.disabled = not self.shown
        body = "".join(table.html() for table in self.shown) or f"<div>{escape(EMPTY)}</div>"
        put(self._body, f"{LOOK}{note(SAYS)}{body}", more="rl-did")
        self.panel.refresh()

    def _draw(self, _: Any) -> None:
        def drawn(chart: Chart) -> None:
            self.line.say("")
            self.picture.show(chart)

        self.line.say("drawing …")
        self.jobs.append(later("cache: chart", lambda: over_time(self.desk.lab.log.query), drawn, self._guard))

    def still(self) -> dict[str, str]:
        """Return what is shown now as text and HTML."""
        return bundle(SAYS, *(self.shown or (EMPTY,)))
