"""A column of the playground: an arm, its controls, what it would do or did, and a name to save it under."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import ipywidgets

from routelab.answer import Answer
from routelab.config import RouteConfig
from routelab.core.errors import ConfigError
from routelab.fleet import Fleet
from routelab.lab.desk import Desk
from routelab.panels.controls import Controls
from routelab.panels.parts import Guard, Line, button, column, dropdown, html, put, row
from routelab.panels.playgroundahead import Explained
from routelab.panels.trace import trace_html
from routelab.present import escape, note, pre, safe, seconds, usd
from routelab.strategies import DEFAULTS, KINDS
from routelab.strategies.cascade import by_price

ARM, VARIABLE, NEW = "arm", "variable", "new"
SAID = (
    "<style>.rl .rl-said{max-height:26em;overflow:auto;border-left:3px solid var(--jp-border-color2,#8886);padding-left:10px;"
    "margin:4px 0}</style>"
)
_NAME = re.compile(r"[^\W_][\w.-]*\Z")


@dataclass(frozen=True, kw_only=True)
class Pick:
    """What can be picked: how it is listed, its name where a cell knows it by one, and how its config is made."""

    title: str
    named: str | None
    make: Callable[[], RouteConfig]


def picks(desk: Desk) -> dict[tuple[str, str], Pick]:
    """Return what can be picked: the lab's arms, models, strategies that need nothing, the notebook's configs, and beginnings."""
    lab = desk.lab
    found: dict[tuple[str, str], Pick] = {}
    for name in dict.fromkeys([*lab.arms, *DEFAULTS, *lab.fleet.names]):
        found[ARM, name] = Pick(title=name, named=name, make=lambda name=name: lab.arm(name))  # type: ignore[misc]
    for name, value in desk.names.items():
        if isinstance(value, RouteConfig) and (ARM, name) not in found:
            found[VARIABLE, name] = Pick(title=f"{name} (variable)", named=name, make=lambda value=value: value)  # type: ignore[misc]
    for kind, make in STARTS.items():
        found[NEW, kind] = Pick(title=f"new {kind}", named=None, make=lambda make=make: make(lab.fleet))  # type: ignore[misc]
    return found


def _fixed(fleet: Fleet, kind: str, spec: Mapping[str, Any], models: Sequence[str]) -> RouteConfig:
    return RouteConfig(name=kind, models=tuple(models), strategy={"kind": kind, **spec}, fleet=fleet.spec)


def _three(fleet: Fleet) -> tuple[str, ...]:
    """Return a cheap, a middling and a dear model; ConfigError for a fleet that is too small to route over."""
    names = by_price(fleet.roster())
    if len(names) < 2:
        raise ConfigError("there is nothing to choose from with one model", hint="a fleet of two or more models")
    return tuple(dict.fromkeys([names[0], names[len(names) // 2], names[-1]]))


def _cascade(fleet: Fleet) -> RouteConfig:
    order = _three(fleet)
    return _fixed(fleet, "cascade", {"gate": {"scorer": "confidence", "at_least": 0.7}, "order": order}, order)


def _agreement(fleet: Fleet) -> RouteConfig:
    names = by_price(fleet.roster())
    if len(names) < 3:
        raise ConfigError("agreement asks at least three models", hint="a fleet of three or more models")
    spec = {"ask": names[:2], "then": names[-1:]}
    return _fixed(fleet, "agreement", spec, (*names[:2], names[-1]))


def _split(fleet: Fleet) -> RouteConfig:
    names = _three(fleet)
    return _fixed(fleet, "split", {"weights": dict.fromkeys((names[0], names[-1]), 0.5)}, (names[0], names[-1]))


def _bandit(fleet: Fleet) -> RouteConfig:
    return _fixed(fleet, "bandit", {}, _three(fleet))


STARTS: Mapping[str, Callable[[Fleet], RouteConfig]] = MappingProxyType(
    {"cascade": _cascade, "agreement": _agreement, "split": _split, "bandit": _bandit}
)
"""Strategies that need parameters, begun over the fleet's own models so that the controls have something to turn."""


