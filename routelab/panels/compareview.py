"""The panel of a comparison: prompts × arms with every answer, to filter, sort, search, open, tell apart and rate."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable
from typing import Any, TypeVar

import ipywidgets
import numpy as np

from routelab.core.errors import RoutelabError
from routelab.lab.charts import KINDS
from routelab.lab.charts.arms import chosen, everyone, marks_of
from routelab.lab.compare import Comparison
from routelab.lab.grid import GRID_STYLE, headline, summary
from routelab.lab.job import Job
from routelab.lab.outcomes import Ints
from routelab.lab.trial import Progress
from routelab.panels import page
from routelab.panels.opened import Opened, reason, short
from routelab.panels.panel import Panel
from routelab.panels.parts import Guard, Line, Picture, Running, button, column, dropdown, html, put, row
from routelab.panels.ratings import Ratings
from routelab.panels.rows import KEEPS, SORTS, Rows, Scan, Wish, reads, sifted
from routelab.present import Table, escape, framed, note, safe

T = TypeVar("T")
PAGE = 20
COLUMNS = 4
"""Arms that are shown at first; WIDEST at most."""
WIDEST = 8
ARMS = 24
"""Arms that can be chosen, as many as the summary lists."""
TASKS = 200
"""Tasks that the menu lists; the largest first."""
AT_ONCE_S = 0.2
"""How long a callback may read texts before the rest becomes a job."""
SLICE_S = 0.1
NO_CHART = "no chart"


def view(comparison: Comparison) -> Panel:
    """Return the panel of a comparison; it reads the ratings from the comparison's log, which may take as long as the log does."""
    return CompareView(comparison).panel


