"""What was retrieved in this log: by arm and corpus, and the latest retrievals with their passages."""

from __future__ import annotations

import json
from typing import Any

from routelab.lab.desk import Desk
from routelab.panels.panel import Panel
from routelab.panels.parts import Guard, Line, button, column, html, put, row
from routelab.present import Table, bundle, escape, seconds

EMPTY = "No run of this log has retrieved anything: give an arm a corpus, retrieval={'corpus': ...}, or save one in Compare chunkers."
SAYS = "Passages that were put in front of prompts."
LATEST = 20
LOOK = "<style>.rl.rl-chunklog td{overflow-wrap:anywhere}.rl.rl-chunklog td:nth-child(6){min-width:16em}</style>"
_SUMMED = """
    select coalesce(r.arm, ''), e.payload ->> '$.corpus', count(*), count(*) filter (json_array_length(e.payload, '$.chunks') = 0),
           avg(json_array_length(e.payload, '$.chunks')), avg(try_cast(e.payload ->> '$.tokens' as double)),
           count(*) filter (try_cast(e.payload ->> '$.left_out' as integer) > 0), median(try_cast(e.payload ->> '$.latency_s' as double))
    from events e join runs r using (run_id) where e.kind = 'retrieved' group by 1, 2 order by 3 desc, 1, 2 limit 40
"""
_LATEST = f"""
    select strftime(e.started_at, '%m-%d %H:%M:%S'), coalesce(r.arm, ''), left(r.run_id, 8), e.payload ->> '$.corpus',
           try_cast(e.payload ->> '$.tokens' as bigint), e.payload ->> '$.chunks', e.payload ->> '$.scores', e.payload ->> '$.digest'
    from events e join runs r using (run_id) where e.kind = 'retrieved' order by e.started_at desc limit {LATEST}
"""


class Retrieved:
    """The part of the tab that reads the log."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.tables: tuple[Table, ...] = ()
        self.line = Line()
        self._guard = guard = Guard(self.line)
        self._body = html()
        self.refresh = button("Refresh", "read the log again", icon="refresh")
        self.panel = Panel(column(row(self.refresh), self.line.widget, self._body), self.still, name="chunks: log")
        self.refresh.on_click(guard(lambda _: self.renew()))
        desk.hear("log", guard(self.renew))
        guard(self.renew)()

    def renew(self) -> None:
        """Read the log again."""
        query = self.desk.lab.log.query
        summed = query(_SUMMED)
        self.tables = (_sums(summed), _latest(query(_LATEST))) if summed else ()
        shown = "".join(table.html() for table in self.tables) or f"<div>{escape(EMPTY)}</div>"
        put(self._body, f"{LOOK}<div>{escape(SAYS)}</div>{shown}", more="rl-chunklog")
        self.panel.refresh()

    def still(self) -> dict[str, str]:
        """Return what is shown now as text and HTML."""
        return bundle(self.line.text or SAYS, *(self.tables or (EMPTY,)))


def _sums(rows: list[tuple[Any, ...]]) -> Table:
    return Table(
        head=(
            "arm",
            "corpus",
            "runs",
            "found nothing",
            "passages, mean",
            "context tokens, mean",
            "cut by a budget",
            "wait, median",
        ),
        rows=[
            (
                arm or "–",
                corpus or "?",
                f"{runs:,}",
                f"{empty:,}",
                _number(passages, 1),
                _number(tokens, 0),
                f"{cut:,}",
                seconds(latency),
            )
            for arm, corpus, runs, empty, passages, tokens, cut, latency in rows
        ],
        numbers=frozenset(range(2, 8)),
        caption="retrievals by arm and corpus",
    )


def _latest(rows: list[tuple[Any, ...]]) -> Table:
    return Table(
        head=("when (UTC)", "arm", "run", "corpus", "tokens", "passages, best first", "state"),
        rows=[
            (
                when,
                arm or "–",
                run,
                corpus or "?",
                "?" if tokens is None else f"{tokens:,}",
                _passages(chunks, scores),
                (state or "?")[:8],
            )
            for when, arm, run, corpus, tokens, chunks, scores, state in rows
        ],
        numbers=frozenset({4}),
        caption=f"the latest {len(rows)}",
        notes=("A passage is named by its source and its characters; state: which documents, cut and embedded how.",),
    )


def _passages(chunks: str | None, scores: str | None) -> str:
    named, ranked = json.loads(chunks or "[]"), json.loads(scores or "[]")
    told = [f"{name} ({ranked[i]:.3f})" if i < len(ranked) else str(name) for i, name in enumerate(named)]
    return "; ".join(told) or "nothing"


def _number(value: float | None, digits: int) -> str:
    return "?" if value is None else f"{value:,.{digits}f}"
