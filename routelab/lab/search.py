"""What a replay tries when nobody names arms: candidates are judged on tune by cross-fitting, the best go to confirm.

A source is a function from the tune outcomes to candidates, so a new strategy joins by being passed in. Every
candidate counts as tried. Only the nominated ones can win, and the correction for several arms is over these: no
other candidate's confirm figures are looked at to choose.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from routelab.config import RouteConfig
from routelab.core.ports import Floats
from routelab.lab.compare import Comparison, same
from routelab.lab.controls import best_single, mean_costs, mean_qualities, zero_router
from routelab.lab.nomination import NOMINATED, contributions, folds, nominate, standings, whole
from routelab.lab.outcomes import Bools, Outcomes
from routelab.lab.replay import (
    CONTROL_NAMES,
    Planner,
    baseline_of,
    check,
    compare_entries,
    entry_of,
    halve,
    planned,
    terms_of,
    walked,
)
from routelab.lab.walk import Walked
from routelab.strategies import Fixed, Rules, Split

TOLERANCES = (0.0, 0.005, 0.01, 0.02, 0.05)
SHRINKAGES = (10.0, 50.0)
MIXES = (0.25, 0.5, 0.75)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A way to route that may have to learn: `arm` returns it fitted on some outcomes (a RouteConfig or a strategy).

    A `control` is tried and counted, but cannot be nominated: a random mix is what a strategy has to beat.
    """

    name: str
    arm: Callable[[Outcomes], Any]
    learns: bool = True
    control: bool = False


Source: TypeAlias = Callable[[Outcomes], Iterable[Candidate]]
Parts: TypeAlias = Sequence[tuple[Bools, Outcomes]]


def singles(tune: Outcomes) -> Iterator[Candidate]:
    """Yield every model alone."""
    for model in tune.models:
        yield Candidate(name=model, arm=_always(fixed(model)), learns=False)


def task_tables(tune: Outcomes) -> Iterator[Candidate]:
    """Yield tables from task to model: of all models, and of the best single one with each cheaper one.

    Each comes at several tolerances and shrinkages. There are none when the prompts have fewer than two tasks;
    without costs a table can only choose the best model of a task.
    """
    if len({p.task for p in tune.prompts if p.task is not None}) < 2:
        return
    best, costs = best_single(tune), mean_costs(tune)
    if best is None:
        return
    priced = not np.isnan(costs).any()
    rivals = [int(k) for k in np.argsort(costs, kind="stable") if k != best and (not priced or costs[k] < costs[best])]
    sets: list[tuple[str, tuple[str, ...]]] = [(tune.models[k], (tune.models[k], tune.models[best])) for k in rivals]
    if len(tune.models) > 2:
        sets.insert(0, ("all", tune.models))
    for label, models in sets:
        for shrinkage, tolerance in itertools.product(SHRINKAGES, TOLERANCES if priced else (0.0,)):
            name = f"tasks-{label}-tol{tolerance:g}-shrink{shrinkage:g}"
            yield Candidate(name=name, arm=_table(models, tolerance, shrinkage, name))


def mixes(tune: Outcomes) -> Iterator[Candidate]:
    """Yield random mixes of neighbours on the zero router's hull, as controls."""
    hull = zero_router(tune.models, mean_costs(tune), mean_qualities(tune))
    corners = [] if hull is None else [model for model, _, _ in hull.corners]
    for (cheap, dear), share in itertools.product(itertools.pairwise(corners), MIXES):
        name = f"mix-{1 - share:.0%}-{cheap}-{share:.0%}-{dear}"
        mix = RouteConfig(name=name, models=(cheap, dear), strategy=Split(weights={cheap: 1 - share, dear: share}))
        yield Candidate(name=name, arm=_always(mix), learns=False, control=True)


SOURCES: tuple[Source, ...] = (singles, task_tables, mixes)


