"""A routing configuration as a frozen value, and its YAML: the one place that knows the keys of the file.

Keys that the format has but this version cannot honour yet raise UnavailableError: a config never runs with a part of it ignored.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from routelab import gates, strict
from routelab.caching.settings import CacheConfig, SemanticConfig, plain
from routelab.core.errors import ConfigError, UnavailableError, suggest
from routelab.core.ports import Strategy
from routelab.core.values import digest
from routelab.strategies import identity_of, spec_of, strategy_of
from routelab.strategies.fitting.learned import MOST_BYTES, Learned, placed, told

VERSION = 1


@dataclass(frozen=True, kw_only=True)
class PromptConfig:
    """How the prompt is put to the model: a system text, the most tokens of an answer, the sampling temperature."""

    system: str | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None

    def __post_init__(self) -> None:
        if self.max_output_tokens is not None and self.max_output_tokens < 1:
            raise ValueError(f"max_output_tokens: must be at least 1, not {self.max_output_tokens}")
        if self.temperature is not None and not 0 <= self.temperature <= 2:
            raise ValueError(f"temperature: must lie between 0 and 2, not {self.temperature}")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long, how often, how many at once, and for how much: seconds over all attempts, retries per model, calls, USD.

    `decide_s` is the strategy's time for one prompt; the default decides when it is over. It is a second, because a strategy
    that embeds needs some 10 ms a prompt and now and then, on a busy machine, much more: a default that is taken early
    changes the experiment. While the first decision still loads its model, ten times as long is allowed.
    """

    deadline_s: float = 60.0
    retries: int = 2
    concurrency: int = 8
    budget_usd: float | None = None
    decide_s: float = 1.0

    def __post_init__(self) -> None:
        if not self.decide_s > 0:
            raise ValueError(f"decide_s: must be more than 0, not {self.decide_s}")
        _finite("decide_s", self.decide_s)
        if not self.deadline_s > 0:
            raise ValueError(f"deadline_s: must be more than 0, not {self.deadline_s}")
        if self.retries < 0:
            raise ValueError(f"retries: must be at least 0, not {self.retries}")
        if self.concurrency < 1:
            raise ValueError(f"concurrency: must be at least 1, not {self.concurrency}")
        if self.budget_usd is not None and not self.budget_usd >= 0:
            raise ValueError(f"budget_usd: must be at least 0, not {self.budget_usd}")
        _finite("deadline_s", self.deadline_s)
        _finite("budget_usd", self.budget_usd)


def _finite(name: str, value: float | None) -> None:
    # YAML has no word for infinity that every tool reads alike; None says "no limit" where there may be none.
    if value is not None and not math.isfinite(value):
        raise ValueError(f"{name}: must be a finite number, not {value}")


# What the file format has and this version does not: said at load time, never ignored.
_PLANNED: Mapping[str, Sequence[str]] = {
    "prompt": ("template", "few_shot", "compress"),
    "limits": ("rpm", "tpm"),
}
_PLANNED_SECTIONS = ("context", "retrieval", "guards")
_SECTIONS: Mapping[str, type] = {"cache": CacheConfig, "prompt": PromptConfig, "limits": Limits}
KEYS = ("routelab", "name", "models", "strategy", *_SECTIONS, *_PLANNED_SECTIONS, "fallbacks", "fleet", "evidence")


