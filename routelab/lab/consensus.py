"""Whom to ask until two agree: chosen on recorded answers by what each choice would have cost and brought."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from routelab.core.errors import DataError
from routelab.core.ports import Floats
from routelab.lab.controls import best_single, mean_costs, mean_qualities
from routelab.lab.outcomes import Bools, Ints, Outcomes
from routelab.lab.referees import text_of
from routelab.scoring.matching import Form, Match, form
from routelab.strategies import Agreement
from routelab.strategies.agreement import FIRST, LAST
from routelab.strategies.fitting.tuning import Worth

CHEAP, STRONG = 7, 4
"""How many of the cheapest models may be asked to agree, and how many of the best may answer where they do not."""
HELD_OUT = 2 / 3
"""Prompts that certify a choice, for each one that it is made on: a confirm split of two fifths."""
CERTAIN = 1.96


def classes(outcomes: Outcomes, columns: tuple[int, ...], match: Match = "auto") -> Ints:
    """Return a number for what each of these models answered, n × columns, equal within a prompt for equal answers.

    An answer without a form, or without a recorded text, is alone in its class.
    """
    found = np.empty((len(outcomes), len(columns)), dtype=np.intp)
    for row, prompt in enumerate(outcomes.prompts):
        seen: dict[object, int] = {}
        for place, column in enumerate(columns):
            text = text_of(outcomes, row, column)
            said: Form | None = None if text is None else form(text, prompt, match)
            found[row, place] = seen.setdefault(("alone", place) if said is None else said, len(seen))
    return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Board:
    """The prompts on which everybody's answer, quality and cost are known, and whom it may pay to ask: positions in `models`.

    `best` (n,) is the quality of the best single model, `best_usd` its mean cost.
    """

    models: tuple[str, ...]
    said: Ints
    quality: Floats
    cost_usd: Floats
    best: Floats
    best_usd: float
    cheap: tuple[int, ...]
    strong: tuple[int, ...]

    def worth(self, order: tuple[int, ...], answer: str = LAST) -> Worth:
        """Return what asking in that order until two agree brings; the answer is that of the "last" or the "first" of them."""
        n = len(self.quality)
        open_: Bools = np.ones(n, dtype=np.bool_)
        quality, cost = np.zeros(n), np.zeros(n)
        for step, k in enumerate(order):
            cost[open_] += self.cost_usd[open_, k]
            alike = np.array([self.said[:, k] == self.said[:, j] for j in order[:step]], dtype=np.bool_).reshape(
                step, n
            )
            agree, last = alike.any(axis=0), step == len(order) - 1
            done = open_ & (agree | last)
            by = np.full(n, k)
            if answer == FIRST and not last and step:
                by[agree] = np.array(order)[alike.argmax(axis=0)[agree]]
            quality[done] = self.quality[done, by[done]]
            open_ &= ~done
        lead = quality - self.best
        return Worth(lead=float(lead.mean()), error=float(lead.std() / np.sqrt(n)), cost_usd=float(cost.mean()))

    def promise(self, worth: Worth, margin: float) -> float:
        """Return the share of the best model's cost that a choice saves, times its chance to be certified as no worse by the margin.

        As in `nomination.chances`: the lead on other prompts is drawn around this one with both errors, and has to clear
        minus the margin by its own.
        """
        n = len(self.best)
        held = n * HELD_OUT
        spread = max(worth.error * math.sqrt(n), math.sqrt(1 / n))
        clear = worth.lead + margin - CERTAIN * spread / math.sqrt(held)
        chance = 0.5 * (1 + math.erf(clear / (spread * math.sqrt(1 / n + 1 / held)) / math.sqrt(2)))
        return (1 - worth.cost_usd / self.best_usd) * chance

    def orders(self, size: int) -> Iterator[tuple[int, ...]]:
        """Yield every order of `size` cheap models with a strong one behind them that costs more than the dearest of them."""
        dear = self.cost_usd.mean(axis=0)
        for few in itertools.permutations(self.cheap, size):
            yield from ((*few, k) for k in self.strong if k not in few and dear[k] > dear[list(few)].max())


# Several sizes and tolerances are chosen on the same outcomes; gone when these are.
_BOARDS: WeakKeyDictionary[Outcomes, Board | None] = WeakKeyDictionary()


def board(outcomes: Outcomes) -> Board | None:
    """Return the board of recorded outcomes, or None when texts, costs or qualities are missing or nobody is cheap."""
    if outcomes not in _BOARDS:
        _BOARDS[outcomes] = _board(outcomes)
    return _BOARDS[outcomes]


def _board(outcomes: Outcomes) -> Board | None:
    best, costs, qualities = best_single(outcomes), mean_costs(outcomes), mean_qualities(outcomes)
    if best is None or outcomes.texts is None or np.isnan(costs).any():
        return None
    by_cost = [int(k) for k in np.argsort(costs, kind="stable")]
    cheap = [k for k in by_cost if costs[k] < costs[best]][:CHEAP]
    strong = [int(k) for k in np.argsort(-qualities, kind="stable")][:STRONG]
    used = tuple(dict.fromkeys((*cheap, *strong)))
    columns = np.array(used, dtype=np.intp)
    quality, cost = outcomes.quality[:, columns], outcomes.cost_usd[:, columns]
    known = ~(np.isnan(quality) | np.isnan(cost)).any(axis=1) & ~np.isnan(outcomes.quality[:, best])
    rows = np.flatnonzero(known)
    if len(cheap) < 2 or not len(rows):
        return None
    return Board(
        models=tuple(outcomes.models[k] for k in used),
        said=classes(outcomes.take(rows), used),
        quality=quality[rows],
        cost_usd=cost[rows],
        best=outcomes.quality[rows, best],
        best_usd=float(outcomes.cost_usd[rows, best].mean()),
        cheap=tuple(range(len(cheap))),
        strong=tuple(used.index(k) for k in strong),
    )


def agreeing(
    outcomes: Outcomes,
    *,
    size: int,
    margin: float = 0.02,
    tolerance: float | None = None,
    answers: Sequence[str] = (LAST, FIRST),
) -> Agreement:
    """Return whom to ask and whose answer stands, of `answers`: `size` cheap models in the best order, and one strong one.

    Best is what promises most: the saving times the chance that as many prompts as a confirm split has certify it as
    no worse than the best single model by the margin. With a `tolerance` it is the cheapest whose lead, one standard error
    taken off, is at least minus the tolerance, else the one that comes nearest. DataError when there is nothing to
    choose from.
    """
    found = board(outcomes)
    # Of two that agree, the first's answer is the last's of the other order.
    whose = (LAST,) if size == 2 else answers
    worths = {} if found is None else {(o, a): found.worth(o, a) for o in found.orders(size) for a in whose}
    if found is None or not worths:
        raise DataError(
            "agreement: needs texts, qualities and costs of at least two models that are cheaper than the best one",
            hint="lab.collect keeps texts and costs; outcomes files need `response` and `cost_usd` columns",
        )
    if tolerance is None:
        order, answer = max(worths, key=lambda choice: found.promise(worths[choice], margin))
    else:
        order, answer = min(worths, key=lambda choice: worths[choice].rank(tolerance))
    names = [found.models[k] for k in order]
    return Agreement(ask=tuple(names[:-1]), then=(names[-1],), answer=answer)
