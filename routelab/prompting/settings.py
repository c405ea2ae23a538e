"""A template out of a config: a reference such as "qa@3", or a mapping that says it whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from routelab import strict
from routelab.core.errors import ConfigError
from routelab.prompting.library import Library
from routelab.prompting.template import Template
from routelab.prompting.written import written

FOLDER = "prompts"
"""The folder of templates beside a config, or in the working directory."""


def template_of(
    spec: str | Mapping[str, Any] | Template,
    doc: strict.Document | None = None,
    key: tuple[str, ...] = ("prompt", "template"),
    *,
    library: Library | None = None,
) -> Template:
    """Return the template that a reference ("qa@3", "qa" for the latest, "qa@sha:1a2b3c") or a mapping stands for.

    References are looked up in the `library`; without one, in what comes with routelab and in the folder `prompts`, beside the file
    that `doc` was read from if there is one. ConfigError at its place for what is not there, cannot be used, or is not what its hash
    says.

    >>> template_of({"name": "brief", "user": "{{ question }} In one word."}).reference
    'brief@sha:bf7a6c6b4387'
    >>> template_of({"user": "{{ qestion }}"})
    Traceback (most recent call last):
    routelab.core.errors.ConfigError: config: prompt.template.user: line 1: {{ qestion }} is not defined; did you mean 'question'?
    """
    if isinstance(spec, Template):
        return spec
    where = strict.Document(values={}, name="config") if doc is None else doc
    if isinstance(spec, str):
        found = library if library is not None else Library(folders=(beside(where),))
        try:
            return found.get(spec)
        except ConfigError as trouble:
            raise ConfigError(f"{where.where(*key)}: {trouble.message}", hint=trouble.hint) from None
    if not isinstance(spec, Mapping):
        raise ConfigError(
            f"{where.where(*key)}: a reference such as qa@3, or a mapping, is wanted (got {spec!r})",
            hint='template: {user: "{{ question }} Answer in one word."}',
        )
    return written(spec, where, key)


def beside(doc: strict.Document) -> Path:
    """Return the folder of templates that belongs to a document: beside its file, else in the working directory."""
    path = Path(doc.name)
    return (path.parent if path.suffix in (".yaml", ".yml") and path.is_file() else Path()) / FOLDER
