"""The Tune tab: which recorded outcomes to turn knobs over, out of the notebook's variables or out of the log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from routelab.core.errors import DataError
from routelab.lab.desk import Desk
from routelab.lab.logged import outcomes_of_query
from routelab.lab.outcomes import Outcomes
from routelab.panels.later import handed_over
from routelab.panels.panel import Panel
from routelab.panels.parts import MARGIN, Guard, Line, Running, button, column, dropdown, number, row
from routelab.panels.tuner import tuner
from routelab.present import bundle

NOTHING = "no recorded outcomes yet"
EMPTY = (
    "Nothing is recorded yet: lab.collect(data, models=[...]) asks every model once, and Outcomes.read(...) takes what was "
    "recorded elsewhere; a variable of this notebook that holds outcomes is found by Refresh."
)
_DATASETS = """
    select e.dataset, count(distinct r.model) as models, count(distinct r.prompt_id) as prompts
    from experiments e join runs r using (experiment) where e.dataset <> 'prompt' and r.status = 'answered' and not r.cached
    group by 1 having models > 1 order by max(r.started_at) desc limit 30
"""


def tune(desk: Desk) -> Panel:
    """Return the panel that opens a tuner over recorded outcomes."""
    return _Recorded(desk).panel


class _Recorded:
    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.line, self.running = Line(), Running()
        self._guard = guard = Guard(self.line)
        self.source = dropdown(
            "outcomes", [NOTHING], tip="what was recorded: a variable, or a data set in this log", width="28em"
        )
        self.confirm = number(
            "held out", 0.4, least=0.05, most=0.9, step=0.05, tip="the share kept for Confirm", width="9.5em"
        )
        self.margin = number("margin, points", 2.0, least=0.1, most=50.0, step=0.5, tip=MARGIN, width="12em")
        self.open = button(
            "Open", "split these outcomes and turn knobs over the tune part", icon="sliders", style="primary"
        )
        self.refresh = button("Refresh", "look again at the notebook's variables and the log", icon="refresh")
        self._place = column()
        self._sources: Mapping[str, Callable[[], Outcomes]] = {}
        self.tuned: Panel | None = None
        live = column(
            row(self.source, self.confirm, self.margin, self.open, self.refresh),
            row(self.running.widget, self.line.widget),
            self._place,
        )
        self.panel = Panel(live, self._still, name="tune")
        self.open.on_click(guard(self._open))
        self.refresh.on_click(guard(lambda _: self.renew()))
        desk.hear("log", guard(self.renew))
        guard(self.renew)()

    def renew(self) -> None:
        """Look again at what there is."""
        self._sources = self._found()
        options = list(self._sources) or [NOTHING]
        if tuple(self.source.options) != tuple(options):
            kept = self.source.value if self.source.value in options else options[0]
            self.source.options = options
            self.source.value = kept
        self.open.disabled = not self._sources
        if not self._sources:
            self.line.say(EMPTY)
        elif self.line.text == EMPTY:
            self.line.say("")
        self.panel.refresh()

    def _found(self) -> dict[str, Callable[[], Outcomes]]:
        found: dict[str, Callable[[], Outcomes]] = {}
        for name, value in self.desk.names.items():
            if isinstance(value, Outcomes) and not value.single_choice:
                found[f"{name}: {len(value):,} prompts × {len(value.models)} models"] = _given(value)
        for dataset, models, prompts in self.desk.lab.log.query(_DATASETS):
            title = f"log, {dataset}: {prompts:,} prompts × {models} models"
            found[title] = self._logged(dataset)
        return found

    def _logged(self, dataset: str) -> Callable[[], Outcomes]:
        return lambda: outcomes_of_query(self.desk.lab.log.query, name="this log", dataset=dataset)

    def _open(self, *_: Any) -> None:
        if self.running.job is not None and not self.running.job.done:
            return
        read, confirm, margin = self._sources[self.source.value], self.confirm.value, self.margin.value / 100
        title = self.source.value
        self.line.say("")

        def work() -> Panel:
            outcomes = read()
            if outcomes.single_choice:
                raise DataError(
                    f"{title}: each prompt met one model only, so there is no other answer to replay",
                    hint="lab.replay(...) estimates arms from such choices; lab.collect(...) asks every model",
                )
            return tuner(self.desk, outcomes, None, confirm=confirm, margin=margin)

        job = self.desk.start(f"open {title}", lambda: handed_over(work, self._opened, self._guard))
        self.running.follow(job)

    def _opened(self, made: Panel) -> None:
        self.tuned = made
        made.heard(self.panel.refresh)
        self._place.children = (made.live,)
        self.panel.refresh()

    def _still(self) -> dict[str, str]:
        return bundle(self.line.text or "Choose recorded outcomes.") if self.tuned is None else self.tuned.shown()


def _given(value: Outcomes) -> Callable[[], Outcomes]:
    return lambda: value
