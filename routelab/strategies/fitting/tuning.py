"""Which models a cascade keeps, and which bars they have to reach: what costs least on tune at the quality that is wanted."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from routelab.core.errors import ConfigError
from routelab.core.plan import NOBODY
from routelab.core.ports import Outcomes
from routelab.core.values import draw
from routelab.strategies import gated
from routelab.strategies.fitting import acceptance
from routelab.strategies.fitting.acceptance import Floats, Ints
from routelab.strategies.fitting.learned import Learned

if TYPE_CHECKING:
    from routelab.strategies.cascade import Cascade

FOLDS = 5
LEVELS = 24
"""Quantiles of a gate's scores that are tried as bars."""
PASSES = 4
CARE = 1.0
"""Standard errors by which a chain's lead on tune must pass what is wanted: the best of many is there by luck, too."""
CHAINS = 24
"""Choices of models that are tried when not all of them are to be kept."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Tuned:
    """The models in order, the bar of each but the last, and what a learned gate learned; what that brings on tune."""

    models: tuple[str, ...]
    bars: tuple[float, ...]
    learned: Learned | None
    worth: Worth


@dataclass(frozen=True, kw_only=True, eq=False)
class Rungs:
    """A chain of models on the prompts where everything is known: arrays n × rungs, `score` and `judging` n × (rungs - 1).

    `best` (n,) is the quality of the best single model there.
    """

    quality: Floats
    cost: Floats
    score: Floats
    judging: Floats
    best: Floats


@dataclass(frozen=True, kw_only=True)
class Worth:
    """What a chain with bars brings on tune: its lead over the best single model with its standard error, and its cost."""

    lead: float
    error: float
    cost_usd: float

    def rank(self, tolerance: float) -> tuple[float, float]:
        """Return what is least for the best: the cheapest of those that reach the quality wanted, else who is nearest to it."""
        short = -tolerance - (self.lead - CARE * self.error)
        return (0.0, self.cost_usd) if short <= 1e-12 else (short, self.cost_usd)


def by_cost(outcomes: Outcomes, models: Sequence[str]) -> tuple[str, ...]:
    """Return models by their mean recorded cost, those without one last, in the order given among equals."""
    cost = _means(outcomes.cost_usd)
    at = {m: float(cost[outcomes.models.index(m)]) for m in models}
    return tuple(sorted(models, key=lambda m: np.inf if np.isnan(at[m]) else at[m]))


def tuned(cascade: Cascade, outcomes: Outcomes, order: Sequence[str]) -> Tuned:
    """Return the chain and the bars of least cost whose quality reaches the best single model's minus the tolerance.

    Where none does, the one that comes nearest. Among equals the chain that comes first, which is the shorter one.
    """
    found = [_fitted(cascade, outcomes, chain) for chain in _chains(cascade, outcomes, order)]
    best = min(found, key=lambda f: f.worth.rank(cascade.tolerance))
    if cascade.gate.get("scorer") != "learned":
        return best
    return dataclasses.replace(best, learned=taught(cascade, outcomes, best.models))


def taught(cascade: Cascade, outcomes: Outcomes, chain: Sequence[str]) -> Learned:
    """Return what a learned gate learns about a chain of models from all of these outcomes."""
    signs, quality = _signs(cascade, outcomes, chain)
    return acceptance.learn(signs[:-1], quality, [p.task for p in outcomes.prompts], chain)


def _chains(cascade: Cascade, outcomes: Outcomes, order: Sequence[str]) -> Iterator[tuple[str, ...]]:
    most = cascade.most
    if most is None or most >= len(order):
        yield tuple(order)
        return
    quality, cost = _means(outcomes.quality), _means(outcomes.cost_usd)
    at = {m: outcomes.models.index(m) for m in order}
    # A model that is dearer and worse than another one has no place; the last rung must be able to reach the floor.
    useful = [
        m
        for m in order
        if not any(quality[at[o]] >= quality[at[m]] and cost[at[o]] < cost[at[m]] for o in order if o != m)
    ]
    rated = sorted(useful, key=lambda m: -quality[at[m]])
    chains = [
        (*few, last)
        for last in rated[:3]
        for size in range(1, most)
        for few in itertools.combinations([m for m in order if cost[at[m]] < cost[at[last]]][:6], size)
    ]
    # The cheapest first: of these as many as there is time for.
    chains.sort(key=lambda chain: (len(chain), -float(np.mean([quality[at[m]] for m in chain]))))
    yield from chains[:CHAINS] or [tuple(order)]


def _fitted(cascade: Cascade, outcomes: Outcomes, chain: tuple[str, ...]) -> Tuned:
    rungs = _rungs(cascade, outcomes, chain)
    if len(rungs.quality) == 0:
        raise ConfigError(
            f"cascade: no prompt has quality, cost and the gate's scores recorded for {', '.join(chain)}",
            hint="collect them (lab.collect), or give gate.at_least a number",
        )
    bars = _bars(rungs, cascade.tolerance)
    return Tuned(models=chain, bars=bars, learned=None, worth=_worth(rungs, bars))


def _rungs(cascade: Cascade, outcomes: Outcomes, chain: tuple[str, ...]) -> Rungs:
    columns = np.array([outcomes.models.index(m) for m in chain], dtype=np.intp)
    if cascade.gate.get("scorer") == "learned":
        signs, quality = _signs(cascade, outcomes, chain)
        score = _crossed(outcomes, signs, quality, chain)
        judging = np.zeros(score.shape)
    else:
        gate = gated.gate_of(cascade.gate)
        key = str(gate.spec["recorded"]) if gate.scorer == "recorded" else gate.key
        given = getattr(outcomes, "gates", {}).get(key)
        if given is None:
            raise ConfigError(
                f"cascade: what '{key}' gives was not recorded, so gate.at_least cannot be fitted",
                hint="give gate.at_least a number; rules give 1 or 0",
            )
        score, judging = given.score[:, columns[:-1]], given.cost_usd[:, columns[:-1]]
    quality, cost = outcomes.quality[:, columns], outcomes.cost_usd[:, columns]
    best = outcomes.quality[:, int(np.nanargmax(_means(outcomes.quality)))]
    arrays = {"quality": quality, "cost": cost, "score": score, "judging": judging, "best": best[:, None]}
    known = ~np.logical_or.reduce([np.isnan(a).any(axis=1) for a in arrays.values()])
    return Rungs(**{**{name: a[known] for name, a in arrays.items()}, "best": best[known]})


def _signs(cascade: Cascade, outcomes: Outcomes, chain: Sequence[str]) -> tuple[list[Floats], Floats]:
    reader: Any = getattr(outcomes, "signs", None)
    if reader is None:
        raise ConfigError(
            "cascade: a learned gate needs outcomes with the texts of the answers", hint="use a gate that was recorded"
        )
    columns = np.array([outcomes.models.index(m) for m in chain], dtype=np.intp)
    n = len(outcomes.prompts)
    rows = np.arange(n, dtype=np.intp)
    match = str(cascade.gate.get("match", "auto"))
    found: list[Floats] = []
    for rung in range(len(chain)):
        before: Ints = np.tile(columns[:rung], (n, 1)) if rung else np.full((n, 1), NOBODY, dtype=np.intp)
        last = rung == len(chain) - 1
        found.append(np.zeros((n, 0)) if last else reader(rows, np.full(n, columns[rung]), before, match))
    return found, outcomes.quality[:, columns]


def _crossed(outcomes: Outcomes, signs: Sequence[Floats], quality: Floats, chain: Sequence[str]) -> Floats:
    """Return each row's chances by a gate that was fitted without its fold, n × (rungs - 1): bars are chosen on these."""
    tasks = [p.task for p in outcomes.prompts]
    place = np.array([int(draw(0, "gate", p.group or p.id) * FOLDS) for p in outcomes.prompts], dtype=np.intp)
    score = np.full((len(tasks), len(chain) - 1), np.nan)
    for fold in range(FOLDS):
        held = place == fold
        if not held.any() or held.all():
            continue
        rest = np.flatnonzero(~held)
        learned = acceptance.learn([s[rest] for s in signs[:-1]], quality[rest], [tasks[int(i)] for i in rest], chain)
        out = np.flatnonzero(held)
        for rung in range(len(chain) - 1):
            score[out, rung] = acceptance.chances(learned, rung, signs[rung][out], [tasks[int(i)] for i in out])
    return score


