"""The log as a panel: what was spent, when, on which kind of prompt; the slowest and the dearest; and every run's whole trace."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import ipywidgets

from routelab.answer import Answer
from routelab.lab.charts import chart
from routelab.lab.desk import Desk
from routelab.panels import logbook
from routelab.panels.listing import Listing
from routelab.panels.logbook import ORDERS, SINCE, STATES, Kept, Totals, Wanted
from routelab.panels.panel import Panel
from routelab.panels.parts import Guard, Line, Picture, button, column, dropdown, html, put, row
from routelab.present import Table, bundle, escape, framed, note, pre, seconds, tokens, usd

ALL = "all"
SPEND, TOKENS = "spend", "tokens"
VIEWS = (*ORDERS, SPEND, TOKENS)
HEAD = ("when (UTC)", "arm", "answered by", "task", "cost", "wait", "quality", "prompt")
WIDTHS = (
    "8em",
    "minmax(5em,1fr)",
    "minmax(5.5em,1.2fr)",
    "minmax(8.7em,1fr)",
    "6em",
    "3.2em",
    "4em",
    "minmax(6em,4.5fr)",
)


def logview(desk: Desk) -> Panel:
    """Return the log's panel."""
    return _LogView(desk).panel


class _LogView:
    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.line = Line()
        guard = Guard(self.line)
        self.since = dropdown("since", list(SINCE))
        self.filters = {name: dropdown(name, [ALL], width="16em") for name in ("experiment", "arm", "model", "task")}
        self.state = dropdown("end", list(STATES))
        self.text = ipywidgets.Text(
            placeholder="words of the prompt, or a run's id", continuous_update=False, layout={"width": "18em"}
        )
        self.view = ipywidgets.ToggleButtons(
            options=VIEWS, style={"button_width": "auto"}, tooltips=[_tip(v) for v in VIEWS]
        )
        self.refresh = button("Refresh", "read the log again", icon="refresh")
        self.summary, self.table = html(), html()
        self.picture = Picture()
        self.listing = Listing(
            HEAD, WIDTHS, numbers=frozenset((4, 5, 6)), turn=guard(self._turn), open=guard(self._open)
        )
        self.trace = html()
        self.close = button("Close", "close the run", icon="times")
        self.detail = column(row(self.close), self.trace)
        self.detail.layout.display = "none"
        self._quiet = False
        self.runs: list[Kept] = []
        self.total = 0
        self.opened: Answer | None = None
        self.found: Totals | None = None
        live = column(
            row(self.since, *self.filters.values(), self.state, self.text, self.refresh),
            self.summary,
            self.view,
            self.line.widget,
            self.detail,
            self.listing.widget,
            self.picture.widget,
            self.table,
        )
        self.panel = Panel(live, self._still, name="log")
        changed = guard(lambda _: None if self._quiet else self.show())
        for control in (self.since, self.state, self.text, self.view, *self.filters.values()):
            control.observe(changed, "value")
        self.refresh.on_click(guard(lambda _: self.renew()))
        self.close.on_click(guard(lambda _: self._shut()))
        desk.hear("log", guard(self.renew))
        guard(self.renew)()

    @property
    def wanted(self) -> Wanted:
        """What the filters say."""
        back = SINCE[self.since.value]
        chosen = {name: None if box.value == ALL else box.value for name, box in self.filters.items()}
        return Wanted(
            since=None if back is None else datetime.now(UTC).replace(tzinfo=None) - back,
            state=self.state.value,
            text=self.text.value.strip(),
            **chosen,
        )

    def renew(self) -> None:
        """Read what there is to choose from, then what is wanted."""
        for name, values in logbook.choices(self.desk.lab.log).items():
            box = self.filters[name]
            options = [ALL, *(v for v in values if v != ALL)]
            if tuple(options) != tuple(box.options):
                kept = box.value if box.value in options else ALL
                # Each of the two would read the log anew; it is read once, below.
                self._quiet = True
                box.options = options
                box.value = kept
                self._quiet = False
        self.show(self.listing.start)

    def show(self, start: int = 0) -> None:
        """Show the view with the filters as they are."""
        log, wanted, view = self.desk.lab.log, self.wanted, self.view.value
        self.line.say("")
        self.found = logbook.totals(log, wanted)
        put(self.summary, told(self.found))
        listed = view in ORDERS
        self.listing.widget.layout.display = "" if listed else "none"
        self.picture.widget.layout.display = self.table.layout.display = "none" if listed else ""
        if listed:
            self.runs, self.total = logbook.page(log, wanted, view, start)
            if not self.runs and start:
                start = 0
                self.runs, self.total = logbook.page(log, wanted, view, 0)
            self.listing.show(
                [_cells(run, tell=self._mixed) for run in self.runs], start=start, total=self.total, empty=_none(view)
            )
            self.listing.mark(
                next((i for i, r in enumerate(self.runs) if self.opened and r.run_id == self.opened.id), None)
            )
        else:
            rows = logbook.calls(log, wanted) if self.found.calls else []
            self.picture.show(chart(view, rows) if rows else None)
            put(
                self.table,
                kinds_table(logbook.kinds(log, wanted))
                if view == TOKENS and rows
                else ""
                if rows
                else note(_none(view)),
            )
        self.panel.refresh()

    @property
    def _mixed(self) -> bool:
        """Whether only some of the runs are simulated; where all are, the line above the list says so."""
        return self.found is not None and 0 < self.found.simulated < self.found.runs

    def _turn(self, start: int) -> None:
        self.show(start)

    def _open(self, place: int) -> None:
        run = self.runs[place]
        if self.opened is not None and self.opened.id == run.run_id:
            self._shut()
            return
        found = self.desk.lab.log.run(run.run_id)
        if found is None:
            self.line.say(f"run {run.run_id[:8]} is not whole in the log: its events were not kept")
            return
        self.opened = Answer(found)
        put(self.trace, opened(self.opened))
        self.detail.layout.display = ""
        self.listing.mark(place)
        self.panel.refresh()

    def _shut(self) -> None:
        self.opened = None
        self.detail.layout.display = "none"
        self.listing.mark(None)
        self.panel.refresh()

    def _still(self) -> dict[str, str]:
        said = [] if self.found is None else [told_text(self.found)]
        if self.view.value in ORDERS:
            shown = Table(
                head=HEAD,
                rows=[_cells(run, tell=self._mixed) for run in self.runs],
                numbers=frozenset((4, 5, 6)),
                caption=f"{self.view.value}: {len(self.runs)} of {self.total:,} runs",
            )
            parts: list[Table | str] = [*said, shown]
        else:
            held = self.picture.chart
            parts = [*said, *([held.table] if held is not None else [])]
        if self.line.text:
            parts.append(self.line.text)
        made = bundle(*parts)
        if self.opened is None:
            return made
        return {
            "text/plain": f"{made['text/plain']}\n\n{self.opened.header()}\n{self.opened.trace().text()}",
            "text/html": made["text/html"] + framed(opened(self.opened)),
        }


