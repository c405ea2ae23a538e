"""The log's tables and views: every column name of the DuckDB file is stated here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

VERSION = 5
"""The schema's number, kept in `meta`; a file with a higher one is refused, one with a lower one is upgraded."""

FORGOTTEN = "forgotten"
"""The key of the rows in `meta` that say what must not be remembered any more."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table's columns with their DuckDB types, and the columns that name a row when it comes a second time."""

    columns: Mapping[str, str]
    key: tuple[str, ...] = ()


def _table(columns: str, *key: str) -> Table:
    pairs = (line.split(maxsplit=1) for line in columns.replace("\n", ",").split(",") if line.strip())
    return Table(columns=MappingProxyType({name: type_.strip() for name, type_ in pairs}), key=key)


# No index, no primary key, no default: WAL replay failures cluster on those (duckdb#19712, #22044, #25928), so what
# names a row is checked by the writer. TIMESTAMP, not TIMESTAMPTZ: fetching that takes pytz, which nothing installs.
TABLES: Mapping[str, Table] = MappingProxyType(
    {
        "runs": _table(
            """run_id VARCHAR, experiment VARCHAR, arm VARCHAR, config VARCHAR, prompt_id VARCHAR, task VARCHAR
            status VARCHAR, model VARCHAR, cost_usd DOUBLE, latency_s DOUBLE, quality DOUBLE, cached BOOLEAN
            propensity DOUBLE, why VARCHAR, tags VARCHAR, simulated BOOLEAN, started_at TIMESTAMP
            seed HUGEINT, session VARCHAR""",
            "run_id",
        ),
        "events": _table(
            "run_id VARCHAR, seq INTEGER, kind VARCHAR, at_s DOUBLE, payload VARCHAR, started_at TIMESTAMP",
        ),
        "calls": _table(
            """run_id VARCHAR, experiment VARCHAR, arm VARCHAR, prompt_id VARCHAR, task VARCHAR, requested_model VARCHAR
            served_model VARCHAR, provider VARCHAR, status VARCHAR, input_tokens BIGINT, output_tokens BIGINT
            cached_tokens BIGINT, tokens_source VARCHAR, cost_usd DOUBLE, price_as_of VARCHAR, latency_s DOUBLE
            ttft_s DOUBLE, cached BOOLEAN, propensity DOUBLE, error VARCHAR, simulated BOOLEAN, started_at TIMESTAMP
            attempt INTEGER, finish VARCHAR, reasoning_tokens BIGINT, call_id VARCHAR, mean_logprob DOUBLE
            min_logprob DOUBLE, template VARCHAR""",
        ),
        "scores": _table(
            """run_id VARCHAR, experiment VARCHAR, arm VARCHAR, prompt_id VARCHAR, task VARCHAR, model VARCHAR
            scorer VARCHAR, quality DOUBLE, accepted BOOLEAN, at_least DOUBLE, reason VARCHAR, cost_usd DOUBLE
            latency_s DOUBLE, seq INTEGER, started_at TIMESTAMP, judge VARCHAR, input_tokens BIGINT
            output_tokens BIGINT, simulated BOOLEAN""",
        ),
        "ratings": _table(
            "run_id VARCHAR, value DOUBLE, note VARCHAR, rated_at TIMESTAMP, rating_id VARCHAR",
            "rating_id",
        ),
        "experiments": _table(
            """experiment VARCHAR, dataset VARCHAR, arms VARCHAR, seed HUGEINT, detail VARCHAR, sha256 VARCHAR
            started_at TIMESTAMP""",
            "experiment",
            "sha256",
        ),
        "prompts": _table(
            """prompt_id VARCHAR, task VARCHAR, content VARCHAR, sha256 VARCHAR, text VARCHAR, chars BIGINT
            added_at TIMESTAMP""",
            "prompt_id",
            "sha256",
        ),
        "answers": _table(
            """run_id VARCHAR, call_id VARCHAR, cache_key VARCHAR, text VARCHAR, sha256 VARCHAR, chars BIGINT
            kept BOOLEAN, experiment VARCHAR, prompt_id VARCHAR, model VARCHAR, served_model VARCHAR, provider VARCHAR
            finish VARCHAR
            input_tokens BIGINT, output_tokens BIGINT, cost_usd DOUBLE, latency_s DOUBLE, simulated BOOLEAN
            started_at TIMESTAMP, cache_namespace VARCHAR, cache_text VARCHAR, cache_label VARCHAR""",
        ),
        "templates": _table(
            "name VARCHAR, version INTEGER, sha256 VARCHAR, content VARCHAR, note VARCHAR, added_at TIMESTAMP",
            "name",
            "sha256",
        ),
        "summaries": _table(
            """key VARCHAR, model VARCHAR, text VARCHAR, input_tokens BIGINT, output_tokens BIGINT, cost_usd DOUBLE
            simulated BOOLEAN, written_at TIMESTAMP""",
            "key",
        ),
        "embeddings": _table(
            "embedder VARCHAR, sha256 VARCHAR, dimensions INTEGER, vector BLOB, added_at TIMESTAMP",
            "embedder",
            "sha256",
        ),
        "meta": _table("key VARCHAR, value VARCHAR, session VARCHAR, noted_at TIMESTAMP"),
    }
)

FACTS: tuple[str, ...] = tuple(name for name in TABLES if name != "meta")
"""The tables whose rows are counted in the watermark and carried over by a merge."""

