"""The playground: one prompt, one to four arms beside each other, what they would do, what they did, and what that cost."""

from __future__ import annotations

import asyncio
import math
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

import ipywidgets

from routelab.answer import Answer
from routelab.config import PromptConfig, RouteConfig
from routelab.core.errors import ConfigError, RoutelabError
from routelab.core.values import Prompt
from routelab.lab.desk import Desk
from routelab.lab.job import Job
from routelab.lab.trial import Trial
from routelab.panels import logbook
from routelab.panels.logbook import Totals, Wanted
from routelab.panels.panel import Panel
from routelab.panels.parts import Guard, Line, Running, button, column, html, put, row
from routelab.panels.playgroundahead import Explained, explained
from routelab.panels.playgroundcell import Chosen, Copied, asked, copied, with_sampling
from routelab.panels.playgroundcolumn import ARM, Column, facts, labels, said
from routelab.panels.trace import trace_table
from routelab.present import escape, framed, note, pre, safe, usd
from routelab.present.html import LEFT
from routelab.router import Router
from routelab.strategies import DEFAULTS
from routelab.strategies.cascade import by_price

MOST = 4
"""Columns beside each other; more are not read."""
HELLO = "What is the capital of Australia, and since when?"
NOTE = "one prompt: a look, not a comparison; the Compare tab has many"


