"""A strategy's declared parameters as knobs: from a config's fields and their types to knobs, and from knobs back to a config.

The bounds of a number are those that the strategy itself keeps: they are found by asking it what it accepts, so a knob never allows
what the strategy refuses, and a new strategy has knobs without a line here.
"""

from __future__ import annotations

import dataclasses
import math
import re
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

from routelab import strict
from routelab.config import RouteConfig
from routelab.core.errors import ConfigError, RoutelabError
from routelab.strategies import Learned

Key: TypeAlias = tuple[str, ...]
Kind: TypeAlias = Literal["number", "whole", "switch", "choice", "model", "models", "order", "word", "yaml"]

EDGES = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 100.0)
"""Where a strategy may end the range of a number."""
NEAR = 1e-3
FARTHEST = 64
"""How far from its value a whole number's bounds are looked for."""
MODELS: Key = ("models",)
"""The knob of the config itself: over which models a strategy decides that names none."""


@dataclass(frozen=True, kw_only=True)
class Knob:
    """A parameter that can be turned: where it stands, what it is, and what it may be.

    `low` and `high` are the bounds of a number where it has them, `options` what can be chosen from, `optional` says that
    it may be left out (None).
    """

    key: Key
    kind: Kind
    value: Any
    says: str = ""
    low: float | None = None
    high: float | None = None
    options: tuple[str, ...] = ()
    optional: bool = False

    @property
    def label(self) -> str:
        """The parameter's name, dotted."""
        return ".".join(self.key)

    @property
    def bounds(self) -> str:
        """The bounds in words; empty without any."""
        if self.low is None and self.high is None:
            return ""
        if self.low is None or self.high is None:
            return f"at least {self.low:g}" if self.high is None else f"at most {self.high:g}"
        return f"{self.low:g} to {self.high:g}"


# From a config to knobs


def knobs(config: RouteConfig, models: Sequence[str]) -> tuple[Knob, ...]:
    """Return the knobs of a config's strategy, in the order of its fields; `models` are those of the fleet.

    What was learned has none; neither has a strategy that is no dataclass.
    """
    strategy = config.ranking
    found: list[Knob] = []
    if not getattr(strategy, "models", ()) and "models" not in _names(strategy):
        found.append(
            Knob(key=MODELS, kind="models", value=config.models, options=tuple(models), says="who may be asked")
        )
    if not dataclasses.is_dataclass(strategy):
        return tuple(found)
    hints = get_type_hints(type(strategy))
    for field in dataclasses.fields(strategy):
        value = getattr(strategy, field.name)
        if isinstance(value, Learned) or _parts(hints[field.name])[0] == [Learned] or not field.init:
            continue
        says = _said(type(strategy), field.name)
        found += _field(strategy, field.name, hints[field.name], value, tuple(models), says)
    return tuple(found)


def _field(strategy: Any, name: str, hint: Any, value: Any, models: tuple[str, ...], says: str) -> Iterable[Knob]:
    kinds, optional = _parts(hint)
    about: dict[str, Any] = {"key": (name,), "value": value, "optional": optional, "says": says}

    def accepts(other: Any) -> bool:
        return _accepts(strategy, name, other)

    if isinstance(value, Mapping) and _settings(value, models):
        yield from _inner(strategy, name, value, models, says)
        return
    first = kinds[0]
    literal = next((k for k in kinds if get_origin(k) is Literal), None)
    if literal is not None:
        yield Knob(kind="choice", options=tuple(str(a) for a in get_args(literal)), **about)
    elif first is bool:
        yield Knob(kind="switch", **about)
    elif first is int:
        low, high = whole_bounds(accepts, value)
        yield Knob(kind="whole", low=low, high=high, **about)
    elif first is float:
        low, high = number_bounds(accepts, value)
        yield Knob(kind="number", low=low, high=high, **about)
    elif kinds == [tuple[str, ...]]:
        yield Knob(kind="models", options=models, **about)
    elif str in kinds and tuple[str, ...] in kinds:
        yield Knob(kind="order", options=models, **about)
    elif kinds == [str]:
        options = tuple(m for m in models if accepts(m))
        # A word that may be any model is a model's name.
        kind: Kind = "model" if options == models and value in models else "word"
        yield Knob(kind=kind, options=options, **about)
    elif str in kinds and not isinstance(value, Mapping):
        yield Knob(kind="word", **about)
    else:
        yield Knob(kind="yaml", **about)


