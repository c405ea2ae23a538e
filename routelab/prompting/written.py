"""A template as the mapping that YAML holds, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from routelab import strict
from routelab.core.errors import ConfigError
from routelab.prompting.template import Template, Turns

_COMMENT = "A version of a template: it is not edited, the next one is added."
_HASH = re.compile(r"[0-9a-f]{64}\Z")


def spec_of(template: Template) -> dict[str, Any]:
    """Return the mapping that `template_of` turns back into an equal template, with the hash if it has a version.

    A config that is read elsewhere needs no library for it.
    """
    head: dict[str, Any] = {"name": template.name}
    if template.version is not None:
        head |= {"version": template.version, "sha256": template.sha256}
    if template.note:
        head["note"] = template.note
    return head | template.content


def written(spec: Mapping[str, Any], doc: strict.Document, key: tuple[str, ...] = ()) -> Template:
    """Return the template that a mapping says whole; ConfigError where it is not what its `sha256` says."""
    values = dict(spec)
    stated = values.pop("sha256", None)
    if stated is not None and not (isinstance(stated, str) and _HASH.match(stated)):
        raise ConfigError(f"{doc.where(*key, 'sha256')}: must be 64 hexadecimal digits (got {stated!r})")
    if isinstance(values.get("example"), Mapping):
        values["example"] = strict.build(Turns, values["example"], (*key, "example"), doc)
    template = strict.build(Template, values, key, doc)
    if stated is not None and stated != template.sha256:
        raise ConfigError(
            f"{doc.where(*key, 'sha256')}: {template.name} does not say what it did when it got this hash",
            hint="a version never changes: undo the edit, or leave out `version` and `sha256`, which makes it a new one",
        )
    return template


def filed(template: Template) -> str:
    """Return the text of a template's file: YAML whose longer texts are blocks, to be read and compared line by line."""
    return strict.dump(spec_of(template), comment=_COMMENT)
