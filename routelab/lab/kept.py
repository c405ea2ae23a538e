"""What the log holds of a collection, and the cube that it makes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from routelab.core.ports import Floats, Log
from routelab.gates import LOGPROBS
from routelab.lab.claim import Cell
from routelab.lab.datasets import Dataset
from routelab.lab.logged import NOT_ASKED, sure
from routelab.lab.outcomes import MEASURES, Outcomes
from routelab.lab.retries import retried

_KEPT = """
    with tried as (
        select run_id, count(*) filter (status not in (select unnest(?::varchar[]))) as attempts,
               arg_max(status, attempt) as last
        from calls where experiment = ? group by run_id
    ), ended as (
        select run_id, any_value(try(payload ->> '$.error')) as error from events where kind = 'failed' group by run_id
    )
    select r.prompt_id, r.arm, r.run_id, coalesce(e.error, t.last), coalesce(t.attempts, 0), a.run_id is not null,
           r.quality, r.cost_usd, r.latency_s, a.input_tokens, a.output_tokens, a.text, c.mean_logprob, c.min_logprob
    from runs r left join tried t on t.run_id = r.run_id left join ended e on e.run_id = r.run_id
                left join answers a on a.run_id = r.run_id and a.kept
                left join calls c on c.call_id = a.call_id
    where r.experiment = ? order by r.started_at
"""


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a model did with a prompt, as the log has it; `attempts` counts those of earlier sittings too."""

    failed: bool
    quality: float | None
    cost_usd: float | None
    latency_s: float | None
    input_tokens: float | None
    output_tokens: float | None
    text: str | None
    mean_logprob: float | None
    min_logprob: float | None
    attempts: int
    run_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What the log holds of a collection: a value a cell, how many runs each cell took, and what they cost in USD."""

    cells: Mapping[Cell, Done]
    runs: Mapping[Cell, int]
    spent_usd: float


def recorded(log: Log, experiment: str) -> Kept:
    """Return what the log holds of an experiment; of several runs of a cell the latest counts, and only one that asked."""
    cells: dict[Cell, Done] = {}
    runs: dict[Cell, int] = {}
    costs: list[float] = []
    for prompt_id, model, run_id, last, attempts, answered, *values in log.query(
        _KEPT, [list(NOT_ASKED), experiment, experiment]
    ):
        cell = (prompt_id, model)
        runs[cell] = runs.get(cell, 0) + 1
        quality, cost, *rest = values
        costs.append(cost or 0.0)
        if not answered and last in (None, *NOT_ASKED):
            continue
        before = cells[cell].attempts if cell in cells else 0
        names = ("latency_s", "input_tokens", "output_tokens", "text", "mean_logprob", "min_logprob")
        cells[cell] = Done(
            failed=not answered,
            quality=quality,
            cost_usd=cost,
            attempts=before + attempts,
            run_id=run_id,
            **dict(zip(names, rest, strict=True)),
        )
    return Kept(cells=cells, runs=runs, spent_usd=math.fsum(costs))


def assembled(
    dataset: Dataset, models: Sequence[str], kept: Kept, *, scored: bool, simulated: bool, notes: Sequence[str] = ()
) -> Outcomes:
    """Return the cube of what is kept; a cell that is not there is NaN.

    One that failed has quality 0 where there is something to score by: a scorer for all (`scored`) or the prompt's own.
    """
    shape = (len(dataset), len(models))
    arrays: dict[str, Floats] = {name: np.full(shape, np.nan) for name in MEASURES}
    failed = np.zeros(shape, dtype=np.bool_)
    attempts = np.zeros(shape, dtype=np.intp)
    texts: dict[Cell, str] = {}
    runs = np.full(shape, None, dtype=object)
    logprobs = {name: np.full(shape, np.nan) for name in LOGPROBS}
    for i, prompt in enumerate(dataset.prompts):
        for k, model in enumerate(models):
            done = kept.cells.get((prompt.id, model))
            if done is None:
                continue
            failed[i, k], attempts[i, k], runs[i, k] = done.failed, done.attempts, done.run_id
            for name in MEASURES:
                value = getattr(done, name)
                if value is not None:
                    arrays[name][i, k] = float(value)
            for name, held in logprobs.items():
                if (value := getattr(done, name)) is not None:
                    held[i, k] = value
            if done.failed and (scored or prompt.scorer is not None):
                arrays["quality"][i, k] = 0.0
            if done.text is not None and not done.failed:
                texts[prompt.id, model] = done.text
    there = np.array([[(p.id, m) in kept.cells for m in models] for p in dataset.prompts], dtype=np.bool_)
    again = retried(arrays["quality"], attempts, failed)
    return Outcomes(
        prompts=dataset.prompts,
        models=tuple(models),
        failed=failed,
        cost_kind=tuple("recorded" if np.isfinite(arrays["cost_usd"][:, k]).any() else None for k in range(shape[1])),
        simulated=simulated,
        dataset=dataset.name,
        gates=sure({}, logprobs),
        texts=lambda prompt_id, model: texts.get((prompt_id, model)),
        notes=(
            *notes,
            *_counts(int(failed.sum()), int((~there).sum()), failed.size),
            *([str(again)] if again.n else []),
        ),
        quality=arrays["quality"],
        cost_usd=arrays["cost_usd"],
        latency_s=arrays["latency_s"],
        input_tokens=arrays["input_tokens"],
        output_tokens=arrays["output_tokens"],
        runs=runs,
    )


def _counts(errored: int, missing: int, size: int) -> list[str]:
    parts = [
        *([f'{errored:,} without an answer (quality 0; retry="errors" asks them again)'] if errored else []),
        *([f'{missing:,} not asked yet (retry="missing" asks them)'] if missing else []),
    ]
    return [f"of {size:,} calls {' and '.join(parts)}"] if parts else []
