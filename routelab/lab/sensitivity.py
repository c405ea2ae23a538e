"""Does the verdict survive other prices, other traffic, and one model fewer?"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from routelab.core.errors import DataError, RoutelabError
from routelab.core.ports import Floats
from routelab.core.values import Price
from routelab.lab.compare import Arm, Comparison
from routelab.lab.outcomes import Ints, Outcomes
from routelab.lab.referees import referee_of
from routelab.lab.replay import Planner, planned
from routelab.lab.spread import cost_ratio
from routelab.lab.statistics import Estimate, NonInferiority, Verdict, mean, non_inferiority, tango
from routelab.lab.walk import walk
from routelab.present.table import Table

NO_TASK = "(no task)"
FEW_DISCORDANT = 10
"""With fewer pairs that differ, a t interval is too narrow (see `paired_difference`)."""
PRICE_RANGE = (1e-3, 1e3)
"""How far a price is moved in search of the point where the arm stops (or starts) being cheaper."""


@dataclass(frozen=True, kw_only=True)
class BreakEven:
    """How far one model's price can move, all others as they are, before the arm costs as much as the baseline.

    `factor` times today's price is where the two costs are equal; up to `sure_factor` the whole interval of the cost
    ratio stays on its present side of 1. Both are None when no price between a thousandth and a thousandfold does
    it; `sure_factor` is also None when the interval holds 1 already. `price` is the break-even price where the list
    price is known.
    """

    model: str
    arm_share: float
    """The model's part of what the arm costs today."""
    factor: float | None
    sure_factor: float | None
    price: Price | None


def spend_by_model(arm: Arm, outcomes: Outcomes, *, plan_for: Planner = planned) -> Floats:
    """Return what an arm pays on each prompt, USD, n × (models + 1): refused and failed attempts count, judges are last.

    The arm's plan is walked once a model with the other models' costs at 0, so the decisions stay as they were.
    """
    n, m = outcomes.cost_usd.shape
    if isinstance(arm.config, str):
        spent = np.zeros((n, m + 1))
        column = outcomes.column(arm.config)
        spent[:, column] = outcomes.cost_usd[:, column]
        return spent
    plan = plan_for(arm.config, outcomes.prompts, outcomes.roster)
    referee = referee_of(arm.name, plan.gate, outcomes)
    columns = np.arange(m, dtype=np.intp)
    spent = np.empty((n, m + 1))
    for k in range(m):
        alone = np.where(columns[None, :] == k, outcomes.cost_usd, 0.0)
        found = walk(plan, dataclasses.replace(outcomes, cost_usd=alone), columns, referee)
        spent[:, k], spent[:, m] = found.cost_usd - found.judging_usd, found.judging_usd
    return spent


def break_even(comparison: Comparison, arm: str, *, plan_for: Planner = planned) -> tuple[BreakEven, ...]:
    """Return the break-even price of every model that the arm or the baseline pays, the most critical first.

    With A and B what arm and baseline pay the model, and a and b what they pay all others, costs are equal at the
    factor k = (b − a)/(A − B). Decisions stay as they are: an arm that looks at prices would decide anew. DataError
    when costs are not known.
    """
    spend = _spends(comparison, arm, plan_for)
    outcomes, mine, base, found = spend.outcomes, spend.arm, spend.baseline, []
    for k, model in enumerate(outcomes.models):
        own, their = mine[:, k], base[:, k]
        if not own.sum() > 0 and not their.sum() > 0:
            continue
        rest, their_rest = np.delete(mine, k, axis=1).sum(axis=1), np.delete(base, k, axis=1).sum(axis=1)

        def ratio(factor: float, parts: tuple[Floats, ...] = (own, rest, their, their_rest)) -> Estimate | None:
            return cost_ratio(parts[0] * factor + parts[1], parts[2] * factor + parts[3], outcomes.clusters)

        slope = float(own.sum() - their.sum())
        # With equal calls on both sides no price of this model tells them apart; the sums are rounded.
        level = abs(slope) > 1e-12 * float(own.sum() + their.sum())
        factor = float(their_rest.sum() - rest.sum()) / slope if level else math.nan
        crossing = factor if PRICE_RANGE[0] <= factor <= PRICE_RANGE[1] else None
        listed = outcomes.prices.get(model)
        found.append(
            BreakEven(
                model=model,
                arm_share=float(own.sum() / mine.sum()) if mine.sum() > 0 else 0.0,
                factor=crossing,
                sure_factor=None if crossing is None else _sure(ratio, crossing),
                price=None if crossing is None or listed is None else _times(listed, crossing),
            )
        )
    return tuple(sorted(found, key=lambda b: math.inf if b.factor is None else abs(math.log(b.factor))))