def _inner(strategy: Any, name: str, value: Mapping[str, Any], models: tuple[str, ...], says: str) -> Iterable[Knob]:
    """Return the knobs of a mapping with settings, such as a gate: one for each number and each model; YAML for the rest."""
    for key, inner in _leaves(value):

        def accepts(other: Any, key: Key = key) -> bool:
            return _accepts(strategy, name, _with(value, key, other))

        about: dict[str, Any] = {"key": (name, *key), "value": inner, "says": says}
        if isinstance(inner, bool):
            yield Knob(kind="switch", **about)
        elif isinstance(inner, float) or key[0] == "at_least":
            # A bar is a share whatever judges; written as a whole number it still is one.
            low, high = number_bounds(accepts, float(inner))
            share = key[0] == "at_least" and 0 <= inner <= 1
            yield Knob(kind="number", low=0.0 if share else low, high=1.0 if share else high, **about)
        elif isinstance(inner, int):
            low, high = whole_bounds(accepts, inner)
            yield Knob(kind="whole", low=low, high=high, **about)
        else:
            yield Knob(kind="model", options=models, **about)
    rest = _without(value, [key for key, inner in _leaves(value)])
    if rest:
        yield Knob(key=(name,), kind="yaml", value=rest, says=says)


def _leaves(value: Mapping[str, Any]) -> list[tuple[Key, Any]]:
    """Return the places in a mapping of settings that have knobs of their own: numbers, and models that are asked."""
    found: list[tuple[Key, Any]] = []
    for name, inner in value.items():
        if isinstance(inner, (bool, int, float)) or (name in ("model", "against") and isinstance(inner, str)):
            found.append(((name,), inner))
        elif name == "at_least" and isinstance(inner, Mapping):
            found += [((name, str(who)), bar) for who, bar in inner.items() if isinstance(bar, (int, float))]
    return found


def _settings(value: Mapping[str, Any], models: Sequence[str]) -> bool:
    # Keys that are models come and go, so such a mapping is edited as a whole.
    return bool(_leaves(value)) and not any(key in models for key in value)


def number_bounds(accepts: Callable[[float], bool], value: float | None) -> tuple[float | None, float | None]:
    """Return the lowest and the highest number that is accepted, None where there is no end within reach."""
    if value is not None and not accepts(value):
        return None, None
    low = next((e for e in EDGES if not accepts(e - NEAR) and accepts(e + NEAR)), None)
    high = next((e for e in EDGES if e > (low or 0) and accepts(e - NEAR) and not accepts(e + NEAR)), None)
    if low is not None and not accepts(low):
        low += NEAR
    if high is not None and not accepts(high):
        high -= NEAR
    return low, high


def whole_bounds(accepts: Callable[[int], bool], value: int | None) -> tuple[float | None, float | None]:
    """Return the lowest and the highest whole number that is accepted around the value, None where there is no end within reach."""
    start = 1 if value is None else value
    if not accepts(start):
        return None, None

    def end(step: int) -> int | None:
        at = start
        while accepts(at + step):
            at += step
            if abs(at - start) > FARTHEST:
                return None
        return at

    return end(-1), end(1)


def _accepts(strategy: Any, name: str, value: Any) -> bool:
    try:
        dataclasses.replace(strategy, **{name: value})
    except (ValueError, TypeError, RoutelabError):
        return False
    return True


def _parts(hint: Any) -> tuple[list[Any], bool]:
    """Return the types in a hint without None, and whether None is among them."""
    if get_origin(hint) not in (Union, types.UnionType):
        return [hint], False
    given = get_args(hint)
    return [k for k in given if k is not type(None)], type(None) in given


