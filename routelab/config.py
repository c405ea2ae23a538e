"""A routing configuration as a frozen value, and its YAML: the one place that knows the keys of the file.

Keys that the format has but this version cannot honour yet raise UnavailableError: a config never runs with a part of it ignored.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from routelab import gates, sections, strict
from routelab.beside import filled, replaced, write
from routelab.caching.settings import CacheConfig
from routelab.core.errors import ConfigError, UnavailableError, suggest
from routelab.core.ports import Strategy
from routelab.core.values import digest
from routelab.prompting import FOLDER as TEMPLATES
from routelab.prompting import Library
from routelab.prompting.library import Shelf
from routelab.retrieving import Retrieval
from routelab.sections import ContextConfig, Limits, PromptConfig
from routelab.strategies import identity_of, spec_of, strategy_of
from routelab.strategies.fitting.learned import placed, told

__all__ = ["KEYS", "VERSION", "ContextConfig", "Limits", "PromptConfig", "RouteConfig"]

VERSION = 1


# What the file format has and this version does not: said at load time, never ignored.
_PLANNED: Mapping[str, Sequence[str]] = {
    "limits": ("rpm", "tpm"),
}
_PLANNED_SECTIONS = ("guards",)
_SECTIONS = tuple(sections.DEFAULTS)
KEYS = ("routelab", "name", "models", "strategy", *_SECTIONS, *_PLANNED_SECTIONS, "fallbacks", "fleet", "evidence")


@dataclass(frozen=True, kw_only=True)
class RouteConfig:
    """Everything that decides how a prompt is answered: equal by content, with a fingerprint, and YAML both ways.

    `models` are names in a fleet; `strategy` a mapping such as ``{"kind": "fixed", "model": "gpt-5-mini"}`` or a strategy value;
    `fallbacks` maps a model to who is asked after it; `fleet` is "practice", or a mapping in the form of `fleet.yaml`. Relative
    files that it names, and the folder `prompts` of templates, are looked for in `folder`, which is where its YAML was read.

    >>> a = RouteConfig(name="a", models=["gpt-5-mini"], strategy={"kind": "fixed", "model": "gpt-5-mini"})
    >>> a == RouteConfig.from_text(a.to_text())
    True
    """

    name: str
    strategy: Strategy | Mapping[str, Any]
    models: Sequence[str] = ()
    cache: CacheConfig = CacheConfig()
    context: ContextConfig | Mapping[str, Any] | str | None = None
    retrieval: Retrieval | Mapping[str, Any] | str | None = None
    prompt: PromptConfig = PromptConfig()
    limits: Limits = Limits()
    fallbacks: Mapping[str, Sequence[str]] = field(default_factory=dict)
    fleet: str | Mapping[str, Any] | None = None
    folder: Path | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        document = strict.Document(values={}, name="config")
        given = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        for name, value in _checked(given, document, self.folder).items():
            object.__setattr__(self, name, value)

    @property
    def ranking(self) -> Strategy:
        """The strategy, as a value."""
        assert not isinstance(self.strategy, Mapping)
        return self.strategy

    @property
    def names(self) -> tuple[str, ...]:
        """Every model that a run of this config may ask: the models, then fallbacks that are not among them."""
        return tuple(dict.fromkeys([*self.models, *(m for row in self.fallbacks.values() for m in row)]))

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that depend on everything that changes a decision or an answer, not on the name."""
        values = told({**self._sections(sections.identity), "strategy": identity_of(self.ranking)})
        # A table's order can decide (its first row may be the default), so the strategy's mappings count as they are written.
        values["strategy"] = _paired(values["strategy"])
        return digest({k: _whole(v) for k, v in values.items() if k not in ("name", "routelab", "fleet")})

    @property
    def decides(self) -> dict[str, Any]:
        """Everything that decides an answer, as plain values: the models, the strategy, the prompt, the fallbacks.

        Neither the name, the fleet, the cache nor the limits do: the same answer is right under all of them.
        """
        values = told({**self._sections(sections.identity), "strategy": identity_of(self.ranking)})
        values["strategy"] = _paired(values["strategy"])
        return {k: _whole(v) for k, v in values.items() if k not in ("fleet", "cache", "limits")}

    def to_mapping(self) -> dict[str, Any]:
        """Return the plain values that the YAML file holds; sections at their defaults are left out.

        Large arrays that were learned are told by shape and digest, long lists of examples by their digest, and a strategy of
        somebody's own class, which no YAML can hold, by its class and fields.
        """
        shown = self._sections(sections.shown)
        values: dict[str, Any] = told({**self._head(), "strategy": identity_of(self.ranking), **shown})
        return values

    def settled(self, log: Shelf | None = None) -> RouteConfig:
        """Return the config with its template in the place of the template's reference.

        It is looked for in the folder `prompts` beside the config's file, in the log, and in what comes with routelab; ConfigError
        when it is in none of them.
        """
        prompt = sections.settled(self.prompt, Library(folders=((self.folder or Path()) / TEMPLATES,), log=log))
        return self if prompt is self.prompt else dataclasses.replace(self, prompt=prompt)

    def _values(self, folder: Path | None = None) -> dict[str, Any]:
        def plain(section: str, value: Any) -> Any:
            return sections.plain(section, value, folder)

        return {**self._head(), "strategy": spec_of(self.ranking), **self._sections(plain)}

    def _head(self) -> dict[str, Any]:
        return {"routelab": VERSION, "name": self.name, "models": list(self.models)}

    def _sections(self, plain: Callable[[str, Any], Any]) -> dict[str, Any]:
        values: dict[str, Any] = {"models": list(self.models)}
        for section in _SECTIONS:
            if changed := plain(section, getattr(self, section)):
                values[section] = changed
        if self.fallbacks:
            values["fallbacks"] = {k: list(v) for k, v in self.fallbacks.items()}
        if self.fleet is not None:
            values["fleet"] = self.fleet
        return values

    def to_text(self, *, evidence: Mapping[str, Any] | None = None, comment: str = "") -> str:
        """Return the YAML text; ConfigError when the strategy learned more than a text should hold."""
        values = self._values()
        for key, learned in placed(values):
            raise ConfigError(
                f"{'.'.join(key)}: {learned.numbers:,} numbers are too many for YAML",
                hint="to_yaml(path) writes them to a file beside it",
            )
        return _text(values, evidence, comment)

    def to_yaml(self, path: str | Path, *, evidence: Mapping[str, Any] | None = None, comment: str = "") -> Path:
        """Write the YAML file, whole or not at all, and return its path.

        Large arrays that were learned go to an `.npz` file of the same name beside it, long lists of examples to a `.csv` file; the
        YAML names both with their hashes.
        """
        path = Path(path)
        prompt = sections.filed(self.prompt, path)
        own = self if prompt is self.prompt else dataclasses.replace(self, prompt=prompt)
        values = own._values(path.parent)
        for key, learned in placed(values):
            raw = learned.to_bytes()
            beside = path.with_name("-".join((path.stem, *key[1:-1])) + ".npz")
            write(beside, raw)
            said = {"file": beside.name, "sha256": hashlib.sha256(raw).hexdigest(), "about": learned.told()["about"]}
            values = replaced(values, key, said)
        write(path, _text(values, evidence, comment).encode("utf-8"))
        return path

    @classmethod
    def from_yaml(cls, path: str | Path) -> RouteConfig:
        """Return the config in a YAML file; ConfigError names file, line and key of the first thing that does not fit."""
        return cls.from_document(filled(strict.read(path), Path(path).parent), Path(path).parent)

    @classmethod
    def from_text(cls, text: str, *, name: str = "yaml") -> RouteConfig:
        """Return the config in a YAML text."""
        return cls.from_document(strict.parse(text, name=name))

    @classmethod
    def from_document(cls, document: strict.Document, folder: Path | None = None) -> RouteConfig:
        """Return the config in a parsed file; relative files that it names are looked for in `folder`."""
        values = dict(document.values)
        for key in values:
            if key not in KEYS:
                near = suggest(key, KEYS)
                raise ConfigError(
                    f"{document.where(key)}: unknown key{'' if near is None else '; ' + near}",
                    hint=None if near else f"keys: {', '.join(KEYS)}",
                )
        version = values.pop("routelab", None)
        if version != VERSION or isinstance(version, bool):
            raise ConfigError(
                f"{document.where('routelab')}: {'is missing' if version is None else f'version {version!r} is not known'}",
                hint=f"the first line must be `routelab: {VERSION}`",
            )
        values.pop("evidence", None)  # written by an export for people; decisions never depend on it
        for key in ("name", "strategy"):
            if values.get(key) is None:
                raise ConfigError(f"{document.where()}: `{key}` is missing")
        known = {k: v for k, v in values.items() if v is not None}
        return cls(**_checked({**known, "folder": folder}, document, folder))


