"""Play a plan over recorded outcomes: who would have answered, at what quality, cost and wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np

from routelab.core.plan import NOBODY, Plan
from routelab.core.ports import Floats
from routelab.lab.outcomes import Bools, Ints, Outcomes


@dataclass(frozen=True, kw_only=True, eq=False)
class Walked:
    """One arm over n prompts.

    `model` (n,) is the column that answered, NOBODY (-1) where nobody did; `quality` counts a missing answer as 0
    and is NaN where the score was not recorded; `cost_usd` sums every attempt and every judge, and `latency_s` adds
    them one after the other, NaN as soon as one is not known; `judging_usd` is the judges' part of the cost;
    `attempts` counts the models asked; `escalations` counts how often a gate's refusal led on to another model.
    """

    model: Ints
    quality: Floats
    cost_usd: Floats
    latency_s: Floats
    attempts: Ints
    escalations: Ints
    judging_usd: Floats

    def __len__(self) -> int:
        return len(self.model)

    @property
    def failures(self) -> int:
        """How many prompts nobody answered; what is not known is not counted."""
        return int(((self.model == NOBODY) & ~np.isnan(self.quality)).sum())

    def take(self, rows: Bools | Ints) -> Walked:
        """Return the walk of some prompts."""
        return Walked(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


def joined(parts: Sequence[tuple[Bools, Walked]]) -> Walked:
    """Return one walk of parts (their rows as a mask over all prompts, their walk) that have every prompt once."""
    order = np.argsort(np.concatenate([np.flatnonzero(rows) for rows, _ in parts]))
    return Walked(**{f.name: np.concatenate([getattr(w, f.name) for _, w in parts])[order] for f in fields(Walked)})


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
