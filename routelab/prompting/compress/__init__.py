"""Compressors take out of a prompt's texts what says little: one file each, one line each in `KINDS`.

A compressor is a frozen value: ``compressor(text, asked)`` gives a `Cut`; `compressed` does a conversation. To add one: a file here
(see `cut.Compressor`), its line in `KINDS`, its line in `tests/prompting/compress/test_compressors.py`, whose laws it must keep.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from routelab import strict
from routelab.prompting.compress.boilerplate import RULES, Boilerplate
from routelab.prompting.compress.conversation import Compressed, compressed
from routelab.prompting.compress.cut import Asked, Compressor, Cut, Keep, Removal
from routelab.prompting.compress.extractive import Extractive
from routelab.prompting.compress.question import begins, stays
from routelab.prompting.compress.whitespace import Whitespace

__all__ = [
    "KINDS",
    "RULES",
    "Asked",
    "Boilerplate",
    "Compressed",
    "Compressor",
    "Cut",
    "Extractive",
    "Keep",
    "Removal",
    "Whitespace",
    "begins",
    "compress_of",
    "compressed",
    "spec_of",
    "stays",
]

KINDS: Mapping[str, type] = MappingProxyType(
    {"whitespace": Whitespace, "boilerplate": Boilerplate, "extractive": Extractive}
)
"""What a compressor's mapping may say for `kind`."""


def compress_of(
    spec: Mapping[str, Any] | str, doc: strict.Document | None = None, key: tuple[str, ...] = ("prompt", "compress")
) -> Compressor:
    """Return the compressor that a name or a mapping such as ``{"kind": "extractive", "ratio": 0.5}`` describes.

    `doc` and `key` say where the mapping stands, for the ConfigError that names what cannot be used.

    >>> compress_of("whitspace")
    Traceback (most recent call last):
    routelab.core.errors.ConfigError: config: prompt.compress.kind: unknown 'whitspace'; did you mean 'whitespace'?
    >>> compress_of({"kind": "extractive", "ratio": 2.0})
    Traceback (most recent call last):
    routelab.core.errors.ConfigError: config: prompt.compress.ratio: must lie between 0 and 1, not 2.0
    """
    made: Compressor = strict.build_kind(KINDS, spec, key, doc)
    return made


def spec_of(compressor: Compressor) -> dict[str, Any]:
    """Return the mapping that `compress_of` turns back into an equal compressor; fields at their default are left out.

    >>> spec_of(Extractive(budget_tokens=800, keep=("last",)))
    {'kind': 'extractive', 'budget_tokens': 800, 'keep': ['last']}
    """
    return strict.spec_kind(KINDS, compressor, "a compressor")
