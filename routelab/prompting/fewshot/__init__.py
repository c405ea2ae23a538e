"""Few-shot examples: which questions, with their answers, a model is shown before it is asked. One file a way of choosing.

A way of choosing is a frozen value that holds its pool; `Selector` gives it vectors and asks it, for one prompt or for many.
Whatever the way, an example with the prompt's id, its text (as `same` reads it) or its group is never shown to it: the test
item is held out before `k` is counted. To add one: a file here (see `ground.FewShot`), its line in `KINDS`, its line in
`tests/prompting/fewshot/test_few_shot_kinds.py`, whose laws it must keep.

A config names the pool by file, relative to itself. `identity_of` is what two configs have in common that show the same:
the pool's digest stands in it, not the path; `spec_of` is what the file holds.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from routelab import strict
from routelab.core.errors import ConfigError, DataError, suggest
from routelab.core.values import Prompt
from routelab.prompting.fewshot.diverse import Diverse
from routelab.prompting.fewshot.example import Example, Pool, same, turns
from routelab.prompting.fewshot.fixed import Fixed
from routelab.prompting.fewshot.ground import FewShot, Ground
from routelab.prompting.fewshot.leaking import Leak, Leaks, leaks
from routelab.prompting.fewshot.nearest import Nearest
from routelab.prompting.fewshot.random import Random
from routelab.prompting.fewshot.reading import KEYS as ROW_KEYS
from routelab.prompting.fewshot.selector import Selector

__all__ = [
    "KINDS",
    "Diverse",
    "Example",
    "FewShot",
    "Fixed",
    "Ground",
    "Leak",
    "Leaks",
    "Nearest",
    "Pool",
    "Random",
    "Selector",
    "few_shot_of",
    "identity_of",
    "leaks",
    "same",
    "spec_of",
    "turns",
]

KINDS: Mapping[str, type] = MappingProxyType(
    {"fixed": Fixed, "random": Random, "nearest": Nearest, "diverse": Diverse},
)
"""What a few-shot mapping may say for `kind`."""

MOST_INLINE = 900_000
"""Characters of examples that a YAML file, which may have a million bytes, can hold."""


def few_shot_of(
    spec: Mapping[str, Any],
    doc: strict.Document | None = None,
    key: tuple[str, ...] = ("prompt", "few_shot"),
    folder: Path | None = None,
) -> FewShot:
    """Return the way of choosing that a mapping such as ``{"kind": "nearest", "k": 4, "examples": "shots.csv"}`` describes.

    `doc` and `key` say where the mapping stands, for the ConfigError that names what cannot be used; a relative file starts at
    `folder`, by default that of `doc`. With `digest`, the file must still be the one that had it.

    >>> few_shot_of({"kind": "nerest", "examples": [{"question": "2 + 2?", "answer": "4"}]})
    Traceback (most recent call last):
    routelab.core.errors.ConfigError: config: prompt.few_shot.kind: unknown 'nerest'; did you mean 'nearest'?
    >>> few_shot_of({"kind": "random", "k": 1, "sed": 1, "examples": [{"question": "2 + 2?", "answer": "4"}]})
    Traceback (most recent call last):
    routelab.core.errors.ConfigError: config: prompt.few_shot.sed: unknown key; did you mean 'seed'?
    """
    where = strict.Document(values={}, name="config") if doc is None else doc
    if not isinstance(spec, Mapping):
        raise ConfigError(
            f"{where.where(*key)}: must be a mapping with `kind` and `examples` (got {spec!r})",
            hint=f"kinds: {', '.join(KINDS)}",
        )
    values = dict(spec)
    wanted = values.pop("digest", None)
    if values.get("kind") in KINDS and "examples" in values:
        pool = values["examples"] = _pool(
            values["examples"], where, key, Path(where.name).parent if folder is None else folder
        )
        if wanted is not None and wanted != pool.digest:
            raise ConfigError(
                f"{where.where(*key, 'digest')}: the examples are not those that this was written with ({pool.digest})",
                hint="take out `digest` to use them as they are now",
            )
    made: FewShot = strict.build_kind(KINDS, values, key, doc)
    return made


def _pool(given: Any, where: strict.Document, key: tuple[str, ...], folder: Path) -> Pool:
    place = where.where(*key, "examples")
    try:
        if isinstance(given, (str, Path)):
            return Pool.read(folder / given, written=str(given))
        _strictly(given, where, (*key, "examples"))
        return Pool.of(given)
    except DataError as trouble:
        if trouble.message.startswith("examples"):
            # "examples[3]: …" is a place in the config.
            raise ConfigError(place + trouble.message.removeprefix("examples"), hint=trouble.hint) from None
        raise ConfigError(f"{place}: {trouble.message}", hint=trouble.hint) from None


def _strictly(given: Any, where: strict.Document, key: tuple[str, ...]) -> None:
    """Raise ConfigError for a key of a config's own rows that none may have: it would be lost."""
    for i, row in enumerate(given if isinstance(given, (list, tuple)) else ()):
        for name in row if isinstance(row, Mapping) else ():
            if name not in ROW_KEYS:
                near = suggest(name, ROW_KEYS)
                raise ConfigError(
                    f"{where.where(*key, i, name)}: unknown key{'' if near is None else '; ' + near}",
                    hint=None if near else "keys here: question, answer, id, group",
                )


