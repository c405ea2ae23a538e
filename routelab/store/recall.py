"""What the rest of the house asks the log for: remembered answers, recorded outcomes, vectors, prompts and runs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from routelab.core.run import Run
from routelab.core.values import Prompt
from routelab.store import revival
from routelab.store.file import Connection
from routelab.store.text import storable


@dataclass(frozen=True, kw_only=True)
class Kept:
    """An answer that was remembered, and the run that first got it: under an exact cache's key, a semantic one's namespace, or both.

    `asked` is the question that a semantic cache compares with, `label` what it can be forgotten by.
    """

    key: str | None
    run_id: str
    text: str
    model: str
    latency_s: float | None
    cost_usd: float | None
    simulated: bool
    started_at: datetime
    namespace: str | None = None
    asked: str | None = None
    label: str | None = None


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What a model last did with a prompt: one cell of the outcome cube.

    `status` is ``answered`` or the error's class; `quality` is the latest measurement of that answer, None when it was
    not scored. `attempts` counts how often the run asked the model; their costs and latencies add up, to None where one of
    them is not known.
    """

    prompt_id: str
    model: str
    status: str
    run_id: str
    experiment: str
    arm: str
    task: str | None
    text: str | None
    quality: float | None
    cost_usd: float | None
    price_as_of: str | None
    latency_s: float | None
    ttft_s: float | None
    input_tokens: int | None
    output_tokens: int | None
    tokens_source: str | None
    finish: str | None
    error: str | None
    attempts: int
    simulated: bool
    started_at: datetime


# What a cache asked for again in the background counts only where nobody else asked.
_RECORDED = """
    with again as (
        select run_id from runs where contains(tags, 'revalidates') and try(tags ->> '$.revalidates') is not null
    ), asked as (
        select * replace (
                   case when count(cost_usd) over tries = count(*) over tries then sum(cost_usd) over tries end as cost_usd,
                   case when count(latency_s) over tries = count(*) over tries then sum(latency_s) over tries end as latency_s
               ), count(*) over tries as attempts
        from calls
        where not cached
          and (?::varchar is null or experiment = ?)
          and (?::varchar[] is null or prompt_id in (select unnest(?::varchar[])))
          and (?::varchar[] is null or requested_model in (select unnest(?::varchar[])))
        window tries as (partition by run_id, requested_model)
    ), last as (
        select * from asked
        qualify row_number() over (
            partition by prompt_id, requested_model
            order by run_id in (select run_id from again), started_at desc, run_id desc, attempt desc) = 1
    ), measured as (
        select run_id, model, arg_max(quality, seq) as quality
        from scores where accepted is null and quality is not null group by run_id, model
    )
    select l.prompt_id, l.requested_model, l.status, l.run_id, l.experiment, l.arm, l.task, a.text, m.quality,
           l.cost_usd, l.price_as_of, l.latency_s, l.ttft_s, l.input_tokens, l.output_tokens, l.tokens_source, l.finish,
           l.error, l.attempts, l.simulated, l.started_at
    from last l
    left join answers a on a.run_id = l.run_id and a.call_id = l.call_id
    left join measured m on m.run_id = l.run_id and m.model = l.requested_model and l.status = 'answered'
    order by l.prompt_id, l.requested_model"""

_KEPT = """
    select cache_key, run_id, text, model, latency_s, cost_usd, simulated, started_at, cache_namespace, cache_text, cache_label
    from answers where text is not null and """
_BY_KEY = """cache_key in (select unnest(?::varchar[]))
    qualify row_number() over (partition by cache_key order by started_at desc, run_id desc) = 1"""
_BY_RUN = "cache_namespace is not null and run_id in (select unnest(?::varchar[]))"

_PROMPTS = """
    select prompt_id, task, content from prompts
    where ?::varchar[] is null or prompt_id in (select unnest(?::varchar[]))
    qualify row_number() over (partition by prompt_id order by added_at desc, sha256) = 1
    order by prompt_id"""


def remembered(con: Connection, keys: Sequence[str]) -> dict[str, Kept]:
    """Return the latest remembered answer by key."""
    names = [f.name for f in dataclasses.fields(Kept)]
    found = con.execute(_KEPT + _BY_KEY, [[storable(key) for key in keys]]).fetchall()
    return {str(row[0]): Kept(**dict(zip(names, row, strict=True))) for row in found}


def kept(con: Connection, run_ids: Sequence[str]) -> dict[str, Kept]:
    """Return by run the answers that were remembered for questions like theirs."""
    names = [f.name for f in dataclasses.fields(Kept)]
    found = con.execute(_KEPT + _BY_RUN, [[storable(run_id) for run_id in run_ids]]).fetchall()
    return {str(row[1]): Kept(**dict(zip(names, row, strict=True))) for row in found}


def recorded(
    con: Connection, experiment: str | None, prompt_ids: Sequence[str] | None, models: Sequence[str] | None
) -> list[Recorded]:
    """Return the latest outcome of each (prompt, model) pair, by prompt and model."""
    name = None if experiment is None else storable(experiment)
    ids, wanted = _list(prompt_ids), _list(models)
    names = [f.name for f in dataclasses.fields(Recorded)]
    found = con.execute(_RECORDED, [name, name, ids, ids, wanted, wanted]).fetchall()
    return [Recorded(**dict(zip(names, row, strict=True))) for row in found]


def vectors(con: Connection, embedder_id: str, hashes: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    """Return the vectors by the hash of their text."""
    sql = "select sha256, vector from embeddings where embedder = ? and sha256 in (select unnest(?::varchar[]))"
    found = con.execute(sql, [storable(embedder_id), list(hashes)]).fetchall()
    return {str(key): np.frombuffer(blob, dtype="<f4").astype(np.float32) for key, blob in found}


def prompts(con: Connection, prompt_ids: Sequence[str] | None) -> list[Prompt]:
    """Return the prompts that were stored in full, as they were last stored, by id."""
    ids = _list(prompt_ids)
    found = (revival.to_prompt(*row) for row in con.execute(_PROMPTS, [ids, ids]).fetchall())
    return [prompt for prompt in found if prompt is not None]


def run(con: Connection, run_id: str) -> Run | None:
    """Return the run with its events, or None when it is not in the log."""
    sql = "select experiment, arm, config, prompt_id, task, tags, seed, started_at from runs where run_id = ?"
    found: list[tuple[Any, ...]] = con.execute(sql, [storable(run_id)]).fetchall()
    if not found:
        return None
    experiment, arm, config, prompt_id, task, tags, seed, started_at = found[0]
    known = prompts(con, [prompt_id])
    sql = "select kind, at_s, payload from events where run_id = ? order by seq"
    events = con.execute(sql, [storable(run_id)]).fetchall()
    return Run(
        id=run_id,
        prompt=known[0] if known else Prompt(id=prompt_id, messages=(), task=task),
        started_at=started_at,
        experiment=experiment,
        arm=arm,
        config=config,
        tags=json.loads(tags),
        seed=seed or 0,
        events=tuple(revival.to_event(*event) for event in events),
    )


def _list(names: Sequence[str] | None) -> list[str] | None:
    return None if names is None else [storable(name) for name in names]
