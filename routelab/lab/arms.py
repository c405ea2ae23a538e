"""A file of arms: several configs in one YAML file, for a replay."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from routelab import strict
from routelab.config import KEYS, VERSION, RouteConfig
from routelab.core.errors import ConfigError, suggest

_HINT = "arms: {name: {models: [...], strategy: {kind: ...}}}"


def read_arms(path: str | Path) -> dict[str, RouteConfig]:
    """Return the configs in a YAML file by name; ConfigError names the file, the line and the key that does not fit.

    The file holds `arms`, a mapping from names to configs or a list of configs with names; or such a mapping at the
    top level; or one config. A text in the place of a config is a model that is asked for everything.
    """
    document = strict.read(path)
    values = dict(document.values)
    if "strategy" in values:
        config = RouteConfig.from_yaml(path)
        return {config.name: config}
    version = values.pop("routelab", VERSION)
    if version != VERSION:
        raise ConfigError(
            f"{document.where('routelab')}: version {version} is not known", hint=f"write `routelab: {VERSION}`"
        )
    inside = "arms" in values
    if inside and len(values) > 1:
        other = next(key for key in values if key != "arms")
        raise ConfigError(f"{document.where(other)}: unknown key next to `arms`", hint="keys here: routelab, arms")
    arms = values["arms"] if inside else values
    top: tuple[str, ...] = ("arms",) if inside else ()
    rows = _rows(arms, top, document)
    if not rows:
        raise ConfigError(f"{document.where(*top)}: names no arms", hint=_HINT)
    return {name: _config(name, body, key, document) for key, name, body in rows}


def _rows(arms: Any, top: tuple[str, ...], document: strict.Document) -> list[tuple[tuple[str, ...], str, Any]]:
    if isinstance(arms, Mapping):
        return [((*top, str(name)), str(name), body) for name, body in arms.items()]
    if not isinstance(arms, list):
        raise ConfigError(f"{document.where(*top)}: must be a mapping from names to configs", hint=_HINT)
    rows: list[tuple[tuple[str, ...], str, Any]] = []
    for i, body in enumerate(arms):
        key = (*top, str(i))
        name = body.get("name") if isinstance(body, Mapping) else body
        if not isinstance(name, str) or not name:
            raise ConfigError(
                f"{document.where(*key)}: an arm in a list needs a `name`", hint="- {name: a, strategy: {...}}"
            )
        if name in (seen for _, seen, _ in rows):
            raise ConfigError(
                f"{document.where(*key)}: the name '{name}' is given twice", hint="names of arms must differ"
            )
        rows.append((key, name, body))
    return rows


def _config(name: str, body: Any, key: tuple[str, ...], document: strict.Document) -> RouteConfig:
    if isinstance(body, str):
        body = {"models": [body], "strategy": {"kind": "fixed", "model": body}}
    if not isinstance(body, Mapping):
        raise ConfigError(f"{document.where(*key)}: must be a config or a model's name", hint=_HINT)
    for word in body:
        if word not in KEYS:
            near = suggest(word, KEYS)
            raise ConfigError(
                f"{document.where(*key, word)}: unknown key" + ("" if near is None else f"; {near}"),
                hint=None if near else f"keys: {', '.join(KEYS)}",
            )
    # The lines of the arm's own keys, so that its complaints point into this file.
    prefix = ".".join(key) + "."
    lines = {k.removeprefix(prefix): n for k, n in document.lines.items() if k.startswith(prefix)}
    lines[""] = document.lines.get(".".join(key), 1)
    own = strict.Document(values={**body, "routelab": VERSION, "name": name}, name=document.name, lines=lines)
    file = Path(document.name)
    return RouteConfig.from_document(own, file.parent if file.is_file() else None)
