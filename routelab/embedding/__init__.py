"""Embedders turn texts into unit vectors: one file each, one line each in `EMBEDDERS`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from types import MappingProxyType
from typing import Any

from routelab.core.errors import ConfigError, suggest
from routelab.core.ports import Embedder
from routelab.embedding.cached import Cached, VectorStore, content_hash
from routelab.embedding.endpoint import Endpoint
from routelab.embedding.lexical import Lexical
from routelab.embedding.minilm import MiniLM
from routelab.embedding.vectors import remember, vectors

__all__ = [
    "EMBEDDERS",
    "Cached",
    "Endpoint",
    "Lexical",
    "MiniLM",
    "VectorStore",
    "content_hash",
    "embedder_of",
    "remember",
    "vectors",
]

EMBEDDERS: Mapping[str, type] = MappingProxyType({"minilm": MiniLM, "lexical": Lexical, "endpoint": Endpoint})
"""What an embedder's mapping may say for `kind`."""


def embedder_of(spec: Mapping[str, Any] | str = "minilm") -> Embedder:
    """Return the embedder that a name or a mapping such as ``{"kind": "lexical", "dimensions": 1024}`` describes.

    Raises ConfigError for anything else.

    >>> embedder_of("lexicl")
    Traceback (most recent call last):
    routelab.core.errors.ConfigError: embedder.kind: unknown 'lexicl'; did you mean 'lexical'?
      hint: one of minilm, lexical, endpoint
    """
    if isinstance(spec, str):
        spec = {"kind": spec}
    if not isinstance(spec, Mapping):
        raise ConfigError(f"embedder: a name or a mapping with a kind is wanted, not {type(spec).__name__}")
    if "kind" not in spec:
        raise ConfigError("embedder.kind: missing", hint="one of " + ", ".join(EMBEDDERS))
    kind = spec["kind"]
    made = EMBEDDERS.get(kind) if isinstance(kind, str) else None
    if made is None:
        raise ConfigError(_unknown("embedder.kind", kind, EMBEDDERS), hint="one of " + ", ".join(EMBEDDERS))
    # What repr leaves out is for tests, not for configuration.
    known = {f.name: f.default is MISSING and f.default_factory is MISSING for f in fields(made) if f.repr}
    given = {key: value for key, value in spec.items() if key != "kind"}
    for key in given:
        if key not in known:
            raise ConfigError(_unknown(f"embedder ({kind})", key, known), hint="keys: " + ", ".join(["kind", *known]))
    for key, needed in known.items():
        if needed and key not in given:
            raise ConfigError(f"embedder.{key}: missing, an embedder of kind {kind!r} needs it")
    embedder: Embedder = made(**given)
    return embedder


def _unknown(where: str, name: object, known: Mapping[str, Any]) -> str:
    near = suggest(name, known) if isinstance(name, str) else None
    return f"{where}: unknown {name!r}" + (f"; {near}" if near else "")
