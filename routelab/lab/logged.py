"""Outcomes out of the log: what every model did with every prompt, over the runs that were played live."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from routelab.core.errors import DataError, suggest
from routelab.core.ports import Floats
from routelab.core.values import Message, Prompt
from routelab.gates import LOGPROBS
from routelab.gates.logprob import probability
from routelab.lab.choices import Choices
from routelab.lab.outcomes import MEASURES, Cells, Judgements, Outcomes, Texts, cube
from routelab.store import Log

Query: TypeAlias = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]

WHOLE = 0.95
"""A log in which every model was asked about less than this share of the prompts is looked at for choices."""
NOT_ASKED = ("MissingKey", "Cancelled", "BudgetExceeded")
"""Ends of a call that say nothing about the model: nothing was sent, or the asker went away."""

# One row for each prompt and model, from the latest run that asked that model about that prompt. Retries of one run are
# one attempt: their costs and waits add up. A refused connection without a cost costs nothing, as in `Run.cost_usd`.
# What a cache asked for again in the background counts only where nobody else asked.
_CELLS = """
    with again as (
        select run_id from runs where contains(tags, 'revalidates') and try(tags ->> '$.revalidates') is not null
    ), asked as (
        select c.run_id, c.prompt_id, c.requested_model as model, max(c.started_at) as at,
               bool_or(c.status = 'answered') as answered, bool_or(c.simulated) as simulated,
               case when count(*) filter (c.status = 'answered' and c.cost_usd is null) > 0 then null
                    else coalesce(sum(c.cost_usd), 0) end as cost_usd,
               case when count(c.latency_s) < count(*) then null else sum(c.latency_s) end as latency_s,
               arg_max(c.input_tokens, c.attempt) filter (c.status = 'answered') as input_tokens,
               arg_max(c.output_tokens, c.attempt) filter (c.status = 'answered') as output_tokens
        from calls c
        where not c.cached and c.status not in (select unnest(?::varchar[]))
          and (not ? or c.experiment in (select unnest(?::varchar[])))
        group by c.run_id, c.prompt_id, c.requested_model
    ), measured as (
        select run_id, model, arg_max(quality, seq) as quality from scores where accepted is null group by run_id, model
    )
    select a.prompt_id, a.model, a.run_id, a.answered, a.simulated, m.quality, a.cost_usd, a.latency_s, a.input_tokens,
           a.output_tokens
    from asked a left join measured m on m.run_id = a.run_id and m.model = a.model
    qualify row_number() over (
        partition by a.prompt_id, a.model order by a.run_id in (select run_id from again), a.at desc, a.run_id desc) = 1
    order by a.prompt_id, a.model
"""
_GATES = (
    "select run_id, model, scorer, arg_max_null(quality, seq), arg_max_null(cost_usd, seq), arg_max_null(latency_s, seq)"
    " from scores where accepted is not null group by run_id, model, scorer"
)
_LOGPROBS = (
    "select run_id, requested_model, arg_max(mean_logprob, attempt), arg_max(min_logprob, attempt) from calls"
    " where status = 'answered' and mean_logprob is not null group by run_id, requested_model"
)
# A log of an earlier version that is only read has no such column.
_KNOWS = "select count(*) from duckdb_columns() where table_name = 'calls' and column_name = 'mean_logprob'"
_PROMPTS = "select prompt_id, arg_max(task, added_at), arg_max(content, added_at) from prompts group by prompt_id"
_CHOICES = """
    with first as (
        select run_id, requested_model as model, propensity from calls
        where not cached and status not in (select unnest(?::varchar[]))
          and (not ? or experiment in (select unnest(?::varchar[])))
        qualify row_number() over (partition by run_id order by started_at, attempt) = 1
    )
    select r.prompt_id, f.model, f.propensity, case r.status when 'answered' then r.quality when 'failed' then 0 end, r.task,
           r.cost_usd, coalesce(r.experiment, ''), coalesce(r.arm, '')
    from first f join runs r using (run_id)
    where f.propensity is not null and try(r.tags ->> '$.revalidates') is null order by r.started_at, r.run_id
