"""What was fitted, out of the log: every conversation that a context policy looked at, what it took away, and what that cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from routelab.context import KINDS
from routelab.lab.desk import Desk
from routelab.panels.listing import Listing
from routelab.panels.panel import Panel
from routelab.panels.parts import Guard, Line, button, column, html, put, row
from routelab.present import Table, bundle, escape, note, percent, usd

Query = Callable[..., list[tuple[Any, ...]]]

SIZE = 20
EMPTY = "No run has fitted a conversation: `context: {kind: window, turns: 20}` in an arm's config turns a policy on."
SAYS = "Conversations that a context policy fitted before a model was asked."
HEAD = ("when (UTC)", "arm", "policy", "tokens", "told", "left out", "summaries", "who can take it", "what went wrong")
WIDTHS = (
    "8em",
    "minmax(4.5em,1fr)",
    "5.6em",
    "9em",
    "3.2em",
    "4em",
    "minmax(8em,1.4fr)",
    "minmax(6em,1.6fr)",
    "minmax(5em,2fr)",
)
_KINDS = ", ".join(f"'{kind}'" for kind in KINDS)
# A run has one fit; should a flow ever have two, the last one is what the model saw.
_FITS = f"""
    with f as (
        select e.run_id, e.started_at, coalesce(r.arm, '') as arm, try(e.payload ->> '$.policy') as policy,
               try(cast(e.payload ->> '$.tokens_before' as bigint)) as before, try(cast(e.payload ->> '$.tokens_after' as bigint)) as after,
               coalesce(try(json_array_length(e.payload, '$.summarised')), 0) as told,
               coalesce(try(json_array_length(e.payload, '$.dropped')), 0) as gone,
               try(cast(e.payload -> '$.summarisers' as varchar[])) as writers,
               try(cast(e.payload ->> '$.tokens.input' as bigint)) as read, try(cast(e.payload ->> '$.tokens.output' as bigint)) as wrote,
               try(cast(e.payload ->> '$.cost_usd' as double)) as cost_usd, try(e.payload ->> '$.error') as error,
               try(cast(e.payload -> '$.models' as varchar[])) as models, coalesce(r.simulated, false) as simulated, r.status
        from events e join runs r using (run_id)
        where e.kind = 'compacted' and try(e.payload ->> '$.policy') in ({_KINDS})
        qualify row_number() over (partition by e.run_id order by e.seq desc) = 1
    )
"""
_PAGE = f"{_FITS} select * from f order by started_at desc, run_id limit ? offset ?"
_SUMS = f"""
    {_FITS} select count(*), sum(before), sum(after), count(*) filter (after < before), count(*) filter (len(writers) > 0),
                   sum(cost_usd) filter (len(writers) > 0), count(*) filter (len(writers) > 0 and cost_usd is null),
                   count(*) filter (error is not null), bool_and(simulated)
    from f
"""
# Nothing was sent: not even the last message fitted anywhere.
_REFUSED = """
    select count(*) from events where kind = 'failed' and try(payload ->> '$.error') = 'ContextExceeded'
"""
_KINDS_TABLE = f"""
    {_FITS} select arm, policy, count(*), sum(before), sum(after), sum(told), sum(gone), count(*) filter (len(writers) > 0),
                   sum(cost_usd) filter (len(writers) > 0), count(*) filter (error is not null), bool_or(simulated)
    from f group by arm, policy order by 3 desc, 1, 2 limit 40
