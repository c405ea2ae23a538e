"""Play a plan over recorded outcomes: who would have answered, at what quality, cost and wait."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from routelab.core.plan import NOBODY, Plan
from routelab.core.ports import Floats
from routelab.lab.outcomes import Bools, Ints, Outcomes


@dataclass(frozen=True, kw_only=True, eq=False)
class Hits:
    """What a cache in front of an arm did with n prompts, over some orders of arrival.

    `exact`, `semantic` and `stale` (n,) are the shares of the orders in which a prompt was a hit of that kind, `false` in which it
    got an answer that was worth less for it than where it came from (NaN: not known), `unknown` in which nobody knows what it was worth.
    `tied` (n,) numbers the prompts so that those have one number of which one answered the other, in any order, directly or by a third.
    `quality` and `cost_usd` are the least and the largest mean over the orders.
    """

    exact: Floats
    semantic: Floats
    stale: Floats
    false: Floats
    unknown: Floats
    tied: Ints
    orders: int = 1
    quality: tuple[float, float] | None = None
    cost_usd: tuple[float, float] | None = None

    @property
    def rate(self) -> float | None:
        """The share of the prompts that were hits, on average over the orders; None without prompts."""
        return float((self.exact + self.semantic).mean()) if len(self.exact) else None

    @property
    def false_rate(self) -> float | None:
        """The share of false hits among all hits; None without hits, or where one of them could not be judged."""
        hits, false = float((self.exact + self.semantic).sum()), float(self.false.sum())
        return None if hits == 0 or self.unknown.any() or np.isnan(false) else false / hits

    def take(self, rows: Bools | Ints) -> Hits:
        """Return what it did with some of the prompts; means over orders are not kept."""
        arrays = ("exact", "semantic", "stale", "false", "unknown", "tied")
        part = {name: getattr(self, name)[rows] for name in arrays}
        return dataclasses.replace(self, **part, quality=None, cost_usd=None)


@dataclass(frozen=True, kw_only=True, eq=False)
class Walked:
    """One arm over n prompts.

    `model` (n,) is the column that answered, NOBODY (-1) where nobody did; `quality` counts a missing answer as 0
    and is NaN where the score was not recorded; `cost_usd` sums every attempt and every judge, and `latency_s` adds
    them one after the other, NaN as soon as one is not known; `judging_usd` is the judges' part of the cost;
    `attempts` counts the models asked; `escalations` counts how often a gate's refusal led on to another model. With a
    cache in front (`hits`) quality and costs are means over orders of arrival, a hit at no cost, and waits those of who was asked.
    """

    model: Ints
    quality: Floats
    cost_usd: Floats
    latency_s: Floats
    attempts: Ints
    escalations: Ints
    judging_usd: Floats
    hits: Hits | None = None

    def __len__(self) -> int:
        return len(self.model)

    @property
    def failures(self) -> int:
        """How many prompts nobody answered; what is not known is not counted."""
        return int(((self.model == NOBODY) & ~np.isnan(self.quality)).sum())

    def take(self, rows: Bools | Ints) -> Walked:
        """Return the walk of some prompts."""
        part: dict[str, Any] = {name: getattr(self, name)[rows] for name in ARRAYS}
        return Walked(**part, hits=None if self.hits is None else self.hits.take(rows))


ARRAYS = ("model", "quality", "cost_usd", "latency_s", "attempts", "escalations", "judging_usd")
"""The arrays of a walk, one value a prompt."""


def joined(parts: Sequence[tuple[Bools, Walked]]) -> Walked:
    """Return one walk of parts (their rows as a mask over all prompts, their walk) that have every prompt once.

    Parts have no caches in front: what one part remembers would not be known to the other.
    """
    order = np.argsort(np.concatenate([np.flatnonzero(rows) for rows, _ in parts]))
    whole: dict[str, Any] = {name: np.concatenate([getattr(w, name) for _, w in parts])[order] for name in ARRAYS}
    return Walked(**whole)


def dependent(clusters: Ints | None, *walks: Walked) -> Ints | None:
    """Return the clusters of prompts, in which also belong together those of which a cache answered one by another's answer."""
    ties = [walk.hits.tied for walk in walks if walk.hits is not None]
    ties = [tied for tied in ties if len(np.unique(tied)) < len(tied)]
    return connected([*([] if clusters is None else [clusters]), *ties]) if ties else clusters


def connected(groupings: Sequence[Ints]) -> Ints:
    """Return one number for prompts that any of the groupings puts together, directly or by others; numbers by first prompt."""
    n = len(groupings[0])
    found = np.arange(n, dtype=np.intp)
    while True:
        before = found
        for grouping in groupings:
            _, member = np.unique(grouping, return_inverse=True)
            least = np.full(int(member.max(initial=0)) + 1, n, dtype=np.intp)
            np.minimum.at(least, member, found)
            found = least[member]
        if np.array_equal(before, found):
            return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Rulings:
    """What a gate gave k recorded answers: its score, NaN where that is not known, -inf where the judge failed; cost and wait.

    `stands` (k,) is the column whose earlier answer stands where the judged one is accepted, NOBODY (-1) where that is
    the judged one itself; None: everywhere.
    """

    score: Floats
    cost_usd: Floats
    latency_s: Floats
    stands: Ints | None = None


