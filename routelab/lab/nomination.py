"""Who may go to the confirm split: candidates are judged on tune as sums over prompts, by one rule for every search.

A candidate's standing needs six sums only, and sums of parts of the prompts add up: so folds, tasks and whole
families of strategies are judged without keeping one array a candidate.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import stats

from routelab.core.ports import Floats
from routelab.core.values import draw
from routelab.lab.outcomes import Bools, Ints, Outcomes
from routelab.lab.walk import Walked

FOLDS = 5
NOMINATED = 5


SUMS = 6
"""How many sums over prompts make up a candidate's standing: see `contributions`."""
ALIKE_RATIO, ALIKE_LEAD = 0.02, 0.002
"""Candidates that are closer than this in cost and in quality are one choice: thresholds next to each other."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Standings:
    """How candidates stand against the baseline on tune, over the prompts where both were scored; arrays (candidates,).

    `delta` is the mean quality lead, NaN where there is no such prompt, `sd` the spread of the leads and `n` their
    number; `cost_usd` and `base_cost_usd` are means a call, NaN as soon as one of the costs is not known.
    """

    delta: Floats
    sd: Floats
    n: Floats
    cost_usd: Floats
    base_cost_usd: Floats

    def __len__(self) -> int:
        return len(self.delta)


def contributions(quality: Floats, cost_usd: Floats, baseline: Walked) -> Floats:
    """Return what each prompt adds to the sums, (6, prompts): scored, lead, its square, cost, baseline's, costs unknown."""
    both = ~np.isnan(quality) & ~np.isnan(baseline.quality)
    unknown = both & (np.isnan(cost_usd) | np.isnan(baseline.cost_usd))
    lead = np.where(both, quality - baseline.quality, 0.0)
    known = both & ~unknown
    cost, base = np.where(known, cost_usd, 0.0), np.where(known, baseline.cost_usd, 0.0)
    return np.stack([both.astype(float), lead, lead * lead, cost, base, unknown.astype(float)])


def standings(sums: Floats) -> Standings:
    """Return the standings of the sums, (6, candidates)."""
    scored, lead, squares, cost, base, unknown = sums
    n = np.where(scored > 0, scored, np.nan)
    priced = np.where(unknown > 0, np.nan, n)
    delta = lead / n
    return Standings(
        delta=delta,
        # A spread of nothing would be certainty; one prompt in all that may differ is the least that is honest.
        sd=np.sqrt(np.maximum(squares / n - delta * delta, 1 / n)),
        n=n,
        cost_usd=cost / priced,
        base_cost_usd=base / priced,
    )


def chances(held: Standings, *, margin: float, confirm: int) -> Floats:
    """Return for each candidate the chance that a confirm split of that many prompts certifies it, (candidates,).

    The lead on confirm is drawn around the one on tune with both splits' errors, N(δ, sd²·(1/n + 1/m)), and must
    clear −margin by z·sd/√m, with z one-sided at 2.5 % over the number nominated: what Holm's correction asks of the
    first of them.
    """
    bar = float(stats.norm.ppf(1 - 0.025 / NOMINATED)) * held.sd / np.sqrt(max(1, confirm))
    spread = held.sd * np.sqrt(1 / held.n + 1 / max(1, confirm))
    found: Floats = stats.norm.cdf((held.delta + margin - bar) / spread)
    return found


def nominate(
    held: Standings,
    name: Callable[[int], str],
    *,
    margin: float,
    confirm: int,
    differs: Callable[[int], bool] = lambda _: True,
) -> tuple[int, ...]:
    """Return the candidates worth a confirm run, at most NOMINATED, the most promising first; `name(i)` decides between equals.

    A candidate that is cheaper than the baseline promises its saving times the chance that the confirm split (of
    `confirm` prompts) certifies it: the cheapest of many thresholds would be one that luck on tune made look good
    enough. Of candidates that are alike the best stands for all, the rest come last. The one of best quality has the last
    place unless it earned an earlier one: whoever saves comes before who does not. Where nothing saves, or costs are not
    known, it comes alone, and where nothing leads either nobody comes. `differs(i)` is asked in this order, and says
    whether a candidate decides any prompt unlike the baseline and those it was asked about before.
    """
    cheaper = np.flatnonzero(held.cost_usd < held.base_cost_usd)
    promise = (1 - held.cost_usd / held.base_cost_usd) * chances(held, margin=margin, confirm=confirm)
    fit = cheaper[(held.delta[cheaper] > -margin) & (promise[cheaper] > 0)]
    order = np.argsort(-promise[fit], kind="stable")
    standing = _spread(_by_name(fit[order], promise[fit][order], name), held)
    leads = held.delta > 0
    best = int(np.nanargmax(np.where(leads, held.delta, np.nan))) if leads.any() else None
    head = list(itertools.islice(filter(differs, standing), NOMINATED))
    if best is not None and best not in head and differs(best):
        head[NOMINATED - 1 :] = [best]
    return tuple(head)


def _spread(order: Iterator[int], held: Standings) -> Iterator[int]:
    """Yield first those that differ from all before them in cost or quality, then the others, each in the order given."""
    taken: list[tuple[float, float]] = []
    later: list[int] = []
    for i in order:
        place = (float(held.cost_usd[i] / held.base_cost_usd[i]), float(held.delta[i]))
        if len(taken) >= NOMINATED or any(
            abs(place[0] - r) < ALIKE_RATIO and abs(place[1] - d) < ALIKE_LEAD for r, d in taken
        ):
            later.append(i)
            continue
        taken.append(place)
        yield i
    yield from later


def _by_name(order: Ints, promise: Floats, name: Callable[[int], str]) -> Iterator[int]:
    # Names are made for equals only: a sweep has many candidates and few of them are looked at.
    for _, tied in itertools.groupby(zip(promise.tolist(), order.tolist(), strict=True), key=lambda pair: pair[0]):
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
