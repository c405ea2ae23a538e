"""Chunkers cut a text into parts that are retrieved one by one: one file each, one line each in `KINDS`.

To add one: write the file (a frozen value with `stream` and `__call__`, see `chunk.Chunker`), add its line to `KINDS`,
subclass the contract in `tests/chunking/contract.py`. Chunkers that differ in where they cut need only a guide
(`packing.Guide`): sizes, overlap and exact offsets are the packing's.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from routelab import strict
from routelab.chunking.characters import Characters
from routelab.chunking.chonkie import Chonkie
from routelab.chunking.chunk import Chunk, Chunker, identity, missing, restored
from routelab.chunking.code import Code
from routelab.chunking.corpus import document
from routelab.chunking.langchain import LangChain
from routelab.chunking.markdown import Markdown
from routelab.chunking.recursive import Recursive
from routelab.chunking.semantic import Semantic
from routelab.chunking.sentences import Sentences
from routelab.chunking.tokens import Tokens

__all__ = [
    "ADAPTED",
    "KINDS",
    "Characters",
    "Chonkie",
    "Chunk",
    "Chunker",
    "Code",
    "LangChain",
    "Markdown",
    "Recursive",
    "Semantic",
    "Sentences",
    "Tokens",
    "chunker_of",
    "document",
    "identity",
    "missing",
    "restored",
    "spec_of",
]

KINDS: Mapping[str, type] = MappingProxyType(
    {
        "tokens": Tokens,
        "characters": Characters,
        "sentences": Sentences,
        "recursive": Recursive,
        "markdown": Markdown,
        "code": Code,
        "semantic": Semantic,
        "langchain": LangChain,
        "chonkie": Chonkie,
    }
)
"""What a chunker's mapping may say for `kind`."""
ADAPTED = frozenset({"langchain", "chonkie"})
"""Kinds that need a package which routelab does not bring."""


def chunker_of(
    spec: Mapping[str, Any] | str, doc: strict.Document | None = None, key: tuple[str, ...] = ("chunker",)
) -> Chunker:
    """Return the chunker that a name or a mapping such as ``{"kind": "semantic", "size": 400, "overlap": 0.2}`` describes.

    `doc` and `key` say where the mapping stands, for the ConfigError that names what cannot be used.

    >>> chunker_of({"kind": "semantc", "size": 400})
    Traceback (most recent call last):
    routelab.core.errors.ConfigError: config: chunker.kind: unknown 'semantc'; did you mean 'semantic'?
    >>> chunker_of({"kind": "tokens", "size": 100, "overlap": 100})
    Traceback (most recent call last):
    routelab.core.errors.ConfigError: config: chunker.overlap: must be from 0 and below the size (100), not 100
    """
    made: Chunker = strict.build_kind(KINDS, spec, key, doc)
    return made


def spec_of(chunker: Chunker) -> dict[str, Any]:
    """Return the mapping that `chunker_of` turns back into an equal chunker; fields at their default are left out.

    >>> spec_of(Recursive(size=200, overlap=0.2))
    {'kind': 'recursive', 'size': 200, 'overlap': 0.2}
    """
    return strict.spec_kind(KINDS, chunker, "a chunker")
