"""The Tokens tab: where tokens went by query type, and which of them nothing needs; read from the log while one looks."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

import ipywidgets

from routelab.core.values import Price
from routelab.lab.charts.arms import many
from routelab.lab.charts.usage import MEASURES
from routelab.lab.charts.usage import usage as drawn
from routelab.lab.desk import Desk
from routelab.lab.job import Job
from routelab.lab.usage.findings import Findings
from routelab.lab.usage.look import findings
from routelab.lab.usage.monitor import Usage
from routelab.lab.usage.monitor import usage as counted
from routelab.lab.usage.scope import Log, Scope, choices
from routelab.panels.later import later
from routelab.panels.logbook import SINCE
from routelab.panels.panel import Panel
from routelab.panels.parts import MARGIN, Guard, Line, Picture, button, column, dropdown, html, number, put, row
from routelab.present import Table, bundle, escape, note, percent, usd

ALL = "all"
EMPTY = "Nobody was asked yet: what a prompt costs stands here as soon as a model has answered."
NO_FINDINGS = (
    "Nothing was found that uses more than it is shown to need. A leaner template is found where the same prompts were asked with both and scored; "
    "beginnings that never change, reasoning, long and cut answers from 20 answers of a type on."
)
LOOK = (
    "<style>.rl.rl-usage table{width:100%}.rl.rl-usage td:first-child{min-width:6em}.rl.rl-usage td:nth-child(2){min-width:7em}"
    ".rl.rl-usage td:last-child{min-width:7em}</style>"
)


class Tokens:
    """The tab: filters, bars, findings, and the table of all types."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.line = Line()
        guard = Guard(self.line)
        self.since = dropdown("since", list(SINCE))
        self.filters = {name: dropdown(name, [ALL], width="16em") for name in ("experiment", "task", "model")}
        self.measure = ipywidgets.ToggleButtons(
            options=list(MEASURES), style={"button_width": "auto"}, tooltips=list(MEASURES.values())
        )
        self.margin = number("margin, points", 2.0, least=0.01, most=50.0, step=0.5, tip=MARGIN, width="13em")
        self.refresh = button("Refresh", "read the log again", icon="refresh")
        self.summary, self.found, self.table = html(), html(), html()
        self.picture = Picture()
        self.used: Usage | None = None
        self.told: Findings | None = None
        self.jobs: list[Job] = []
        self._quiet = False
        self._asked = 0
        self._guard = guard
        live = column(
            row(self.since, *self.filters.values(), self.margin, self.refresh),
            self.line.widget,
            self.summary,
            self.measure,
            self.picture.widget,
            self.found,
            self.table,
        )
        self.panel = Panel(live, self._still, name="tokens")
        changed = guard(lambda _: None if self._quiet else self.show())
        for control in (self.since, self.margin, *self.filters.values()):
            control.observe(changed, "value")
        self.measure.observe(guard(lambda _: self._draw()), "value")
        self.refresh.on_click(guard(lambda _: self.renew()))
        desk.hear("log", guard(self.renew))
        guard(self.renew)()

    @property
    def scope(self) -> Scope:
        """What the filters say."""
        back = SINCE[self.since.value]
        chosen = {name: None if box.value == ALL else box.value for name, box in self.filters.items()}
        since = None if back is None else datetime.now(UTC).replace(tzinfo=None) - back
        return Scope(since=since, **chosen)

    def price(self, model: str) -> Price | None:
        """Return a model's price in the lab's fleet."""
        return next((m.price for m in self.desk.lab.fleet.models if m.name == model), None)

    def renew(self) -> None:
        """Read what there is to choose from, then what is wanted."""
        for name, values in choices(self.desk.lab.log).items():
            box = self.filters[name]
            options = [ALL, *(v for v in values if v != ALL)]
            if tuple(options) != tuple(box.options):
                kept = box.value if box.value in options else ALL
                # Each of the two would read the log anew; it is read once, below.
                self._quiet = True
                box.options = options
                box.value = kept
                self._quiet = False
        self.show()

    def show(self) -> None:
        """Read the log with the filters as they are."""
        log, scope = self.desk.lab.log, self.scope
        self.line.say("")
        self.used = counted(log, scope, prices=self.price)
        self.told = None
        put(self.summary, f"{LOOK}<div>{escape(told(self.used))}</div>" if len(self.used) else note(EMPTY))
        put(self.table, self.used.table().html() if len(self.used) else "", more="rl-usage")
        put(self.found, note("looking for what may be spared …") if len(self.used) else "")
        self._draw()
        self._look(log, scope, self.used)

    def _look(self, log: Log, scope: Scope, used: Usage) -> None:
        """Look for findings beside, for that may take seconds in a large log."""
        self._asked += 1
        mine = self._asked
        if not len(used):
            return
        margin = self.margin.value / 100

        def done(found: Findings) -> None:
            # What was asked for since then is on its way.
            if mine == self._asked:
                self.told = found
                put(self.found, self._findings(), more="rl-usage")
                self.panel.refresh()

        work = partial(findings, log, scope, margin=margin, prices=self.price, used=used)
        self.jobs.append(later("tokens: findings", work, done, self._guard))

    def _findings(self) -> str:
        if self.told is None:
            return ""
        head = f"{LOOK}{self.told.table().html()}" if len(self.told) else LOOK + note(NO_FINDINGS)
        return head + (self.told.untold_table().html() if self.told.untold else "")

    def _draw(self) -> None:
        used = self.used
        there = used is not None and len(used) > 0
        self.measure.layout.display = "" if there else "none"
        self.picture.show(drawn(used, measure=str(self.measure.value)) if used is not None and there else None)
        self.panel.refresh()

    def _still(self) -> dict[str, str]:
        if self.used is None or not len(self.used):
            return bundle(EMPTY)
        parts: list[Table | str] = [told(self.used)]
        if self.told is None:
            parts.append("looking for what may be spared …")
        else:
            parts.append(self.told.table() if len(self.told) else NO_FINDINGS)
            parts += [self.told.untold_table()] if self.told.untold else []
        return bundle(*parts, self.used.table())


def told(used: Usage) -> str:
    """Return what all types came to in one line."""
    types = used.types
    calls, unknown, unpriced = (sum(getattr(t, name) for t in types) for name in ("calls", "unknown", "unpriced"))
    parts = [
        sum(a.total for t in types if (a := getattr(t, part)) is not None)
        for part in ("input", "cached", "output", "reasoning")
    ]
    spent = sum(t.cost_usd or 0.0 for t in types)
    about = "~" if any(t.estimated for t in types) else ""
    made = {True: " (all simulated)", None: " (some simulated)", False: ""}[used.simulated]
    others = sum(t.cost_usd or 0.0 for t in types if t.what != "answering")
    said = [
        f"{many(calls, 'call')}{made} of {many(len(types), 'query type')}",
        f"{about}{parts[0]:,} tokens in" + (f", {parts[1]:,} of them from a provider's cache" if parts[1] else ""),
        f"{about}{parts[2]:,} out" + (f", {parts[3]:,} of them reasoning" if parts[3] else ""),
        f"{usd(spent)} spent"
        + (f", {percent(others / spent, 0)} of it on judges and summaries" if others and spent else "")
        + (f" ({many(unpriced, 'call')} unpriced)" if unpriced else ""),
        f"tokens of {many(unknown, 'call')} not known" if unknown else "",
        f"{many(sum(t.cut for t in types), 'answer')} cut at their limit",
    ]
    return " · ".join(part for part in said if part)


def tokens(desk: Desk) -> Panel:
    """Return the panel of the Tokens tab."""
    return Tokens(desk).panel
