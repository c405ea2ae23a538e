"""Calls become outcomes: one cell a prompt and model, nothing dropped without a reason, and what is missing is said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from routelab.core.errors import DataError, suggest
from routelab.core.ports import Floats
from routelab.core.values import Prompt
from routelab.lab.formats.calls import Call, Reader
from routelab.lab.outcomes import MEASURES, Cells, Outcomes, Texts, cube
from routelab.lab.readers import Rejected

KIND = "tokens_x_listprice"
"""How costs are known in every format read here: its program multiplied tokens by prices; nobody read a bill."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Cell:
    """What is kept of a call: everything but the texts."""

    file: str
    line: int
    at: float
    failed: bool
    values: tuple[float, ...]


@dataclass(kw_only=True)
class _Pile:
    """What has been read so far."""

    dataset: str | None
    prompts: dict[str, tuple[Prompt, object, str]] = field(default_factory=dict)
    cells: dict[tuple[str, str], _Cell] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)
    notes: dict[str, None] = field(default_factory=dict)
    datasets: dict[str, None] = field(default_factory=dict)
    superseded: int = 0

    def add(self, call: Call) -> None:
        """Put a call into its cell; of two calls in one cell the later one stays."""
        if call.dataset is not None:
            self.datasets[call.dataset] = None
        if self.dataset is not None and call.dataset != self.dataset:
            return
        same: object = call.prompt.messages if call.same is None else call.same
        _, first, where = self.prompts.setdefault(call.prompt.id, (call.prompt, same, f"{call.file}, line {call.line}"))
        if first != same:
            self._reject(call, "prompt", f"differs from the one with the same id in {where}")
            return
        key = (call.prompt.id, call.model)
        old = self.cells.get(key)
        cell = _Cell(
            file=call.file,
            line=call.line,
            at=call.at,
            failed=call.failed,
            values=tuple(float(getattr(call, name)) for name in MEASURES),
        )
        if old is None or cell.at >= old.at:
            self.cells[key] = cell
        if old is not None:
            lost, stays = (old, cell) if cell.at >= old.at else (cell, old)
            self.superseded += 1
            reason = f"a later answer of {call.model} to this prompt is in {stays.file}, line {stays.line}"
            self._reject(lost, "model", reason)

    def _reject(self, row: Call | _Cell, column: str, reason: str) -> None:
        self.rejected.append(Rejected(file=row.file, line=row.line, column=column, reason=reason))


def gather(
    path: Path, reader: Reader, *, kind: str, dataset: str | None = None, prompts: Sequence[Prompt] = ()
) -> Outcomes:
    """Return the outcomes behind a reader; rows in = cells kept + rows rejected, each with its reason.

    `dataset` keeps the calls of one data set; without it all are kept and the prompts' tasks tell them apart.
    `prompts` replace those of the file that have the same id. Raises DataError when no call is left.
    """
    pile = _Pile(dataset=dataset)
    for row in reader(path):
        if isinstance(row, str):
            pile.notes[row] = None
        elif isinstance(row, Rejected):
            pile.rejected.append(row)
        else:
            pile.add(row)
    if dataset is not None and dataset not in pile.datasets:
        near = suggest(dataset, pile.datasets)
        raise DataError(
            f"{path.name}: unknown dataset '{dataset}'" + ("" if near is None else f"; {near}"),
            hint=f"datasets: {', '.join(pile.datasets) or 'none is named'}",
        )
    if not pile.cells:
        why = f" (first: {pile.rejected[0]})" if pile.rejected else ""
        raise DataError(
            f"{path.name}: holds no call that can be read as {kind}{why}", hint="is it another format? pass format="
        )
    return _outcomes(path, reader, kind, pile, {p.id: p for p in prompts})


