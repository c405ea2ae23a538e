"""What is tried: kinds of chunkers, sizes, overlaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from routelab import strict
from routelab.chunking import ADAPTED, KINDS, Chunker, chunker_of
from routelab.core.errors import ConfigError

CHARACTERS_PER_TOKEN = 4
"""A chunker that measures in characters gets the size in tokens times this."""
DEFAULT = ("tokens", "sentences", "recursive", "markdown", "semantic")
SIZES, OVERLAPS = (200, 400), (0.0, 0.2)
_WHERE = strict.Document(values={}, name="bench chunks")


@dataclass(frozen=True, kw_only=True, eq=False)
class Setting:
    """A chunker under a name; `size` is in its own unit."""

    kind: str
    size: int
    overlap: float
    unit: str
    chunker: Chunker

    @property
    def name(self) -> str:
        """What tables call it."""
        unit = " characters" if self.unit == "characters" else ""
        return f"{self.kind} {self.size}{unit}" + (f" +{self.overlap:.0%}" if self.overlap else "")

    @property
    def embeds(self) -> bool:
        """Whether cutting a text takes vectors of its parts."""
        return hasattr(self.chunker, "embedder")


def settings(
    kinds: Sequence[str] = DEFAULT,
    sizes: Sequence[int] = SIZES,
    overlaps: Sequence[float] = OVERLAPS,
    *,
    embedder: Any = "minilm",
) -> tuple[Setting, ...]:
    """Return every kind with every size (tokens) and overlap (a share), each once; ConfigError for what cannot be used.

    `embedder` is what semantic boundaries are told by.
    """
    made = []
    for kind in dict.fromkeys(kinds):
        unit = "characters" if kind == "characters" else "tokens"
        for size in dict.fromkeys(sizes):
            for overlap in dict.fromkeys(overlaps):
                spec: dict[str, Any] = {"kind": kind, "overlap": float(overlap)}
                spec["size"] = size * (CHARACTERS_PER_TOKEN if unit == "characters" else 1)
                if kind == "semantic":
                    spec["embedder"] = embedder
                chunker = chunker_of(spec, _WHERE)
                made.append(Setting(kind=kind, size=spec["size"], overlap=float(overlap), unit=unit, chunker=chunker))
    if not made:
        raise ConfigError(
            "chunkers: there is nothing to try", hint=f"kinds: {', '.join(k for k in KINDS if k not in ADAPTED)}"
        )
    return tuple(made)
