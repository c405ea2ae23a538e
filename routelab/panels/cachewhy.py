"""Why was this a hit: two questions, or one against the log's entries; what the live cache would say, asking nobody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets

from routelab.caching import SemanticConfig
from routelab.core.errors import ConfigError
from routelab.core.ports import Clock
from routelab.engine import SystemClock
from routelab.lab.desk import Desk
from routelab.lab.job import Job
from routelab.panels.cachechoose import EMBEDDERS
from routelab.panels.cachechoose import LOOK as TABLES
from routelab.panels.cacheground import Place
from routelab.panels.cachepairs import GUARDS
from routelab.panels.cacheprobe import Explained, Happened, arms_with_a_cache, between, happened, probed
from routelab.panels.later import later
from routelab.panels.panel import Panel
from routelab.panels.parts import Guard, Line, button, column, dropdown, html, number, put, row
from routelab.present import Table, bundle, escape, note, safe

NOBODY = "write two questions"
SETTINGS = "the settings below"
SAYS = "Two questions under the settings below, or one question against what an arm's cache has in this log. Nobody is asked."
BOX = {"flex": "1 1 320px", "min_width": "0", "max_width": "620px"}
LOOK = (
    f"{TABLES}<style>.rl.rl-nearest th:nth-child(1){{width:5.6em}}.rl.rl-nearest th:nth-child(3){{width:17%}}"
    ".rl.rl-nearest th:nth-child(4){width:15%}.rl.rl-nearest th:nth-child(5),.rl.rl-nearest th:nth-child(6){width:7em}"
    ".rl.rl-facts th:nth-child(1){width:10em}.rl.rl-facts th:nth-child(2){width:30%}</style>"
)


class Why:
    """The part of the tab that explains one decision. `place` says where the Choose part stands, `explained` what was said last."""

    def __init__(
        self, desk: Desk, place: Callable[[], tuple[str, Place] | None], *, clock: Clock | None = None
    ) -> None:
        self.desk = desk
        self.explained: Explained | None = None
        self.recorded: Happened | None = None
        self.jobs: list[Job] = []
        self._place, self._clock = place, clock or SystemClock()
        self._latest: Sequence[Happened] = ()
        self._build()
        self._guard(self.renew)()
        desk.hear("log", self._guard(self.renew))
        desk.hear("arms", self._guard(self.renew))

    def _build(self) -> None:
        self.line = Line()
        self._guard = guard = Guard(self.line)
        self.latest = dropdown("from the log", [("–", -1)], tip="a hit or a miss that happened", width="42em")
        self.latest.layout.max_width = "100%"
        self.question, self.other = (
            self._box("question", "what is asked"),
            self._box("another", "empty: the arm's entries"),
        )
        self.arm = dropdown("as", [(SETTINGS, "")], tip="whose cache is asked what it would say", width="18em")
        self.embedder = dropdown("embedder", list(EMBEDDERS), tip="whose vectors say how alike two questions are")
        self.guard = dropdown("guard", list(GUARDS), tip="objects to near misses")
        self.threshold = number(
            "threshold", 0.9, least=-1.0, most=1.0, step=0.005, tip="the least cosine of a hit", width="11em"
        )
        self.same = button("As chosen", "take embedder, guard and threshold from Choose", icon="arrow-down")
        self.explain = button(
            "Explain", "what the live cache would say; nobody is asked", icon="question", style="primary"
        )
        self._recorded, self._body = html(), html()
        boxes = ipywidgets.Box([self.question, self.other], layout={"display": "flex", "flex_flow": "row wrap"})
        intro = html()
        put(intro, note(SAYS))
        live = column(
            intro,
            row(self.latest),
            boxes,
            row(self.arm, self.embedder, self.guard, self.threshold, self.same, self.explain),
            self.line.widget,
            self._body,
            self._recorded,
        )
        self.panel = Panel(live, self.still, name="cache: why")
        self.latest.observe(guard(lambda _: self._picked()), names="value")
        self.arm.observe(guard(lambda _: self._armed()), names="value")
        self.same.on_click(guard(self._as_chosen))
        self.explain.on_click(guard(self._explain))

    def _box(self, label: str, placeholder: str) -> ipywidgets.Textarea:
        return ipywidgets.Textarea(
            description=label,
            placeholder=placeholder,
            tooltip=placeholder,
            continuous_update=False,
            style={"description_width": "initial"},
            layout={**BOX, "height": "4.6em"},
        )

    def renew(self) -> None:
        """Look again at what happened, and at which arms remember."""
        arms = [(SETTINGS, ""), *((f"{safe(name, 40)}'s cache", name) for name in arms_with_a_cache(self.desk))]
        if list(self.arm.options) != arms:
            kept = self.arm.value if self.arm.value in [value for _, value in arms] else ""
            self.arm.options = arms
            self.arm.value = kept
        log = self.desk.lab.log
        self._latest = happened(log.query, log.prompts)
        options = [("–", -1), *((safe(each.title), i) for i, each in enumerate(self._latest))]
        if list(self.latest.options) != options:
            # What was picked before may stand elsewhere in the list now; what is shown of it stays.
            self.latest.unobserve_all("value")
            self.latest.options = options
            self.latest.value = -1
            self.latest.observe(self._guard(lambda _: self._picked()), names="value")

    def _picked(self) -> None:
        if self.latest.value < 0:
            return
        self.recorded = self._latest[self.latest.value]
        self.question.value, self.other.value = self.recorded.asked, self.recorded.known
        self.explained = None
        put(self._body, "")
        put(self._recorded, f"{LOOK}{self.recorded.facts.html()}", more="rl-cache rl-facts")
        self.line.say("Explain says what the settings below would do with the two")
        self.panel.refresh()

    def _armed(self) -> None:
        for control in (self.embedder, self.guard, self.threshold, self.same):
            control.disabled = bool(self.arm.value)

    def _as_chosen(self, _: Any) -> None:
        found = self._place()
        if found is None:
            raise ConfigError("nothing was chosen yet", hint="open something to tune on in Choose")
        embedder, place = found
        self.embedder.value, self.guard.value, self.threshold.value = embedder, place.guard, place.threshold

    @property
    def settings(self) -> SemanticConfig:
        """The semantic cache that the controls stand for; with an arm, that arm's own."""
        name = self.arm.value
        if not name:
            return SemanticConfig(threshold=self.threshold.value, guard=self.guard.value, embedder=self.embedder.value)
        found = self.desk.lab.arm(name).cache.semantic
        if found is None:
            raise ConfigError(
                f"{name}: has an exact cache only, which knows no likeness",
                hint="leave the second box empty to see what it would say to the first question",
            )
        return found

    def _explain(self, _: Any) -> None:
        question, other, name = self.question.value, self.other.value, self.arm.value
        if other.strip():
            settings = self.settings
            work: Callable[[], Explained] = lambda: between(question, other, settings, self._clock)  # noqa: E731
        elif name:
            config = self.desk.lab.arm(name)
            work = lambda: probed(self.desk, config, question, self._clock)  # noqa: E731
        else:
            raise ConfigError(
                NOBODY, hint="or choose an arm with a cache: one question is then held against its entries"
            )
        self.line.say("looking …")
        self.jobs.append(later("cache: why", work, self._explained, self._guard))

    def _explained(self, found: Explained) -> None:
        self.explained = found
        self.line.say("")
        sign = "✓" if found.hit else "✗"
        entries = ""
        if found.entries is not None:
            entries = f'<div class="rl rl-cache rl-nearest">{found.entries.html()}</div>'
        facts = f'<div class="rl rl-cache rl-facts">{found.facts.html()}</div>'
        put(self._body, f'{LOOK}<div class="rl-verdict">{sign} {escape(found.words, 500)}</div>{facts}{entries}')
        self.panel.refresh()

    def still(self) -> dict[str, str]:
        """Return what is shown now as text and HTML."""
        parts: list[Table | str] = [SAYS]
        if self.question.value.strip():
            parts.append(f"question: {self.question.value}")
        if self.other.value.strip():
            parts.append(f"another: {self.other.value}")
        if self.explained is not None:
            parts += [f"{'✓' if self.explained.hit else '✗'} {self.explained.words}", self.explained.facts]
            parts += [] if self.explained.entries is None else [self.explained.entries]
        if self.recorded is not None:
            parts.append(self.recorded.facts)
        return bundle(*parts)