def spec_of(few_shot: FewShot, folder: Path | None = None) -> dict[str, Any]:
    """Return the mapping that `few_shot_of` turns back into an equal value; fields at their default are left out.

    A pool from a file is named by it, with its digest: by the path that was given, or by one that starts at `folder`. Any
    other pool is written out; ConfigError when it is too long for that.

    >>> spec_of(Random(examples=[{"question": "2 + 2?", "answer": "4"}], k=1, seed=3))
    {'kind': 'random', 'examples': [{'question': '2 + 2?', 'answer': '4'}], 'k': 1, 'seed': 3}
    """
    spec, pool = _told(few_shot), few_shot.examples
    if not isinstance(few_shot.embedder, (str, Mapping)):
        raise ConfigError(
            f"few-shot: an embedder of type {type(few_shot.embedder).__name__} cannot be written to YAML",
            hint="name it: minilm, lexical, or a mapping with `kind`",
        )
    if not pool.source:
        spec["examples"] = _inline(pool)
        return spec
    path = pool.written if folder is None else os.path.relpath(pool.source, folder)
    spec["examples"] = path
    spec["digest"] = pool.digest
    return spec


def identity_of(few_shot: FewShot) -> dict[str, Any]:
    """Return plain values that are equal for two ways of choosing exactly if they show the same: the pool by its digest."""
    return {**_told(few_shot), "examples": few_shot.examples.digest}


def _told(few_shot: FewShot) -> dict[str, Any]:
    spec = strict.spec_kind(KINDS, few_shot, "few-shot examples", without=("examples",))
    if not isinstance(spec.get("embedder", ""), (str, Mapping)):
        spec["embedder"] = few_shot.embedder.id
    return {"kind": spec.pop("kind"), "examples": None, **spec}


def _inline(pool: Pool) -> list[dict[str, str]]:
    long = sum(len(e.question) + len(e.answer) + 40 for e in pool)
    if long > MOST_INLINE:
        raise ConfigError(
            f"few-shot: {len(pool):,} examples are too many to write into a YAML file",
            hint="examples = pool.write('shots.csv') puts them into a file, which the config then names",
        )
    rows = []
    for example in pool:
        row = {"question": example.question, "answer": example.answer}
        # An id that the question gives by itself need not be written.
        if example.id != Prompt.of(example.question).id:
            row = {"id": example.id, **row}
        rows.append(row if example.group is None else {**row, "group": example.group})
    return rows
