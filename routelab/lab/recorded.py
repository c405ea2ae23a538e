"""Outcomes out of files: rows are checked, joined with their prompts, priced where asked, and laid into the cube."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routelab.core.errors import DataError
from routelab.core.ports import TokenCounter
from routelab.core.values import Message, Prompt
from routelab.lab.outcomes import COST_KINDS, MEASURES, Cells, Outcomes, Texts, cube
from routelab.lab.prices import priced, read_prices
from routelab.lab.readers import Rejected, Table, numbers, read_table, refuse, texts

LOG_SUFFIXES = (".duckdb", ".db", ".ddb")
_COLUMNS = ("prompt_id", "dataset", "model", *MEASURES, "cost_kind", "error", "simulated")
_PROMPT_COLUMNS = (
    "prompt_id",
    "id",
    "dataset",
    "task",
    "prompt",
    "messages",
    "context",
    "reference",
    "group",
    "difficulty",
    "scorer",
    "wrong",
)


def read_outcomes(
    *,
    outcomes: Path,
    prompts: Path | None,
    dataset: str | None,
    prices: Path | None,
    counter: TokenCounter | None,
    format: str | None = None,
) -> Outcomes:
    """Return the outcomes in a file, a DuckDB log or another program's results; see `Outcomes.read`."""
    from routelab.lab import formats

    own = format in (None, formats.OWN)
    if own and outcomes.suffix.lower() in LOG_SUFFIXES:
        from routelab.lab.logged import outcomes_of_log

        read = outcomes_of_log(outcomes, dataset=dataset, prompts=_given(prompts))
    elif (kind := formats.detect(outcomes) if format is None else format) != formats.OWN:
        read = formats.read(outcomes, kind=kind, dataset=dataset, prompts=_given(prompts))
    else:
        if prompts is None and not outcomes.exists():
            raise DataError(f"{outcomes}: no such file", hint="check the path")
        if prompts is None:
            raise DataError(
                f"{outcomes.name}: needs its prompts", hint="pass prompts=, a file with prompt_id and prompt"
            )
        read = _of_files(outcomes, prompts, dataset)
    if prices is None:
        return read
    if counter is None:
        from routelab.providers.tokens import Counter

        counter = Counter()
    return priced(read, read_prices(prices, dataset=read.dataset), counter)


def _given(prompts: Path | None) -> tuple[Prompt, ...]:
    return () if prompts is None else prompts_of(read_table(prompts, _PROMPT_COLUMNS))[0]


def read_prompts(path: str | Path, dataset: str | None = None) -> tuple[tuple[Prompt, ...], tuple[Rejected, ...]]:
    """Return the prompts of a file (one dataset of it) and the rows that were rejected."""
    table, _ = read_table(path, _PROMPT_COLUMNS).of(dataset)
    return prompts_of(table)


def prompts_of(table: Table) -> tuple[tuple[Prompt, ...], tuple[Rejected, ...]]:
    """Return the prompts in a table and the rows that were rejected."""
    key = "id" if "prompt_id" not in table.frame.columns and "id" in table.frame.columns else "prompt_id"
    asked_in = "messages" if "messages" in table.frame.columns and "prompt" not in table.frame.columns else "prompt"
    table.require((key, asked_in))
    columns = {name: texts(table, name) for name in ("task", "context", "reference", "group")}
    ids = texts(table, key)
    asked, bad_asked = _mappings(table, "messages") if asked_in == "messages" else (list(texts(table, "prompt")), [])
    difficulty, bad_numbers = numbers(table, "difficulty")
    bad = [(row, "difficulty", reason) for row, reason in bad_numbers]
    labels = table.frame.index.to_numpy()
    scorers, bad_scorers = _mappings(table, "scorer")
    wrongs, bad_wrongs = _mappings(table, "wrong")
    bad += [*bad_asked, *bad_scorers, *bad_wrongs]
    bad += [(int(labels[i]), key, "is blank") for i in range(len(table)) if ids[i] is None]
    unsaid = {row for row, _, _ in bad_asked}
    bad += [
        (int(label), asked_in, "is blank" if value is None else "must be a list of {role, content}")
        for label, value in zip(labels, asked, strict=True)
        if not (isinstance(value, str) and asked_in == "prompt") and not _turns(value) and int(label) not in unsaid
    ]
    _unique(table, [(i,) for i in ids], key)
    rejected = refuse(table, bad)
    out = {row for row, _, _ in bad}
    kept = [i for i in range(len(table)) if int(labels[i]) not in out]
    return tuple(
        Prompt(
            id=ids[i],
            messages=_messages(asked[i], columns["context"][i]),
            task=columns["task"][i],
            reference=columns["reference"][i],
            scorer=scorers[i],
            difficulty=None if np.isnan(difficulty[i]) else float(difficulty[i]),
            wrong=tuple(str(w) for w in wrongs[i] or ()),
            group=columns["group"][i],
        )
        for i in kept
    ), rejected


def _messages(asked: str | list[Mapping[str, Any]], context: str | None) -> tuple[Message, ...]:
    turns = (
        (Message(role="user", content=asked),)
        if isinstance(asked, str)
        else tuple(Message(role=turn["role"], content=turn["content"]) for turn in asked)
    )
    return turns if context is None else (Message(role="system", content=context), *turns)


def _turns(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) > 0
        and all(
            isinstance(turn, Mapping)
            and turn.get("role") in ("system", "user", "assistant", "tool")
            and isinstance(turn.get("content"), str)
            for turn in value
        )
    )


