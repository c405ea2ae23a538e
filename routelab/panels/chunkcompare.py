"""Comparing chunkers: what is tried, the bench as a job that can be stopped, and its figures at one context or another."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ipywidgets

from routelab.config import RouteConfig
from routelab.core.errors import Cancelled, ConfigError
from routelab.lab.charts import Chart
from routelab.lab.charts.chunkrecall import chunk_recall, reach_of
from routelab.lab.chunks.answers import Asking, asking_of
from routelab.lab.chunks.verdict import MARGIN
from routelab.lab.desk import Desk
from routelab.lab.job import Job
from routelab.panels.chunkcontrols import text
from routelab.panels.chunkcut import EMBEDDERS, kinds
from routelab.panels.chunkfigures import (
    Compared,
    answers_table,
    arms_table,
    prices_table,
    retrieval_of_arm,
    section,
    versus_table,
)
from routelab.panels.chunkplaying import Playing, Tried
from routelab.panels.chunktexts import FOLDER, Offer, Texts, offer_of, offers, opened
from routelab.panels.later import later
from routelab.panels.panel import Panel
from routelab.panels.parts import Guard, Line, Picture, Running, button, column, dropdown, html, number, put, row, whole
from routelab.panels.playgroundcolumn import saved
from routelab.present import Table, bundle
from routelab.retrieval import WAYS

NOBODY = "nobody"
START = "Choose what to try and press Compare: unless somebody is to answer, nobody is asked, and it costs nothing but time."
BEGIN = ("tokens", "recursive", "markdown", "semantic")
LOOK = (
    "<style>.rl.rl-chunkarms td{white-space:nowrap}.rl.rl-chunkarms td:first-child{white-space:normal;min-width:10em}"
    ".rl.rl-chunkversus th{white-space:normal}.rl.rl-chunkversus td:first-child{min-width:10em}</style>"
)


class Compare:
    """The part of the tab that compares chunkers. `compared` is what is shown."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.compared: Compared | None = None
        self.jobs: list[Job] = []
        self._offers: Mapping[str, Offer] = {}
        self._given: Mapping[str, Offer] = {}
        self._quiet = False
        self._tables: tuple[Table, ...] = ()
        self._build()
        self.panel = Panel(self._live, self.still, name="chunks: compare")
        self._guard(self.renew)()
        desk.hear("log", self._guard(self.renew))

    def _build(self) -> None:
        self.line, self.running, self.picture = Line(), Running(), Picture(height=0)
        self._guard = Guard(self.line)
        self._trying()
        self._taking()
        self._laid_out()
        self._wire()

    def _trying(self) -> None:
        """Make what says what is tried."""
        tip = "texts with questions whose answers are known: the handbook that ships, Questions of this notebook, a folder"
        self.source = dropdown("texts", [FOLDER], tip=tip, width="30em")
        self.path = text("path", "a folder of .md and .txt texts", "26em")
        self.questions = text("questions", "a CSV with question,references,corpus_id", "26em")
        self.kinds = {
            kind: ipywidgets.Checkbox(
                value=kind in BEGIN, description=kind, tooltip=f"try {kind}", indent=False, layout={"width": "auto"}
            )
            for kind in kinds()
        }
        self.sizes = text("sizes, tokens", "200, 400", "14em", value="200, 400")
        self.overlaps = text("overlaps, %", "0, 20", "13em", value="0, 20")
        self.k = whole("k", 5, 1, 100, "how many chunks are retrieved", "7em")
        self.by = dropdown("by", list(WAYS), tip="vectors: meaning; words: BM25; hybrid: the ranks of both")
        self.embedder = dropdown(
            "with", list(EMBEDDERS), tip="whose vectors say how near a chunk is, and where semantic borders are"
        )
        tip = "the recall that a cheaper context may lose, in points"
        self.margin = number("margin, points", 100 * MARGIN, least=0.1, most=50.0, step=0.5, tip=tip, width="13em")
        self.answered = dropdown(
            "answered by",
            [NOBODY],
            tip="a model that answers from each arm's passages, which costs its price",
            width="18em",
        )
        self.limit = whole("questions", 40, 2, 100_000, "how many questions it answers for each arm", "10em")
        self.budget = text("budget, USD", "1.00", "11em", value="1.00")
        self.run = button(
            "Compare", "cut, embed and search; a model is asked only if one is to answer", icon="play", style="primary"
        )
        self.refresh = button("Refresh", "look again at the notebook's variables", icon="refresh")

    def _taking(self) -> None:
        """Make what says where one looks, and what takes an arm away."""
        self.at = dropdown(
            "at", ["–"], tip="k passages, which are more or fewer tokens, or a context of equal tokens", width="14em"
        )
        self.baseline = dropdown("against", ["–"], tip="the arm that the others are held against", width="20em")
        self.arm = dropdown("config of", ["–"], tip="whose retrieval section to copy", width="20em")
        self.copy = button(
            "Copy config", "the section `retrieval` of a config, with its evidence, to copy", icon="copy"
        )
        self.yaml = ipywidgets.Textarea(
            description="to copy",
            tooltip="select all and copy it into a config",
            style={"description_width": "initial"},
            layout={"width": "100%", "max_width": "860px", "height": "13em"},
        )
        self.base = dropdown(
            "of", [""], tip="the arm or model that gets these passages put before its question", width="16em"
        )
        self.named = ipywidgets.Text(
            placeholder="name",
            tooltip="the name of the arm that retrieves so",
            continuous_update=False,
            layout={"width": "12em"},
        )
        self.save = button("Save as arm", "keep that arm with this retrieval: cells and tabs then know it", icon="plus")
        self._offer = column(self.yaml, row(self.base, self.named, self.save))
        self._offer.layout.display = "none"

    def _laid_out(self) -> None:
        self._says, self._arms, self._versus, self._prices, self._answers = html(), html(), html(), html(), html()
        self._shown = column(
            self._says,
            row(self.at, self.baseline),
            self._arms,
            self.picture.widget,
            self._versus,
            self._answers,
            self._prices,
            row(self.arm, self.copy),
            self._offer,
        )
        self._shown.layout.display = "none"
        self._live = column(
            row(self.source, self.path, self.questions, self.refresh),
            row(*self.kinds.values()),
            row(self.sizes, self.overlaps, self.k, self.by, self.embedder, self.margin),
            row(self.answered, self.limit, self.budget),
            row(self.run, self.running.widget),
            self.line.widget,
            self._shown,
        )

    def _wire(self) -> None:
        guard = self._guard
        self.source.observe(guard(lambda _: self._sourced()), names="value")
        self.answered.observe(guard(lambda _: self._asked()), names="value")
        self.refresh.on_click(guard(lambda _: self.renew()))
        self.run.on_click(guard(lambda _: self._run()))
        for control in (self.at, self.baseline):
            control.observe(guard(lambda _: self._show()), names="value")
        self.copy.on_click(guard(lambda _: self._copy()))
        self.arm.observe(guard(lambda _: self._hide()), names="value")
        self.save.on_click(guard(lambda _: self._save()))

    # What is tried

    def renew(self) -> None:
        """Look again at what there is to compare on."""
        self._offers = {**self._given, **{title: o for title, o in offers(self.desk).items() if o.asked}}
        options = [*self._offers, FOLDER]
        if list(self.source.options) != options:
            kept = self.source.value if self.source.value in options else options[0]
            self.source.options = options
            self.source.value = options[0] if kept == FOLDER and len(options) > 1 else kept
        models = [NOBODY, *self.desk.lab.fleet.names]
        if list(self.answered.options) != models:
            _choose(self.answered, models, NOBODY)
        self._sourced()
        self._asked()

    def _asked(self) -> None:
        shown = "none" if self.answered.value == NOBODY else ""
        self.limit.layout.display = self.budget.layout.display = shown

    @property
    def asking(self) -> Asking | None:
        """Who answers, within which budget; None where nobody does. ConfigError for a budget that is no amount."""
        if self.answered.value == NOBODY:
            return None
        [budget] = _numbers(self.budget.value, "budget, USD")[:1]
        lab = self.desk.lab
        return asking_of(lab.fleet, str(self.answered.value), limit=self.limit.value, budget_usd=budget, log=lab.log)

    def _sourced(self) -> None:
        shown = "" if self.source.value == FOLDER else "none"
        self.path.layout.display = self.questions.layout.display = shown

    def take(self, value: Any) -> None:
        """Make a value what is compared on; ConfigError for one without questions."""
        name = next((name for name, other in self.desk.names.items() if other is value), "given")
        given = offer_of(name, value)
        if given is None or not given.asked:
            raise ConfigError(
                f"chunks: a {type(value).__name__} has no questions with known answers", hint="Questions.read(...)"
            )
        self._given = {given.title: given}
        self.renew()
        self.source.value = given.title

    @property
    def tried(self) -> Tried:
        """What the controls ask for; ConfigError names the box that cannot be read."""
        chosen = tuple(kind for kind, box in self.kinds.items() if box.value)
        if not chosen:
            raise ConfigError("tick at least one kind of chunker")
        return Tried(
            kinds=chosen,
            sizes=tuple(int(v) for v in _numbers(self.sizes.value, "sizes", whole=True)),
            overlaps=tuple(v / 100 for v in _numbers(self.overlaps.value, "overlaps")),
            k=self.k.value,
            by=str(self.by.value),
            embedder=str(self.embedder.value),
            margin=self.margin.value / 100,
        )

    def _run(self) -> None:
        if self.running.job is not None and not self.running.job.done:
            raise ConfigError("a comparison is running already", hint="wait for it, or press Stop")
        tried, title, asking = self.tried, str(self.source.value), self.asking
        tried.settings(threading.Event())  # says at once what cannot be
        if title == FOLDER:
            path, questions = self.path.value, self.questions.value
            read: Callable[[], Texts] = lambda: opened(path, questions)  # noqa: E731
            corpus = Path(path.strip()).name or "texts"
        else:
            read, corpus = self._offers[title].read, self._offers[title].corpus
        playing = Playing(read, tried, tuple(self.desk.lab.fleet.models), corpus, asking)
        self.line.say("")
        job = self.desk.start(
            f"chunkers on {title}",
            lambda: self._played(playing),
            progress=lambda: playing.progress,
            result=playing.result,
            counts="chunkings",
        )
        self.jobs.append(job)
        self.running.follow(job, moved=lambda _: self.line.say(playing.now), ended=lambda _: self._ended(playing))

    async def _played(self, playing: Playing) -> None:
        async with self.line.told():
            try:
                await playing.play()
            except Cancelled:
                return

    def _ended(self, playing: Playing) -> None:
        done = playing.result()
        if not self.line.text.startswith("✗"):
            self.line.say("" if done is not None else "stopped before anything was finished")
        if done is not None:
            self._guard(lambda: self._there(done))()

    # What came of it

    def _there(self, done: Compared) -> None:
        self.compared = done
        self._quiet = True
        try:
            _choose(self.at, list(done.contexts), next(iter(done.contexts)))
            _choose(self.baseline, done.names, done.baseline)
            best = done.found.recommended
            _choose(self.arm, done.names, done.names[0] if best is None else str(best["name"]), keep=False)
        finally:
            self._quiet = False
        self._shown.layout.display = ""
        self._show()

    def _show(self) -> None:
        done = self.compared
        if done is None or self._quiet:
            return
        what = str(self.at.value)
        at = done.contexts[what]
        arms, versus = arms_table(done, at, what), versus_table(done, str(self.baseline.value), at, what)
        prices = prices_table(done, at, what)
        answers = answers_table(done, str(self.baseline.value))
        self._tables = (arms, versus, prices, *(() if answers is None else (answers,)))
        put(self._says, f"<div>{done.says}</div>")
        put(self._arms, LOOK + arms.html(), more="rl-chunkarms")
        put(self._versus, LOOK + versus.html(), more="rl-chunkversus")
        put(self._answers, "" if answers is None else LOOK + answers.html(), more="rl-chunkversus")
        put(self._prices, LOOK + prices.html(), more="rl-chunkversus")
        self._hide()

        def draw() -> Chart:
            made = chunk_recall(reach_of(done.found, done.questions, at=at))
            made._repr_mimebundle_()
            return made

        def drawn(chart: Chart) -> None:
            if self.compared is done and self.at.value == what:
                self.picture.show(chart)

        self.jobs.append(later("chunks: chart", draw, drawn, self._guard))
        self.panel.refresh()

    def _hide(self) -> None:
        self._offer.layout.display, self.yaml.value = "none", ""

    def _copy(self) -> None:
        done, name = self.compared, str(self.arm.value)
        assert done is not None
        baseline, what = str(self.baseline.value), str(self.at.value)
        row = next(r for r in versus_table(done, baseline, done.contexts[what], what).rows if r[0] == name)
        told = [] if name == baseline else [f"against {baseline} at {what}: recall {row[1]} {row[2]}, {row[5]}"]
        self.yaml.value = section(done, name, told)
        lab = self.desk.lab
        arms = [*lab.arms, *lab.fleet.names]
        _choose(self.base, arms, arms[0])
        self._offer.layout.display = ""
        self.panel.refresh()

    def _save(self) -> None:
        done, name, lab = self.compared, str(self.arm.value), self.desk.lab
        assert done is not None
        if done.corpus not in lab.corpora:
            lab.corpora[done.corpus] = dict(done.questions.corpora)
        base = str(self.base.value)
        config: RouteConfig = dataclasses.replace(lab.arm(base), retrieval=retrieval_of_arm(done, name))
        kept = saved(self.desk, self.named.value or f"{base}-with-{done.corpus}", config)
        self.line.say(
            f"saved: cells and the other tabs know it as {kept.name}; its corpus is lab.corpora['{done.corpus}']"
        )

    def still(self) -> dict[str, str]:
        """Return what is shown now as text and HTML."""
        done = self.compared
        if done is None:
            return bundle(self.line.text or START)
        return bundle(done.says, *self._tables, *([self.yaml.value] if self.yaml.value else []))


def _numbers(given: str, name: str, *, whole: bool = False) -> list[float]:
    parts = [part for part in given.replace(";", ",").replace("%", "").split(",") if part.strip()]
    try:
        found = [int(part) if whole else float(part) for part in parts]
    except ValueError:
        raise ConfigError(f"{name}: numbers with commas between them are wanted, not {given!r}") from None
    if not found:
        raise ConfigError(f"{name}: at least one number is wanted")
    return [float(value) for value in found]


def _choose(control: ipywidgets.Dropdown, options: list[str], first: str, *, keep: bool = True) -> None:
    kept = control.value if keep and control.value in options else first
    control.options = options
    control.value = kept