def _text(values: Mapping[str, Any], evidence: Mapping[str, Any] | None, comment: str) -> str:
    return strict.dump(values if evidence is None else {**values, "evidence": evidence}, comment=comment)


def _paired(value: Any) -> Any:
    if isinstance(value, Mapping):
        return [[k, _paired(v)] for k, v in value.items()]
    return value


def _whole(value: Any) -> Any:
    """Return the value with whole numbers as integers: 30 and 30.0 are equal, so they must not differ in a hash."""
    if isinstance(value, Mapping):
        return {k: _whole(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_whole(v) for v in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _checked(values: Mapping[str, Any], document: strict.Document, folder: Path | None = None) -> dict[str, Any]:
    """Return the values of a RouteConfig, built and checked; names in messages come with their line when there is a file."""
    for section in _PLANNED_SECTIONS:
        if values.get(section) not in (None, {}, [], {"kind": "none"}):
            raise UnavailableError(
                f"{document.where(section)}: is not in this version of routelab yet", hint="leave it out"
            )
    out = {k: v for k, v in values.items() if k not in _PLANNED_SECTIONS}
    if not isinstance(out["name"], str) or not out["name"].strip():
        raise ConfigError(f"{document.where('name')}: must be a text (got {out['name']!r})")
    for section in _SECTIONS:
        planned = [k for k in _PLANNED.get(section, ()) if isinstance(m := out.get(section), Mapping) and m.get(k)]
        for key in planned:
            raise UnavailableError(
                f"{document.where(section, key)}: is not in this version of routelab yet", hint="leave it out"
            )
        out[section] = sections.read(section, out.get(section), document, folder)
    spec = out["strategy"]
    if isinstance(spec, Mapping):
        out["strategy"] = strategy_of(spec, document)
    elif not callable(getattr(spec, "plan", None)):
        raise ConfigError(
            f"{document.where('strategy')}: must be a mapping with `kind`", hint="strategy: {kind: fixed, model: NAME}"
        )
    named = tuple(getattr(out["strategy"], "models", ()))
    given = out.get("models")
    out["models"] = _names(named if given is None or given == [] else given, ("models",), document) or named
    if not out["models"]:
        raise ConfigError(f"{document.where('models')}: name at least one model")
    for name in named:
        if name not in out["models"]:
            near = suggest(name, out["models"])
            raise ConfigError(
                f"{document.where('strategy')}: '{name}' is not among `models`{'' if near is None else '; ' + near}",
                hint=f"models: {', '.join(out['models'])}",
            )
    _gate(out["strategy"], out["models"], document)
    out["fallbacks"] = _fallbacks({} if out.get("fallbacks") is None else out["fallbacks"], out["models"], document)
    fleet = out.get("fleet")
    if fleet is not None and fleet != "practice" and not isinstance(fleet, Mapping):
        raise ConfigError(f"{document.where('fleet')}: must be `practice` or a mapping in the form of fleet.yaml")
    return out


def _gate(strategy: Strategy, models: Sequence[str], document: strict.Document) -> None:
    """Raise ConfigError for a gate that cannot be used, at its place in the file."""
    spec = getattr(strategy, "gate", None)
    if not isinstance(spec, Mapping):
        return
    gates.check(spec, ("strategy", "gate"), document)
    bars = spec.get("at_least")
    for name in bars if isinstance(bars, Mapping) else ():
        if name not in models:
            near = suggest(name, models)
            raise ConfigError(
                f"{document.where('strategy', 'gate', 'at_least', name)}: '{name}' is not among `models`"
                + ("" if near is None else f"; {near}"),
                hint=f"models: {', '.join(models)}",
            )


def _names(given: Any, key: tuple[str, ...], document: strict.Document) -> tuple[str, ...]:
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise ConfigError(f"{document.where(*key)}: must be a list of model names")
    for i, name in enumerate(given):
        if not isinstance(name, str) or not name:
            raise ConfigError(f"{document.where(*key, i)}: must be a model's name (got {name!r})")
        if name in given[:i]:
            raise ConfigError(f"{document.where(*key, i)}: '{name}' is named twice")
    return tuple(given)


def _fallbacks(given: Any, models: Sequence[str], document: strict.Document) -> dict[str, tuple[str, ...]]:
    if not isinstance(given, Mapping):
        raise ConfigError(f"{document.where('fallbacks')}: must map a model to a list of models")
    rows = {str(model): _names(row, ("fallbacks", str(model)), document) for model, row in given.items()}
    for model, row in rows.items():
        if model not in models:
            near = suggest(model, models)
            raise ConfigError(
                f"{document.where('fallbacks', model)}: '{model}' is not among `models`{'' if near is None else '; ' + near}",
                hint="fallbacks are for models that a strategy ranks; list further ones in the same row",
            )
        if model in row:
            raise ConfigError(f"{document.where('fallbacks', model)}: '{model}' falls back to itself")
    return rows
