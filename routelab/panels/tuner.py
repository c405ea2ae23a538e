"""The tuner: a slider a knob, answered by replay on the tune split while it moves; confirm is looked at when asked, and counted."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import ipywidgets

from routelab.config import RouteConfig
from routelab.core.errors import ConfigError
from routelab.lab.charts import Chart
from routelab.lab.compare import Comparison
from routelab.lab.desk import Desk
from routelab.lab.grid import comparison_bundle
from routelab.lab.job import Job
from routelab.lab.knobs import Knob, Setting
from routelab.lab.outcomes import Outcomes
from routelab.lab.reuse import InLog, counted, told
from routelab.lab.tuning import Curve, Field, confirmed, field_of, standard
from routelab.panels.exporting import Export, Exporting, fleet_for
from routelab.panels.later import handed_over, later
from routelab.panels.panel import Panel
from routelab.panels.parts import ROW, Guard, Line, Picture, Running, button, column, dropdown, html, put, row
from routelab.panels.tunerarms import Arms, Ready
from routelab.panels.tunerfigures import (
    LOOK,
    about,
    colours_of,
    curve_table,
    figures,
    mix_html,
    mix_text,
    rests_on,
    verdict,
)
from routelab.present import Table, bundle, escape, note, safe

MOMENT_S = 0.3
"""What takes longer is a job."""
NAME = 48
SIDE = {"flex": "1 1 400px", "min_width": "0", "margin": "0 18px 0 0"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Confirmed:
    """What confirm said of one arm at one setting."""

    name: str
    setting: Setting
    words: str
    comparison: Comparison

    def belongs(self, name: str, setting: Setting) -> bool:
        """Say whether it is about this arm at this setting."""
        return self.name == name and dict(self.setting) == dict(setting)


class Tuner:
    """The tuner of some arms over recorded outcomes; `panel` is what a cell shows.

    `now` is the comparison on tune that is shown, `confirmation` what confirm said last, `jobs` what was started.
    """

    def __init__(
        self,
        desk: Desk,
        place: Field,
        arms: Mapping[str, RouteConfig],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not arms:
            raise ConfigError("tuner: name at least one arm", hint="lab.tuner(outcomes) has standard ones")
        self.desk, self.place, self.arms = desk, place, Arms(place, arms)
        self.now: Comparison | None = None
        self.confirmation: Confirmed | None = None
        self.jobs: list[Job] = []
        self._preparing: Job | None = None
        self._colours = colours_of(place.tune.models)
        self._sliding: Ready | None = None
        self._quiet = False
        self._said: tuple[str, Table] | None = None
        self._build()
        began = clock()
        while clock() - began < MOMENT_S and self.arms.piece():
            pass
        self._show()
        self._prepare()

    # What is on the screen

    def _build(self) -> None:
        self.line = Line()
        self.guard = Guard(self.line)
        names = [(label_text(name), name) for name in self.arms.given]
        self.picker = dropdown("arm", names, tip="whose knobs the sliders below are", width="26em")
        self.sliders: dict[str, ipywidgets.SelectionSlider] = {}
        self._knobs = ipywidgets.VBox([], layout={"width": "100%", "max_width": "860px"})
        self._head, self._figures, self._drawing = html(), html(), html()
        self._figures.layout, self._drawing.layout = ipywidgets.Layout(**SIDE), ipywidgets.Layout(**SIDE)
        tip = "replay exactly this setting on the confirm split; every setting that is confirmed is counted"
        held_out = self.place.halves.held_out
        on = f" on {len(self.place.halves.confirm):,} held-out prompts" if held_out else ""
        self.confirm = button(f"Confirm{on}", tip, icon="check", style="primary")
        self.back = button("As given", "put the knobs back where the arm came with them", icon="undo")
        tip = "draw all arms and this setting with the bench's own chart, which can be zoomed and tells every number"
        self.full = button("Full chart", tip, icon="area-chart")
        self.running, self.picture = Running(), Picture()
        self._pictured, self._result = html(), html()
        self.exporting = Exporting()
        self.picker.observe(self.guard(self._picked), names="value")
        self.confirm.on_click(self.guard(self._confirm))
        self.back.on_click(self.guard(lambda _: self.set(self._held.tuned.start)))
        self.full.on_click(self.guard(self._draw))
        sides = {"display": "flex", "flex_flow": "row wrap", "align_items": "flex-start", "width": "100%"}
        live = column(
            self._head,
            row(self.picker, self.back),
            self._knobs,
            ipywidgets.Box([self._figures, self._drawing], layout=sides),
            ipywidgets.Box([self.confirm, self.full, self.running.widget], layout=ROW),
            self.line.widget,
            self._pictured,
            self.picture.widget,
            self._result,
            self.exporting.widget,
        )
        self.panel = Panel(live, self._still, name="tuner")

    @property
    def _held(self) -> Ready:
        """The arm that is picked; ConfigError while it is not ready."""
        held = self.arms.ready.get(self.picker.value)
        if held is None:
            raise ConfigError(f"{self.picker.value}: is not ready yet")
        return held

    def _set_sliders(self, held: Ready | None) -> None:
        """Make the sliders of an arm."""
        self._sliding, self.sliders = held, {}
        knobs = () if held is None else held.tuned.knobs
        said = {knob.key: label_text(knob.says) for knob in knobs}
        # Beside each other they line up; one alone needs no room for others.
        width = "initial" if len(knobs) < 2 else f"{0.55 * max(map(len, said.values()), default=0) + 1:.1f}em"
        for knob in knobs:
            slider = ipywidgets.SelectionSlider(
                options=[(knob.label(v), v) for v in knob.values],
                value=knob.start if held is None else held.setting[knob.key],
                description=said[knob.key],
                tooltip=f"{safe(knob.says)}: {len(knob.values)} positions, answered on the tune split",
                continuous_update=True,
                style={"description_width": width},
                layout={"width": "100%"},
            )
            slider.observe(self.guard(lambda change, knob=knob: self._moved(knob, change["new"])), names="value")
            self.sliders[knob.key] = slider
        self._knobs.children = tuple(self.sliders.values())

    def _show(self) -> None:
        """Show the arm that is picked at its setting; this is what runs while a slider moves."""
        name = self.picker.value
        held = self.arms.ready.get(name)
        if held is not self._sliding:
            self._set_sliders(held)
        self.full.disabled = held is None
        self.confirm.disabled = held is None or not self.place.halves.held_out
        self.back.disabled = held is None or not held.tuned.knobs
        found = self.now = None if held is None else self.arms.read(held)
        put(self._head, note(self._heading()))
        self._said = None
        if held is None or found is None:
            put(self._figures, note(self._why_not(name)))
        else:
            words, table = self._said = verdict(found, in_sample=held.tuned.in_sample), figures(found)
            said = f'<div class="rl-verdict">{escape(words)}</div>'
            mixed = f"<div class=m>which model answered</div>{mix_html(found, self._colours)}"
            put(self._figures, f"{LOOK}{said}{table.html()}{mixed}", more="rl-tune")
        put(self._drawing, self.arms.drawing(name, found))
        self._show_confirmed(held)
        self.panel.refresh()

    def _why_not(self, name: str) -> str:
        trouble = self.arms.failed.get(name)
        return (
            f"{name} is being prepared …" if trouble is None else f"{name} cannot be replayed here: {trouble.message}"
        )

    def _heading(self) -> str:
        place = self.place
        base, confirm = place.baseline, len(place.halves.confirm)
        model = f": {base.config}" if isinstance(base.config, str) and base.config != base.name else ""
        if not place.halves.held_out:
            hidden = "there is no confirm split, so nothing can be confirmed"
        elif self.confirmation is None:
            hidden = f"the {confirm:,} confirm prompts stay hidden until Confirm is pressed"
        else:
            hidden = f"the {confirm:,} confirm prompts were looked at: see below"
        said = rests_on(self.now) if self.now is not None else place.outcomes.dataset or "recorded outcomes"
        return f"{said}; baseline {base.name}{model}; margin {100 * place.margin:g} points; {hidden}"

    # What is clicked and moved

    def _picked(self, _: Any) -> None:
        self.arms.wanted = self.picker.value
        self.line.say("")
        self._show()
        self._prepare()

    def _moved(self, knob: Knob, value: float) -> None:
        if self._quiet:
            return
        held = self._held
        held.tuned.at({**held.setting, knob.key: value})  # refuses what cannot be used before anything changes
        held.setting[knob.key] = value
        held.active = knob
        if self.line.text.startswith("✗"):
            self.line.say("")
        self._show()
        self._trace(held)

    def set(self, setting: Setting) -> None:
        """Move every slider of the arm that is picked at once."""
        held = self._held
        held.setting.update(setting)
        self._quiet = True
        try:
            for key, slider in self.sliders.items():
                slider.value = held.setting[key]
        finally:
            self._quiet = False
        self._show()
        self._trace(held)

    def _trace(self, held: Ready) -> None:
        """Make the curve of a knob whose neighbours moved, beside the slider."""
        knob, rest, setting = held.active, held.rest, dict(held.setting)
        if knob is None or held.curve is not None:
            return

        def there(curve: Curve) -> None:
            self.arms.traced(held, rest, curve, setting)
            if held.rest == rest:
                self._show()

        self.jobs.append(later("curve", lambda: held.tuned.curve(knob, setting), there, self.guard))

    def _prepare(self) -> None:
        """Go on in the background with the arms that are not ready, if any."""
        if not self.arms.waiting or (self._preparing is not None and not self._preparing.done):
            return
        shown = [len(self.arms.ready)]

        async def play() -> None:
            try:
                while await asyncio.to_thread(self.arms.piece):
                    pass
            except Exception as bug:
                self.line.fail(bug)
                raise
            finally:
                await asyncio.to_thread(self.guard(self._show))

        def moved(_: Job) -> None:
            if len(self.arms.ready) != shown[0]:
                shown[0] = len(self.arms.ready)
                self.guard(self._show)()

        def ended(job: Job) -> None:
            self.running.widget.layout.display = "none" if job.state == "done" else ""

        self._preparing = self.desk.start(
            "tuner: arms made ready", play, progress=lambda: self.arms.progress, counts="arms"
        )
        self.jobs.append(self._preparing)
        self.running.widget.layout.display = ""
        self.running.follow(self._preparing, moved=moved, ended=ended)

    # Confirm and export

    def _confirm(self, _: Any) -> None:
        name, held = self.picker.value, self._held
        setting, words, tried = dict(held.setting), held.words, len(self.arms.tried)

        def work() -> Confirmed:
            found = confirmed(held.tuned, setting, self.place, tried=tried)
            ledger = InLog(log=self.desk.lab.log)
            found = counted(found, self.place.outcomes, ledger, confirm=self.place.confirm)
            found = dataclasses.replace(found, log=self.desk.lab.log)
            return Confirmed(name=name, setting=setting, words=words, comparison=found)

        def heard(found: Confirmed) -> None:
            self.confirmation = found
            self.line.say("")
            self.exporting.clear()
            self.desk.show(found.comparison)
            self._show()

        self.line.say("replaying this setting on the confirm split …")
        self.jobs.append(self.desk.start("tuner: confirm", lambda: handed_over(work, heard, self.guard)))

    def _show_confirmed(self, held: Ready | None) -> None:
        """Show what confirm said; of another setting than the present one it says whose it is, and is not exported."""
        found = self.confirmation
        if found is None:
            return
        here = held is not None and found.belongs(self.picker.value, held.setting)
        uses = told(found.comparison.terms.confirm_uses)
        whose = f"<b>Confirmed: {escape(found.name, 80)}</b>, {escape(found.words, 200)} · {escape(uses)}"
        earlier = (
            "this belongs to an earlier setting, not to where the sliders stand now; go back to it, "
            "or Confirm this one, which is one more use of the confirm split"
        )
        body = comparison_bundle(found.comparison)["text/html"]
        faded = body if here else f'{note(earlier)}<div class="rl-earlier">{body}</div>'
        put(self._result, f"<div>{whose}</div>{faded}")
        if not here:
            self.exporting.clear()
        elif not self.exporting.offered:
            arm = found.comparison.arms[0]
            fleet = fleet_for(self.desk.lab, arm.config)
            self.exporting.offer(Export(comparison=found.comparison, arm=arm.name, fleet=fleet))

    def _draw(self, _: Any) -> None:
        name, held = self.picker.value, self._held
        setting, curve, words = dict(held.setting), held.curve, held.words

        def drawn(chart: Chart) -> None:
            self.line.say("")
            put(
                self._pictured,
                note(f"{safe(name)}, {words}, beside the other arms as they were given, on the tune split"),
            )
            self.picture.show(chart)

        def work() -> Chart:
            chart = self.arms.chart(name, setting, curve)
            chart._repr_mimebundle_()  # resamples, which takes a second, and is kept
            return chart

        self.line.say("drawing …")
        self.jobs.append(later("chart", work, drawn, self.guard))

    # The still

    def _still(self) -> dict[str, str]:
        name, found = self.picker.value, self.now
        held = self.arms.ready.get(name)
        if held is None or found is None or self._said is None:
            return bundle(f"Tuner: {self._why_not(name)}")
        words, table = self._said
        table = Table(
            head=table.head,
            rows=[*table.rows, ("model mix", mix_text(found), "", "")],
            caption=f"{name}, {held.words}",
            notes=(self._heading(),),
        )
        parts: list[Table | str] = [words, table]
        if held.curve is not None and held.active is not None:
            parts.append(curve_table(held.curve, held.setting[held.active.key], about=about(found)))
        if self.confirmation is None:
            return bundle(*parts, "The confirm split was not looked at.")
        later_on = "" if self.confirmation.belongs(name, held.setting) else " (an earlier setting than the one above)"
        uses = told(self.confirmation.comparison.terms.confirm_uses)
        said = bundle(*parts, f"Confirmed: {self.confirmation.name}, {self.confirmation.words}{later_on} · {uses}")
        more = comparison_bundle(self.confirmation.comparison)
        return {kind: f"{said[kind]}\n\n{more[kind]}" for kind in said}


def label_text(text: str) -> str:
    """Return one line for a control, cut in the middle: models' names differ at their ends."""
    line = " ".join(safe(text).split())
    return line if len(line) <= NAME else f"{line[: NAME // 2]}…{line[-NAME // 2 + 1 :]}"


def tuner(desk: Desk, outcomes: Outcomes, arms: Mapping[str, Any] | None, **terms: Any) -> Panel:
    """Return the panel that tunes arms (configs or strategies by name, None: standard ones) over recorded outcomes.

    `terms` are confirm, margin, seed and baseline, as in a replay.
    """
    given = None if arms is None else {name: _config(name, arm, outcomes, desk) for name, arm in arms.items()}
    place = field_of(outcomes, given or {}, **terms)
    return Tuner(desk, place, standard(place.tune) if given is None else given).panel


def _config(name: str, arm: Any, outcomes: Outcomes, desk: Desk) -> RouteConfig:
    """Return an arm as a config; its fleet is left out where that does not know the models that were recorded."""
    models = getattr(arm, "models", ()) or outcomes.models
    config = arm if isinstance(arm, RouteConfig) else RouteConfig(name=name, models=models, strategy=arm)
    fleet = desk.lab.fleet
    strange = config.fleet == fleet.spec and not all(model in fleet.names for model in config.names)
    return dataclasses.replace(config, fleet=None) if strange else config