def _bars(rungs: Rungs, tolerance: float) -> tuple[float, ...]:
    """Return the bars of least cost at the floor: all combinations of up to two bars, one bar after the other for more."""

    def rank(bars: tuple[float, ...]) -> tuple[float, float]:
        return _worth(rungs, bars).rank(tolerance)

    levels = [_levels(rungs.score[:, k]) for k in range(rungs.score.shape[1])]
    if len(levels) <= 2:
        return min(itertools.product(*levels), key=rank)
    best = tuple(row[-1] for row in levels)
    for _ in range(PASSES):
        before = best
        for k, row in enumerate(levels):
            tried = [(*best[:k], level, *best[k + 1 :]) for level in row]
            best = min(tried, key=rank)
        if best == before:
            break
    return best


def _levels(score: Floats) -> list[float]:
    # Four digits, so that a bar can be read in the file; the last one is above every score.
    cuts = np.unique(np.round(np.quantile(score[np.isfinite(score)], np.linspace(0, 1, LEVELS)), 4))
    return [float(c) for c in cuts] + [float(np.round(cuts[-1] + 0.01, 4))]


def _worth(rungs: Rungs, bars: tuple[float, ...]) -> Worth:
    """Return what a chain with bars brings."""
    n, depth = rungs.quality.shape
    open_ = np.ones(n, dtype=np.bool_)
    quality, cost = np.zeros(n), np.zeros(n)
    for k in range(depth):
        cost[open_] += rungs.cost[open_, k]
        accepted = open_.copy()
        if k < depth - 1:
            cost[open_] += rungs.judging[open_, k]
            accepted &= rungs.score[:, k] >= bars[k]
        quality[accepted] = rungs.quality[accepted, k]
        open_ &= ~accepted
    lead = quality - rungs.best
    return Worth(lead=float(lead.mean()), error=float(lead.std() / np.sqrt(n)), cost_usd=float(cost.mean()))


def _means(values: Floats) -> Floats:
    known = (~np.isnan(values)).sum(axis=0)
    return np.asarray(np.where(known > 0, np.nansum(values, axis=0) / np.maximum(known, 1), np.nan))
