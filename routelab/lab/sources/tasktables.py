"""Tables from task to model, learned from the tune split."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from routelab.config import RouteConfig
from routelab.core.ports import Floats
from routelab.lab.controls import best_single, mean_costs
from routelab.lab.outcomes import Outcomes
from routelab.lab.sources.candidate import Candidate
from routelab.strategies import Rules

TOLERANCES = (0.0, 0.005, 0.01, 0.02, 0.05)
SHRINKAGES = (10.0, 50.0)


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