"""


class Fits:
    """The part of the tab that lists fits; `look` opens the conversation of a run, and says whether there is one."""

    def __init__(self, desk: Desk, look: Callable[[str], bool]) -> None:
        self.desk, self._look = desk, look
        self.line, self.summary, self.arms = Line(), html(), html()
        guard = Guard(self.line)
        self.refresh = button("Refresh", "read the log again", icon="refresh")
        self.listing = Listing(
            HEAD, WIDTHS, numbers=frozenset((3, 4, 5)), size=SIZE, turn=guard(self._turn), open=guard(self._open)
        )
        self.rows: list[tuple[Any, ...]] = []
        self.total = 0
        self._said = EMPTY
        live = column(row(self.refresh), self.line.widget, self.summary, self.arms, self.listing.widget)
        self.panel = Panel(live, self.still, name="context: log")
        self.refresh.on_click(guard(lambda _: self.renew()))
        desk.hear("log", guard(self.renew))
        guard(self.renew)()

    def renew(self) -> None:
        """Read the log again."""
        query = self.desk.lab.log.query
        [(self.total, *_)] = [sums] = query(_SUMS)
        [(refused,)] = query(_REFUSED)
        self._said = told(sums, refused)
        put(self.summary, f"{note(SAYS)}<div>{escape(self._said)}</div>")
        put(self.arms, by_arm(query).html() if self.total else "")
        self._turn(self.listing.start if self.listing.start < self.total else 0)

    def _turn(self, start: int) -> None:
        self.line.say("")
        self.rows = self.desk.lab.log.query(_PAGE, [SIZE, start])
        self.listing.show([cells(r) for r in self.rows], start=start, total=self.total, empty="")
        self.panel.refresh()

    def _open(self, place: int) -> None:
        run_id = self.rows[place][0]
        if not self._look(run_id):
            self.line.say(
                f"run {run_id[:8]} is no part of a conversation of several requests, or is too long ago; the Log tab has its trace"
            )

    def still(self) -> dict[str, str]:
        """Return what is shown now as text and HTML."""
        parts: list[Table | str] = [SAYS, self._said]
        if self.rows:
            shown = Table(
                head=HEAD,
                rows=[cells(r) for r in self.rows],
                numbers=frozenset((3, 4, 5)),
                caption=f"{len(self.rows)} of {self.total:,} fits, the latest first",
            )
            parts += [by_arm(self.desk.lab.log.query), shown]
        return bundle(*parts)


def told(sums: tuple[Any, ...], refused: int) -> str:
    """Return what all fits came to in one line."""
    count, before, after, shorter, summarised, cost, unpriced, wrong, simulated = sums
    lost = f"{refused:,} requests fitted nowhere and were not sent" if refused else ""
    if not count:
        return f"{EMPTY} {lost}".strip()
    saved = None if not before or after is None else 1 - after / before
    parts = [
        f"{count:,} fits" + (" (all simulated)" if simulated else ""),
        f"{shorter:,} took something away: {_count(before)} → {_count(after)} tokens in all ({percent(saved)} less)",
        f"{summarised:,} had summaries written, {usd(cost)}" + (f" ({unpriced:,} unpriced)" if unpriced else "")
        if summarised
        else "",
        f"{wrong:,} went otherwise than the policy wanted" if wrong else "",
        lost,
    ]
    return " · ".join(p for p in parts if p)


def by_arm(query: Query) -> Table:
    """Return one row an arm and policy."""
    rows = [
        (
            (arm or "–") + (" (simulated)" if simulated else ""),
            policy or "?",
            f"{count:,}",
            f"{_count(before)} → {_count(after)}",
            percent(None if not before or after is None else 1 - after / before),
            f"{told:,} + {gone:,}",
            f"{summarised:,}, {usd(cost)}" if summarised else "–",
            f"{wrong:,}",
        )
        for arm, policy, count, before, after, told, gone, summarised, cost, wrong, simulated in query(_KINDS_TABLE)
    ]
    head = ("arm", "policy", "fits", "tokens", "less", "turns told + left out", "summaries", "went wrong")
    return Table(head=head, rows=rows, numbers=frozenset((2, 3, 4, 5, 7)), caption="what policies did, by arm")


def cells(found: tuple[Any, ...]) -> tuple[str, ...]:
    """Return a fit's cells."""
    _, at, arm, policy, before, after, told_, gone, writers, read, wrote, cost, error, models, simulated, status = found
    who = ", ".join(dict.fromkeys(writers or ()))
    summaries = f"{len(writers)} by {who}: {_count(read)} + {_count(wrote)}, {usd(cost)}" if writers else "–"
    return (
        f"{at:%m-%d %H:%M:%S}",
        (arm or "–") + (" (simulated)" if simulated else ""),
        policy or "?",
        f"{_count(before)} → {_count(after)}",
        f"{told_:,}",
        f"{gone:,}",
        summaries,
        ", ".join(models) if models else "–",
        error or ("–" if status in ("answered", "recalled") else f"the run is {status}"),
    )


def _count(value: int | None) -> str:
    return "?" if value is None else f"{int(value):,}"
