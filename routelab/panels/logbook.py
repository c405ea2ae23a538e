"""What the log view asks of the log: filters become one condition, and every list is a query with a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Protocol

PAGE = 20
CHARTED = 20_000
"""How many calls a chart of the log is drawn from, the latest ones."""
SINCE: Mapping[str, timedelta | None] = MappingProxyType(
    {
        "all time": None,
        "the last hour": timedelta(hours=1),
        "the last day": timedelta(days=1),
        "the last week": timedelta(days=7),
    }
)
STATES: Mapping[str, str] = MappingProxyType(
    {
        "any end": "",
        "answered": "r.status in ('answered', 'recalled')",
        "not answered": "r.status not in ('answered', 'recalled')",
        "from a cache": "r.cached",
        "scored below 0.5": "r.quality < 0.5",
    }
)


class Log(Protocol):
    """What is asked."""

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a reading query."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which runs are looked at; None and the empty text mean all of them."""

    since: datetime | None = None
    experiment: str | None = None
    arm: str | None = None
    model: str | None = None
    task: str | None = None
    state: str = "any end"
    text: str = ""

    def where(self) -> tuple[str, list[Any]]:
        """Return the condition on `runs r` with its parameters; texts are parameters, never SQL."""
        parts, given = ["true"], []
        for column in ("experiment", "arm", "model", "task"):
            value = getattr(self, column)
            if value is not None:
                parts.append(f"coalesce(r.{column}, '') = ?")
                given.append(value)
        if self.since is not None:
            parts.append("r.started_at >= ?")
            given.append(self.since)
        if STATES[self.state]:
            parts.append(STATES[self.state])
        if self.text:
            parts.append("(contains(lower(p.text), lower(?)) or contains(lower(r.run_id), lower(?)))")
            given += [self.text, self.text]
        return " and ".join(parts), given

    def runs(self) -> tuple[str, list[Any]]:
        """Return a common table expression `r` with the runs and their prompts' texts, and its parameters."""
        condition, given = self.where()
        return (
            f"""with p as (select prompt_id, any_value(text) as text from prompts group by prompt_id),
                r as (select r.*, p.text as prompt from runs r left join p using (prompt_id) where {condition})""",
            given,
        )


@dataclass(frozen=True, kw_only=True)
class Totals:
    """What the runs came to; `unpriced` calls are not in `spent_usd`, `simulated` is how many runs were."""

    runs: int
    simulated: int
    failed: int
    cached: int
    calls: int
    errors: int
    spent_usd: float
    unpriced: int
    judging_usd: float
    saved_usd: float
    input_tokens: int
    output_tokens: int
    estimated: int
    p50_s: float | None
    p95_s: float | None