def _said(cls: type, name: str) -> str:
    """Return the sentence of the class's docstring that speaks of the field, empty where none does."""
    text = " ".join((cls.__doc__ or "").split())
    for sentence in re.split(r"(?<=[.;])\s+(?=[A-Z`])", text):
        if f"`{name}`" in sentence:
            return sentence.replace("`", "")
    return ""


# From knobs to a config


def turned(config: RouteConfig, values: Mapping[Key, Any]) -> RouteConfig:
    """Return the config with knobs at these values; ConfigError, beginning with the knob's label, for one that does not fit."""
    if not values:
        return config
    strategy = config.ranking
    changes: dict[str, Any] = {}
    for key, value in sorted(values.items(), key=lambda item: len(item[0])):
        if key == MODELS and "models" not in _names(strategy):
            continue
        name, rest = key[0], key[1:]
        held = changes.get(name, getattr(strategy, name))
        if rest:
            changes[name] = _with(held, rest, value)
        elif isinstance(held, Mapping) and _settings(held, config.models):
            # What has a knob of its own keeps its value.
            changes[name] = {
                **value,
                **{k: held[k] for k in dict.fromkeys(p[0] for p, _ in _leaves(held)) if k not in value},
            }
        else:
            changes[name] = value
    try:
        new = dataclasses.replace(strategy, **changes) if changes else strategy  # type: ignore[type-var]
    except (ValueError, TypeError) as trouble:
        raise ConfigError(str(trouble)) from None
    wanted = None if "models" in _names(strategy) else values.get(MODELS)
    return dataclasses.replace(config, strategy=new, models=_models(config, new, wanted))


def _names(strategy: Any) -> set[str]:
    return {f.name for f in dataclasses.fields(strategy)} if dataclasses.is_dataclass(strategy) else set()


def _models(config: RouteConfig, strategy: Any, wanted: Any) -> tuple[str, ...]:
    """Return the config's models for the new strategy: those that it names, and those that the config had besides the old one's."""
    named = tuple(getattr(strategy, "models", ()))
    if not named:
        return tuple(wanted) if wanted is not None else tuple(config.models)
    before = tuple(getattr(config.ranking, "models", ()))
    return tuple(dict.fromkeys([*(m for m in config.models if m in named or m not in before), *named]))


def _with(values: Any, key: Sequence[str], new: Any) -> Any:
    if not key:
        return new
    return {**values, key[0]: _with(values.get(key[0], {}), key[1:], new)}


def _without(values: Mapping[str, Any], keys: Iterable[Key]) -> dict[str, Any]:
    gone = {key[0] for key in keys}
    return {k: v for k, v in values.items() if k not in gone}


# Texts


def written(value: Any) -> str:
    """Return a value as the YAML that `read` turns back into it."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return strict.dump(_plain(value)).rstrip("\n")
    return strict.dump({"v": _plain(value)}).removeprefix("v:").strip()


def read(text: str) -> Any:
    """Return the value in a YAML text, tuples in the place of lists; None for the empty text. ConfigError says the line."""
    if not text.strip():
        return None
    try:
        return _frozen(strict.parse(text, name="line").values)
    except ConfigError as trouble:
        try:
            return _frozen(strict.parse(f"v: {text}", name="line").values["v"])
        except ConfigError:
            raise trouble from None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _frozen(v) for k, v in value.items()}
    return tuple(_frozen(v) for v in value) if isinstance(value, (list, tuple)) else value


def number(text: str, knob: Knob) -> float | int | None:
    """Return the number in a text box; None for the empty text where the knob may be left out. ConfigError for what is none."""
    said = text.strip()
    if not said:
        if knob.optional:
            return None
        raise ConfigError(f"{knob.label}: a number is wanted")
    try:
        value = float(said)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"{knob.label}: a number is wanted (got {said[:40]!r})")
    if knob.kind == "whole":
        if not value.is_integer():
            raise ConfigError(f"{knob.label}: a whole number is wanted (got {said[:40]!r})")
        return int(value)
    return value
