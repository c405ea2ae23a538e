"""What every type of query uses: a type is a task, a template's version and a model, and simulated calls are a type of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from routelab.core.values import Price
from routelab.lab.usage.scope import Log, Scope, template_column
from routelab.present import Table, bundle, percent, usd

if TYPE_CHECKING:
    import pandas as pd

    from routelab.lab.charts import Chart

Prices = Callable[[str], Price | None]

PARTS = ("input", "cached", "output", "reasoning")
NO_TEMPLATE, NO_TASK = "no template", "no task"
AGREES = 0.01
"""A split of the cost into parts is shown when the parts, at the fleet's prices, come to what was paid up to this share."""

# Calls, what judges were asked (the log keeps no source of their counts, so they count as estimates), and the summaries
# of context policies, which belong to the run's type of query.
_USED = """
    select 'answering' as what, coalesce(c.task, '') as task, {template} as template, c.requested_model as model,
           coalesce(c.simulated, false) as simulated, c.status, c.finish, c.input_tokens as given, c.output_tokens as made,
           case when c.cached_tokens is not null then least(c.cached_tokens, c.input_tokens) end as cached,
           case when c.reasoning_tokens is not null then least(c.reasoning_tokens, c.output_tokens) end as thought,
           coalesce(c.tokens_source, '') in ('usage', 'recorded') as counted, c.cost_usd as usd, 1 as times
    from calls c where not c.cached and {calls}
    union all
    select case when s.accepted is null then 'measuring' else 'judging' end, coalesce(s.task, ''), '', s.judge,
           coalesce(s.simulated, false), 'answered', null, s.input_tokens, s.output_tokens, null, null, false, s.cost_usd, 1
    from scores s where s.judge <> '' and {scores}
    union all
    select 'summarising', coalesce(r.task, ''), '', e.payload ->> '$.summarisers[0]',
           coalesce(try(cast(e.payload ->> '$.simulated' as boolean)), false), 'answered', null,
           try(cast(e.payload ->> '$.tokens.input' as bigint)), try(cast(e.payload ->> '$.tokens.output' as bigint)),
           try(cast(e.payload ->> '$.tokens.cached' as bigint)), try(cast(e.payload ->> '$.tokens.reasoning' as bigint)),
           coalesce(e.payload ->> '$.tokens.source', '') in ('usage', 'recorded'),
           try(cast(e.payload ->> '$.cost_usd' as double)), coalesce(try(json_array_length(e.payload, '$.summarisers')), 1)
    from (
        -- Few events hold summaries; reading all others as JSON would take longer than everything else.
        select * from events where kind = 'compacted' and contains(payload, '"summarisers":')
    ) e join runs r using (run_id)
    where try(e.payload ->> '$.summarisers[0]') is not null and {events}
"""
# What failed before anything was counted used nothing that anybody knows of, and stands apart.
_TYPES = """
    with u as ({used}), k as (
        select *, status = 'answered' or given is not null as real, given is not null and made is not null as known from u
    )
    select what, task, template, model, simulated,
           coalesce(sum(times) filter (real), 0), coalesce(sum(times) filter (not real), 0),
           count(*) filter (real and not known), count(*) filter (known and not counted), count(*) filter (finish = 'length'),
           sum(usd) filter (real), count(*) filter (real and usd is null),
           {amounts},
           sum(given) filter (known and usd is not null), sum(made) filter (known and usd is not null),
           sum(cached) filter (known and usd is not null), sum(thought) filter (known and usd is not null),
           sum(usd) filter (known and usd is not null)
    from k group by all
"""
_COLUMNS = {"input": "given", "cached": "cached", "output": "made", "reasoning": "thought"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Amount:
    """Tokens of one part over the `known` calls that say: their sum, mean, median and 95th percentile a call."""

    total: int
    mean: float
    p50: float
    p95: float
    known: int


@dataclass(frozen=True, kw_only=True)
class Type:
    """What one type of query used. `input` includes `cached`, `output` includes `reasoning`; an Amount of None: no call says.

    `calls` were answered or counted, `failed` were not and are no part of the figures; `unknown` of the calls have no counts and
    `unpriced` no cost, so that more was used and paid. `estimated` counts are no provider's; `cut` answers ended at their limit.
    `parts_usd` divides the cost of the calls whose counts and cost are known; None where the fleet's prices do not explain it.
    """

    what: str
    task: str
    template: str
    model: str
    simulated: bool
    calls: int
    failed: int
    unknown: int
    estimated: int
    cut: int
    cost_usd: float | None
    unpriced: int
    input: Amount | None
    cached: Amount | None
    output: Amount | None
    reasoning: Amount | None
    parts_usd: Mapping[str, float] | None
    share: float | None = None
    """Its part of what all types cost together, simulated ones among themselves."""

    @property
    def name(self) -> str:
        """The type in words."""
        kind = self.template or (NO_TEMPLATE if self.what == "answering" else self.what)
        return f"{self.task or NO_TASK} · {kind} · {self.model}{' (simulated)' if self.simulated else ''}"

    @property
    def thousand_usd(self) -> float | None:
        """What a thousand calls cost, of those whose cost is known."""
        priced = self.calls - self.unpriced
        return None if self.cost_usd is None or priced < 1 else 1000 * self.cost_usd / priced

    @property
    def total(self) -> int:
        """All tokens that were counted."""
        return sum(amount.total for amount in (self.input, self.output) if amount is not None)

    @property
    def disjoint(self) -> dict[str, int | None]:
        """The sums of the parts without overlap: input that was not cached, cached, output that was said, reasoning."""
        cached, thought = (None if a is None else a.total for a in (self.cached, self.reasoning))
        given, made = (None if a is None else a.total for a in (self.input, self.output))
        return {
            "input": None if given is None else given - (cached or 0),
            "cached": cached,
            "output": None if made is None else made - (thought or 0),
            "reasoning": thought,
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class Usage:
    """The types, the dearest first, of the calls in `scope`."""

    types: tuple[Type, ...]
    scope: Scope = Scope()

    def __len__(self) -> int:
        return len(self.types)

    @property
    def simulated(self) -> bool | None:
        """Whether all calls are simulated; None: some of them."""
        found = {t.simulated for t in self.types}
        return None if len(found) == 2 else found == {True}

    def frame(self) -> pd.DataFrame:
        """Return a pandas frame with a row a type; tokens of a part as mean, p50, p95 and total, costs in USD, NaN not known."""
        import pandas as pd

        return pd.DataFrame([_flat(t) for t in self.types], columns=list(COLUMNS))

    def table(self, *, limit: int = 40) -> Table:
        """Return the dearest types as a table: tokens a call (mean, and the 95th percentile), and cost."""
        mixed = self.simulated is None
        rows = [_cells(t, tell=mixed) for t in self.types[:limit]]
        hidden = len(self.types) - len(rows)
        return Table(
            head=(
                "task",
                "template",
                "model",
                "calls",
                "input",
                "cached",
                "output",
                "reasoning",
                "cut",
                "per 1,000",
                "of the cost, and where",
            ),
            rows=rows or [("–",) * 11],
            numbers=frozenset(range(3, 10)),
            caption="tokens by query type, the dearest first" + (" (all simulated)" if self.simulated else ""),
            notes=(
                "tokens a call and USD per 1,000 calls; tokens: mean, and in brackets the 95th percentile; input includes cached, output includes reasoning; ~ holds estimates, "
                "– no call says, ? not known; cut: answers that ended at their limit",
                *((f"{hidden:,} cheaper types are not shown",) if hidden else ()),
                *(("of the cost: simulated types among themselves",) if mixed else ()),
            ),
        )

    def chart(self, **options: Any) -> Chart:
        """Return the types as stacked bars; see `charts.usage`."""
        from routelab.lab.charts.usage import usage as drawn

        return drawn(self, **options)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return bundle(self.table())

    def __repr__(self) -> str:
        return f"<Usage of {len(self.types)} query types>"


def usage(log: Log, scope: Scope | None = None, *, prices: Prices = lambda model: None) -> Usage:
    """Return what every type of query in the log used; `prices` gives a model's price by its name, to divide costs into parts."""
    scope = Scope() if scope is None else scope
    used, given = _used(log, scope)
    amounts = ", ".join(
        f"sum({c}) filter (known), avg({c}) filter (known), quantile_cont({c}, 0.5) filter (known), quantile_cont({c}, 0.95) filter (known), "
        f"count({c}) filter (known)"
        for c in (_COLUMNS[part] for part in PARTS)
    )
    rows = log.query(_TYPES.format(used=used, amounts=amounts), given)
    found = [_type(row, prices) for row in rows]
    spent = {flag: sum(t.cost_usd or 0.0 for t in found if t.simulated is flag) for flag in (False, True)}
    found = [_shared(t, spent[t.simulated]) for t in found]
    found.sort(key=lambda t: (t.cost_usd is None, -(t.cost_usd or 0.0), -t.total, t.name))
    return Usage(types=tuple(found), scope=scope)


def _used(log: Log, scope: Scope) -> tuple[str, list[Any]]:
    calls, first = scope.where(row="c")
    scores, second = scope.where("judge", row="s")
    events, third = scope.where("(e.payload ->> '$.summarisers[0]')", row="r")
    text = _USED.format(template=template_column(log), calls=calls, scores=scores, events=events)
    return text, [*first, *second, *third]


def _type(row: tuple[Any, ...], prices: Prices) -> Type:
    head, rest = row[:12], row[12:]
    given, cached, made, thought = (_amount(rest[5 * k : 5 * k + 5]) for k in range(len(PARTS)))
    what, task, template, model, simulated, calls, failed, unknown, estimated, cut, cost, unpriced = head
    return Type(
        what=what,
        task=task,
        template=template,
        model=model or "?",
        simulated=bool(simulated),
        calls=int(calls),
        failed=int(failed),
        unknown=unknown,
        estimated=estimated,
        cut=cut,
        cost_usd=cost,
        unpriced=unpriced,
        parts_usd=_parts(prices(model or ""), *rest[20:]),
        input=given,
        cached=cached,
        output=made,
        reasoning=thought,
    )


def _amount(values: tuple[Any, ...]) -> Amount | None:
    total, mean, p50, p95, known = values
    return None if not known else Amount(total=int(total), mean=mean, p50=p50, p95=p95, known=known)


def _parts(
    price: Price | None,
    given: int | None,
    made: int | None,
    cached: int | None,
    thought: int | None,
    paid: float | None,
) -> Mapping[str, float] | None:
    """Return the cost of each part at the price, or None where that is not what was paid."""
    if price is None or given is None or made is None or not paid:
        return None
    kept = price.usd_per_mtok_cached_in if price.usd_per_mtok_cached_in is not None else price.usd_per_mtok_in
    parts = {
        "input": (given - (cached or 0)) * price.usd_per_mtok_in / 1e6,
        "cached": (cached or 0) * kept / 1e6,
        "output": (made - (thought or 0)) * price.usd_per_mtok_out / 1e6,
        "reasoning": (thought or 0) * price.usd_per_mtok_out / 1e6,
    }
    return parts if abs(sum(parts.values()) - paid) <= AGREES * paid else None


def _shared(found: Type, spent: float) -> Type:
    share = found.cost_usd / spent if found.cost_usd is not None and spent > 0 else None
    return Type(**{f.name: getattr(found, f.name) for f in fields(Type)} | {"share": share})


_FACTS = (
    "what",
    "task",
    "template",
    "model",
    "simulated",
    "calls",
    "failed",
    "unknown",
    "estimated",
    "cut",
    "unpriced",
)
_SPREAD = ("mean", "p50", "p95", "total")
_COSTS = ("cost_usd", "usd_per_thousand", "cost_share")
COLUMNS = (
    *_FACTS,
    *(f"{part}_{name}" for part in PARTS for name in _SPREAD),
    *(f"{part}_cost_share" for part in PARTS),
    *_COSTS,
)
"""The columns of the frame."""


def _flat(t: Type) -> dict[str, Any]:
    nan = float("nan")
    flat: dict[str, Any] = {name: getattr(t, name) for name in _FACTS}
    for part in PARTS:
        amount: Amount | None = getattr(t, part)
        for name in _SPREAD:
            flat[f"{part}_{name}"] = nan if amount is None else float(getattr(amount, name))
    paid = sum((t.parts_usd or {}).values())
    for part in PARTS:
        flat[f"{part}_cost_share"] = t.parts_usd[part] / paid if t.parts_usd is not None and paid > 0 else nan
    told = zip(_COSTS, (t.cost_usd, t.thousand_usd, t.share), strict=True)
    return {**flat, **{name: nan if value is None else value for name, value in told}}


def _cells(t: Type, *, tell: bool) -> tuple[str, ...]:
    calls = f"{t.calls:,}" + (f" ({t.unknown:,} not counted)" if t.unknown else "")
    calls += f" + {t.failed:,} failed" if t.failed else ""
    price = usd(t.thousand_usd) + (f" ({t.unpriced:,} unpriced)" if t.unpriced else "")
    return (
        t.task or "–",
        t.template or ("–" if t.what == "answering" else t.what),
        t.model + (" (simulated)" if t.simulated and tell else ""),
        calls,
        *(_said(getattr(t, part), t) for part in PARTS),
        f"{t.cut:,}" + (f" ({percent(t.cut / t.calls)})" if t.cut else ""),
        price,
        f"{percent(t.share)}: {where_cost(t)}" if t.parts_usd else percent(t.share),
    )


def _said(amount: Amount | None, t: Type) -> str:
    if amount is None:
        return "–" if t.calls > t.unknown else "?"
    return f"{'~' if t.estimated else ''}{amount.mean:,.0f} ({amount.p95:,.0f})"


def where_cost(t: Type) -> str:
    """Return the two largest parts of a type's cost in words; "?" where prices do not explain it."""
    if t.parts_usd is None:
        return "?"
    paid = sum(t.parts_usd.values())
    parts = sorted(((v, k) for k, v in t.parts_usd.items() if v > 0), reverse=True)
    return ", ".join(f"{name} {percent(value / paid, 0)}" for value, name in parts[:2]) or "–"
