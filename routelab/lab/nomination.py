"""Who may go to the confirm split: candidates are judged on tune as sums over prompts, by one rule for every search.

A candidate's standing needs five sums only, and sums of parts of the prompts add up: so folds, tasks and whole
families of strategies are judged without keeping one array a candidate.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from routelab.core.ports import Floats
from routelab.core.values import draw
from routelab.lab.outcomes import Bools, Ints, Outcomes
from routelab.lab.walk import Walked

FOLDS = 5
NOMINATED = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class Standings:
    """How candidates stand against the baseline on tune, over the prompts where both were scored; arrays (candidates,).

    `delta` is the mean quality lead, NaN where there is no such prompt; `cost_usd` and `base_cost_usd` are means a
    call, NaN as soon as one of the costs is not known.
    """

    delta: Floats
    cost_usd: Floats
    base_cost_usd: Floats

    def __len__(self) -> int:
        return len(self.delta)


def contributions(quality: Floats, cost_usd: Floats, baseline: Walked) -> Floats:
    """Return what each prompt adds to the five sums, (5, prompts): scored, lead, cost, baseline's cost, costs unknown."""
    both = ~np.isnan(quality) & ~np.isnan(baseline.quality)
    unknown = both & (np.isnan(cost_usd) | np.isnan(baseline.cost_usd))
    lead = np.where(both, quality - baseline.quality, 0.0)
    known = both & ~unknown
    cost, base = np.where(known, cost_usd, 0.0), np.where(known, baseline.cost_usd, 0.0)
    return np.stack([both.astype(float), lead, cost, base, unknown.astype(float)])


def standings(sums: Floats) -> Standings:
    """Return the standings of the five sums, (5, candidates)."""
    scored, lead, cost, base, unknown = sums
    n = np.where(scored > 0, scored, np.nan)
    priced = np.where(unknown > 0, np.nan, n)
    return Standings(delta=lead / n, cost_usd=cost / priced, base_cost_usd=base / priced)


def nominate(held: Standings, name: Callable[[int], str], *, margin: float) -> Iterator[int]:
    """Yield the candidates worth a confirm run, the most promising first; `name(i)` decides between equals.

    First those that look no worse by half the margin and are cheaper, the cheapest first; the one of best quality
    is put among the first NOMINATED. Without costs there is nothing to save, so only the best in quality is
    nominated.
    """
    fit = np.flatnonzero((held.cost_usd < held.base_cost_usd) & (held.delta >= -margin / 2))
    ratio = held.cost_usd[fit] / held.base_cost_usd[fit]
    order = np.argsort(ratio, kind="stable")
    standing = _by_name(fit[order], ratio[order], name)
    leads = held.delta > 0
    best = int(np.nanargmax(np.where(leads, held.delta, np.nan))) if leads.any() else None
    head = list(itertools.islice(standing, NOMINATED))
    if best is not None and best not in head:
        yield best
    yield from head
    yield from (i for i in standing if i != best)


def _by_name(order: Ints, ratio: Floats, name: Callable[[int], str]) -> Iterator[int]:
    # Names are made for equals only: a sweep has many candidates and few of them are looked at.
    for _, tied in itertools.groupby(zip(ratio.tolist(), order.tolist(), strict=True), key=lambda pair: pair[0]):
        equals = [i for _, i in tied]
        yield from equals if len(equals) == 1 else sorted(equals, key=name)


def folds(tune: Outcomes, seed: int) -> list[tuple[Bools, Outcomes]]:
    """Return (rows of a fold, the outcomes of the other folds); clusters stay whole; empty folds are left out."""
    place = np.array([int(draw(seed, "fold", p.group or p.id) * FOLDS) for p in tune.prompts], dtype=np.intp)
    filled = [k for k in range(FOLDS) if (place == k).any() and (place != k).any()]
    return [(place == k, tune.take(place != k)) for k in filled] or whole(tune)


def whole(tune: Outcomes) -> list[tuple[Bools, Outcomes]]:
    """Return the one fold of what does not learn: all rows, judged by what was given."""
    return [(np.ones(len(tune), dtype=np.bool_), tune)]