# A view never raises for what a model may have said: only `events.payload` is read as JSON, and always through try().
VIEWS: Mapping[str, str] = MappingProxyType(
    {
        "calls_by_task": """
            select task, requested_model, simulated,
                   count(*) as calls,
                   count(*) filter (status in ('answered', 'recalled')) as answered,
                   count(*) filter (status not in ('answered', 'recalled')) as unanswered,
                   count(*) filter (cached) as cache_hits,
                   sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens,
                   sum(cost_usd) as cost_usd, count(cost_usd) as cost_known,
                   quantile_cont(latency_s, 0.5) filter (not cached) as latency_p50_s,
                   quantile_cont(latency_s, 0.95) filter (not cached) as latency_p95_s
            from calls group by all order by task, requested_model, simulated""",
        "spend_by_day": """
            with spent as (
                select started_at, provider, requested_model, simulated, cost_usd, 'answering' as what
                from calls where not cached
                union all
                -- What judges cost: each judgement counts as one call of the judge, whose provider no score names.
                select started_at, null, judge, simulated, cost_usd,
                       case when accepted is null then 'measuring' else 'judging' end
                from scores where judge <> ''
                union all
                -- What summaries cost, known for all of one request together: the first row carries it.
                select started_at, null, model, simulated, case when number = 1 then cost_usd else 0 end, 'summarising'
                from (
                    select started_at, unnest(models) as model, generate_subscripts(models, 1) as number,
                           try(cast(payload ->> '$.simulated' as boolean)) as simulated,
                           try(cast(payload ->> '$.cost_usd' as double)) as cost_usd
                    from (
                        select started_at, payload, try(cast(payload -> '$.summarisers' as varchar[])) as models
                        from events where kind = 'compacted' and contains(payload, '"summarisers":')
                    )
                )
            )
            select cast(started_at as date) as day, provider, requested_model, simulated,
                   count(*) as calls, sum(cost_usd) as cost_usd, count(*) - count(cost_usd) as cost_unknown, what
            from spent group by all order by day, provider, requested_model, simulated, what""",
        "tokens_by_type": """
            select task, coalesce(template, '') as template, requested_model as model, simulated,
                   count(*) as calls,
                   sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens,
                   sum(cached_tokens) as cached_tokens, sum(reasoning_tokens) as reasoning_tokens,
                   count(*) filter (finish = 'length') as cut,
                   sum(cost_usd) as cost_usd, count(cost_usd) as cost_known,
                   count(*) filter (status = 'answered') as answered,
                   count(*) filter (input_tokens is not null and output_tokens is not null) as tokens_known
            from calls where not cached group by all order by task, template, model, simulated""",
        "cache_hits": """
            select c.run_id, c.experiment, c.arm, c.prompt_id, c.task, c.requested_model as model,
                   try(e.payload ->> '$.cache') as cache, try(e.payload ->> '$.key') as key,
                   try(cast(e.payload ->> '$.similarity' as double)) as similarity,
                   s.run_id as source_run, s.cost_usd as saved_usd, s.latency_s as source_latency_s,
                   c.latency_s, s.simulated, c.started_at,
                   try(cast(e.payload ->> '$.age_s' as double)) as age_s,
                   coalesce(try(cast(e.payload ->> '$.stale' as boolean)), false) as stale,
                   p.text as asked,
                   case when try(e.payload ->> '$.cache') = 'exact' then p.text
                        else try(e.payload ->> '$.like') end as known,
                   try(e.payload ->> '$.text') as answer
            from calls c
            join events e on e.run_id = c.run_id and e.kind = 'recalled'
            left join runs s on s.run_id = try(e.payload ->> '$.source_run')
            left join (select prompt_id, arg_max(text, added_at) as text from prompts group by prompt_id) p
                on p.prompt_id = c.prompt_id
            where c.cached""",
        "cache_misses": """
            select r.run_id, r.experiment, r.arm, r.prompt_id, r.task,
                   try(e.payload ->> '$.cache') as cache, try(e.payload ->> '$.key') as key,
                   try(cast(e.payload ->> '$.nearest' as double)) as nearest,
                   p.text as asked, try(e.payload ->> '$.like') as known,
                   try(e.payload ->> '$.objection') as objection, try(e.payload ->> '$.why') as why,
                   try(cast(e.payload ->> '$.latency_s' as double)) as latency_s, r.simulated, r.started_at
            from runs r
            join events e on e.run_id = r.run_id and e.kind = 'missed'
            left join (select prompt_id, arg_max(text, added_at) as text from prompts group by prompt_id) p
                on p.prompt_id = r.prompt_id""",
        "decisions": """
            select r.run_id, r.experiment, r.arm, r.prompt_id, r.task, p.text as prompt,
                   try(e.payload ->> '$.strategy') as strategy,
                   try(cast(e.payload -> '$.order' as varchar[])) as considered,
                   try(e.payload ->> '$.order[0]') as chosen,
                   r.why, r.propensity, r.cost_usd, r.latency_s, r.quality, r.status, r.model as answered_by,
                   coalesce(a.text, try(h.payload ->> '$.text')) as answer, r.simulated, r.started_at
            from runs r
            join events e on e.run_id = r.run_id and e.kind = 'routed'
            left join events h on h.run_id = r.run_id and h.kind = 'recalled'
            left join (select prompt_id, any_value(text) as text from prompts group by prompt_id) p
                on p.prompt_id = r.prompt_id
            left join answers a on a.run_id = r.run_id and a.kept""",
    }
)


def create() -> tuple[str, ...]:
    """Return the statements that make an empty log of this version, tables before views."""
    tables = (
        f"create table {name} ({', '.join(f'{column} {type_}' for column, type_ in table.columns.items())})"
        for name, table in TABLES.items()
    )
    return (*tables, *(f"create view {name} as {sql}" for name, sql in VIEWS.items()))