def at_prices(
    comparison: Comparison, arm: str, factors: Mapping[str, float], *, plan_for: Planner = planned
) -> Estimate | None:
    """Return the cost ratio of an arm to the baseline with some models' prices multiplied; DataError for unknown costs."""
    spend = _spends(comparison, arm, plan_for)
    scale = np.ones(len(spend.outcomes.models) + 1)
    for model, factor in factors.items():
        scale[spend.outcomes.column(model)] = factor
    return cost_ratio(spend.arm @ scale, spend.baseline @ scale, spend.outcomes.clusters)


@dataclass(frozen=True, kw_only=True)
class Mix:
    """An arm against the baseline under another traffic mix; `survives`: the verdict is the one of the mix as asked."""

    shares: tuple[tuple[str, float], ...]
    against: NonInferiority
    cost_ratio: Estimate | None
    survives: bool


@dataclass(frozen=True, kw_only=True)
class Range:
    """Between which shares of one task the verdict stays as it is, the other tasks keeping their proportions."""

    task: str
    share: float
    low: float
    high: float
    difference: float
    verdict: Verdict


def reweighted(comparison: Comparison, arm: str, shares: Mapping[str, float]) -> Mix:
    """Return the verdict and the cost ratio when tasks come in other shares (scaled to sum to 1).

    The weighted mean Σ_t w_t·d̄_t with the linearised variance of Hájek's estimator (Särndal, Swensson and Wretman,
    Model Assisted Survey Sampling, 1992, 5.7), clustered where prompts are grouped, and as in `paired_difference`
    widened to Tango's score interval, at the effective number of prompts: today's mix gives today's interval.
    DataError for a task without prompts and for prompts without tasks.
    """
    pairs, known = _pairs(comparison, arm)
    unknown = [t for t in shares if t not in known]
    total = sum(shares.values())
    if unknown or not shares or min(shares.values()) < 0 or not total > 0:
        raise DataError(
            f"no prompts of task '{unknown[0]}'" if unknown else "shares must be at least 0 and sum to more than 0",
            hint=f"tasks there: {', '.join(known)}",
        )
    weights = np.array([shares.get(t, 0.0) / total for t in known])
    against, ratio = _weighted(pairs, weights, comparison.terms.margin)
    was = comparison[arm].figures.against
    return Mix(
        shares=tuple((t, float(w)) for t, w in zip(known, weights, strict=True)),
        against=against,
        cost_ratio=ratio,
        survives=was is not None and against.verdict == was.verdict,
    )


def task_ranges(comparison: Comparison, arm: str, *, step: float = 0.01) -> tuple[Range, ...]:
    """Return for each task the range of its share, around today's, in which the verdict stays; the tightest first.

    The share moves in steps; the answer is as fine as they are.
    """
    pairs, known = _pairs(comparison, arm)
    if len(known) < 2:
        raise DataError("the prompts have one task, so there is no mix to vary", hint="give prompts a task")
    today = np.bincount(pairs.stratum, minlength=len(known)) / len(pairs.stratum)
    margin = comparison.terms.margin
    was = _weighted(pairs, today, margin)[0].verdict
    found = []
    for k, task in enumerate(known):

        def holds(share: float, k: int = k) -> bool:
            rest = np.where(np.arange(len(known)) == k, 0.0, today)
            weights = rest / rest.sum() * (1 - share)
            weights[k] = share
            return _weighted(pairs, weights, margin)[0].verdict == was

        d = (pairs.new - pairs.base)[pairs.stratum == k]
        found.append(
            Range(
                task=task,
                share=float(today[k]),
                low=_edge(holds, float(today[k]), -step),
                high=_edge(holds, float(today[k]), step),
                difference=float(d.mean()),
                verdict=was,
            )
        )
    return tuple(sorted(found, key=lambda r: r.high - r.low))


@dataclass(frozen=True, kw_only=True, eq=False)
class LeftOut:
    """What is decided without one model; `comparison` is None, and `why` says it, when it cannot be decided at all."""

    model: str
    comparison: Comparison | None
    winner: str | None
    baseline: str | None
    survives: bool
    why: str