def saved(desk: Desk, name: str, config: RouteConfig) -> RouteConfig:
    """Keep the config among the lab's arms and return it under its name; ConfigError for a name that means something else."""
    wanted = name.strip()
    if not _NAME.match(wanted) or wanted.endswith((".yaml", ".yml")):
        raise ConfigError(
            f"an arm cannot be called {wanted[:40]!r}", hint="letters, digits, _ - and dots, such as cascade-7"
        )
    if wanted in desk.lab.fleet.names:
        raise ConfigError(f"'{wanted}' is a model of this fleet", hint="give the arm another name")
    if wanted in KINDS:
        raise ConfigError(f"'{wanted}' is a strategy", hint=f"give the arm another name, such as {wanted}-1")
    kept = desk.lab.arms[wanted] = dataclasses.replace(desk.lab.config(config), name=wanted)
    desk.tell("arms")
    return kept


class Column:
    """One arm in the playground. What is shown of it is an answer, what it would do, why there is neither, or nothing."""

    def __init__(self, desk: Desk, guard: Guard, changed: Callable[[], None], key: tuple[str, str]) -> None:
        self.desk, self._guard, self._changed = desk, guard, changed
        self.controls: Controls | None = None
        self.answer: Answer | None = None
        self.explained: Explained | None = None
        self.trouble = ""
        self._renewing = False
        self._picks = picks(desk)
        self.arm = dropdown("arm", self._options(), tip="who answers in this column", width="100%")
        self.line = Line()
        self.reset = button("Reset", "put the controls back to where the arm has them", icon="undo")
        self.name = ipywidgets.Text(
            placeholder="name", tooltip="the name of the new arm", layout={"width": "10em", "min_width": "6em"}
        )
        self.save = button("Save as arm", "keep this arm in the lab under the name: cells and tabs then know it")
        self._place = column()
        self.fold = ipywidgets.Accordion(
            [column(self._place, row(self.reset, self.name, self.save))], titles=["controls"]
        )
        self.body = html()
        self.widget = ipywidgets.VBox(
            [self.arm, self.fold, self.line.widget, self.body],
            layout=ipywidgets.Layout(flex="1 1 330px", min_width="0", max_width="100%", padding="0 8px 0 0"),
        )
        if key in self._picks:
            self.arm.value = key
        self.arm.observe(guard(lambda _: self.pick()), "value")
        self.reset.on_click(guard(lambda _: self.pick()))
        self.save.on_click(guard(lambda _: self._save()))
        self.pick()

    def _options(self) -> list[tuple[str, tuple[str, str]]]:
        return [(safe(pick.title), key) for key, pick in self._picks.items()]

    def renew(self) -> None:
        """List what there is to pick now; the choice and the controls stay."""
        self._picks = picks(self.desk)
        options = self._options()
        if list(self.arm.options) == options:
            return
        kept = self.arm.value
        if kept not in self._picks:
            title = kept[1] if kept is not None else "?"
            self._picks[kept] = Pick(title=f"{title} (gone)", named=None, make=self._gone(title))
            options = self._options()
        self._renewing = True
        try:
            # Other options choose the first one for a moment.
            self.arm.options = options
            self.arm.value = kept
        finally:
            self._renewing = False

    def _gone(self, title: str) -> Callable[[], RouteConfig]:
        def make() -> RouteConfig:
            raise ConfigError(f"there is no arm '{title}' any more", hint="choose another one")

        return make

    def pick(self) -> None:
        """Take the chosen arm with its controls as it has them."""
        if self._renewing:
            return
        self.line.say("")
        self.clear()
        self.controls = None
        self._place.children = ()
        try:
            config = self._picks[self.arm.value].make()
            self.controls = Controls(config, self.desk.lab.fleet.names, self._turned, guard=self._guard)
        except ConfigError as trouble:
            self.line.fail(trouble)
        else:
            self._place.children = (self.controls.widget,)
            self._titled()
        self._changed()

    def _turned(self) -> None:
        self._titled()
        self._changed()

    def _titled(self) -> None:
        strategy = type(self.config.ranking).__name__.lower()
        self.fold.titles = (f"{strategy}: controls" + (" · changed" if self.touched else ""),)

    @property
    def config(self) -> RouteConfig:
        """The arm as it stands; ConfigError when there is none."""
        if self.controls is None:
            raise ConfigError(self.line.text.removeprefix("✗ ") or "no arm is chosen", hint="choose an arm")
        return self.controls.config

    @property
    def touched(self) -> bool:
        """Whether the controls differ from the arm's own."""
        return self.controls is not None and self.controls.touched

    @property
    def title(self) -> str:
        """The arm's name, and whether it was changed."""
        name = "?" if self.arm.value is None else self.arm.value[1]
        return f"{name} (changed)" if self.touched else name

    @property
    def named(self) -> str | None:
        """The name under which a cell finds this very arm, None when it knows none."""
        return None if self.touched or self.controls is None else self._picks[self.arm.value].named

    def _save(self) -> None:
        kept = saved(self.desk, self.name.value, self.config)
        self.renew()
        self.name.value = ""
        self.arm.value = (ARM, kept.name)
        self.line.say(f"saved: cells and the other tabs know it as {kept.name}")

    # What it did

    def clear(self, text: str = "") -> None:
        """Show a line, or nothing, in the place of an answer."""
        self.answer = self.explained = None
        self.trouble = ""
        put(self.body, note(text) if text else "")

    def fail(self, text: str) -> None:
        """Show why there is no answer."""
        self.clear()
        self.trouble = text
        put(self.body, f"<div><b>✗</b> {escape(text, 1000)}</div>")

    def show(self, answer: Answer) -> None:
        """Show an answer with its trace."""
        self.clear()
        self.answer = answer
        put(self.body, answered(answer) + trace_html(answer))

    def explain(self, found: Explained) -> None:
        """Show what would be asked."""
        self.clear()
        self.explained = found
        put(self.body, found.table())