@dataclass(frozen=True, kw_only=True)
class RouteConfig:
    """Everything that decides how a prompt is answered: equal by content, with a fingerprint, and YAML both ways.

    `models` are names in a fleet; `strategy` a mapping such as ``{"kind": "fixed", "model": "gpt-5-mini"}`` or a strategy value;
    `fallbacks` maps a model to who is asked after it; `fleet` is "practice", or a mapping in the form of `fleet.yaml`.

    >>> a = RouteConfig(name="a", models=["gpt-5-mini"], strategy={"kind": "fixed", "model": "gpt-5-mini"})
    >>> a == RouteConfig.from_text(a.to_text())
    True
    """

    name: str
    strategy: Strategy | Mapping[str, Any]
    models: Sequence[str] = ()
    cache: CacheConfig = CacheConfig()
    prompt: PromptConfig = PromptConfig()
    limits: Limits = Limits()
    fallbacks: Mapping[str, Sequence[str]] = field(default_factory=dict)
    fleet: str | Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        document = strict.Document(values={}, name="config")
        given = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        for name, value in _checked(given, document).items():
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
        values = told({**self._sections(), "strategy": identity_of(self.ranking)})
        # A table's order can decide (its first row may be the default), so the strategy's mappings count as they are written.
        values["strategy"] = _paired(values["strategy"])
        return digest({k: _whole(v) for k, v in values.items() if k not in ("name", "routelab", "fleet")})

    @property
    def decides(self) -> dict[str, Any]:
        """Everything that decides an answer, as plain values: the models, the strategy, the prompt, the fallbacks.

        Neither the name, the fleet, the cache nor the limits do: the same answer is right under all of them.
        """
        values = told({**self._sections(), "strategy": identity_of(self.ranking)})
        values["strategy"] = _paired(values["strategy"])
        return {k: _whole(v) for k, v in values.items() if k not in ("fleet", "cache", "limits")}

    def to_mapping(self) -> dict[str, Any]:
        """Return the plain values that the YAML file holds; sections at their defaults are left out.

        Large arrays that were learned are told by shape and digest, and a strategy of somebody's own class, which no YAML
        can hold, by its class and fields.
        """
        values: dict[str, Any] = told({**self._head(), "strategy": identity_of(self.ranking), **self._sections()})
        return values

    def _values(self) -> dict[str, Any]:
        return {**self._head(), "strategy": spec_of(self.ranking), **self._sections()}

    def _head(self) -> dict[str, Any]:
        return {"routelab": VERSION, "name": self.name, "models": list(self.models)}

    def _sections(self) -> dict[str, Any]:
        values: dict[str, Any] = {"models": list(self.models)}
        for section in _SECTIONS:
            if changed := plain(getattr(self, section)):
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

        Large arrays that were learned go to an `.npz` file of the same name beside it, which the YAML names with its hash.
        """
        path = Path(path)
        values = self._values()
        for key, learned in placed(values):
            raw = learned.to_bytes()
            beside = path.with_name("-".join((path.stem, *key[1:-1])) + ".npz")
            _write(beside, raw)
            said = {"file": beside.name, "sha256": hashlib.sha256(raw).hexdigest(), "about": learned.told()["about"]}
            values = _with(values, key, said)
        _write(path, _text(values, evidence, comment).encode("utf-8"))
        return path

    @classmethod
    def from_yaml(cls, path: str | Path) -> RouteConfig:
        """Return the config in a YAML file; ConfigError names file, line and key of the first thing that does not fit."""
        return cls.from_document(_filled(strict.read(path), Path(path).parent))

    @classmethod
    def from_text(cls, text: str, *, name: str = "yaml") -> RouteConfig:
        """Return the config in a YAML text."""
        return cls.from_document(strict.parse(text, name=name))

    @classmethod
    def from_document(cls, document: strict.Document) -> RouteConfig:
        """Return the config in a parsed file."""
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
        return cls(**_checked({k: v for k, v in values.items() if v is not None}, document))


def _text(values: Mapping[str, Any], evidence: Mapping[str, Any] | None, comment: str) -> str:
    return strict.dump(values if evidence is None else {**values, "evidence": evidence}, comment=comment)


def _write(path: Path, raw: bytes) -> None:
    # Not tempfile: its files are for their owner only, and this one may be read by whoever runs production.
    draft = path.parent / f".{uuid.uuid4().hex}.tmp"
    try:
        draft.write_bytes(raw)
        os.replace(draft, path)
    except OSError as trouble:
        draft.unlink(missing_ok=True)
        raise ConfigError(
            f"{path}: cannot be written ({trouble.strerror})", hint="check that the folder exists"
        ) from None


def _with(values: Any, key: tuple[str, ...], new: Any) -> Any:
    """Return nested mappings and lists with one place replaced."""
    if not key:
        return new
    if isinstance(values, Mapping):
        return {k: _with(v, key[1:], new) if k == key[0] else v for k, v in values.items()}
    return [_with(v, key[1:], new) if str(i) == key[0] else v for i, v in enumerate(values)]


def _filled(document: strict.Document, folder: Path) -> strict.Document:
    """Return the document with the arrays that its strategy learned read from the files beside it."""
    values = document.values
    for key in list(_filed(values.get("strategy"), ("strategy",))):
        node: Any = values
        for name in key:
            node = node[int(name)] if isinstance(node, list) else node[name]
        values = _with(values, key, _read_learned(node, key, document, folder))
    return dataclasses.replace(document, values=values)


def _filed(values: Any, key: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(values, Mapping):
        if key[-1] == "learned" and "file" in values:
            yield key
            return
        for name, value in values.items():
            yield from _filed(value, (*key, name))
    elif isinstance(values, list):
        for i, value in enumerate(values):
            yield from _filed(value, (*key, str(i)))


def _read_learned(said: Mapping[str, Any], key: tuple[str, ...], document: strict.Document, folder: Path) -> Learned:
    """Return the arrays in the file that a mapping names; ConfigError, one line, when it is not the one that was written."""
    for name in said:
        if name not in ("file", "sha256", "about"):
            raise ConfigError(f"{document.where(*key, name)}: unknown key", hint="keys here: file, sha256, about")
    file, about = said["file"], said.get("about") or {}
    where = document.where(*key, "file")
    if not isinstance(file, str) or Path(file).name != file or "\\" in file or file in ("", ".", ".."):
        raise ConfigError(f"{where}: must be the name of a file beside the YAML (got {file!r})")
    if not isinstance(said.get("sha256"), str) or not isinstance(about, Mapping):
        raise ConfigError(f"{where}: needs the file's `sha256`", hint="to_yaml writes both")
    try:
        if (folder / file).stat().st_size > MOST_BYTES:
            raise ConfigError(f"{where}: {file} is larger than {MOST_BYTES:,} bytes")
        raw = (folder / file).read_bytes()
    except OSError as trouble:
        raise ConfigError(
            f"{where}: {file} cannot be read ({trouble.strerror})", hint="copy it along with the YAML"
        ) from None
    if hashlib.sha256(raw).hexdigest() != said["sha256"].lower():
        raise ConfigError(f"{where}: {file} is not the file that this YAML was written with", hint="export both again")
    try:
        return Learned.from_bytes(raw, about)
    except ValueError as trouble:
        raise ConfigError(f"{where}: {file} {str(trouble).removeprefix('learned: ')}") from None


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


def _checked(values: Mapping[str, Any], document: strict.Document) -> dict[str, Any]:
    """Return the values of a RouteConfig, built and checked; names in messages come with their line when there is a file."""
    for section in _PLANNED_SECTIONS:
        if values.get(section) not in (None, {}, [], {"kind": "none"}):
            raise UnavailableError(
                f"{document.where(section)}: is not in this version of routelab yet", hint="leave it out"
            )
    out = {k: v for k, v in values.items() if k not in _PLANNED_SECTIONS}
    if not isinstance(out["name"], str) or not out["name"].strip():
        raise ConfigError(f"{document.where('name')}: must be a text (got {out['name']!r})")
    for section, cls in _SECTIONS.items():
        value = out.get(section)
        if isinstance(value, Mapping):
            planned = _PLANNED.get(section, ())
            for key in planned:
                if value.get(key) is not None:
                    raise UnavailableError(
                        f"{document.where(section, key)}: is not in this version of routelab yet", hint="leave it out"
                    )
            fields = {k: v for k, v in value.items() if k not in planned}
            if section == "cache" and isinstance(fields.get("semantic"), Mapping):
                fields["semantic"] = strict.build(SemanticConfig, fields["semantic"], ("cache", "semantic"), document)
            out[section] = strict.build(cls, fields, (section,), document)
        elif value is not None and not isinstance(value, cls):
            raise ConfigError(f"{document.where(section)}: must be `key: value` lines")
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