class Referee(Protocol):
    """A gate over recorded answers."""

    def __call__(self, rows: Ints, cells: Ints, before: Ints) -> Rulings:
        """Return the rulings on the answers (row, column), one an entry of `rows` and `cells`.

        `before` (k × steps) are the columns that answered the same prompt earlier on, NOBODY (-1) where none did.
        """


def walk(plan: Plan, outcomes: Outcomes, columns: Sequence[int] | Ints, referee: Referee | None = None) -> Walked:
    """Return what the plan's rankings would have brought, row i of the plan being prompt i of the outcomes.

    `columns` gives the outcomes' column of each roster position, -1 for a model without outcomes: its answer is not
    known, so quality, cost and wait are NaN from there on. A recorded failure passes to the next model in the
    ranking. With a scored gate, `referee` judges every answer that has a better one above it: below the gate's bar it
    passes to the next one, and when all were refused the last answer counts; an accepted one may let an earlier one
    stand in its place, which changes who answered and how well, not what was paid and waited for; where the ruling is
    not known, nothing after it is. Raises ValueError when a scored gate comes without a referee.
    """
    n = len(plan)
    if n != len(outcomes):
        raise ValueError(f"the plan is for {n} prompts and the outcomes hold {len(outcomes)}")
    if plan.gate.scorer is not None and referee is None:
        raise ValueError(f"the gate '{plan.gate.scorer}' needs somebody who says what it gave")
    where = np.append(np.asarray(columns, dtype=np.intp), NOBODY)  # position -1 looks up the last entry: nobody
    bars = np.array([plan.gate.bar(model) for model in outcomes.models])
    ladder = plan.ladder
    book = _Book.blank(n)
    open_, refused = np.ones(n, dtype=np.bool_), np.zeros(n, dtype=np.bool_)
    before = np.full(plan.order.shape, NOBODY, dtype=np.intp)
    for step in range(plan.order.shape[1]):
        ranked = plan.order[:, step] != NOBODY
        rows = np.flatnonzero(open_ & ranked)
        open_ &= ranked
        if len(rows) == 0:
            break
        cells = where[plan.order[rows, step]]
        book.escalations[rows] += refused[rows]
        lost = (cells != NOBODY) & outcomes.failed[rows, cells]
        heard, by = rows[~lost], cells[~lost]
        book.asked(outcomes, rows, cells)
        book.answered(outcomes, heard, by)
        accepted, unknown = np.ones(len(heard), dtype=np.bool_), by == NOBODY
        judged = np.flatnonzero(~unknown & (step < ladder[heard] - 1))
        if referee is not None and plan.gate.scorer is not None and len(judged):
            looked, of = heard[judged], by[judged]
            given = referee(looked, of, before[looked, :step])
            accepted[judged] = given.score >= bars[of]
            unknown[judged] = np.isnan(given.score)
            book.ruled(outcomes, looked, given, accepted[judged])
        before[heard, step] = by
        book.unknown(heard[unknown])
        open_[heard[accepted | unknown]] = False
        refused[rows] = False
        refused[heard[~accepted & ~unknown]] = True
    return book.walked()


@dataclass(kw_only=True, eq=False)
class _Book:
    """What each of n prompts came to so far; `attempts_usd` is without the judges."""

    model: Ints
    quality: Floats
    attempts_usd: Floats
    latency_s: Floats
    judging_usd: Floats
    attempts: Ints
    escalations: Ints

    @classmethod
    def blank(cls, n: int) -> _Book:
        return cls(
            model=np.full(n, NOBODY, dtype=np.intp),
            quality=np.zeros(n),
            attempts_usd=np.zeros(n),
            latency_s=np.zeros(n),
            judging_usd=np.zeros(n),
            attempts=np.zeros(n, dtype=np.intp),
            escalations=np.zeros(n, dtype=np.intp),
        )

    def asked(self, outcomes: Outcomes, rows: Ints, cells: Ints) -> None:
        self.attempts[rows] += 1
        self.attempts_usd[rows] += _cell(outcomes.cost_usd, rows, cells)
        self.latency_s[rows] += _cell(outcomes.latency_s, rows, cells)

    def answered(self, outcomes: Outcomes, rows: Ints, cells: Ints) -> None:
        self.model[rows] = cells
        self.quality[rows] = _cell(outcomes.quality, rows, cells)

    def ruled(self, outcomes: Outcomes, rows: Ints, given: Rulings, accepted: Bools) -> None:
        self.judging_usd[rows] += given.cost_usd
        self.latency_s[rows] += given.latency_s
        if given.stands is not None:
            earlier = accepted & (given.stands != NOBODY)
            self.answered(outcomes, rows[earlier], given.stands[earlier])

    def unknown(self, rows: Ints) -> None:
        for values in (self.quality, self.attempts_usd, self.latency_s, self.judging_usd):
            values[rows] = np.nan

    def walked(self) -> Walked:
        return Walked(
            model=self.model,
            quality=self.quality,
            cost_usd=self.attempts_usd + self.judging_usd,
            latency_s=self.latency_s,
            attempts=self.attempts,
            escalations=self.escalations,
            judging_usd=self.judging_usd,
        )


def _cell(values: Floats, rows: Ints, cells: Ints) -> Floats:
    return np.where(cells == NOBODY, np.nan, values[rows, cells])
