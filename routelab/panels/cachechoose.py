"""Choosing a cache's threshold: a slider over labelled pairs or traffic, what it would get wrong, and Confirm on what is held out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import ipywidgets

from routelab.config import RouteConfig
from routelab.core.errors import ConfigError
from routelab.lab.charts import Chart
from routelab.lab.desk import Desk
from routelab.lab.job import Job
from routelab.panels.cachedrawing import Drawing
from routelab.panels.cacheground import Confirmed, Ground, Offer, Place, Shown, counted, offer
from routelab.panels.cachesources import Source, source_of, sources
from routelab.panels.later import handed_over, later
from routelab.panels.panel import Panel
from routelab.panels.parts import Guard, Line, Picture, Running, button, column, dropdown, html, number, put, row
from routelab.panels.playgroundcolumn import saved
from routelab.present import Table, bundle, escape, note

EMBEDDERS = ("minilm", "lexical")
NOTHING = "nothing to tune on"
START = "Open something to tune on: the pairs that ship with the package, a variable of this notebook (a frame with text_a, text_b, label; traffic; recorded outcomes) or this log's runs."
SIDE = {"flex": "1 1 400px", "min_width": "0", "margin": "0 18px 0 0"}
SIDES = {"display": "flex", "flex_flow": "row wrap", "align_items": "flex-start", "width": "100%"}
LOOK = (
    "<style>.rl.rl-cache table{table-layout:fixed;width:100%}.rl.rl-cache td{overflow-wrap:anywhere;max-width:none!important}"
    ".rl.rl-cache th{white-space:normal;overflow-wrap:normal}"
    ".rl.rl-pairs th:nth-child(1){width:5.6em}.rl.rl-pairs th:nth-child(2){width:15%}.rl.rl-pairs th:nth-child(3){width:7em}"
    ".rl.rl-figures table,.rl.rl-few table{max-width:47em}.rl.rl-figures th:nth-child(1){width:8em}.rl.rl-figures th:nth-child(2){width:6.5em}"
    ".rl .rl-verdict{font-size:1.15em;font-weight:600;min-height:2.9em}.rl-earlier{opacity:.55}</style>"
)


class Choose:
    """The part of the tab that chooses a threshold. `ground` is what is tuned on, `shown` what the place does there."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.ground: Ground | None = None
        self.shown: Shown | None = None
        self.confirmation: Confirmed | None = None
        self.jobs: list[Job] = []
        self._drawing: Drawing | None = None
        self._sources: Mapping[str, Source] = {}
        self._given: Mapping[str, Source] = {}
        self._quiet = False
        self._opened_as = ""
        self._build()
        self.panel = Panel(self._live, self.still, name="cache: choose")
        self.guard_(self.renew)()
        desk.hear("log", self.guard_(self.renew))

    # What is on the screen

    def _build(self) -> None:
        self.line, self.running = Line(), Running()
        self.guard_ = guard = Guard(self.line)
        tip = "labelled pairs, or traffic: a variable of the notebook, the shipped pairs, or this log's runs"
        self.source = dropdown("tune on", [NOTHING], tip=tip, width="30em")
        self.embedder = dropdown("embedder", list(EMBEDDERS), tip="whose vectors say how alike two questions are")
        tip = "traffic only: how long an answer is good, in seconds (0: for ever); needs arrival times"
        self.ttl = number("ttl, s", 0.0, least=0.0, most=1e9, step=60.0, tip=tip, width="10em")
        self.open = button("Open", "embed every question and work out every threshold", icon="sliders", style="primary")
        self.refresh = button("Refresh", "look again at the notebook's variables and the log", icon="refresh")
        self.guard = dropdown("guard", ["lexical"], tip="objects to near misses: other numbers, names, opposites …")
        tip = "the share of hits that may be false, in per cent; the one-sided 95 % bound must be within it"
        self.budget = number("false hits at most, %", 1.0, least=0.01, most=50.0, step=0.5, tip=tip, width="15em")
        self.best = button("Best", "go to the threshold that the looked-at half would choose", icon="bullseye")
        self.slider = ipywidgets.SelectionSlider(
            options=[("0.9000", 0.9)],
            description="threshold",
            tooltip="the least cosine of a hit; answered at every step, on the half that is looked at",
            continuous_update=True,
            style={"description_width": "initial"},
            layout={"width": "100%", "max_width": "860px"},
        )
        self.confirm = button(
            "Confirm", "look at the held-out half at this place; every look is counted", style="primary"
        )
        self.copy = button("Copy config", "the cache section of a config, with its evidence, to copy", icon="copy")
        self.full = button("Full chart", "the bench's own chart, which can be zoomed", icon="area-chart")
        self.more = button("Similarities", "another chart of the same", icon="bar-chart")
        self._head, self._figures, self._curves, self._why = html(), html(), html(), html()
        self._figures.layout, self._curves.layout = ipywidgets.Layout(**SIDE), ipywidgets.Layout(**SIDE)
        self._result, self._tables = html(), html()
        self.picture = Picture()
        self._taking()
        self._tuning = column(
            self._head,
            row(self.guard, self.budget, self.best, self._why),
            self.slider,
            ipywidgets.Box([self._figures, self._curves], layout=SIDES),
            row(self.confirm, self.copy, self.full, self.more),
            self._result,
            self._offer,
            self.picture.widget,
            self._tables,
        )
        self._tuning.layout.display = "none"
        self._live = column(
            row(self.source, self.embedder, self.ttl, self.open, self.refresh),
            row(self.running.widget, self.line.widget),
            self._tuning,
        )
        self._heard(guard)

    def _taking(self) -> None:
        """Make what takes the cache away: the YAML to copy, and the arm to save."""
        self.yaml = ipywidgets.Textarea(
            description="to copy",
            tooltip="select all and copy it into a config",
            style={"description_width": "initial"},
            layout={"width": "100%", "max_width": "860px", "height": "13em"},
        )
        self.base = dropdown("arm", [""], tip="whose answers the cache remembers", width="16em")
        self.named = ipywidgets.Text(
            placeholder="name",
            tooltip="the name of the arm with this cache",
            continuous_update=False,
            layout={"width": "12em"},
        )
        self.save = button("Save as arm", "keep that arm with this cache: cells and tabs then know it", icon="plus")
        self._offer = column(self.yaml, row(self.base, self.named, self.save))
        self._offer.layout.display = "none"

    def _heard(self, guard: Guard) -> None:
        self.open.on_click(guard(self._open))
        self.refresh.on_click(guard(lambda _: self.renew()))
        self.source.observe(guard(lambda _: self._renew_ttl()), names="value")
        self.guard.observe(guard(lambda _: self._turned()), names="value")
        self.budget.observe(guard(lambda _: self._turned()), names="value")
        self.slider.observe(guard(lambda _: self._moved()), names="value")
        self.best.on_click(guard(self._to_best))
        self.confirm.on_click(guard(self._confirm))
        self.copy.on_click(guard(self._copy))
        self.full.on_click(guard(lambda _: self._draw("thresholds")))
        self.more.on_click(guard(lambda _: self._draw("other")))
        self.save.on_click(guard(self._save))

    # What to tune on

    def renew(self) -> None:
        """Look again at what there is to tune on, and at whose answers could be remembered."""
        self._sources = {**self._given, **sources(self.desk)}
        options = list(self._sources) or [NOTHING]
        if tuple(self.source.options) != tuple(options):
            kept = self.source.value if self.source.value in options else options[0]
            self.source.options = options
            self.source.value = kept
        self.open.disabled = not self._sources
        arms = [*self.desk.lab.arms, *self.desk.lab.fleet.names]
        if tuple(self.base.options) != tuple(arms) and arms:
            kept = self.base.value if self.base.value in arms else arms[0]
            self.base.options = arms
            self.base.value = kept
        self._renew_ttl()

    def take(self, value: Any, embedder: str) -> None:
        """Open a value, such as a variable of the notebook; ConfigError for one that nothing can be tuned on."""
        name = next((name for name, other in self.desk.names.items() if other is value), "given")
        given = source_of(name, value)
        if given is None:
            raise ConfigError(
                f"cache: nothing can be tuned on a {type(value).__name__}",
                hint="Pairs, Traffic, Outcomes, or rows with text_a, text_b and label",
            )
        if embedder not in EMBEDDERS:
            raise ConfigError(f"embedder: unknown {embedder!r}", hint=f"one of {', '.join(EMBEDDERS)}")
        self._given = {given.title: given}
        self.renew()
        self.source.value, self.embedder.value = given.title, embedder
        self._open()

    def _renew_ttl(self) -> None:
        source = self._sources.get(self.source.value)
        self.ttl.disabled = source is None or not source.traffic

    def _open(self, *_: Any) -> None:
        if self.running.job is not None and not self.running.job.done:
            raise ConfigError("something is being opened already", hint="wait for it, or press Stop")
        source = self._sources.get(self.source.value)
        if source is None:
            raise ConfigError(NOTHING, hint="press Refresh")
        embedder, ttl_s = self.embedder.value, self.ttl.value if source.traffic and self.ttl.value > 0 else None
        title = source.title
        self.line.say("")

        def there(ground: Ground) -> None:
            self._opened(ground, title)

        job = self.desk.start(
            f"cache: {title}, {embedder}",
            lambda: handed_over(lambda: source.open(embedder, ttl_s), there, self.guard_),
        )
        self.jobs.append(job)
        self.running.follow(job)

    def _opened(self, ground: Ground, title: str) -> None:
        self.ground, self.confirmation, self._opened_as = ground, None, title
        self.picture.show(None)
        self._hide_offer()
        put(self._result, "")
        self._quiet = True
        try:
            self.guard.options = ground.guards
            self.guard.value = ground.guards[0]
        finally:
            self._quiet = False
        self.confirm.description = f"Confirm on {ground.held_out}"
        self.more.description, self.more.tooltip = ground.other
        self._tuning.layout.display = ""
        self._turned(best=True)

    # What is turned

    @property
    def place(self) -> Place:
        """Where the controls stand."""
        return Place(guard=self.guard.value, threshold=float(self.slider.value), budget=self.budget.value / 100)

    def _turned(self, *, best: bool = False) -> None:
        """Show another guard or budget: other curves, and the slider where it was, or at the best place."""
        ground = self.ground
        if ground is None or self._quiet:
            return
        guard, budget = self.guard.value, self.budget.value / 100
        wanted, why = ground.nominee(guard, budget)
        put(self._why, note(why))
        self.best.disabled = wanted is None
        positions = ground.thresholds(guard)
        at = wanted if best and wanted is not None else float(self.slider.value)
        nearest = min(positions, key=lambda t: abs(t - at))
        options = [(f"{t:.4f}", t) for t in positions]
        self._quiet = True
        try:
            if tuple(self.slider.options) != tuple(options):
                # Options that lack the present value would choose the first for a moment.
                self.slider.options = options
            self.slider.value = nearest
        finally:
            self._quiet = False
        self._drawing = Drawing(course=ground.course(self.place))
        self._show()

    def _to_best(self, _: Any) -> None:
        assert self.ground is not None
        wanted, _why = self.ground.nominee(self.guard.value, self.budget.value / 100)
        if wanted is not None:
            self.slider.value = min((t for _, t in self.slider.options), key=lambda t: abs(t - wanted))

    def _moved(self) -> None:
        if not self._quiet and self.ground is not None:
            self._show()

    def _show(self) -> None:
        """Show the place; this is what runs while the slider moves."""
        ground, place = self.ground, self.place
        assert ground is not None
        assert self._drawing is not None
        found = self.shown = ground.shown(place)
        looked = "" if self.confirmation is None else "; the held-out half was looked at: see below"
        put(self._head, note(ground.says + looked))
        put(
            self._figures,
            f'{LOOK}<div class="rl-verdict">{escape(found.words)}</div>{found.figures.html()}',
            more="rl-cache rl-figures",
        )
        put(self._curves, self._drawing.at(place.threshold))
        tables = "".join(t.html() if t.rows else note(t.caption) for t in found.tables)
        slices = "" if found.slices is None else f'<div class="rl rl-cache rl-few">{found.slices.html()}</div>'
        put(self._tables, f'{LOOK}<div class="rl rl-cache rl-pairs">{tables}</div>{slices}')
        self._show_confirmed()
        self._hide_offer()
        self.panel.refresh()

    # Confirm, and what is taken away

    def _confirm(self, _: Any) -> None:
        ground, place = self.ground, self.place
        assert ground is not None

        def heard(found: Confirmed) -> None:
            if self.ground is not ground:
                return
            self.confirmation = found
            self.line.say("")
            self._show()

        self.line.say("looking at the held-out half …")
        log = self.desk.lab.log
        self.jobs.append(later("cache: confirm", lambda: counted(ground, place, log), heard, self.guard_))

    def _show_confirmed(self) -> None:
        found = self.confirmation
        if found is None:
            return
        here = found.place == self.place
        at = f"guard {found.place.guard}, threshold {found.place.threshold:.4f}"
        earlier = "" if here else note(f"this belongs to an earlier place ({at}), not to where the controls stand now")
        said = f'<div class="rl-verdict">{escape(found.words, 2000)}</div>{found.figures.html()}{note(found.uses)}'
        faded = said if here else f'{earlier}<div class="rl-earlier">{said}</div>'
        put(self._result, f"{LOOK}<div><b>Confirmed</b></div>{faded}", more="rl-cache rl-few")

    @property
    def offered(self) -> Offer:
        """The cache that would be taken away now."""
        assert self.ground is not None
        return offer(self.ground, self.place, self.confirmation)

    def _copy(self, _: Any) -> None:
        self.yaml.value = self.offered.yaml
        self._offer.layout.display = ""
        self.panel.refresh()

    def _hide_offer(self) -> None:
        """Take the config back: it belonged to another place."""
        self._offer.layout.display = "none"
        self.yaml.value = ""

    def _save(self, _: Any) -> None:
        base, lab = self.base.value, self.desk.lab
        config: RouteConfig = dataclasses.replace(lab.arm(base), cache=self.offered.config)
        kept = saved(self.desk, self.named.value or f"{base}-cached", config)
        self.line.say(f"saved: cells and the other tabs know it as {kept.name}")

    def _draw(self, kind: str) -> None:
        ground, place = self.ground, self.place
        assert ground is not None

        def drawn(chart: Chart) -> None:
            self.line.say("")
            self.picture.show(chart)

        def work() -> Chart:
            chart = ground.chart(kind, place)
            chart._repr_mimebundle_()
            return chart

        self.line.say("drawing …")
        self.jobs.append(later("cache: chart", work, drawn, self.guard_))

    # The still

    def still(self) -> dict[str, str]:
        """Return what is shown now as text and HTML."""
        ground, found = self.ground, self.shown
        if ground is None or found is None:
            return bundle(self.line.text or START)
        place = self.place
        head = Table(
            head=found.figures.head,
            rows=found.figures.rows,
            numbers=found.figures.numbers,
            caption=f"{ground.embedder}, guard {place.guard}, threshold {place.threshold:.4f}",
            notes=(ground.says,),
        )
        parts: list[Table | str] = [found.words, head, *(t if t.rows else t.caption for t in found.tables)]
        parts += [] if found.slices is None else [found.slices]
        if self.confirmation is None:
            return bundle(*parts, f"The {ground.held_out} were not looked at.")
        then = self.confirmation
        earlier = "" if then.place == place else f" (an earlier place: {then.place.guard}, {then.place.threshold:.4f})"
        more: list[Table | str] = [f"Confirmed{earlier}: {then.words}", then.figures, then.uses]
        if self.yaml.value:
            more.append(self.yaml.value)
        return bundle(*parts, *more)