def leave_one_out(
    outcomes: Outcomes, run: Callable[[Outcomes], Comparison], models: Sequence[str] = ()
) -> tuple[LeftOut, ...]:
    """Return the decision without each model in turn (or each of those named), `run` being a replay or a search.

    A verdict survives when something is adopted with the model and without it, or nothing in both. When a search
    (`lambda o: search(o, seed=0)`) runs anew, another arm may win: the finding "routing pays" is what survives.
    """
    whole = run(outcomes).winner() is not None
    found = []
    for model in models or outcomes.models:
        rest = [m for m in outcomes.models if m != model]
        outcomes.column(model)
        try:
            comparison = run(outcomes.only(rest)) if rest else None
        except RoutelabError as trouble:
            found.append(
                LeftOut(
                    model=model, comparison=None, winner=None, baseline=None, survives=not whole, why=trouble.message
                )
            )
            continue
        winner = None if comparison is None else comparison.winner()
        found.append(
            LeftOut(
                model=model,
                comparison=comparison,
                winner=None if winner is None else winner.name,
                baseline=None if comparison is None else _named(comparison.baseline),
                survives=(winner is not None) == whole,
                why="no model is left" if comparison is None else comparison.why,
            )
        )
    return tuple(found)


def price_table(found: Sequence[BreakEven], *, arm: str = "the arm", baseline: str = "the baseline") -> Table:
    """Return break-even prices as a table."""
    return Table(
        head=("model", f"part of {arm}'s cost", "break-even at", "sure up to", "break-even USD/Mtok in · out"),
        rows=[
            (
                b.model,
                f"{100 * b.arm_share:.1f} %",
                "never" if b.factor is None else f"× {b.factor:.3g}",
                "–" if b.sure_factor is None else f"× {b.sure_factor:.3g}",
                "–" if b.price is None else f"{b.price.usd_per_mtok_in:.3g} · {b.price.usd_per_mtok_out:.3g}",
            )
            for b in found
        ],
        numbers=frozenset({1, 2, 3, 4}),
        caption=f"how far one price can move before {arm} costs as much as {baseline}, all else as it is",
    )


def mix_table(found: Sequence[Range]) -> Table:
    """Return the ranges of the traffic mix as a table."""
    return Table(
        head=("task", "share now", "verdict stays from", "to", "difference there"),
        rows=[
            (r.task, *(f"{100 * s:.0f} %" for s in (r.share, r.low, r.high)), f"{100 * r.difference:+.1f}")
            for r in found
        ],
        numbers=frozenset({1, 2, 3, 4}),
        caption=f"the share of a task at which the verdict “{found[0].verdict}” changes" if found else "",
    )