"""
_TEXTS = "select run_id, model, arg_max(text, call_id) from answers where text is not null group by run_id, model"


def outcomes_of_log(path: Path, *, dataset: str | None = None, prompts: Sequence[Prompt] = ()) -> Outcomes:
    """Return the outcomes in a DuckDB log that is closed; `prompts` replace those that the log kept."""
    if not path.is_file():
        raise DataError(f"{path}: no such file", hint="check the path")
    return outcomes_of_query(_reader(path), name=path.name, dataset=dataset, prompts=prompts)


def outcomes_of_query(
    query: Query, *, name: str = "log", dataset: str | None = None, prompts: Sequence[Prompt] = ()
) -> Outcomes:
    """Return the outcomes behind a query function such as `Log.query`; the latest run of a prompt and model counts.

    Recalled answers are nobody's outcome; a call without an answer is a failure (quality 0), unless nothing was
    sent. `dataset` limits to the experiments on it, and must be given when the log has several.
    """
    chosen, experiments = _experiments(query, name, dataset)
    rows = query(_CELLS, [list(NOT_ASKED), chosen is not None, experiments])
    if not rows:
        raise DataError(f"{name}: holds no answers" + (f" on '{chosen}'" if chosen else ""), hint="collect some first")
    known = {p.id: p for p in (prompts or _prompts(query))}
    asked = tuple(known.get(i) or Prompt(id=i, messages=()) for i in dict.fromkeys(row[0] for row in rows))
    models = tuple(dict.fromkeys(row[1] for row in rows))
    place, column = {p.id: k for k, p in enumerate(asked)}, {m: k for k, m in enumerate(models)}
    at = (
        np.array([place[row[0]] for row in rows], dtype=np.intp),
        np.array([column[row[1]] for row in rows], dtype=np.intp),
    )
    values = np.array([row[5:] for row in rows], dtype=float)
    cells = Cells(
        prompt=at[0],
        model=at[1],
        measures={measure: values[:, k] for k, measure in enumerate(MEASURES)},
        failed=np.array([not row[3] for row in rows], dtype=np.bool_),
        kinds=np.array(["tokens_x_listprice"] * len(rows), dtype=object),
    )
    arrays, failed, kinds = cube(asked, models, cells)
    runs = {(row[2], row[1]): (int(i), int(k)) for row, i, k in zip(rows, *at, strict=True)}
    ids = np.full(failed.shape, None, dtype=object)
    ids[at] = [row[2] for row in rows]
    sparse = len(rows) < WHOLE * len(asked) * len(models)
    return Outcomes(
        prompts=asked,
        models=models,
        failed=failed,
        cost_kind=kinds,
        simulated=any(row[4] for row in rows),
        dataset=chosen,
        gates=sure(_gates(query, runs, failed.shape), _logprobs(query, runs, failed.shape)),
        texts=_texts(query, {(row[0], row[1]): row[2] for row in rows}),
        choices=_choices(query, place, None if chosen is None else experiments) if sparse else None,
        runs=ids,
        **arrays,  # type: ignore[arg-type]  # the five measures by name
    )


def choices_of_query(query: Query, *, experiments: Sequence[str] | None = None) -> tuple[Choices, tuple[str, ...]]:
    """Return the choices in a log, and the ids of their prompts: the model that each run asked first.

    The reward is the run's quality and the cost the run's, so fallbacks count as part of asking that model; a run without an
    answer is 0. Runs without a score or a propensity are left out, and where some arms drew by chance those of all other
    arms: a collection beside a split is no part of it. DataError when nothing is left.
    """
    rows = [
        row
        for row in query(_CHOICES, [list(NOT_ASKED), experiments is not None, list(experiments or ())])
        if row[3] is not None
    ]
    drawing = {row[6:] for row in rows if row[2] < 1}
    rows = [row for row in rows if row[6:] in drawing] or rows
    if not rows:
        raise DataError(
            "the log holds no scored choice with a propensity", hint="route with a split, and score the answers"
        )
    models = tuple(sorted({row[1] for row in rows}))
    tasks = {task: k for k, task in enumerate(dict.fromkeys(row[4] for row in rows))}
    prompts = {prompt: k for k, prompt in enumerate(dict.fromkeys(row[0] for row in rows))}
    found = Choices(
        models=models,
        action=np.array([models.index(row[1]) for row in rows], dtype=np.intp),
        reward=np.array([row[3] for row in rows], dtype=float),
        propensity=np.array([row[2] for row in rows], dtype=float),
        cost_usd=np.array([np.nan if row[5] is None else row[5] for row in rows], dtype=float),
        strata=np.array([tasks[row[4]] for row in rows], dtype=np.intp),
        clusters=None if len(prompts) == len(rows) else np.array([prompts[row[0]] for row in rows], dtype=np.intp),
    )
    return found, tuple(row[0] for row in rows)


def _choices(query: Query, place: Mapping[str, int], experiments: Sequence[str] | None) -> Choices | None:
    """Return the choices with the places of their prompts in the outcomes; None where none was scored."""
    try:
        found, ids = choices_of_query(query, experiments=experiments)
    except DataError:
        return None
    # A scored run has a call that was sent, so its prompt has a row.
    return dataclasses.replace(found, row=np.array([place[i] for i in ids], dtype=np.intp))


def _reader(path: Path) -> Query:
    def query(sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        # One short opening a query: the log's writer needs the file between them.
        with Log(path, read_only=True) as log:
            return log.query(sql, parameters)

    return query


def _experiments(query: Query, name: str, dataset: str | None) -> tuple[str | None, list[str]]:
    rows = query("select distinct dataset, experiment from experiments where dataset is not null and dataset <> ''", [])
    there = sorted({str(row[0]) for row in rows})
    if dataset is None:
        if len(there) > 1:
            raise DataError(f"{name}: holds {len(there)} datasets; name one", hint=f"datasets: {', '.join(there)}")
        dataset = there[0] if there else None
    elif dataset not in there:
        near = suggest(dataset, there)
        raise DataError(
            f"{name}: unknown dataset '{dataset}'" + ("" if near is None else f"; {near}"),
            hint=f"datasets: {', '.join(there) or 'none'}",
        )
    return dataset, [str(row[1]) for row in rows if row[0] == dataset]


def _prompts(query: Query) -> list[Prompt]:
    return [_prompt(*row) for row in query(_PROMPTS, [])]


def _prompt(prompt_id: str, task: str | None, content: str | None) -> Prompt:
    """Return a prompt of the log; under a content policy its texts are hashes, and then it has no messages."""
    facts = json.loads(content) if content else {}
    messages = facts.get("messages") or []
    readable = all(isinstance(m, Mapping) and isinstance(m.get("content"), str) for m in messages)
    wrong = facts.get("wrong") or ()
    return Prompt(
        id=prompt_id,
        messages=tuple(Message(role=m["role"], content=m["content"]) for m in messages) if readable else (),
        task=task,
        reference=_text(facts.get("reference")),
        scorer=facts["scorer"] if isinstance(facts.get("scorer"), Mapping) else None,
        difficulty=facts.get("difficulty"),
        wrong=tuple(w for w in wrong if isinstance(w, str)) if isinstance(wrong, Sequence) else (),
        group=_text(facts.get("group")),
        tags=facts.get("tags") or {},
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _gates(
    query: Query, runs: Mapping[tuple[str, str], tuple[int, int]], shape: tuple[int, int]
) -> dict[str, Judgements]:
    gates: dict[str, Judgements] = {}
    for run_id, model, scorer, *values in query(_GATES, []):
        if (run_id, model) in runs:
            blank = np.full(shape, np.nan)
            held = gates.setdefault(scorer, Judgements(score=blank, cost_usd=blank.copy(), latency_s=blank.copy()))
            cell = runs[run_id, model]
            quality, cost, latency = (np.nan if v is None else float(v) for v in values)
            # A judge that was asked and could not say is a failure, not a gap.
            held.score[cell] = -np.inf if np.isnan(quality) else quality
            held.cost_usd[cell], held.latency_s[cell] = cost, latency
    return gates


def _logprobs(
    query: Query, runs: Mapping[tuple[str, str], tuple[int, int]], shape: tuple[int, int]
) -> dict[str, Floats]:
    found = {name: np.full(shape, np.nan) for name in LOGPROBS}
    if query(_KNOWS, []) == [(0,)]:
        return found
    for run_id, model, *values in query(_LOGPROBS, []):
        for held, value in zip(found.values(), values, strict=True):
            if (run_id, model) in runs and value is not None:
                held[runs[run_id, model]] = value
    return found


def sure(gates: Mapping[str, Judgements], logprobs: Mapping[str, Floats]) -> dict[str, Judgements]:
    """Return the gates with those of token log-probabilities, by their name, wherever no live gate gave them already."""
    found = dict(gates)
    for name, values in logprobs.items():
        if np.isnan(values).all():
            continue
        # With the same function as live, which NumPy's own exponential is not to the last bit.
        score = np.array([np.nan if np.isnan(v) else probability(v) for v in values.ravel().tolist()], dtype=float)
        read = Judgements.free(score.reshape(values.shape))
        live = gates.get(name)
        if live is not None:
            gap = np.isnan(live.score)
            parts = {f.name: np.where(gap, getattr(read, f.name), getattr(live, f.name)) for f in fields(Judgements)}
            read = Judgements(**parts)
        found[name] = read
    return found


def _texts(query: Query, runs: Mapping[tuple[str, str], str]) -> Texts:
    """Return a function that finds what was said; the log is asked once, when the first text is wanted."""

    @lru_cache(maxsize=1)
    def loaded() -> Mapping[tuple[str, str], str]:
        return {(row[0], row[1]): row[2] for row in query(_TEXTS, [])}

    def text(prompt_id: str, model: str) -> str | None:
        run = runs.get((prompt_id, model))
        return None if run is None else loaded().get((run, model))

    return text
