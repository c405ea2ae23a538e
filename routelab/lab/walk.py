"""Play a plan over recorded outcomes: who would have answered, at what quality, cost and wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from routelab.core.plan import NOBODY, Plan
from routelab.core.ports import Floats
from routelab.lab.outcomes import Bools, Ints, Outcomes


@dataclass(frozen=True, kw_only=True, eq=False)
class Walked:
    """One arm over n prompts.

    `model` (n,) is the column that answered, NOBODY (-1) where nobody did; `quality` counts a missing answer as 0
    and is NaN where the score was not recorded; `cost_usd` sums every attempt and `latency_s` adds them one after
    the other, NaN as soon as one is not known; `attempts` counts the models asked; `escalations` counts how often a
    gate's refusal led on to another model.
    """

    model: Ints
    quality: Floats
    cost_usd: Floats
    latency_s: Floats
    attempts: Ints
    escalations: Ints

    def __len__(self) -> int:
        return len(self.model)

    @property
    def failures(self) -> int:
        """How many prompts nobody answered; what is not known is not counted."""
        return int(((self.model == NOBODY) & ~np.isnan(self.quality)).sum())

    def take(self, rows: Bools | Ints) -> Walked:
        """Return the walk of some prompts."""
        return Walked(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


def walk(plan: Plan, outcomes: Outcomes, columns: Sequence[int] | Ints, gate_quality: Floats | None = None) -> Walked:
    """Return what the plan's rankings would have brought, row i of the plan being prompt i of the outcomes.

    `columns` gives the outcomes' column of each roster position, -1 for a model without outcomes: its answer is not
    known, so quality, cost and wait are NaN from there on. A recorded failure passes to the next model in the
    ranking. With a scored gate, `gate_quality` (prompts × models) decides: an answer below `at_least` passes to the
    next one, and when all were refused the last answer counts; where the gate's score was not recorded, nothing
    after it is known. Raises ValueError when a scored gate comes without scores.
    """
    n = len(plan)
    if n != len(outcomes):
        raise ValueError(f"the plan is for {n} prompts and the outcomes hold {len(outcomes)}")
    if plan.gate.scorer is not None and gate_quality is None:
        raise ValueError(f"the gate '{plan.gate.scorer}' needs the scores that it gave")
    where = np.append(np.asarray(columns, dtype=np.intp), NOBODY)  # position -1 looks up the last entry: nobody
    asked = np.where(plan.order == NOBODY, NOBODY, plan.order)
    model = np.full(n, NOBODY, dtype=np.intp)
    quality = np.zeros(n)
    cost, latency = np.zeros(n), np.zeros(n)
    attempts, escalations = np.zeros(n, dtype=np.intp), np.zeros(n, dtype=np.intp)
    open_, refused = np.ones(n, dtype=np.bool_), np.zeros(n, dtype=np.bool_)
    for step in range(plan.order.shape[1]):
        ranked = asked[:, step] != NOBODY
        rows = np.flatnonzero(open_ & ranked)
        open_ &= ranked
        if len(rows) == 0:
            break
        cells = where[asked[rows, step]]
        attempts[rows] += 1
        escalations[rows] += refused[rows]
        cost[rows] += _cell(outcomes.cost_usd, rows, cells)
        latency[rows] += _cell(outcomes.latency_s, rows, cells)
        lost = (cells != NOBODY) & outcomes.failed[rows, cells]
        heard, by = rows[~lost], cells[~lost]
        model[heard] = by
        quality[heard] = _cell(outcomes.quality, heard, by)
        accepted, unknown = _judged(plan, heard, by, gate_quality)
        unknown |= by == NOBODY
        for values in (quality, cost, latency):
            values[heard[unknown]] = np.nan
        open_[heard[accepted | unknown]] = False
        refused[rows] = False
        refused[heard[~accepted & ~unknown]] = True
    return Walked(
        model=model, quality=quality, cost_usd=cost, latency_s=latency, attempts=attempts, escalations=escalations
    )


def _cell(values: Floats, rows: Ints, cells: Ints) -> Floats:
    return np.where(cells == NOBODY, np.nan, values[rows, cells])


def _judged(plan: Plan, rows: Ints, cells: Ints, gate_quality: Floats | None) -> tuple[Bools, Bools]:
    """Return which answers the gate accepts, and for which its judgement is not known."""
    if plan.gate.scorer is None or gate_quality is None:
        return np.ones(len(rows), dtype=np.bool_), np.zeros(len(rows), dtype=np.bool_)
    given = _cell(gate_quality, rows, cells)
    return given >= (plan.gate.at_least or 0.0), np.isnan(given)