def _mappings(table: Table, column: str) -> tuple[list[Any], list[tuple[int, str, str]]]:
    """Return a column of JSON values (already parsed in a JSONL file) and the cells that are not JSON."""
    if column not in table.frame.columns:
        return [None] * len(table), []
    values: list[Any] = []
    bad: list[tuple[int, str, str]] = []
    for label, value in zip(table.frame.index, table.frame[column].astype(object), strict=True):
        if isinstance(value, (dict, list)):
            values.append(value)
            continue
        try:
            values.append(json.loads(value) if isinstance(value, str) else None)
        except json.JSONDecodeError as trouble:
            values.append(None)
            bad.append((int(label), column, f"is not JSON ({trouble})"))
    return values, bad


def _of_files(outcomes: Path, prompts: Path, dataset: str | None) -> Outcomes:
    table, known = read_table(outcomes, _COLUMNS), read_table(prompts, _PROMPT_COLUMNS)
    # One of the two files may hold one dataset only and not name it; the other one's column decides then.
    alone = "dataset" not in table.frame.columns and "dataset" in known.frame.columns
    table, name = (table, known.of(dataset)[1]) if alone else table.of(dataset)
    table.require(("prompt_id", "model", "quality"))
    asked, refused = prompts_of(known.of(name)[0] if "dataset" in known.frame.columns else known)
    ids, models, kinds, errors = (texts(table, c) for c in ("prompt_id", "model", "cost_kind", "error"))
    rows = {p.id: i for i, p in enumerate(asked)}
    bad = _bad_names(table, ids, models, rows, prompts.name)
    measures = {}
    for column in MEASURES:
        measures[column], wrong = numbers(table, column, high=1.0 if column == "quality" else np.inf)
        bad += [(row, column, reason) for row, reason in wrong]
    labels = table.frame.index.to_numpy()
    bad += [
        (int(labels[i]), "cost_kind", f"'{kinds[i]}' is not one of {', '.join(COST_KINDS)}")
        for i in np.flatnonzero([k is not None and k not in COST_KINDS for k in kinds])
    ]
    _unique(table, list(zip(ids, models, strict=True)), "prompt_id, model")
    rejected = refuse(table, bad)
    keep = ~np.isin(labels, [row for row, _, _ in bad])
    names = tuple(dict.fromkeys(models[keep]))
    if not names:
        raise DataError(
            f"{table.name}: holds no outcomes", hint="at least one row with prompt_id, model and quality is needed"
        )
    columns = {m: k for k, m in enumerate(names)}
    # Prompts that nobody was asked are not outcomes; they stay out of every count.
    met = dict.fromkeys(sorted({rows[i] for i in ids[keep]}))
    place = {row: k for k, row in enumerate(met)}
    kept = tuple(asked[row] for row in met)
    cells = Cells(
        prompt=np.array([place[rows[i]] for i in ids[keep]], dtype=np.intp),
        model=np.array([columns[m] for m in models[keep]], dtype=np.intp),
        measures={c: v[keep] for c, v in measures.items()},
        failed=np.array([e is not None for e in errors[keep]], dtype=np.bool_),
        kinds=kinds[keep],
    )
    arrays, failed, kind = cube(kept, names, cells)
    return Outcomes(
        prompts=kept,
        models=names,
        failed=failed,
        cost_kind=kind,
        simulated=_said(texts(table, "simulated")[keep]),
        dataset=name,
        rejected=(*rejected, *refused),
        texts=_responses(outcomes, None if alone else name),
        **arrays,  # type: ignore[arg-type]  # the five measures by name
    )


def _said(marks: NDArray[np.object_]) -> bool:
    return any(m is not None and m.strip().lower() not in ("", "0", "false", "no") for m in marks)


def _bad_names(
    table: Table, ids: NDArray[np.object_], models: NDArray[np.object_], rows: Mapping[str, int], prompts: str
) -> list[tuple[int, str, str]]:
    labels = table.frame.index.to_numpy()
    bad: list[tuple[int, str, str]] = []
    for label, prompt_id, model in zip(labels, ids, models, strict=True):
        if prompt_id is None:
            bad.append((int(label), "prompt_id", "is blank"))
        elif prompt_id not in rows:
            bad.append((int(label), "prompt_id", f"'{prompt_id}' is not in {prompts}"))
        elif model is None:
            bad.append((int(label), "model", "is blank"))
    return bad


def _unique(table: Table, keys: Sequence[tuple[Any, ...]], column: str) -> None:
    first: dict[tuple[Any, ...], int] = {}
    for label, key in zip(table.frame.index, keys, strict=True):
        if None in key:
            continue
        if key in first:
            shown = " × ".join(map(str, key))
            raise DataError(
                f"{table.name}, line {table.line(int(label))}, {column}: {shown} is there twice (first in line "
                f"{table.line(first[key])})",
                hint="keep one row for each; repeated answers of one model need their own prompt_id and a shared group",
            )
        first[key] = int(label)


def _responses(path: Path, dataset: str | None) -> Texts:
    """Return a function that finds the recorded text; the file is read for it once, when the first text is wanted."""

    @lru_cache(maxsize=1)
    def loaded() -> Mapping[tuple[str, str], str]:
        table, _ = read_table(path, ("prompt_id", "dataset", "model", "response")).of(dataset)
        rows = zip(*(texts(table, c) for c in ("prompt_id", "model", "response")), strict=True)
        return {(prompt_id, model): text for prompt_id, model, text in rows if text is not None}

    return lambda prompt_id, model: loaded().get((prompt_id, model))
