"""What an export could not carry over exactly: said in the file, in the terminal, and as values."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from routelab.config import RouteConfig
from routelab.core.errors import ConfigError
from routelab.core.values import Model
from routelab.present import Table

Touches = Literal["picks", "answers", "cost", "limits"]


@dataclass(frozen=True, kw_only=True)
class Lossy:
    """One thing that the target says differently, or not at all.

    `field` is the key in routelab's config; `touches` what may differ because of it: which model is picked, what is answered,
    what it costs or how cost is counted, or how long and how often is asked; `written` is what stands in the file instead.
    """

    field: str
    touches: Touches
    why: str
    written: str


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A file for another router: its text, files that must lie beside it (by name), how it is called, what is not exact."""

    to: str
    text: str
    lossy: tuple[Lossy, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    calls: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether every prompt meets the same models in the same order as in routelab."""
        return not any(item.touches == "picks" for item in self.lossy)

    def under(self, head: str) -> Exported:
        """Return the same file with more lines of comment above it."""
        lines = "".join(f"# {line}".rstrip() + "\n" for line in head.splitlines())
        return dataclasses.replace(self, text=lines + self.text)

    def write(self, path: Path) -> Path:
        """Write the file, whole or not at all, and what must lie beside it; return its path."""
        for name, text in {**{str(path.with_name(n)): t for n, t in self.files.items()}, str(path): self.text}.items():
            try:
                with tempfile.NamedTemporaryFile(
                    "w", encoding="utf-8", dir=path.parent, delete=False, suffix=".tmp"
                ) as out:
                    out.write(text)
                os.replace(out.name, name)
            except OSError as trouble:
                raise ConfigError(
                    f"{name}: cannot be written ({trouble.strerror})", hint="check that the folder exists"
                ) from None
        return path

    def table(self) -> Table:
        """Return what is not exact, one row each."""
        return lossy_table(self.lossy, to=self.to)


def lossy_table(lossy: Sequence[Lossy], *, to: str) -> Table:
    """Return the losses as a table, those that touch picks first."""
    order = ("picks", "answers", "limits", "cost")
    rows = [[i.touches, i.field, i.why, i.written] for i in sorted(lossy, key=lambda i: order.index(i.touches))]
    caption = f"{to}: {len(rows)} things are not exactly what routelab does" if rows else f"{to}: nothing was lost"
    return Table(head=("touches", "field", "why", "written instead"), rows=rows, caption=caption)


def heading(title: str, calls: Sequence[str], lossy: Sequence[Lossy], notes: Sequence[str] = ()) -> str:
    """Return the comment that opens an exported file."""
    lines = [title, *notes]
    if calls:
        lines += ["", "How to call it:", *(f"  {line}" for line in calls)]
    if lossy:
        lines += ["", "Not exactly what routelab does:"]
        lines += [f"  [{i.touches}] {i.field}: {i.why}. Written: {i.written}." for i in lossy]
    else:
        lines += ["", "Nothing was lost: same picks, same order of fallbacks, same retries."]
    return "\n".join(lines)


KNOWN = frozenset(
    (
        "routelab",
        "name",
        "models",
        "strategy",
        "fallbacks",
        "fleet",
        "evidence",
        "cache.exact",
        "cache.ttl_s",
        "cache.stale_s",
        "cache.namespace",
        "cache.size",
        "cache.semantic",
        "prompt.system",
        "prompt.max_output_tokens",
        "prompt.temperature",
        "limits.deadline_s",
        "limits.retries",
        "limits.concurrency",
        "limits.budget_usd",
    )
)
"""The keys of a config that every target writes or names as lost; any other key is named as lost without being looked at."""


def everywhere(config: RouteConfig, models: Iterable[Model]) -> list[Lossy]:
    """Return what no gateway's file can say, whichever it is."""
    lossy = [
        Lossy(
            field="limits.concurrency",
            touches="limits",
            why="it says how many prompts a bench sends at once; a gateway's callers decide that",
            written="nothing",
        )
    ]
    if config.limits.budget_usd is not None:
        lossy.append(
            Lossy(
                field="limits.budget_usd",
                touches="limits",
                why="routelab stops before the call that could pass the budget; gateways count spending per key and afterwards",
                written="nothing: limit the callers' keys",
            )
        )
    lossy += [
        Lossy(field=key, touches="answers", why="exports do not know this part of a config", written="nothing")
        for key in _keys(config.to_mapping())
        if key not in KNOWN
    ]
    simulated = [model.name for model in models if model.simulated]
    if simulated:
        lossy.append(
            Lossy(
                field="fleet",
                touches="answers",
                why=f"{', '.join(simulated)}: simulated; no figure about them says anything about real models",
                written="the real models that lend them name and price",
            )
        )
    return lossy


def _keys(values: Mapping[str, Any]) -> list[str]:
    """Return the keys of a config's mapping, those of its sections dotted."""
    sections = {key.partition(".")[0] for key in KNOWN if "." in key}
    keys: list[str] = []
    for key, value in values.items():
        keys += [f"{key}.{inner}" for inner in value] if key in sections and isinstance(value, Mapping) else [key]
    return keys