def told_text(found: Totals) -> str:
    """Return the sums as a line."""
    if not found.runs:
        return "no runs"
    about = found.estimated > 0
    spent = usd(found.spent_usd + found.judging_usd)
    parts = [
        f"{found.runs:,} runs" + (f" ({_share(found.simulated, found.runs)} simulated)" if found.simulated else ""),
        f"{found.calls:,} calls",
        f"{spent} spent"
        + (f", {usd(found.judging_usd)} of it on judges" if found.judging_usd else "")
        + (f", {found.unpriced:,} calls without a price" if found.unpriced else ""),
        f"{tokens(found.input_tokens, estimated=about)} tokens in, {tokens(found.output_tokens, estimated=about)} out",
        f"wait {seconds(found.p50_s)} median, {seconds(found.p95_s)} p95",
        f"{found.failed:,} not answered, {found.errors:,} failed attempts",
        f"{found.cached:,} cache hits" + (f" saved {usd(found.saved_usd)}" if found.cached else ""),
    ]
    return " · ".join(parts)


def told(found: Totals) -> str:
    """Return the sums as HTML."""
    return f"<div>{escape(told_text(found))}</div>"


def _share(part: int, whole: int) -> str:
    return "all" if part == whole else f"{part:,}"


def _tip(view: str) -> str:
    return {
        "latest": "runs, the latest first",
        "dearest": "what cost most",
        "slowest": "what took longest",
        "errors": "runs without an answer, and those in which a model failed on the way",
        "cache hits": "runs that a cache answered",
        SPEND: "what was spent over time",
        TOKENS: "tokens by task and model",
    }[view]


def cut(text: str, most: int) -> str:
    """Return the beginning of a text, with an ellipsis where it goes on."""
    return text if len(text) <= most else f"{text[:most].rstrip()}…"


def _none(view: str) -> str:
    return {"errors": "no errors", "cache hits": "no cache hits"}.get(view, "no such runs")


def _cells(run: Kept, *, tell: bool) -> tuple[str, ...]:
    """Return a run's cells; `tell` says which ones are simulated, where not all are."""
    who = run.model or "–"
    if run.simulated and tell:
        who += " (simulated)"
    if run.cached:
        who += " · cache hit"
    if run.error:
        who = f"{who} · after {run.error}" if run.answered else f"✗ {run.error}"
    elif not run.answered:
        who = f"✗ {run.status}"
    return (
        "–" if run.at is None else f"{run.at:%m-%d %H:%M:%S}",
        run.arm or "–",
        who,
        run.task or "–",
        usd(run.cost_usd),
        seconds(run.latency_s),
        "–" if run.quality is None else f"{run.quality:.2f}",
        cut(" ".join(run.prompt.split()), 90) or "–",
    )


def opened(answer: Answer) -> str:
    """Return a run's whole story as HTML: header, prompt, trace, answer."""
    said = answer.text if answer.error is None else f"{type(answer.error).__name__}: {answer.error}"
    asked = pre(answer.run.prompt.text)
    return f"<div><b>{escape(answer.header())}</b></div>{note('asked')}{asked}{answer.trace().html()}{note('answered')}{pre(said)}"


def kinds_table(rows: list[tuple[Any, ...]]) -> Table:
    """Return the tokens by query type as a table."""
    body = []
    for task, model, calls, given, cached, out, reasoning, guessed, cost, unpriced, simulated in rows:
        about = guessed > 0
        body.append(
            (
                task or "–",
                model + (" (simulated)" if simulated else ""),
                f"{calls:,}",
                tokens(given, estimated=about),
                "–" if cached is None else tokens(cached),
                tokens(out, estimated=about),
                "–" if reasoning is None else tokens(reasoning),
                usd(None if cost is None else 1000 * cost / max(1, calls - unpriced)),
                f"{usd(cost)}" + (f" ({unpriced:,} unpriced)" if unpriced else ""),
            )
        )
    return Table(
        head=("task", "model", "calls", "tokens in", "cached", "tokens out", "reasoning", "per 1,000 calls", "spent"),
        rows=body,
        numbers=frozenset(range(2, 9)),
        caption="tokens by query type, the dearest first",
        notes=("~ holds estimates; – not reported; prompt templates join the types when prompts are versioned",),
    )
