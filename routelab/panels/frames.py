"""Tabs whose benches are still to come: each shows what the log already has on its subject, and says what is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from routelab.lab.desk import Desk
from routelab.panels.panel import Panel
from routelab.panels.parts import Guard, Line, button, column, html, put, row
from routelab.present import Table, bundle, escape

Query = Callable[[str], list[tuple[Any, ...]]]
ROWS = 20


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A tab's name, what the log says on its subject, and what it says when the log has nothing."""

    name: str
    says: str
    read: Callable[[Query], tuple[Table, ...]]
    empty: str


def frame(which: Frame) -> Callable[[Desk], Panel]:
    """Return the maker of a frame's panel."""

    def make(desk: Desk) -> Panel:
        shown: list[tuple[Table, ...]] = [()]
        body, line = html(), Line()
        guard = Guard(line)
        refresh = button("Refresh", "read the log again", icon="refresh")

        def parts() -> list[Table | str]:
            return [which.says, *(shown[0] or (which.empty,))]

        panel = Panel(column(row(refresh), line.widget, body), lambda: bundle(*parts()), name=which.name)

        def renew(*_: Any) -> None:
            line.say("")
            shown[0] = tuple(table for table in which.read(desk.lab.log.query) if table.rows)
            put(body, "".join(p.html() if isinstance(p, Table) else f"<div>{escape(p)}</div>" for p in parts()))
            panel.refresh()

        refresh.on_click(guard(renew))
        desk.hear("log", guard(renew))
        guard(renew)()
        return panel

    return make


def _happened(kind: str, names: Mapping[str, str], caption: str) -> Callable[[Query], tuple[Table, ...]]:
    """Return a reader of the latest events of a kind; `names` maps heads to keys of the payload."""
    keys = ", ".join(f"try(e.payload ->> '$.{key}')" for key in names.values())

    def read(query: Query) -> tuple[Table, ...]:
        rows = query(
            f"""select strftime(e.started_at, '%m-%d %H:%M:%S'), coalesce(r.arm, ''), left(r.run_id, 8), {keys}
                from events e join runs r using (run_id) where e.kind = '{kind}' order by e.started_at desc limit {ROWS}"""
        )
        head = ("when (UTC)", "arm", "run", *names)
        body = [tuple("–" if v in (None, "") else str(v)[:160] for v in values) for values in rows]
        return (Table(head=head, rows=body, caption=caption),)

    return read


GUARDS = Frame(
    name="guards",
    says="Prompts and answers that a guard stopped.",
    read=_happened("blocked", {"guard": "guard", "reason": "reason"}, "the latest that were stopped"),
    empty="No guard has stopped anything: guards come with their own bench.",
)