def _outcomes(path: Path, reader: Reader, kind: str, pile: _Pile, given: Mapping[str, Prompt]) -> Outcomes:
    ids = dict.fromkeys(prompt_id for prompt_id, _ in pile.cells)
    names = tuple(dict.fromkeys(model for _, model in pile.cells))
    at, column = {i: k for k, i in enumerate(ids)}, {m: k for k, m in enumerate(names)}
    cells = list(pile.cells.values())
    values = np.array([cell.values for cell in cells], dtype=float)
    measures = {name: values[:, k].copy() for k, name in enumerate(MEASURES)}
    failed = np.array([cell.failed for cell in cells], dtype=np.bool_)
    # Every one of these programs writes 0 where it knows no price, and no call has an empty prompt.
    free = (measures["cost_usd"] == 0) & ~failed
    measures["cost_usd"][free] = np.nan
    uncounted = measures["input_tokens"] == 0
    measures["output_tokens"][uncounted & (measures["output_tokens"] == 0)] = np.nan
    measures["input_tokens"][uncounted] = np.nan
    arrays, failures, kinds = cube(
        [pile.prompts[i][0] for i in ids],
        names,
        Cells(
            prompt=np.array([at[prompt_id] for prompt_id, _ in pile.cells], dtype=np.intp),
            model=np.array([column[model] for _, model in pile.cells], dtype=np.intp),
            measures=measures,
            failed=failed,
            kinds=np.array([KIND] * len(cells), dtype=object),
        ),
    )
    read = f"read as {kind}: {len(cells) + len(pile.rejected):,} records, {len(cells):,} kept, {len(pile.rejected):,} rejected"
    known = pile.dataset or (next(iter(pile.datasets)) if len(pile.datasets) == 1 else None)
    return Outcomes(
        prompts=tuple(given.get(i, pile.prompts[i][0]) for i in ids),
        models=names,
        failed=failures,
        cost_kind=kinds,
        dataset=known,
        rejected=tuple(pile.rejected),
        notes=(read, *pile.notes, *_said(pile, int(free.sum()), measures), *_sparse(pile, len(ids), len(names))),
        texts=_texts(path, reader, pile),
        **arrays,  # type: ignore[arg-type]  # the five measures by name
    )


def _said(pile: _Pile, free: int, measures: Mapping[str, Floats]) -> list[str]:
    said = []
    if pile.superseded:
        said.append(
            f"of several answers of one model to one prompt the latest counts; {pile.superseded:,} were set aside"
        )
    if free:
        said.append(f"a recorded cost of 0 is taken as unknown ({free:,} answers); pass prices= to price them")
    if np.isnan(measures["quality"]).all() and not any(cell.failed for cell in pile.cells.values()):
        said.append("no quality was recorded: score the answers before comparing")
    return said


def _sparse(pile: _Pile, prompts: int, models: int) -> list[str]:
    if len(pile.cells) == prompts * models:
        return []
    asked: dict[str, int] = {}
    for prompt_id, _ in pile.cells:
        asked[prompt_id] = asked.get(prompt_id, 0) + 1
    if max(asked.values()) == 1:
        return [
            "each prompt was asked of one model only: exact replay is not possible; estimate off-policy, from choices "
            "whose chance is known"
        ]
    whole = sum(count == models for count in asked.values())
    return [
        f"{whole:,} of {prompts:,} prompts were asked of all {models} models; exact replay holds on those "
        "only, elsewhere estimate off-policy"
    ]


def _texts(path: Path, reader: Reader, pile: _Pile) -> Texts:
    """Return a function that finds what was answered; the files are read again, once, when the first text is wanted."""
    kept = {key: (cell.file, cell.line) for key, cell in pile.cells.items()}

    @lru_cache(maxsize=1)
    def loaded() -> Mapping[tuple[str, str], str]:
        return {
            (row.prompt.id, row.model): row.response
            for row in reader(path)
            if isinstance(row, Call)
            and row.response is not None
            and kept.get((row.prompt.id, row.model)) == (row.file, row.line)
        }

    return lambda prompt_id, model: loaded().get((prompt_id, model))