def search(
    outcomes: Outcomes,
    *,
    confirm: float = 0.4,
    margin: float = 0.02,
    seed: int = 0,
    baseline: str | None = None,
    sources: Sequence[Source] = SOURCES,
    plan_for: Planner | None = None,
) -> Comparison:
    """Return the comparison of every single model and of the candidates nominated on tune, reported on confirm.

    With `confirm=0` everything is tuned and looked at on all prompts, and nothing wins.
    """
    check(confirm, margin)
    halves = halve(outcomes, confirm, seed)
    planner = plan_for or planned
    candidates = [c for source in sources for c in source(halves.tune) if c.name not in CONTROL_NAMES]
    base = baseline_of(baseline, (), halves)
    on_tune = base.tune if base.tune is not None else base.walked
    able = [c for c in candidates if not c.control]
    parts = folds(halves.tune, seed)
    tried = [_tried(c, halves.tune, on_tune, parts if c.learns else whole(halves.tune), planner) for c in able]
    order = nominate(standings(np.reshape(tried, (-1, 5)).T), lambda i: able[i].name, margin=margin)
    nominated = _distinct((able[i] for i in order), on_tune, halves.tune, planner)
    shown = [c for c in candidates if c.name in nominated or c.name in halves.tune.models]
    entries = [entry_of(c.name, c.arm(halves.tune), halves, planner) for c in shown]
    terms = dataclasses.replace(
        terms_of(outcomes, halves, margin=margin, seed=seed, arms_tried=len(candidates)), nominated=nominated
    )
    return compare_entries(halves, entries, base, terms)


def fixed(model: str) -> RouteConfig:
    """Return the config that asks one model for everything."""
    return RouteConfig(name=model, models=(model,), strategy=Fixed(model=model))


def table(
    outcomes: Outcomes, models: Sequence[str], *, tolerance: float, shrinkage: float, name: str = "tasks"
) -> RouteConfig:
    """Return the rules that give each task the cheapest model within `tolerance` of the task's best one.

    A model's quality in a task is shrunk towards what its overall lead or lag lets expect: with n prompts of the
    task the estimate is (n·x̄ + k·e)/(n + k), where k is `shrinkage` and e the task's mean over the models plus the
    model's deviation over all tasks. Tasks that were not seen get the best single model, which is also second in
    every ranking.
    """
    own = outcomes.only(models)
    best = best_single(own) or 0
    costs = np.where(np.isnan(mean_costs(own)), np.inf, mean_costs(own))
    overall = _means(own.quality)
    tasks = np.array([p.task for p in own.prompts], dtype=object)
    rows: dict[str, tuple[str, ...]] = {}
    for task in sorted({t for t in tasks if t is not None}):
        seen = own.quality[tasks == task]
        counts = (~np.isnan(seen)).sum(axis=0)
        means = _means(seen)
        expected = np.nanmean(means) + overall - overall.mean() if counts.any() else overall
        shrunk = (np.where(counts > 0, means, 0.0) * counts + shrinkage * expected) / (counts + shrinkage)
        near = np.flatnonzero(shrunk >= shrunk.max() - tolerance - 1e-12)
        choice = int(min(near, key=lambda k: (costs[k], -shrunk[k])))
        rows[str(task)] = tuple(dict.fromkeys((own.models[choice], own.models[best])))
    strategy = Rules(table=rows, default=(own.models[best],), patterns={}, tasks="given")
    return RouteConfig(name=name, models=strategy.models, strategy=strategy)


def _means(quality: Floats) -> Floats:
    counts = (~np.isnan(quality)).sum(axis=0)
    return np.where(counts > 0, np.nansum(quality, axis=0) / np.maximum(counts, 1), np.nan)


def _table(models: Sequence[str], tolerance: float, shrinkage: float, name: str) -> Callable[[Outcomes], RouteConfig]:
    return lambda outcomes: table(outcomes, models, tolerance=tolerance, shrinkage=shrinkage, name=name)


def _always(config: RouteConfig) -> Callable[[Outcomes], RouteConfig]:
    return lambda outcomes: config


def _distinct(candidates: Iterable[Candidate], baseline: Walked, tune: Outcomes, plan_for: Planner) -> tuple[str, ...]:
    """Return the first NOMINATED names, passing over those that decide every tune prompt like the baseline or another."""
    names: list[str] = []
    seen = [baseline]
    for candidate in candidates:
        if len(names) == NOMINATED:
            break
        walk = walked(candidate.name, candidate.arm(tune), tune, plan_for)
        if not any(same(walk, other) for other in seen):
            seen.append(walk)
            names.append(candidate.name)
    return tuple(names)


def _tried(candidate: Candidate, tune: Outcomes, baseline: Walked, parts: Parts, plan_for: Planner) -> Floats:
    """Return the candidate's five sums on tune: every prompt is scored by a version that was fitted without its fold."""
    sums = np.zeros(5)
    for rows, rest in parts:
        part = walked(candidate.name, candidate.arm(rest), tune.take(rows), plan_for)
        sums += contributions(part.quality, part.cost_usd, baseline.take(rows)).sum(axis=1)
    return sums
