"""Templates that use far more than they need: the same prompts, the same model, another template, and nothing lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from routelab.core.ports import Floats
from routelab.lab.significance import holm
from routelab.lab.spread import cost_ratio
from routelab.lab.statistics import Estimate, NonInferiority, non_inferiority, p_below, paired_difference
from routelab.lab.usage.findings import Finding, Untold, share_text
from routelab.lab.usage.scope import Log, Scope, template_column
from routelab.present import interval, signed

PAIRS = 20
"""Fewer prompts in common are not looked at."""
SPARED = 0.10
"""The least part of the cost that a leaner template must spare to be told."""
ALPHA = 0.025
"""One-sided, as a two-sided interval of 95 % has it."""
NOT_SENT = ("MissingKey", "Cancelled", "BudgetExceeded")

# One row for each prompt, model and template: the latest run's, retries added up, as in the outcomes of a log. An answer of
# which no quality is known says nothing; a call without an answer is a failure.
_CELLS = """
    with c as (
        select c.run_id, c.prompt_id, coalesce(c.task, '') as task, c.requested_model as model, {template} as template,
               coalesce(c.simulated, false) as simulated, max(c.started_at) as at, bool_or(c.status = 'answered') as answered,
               case when count(*) filter (c.status = 'answered' and (c.input_tokens is null or c.output_tokens is null)) > 0 then null
                    else sum(coalesce(c.input_tokens, 0) + coalesce(c.output_tokens, 0)) end as tokens,
               case when count(*) filter (c.status = 'answered' and c.cost_usd is null) > 0 then null
                    else coalesce(sum(c.cost_usd), 0) end as cost_usd,
               any_value(c.arm) as arm
        from calls c where not c.cached and c.status not in (select unnest(?::varchar[])) and {where} group by 1, 2, 3, 4, 5, 6
    ), m as (
        select run_id, model, arg_max(quality, seq) as quality from scores where accepted is null group by run_id, model
    ), g as (
        select prompt_id, arg_max(try(content ->> '$.group'), added_at) as grouped from prompts group by prompt_id
    )
    select c.model, c.simulated, c.task, c.template, c.prompt_id, c.tokens, c.cost_usd,
           case when c.answered then m.quality else 0 end, g.grouped, c.arm
    from c left join m on m.run_id = c.run_id and m.model = c.model left join g on g.prompt_id = c.prompt_id
    qualify row_number() over (partition by c.prompt_id, c.model, c.simulated, c.template order by c.at desc, c.run_id desc) = 1
    order by all
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """What one prompt took under one template."""

    task: str
    tokens: float | None
    cost_usd: float | None
    quality: float | None
    group: str | None
    arm: str