def totals(log: Log, wanted: Wanted) -> Totals:
    """Return the sums over the runs wanted."""
    head, given = wanted.runs()
    found = log.query(
        f"""{head}, c as (select c.* from calls c where c.run_id in (select run_id from r)),
            j as (select s.* from scores s where s.judge <> '' and s.run_id in (select run_id from r)),
            h as (select saved_usd from cache_hits where run_id in (select run_id from r))
            select (select count(*) from r), (select count(*) filter (simulated) from r),
                   (select count(*) filter (status not in ('answered', 'recalled')) from r), (select count(*) filter (cached) from r),
                   count(*) filter (not cached), count(*) filter (status not in ('answered', 'recalled')),
                   coalesce(sum(cost_usd) filter (not cached), 0),
                   count(*) filter (not cached and cost_usd is null) + (select count(*) filter (cost_usd is null) from j),
                   (select coalesce(sum(cost_usd), 0) from j), (select coalesce(sum(saved_usd), 0) from h),
                   coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0),
                   count(*) filter (not cached and tokens_source not in ('usage', 'recorded')),
                   quantile_cont(latency_s, 0.5) filter (not cached and status = 'answered'),
                   quantile_cont(latency_s, 0.95) filter (not cached and status = 'answered')
            from c""",
        given,
    )[0]
    names = Totals.__dataclass_fields__
    return Totals(**dict(zip(names, found, strict=True)))


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A run in a list."""

    run_id: str
    at: datetime | None
    experiment: str
    arm: str
    task: str
    model: str
    status: str
    cost_usd: float | None
    latency_s: float | None
    quality: float | None
    cached: bool
    simulated: bool
    prompt: str
    error: str

    @property
    def answered(self) -> bool:
        """Whether there is an answer, of a model or out of a cache."""
        return self.status in ("answered", "recalled")


ORDERS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "latest": ("true", "started_at desc, run_id"),
        "dearest": ("cost_usd is not null", "cost_usd desc, run_id"),
        "slowest": ("latency_s is not null and not cached", "latency_s desc, run_id"),
        "errors": ("(status not in ('answered', 'recalled') or error is not null)", "started_at desc, run_id"),
        "cache hits": ("cached", "started_at desc, run_id"),
    }
)
"""The lists of runs: which of those wanted, in which order."""


def page(log: Log, wanted: Wanted, order: str, start: int, size: int = PAGE) -> tuple[list[Kept], int]:
    """Return the runs from number `start` on in one of `ORDERS`, and how many there are in all.

    The error of a run is that of its last failed call, also where another model answered afterwards.
    """
    head, given = wanted.runs()
    only, by = ORDERS[order]
    found = log.query(
        f"""{head}, e as (select run_id, arg_max(error, attempt) as error from calls where error is not null group by run_id),
            l as (select r.*, e.error from r left join e using (run_id))
            select run_id, started_at, coalesce(experiment, ''), coalesce(arm, ''), coalesce(task, ''), coalesce(model, ''),
                   coalesce(status, ''), cost_usd, latency_s, quality, coalesce(cached, false), coalesce(simulated, false),
                   coalesce(left(prompt, 400), ''), coalesce(error, ''), count(*) over ()
            from l where {only} order by {by} limit {int(size)} offset {int(start)}""",
        given,
    )
    names = tuple(Kept.__dataclass_fields__)
    runs = [Kept(**dict(zip(names, values[:-1], strict=True))) for values in found]
    if runs or start == 0:
        return runs, int(found[0][-1]) if found else 0
    return runs, page(log, wanted, order, 0, 1)[1]


def calls(log: Log, wanted: Wanted) -> list[dict[str, Any]]:
    """Return the latest calls of the runs wanted as rows of `calls`, oldest first, for a chart."""
    head, given = wanted.runs()
    names = [name for (name,) in log.query("select column_name from (describe calls)")]
    found = log.query(
        f"""{head} select c.* from calls c where c.run_id in (select run_id from r)
            order by c.started_at desc limit {CHARTED}""",
        given,
    )
    return [dict(zip(names, values, strict=True)) for values in reversed(found)]


def kinds(log: Log, wanted: Wanted) -> list[tuple[Any, ...]]:
    """Return one row a query type (task × model, the dearest first): calls, input, cached, output, reasoning, estimated, USD, unpriced, simulated."""
    head, given = wanted.runs()
    return log.query(
        f"""{head} select coalesce(c.task, ''), c.requested_model, count(*), sum(c.input_tokens), sum(c.cached_tokens),
                   sum(c.output_tokens), sum(c.reasoning_tokens), count(*) filter (c.tokens_source not in ('usage', 'recorded')),
                   sum(c.cost_usd), count(*) - count(c.cost_usd), bool_or(c.simulated)
            from calls c where not c.cached and c.run_id in (select run_id from r)
            group by 1, 2 order by sum(c.cost_usd) desc nulls last, 1, 2 limit 40""",
        given,
    )


def choices(log: Log) -> dict[str, list[str]]:
    """Return what the filters can be set to: the experiments (latest first), arms, models and tasks of the log."""
    return {
        column: [
            value
            for (value,) in log.query(
                f"""select {column} from runs where {column} is not null and {column} <> ''
                    group by 1 order by {"max(started_at) desc" if column == "experiment" else "1"} limit 500"""
            )
        ]
        for column in ("experiment", "arm", "model", "task")
    }