class CompareView:
    """The controls over one comparison, and what they show at the moment: the wish, the rows that fit it, the page, the open row.

    What people said of the answers is read from the log when it is made, and again for a row that is opened.
    """

    def __init__(self, comparison: Comparison, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self.comparison = comparison
        self._clock = clock
        self.rows = Rows.of(comparison)
        self.ratings = Ratings(comparison.log)
        self.line, self.running, self.picture = Line(), Running(), Picture()
        self.guard = Guard(self.line)
        self.jobs: list[Job] = []
        self._turn = 0
        self._setting = False
        self._marks = marks_of(comparison)
        self._head = _head(comparison)
        self.chart = dropdown(
            "chart",
            [(NO_CHART, ""), *((f"{name}: {kind.says}", name) for name, kind in KINDS.items())],
            tip="a chart of the comparison",
            width="34em",
        )
        self.chart.observe(self.guard(lambda _: self._draw()), "value")
        top = [html(self._head, more="grid"), self.chart, self.picture.widget]
        if self.rows is None:
            why = "no rows: " + (
                "off-policy, what single prompts would have brought is not known"
                if comparison.estimates
                else "this comparison did not keep its prompts"
            )
            self.line.say(why)
            live = column(*top, self.line.widget, self.running.widget)
        else:
            self.wish = Wish(arms=_places(comparison, COLUMNS))
            self._listed = _places(comparison, ARMS)
            self.order: Ints = np.arange(len(self.rows), dtype=np.intp)
            self.page = 0
            self.note = ""
            self.opened = Opened(self.rows, self.ratings, self.guard, self._marks, self._rated)
            live = column(*top, *self._controls(self.rows), self.line.widget, self._table())
            try:
                self.ratings.read()
            except RoutelabError as trouble:
                self.line.fail(trouble)
        self.panel = Panel(live, self._still, name="compare")
        if self.rows is not None:
            self._show()

    # The controls

    def _controls(self, rows: Rows) -> list[ipywidgets.Widget]:
        self.keep = ipywidgets.ToggleButtons(
            options=list(KEEPS), tooltips=list(KEEPS.values()), style={"button_width": "auto"}
        )
        self.at_most = ipywidgets.FloatSlider(
            value=self.wish.at_most,
            min=0.0,
            max=1.0,
            step=0.05,
            description="quality at most",
            tooltip="an arm's quality is at most this",
            continuous_update=False,
            style={"description_width": "initial"},
            layout={"width": "20em", "display": "none"},
        )
        tasks = list(rows.tasks.items())[:TASKS]
        listed = [(f"{short(name)} ({n:,})", name) for name, n in tasks]
        self.task = dropdown("task", [(f"all tasks ({len(rows.tasks):,})", None), *listed], tip="prompts of one task")
        self.task.layout.display = "" if tasks else "none"
        self.sort = dropdown("sort", list(SORTS), tip="the order of the prompts; what is not known comes last")
        self.needle = ipywidgets.Text(
            placeholder="search prompts and answers",
            tooltip="plain text in the prompt or in an answer shown, in either case",
            continuous_update=False,
            layout={"width": "18em"},
        )
        self.arms = {k: self._box(rows, k) for k in self._listed}
        arms = row(*self.arms.values())
        arms.layout.display = "" if len(rows.arms) > 2 else "none"
        for control in (self.keep, self.at_most, self.task, self.sort, self.needle, *self.arms.values()):
            control.observe(self.guard(lambda _: self._wished()), "value")
        self.previous = button("", "the page before", icon="chevron-left")
        self.next = button("", "the next page", icon="chevron-right")
        self.number = ipywidgets.BoundedIntText(
            value=1,
            min=1,
            max=1,
            description="page",
            tooltip="go to a page",
            continuous_update=False,
            style={"description_width": "initial"},
            layout={"width": "8em"},
        )
        self.where = html()
        self.previous.on_click(self.guard(lambda _: self.turn(self.page - 1)))
        self.next.on_click(self.guard(lambda _: self.turn(self.page + 1)))
        self.number.observe(self.guard(lambda _: self._numbered()), "value")
        return [
            row(self.keep, self.at_most, self.task, self.sort, self.needle),
            arms,
            row(self.previous, self.number, self.next, self.where, self.running.widget),
        ]

    def _box(self, rows: Rows, k: int) -> ipywidgets.Checkbox:
        name = rows.arms[k].name
        return ipywidgets.Checkbox(
            value=k in self.wish.arms,
            description=short(name),
            tooltip=f"show {short(name)}: filters and search look at the arms shown",
            indent=False,
            layout={"width": "auto"},
        )

    def _table(self) -> ipywidgets.Widget:
        self.slots = [page.Slot(number) for number in range(min(PAGE, len(self.order)))]
        for slot in self.slots:
            slot.button.on_click(self.guard(lambda _, slot=slot: self.open(slot)))
        self.names = page.Names()
        return page.frame(self.names, self.slots)

    # What people do

    def _wished(self) -> None:
        if self._setting:
            return
        self.at_most.layout.display = "" if self.keep.value == "low score" else "none"
        shown = tuple(k for k, box in self.arms.items() if box.value)
        self.line.say("" if 0 < len(shown) <= WIDEST else f"one arm at least and {WIDEST} at most are shown")
        shown = shown[:WIDEST] or self.wish.arms
        self.ask(
            Wish(
                arms=shown,
                keep=self.keep.value,
                at_most=float(self.at_most.value),
                task=self.task.value,
                needle=self.needle.value,
                sort=self.sort.value,
            )
        )

    def _numbered(self) -> None:
        if not self._setting:
            self.turn(self.number.value - 1)

    def ask(self, wish: Wish) -> None:
        """Show what is wished for; where many texts must be read, a job goes on with it and shows what it finds at its end."""
        assert self.rows is not None
        self._turn += 1
        if self.running.job is not None:
            self.running.job.cancel()
        scan = sifted(self.rows, wish, self.ratings.known)
        if not reads(wish) or scan.on(self._for(AT_ONCE_S)):
            self._take(wish, scan.kept if reads(wish) else scan.order)
        else:
            self._read_on(wish, scan)

    def _for(self, seconds: float) -> Callable[[], bool]:
        until = self._clock() + seconds
        return lambda: self._clock() < until

    def _read_on(self, wish: Wish, scan: Scan) -> None:
        turn = self._turn

        async def play() -> None:
            while not scan.done:
                # In slices, so that Stop is heard; on a thread, so that answers which are being waited for are.
                await asyncio.to_thread(scan.on, self._for(SLICE_S))

        def ended(job: Job) -> None:
            if turn != self._turn:
                return
            left = len(scan.order) - scan.at
            self._take(wish, scan.kept, f"{job.state}: {left:,} prompts were not looked at" if left else "")

        def progress() -> Progress:
            return Progress(done=scan.at, total=len(scan.order), spent_usd=0.0, errors=0)

        name = f"search “{short(wish.needle, 24)}”" if wish.needle else "comparing texts"
        job = Job(name, play, progress=progress)
        self.jobs.append(job)
        self.running.follow(job, ended=self.guard(ended))

    def _take(self, wish: Wish, order: Ints, more: str = "") -> None:
        self.wish, self.order, self.note, self.page = wish, order, more, 0
        self._show()

    def turn(self, number: int) -> None:
        """Show a page, counted from 0; the nearest one where there is none of that number."""
        number = max(0, min(number, self.pages - 1))
        if number != self.page:
            self.page = number
            self._show()

    @property
    def pages(self) -> int:
        """How many pages there are, one at least."""
        return max(1, -(-len(self.order) // PAGE))

    @property
    def here(self) -> list[int]:
        """The prompts on the page, by position."""
        return [int(i) for i in self.order[self.page * PAGE : (self.page + 1) * PAGE]]

    def open(self, slot: page.Slot) -> None:
        """Open a row below itself, or close it when it is open."""
        assert self.rows is not None
        was = next((s for s in self.slots if s.is_open), None)
        if was is not None:
            was.close()
        if slot.at is None or was is slot:
            self.opened.close()
        else:
            self.opened.show(slot.at, self.wish.arms)
            slot.open(self.opened.widget)
            self._tell(self.rows, slot.at)
        self.panel.refresh()

    def _tell(self, rows: Rows, i: int) -> None:
        """Find out what takes longer than a click may: why each arm decided, and whether the log has the runs."""
        arms, runs = self.wish.arms, self.opened.run_ids()

        def find() -> dict[int, str]:
            self.ratings.read(runs)
            return {} if rows.live else {k: reason(rows, i, k) for k in arms}

        self._later(f"prompt {i + 1}", find, lambda why: self.opened.tell(i, why))

    def _rated(self) -> None:
        self._show(pages=False)

    def _draw(self) -> None:
        kind = self.chart.value
        if not kind:
            self.picture.show(None)
            self.picture.widget.layout.min_height = "0px"
            self.line.say("")
            self.panel.refresh()
            return

        def done(found: Any) -> None:
            chart, height = found
            if kind == self.chart.value:
                self.line.say("")
                self.picture.widget.layout.min_height = f"{height}px"
                self.picture.show(chart)
                self.panel.refresh()

        def draw() -> Any:
            chart = self.comparison.chart(kind)
            return chart, chart.figure.layout.height or 0

        self.line.say(f"drawing {kind} …")
        self._later(f"chart {kind}", draw, done)

    def _later(self, name: str, work: Callable[[], T], done: Callable[[T], None]) -> None:
        """Do work on a thread of its own; what it returns, or its trouble, is shown when it is there."""

        @self.guard
        def over(task: asyncio.Task[T]) -> None:
            trouble = task.exception()
            if trouble is not None:
                self.line.fail(trouble)
            else:
                done(task.result())

        async def play() -> T:
            task = asyncio.ensure_future(asyncio.to_thread(work))
            await asyncio.wait([task])
            over(task)
            return task.result()

        self.jobs.append(Job(name, play))

    # What is seen

    def _show(self, *, pages: bool = True) -> None:
        """Put the page into its widgets."""
        assert self.rows is not None
        here = self.here
        found = page.cells(self.rows, here, self.wish.arms)
        tell = not all(cell.simulated for line in found for cell in line)
        self.names.show([self.rows.arms[k].name for k in self.wish.arms], self._marks)
        for slot, line in zip(self.slots, [*zip(here, found, strict=True), *[None] * PAGE], strict=False):
            if pages and slot.is_open:
                slot.close()
                self.opened.close()
            if line is None:
                slot.clear()
            else:
                i, cells = line
                body = page.line(self.rows.prompts[i], cells, self.ratings, needle=self.wish.needle, tell=tell)
                slot.show(i, body)
        self._setting = True
        self.number.max, self.number.value = self.pages, self.page + 1
        self._setting = False
        self.previous.disabled, self.next.disabled = self.page == 0, self.page + 1 >= self.pages
        put(self.where, note(self._where(tell)))
        self.panel.refresh()

    def _where(self, tell: bool) -> str:
        assert self.rows is not None
        n, first = len(self.order), self.page * PAGE
        all_of = "" if n == len(self.rows) else f" of {len(self.rows):,} prompts"
        seen = f"{first + 1:,}–{min(first + PAGE, n):,} of {n:,}" if n else "no prompt fits"
        parts = [f"{seen}{all_of}", *([self.note] if self.note else []), *([] if tell else ["SIMULATED answers"])]
        return " · ".join(parts)

    def _still(self) -> dict[str, str]:
        bodies, texts = [self._head], [self._plain()]
        chart = self.picture.chart
        if chart is not None:
            bodies.append(_folded(f"chart: {chart.title}", chart.table))
            texts.append(chart.table.text())
        if self.rows is not None:
            tell = not all(cell.simulated for line in page.cells(self.rows, self.here, self.wish.arms) for cell in line)
            table = page.table(self.rows, self.here, self.wish, self.ratings, where=self._where(tell), tell=tell)
            bodies.append(_folded(table.caption, table))
            texts.append(table.text(width=40))
            if (opened := self.opened.table()) is not None:
                bodies.append(_folded(opened.caption, opened))
                texts.append(opened.text(width=80))
        if self.line.text:
            bodies.append(note(self.line.text))
            texts.append(safe(self.line.text))
        return {"text/plain": "\n\n".join(texts), "text/html": framed("".join(bodies), more="grid")}

    def _plain(self) -> str:
        return f"{safe(_said(self.comparison))}\n\n{summary(self.comparison).text()}"


def _folded(title: str, table: Table) -> str:
    return f"<details><summary>{escape(title)}</summary>{dataclasses.replace(table, caption='').html()}</details>"


def _places(comparison: Comparison, limit: int) -> tuple[int, ...]:
    """Return the positions of the arms that are shown first where not all can be: winner, baseline, nominated, then the best."""
    names = {item.arm.name for item in chosen(comparison, limit)[0]}
    return tuple(k for k, item in enumerate(everyone(comparison)) if item.arm.name in names)


def _said(comparison: Comparison) -> str:
    return "one prompt: no verdict can follow from it" if comparison.terms.confirm < 2 else comparison.why


def _head(comparison: Comparison) -> str:
    """Return the verdict and the summary as HTML; they do not change."""
    head, rest = headline(_said(comparison))
    style = "margin:6px 0 2px;font-size:1.35em;font-weight:600;color:inherit"
    detail = f"<div>{escape(rest)}</div>" if rest else ""
    return f'{GRID_STYLE}<h3 style="{style}">{escape(head)}</h3>{detail}{summary(comparison).html()}'