def facts(answer: Answer) -> str:
    """Return in one line who answered, for how much, how fast."""
    parts = [
        (answer.model or "no answer") + (" (simulated)" if answer.simulated else ""),
        usd(answer.cost_usd),
        seconds(answer.latency_s),
    ]
    if answer.swapped:
        parts.append(f"SERVED BY {answer.served_model}")
    if answer.defaulted:
        parts.append("⚠ default")
    if answer.cached:
        parts.append("cache hit")
    if answer.quality is not None:
        parts.append(f"quality {answer.quality:.2f}")
    return " · ".join(parts)


def said(answer: Answer) -> str:
    """Return the answer's text, or why there is none."""
    return answer.text if answer.error is None else f"✗ {type(answer.error).__name__}: {answer.error.message}"


def answered(answer: Answer) -> str:
    """Return an answer as HTML: the facts, what was said, why."""
    hint = None if answer.error is None else answer.error.hint
    more = note(f"hint: {hint}") if hint else ""
    return f"{SAID}<div><b>{escape(facts(answer))}</b></div><div class=rl-said>{pre(said(answer))}</div>{more}{note(f'why: {answer.why}')}"


def labels(titles: Iterable[str]) -> list[str]:
    """Return the titles with a number where one comes again, so that each names one column.

    >>> labels(["rules", "gpt-5", "rules"])
    ['rules', 'gpt-5', 'rules 2']
    """
    found: list[str] = []
    for title in titles:
        count = 1
        while (label := title if count == 1 else f"{title} {count}") in found:
            count += 1
        found.append(label)
    return found