def without_table(found: Sequence[LeftOut]) -> Table:
    """Return the decisions without each model as a table."""
    return Table(
        head=("without", "survives", "winner", "baseline"),
        rows=[(o.model, "yes" if o.survives else "no", o.winner or "–", o.baseline or o.why) for o in found],
        caption="the same decision with one model fewer",
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Pairs:
    stratum: Ints
    new: Floats
    base: Floats
    costs: tuple[Floats, Floats] | None
    clusters: Ints | None


def _weighted(pairs: _Pairs, weights: Floats, margin: float) -> tuple[NonInferiority, Estimate | None]:
    n = len(pairs.stratum)
    factor = (weights * n / np.maximum(1, np.bincount(pairs.stratum, minlength=len(weights))))[pairs.stratum]
    d = pairs.new - pairs.base
    value = float((factor * d).mean())
    found = mean(value + factor * (d - value), pairs.clusters)
    if pairs.clusters is None and found.se is not None:
        found = _at_effective_size(found, factor)
    rates, few = bool(np.isin(d, (-1.0, 0.0, 1.0)).all()), (d[factor > 0] != 0).sum() < FEW_DISCORDANT
    if found.interval is not None and (found.se == 0 if pairs.clusters is not None else rates or few):
        found = _with_score(found, factor, d)
    found = dataclasses.replace(found, value=value, method=f"weighted {found.method}")
    ratio = None
    if pairs.costs is not None:
        ratio = cost_ratio(factor * pairs.costs[0], factor * pairs.costs[1], pairs.clusters)
    return non_inferiority(found, margin), ratio


def _at_effective_size(found: Estimate, factor: Floats) -> Estimate:
    """Return the interval for as many prompts as the weights leave: where all weight lies on m prompts, their t interval."""
    n, units = found.n, float(factor.sum() ** 2 / (factor @ factor))
    if units < 2:
        return dataclasses.replace(found, low=None, high=None, note="the mix rests on one prompt")
    assert found.se is not None
    se = found.se * math.sqrt(units / (units - 1) * (n - 1) / n)
    reach = float(stats.t.ppf(0.975, units - 1)) * se
    return dataclasses.replace(found, se=se, low=found.value - reach, high=found.value + reach)


def _with_score(found: Estimate, factor: Floats, d: Floats) -> Estimate:
    """Return the interval widened to the score interval of the weighted shares of better and worse pairs."""
    units = float(factor.sum() ** 2 / (factor @ factor)) if found.clusters is None else float(found.clusters)
    size = max(1, round(units))
    better, worse = (round(size * float((factor * (sign * d > 0)).mean())) for sign in (1, -1))
    low, high = tango(better, worse, max(size, better + worse))
    assert found.low is not None
    assert found.high is not None
    return dataclasses.replace(found, low=min(found.low, low), high=max(found.high, high))


def _pairs(comparison: Comparison, arm: str) -> tuple[_Pairs, tuple[str, ...]]:
    """Return the pairs of an arm and the baseline with a known quality, and the names of their tasks."""
    prompts = comparison.outcomes.prompts if comparison.outcomes is not None else comparison.prompts
    if all(p.task is None for p in prompts):
        raise DataError("no prompt has a task, so there is no traffic mix to vary", hint="give prompts a task")
    one, base = comparison[arm].walked, comparison.baseline.walked
    rows = np.flatnonzero(~np.isnan(one.quality) & ~np.isnan(base.quality))
    tasks = [prompts[int(i)].task or NO_TASK for i in rows]
    known = tuple(sorted(set(tasks)))
    costs = (one.cost_usd[rows], base.cost_usd[rows])
    clusters = _clusters(comparison)
    pairs = _Pairs(
        stratum=np.array([known.index(t) for t in tasks], dtype=np.intp),
        new=one.quality[rows],
        base=base.quality[rows],
        costs=None if np.isnan(costs[0]).any() or np.isnan(costs[1]).any() else costs,
        clusters=None if clusters is None else clusters[rows],
    )
    return pairs, known


@dataclass(frozen=True, kw_only=True, eq=False)
class _Spend:
    """What arm and baseline pay each model on the prompts where both qualities are known, USD (pairs × models)."""

    arm: Floats
    baseline: Floats
    outcomes: Outcomes


def _spends(comparison: Comparison, arm: str, plan_for: Planner) -> _Spend:
    outcomes = comparison.outcomes
    if outcomes is None:
        raise DataError(
            "a live comparison does not hold what other prices would change", hint="replay its log: Outcomes.read(...)"
        )
    one, base = comparison[arm], comparison.baseline
    rows = np.flatnonzero(~np.isnan(one.walked.quality) & ~np.isnan(base.walked.quality))
    spends = [spend_by_model(a, outcomes, plan_for=plan_for)[rows] for a in (one, base)]
    if len(rows) == 0 or any(np.isnan(s).any() for s in spends):
        raise DataError(f"not every cost of '{arm}' and its baseline is known", hint="pass prices, or record the costs")
    return _Spend(arm=spends[0], baseline=spends[1], outcomes=outcomes.take(rows))


def _sure(ratio: Callable[[float], Estimate | None], crossing: float) -> float | None:
    """Return the factor between 1 and the crossing at which the interval of the ratio begins to hold 1."""
    now = ratio(1.0)
    if now is None or now.low is None or now.high is None or now.low <= 1 <= now.high:
        return None
    below = now.high < 1

    def end(log_factor: float) -> float:
        found = ratio(math.exp(log_factor))
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        return (found.high if below else found.low) - 1

    last = math.log(crossing)
    # With no spread the interval reaches 1 only where the ratio does.
    if end(last) * (1 if below else -1) <= 1e-12:
        return crossing
    return math.exp(float(optimize.brentq(end, *sorted((0.0, last)))))


def _clusters(comparison: Comparison) -> Ints | None:
    if comparison.outcomes is not None:
        return comparison.outcomes.clusters
    groups = [p.group or p.id for p in comparison.prompts]
    seen = {g: k for k, g in enumerate(dict.fromkeys(groups))}
    return np.array([seen[g] for g in groups], dtype=np.intp) if any(p.group for p in comparison.prompts) else None


def _edge(holds: Callable[[float], bool], start: float, step: float) -> float:
    share = start
    while True:
        further = min(1.0, max(0.0, share + step))
        if further == share or not holds(further):
            return share
        share = further


def _times(price: Price, factor: float) -> Price:
    return dataclasses.replace(
        price,
        usd_per_mtok_in=price.usd_per_mtok_in * factor,
        usd_per_mtok_out=price.usd_per_mtok_out * factor,
        usd_per_mtok_cached_in=None if price.usd_per_mtok_cached_in is None else price.usd_per_mtok_cached_in * factor,
        usd_per_mtok_cache_write=None
        if price.usd_per_mtok_cache_write is None
        else price.usd_per_mtok_cache_write * factor,
    )


def _named(baseline: Arm) -> str:
    return baseline.config if isinstance(baseline.config, str) else baseline.name
