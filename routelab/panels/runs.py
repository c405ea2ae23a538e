"""The Compare tab: choose data and arms, see what it may cost, run it in the background, look at what came of it, open it again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import ipywidgets

from routelab.config import RouteConfig
from routelab.core.errors import ConfigError, RoutelabError
from routelab.lab.compare import Comparison
from routelab.lab.desk import Desk
from routelab.lab.job import Job
from routelab.panels.panel import Panel
from routelab.panels.parts import (
    MARGIN,
    Guard,
    Line,
    Running,
    budget,
    button,
    column,
    dropdown,
    html,
    number,
    put,
    row,
    whole,
)
from routelab.panels.reopened import Played, experiments, reopened
from routelab.panels.runsahead import SHIPPED, Ahead, ahead, arms_of, data_of, loaded
from routelab.panels.runsplaying import Playing, Wish, budget_of
from routelab.present import framed, note, safe
from routelab.strategies.cascade import by_price

NONE_YET = "no experiments yet"


def runs(desk: Desk) -> Panel:
    """Return the Compare tab's panel."""
    return _Runs(desk).panel


class _Runs:
    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.line = Line()
        self._guard = Guard(self.line)
        self.data = dropdown("data", [], tip="the prompts to compare on: shipped sets, and data of this notebook")
        self.prompts = whole(
            "prompts", 20, 1, 1_000_000, "how many of them, drawn over the tasks in proportion", "11em"
        )
        self.margin = number("margin, points", 2.0, least=0.01, most=50.0, step=0.5, tip=MARGIN, width="13em")
        self.budget = budget()
        self.jobs = whole("at once", 8, 1, 64, "how many prompts are asked at the same time", "11em")
        self.search = ipywidgets.Text(
            placeholder="search the arms",
            tooltip="show the arms whose name has these letters",
            layout={"width": "16em"},
        )
        self.boxes: dict[str, ipywidgets.Checkbox] = {}
        self._ticked: list[str] = []
        self._shelf = ipywidgets.Box(
            layout={
                "display": "flex",
                "flex_flow": "row wrap",
                "max_height": "9.5em",
                "overflow": "auto",
                "grid_gap": "0 14px",
            }
        )
        self._chosen = html()
        self.baseline = dropdown("baseline", [], tip="the arm that the others are measured against")
        self.estimate, self._arms = html(), html()
        self.run = button("Run", "ask every arm about every prompt", icon="play", style="primary")
        self.refresh = button("Refresh", "list the notebook's data, the arms and the experiments again", icon="refresh")
        self.running = Running()
        self.recent = dropdown("earlier", [(NONE_YET, None)], tip="experiments of this lab's log", width="44em")
        self.open = button("Open", "read it back from the log", icon="folder-open")
        self._view = column()
        self.shown: Panel | None = None
        self.comparison: Comparison | None = None
        self.job: Job | None = None
        self.said = ""
        self._listed: Mapping[str, str | RouteConfig] = {}
        self._looking = self._listing = self._opening = object()
        self._renewing = False
        self.panel = Panel(self._laid_out(), self._still, name="runs")
        self._wire()

    def _laid_out(self) -> ipywidgets.Widget:
        return column(
            row(self.data, self.prompts, self.margin, self.budget, self.jobs),
            row(self.search, self.baseline, self.refresh),
            self._shelf,
            self._chosen,
            self.estimate,
            row(self.run, self.running.widget),
            self.line.widget,
            self._arms,
            row(self.recent, self.open),
            self._view,
        )

    def _wire(self) -> None:
        guard = self._guard
        self.run.on_click(guard(lambda _: self._run()))
        self.open.on_click(guard(lambda _: self._open()))
        self.refresh.on_click(guard(lambda _: self._renew()))
        self.search.observe(guard(lambda _: self._sift()), "value")
        for control in (self.data, self.prompts):
            control.observe(guard(lambda _: self._ahead()), "value")
        guard(self._begin)()
        self.desk.hear("arms", guard(self._renew))
        self.desk.hear("log", self._list)
        self.desk.hear("comparison", guard(self._look))

    # What there is to choose

    def _begin(self) -> None:
        cheap = by_price(self.desk.lab.fleet.roster())
        # The dearest first: it is what a router must not fall behind.
        self._ticked = list(dict.fromkeys([cheap[-1], cheap[0]]))
        self._renew()
        # Any list of texts may be data: what ships is a safer beginning.
        self.data.value = next((key for _, key in self.data.options if key[0] == SHIPPED), self.data.value)
        if "rules" in self._listed:
            self.boxes["rules"].value = True
        self._look()

    def _renew(self) -> None:
        """List data, arms and experiments as they are now; what was chosen stays."""
        data = data_of(self.desk)
        self._listed = arms_of(self.desk)
        self._ticked = [name for name in self._ticked if name in self._listed]
        self._renewing = True
        try:
            _options(self.data, [(title, key) for key, title in data.items()])
            for name in self._listed:
                if name not in self.boxes:
                    self.boxes[name] = self._box(name)
                self.boxes[name].value = name in self._ticked
        finally:
            self._renewing = False
        self._shelf.children = tuple(self.boxes[name] for name in self._listed)
        self._sift()
        self._picked()
        self._list()

    def _box(self, name: str) -> ipywidgets.Checkbox:
        box = ipywidgets.Checkbox(
            description=name, indent=False, tooltip=f"compare {name}", layout={"width": "auto", "min_width": "11em"}
        )
        box.observe(self._guard(lambda _: self._tick(name)), "value")
        return box

    def _tick(self, name: str) -> None:
        if self._renewing:
            return
        if self.boxes[name].value and name not in self._ticked:
            self._ticked.append(name)
        elif not self.boxes[name].value and name in self._ticked:
            self._ticked.remove(name)
        self._picked()

    def _sift(self) -> None:
        wanted = self.search.value.strip().lower()
        for name in self._listed:
            self.boxes[name].layout.display = "" if wanted in name.lower() else "none"

    def _picked(self) -> None:
        _options(self.baseline, [(name, name) for name in self._ticked])
        put(self._chosen, note(f"arms: {', '.join(self._ticked) or 'none, tick two or more'}"))
        self._ahead()

    # Before

    def _wish(self) -> Wish:
        """Return what the controls ask for; ConfigError for what cannot be asked."""
        if self.data.value is None:
            raise ConfigError("there is no data", hint="choose a data set")
        if len(self._ticked) < 2:
            raise ConfigError("tick two arms or more", hint="the first one is the baseline unless you choose another")
        return Wish(
            data=self.data.value,
            prompts=self.prompts.value,
            arms={name: self._listed[name] for name in self._ticked},
            baseline=self.baseline.value or self._ticked[0],
            margin=self.margin.value / 100,
            budget_usd=budget_of(self.budget.value),
            jobs=self.jobs.value,
        )

    def _ahead(self) -> None:
        """Work out what it would cost, in a thread; the latest wish counts."""
        token = self._looking = object()
        if self._renewing or self.data.value is None or not self._ticked:
            self._estimated(token, "")
            return
        key, n = self.data.value, self.prompts.value
        arms = {name: self._listed[name] for name in self._ticked}
        put(self.estimate, note("working out what it may cost…"))

        def look() -> Ahead:
            return ahead(self.desk.lab, loaded(self.desk, key, n), arms)

        async def play() -> None:
            try:
                told = (await asyncio.to_thread(look)).text
            except RoutelabError as trouble:
                told = f"✗ {trouble.message}"
            self._guard(self._estimated)(token, told)

        Job("estimate", play)

    def _estimated(self, token: object, told: str) -> None:
        if token is not self._looking:
            return
        self.said = told
        put(self.estimate, note(told) if told else "")
        self.panel.refresh()

    # Running

    def _run(self) -> None:
        if self.job is not None and not self.job.done:
            raise ConfigError("a comparison is running already", hint="wait, or press Stop")
        playing = Playing(wish=self._wish())
        wish = playing.wish
        self.line.say("")

        async def play() -> None:
            async with self.line.told():
                playing.experiment = await asyncio.to_thread(wish.experiment, self.desk)
                await playing.experiment.play(jobs=wish.jobs)

        self.run.disabled = True
        who = ", ".join(wish.arms) if len(wish.arms) < 4 else f"{len(wish.arms)} arms"
        self.job = self.desk.start(
            f"compare on {wish.data[1]}: {who}",
            play,
            progress=lambda: playing.progress,
            result=playing.result,
            ended=playing.ended,
        )
        self.running.follow(
            self.job,
            moved=self._guard(lambda _: self._moved(playing)),
            ended=self._guard(lambda _: self._over(playing)),
        )

    def _moved(self, playing: Playing) -> None:
        standing = None if playing.over else playing.standing()
        if standing is not None:
            put(self._arms, standing)
            self.panel.refresh()

    def _over(self, playing: Playing) -> None:
        """Keep what was finished and have it looked at; a job tells its end more than once."""
        if playing.over:
            return
        playing.over = True
        self.run.disabled = False
        if self.job is not None and self.job.state != "failed":
            # What a second click was told no longer holds.
            self.line.say("")
        experiment = playing.experiment
        if experiment is None:
            self.panel.refresh()
            return
        put(self._arms, "")

        async def play() -> None:
            async with self.line.told():
                made = await asyncio.to_thread(experiment.result)
                trouble = experiment.trouble()
                if made is not None:
                    # In a thread: whoever listens may read the log.
                    await asyncio.to_thread(self.desk.show, made)
                if trouble is not None:
                    self._guard(self.line.fail)(trouble)
                elif made is None:
                    self._guard(self.line.say)(
                        "no prompt was finished by every arm, so there is nothing to compare; the Log tab has the runs"
                    )

        Job("result", play)
        self.panel.refresh()

    # Looking

    def _look(self) -> None:
        """Show the comparison that the desk looks at."""
        comparison = self.desk.comparison
        if comparison is None or comparison is self.comparison:
            return
        self.comparison = comparison

        async def play() -> None:
            async with self.line.told():
                # In a thread: it reads people's ratings from the log.
                made = await asyncio.to_thread(comparison.view)
                self._guard(self._place)(comparison, made)

        Job("view", play)

    def _place(self, comparison: Comparison, made: Panel) -> None:
        if comparison is not self.comparison:
            return
        before, self.shown = self.shown, made
        made.heard(self.panel.refresh)
        self._view.children = (made.live,)
        if before is not None:
            _close(before.live)
        self.panel.refresh()

    # Earlier ones

    def _list(self) -> None:
        """Read which experiments the log has, in a thread."""
        token = self._listing = object()
        log = self.desk.lab.log

        async def play() -> None:
            async with self.line.told():
                found = await asyncio.to_thread(experiments, log)
                self._guard(self._listed_now)(token, found)

        Job("experiments", play)

    def _listed_now(self, token: object, found: list[Played]) -> None:
        if token is self._listing:
            _options(self.recent, [(safe(p.title), p.id) for p in found] or [(NONE_YET, None)])
            self.open.disabled = not found

    def _open(self) -> None:
        which = self.recent.value
        if which is None:
            raise ConfigError("the log has no experiment to open", hint="run one first")
        token = self._opening = object()
        lab, baseline, margin = self.desk.lab, self.baseline.value, self.margin.value / 100
        self.line.say(f"reading {which} from the log…")

        async def play() -> None:
            async with self.line.told():
                made = await asyncio.to_thread(lambda: reopened(lab.log, which, baseline=baseline, margin=margin))
                if token is self._opening:
                    self._guard(self.line.say)("; ".join(n for n in made.terms.notes if "log" in n))
                    await asyncio.to_thread(self.desk.show, made)

        Job("open", play)

    # The still

    def _still(self) -> dict[str, str]:
        job = "" if self.job is None else str(self.job)
        chosen = f"{'?' if self.data.value is None else self.data.value[1]}: {', '.join(self._ticked) or 'no arms'}"
        lines = [line for line in (chosen, self.said, job, self.line.text) if line]
        found = {"text/plain": "\n".join(map(safe, lines)), "text/html": framed("".join(map(note, lines)))}
        if self.shown is None:
            return found
        shown = self.shown.shown()
        return {
            "text/plain": f"{found['text/plain']}\n\n{shown['text/plain']}",
            "text/html": found["text/html"] + shown["text/html"],
        }


def _options(box: ipywidgets.Dropdown, options: list[tuple[str, object]]) -> None:
    """Give a dropdown other options; its choice stays where it still can, else it is the first."""
    if list(box.options) == options:
        return
    values = [value for _, value in options]
    kept = box.value if box.value in values else values[0] if values else None
    box.options = options
    if box.value != kept:
        box.value = kept


def _close(widget: ipywidgets.Widget) -> None:
    """Let go of a widget and all in it, in the kernel and in the front end."""
    for child in getattr(widget, "children", ()):
        _close(child)
    widget.close()