def playground(desk: Desk) -> Panel:
    """Return the playground's panel."""
    return _Playground(desk).panel


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What a run plays: the prompt, and the columns with the routers of their arms."""

    prompt: Prompt
    columns: Mapping[str, Column]
    routers: Mapping[str, Router]


class _Playground:
    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.experiment = f"playground-{uuid.uuid4().hex[:8]}"
        self.line = Line()
        self._guard = guard = Guard(self.line)
        self.prompt = ipywidgets.Textarea(
            value=HELLO,
            rows=4,
            continuous_update=False,
            placeholder="the prompt",
            tooltip="the prompt",
            layout={"width": "auto"},
        )
        self.system = ipywidgets.Textarea(
            rows=2,
            continuous_update=False,
            placeholder="as the arm has it",
            description="system",
            tooltip="the system prompt",
            layout={"width": "auto"},
        )
        self.temperature = _field("temperature", "0 to 2, or as the arm has it")
        self.most = _field("max tokens", "or as the arm has it")
        self.fold = ipywidgets.Accordion(
            [column(self.system, row(self.temperature, self.most))], titles=["system prompt, temperature, max tokens"]
        )
        self.explain = button("Explain", "who would be asked, why, and for how much; asks nobody", icon="question")
        self.run = button("Run", "ask all arms now", icon="play", style="primary")
        self.more = button("Add column", "one more arm beside the others", icon="plus")
        self.less = button("Remove column", "take the last column away", icon="minus")
        self.running = Running()
        self.meter = html()
        self.columns: list[Column] = []
        self._row = ipywidgets.Box(
            layout={"display": "flex", "flex_flow": "row wrap", "width": "100%", "grid_gap": "8px"}
        )
        self.define, self.cell = _Text("run this first, in a cell of its own"), _Text("the cell")
        self._copied, self._defining = html(), html()
        self.copy = ipywidgets.Accordion(
            [column(self._defining, self.define.widget, self._copied, self.cell.widget)], titles=["copy as cell"]
        )
        self.job: Job | None = None
        self._explaining: Job | None = None
        self._looking: _Asked | None = None
        self._asked: Prompt | None = None
        self._spent: tuple[Totals, Totals] | None = None
        self._lock = threading.Lock()
        self._counting = self._stale = False
        live = column(
            self.prompt,
            self.fold,
            row(self.explain, self.run, self.more, self.less, self.running.widget),
            self.line.widget,
            self._row,
            self.meter,
            self.copy,
        )
        self.panel = Panel(live, self._still, name="playground")
        self.explain.on_click(guard(lambda _: self._explain()))
        self.run.on_click(guard(lambda _: self._run()))
        self.more.on_click(guard(lambda _: self._add()))
        self.less.on_click(guard(lambda _: self._remove()))
        for control in (self.prompt, self.system, self.temperature, self.most):
            control.observe(guard(lambda _: self._changed()), "value")
        for _ in range(2):
            guard(self._add)()
        desk.hear("arms", guard(self._renew))
        desk.hear("log", self._count)
        self._count()

    # The columns

    def _add(self) -> None:
        if len(self.columns) == MOST:
            return
        held = [c.arm.value for c in self.columns]
        names = self.desk.lab.fleet.names
        fits = not [m for m in DEFAULTS["rules"]().models if m not in names] or "rules" in self.desk.lab.arms
        cheap = by_price(self.desk.lab.fleet.roster())
        wishes = [(ARM, name) for name in (*(["rules"] if fits else []), *self.desk.lab.arms, *cheap)]
        key = next((wish for wish in wishes if wish not in held), wishes[0])
        self.columns.append(Column(self.desk, self._guard, self._changed, key))
        self._placed()

    def _remove(self) -> None:
        if len(self.columns) > 1:
            self.columns.pop()
            self._placed()

    def _placed(self) -> None:
        self._row.children = tuple(c.widget for c in self.columns)
        self.more.disabled, self.less.disabled = len(self.columns) == MOST, len(self.columns) == 1
        self._changed()

    def _renew(self) -> None:
        for each in self.columns:
            each.renew()
        self._changed()

    # What is asked

    @property
    def sampling(self) -> PromptConfig:
        """What stands beside the prompt, None for what is left to the arms; ConfigError for what is no number."""
        temperature, most = self.temperature.value.strip(), self.most.value.strip()
        try:
            return PromptConfig(
                system=self.system.value or None,
                temperature=_number(temperature, "temperature") if temperature else None,
                max_output_tokens=_whole(most, "max tokens") if most else None,
            )
        except ValueError as trouble:
            raise ConfigError(str(trouble)) from None

    def _arms(self) -> dict[str, tuple[Column, RouteConfig]]:
        """Return the columns with their configs by label; ConfigError when one has none."""
        named = labels(c.title for c in self.columns)
        sampling = self.sampling
        return {
            label: (each, with_sampling(self.desk.lab.config(each.config), sampling))
            for label, each in zip(named, self.columns, strict=True)
        }

    def _changed(self) -> None:
        """Write the cell anew; what stands in the way is said in its place."""
        try:
            made = self.copied()
        except RoutelabError as trouble:
            made = None
            put(self._copied, note(f"no cell yet: {trouble.message}"))
        else:
            put(self._copied, note("copy this into a cell: it asks the same of the same arms"))
        defines = made is not None and bool(made.define)
        put(self._defining, note("run this first, in a cell of its own") if defines else "")
        self.define.fill("" if made is None else made.define)
        self.cell.fill("" if made is None else made.cell)
        panel = getattr(self, "panel", None)
        if panel is not None:
            panel.refresh()

    def copied(self) -> Copied:
        """Return the cell that asks the same; ConfigError where none can."""
        named = labels(c.title for c in self.columns)
        arms = [Chosen(label=n, config=c.config, named=c.named) for n, c in zip(named, self.columns, strict=True)]
        lab = self.desk.lab
        taken = {*self.desk.names, *lab.arms, *DEFAULTS, *lab.fleet.names, "RouteConfig"}
        return copied(self.prompt.value, arms, self.sampling, taken=taken)

    def _ready(self) -> _Asked:
        if not self.prompt.value.strip():
            raise ConfigError("there is nothing to ask", hint="write a prompt first")
        arms = self._arms()
        prompt = Prompt.of(asked(self.prompt.value))
        routers = {
            label: self.desk.lab.router(config, experiment=self.experiment).with_setting(arm=label)
            for label, (_, config) in arms.items()
        }
        return _Asked(prompt=prompt, columns={label: c for label, (c, _) in arms.items()}, routers=routers)

    # Explaining

    def _explain(self) -> None:
        ready = self._ready()
        if self.job is not None and not self.job.done:
            raise ConfigError("the arms are being asked now", hint="wait, or press Stop")
        self._hush()
        self.line.say("")
        self._asked = ready.prompt
        for each in ready.columns.values():
            each.clear("looking…")
        log = self.desk.lab.log

        async def look(label: str, router: Router) -> None:
            # In a thread: what embeds needs a second the first time, and calls under way must not wait for it.
            try:
                found: Explained | RoutelabError = await asyncio.to_thread(explained, router, ready.prompt, log)
            except RoutelabError as trouble:
                found = trouble
            told(ready.columns[label], found)

        async def play() -> None:
            async with self.line.told():
                await asyncio.gather(*(look(label, router) for label, router in ready.routers.items()))

        @self._guard
        def told(place: Column, found: Explained | RoutelabError) -> None:
            if self._looking is ready and place in self.columns:
                self._told(place, found)

        self._looking = ready
        self._explaining = Job("explain", play)

    def _told(self, place: Column, found: Explained | RoutelabError) -> None:
        if isinstance(found, RoutelabError):
            place.fail(f"{type(found).__name__}: {found.message}")
        else:
            place.explain(found)
        self.panel.refresh()

    def _hush(self) -> None:
        """Let go of an explanation that is still under way."""
        self._looking = None
        if self._explaining is not None:
            self._explaining.cancel()

    # Running

    def _run(self) -> None:
        if self.job is not None and not self.job.done:
            raise ConfigError("the arms are being asked already", hint="wait, or press Stop")
        ready = self._ready()
        self._hush()
        self.line.say("")
        self._asked = ready.prompt
        for each in ready.columns.values():
            each.clear("waiting for the answer…")
        lab = self.desk.lab
        lab.log.record_experiment(
            self.experiment,
            dataset="prompt",
            arms={name: router.config.to_mapping() for name, router in ready.routers.items()},
        )
        trial = Trial(ready.routers, [ready.prompt])

        async def play() -> None:
            async with self.line.told():
                await trial.play(jobs=MOST)

        self.run.disabled = True
        self.job = self.desk.start(
            f"playground: {', '.join(ready.routers)}",
            play,
            progress=lambda: trial.progress,
            result=lambda: {name: found[0] for name, found in trial.answers.items() if found[0] is not None} or None,
            ended=lambda: "budget spent" if trial.stopped is not None else None,
        )
        show = self._guard(lambda job: self._show(job, ready, trial))
        self.running.follow(self.job, moved=show, ended=show)

    def _show(self, job: Job, ready: _Asked, trial: Trial) -> None:
        """Show what has come; at the end also why something has not."""
        new = False
        for label, place in ready.columns.items():
            answer = trial.answers[label][0]
            if answer is not None and place.answer is not answer and place in self.columns and job is self.job:
                place.show(answer)
                new = True
            elif job.done and answer is None and job is self.job and not place.trouble:
                place.fail(_missing(job, trial))
                new = True
        if job.done and job is self.job:
            if job.state != "failed" and trial.stopped is None:
                # What a second click was told no longer holds.
                self.line.say("")
            if trial.stopped is not None:
                self.line.fail(trial.stopped)
            self.run.disabled = False
            new = True
        if new:
            self.panel.refresh()

    # What it cost

    def _count(self) -> None:
        """Add up what this panel and what the log has spent, in a thread: the log may have to be written first."""
        with self._lock:
            if self._counting:
                self._stale = True
                return
            self._counting, self._stale = True, False
        log = self.desk.lab.log

        def count() -> tuple[Totals, Totals]:
            return logbook.totals(log, Wanted(experiment=self.experiment)), logbook.totals(log, Wanted())

        async def play() -> None:
            try:
                async with self.line.told():
                    self._guard(self._metered)(await asyncio.to_thread(count))
            finally:
                with self._lock:
                    self._counting, again = False, self._stale
                if again:
                    self._count()

        Job("meter", play)

    def _metered(self, spent: tuple[Totals, Totals]) -> None:
        self._spent = spent
        put(self.meter, note(self._meter()))
        self.panel.refresh()

    def _meter(self) -> str:
        if self._spent is None:
            return ""
        mine, whole = self._spent
        return f"this panel: {_spending(mine)} | this lab's log: {_spending(whole)}"

    # The still

    def _still(self) -> dict[str, str]:
        named = labels(c.title for c in self.columns)
        shown = dict(zip(named, self.columns, strict=True))
        text = [f"prompt: {safe(self.prompt.value)}"]
        parts = [note("prompt"), pre(self.prompt.value)]
        table = "".join(f"<th {LEFT}>{escape(label)}</th>" for label in shown)
        cells = [_cell(c) for c in shown.values()]
        parts.append(
            f"<table><thead><tr>{table}</tr></thead><tbody><tr>"
            + "".join(f"<td {LEFT}>{made}</td>" for _, made in cells)
            + "</tr></tbody></table>"
        )
        text += [f"── {safe(label)} ──\n{plain}" for label, (plain, _) in zip(shown, cells, strict=True)]
        for label, each in shown.items():
            if each.answer is not None:
                trace = trace_table(each.answer)
                parts.append(f"<div><b>{escape(label)}</b></div>{trace.html()}")
                text.append(f"── {safe(label)} ──\n{trace.text()}")
        for more in (NOTE if any(c.answer for c in self.columns) else "", self.line.text, self._meter()):
            if more:
                parts.append(note(more))
                text.append(safe(more))
        return {"text/plain": "\n\n".join(text), "text/html": framed("".join(parts))}


def _missing(job: Job, trial: Trial) -> str:
    if trial.stopped is not None:
        return f"BudgetExceeded: {trial.stopped.message}"
    # A job that is being stopped is done before it says so.
    return "no answer" if job.state == "failed" else "stopped before it answered"


def _cell(each: Column) -> tuple[str, str]:
    """Return what a column shows as text and as HTML."""
    if each.answer is not None:
        a = each.answer
        return f"{safe(facts(a))}\n{safe(said(a))}\n{safe('why: ' + a.why)}", _beside(a)
    if each.explained is not None:
        table = each.explained.table()
        return table.text(), table.html()
    line = f"✗ {each.trouble}" if each.trouble else each.line.text or "not asked yet"
    return safe(line), note(line)


def _beside(answer: Answer) -> str:
    return f"{note(facts(answer))}{pre(said(answer))}{note('why: ' + answer.why)}"


def _spending(found: Totals) -> str:
    spent = usd(found.spent_usd + found.judging_usd)
    parts = [f"{found.calls:,} calls", f"{'at least ' if found.unpriced else ''}{spent}"]
    if found.unpriced:
        parts.append(f"{found.unpriced:,} without a price")
    if found.simulated:
        parts.append(
            "simulated" if found.simulated == found.runs else f"{found.simulated:,} of {found.runs:,} runs simulated"
        )
    return " · ".join(parts)


def _field(label: str, hint: str) -> ipywidgets.Text:
    return ipywidgets.Text(
        description=label,
        placeholder=hint,
        tooltip=hint,
        continuous_update=False,
        style={"description_width": "initial"},
        layout={"width": "24em"},
    )


class _Text:
    """A text to be selected and copied: whatever is typed into it is taken back."""

    def __init__(self, tip: str) -> None:
        self.text = ""
        # Not disabled: that could neither be focused nor selected with the keyboard.
        self.widget = ipywidgets.Textarea(
            tooltip=tip, layout={"width": "auto", "display": "none"}, style={"font_family": "monospace"}
        )
        self.widget.observe(lambda _: self._restore(), "value")

    def fill(self, text: str) -> None:
        self.text = text
        self.widget.value = text
        self.widget.rows = min(max(text.count("\n") + 1, 2), 16)
        self.widget.layout.display = "" if text else "none"

    def _restore(self) -> None:
        if self.widget.value != self.text:
            self.widget.value = self.text


def _number(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"{name}: a number is wanted (got {text[:40]!r})")
    return value


def _whole(text: str, name: str) -> int:
    value = _number(text, name)
    if not value.is_integer():
        raise ConfigError(f"{name}: a whole number is wanted (got {text[:40]!r})")
    return int(value)
