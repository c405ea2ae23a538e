"""Any chunker of chonkie as one of ours, with offsets that are checked."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from routelab.chunking.chunk import Chunk
from routelab.chunking.langchain import class_of, missing_package
from routelab.chunking.limits import Limits, Unit
from routelab.chunking.placed import placed
from routelab.core.errors import ConfigError, DataError
from routelab.providers.tokens import bundled


@dataclass(frozen=True, kw_only=True)
class Chonkie:
    """Cuts with a class of chonkie, named as there, measured in our units where the class lets the caller choose.

    `options` are more keywords of that class. An overlap for a class that has none is refused. Some classes need more
    than chonkie alone (models, grammars) and may download it: what they say is passed on. Loaded at the first chunk;
    ConfigError says how to install what is missing.
    """

    chunker: str = "RecursiveChunker"
    size: int = 400
    overlap: int | float = 0
    unit: Unit = "tokens"
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        self.limits()

    def limits(self) -> Limits:
        """Return what the fields say as limits."""
        return Limits(size=self.size, overlap=self.overlap, unit=self.unit)

    def stream(self, text: str, source: str = "") -> Iterator[Chunk]:
        """Yield the chunks one by one, after chonkie has made them all."""
        limits = self.limits()
        cut = self._made(limits)
        try:
            made = cut.chunk(text)
        except (ValueError, RuntimeError) as trouble:
            raise DataError(f"{source or 'text'}: chonkie's {self.chunker} cannot cut it: {trouble}") from None
        pieces = ((chunk.text, chunk.start_index) for chunk in made)
        yield from placed(pieces, text, source, limits.ruler(text), limits.repeat, f"chonkie's {self.chunker}")

    def __call__(self, text: str, source: str = "") -> tuple[Chunk, ...]:
        """Return all chunks."""
        return tuple(self.stream(text, source))

    def _made(self, limits: Limits) -> Any:
        try:
            library = importlib.import_module("chonkie")
            kind = importlib.import_module("chonkie.chunker.base").BaseChunker
        except ImportError:
            raise missing_package("chonkie", "chonkie") from None
        made = class_of(library, self.chunker, kind, "chunker.chunker")
        taken = inspect.signature(made).parameters
        keywords: dict[str, Any] = {"chunk_size": limits.size}
        if "chunk_overlap" in taken:
            keywords["chunk_overlap"] = limits.repeat
        elif limits.repeat:
            raise ConfigError(f"chunker.overlap: chonkie's {self.chunker} has none", hint="leave it out, or 0")
        if "tokenizer" in taken:
            keywords["tokenizer"] = "character" if limits.unit == "characters" else bundled()
        elif limits.unit == "tokens":
            raise ConfigError(f"chunker.unit: chonkie's {self.chunker} does not count tokens", hint="unit: characters")
        try:
            return made(**{**keywords, **self.options})
        except (TypeError, ValueError, ImportError) as trouble:
            raise ConfigError(f"chunker (chonkie's {self.chunker}): {trouble}") from None
