"""Files beside a config's YAML: what a strategy learned and is too large for text, named by their hash."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from routelab import strict
from routelab.core.errors import ConfigError
from routelab.strategies.fitting.learned import MOST_BYTES, Learned


def write(path: Path, raw: bytes) -> None:
    """Write the file, whole or not at all; ConfigError when it cannot be written."""
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


def replaced(values: Any, key: tuple[str, ...], new: Any) -> Any:
    """Return nested mappings and lists with one place replaced."""
    if not key:
        return new
    if isinstance(values, Mapping):
        return {k: replaced(v, key[1:], new) if k == key[0] else v for k, v in values.items()}
    return [replaced(v, key[1:], new) if str(i) == key[0] else v for i, v in enumerate(values)]


def filled(document: strict.Document, folder: Path) -> strict.Document:
    """Return the document with the arrays that its strategy learned read from the files beside it."""
    values = document.values
    for key in list(_filed(values.get("strategy"), ("strategy",))):
        node: Any = values
        for name in key:
            node = node[int(name)] if isinstance(node, list) else node[name]
        values = replaced(values, key, _read_learned(node, key, document, folder))
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
