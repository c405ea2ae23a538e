"""Controls for a strategy's declared parameters: the knobs of its config as widgets, and the config as they stand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets

from routelab.config import RouteConfig
from routelab.core.errors import ConfigError
from routelab.panels.knobs import Key, Knob, knobs, number, read, turned, written
from routelab.panels.parts import html, put
from routelab.present import escape, note

LONGEST = 20_000
"""Characters of YAML that a text area still takes; what is longer is told and not edited."""
_FULL = {"width": "auto"}


class Controls:
    """The knobs of a config as widgets; `config` is always the last one that is valid.

    An invalid value shows the strategy's own error at its control and waits: it counts as soon as it fits, because another
    control was turned too. `changed` is called after every change that is valid; `guard` wraps what widgets call.
    """

    def __init__(
        self,
        config: RouteConfig,
        models: Sequence[str],
        changed: Callable[[], None],
        *,
        guard: Callable[[Callable[..., Any]], Callable[..., None]] = lambda work: work,
    ) -> None:
        self.given = self.config = config
        self._guard = guard
        self._models = tuple(models)
        self._changed = changed
        self._waiting: dict[Key, Any] = {}
        self._renewing = False
        self.knobs: tuple[Knob, ...] = ()
        self.inputs: dict[Key, ipywidgets.Widget] = {}
        self._errors: dict[Key, ipywidgets.HTML] = {}
        self.errors: dict[Key, str] = {}
        self.widget = ipywidgets.VBox([], layout=ipywidgets.Layout(width="100%", overflow="hidden"))
        self._build()

    @property
    def touched(self) -> bool:
        """Whether the config differs from the one it began with."""
        return self.config.fingerprint != self.given.fingerprint

    def _build(self) -> None:
        self.knobs = knobs(self.config, self._models)
        self.inputs.clear()
        self._errors.clear()
        self._waiting.clear()
        self.errors.clear()
        rows = [self._row(knob) for knob in self.knobs]
        self.widget.children = rows or [html(note("this strategy has no parameters"))]

    def _row(self, knob: Knob) -> ipywidgets.Widget:
        made, get = _widget(knob)
        self.inputs[knob.key] = made
        error = self._errors[knob.key] = html()
        if get is not None:
            made.observe(self._guard(lambda _: self._turn(knob.key, get)), "value")
        bounds = f' <span class="m">{escape(knob.bounds)}</span>' if knob.bounds else ""
        label = html(f'<div title="{escape(_tip(knob), 400)}">{escape(knob.label)}{bounds}</div>')
        return ipywidgets.VBox([label, made, error], layout=ipywidgets.Layout(width="100%", margin="0 0 6px 0"))

    def _turn(self, key: Key, get: Callable[[], Any]) -> None:
        if self._renewing:
            return
        try:
            value = get()
            config, used = self._fitting(key, value)
        except ConfigError as trouble:
            self._say(key, trouble.message.removeprefix("config: ").removeprefix("strategy."))
            return
        for fits in used:
            self._waiting.pop(fits, None)
            self._say(fits, "")
        self.config = config
        self._renew()
        self._changed()

    def _fitting(self, key: Key, value: Any) -> tuple[RouteConfig, tuple[Key, ...]]:
        """Return the config with the value and, if that fits, with all that waits; ConfigError when the value fits in neither case."""
        with_all = {**self._waiting, key: value}
        try:
            return turned(self.config, with_all), tuple(with_all)
        except ConfigError:
            pass
        try:
            return turned(self.config, {key: value}), (key,)
        except ConfigError:
            self._waiting[key] = value
            raise

    def _renew(self) -> None:
        """Show what else the change moved: bounds that depend on it, or other knobs where a mapping has other keys now."""
        now = knobs(self.config, self._models)
        if [(k.key, k.kind) for k in now] != [(k.key, k.kind) for k in self.knobs]:
            self._build()
            return
        self.knobs = now
        self._renewing = True
        try:
            for knob in now:
                held = self.inputs[knob.key]
                if isinstance(held, (ipywidgets.IntSlider, ipywidgets.FloatSlider)) and knob.low is not None:
                    ends = {"min": knob.low, "max": knob.high if knob.high is not None else held.max}
                    with held.hold_trait_notifications():
                        held.min, held.max = ends["min"], ends["max"]
        finally:
            self._renewing = False

    def _say(self, key: Key, text: str) -> None:
        if text:
            self.errors[key] = text
        else:
            self.errors.pop(key, None)
        if key in self._errors:
            put(self._errors[key], f"<div><b>✗</b> {escape(text, 400)}</div>" if text else "")


def _tip(knob: Knob) -> str:
    more = [knob.bounds, "empty: not set" if knob.optional and knob.kind in ("number", "whole", "word", "yaml") else ""]
    return ". ".join(p for p in (knob.says.rstrip("."), *more) if p) or knob.label


def _widget(knob: Knob) -> tuple[Any, Callable[[], Any] | None]:
    """Return the widget of a knob and what reads its value; None where it cannot be changed."""
    tip = _tip(knob)
    if knob.kind in ("number", "whole"):
        return _numeric(knob, tip)
    if knob.kind == "switch":
        switch = ipywidgets.Checkbox(value=bool(knob.value), description="on", indent=False, tooltip=tip)
        return switch, lambda: switch.value
    if knob.kind in ("choice", "model"):
        options = list(dict.fromkeys([*knob.options, *([knob.value] if knob.value is not None else [])]))
        shown = [*([("not set", None)] if knob.optional else []), *((o, o) for o in options)]
        choice = ipywidgets.Dropdown(options=shown, value=knob.value, tooltip=tip, layout=_FULL)
        return choice, lambda: choice.value
    if knob.kind == "models":
        tags = ipywidgets.TagsInput(
            value=list(knob.value),
            allowed_tags=list(dict.fromkeys([*knob.options, *knob.value])),
            allow_duplicates=False,
            placeholder="add a model",
            tooltip=tip,
            layout=_FULL,
        )
        return tags, lambda: tuple(tags.value)
    if knob.kind == "yaml":
        return _area(knob, tip)
    value = knob.value if isinstance(knob.value, str) else "" if knob.value is None else ", ".join(knob.value)
    make = ipywidgets.Combobox if knob.options and knob.kind == "word" else ipywidgets.Text
    more = {"options": knob.options} if make is ipywidgets.Combobox else {}
    word = make(value=value, continuous_update=False, tooltip=tip, placeholder=_hint(knob), layout=_FULL, **more)
    return word, lambda: _worded(word.value, knob)


def _numeric(knob: Knob, tip: str) -> tuple[Any, Callable[[], Any]]:
    bounded = knob.low is not None and knob.high is not None and knob.value is not None and not knob.optional
    if bounded and knob.kind == "number":
        assert knob.low is not None
        assert knob.high is not None
        step = 0.01 if knob.high - knob.low <= 2 else (knob.high - knob.low) / 200
        slider = ipywidgets.FloatSlider(
            value=knob.value,
            min=knob.low,
            max=knob.high,
            step=step,
            readout_format=".3g",
            tooltip=tip,
            continuous_update=False,
            layout=_FULL,
        )
        return slider, lambda: float(slider.value)
    if bounded:
        whole = ipywidgets.IntSlider(
            value=knob.value,
            min=int(knob.low or 0),
            max=int(knob.high or 0),
            tooltip=tip,
            layout=_FULL,
            continuous_update=False,
        )
        return whole, lambda: int(whole.value)
    text = ipywidgets.Text(
        value="" if knob.value is None else f"{knob.value:g}" if knob.kind == "number" else str(knob.value),
        continuous_update=False,
        placeholder=_hint(knob),
        tooltip=tip,
        layout=_FULL,
    )
    return text, lambda: number(text.value, knob)


def _area(knob: Knob, tip: str) -> tuple[Any, Callable[[], Any] | None]:
    text = written(knob.value)
    if len(text) > LONGEST:
        told = html(note(f"{len(text):,} characters of YAML: too long to edit here; define the arm in a cell"))
        return told, None
    area = ipywidgets.Textarea(
        value=text,
        rows=min(max(text.count("\n") + 1, 2), 12),
        continuous_update=False,
        tooltip=tip,
        placeholder="YAML",
        layout=_FULL,
    )

    def get() -> Any:
        value = read(area.value)
        if value is None and not knob.optional:
            raise ConfigError(f"{knob.label}: is empty")
        if isinstance(knob.value, Mapping) and not isinstance(value, (Mapping, str)):
            raise ConfigError(f"{knob.label}: must be `key: value` lines")
        return value

    return area, get


def _hint(knob: Knob) -> str:
    parts = ["not set" if knob.optional else "", knob.bounds]
    return " · ".join(p for p in parts if p)


def _worded(text: str, knob: Knob) -> Any:
    said = text.strip()
    if not said:
        if knob.optional:
            return None
        raise ConfigError(f"{knob.label}: is empty")
    names = tuple(part.strip() for part in said.split(",") if part.strip())
    if knob.kind == "order":
        return names if len(names) > 1 or names[0] in knob.options else said
    return said
