"""From a cell's body and its data to prompts: every template is filled before anybody is asked, so a typo costs nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from routelab.core.errors import ConfigError, DataError, suggest
from routelab.core.values import Message, Prompt, draw
from routelab.lab.datasets import Dataset, rows, shipped
from routelab.notebook.bench import Bench
from routelab.notebook.template import Scope, Template

REFERENCES = ("reference", "answer", "gold", "expected", "target", "label")
"""Columns in which `--score KIND` looks for the right answer, in this order."""
FILES = (".jsonl", ".csv", ".jsonl.gz", ".csv.gz")

Source = Dataset | Sequence[Mapping[str, Any]]


def one(text: str, bench: Bench, *, template: bool) -> Prompt:
    """Return the prompt in a cell's body, its placeholders filled from the notebook's variables."""
    if not text.strip():
        raise ConfigError("there is nothing to ask", hint="write the prompt below the %%route line, or after %route")
    return Prompt.of(Template(text)(Scope(names=bench.names)) if template else text)


def many(text: str, source: Source, name: str, bench: Bench, *, template: bool) -> Dataset:
    """Return a prompt for each row; the text is its template, and without a text the rows' own prompts are asked."""
    if not text.strip():
        return source if isinstance(source, Dataset) else Dataset.of(list(source), name=name)
    form = Template(text) if template else None
    columns = [_columns(p) for p in source] if isinstance(source, Dataset) else list(source)
    filled = [
        text if form is None else form(Scope(names=bench.names, row=row, place=f"{name}[{i}]"))
        for i, row in enumerate(columns)
    ]
    if isinstance(source, Dataset):
        asked = [
            dataclasses.replace(p, messages=_asked(p, said)) for p, said in zip(source.prompts, filled, strict=True)
        ]
        return dataclasses.replace(source, prompts=tuple(asked))
    return Dataset.of([{**_plain(row), "prompt": said} for row, said in zip(columns, filled, strict=True)], name=name)


def source_of(given: Any, bench: Bench) -> tuple[Source, str]:
    """Return the rows behind `--over DATA` and their name: a variable, a file, a shipped data set, or `$value` itself."""
    if isinstance(given, str):
        if given in bench.names and not isinstance(bench.names[given], str):
            return _rows(bench.names[given], given), given
        if given.endswith(FILES):
            path = Path(given)
            return [row for _, row in rows(path)], path.name.split(".")[0]
        known = sorted(p.name for p in shipped("datasets").iterdir() if p.is_dir())
        if given in known:
            return Dataset.load(given), given
        near = suggest(given, [*_tables(bench), *known])
        raise ConfigError(
            f"--over: there is no variable or data set '{given}'{'' if near is None else '; ' + near}",
            hint=f"a frame, a list, a .jsonl or .csv file, or a shipped set: {', '.join(known)}",
        )
    return _rows(given, "data"), "data"


def some(source: Source, *, limit: int | None, sample: int | None) -> Source:
    """Return the first `limit` rows, or `sample` of them (see `Dataset.sample`), or all."""
    if isinstance(source, Dataset):
        return source.take(limit) if limit is not None else source if sample is None else source.sample(sample)
    if sample is None:
        return source[:limit]
    # Rows without ids of their own are drawn by their place, so that a row added at the end moves few others.
    chosen = sorted(sorted(range(len(source)), key=lambda i: draw(0, "sample", str(i)))[:sample])
    return [source[i] for i in chosen]


def scored(dataset: Dataset, kind: str) -> Dataset:
    """Return the prompts with a scorer of the kind, made from their reference where they bring none of that kind."""
    return dataclasses.replace(
        dataset, prompts=tuple(_scored(p, kind, f"{dataset.name}[{i}]") for i, p in enumerate(dataset))
    )


def _scored(prompt: Prompt, kind: str, place: str) -> Prompt:
    if prompt.scorer is not None and prompt.scorer["kind"] == kind:
        return prompt
    found = (
        prompt.reference
        if prompt.reference is not None
        else next((prompt.tags[c] for c in REFERENCES if c in prompt.tags), None)
    )
    if found is None:
        raise DataError(
            f"--score {kind}: {place} has no right answer to compare with",
            hint=f"give the data a column named {' or '.join(REFERENCES)}",
        )
    if kind in ("exact", "f1"):
        spec: dict[str, Any] = {"kind": kind, "answers": [found]}
    elif kind == "contains":
        spec = {"kind": kind, "all": [[found]]}
    elif kind == "number":
        try:
            spec = {"kind": kind, "answer": float(found.replace(",", ""))}
        except ValueError:
            raise DataError(f"--score number: {place}: {found[:40]!r} is not a number") from None
    else:
        raise ConfigError(
            f"--score {kind}: needs more than a right answer",
            hint=f"give the data a column `scorer` with {{'kind': '{kind}', ...}}",
        )
    return dataclasses.replace(prompt, scorer=spec, reference=found)


def _asked(prompt: Prompt, text: str) -> tuple[Message, ...]:
    system = [m for m in prompt.messages if m.role == "system"]
    return (*system, Message(role="user", content=text))


def _columns(prompt: Prompt) -> dict[str, Any]:
    own = {"id": prompt.id, "task": prompt.task, "prompt": prompt.text, "system": prompt.system}
    more = {"reference": prompt.reference, "difficulty": prompt.difficulty, "group": prompt.group}
    return {**prompt.tags, **own, **more}


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    # A row's own messages would go before the prompt that was just filled in.
    return {str(k): v for k, v in row.items() if k != "messages"}


def _rows(data: Any, name: str) -> Source:
    if isinstance(data, Dataset):
        return data
    if hasattr(data, "columns") and hasattr(data, "itertuples"):
        columns = [str(c) for c in data.columns]
        return [dict(zip(columns, row, strict=True)) for row in data.itertuples(index=False, name=None)]
    if hasattr(data, "to_dicts"):  # polars
        return list(data.to_dicts())
    if isinstance(data, (str, bytes, Mapping)) or not isinstance(data, Iterable):
        raise ConfigError(
            f"--over: cannot take rows from '{name}', a {type(data).__name__}",
            hint="a frame, a list of texts or mappings, or a Dataset",
        )
    return _listed(list(data), name)


def _listed(rows: list[Any], name: str) -> Source:
    if not rows:
        raise DataError(f"--over: '{name}' is empty")
    if all(isinstance(row, Prompt) for row in rows):
        return Dataset(name=name, prompts=tuple(rows))
    for i, row in enumerate(rows):
        if not isinstance(row, (str, Mapping)):
            raise DataError(f"{name}[{i}]: a text or a mapping is wanted, not a {type(row).__name__}")
    return [{"prompt": row} if isinstance(row, str) else {str(k): v for k, v in row.items()} for row in rows]


def _tables(bench: Bench) -> list[str]:
    """Return the variables that look like data."""
    return [
        n
        for n, v in bench.names.items()
        if not n.startswith("_") and (hasattr(v, "columns") or isinstance(v, (list, tuple, Dataset)))
    ]