Asked = Mapping[str, Mapping[str, Cell]]
"""Cells by template and prompt, of one model."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Versus:
    """A leaner template against one, over the prompts that both were asked with."""

    lean: str
    n: int
    ratio: Estimate | None
    of: str
    quality: NonInferiority | None
    tokens: float
    usd: float | None
    worse_at: tuple[str, ...] = ()

    @property
    def p(self) -> float:
        """The p value of not being both as good and cheaper (the larger of the two: both must hold)."""
        if self.quality is None:
            return 1.0
        return max(self.quality.p, p_below(self.ratio, 1.0 - SPARED))


def heavy(log: Log, scope: Scope, *, margin: float) -> tuple[list[Finding], list[Untold]]:
    """Return the templates that use more than the leanest one as good, and what could not be decided."""
    found: list[Finding] = []
    untold: list[Untold] = []
    for (model, simulated), asked in _asked(log, scope).items():
        for template in asked:
            named = (template, model, simulated)
            told, open_ = _of_template(asked, named, margin)
            found += told
            untold += open_
    return found, untold


def _asked(log: Log, scope: Scope) -> dict[tuple[str, bool], dict[str, dict[str, Cell]]]:
    where, given = scope.where(row="c")
    rows = log.query(_CELLS.format(template=template_column(log), where=where), [list(NOT_SENT), *given])
    held: dict[tuple[str, bool], dict[str, dict[str, Cell]]] = {}
    for model, simulated, task, template, prompt, tokens, cost, quality, group, arm in rows:
        cell = Cell(
            task=task,
            tokens=None if tokens is None else float(tokens),
            cost_usd=cost,
            quality=quality,
            group=group,
            arm=arm or "",
        )
        held.setdefault((model, simulated), {}).setdefault(template, {})[prompt] = cell
    return held


def _of_template(asked: Asked, named: tuple[str, str, bool], margin: float) -> tuple[list[Finding], list[Untold]]:
    """Return what is found of one template: over all tasks together, else task by task."""
    template = named[0]
    tasks = sorted({cell.task for cell in asked[template].values()})
    levels: list[str | None] = [None, *tasks] if len(tasks) > 1 else list(tasks)
    untold: list[Untold] = []
    found: list[Finding] = []
    for level in levels:
        others = [_versus(asked, template, lean, level, margin) for lean in asked if lean != template]
        leaner = sorted(
            (v for v in others if v is not None and v.tokens > 0),
            key=lambda v: 1.0 if v.ratio is None else v.ratio.value,
        )
        if not leaner:
            continue
        adjusted = holm(np.array([v.p for v in leaner]))
        best = next((v for v, p in zip(leaner, adjusted, strict=True) if p <= ALPHA), None)
        if best is not None:
            found.append(_finding(best, level, named))
        elif level is None or len(levels) == 1:
            untold += [_untold(leaner[0], level, named, margin)]
        if best is not None and level is None:
            break
    return found, untold


def _versus(asked: Asked, template: str, lean: str, task: str | None, margin: float) -> Versus | None:
    """Return the leaner template against this one; None where they share no prompt."""
    both = [
        (asked[template][p], asked[lean][p])
        for p in asked[template].keys() & asked[lean].keys()
        if task is None or asked[template][p].task == task
    ]
    both = [(a, b) for a, b in both if a.tokens is not None and b.tokens is not None]
    if not both:
        return None
    tokens = _column(both, "tokens")
    spared = float((tokens[0] - tokens[1]).mean())
    priced = all(a.cost_usd is not None and b.cost_usd is not None for a, b in both)
    costs = _column(both, "cost_usd") if priced else None
    usd = None if costs is None else float((costs[0] - costs[1]).mean())
    paid, of = (costs, "cost") if costs is not None and costs[0].sum() > 0 else (tokens, "tokens")
    clusters = _clusters([a.group for a, _ in both])
    scored = [(a, b) for a, b in both if a.quality is not None and b.quality is not None]
    quality = None
    worse: tuple[str, ...] = ()
    if len(scored) >= PAIRS:
        quality = _quality(scored, margin)
        worse = tuple(sorted(t for t in {a.task for a, _ in scored} if task is None and _worse(scored, t, margin)))
    ratio = cost_ratio(paid[1], paid[0], clusters) if len(both) >= PAIRS else None
    return Versus(lean=lean, n=len(scored), ratio=ratio, of=of, quality=quality, tokens=spared, usd=usd, worse_at=worse)


def _quality(scored: Sequence[tuple[Cell, Cell]], margin: float) -> NonInferiority:
    values = _column(scored, "quality")
    clusters = _clusters([a.group for a, _ in scored])
    return non_inferiority(paired_difference(values[1], values[0], clusters), margin)


def _worse(scored: Sequence[tuple[Cell, Cell]], task: str, margin: float) -> bool:
    own = [(a, b) for a, b in scored if a.task == task]
    return len(own) >= PAIRS and _quality(own, margin).verdict == "worse"


def _column(both: Sequence[tuple[Cell, Cell]], name: str) -> tuple[Floats, Floats]:
    first, second = ([getattr(pair[k], name) for pair in both] for k in (0, 1))
    return np.array(first, dtype=float), np.array(second, dtype=float)


def _clusters(groups: Sequence[str | None]) -> NDArray[np.intp] | None:
    if all(g is None for g in groups):
        return None
    names = [("group", g) if g is not None else ("prompt", str(i)) for i, g in enumerate(groups)]
    place = {name: k for k, name in enumerate(dict.fromkeys(names))}
    return np.array([place[name] for name in names], dtype=np.intp)


def _called(template: str) -> str:
    return f"“{template}”" if template else "no template"


def _finding(best: Versus, task: str | None, named: tuple[str, str, bool]) -> Finding:
    template, model, simulated = named
    assert best.quality is not None
    assert best.ratio is not None
    spared = _spared(best.ratio)
    gap = best.quality.difference
    but = f"; worse at {', '.join(best.worse_at)}" if best.worse_at else ""
    return Finding(
        kind="template",
        task=task,
        template=template,
        model=model,
        simulated=simulated,
        says=f"{_called(best.lean)} spares {share_text(spared)} of the {best.of} on the same prompts, quality "
        f"{signed(gap.value)} {interval(gap.low, gap.high)} points{but}",
        tokens=best.tokens,
        usd_per_thousand=None if best.usd is None else 1000 * best.usd,
        share=spared,
        of=best.of,
        n=best.n,
        unit="prompts asked with both",
        next=f"use {_called(best.lean)}"
        + (f", but keep this one for {', '.join(best.worse_at)}" if best.worse_at else ""),
        instead=best.lean,
        shown=True,
        quality=best.quality,
    )


def _spared(ratio: Estimate) -> Estimate:
    low, high = (None if end is None else 1 - end for end in (ratio.high, ratio.low))
    return Estimate(value=1 - ratio.value, low=low, high=high, se=ratio.se, n=ratio.n, clusters=ratio.clusters)


def _untold(lean: Versus, task: str | None, named: tuple[str, str, bool], margin: float) -> Untold:
    template, model, simulated = named
    who = f"{_called(lean.lean)} takes {lean.tokens:,.0f} tokens less a call"
    if lean.quality is None or lean.ratio is None:
        why = f"{who}, but not enough prompts were asked with both and scored: {lean.n:,}, at least {PAIRS} are wanted"
        move = "ask the same prompts with both templates and score them: lab.compare(prompts, arms)"
    elif lean.quality.verdict == "worse":
        gap = lean.quality.difference
        why = f"{who} and is worse: {signed(gap.value)} {interval(gap.low, gap.high)} points on {lean.n:,} prompts"
        move = "nothing: the longer template earns its tokens here"
    elif lean.quality.verdict == "non-inferior":
        why = f"{who}, but that it spares at least {100 * SPARED:g} % of the {lean.of} as the best of several is not certain"
        move = "ask more prompts with both templates"
    else:
        gap, needed = lean.quality.difference, lean.quality.n_needed
        more = f"about {needed:,} prompts would decide it" if needed is not None else "no feasible number decides it"
        why = (
            f"{who}; not enough prompts to say whether it is as good: {signed(gap.value)} {interval(gap.low, gap.high)} points on "
            f"{lean.n:,}, margin {100 * margin:g}; {more}"
        )
        move = "ask more prompts with both templates, or decide on a larger margin beforehand"
    earned = lean.quality is not None and lean.quality.verdict == "worse"
    return Untold(task=task, template=template, model=model, simulated=simulated, why=why, next=move, earned=earned)
