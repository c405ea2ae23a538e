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
    model = np.full(n, NOBODY, dtype=np.intp)
    quality, cost, latency, judging = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    attempts, escalations = np.zeros(n, dtype=np.intp), np.zeros(n, dtype=np.intp)
    open_, refused = np.ones(n, dtype=np.bool_), np.zeros(n, dtype=np.bool_)
    before = np.full(plan.order.shape, NOBODY, dtype=np.intp)
    for step in range(plan.order.shape[1]):
        ranked = plan.order[:, step] != NOBODY
        rows = np.flatnonzero(open_ & ranked)
        open_ &= ranked
        if len(rows) == 0:
            break
        cells = where[plan.order[rows, step]]
        attempts[rows] += 1
        escalations[rows] += refused[rows]
        cost[rows] += _cell(outcomes.cost_usd, rows, cells)
        latency[rows] += _cell(outcomes.latency_s, rows, cells)
        lost = (cells != NOBODY) & outcomes.failed[rows, cells]
        heard, by = rows[~lost], cells[~lost]
        model[heard] = by
        quality[heard] = _cell(outcomes.quality, heard, by)
        accepted, unknown = np.ones(len(heard), dtype=np.bool_), by == NOBODY
        judged = np.flatnonzero(~unknown & (step < ladder[heard] - 1))
        if referee is not None and plan.gate.scorer is not None and len(judged):
            asked, of = heard[judged], by[judged]
            given = referee(asked, of, before[asked, :step])
            judging[asked] += given.cost_usd
            latency[asked] += given.latency_s
            accepted[judged] = given.score >= bars[of]
            unknown[judged] = np.isnan(given.score)
            if given.stands is not None:
                earlier = accepted[judged] & (given.stands != NOBODY)
                model[asked[earlier]] = given.stands[earlier]
                quality[asked[earlier]] = outcomes.quality[asked[earlier], given.stands[earlier]]
        before[heard, step] = by
        for values in (quality, cost, latency, judging):
            values[heard[unknown]] = np.nan
        open_[heard[accepted | unknown]] = False
        refused[rows] = False
        refused[heard[~accepted & ~unknown]] = True
    return Walked(
        model=model,
        quality=quality,
        cost_usd=cost + judging,
        latency_s=latency,
        attempts=attempts,
        escalations=escalations,
        judging_usd=judging,
    )


def _cell(values: Floats, rows: Ints, cells: Ints) -> Floats:
    return np.where(cells == NOBODY, np.nan, values[rows, cells])
