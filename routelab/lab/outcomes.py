"""The recorded cube: prompts × models, with what each answer was worth, cost and took.

A blank stays NaN, because nothing is imputed. A recorded failure is quality 0 and stays in every mean.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from routelab.core.errors import DataError, suggest
from routelab.core.ports import Floats, TokenCounter
from routelab.core.values import Model, Price, Prompt, Reply, Roster, Tokens
from routelab.lab.choices import Choices
from routelab.lab.readers import Rejected

Bools: TypeAlias = NDArray[np.bool_]
Ints: TypeAlias = NDArray[np.intp]
Texts: TypeAlias = Callable[[str, str], str | None]

MEASURES = ("quality", "cost_usd", "latency_s", "input_tokens", "output_tokens")
COST_KINDS = ("estimated", "tokens_x_listprice", "recorded")
"""How a cost is known, weakest first; a model whose costs are of several kinds goes by the weakest."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Judgements:
    """What a gate's judge gave every recorded answer, prompts × models.

    `score` is NaN where nothing was recorded and -inf where the judge failed; `cost_usd` and `latency_s` are what
    judging cost and took, NaN where that is not known.
    """

    score: Floats
    cost_usd: Floats
    latency_s: Floats

    @staticmethod
    def free(score: Floats) -> Judgements:
        """Return judgements that cost nothing and took no time: those of a rule, or that came with the answer."""
        return Judgements(score=score, cost_usd=np.zeros(score.shape), latency_s=np.zeros(score.shape))

    def at(self, *index: Ints | slice) -> Judgements:
        """Return the judgements at an index of all three arrays."""
        return Judgements(score=self.score[index], cost_usd=self.cost_usd[index], latency_s=self.latency_s[index])


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcomes:
    """What every model did with every prompt.

    `quality`, `cost_usd`, `latency_s`, `input_tokens`, `output_tokens` are float arrays, prompts × models, NaN
    where nothing was recorded; `failed` says where a failure was recorded (quality 0 there). `cost_kind` names per
    model how its costs are known: "recorded", "tokens_x_listprice", "estimated", or None when it has none. `gates`
    holds what gates gave, by their key. `choices` are set where a log is too sparse to be a cube. `rejected` are the
    rows of the files that were not taken: rows in = rows kept + rejected. `runs` (prompts × models) are the ids of the runs in a log
    that gave the answers, None where there is none; None altogether for what no log holds.
    """

    prompts: tuple[Prompt, ...]
    models: tuple[str, ...]
    quality: Floats
    cost_usd: Floats
    latency_s: Floats
    input_tokens: Floats
    output_tokens: Floats
    failed: Bools
    cost_kind: tuple[str | None, ...]
    simulated: bool = False
    dataset: str | None = None
    prices: Mapping[str, Price] = field(default_factory=dict)
    gates: Mapping[str, Judgements] = field(default_factory=dict)
    rejected: tuple[Rejected, ...] = ()
    notes: tuple[str, ...] = ()
    texts: Texts | None = None
    choices: Choices | None = None
    runs: NDArray[np.object_] | None = None

    def __post_init__(self) -> None:
        shape = (len(self.prompts), len(self.models))
        if any(getattr(self, name).shape != shape for name in (*MEASURES, "failed")) or len(self.cost_kind) != shape[1]:
            raise ValueError(f"every array of outcomes must be prompts × models, here {shape[0]} × {shape[1]}")
        if self.runs is not None and self.runs.shape != shape:
            raise ValueError(f"the runs of outcomes must be prompts × models, here {shape[0]} × {shape[1]}")

    @staticmethod
    def read(
        *,
        outcomes: str | Path,
        prompts: str | Path | None = None,
        dataset: str | None = None,
        prices: str | Path | None = None,
        counter: TokenCounter | None = None,
        format: str | None = None,
    ) -> Outcomes:
        """Return the outcomes in a csv, csv.gz, jsonl, jsonl.gz or parquet file, or in a DuckDB log.

        The outcomes file needs prompt_id, model, quality; it may have dataset, input_tokens, output_tokens,
        latency_s, cost_usd, cost_kind, response, error, simulated. The prompts file needs prompt_id, prompt; it may
        have dataset, task, context, reference, group, difficulty, scorer. `prices` (dataset, model,
        usd_per_mtok_in, usd_per_mtok_out) prices what has no recorded cost, from tokens that `counter` counts
        (offline, with a stated factor for each family of models, unless another one is passed). `format` names
        another program's format (`routelab.lab.formats.KINDS`) instead of finding it out by the content; those files
        hold their own prompts, and what `prompts` says about the same ids replaces it. Raises DataError, one line that
        names file, line and column.
        """
        from routelab.lab.recorded import read_outcomes

        return read_outcomes(
            outcomes=Path(outcomes),
            prompts=None if prompts is None else Path(prompts),
            dataset=dataset,
            prices=None if prices is None else Path(prices),
            counter=counter,
            format=format,
        )

    def __len__(self) -> int:
        return len(self.prompts)

    def __repr__(self) -> str:
        known = ", ".join(f"{name} {_share(getattr(self, name))}" for name in MEASURES[:3])
        kinds = sorted({k for k in self.cost_kind if k is not None})
        parts = [
            f"{len(self.prompts):,} prompts × {len(self.models)} models",
            f"known: {known}",
            *([f"cost {' and '.join(kinds)}"] if kinds else []),
            *([f"{int(self.failed.sum()):,} failures"] if self.failed.any() else []),
            *([f"{len(self.rejected)} rows rejected"] if self.rejected else []),
            *(["one model a prompt: no exact replay, off-policy only"] if self.single_choice else []),
            *(["simulated"] if self.simulated else []),
        ]
        return f"<Outcomes {self.dataset or ''}{': ' if self.dataset else ''}{'; '.join(parts)}>"

    @cached_property
    def rows(self) -> Mapping[str, int]:
        """The row of each prompt, by its id."""
        return {prompt.id: i for i, prompt in enumerate(self.prompts)}

    @cached_property
    def asked(self) -> Bools:
        """Where a model was asked, prompts × models: something was recorded, if only that it failed."""
        known = [np.isfinite(getattr(self, name)) for name in MEASURES]
        return np.asarray(np.logical_or.reduce([self.failed, *known]))

    @property
    def single_choice(self) -> bool:
        """Choices were logged, not a cube: of several models, chance or something else chose the one that each prompt met."""
        asked = self.asked
        if asked.any(axis=0).sum() < 2:
            return False
        return (self.choices is not None and self.choices.drawn) or bool((asked.sum(axis=1) <= 1).all())

    @property
    def roster(self) -> Roster:
        """The models in the order of the columns, with their prices where those were given."""
        return Roster(
            models=tuple(
                Model(name=m, provider="recorded", upstream=m, price=self.prices.get(m), simulated=self.simulated)
                for m in self.models
            )
        )

    @property
    def clusters(self) -> Ints | None:
        """The cluster of each prompt as a number; a prompt without a group is its own; None when no prompt has one."""
        if all(prompt.group is None for prompt in self.prompts):
            return None
        names = [("group", p.group) if p.group is not None else ("prompt", p.id) for p in self.prompts]
        seen = {name: k for k, name in enumerate(dict.fromkeys(names))}
        return np.array([seen[name] for name in names], dtype=np.intp)

    def column(self, model: str) -> int:
        """Return the column of a model; DataError when it has no outcomes."""
        if model not in self.models:
            near = suggest(model, self.models)
            raise DataError(
                f"'{model}' has no recorded outcomes" + ("" if near is None else f"; {near}"),
                hint=f"models there: {', '.join(self.models)}",
            )
        return self.models.index(model)

    def take(self, rows: Bools | Ints | Sequence[int] | Sequence[bool]) -> Outcomes:
        """Return the outcomes of some prompts: a mask, or row numbers in the order wanted."""
        given = np.asarray(rows)
        index = np.flatnonzero(given) if given.dtype == bool else given.astype(np.intp)
        return dataclasses.replace(
            self,
            prompts=tuple(self.prompts[int(i)] for i in index),
            failed=self.failed[index],
            gates={key: given.at(index) for key, given in self.gates.items()},
            choices=None if self.choices is None else self.choices.of_rows(index),
            runs=None if self.runs is None else self.runs[index],
            **{name: getattr(self, name)[index] for name in MEASURES},
        )

    def only(self, models: Sequence[str]) -> Outcomes:
        """Return the outcomes of some models, in the order given; DataError for one that is not there."""
        columns = np.array([self.column(m) for m in models], dtype=np.intp)
        return dataclasses.replace(
            self,
            models=tuple(models),
            failed=self.failed[:, columns],
            cost_kind=tuple(self.cost_kind[int(c)] for c in columns),
            gates={key: given.at(slice(None), columns) for key, given in self.gates.items()},
            runs=None if self.runs is None else self.runs[:, columns],
            **{name: getattr(self, name)[:, columns] for name in MEASURES},
        )

    def signs(self, rows: Ints, cells: Ints, before: Ints, match: str = "auto") -> Floats:
        """Return what can be seen of recorded answers (row, column) without a reference, k × `scoring.signs.NAMES`.

        `before` (k × steps) are the columns that answered earlier on, NOBODY (-1) where none did; `match` says how
        answers are compared. Blank (NaN) where no text was recorded.
        """
        from routelab.lab import referees

        return referees.signs(self, rows, cells, before, match)  # type: ignore[arg-type]

    def reply(self, prompt_id: str, model: str) -> Reply | None:
        """Return what the model answered then, or None when no text was recorded or it failed."""
        row = self.rows.get(prompt_id)
        if row is None or model not in self.models or self.texts is None:
            return None
        cell = (row, self.models.index(model))
        text = None if self.failed[cell] else self.texts(prompt_id, model)
        if text is None:
            return None
        return Reply(
            text=text,
            served_model=model,
            tokens=Tokens(
                input=_whole(self.input_tokens[cell]), output=_whole(self.output_tokens[cell]), source="recorded"
            ),
            latency_s=_known(self.latency_s[cell]),
            cost_usd=_known(self.cost_usd[cell]),
            mean_logprob=self._logprob("mean_logprob", cell),
            min_logprob=self._logprob("min_logprob", cell),
        )

    def _logprob(self, gate: str, cell: tuple[int, int]) -> float | None:
        given = self.gates.get(gate)
        value = np.nan if given is None else float(given.score[cell])
        return math.log(max(value, _LEAST)) if value >= 0 else None


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Rows of a table as arrays of equal length: which prompt, which model, what was measured (NaN: not recorded)."""

    prompt: Ints
    model: Ints
    measures: Mapping[str, Floats]
    failed: Bools
    kinds: NDArray[np.object_]


def cube(
    prompts: Sequence[Prompt], models: Sequence[str], cells: Cells
) -> tuple[dict[str, Floats], Bools, tuple[str | None, ...]]:
    """Return the arrays prompts × models, the failures, and how each model's costs are known.

    A failure gets quality 0 whatever the row says; a cost without a kind counts as recorded.
    """
    shape = (len(prompts), len(models))
    failed = np.zeros(shape, dtype=np.bool_)
    failed[cells.prompt, cells.model] = cells.failed
    arrays: dict[str, Floats] = {}
    for name in MEASURES:
        array = np.full(shape, np.nan)
        array[cells.prompt, cells.model] = cells.measures[name]
        arrays[name] = array
    arrays["quality"][failed] = 0.0
    rank = np.full(shape, len(COST_KINDS), dtype=np.intp)
    known = np.isfinite(cells.measures["cost_usd"])
    order = {kind: i for i, kind in enumerate(COST_KINDS)}
    codes = np.array([order.get(k, order["recorded"]) for k in cells.kinds], dtype=np.intp)
    rank[cells.prompt[known], cells.model[known]] = codes[known]
    weakest = rank.min(axis=0, initial=len(COST_KINDS))
    return arrays, failed, tuple(COST_KINDS[int(k)] if k < len(COST_KINDS) else None for k in weakest)


_LEAST = 5e-324
"""The least number above 0: what is less likely has a logarithm all the same."""


def _share(values: Floats) -> str:
    known = int(np.isfinite(values).sum())
    return "all" if known == values.size else "none" if known == 0 else f"{known:,} of {values.size:,}"


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _whole(value: float) -> int | None:
    return None if np.isnan(value) else round(float(value))
