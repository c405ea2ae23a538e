"""The regression run in the Prompts tab: one arm with two versions of a template, in the background, and what became worse."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from routelab.config import RouteConfig
from routelab.core.errors import ConfigError, RoutelabError
from routelab.lab.desk import Desk
from routelab.lab.job import NOTHING as UNKNOWN
from routelab.lab.job import Job
from routelab.lab.promptruns import SAMPLE, Course, Regression, Rerun
from routelab.lab.prompts import Prompts
from routelab.lab.stopping import FEWEST
from routelab.lab.trial import Progress
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
from routelab.panels.promptlibrary import NOTHING, choices, choose
from routelab.panels.runsahead import SHIPPED, arms_of, data_of, loaded
from routelab.panels.runsplaying import budget_of
from routelab.present import bundle, escape, note
from routelab.prompting import Template, Version

SAYS = (
    "One arm with the old and with the new version, on the same prompts, live. First a sample; what that settles beyond doubt "
    "is not paid for any further."
)
SIGNS = {"fine": "✓", "regression": "✗", "inconclusive": "?"}
LOOK = (
    "<style>.rl.rl-regress table{width:100%}.rl.rl-regress td{overflow-wrap:anywhere}"
    ".rl.rl-regress td:first-child{white-space:nowrap}.rl.rl-regress .rl-verdict{font-weight:600;margin:6px 0}</style>"
)


@dataclass(kw_only=True, eq=False)
class Playing:
    """A run under way: its plan as soon as it is ready, and whether its end was seen."""

    rerun: Rerun | None = None
    over: bool = False

    @property
    def progress(self) -> Progress:
        """How far it is."""
        return UNKNOWN if self.rerun is None else self.rerun.progress

    def result(self) -> Regression | None:
        """Return what came of it, None when there is nothing."""
        return None if self.rerun is None else self.rerun.result()

    def ended(self) -> str | None:
        """Return how it ended, if not as it should."""
        stopped = self.rerun is not None and self.rerun.experiment.trial.stopped is not None
        return "budget spent" if stopped else None


class Regress:
    """The part of the tab that asks whether a new version made answers worse."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.prompts = Prompts(lab=desk.lab)
        self.found: Regression | None = None
        self.job: Job | None = None
        self._listed: Mapping[str, str | RouteConfig] = {}
        self.line, self._body, self.running = Line(), html(), Running()
        guard = self._guard = Guard(self.line)
        self.old = dropdown("old", [(NOTHING, None)], tip="the version that answers now", width="16em")
        self.new = dropdown("new", [(NOTHING, None)], tip="the version that may have become worse", width="16em")
        self.arm = dropdown("arm", [], tip="who answers: an arm of the lab, or a model", width="20em")
        self.data = dropdown("data", [], tip="the prompts: shipped sets, and data of this notebook", width="22em")
        self.count = whole("prompts", 100, 1, 1_000_000, "how many of them, drawn over the tasks in proportion", "11em")
        self.sample = whole(
            "first", SAMPLE, FEWEST, 1_000_000, "after so many prompts there is one look, at 99.8 %", "11em"
        )
        self.margin = number("margin, points", 2.0, least=0.01, most=50.0, step=0.5, tip=MARGIN, width="13em")
        self.budget = budget()
        self.run = button("Run", "ask the arm about every prompt, with both versions", icon="play", style="primary")
        intro = html()
        put(intro, note(SAYS))
        live = column(
            intro,
            row(self.old, self.new, self.arm),
            row(self.data, self.count, self.sample, self.margin, self.budget),
            row(self.run, self.running.widget),
            self.line.widget,
            self._body,
        )
        self.panel = Panel(live, self.still, name="prompts: regression")
        self.run.on_click(guard(lambda _: self._run()))
        desk.hear("arms", guard(self._list))
        guard(self._list)()
        self.data.value = next(
            (value for _, value in self.data.options if value and value[0] == SHIPPED), self.data.value
        )

    def renew(self, versions: list[Version]) -> None:
        """Offer the versions that there are now; at first the last two of a name that has two."""
        fresh = self.new.value is None
        options: list[tuple[str, Any]] = choices(versions) or [(NOTHING, None)]
        choose(self.old, options)
        choose(self.new, options)
        pair = _pair(versions) if fresh else None
        if pair is not None:
            self.old.value, self.new.value = pair
        self._list()

    def _list(self) -> None:
        self._listed = arms_of(self.desk)
        choose(self.arm, [(name, name) for name in self._listed])
        choose(self.data, [(title, key) for key, title in data_of(self.desk).items()] or [(NOTHING, None)])

    def _run(self) -> None:
        if self.job is not None and not self.job.done:
            raise ConfigError("a regression run is under way already", hint="wait, or press Stop")
        old, new, key, n = self.old.value, self.new.value, self.data.value, self.count.value
        if old is None or new is None or key is None:
            raise ConfigError("two versions and data are wanted", hint="lab.prompts.add({...}) keeps a version")
        if old.sha256 == new.sha256:
            raise ConfigError(
                f"{old.reference} and {new.reference} say the same", hint="choose two versions that differ"
            )
        course = Course(
            margin=self.margin.value / 100, sample=self.sample.value, budget_usd=budget_of(self.budget.value)
        )
        arm, playing = self._listed[self.arm.value], Playing()
        self.line.say("")
        self.found = None
        put(self._body, "")

        async def play() -> None:
            async with self.line.told():
                playing.rerun = await asyncio.to_thread(
                    lambda: self.prompts.planned(loaded(self.desk, key, n), arm, old, new, course)
                )
                await playing.rerun.play()

        self.run.disabled = True
        self.job = self.desk.start(
            f"{old.reference} → {new.reference} on {key[1]}: {self.arm.value}",
            play,
            progress=lambda: playing.progress,
            result=playing.result,
            ended=playing.ended,
        )
        self.running.follow(self.job, ended=self._guard(lambda _: self._over(playing)))
        self.panel.refresh()

    def _over(self, playing: Playing) -> None:
        """Have what was finished judged; a job tells its end more than once."""
        if playing.over:
            return
        playing.over = True
        self.run.disabled = False

        async def play() -> None:
            try:
                found = await asyncio.to_thread(playing.result)
            except RoutelabError as trouble:
                self._guard(self.line.fail)(trouble)
                return
            await asyncio.to_thread(self._guard(self._show), playing, found)

        Job("verdict", play)

    def _show(self, playing: Playing, found: Regression | None) -> None:
        self.found = found
        trouble = None if playing.rerun is None else playing.rerun.experiment.trouble()
        if trouble is not None:
            self.line.fail(trouble)
        elif found is None and playing.rerun is not None:
            self.line.say("no prompt was finished with both versions")
        if found is not None:
            changes = found.table()
            listed = changes.html() if changes.rows else note("no prompt's quality changed")
            verdict = f'<div class="rl-verdict">{SIGNS[found.word]} {escape(found.why)}</div>'
            put(self._body, f"{LOOK}{verdict}{found.figures().html()}{listed}", more="rl-regress")
        self.panel.refresh()

    def still(self) -> dict[str, str]:
        """Return what is shown now as text and HTML."""
        lines = [SAYS, *([] if self.job is None else [str(self.job)]), *filter(None, [self.line.text])]
        if self.found is None:
            return bundle(*lines)
        changes = self.found.table()
        verdict = f"{SIGNS[self.found.word]} {self.found.why}"
        return bundle(*lines, verdict, self.found.figures(), changes if changes.rows else "no prompt's quality changed")


def _pair(versions: list[Version]) -> tuple[Template, Template] | None:
    """Return the last two versions of the name that was added to last, None where no name has two."""
    by_name: dict[str, list[Version]] = {}
    for version in versions:
        by_name.setdefault(version.template.name, []).append(version)
    found = [row for row in by_name.values() if len(row) > 1]
    if not found:
        return None
    last = max(found, key=lambda row: (row[-1].added_at is not None, row[-1].added_at))
    return last[-2].template, last[-1].template
