"""The vectorised walk against a plain one, and against the record of a live run."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.core.events import Answered, Routed, Unanswered
from routelab.core.flow import play
from routelab.core.plan import NOBODY, Gate, Plan, plan_of, with_fallbacks
from routelab.core.ports import World
from routelab.core.run import Run
from routelab.core.values import Judgement, Prompt
from routelab.lab.outcomes import Judgements, Outcomes
from routelab.lab.referees import Recorded
from routelab.lab.walk import ARRAYS, Rulings, joined, walk
from routelab.stages.admit import Admit, unjudged

NAN = float("nan")


@st.composite
def cases(draw: Any, *, known: bool = False) -> tuple[list[list[int]], dict[str, Any], Gate, Any, list[int]]:
    """Draw rankings, a cube, a gate with what it gave and a map from positions to columns."""
    n, m = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    holes = [] if known else [NAN]

    def grid(choices: list[Any]) -> Any:
        return [[draw(st.sampled_from(choices)) for _ in range(m)] for _ in range(n)]

    cube = {
        "quality": grid([0.0, 0.4, 1.0, *holes]),
        "cost_usd": grid([0.0, 1.0, 2.5, *holes]),
        "latency_s": grid([0.5, 3.0, *holes]),
        "failed": grid([False, False, True]),
    }
    gate = draw(st.sampled_from([Gate(), Gate(scorer="judge", at_least=0.5), Gate(scorer="judge", bars={"a": 0.9})]))
    scores = Judgements(
        score=np.array(grid([0.0, 0.5, 0.9, -np.inf, *holes])),
        cost_usd=np.array(grid([0.0, 0.25, *holes])),
        latency_s=np.array(grid([0.0, 0.125])),
    )
    ruled = Ruled(given=scores, first=np.array(grid([False, False, True])))
    columns = list(range(m)) if known else draw(st.permutations([*range(m - 1), draw(st.sampled_from([m - 1, -1]))]))
    orders = [draw(st.permutations(range(m)))[: draw(st.integers(0, m))] for _ in range(n)]
    return orders, cube, gate, ruled, columns


@dataclass(frozen=True, kw_only=True)
class Ruled:
    """A gate over recorded answers that lets the first answer stand in the place of some that it accepts."""

    given: Judgements
    first: Any

    def __call__(self, rows: Any, cells: Any, before: Any) -> Rulings:
        at = self.given.at(rows, cells)
        earliest = np.array([next((c for c in line if c != NOBODY), NOBODY) for line in before.tolist()], dtype=np.intp)
        stands = np.where(self.first[rows, cells], earliest, NOBODY)
        return Rulings(score=at.score, cost_usd=at.cost_usd, latency_s=at.latency_s, stands=stands)


def plan(orders: list[list[int]], gate: Gate) -> Plan:
    made = plan_of(orders, ["r"] * len(orders))
    return Plan(order=made.order, propensity=made.propensity, reason=made.reason, reasons=made.reasons, gate=gate)


def plainly(
    order: list[int], row: dict[str, list[Any]], gate: Gate, scores: Judgements, first: list[bool], columns: list[int]
) -> tuple[Any, ...]:
    """Return what the walk should find for one prompt, one step after the other."""
    model, quality, cost, wait, attempts, escalations = NOBODY, 0.0, 0.0, 0.0, 0, 0
    refused, heard = False, []
    for step, position in enumerate(order):
        column = columns[position]
        attempts, escalations = attempts + 1, escalations + refused
        refused = False
        if column == -1:
            return NOBODY, NAN, NAN, NAN, attempts, escalations
        cost, wait = cost + row["cost_usd"][column], wait + row["latency_s"][column]
        if row["failed"][column]:
            continue
        model, quality = column, row["quality"][column]
        heard.append(column)
        if gate.scorer is None or step == len(order) - 1:
            break
        cost, wait = cost + scores.cost_usd[column], wait + scores.latency_s[column]
        if scores.score[column] >= gate.bar(row["models"][column]):
            model = heard[0] if first[column] else model
            quality = row["quality"][model]
            break
        if np.isnan(scores.score[column]):
            return model, NAN, NAN, NAN, attempts, escalations
        refused = True
    return model, quality, cost, wait, attempts, escalations


@given(cases())
def test_a_walk_over_all_prompts_is_a_walk_over_each(cube: Any, case: Any) -> None:
    orders, values, gate, ruled, columns = case
    outcomes = cube(**values)
    found = walk(plan(orders, gate), outcomes, columns, ruled)
    rows = [
        {k: list(getattr(outcomes, k)[i]) for k in values} | {"models": outcomes.models} for i in range(len(orders))
    ]
    wanted = [
        plainly(o, row, gate, ruled.given.at(i), ruled.first[i], columns)
        for i, (o, row) in enumerate(zip(orders, rows, strict=True))
    ]
    got = zip(
        found.model, found.quality, found.cost_usd, found.latency_s, found.attempts, found.escalations, strict=True
    )
    for ours, theirs in zip(got, wanted, strict=True):
        assert list(ours) == pytest.approx(list(theirs), nan_ok=True)


def live(order: list[int], i: int, outcomes: Outcomes, gate: Gate, ruled: Ruled) -> Run:
    """Return the run that asking these models live would have left behind."""
    run = Run(id=str(i), prompt=Prompt(id=str(i), messages=()), started_at=datetime(2026, 1, 1))
    run = run.then(Routed(strategy="x", order=tuple(outcomes.models[m] for m in order), reason=""))
    while not run.settled:
        assert run.current is not None
        column = outcomes.models.index(run.current)
        paid = {"cost_usd": float(outcomes.cost_usd[i, column]), "latency_s": float(outcomes.latency_s[i, column])}
        if outcomes.failed[i, column]:
            run = run.then(
                Unanswered(model=run.current, provider="", error="TimedOut", message="", retry=False, **paid)
            )
            continue
        asked = run.current
        run = run.then(Answered(model=asked, served_model=asked, provider="", text="x", **paid))
        if gate.scorer is not None and not unjudged(run):
            stage = Admit(
                gate=gate, judge=Replayed(given=ruled.given.at(i, column), first=bool(ruled.first[i, column]))
            )
            run = asyncio.run(play(stage, run, World(clock=Stopped())))
    return run


class Stopped:
    """A clock that stands still."""

    def now(self) -> datetime:
        return datetime(2026, 1, 1)

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        pass


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """A judge that gives what was recorded; minus infinity stands for a judge that could not say."""

    given: Any
    first: bool

    async def __call__(self, run: Run, world: World) -> Judgement:
        score = float(self.given.score)
        earliest = next(e.model for e in run.events if isinstance(e, Answered))
        return Judgement(
            quality=None if np.isinf(score) else score,
            cost_usd=float(self.given.cost_usd),
            latency_s=float(self.given.latency_s),
            answered_by=earliest if self.first else None,
        )


@given(cases(known=True))
def test_a_replay_finds_what_a_live_run_would_have_recorded(cube: Any, case: Any) -> None:
    orders, values, gate, ruled, _ = case
    outcomes = cube(**values)
    found = walk(plan(orders, gate), outcomes, list(range(len(outcomes.models))), ruled)
    for i, order in enumerate(orders):
        run = live(order, i, outcomes, gate, ruled)
        answered = None if run.answered is None else outcomes.models.index(run.answered.model)
        assert found.model[i] == (NOBODY if answered is None else answered)
        assert found.quality[i] == (0.0 if answered is None else outcomes.quality[i, answered])
        assert found.cost_usd[i] == pytest.approx(run.cost_usd)
        assert found.latency_s[i] == pytest.approx(run.latency_s)
        assert found.attempts[i] == len(run.attempts)


def test_a_prompt_that_nobody_answered_counts_as_a_failure_of_quality_0(cube: Any) -> None:
    outcomes = cube([[1.0, 1.0], [1.0, 0.5]], failed=[[1, 1], [1, 0]], cost_usd=0.1)
    found = walk(plan_of([[0, 1], [0, 1]], ["r", "r"]), outcomes, [0, 1])
    assert (found.failures, list(found.quality), list(found.model)) == (1, [0.0, 0.5], [NOBODY, 1])
    assert list(found.cost_usd) == pytest.approx([0.2, 0.2])


def test_a_gate_without_scores_and_a_plan_for_other_prompts_are_mistakes(cube: Any) -> None:
    outcomes = cube([[1.0]])
    with pytest.raises(ValueError, match="needs somebody"):
        walk(plan([[0]], Gate(scorer="judge", at_least=0.5)), outcomes, [0])
    with pytest.raises(ValueError, match="2 prompts"):
        walk(plan_of([[0], [0]], ["r", "r"]), outcomes, [0])


def test_who_only_stands_in_for_failures_is_no_rung_of_the_ladder(cube: Any) -> None:
    """The gate refuses everything: the strong model's answer is taken all the same, and the fallback is not asked."""
    outcomes = cube([[0.0, 1.0, 0.0]] * 2, cost_usd=[[1, 10, 5]] * 2, failed=[[0, 0, 0], [0, 1, 0]])
    refusing = Recorded(given=Judgements.free(np.zeros((2, 3))))
    ladder = with_fallbacks(plan([[0, 1]] * 2, Gate(scorer="judge", at_least=0.5)), {1: [2]})
    found = walk(ladder, outcomes, [0, 1, 2], refusing)
    assert (found.model.tolist(), found.cost_usd.tolist(), found.attempts.tolist()) == ([1, 2], [11.0, 16.0], [2, 3])


def test_a_judges_spend_is_part_of_the_cost_and_is_known_apart(cube: Any) -> None:
    outcomes = cube([[0.0, 1.0]] * 2, cost_usd=[[1, 10]] * 2)
    given = Judgements(
        score=np.array([[0.0, 0], [1, 0]]), cost_usd=np.full((2, 2), 0.5), latency_s=np.full((2, 2), 2.0)
    )
    found = walk(plan([[0, 1]] * 2, Gate(scorer="judge", at_least=0.5)), outcomes, [0, 1], Recorded(given=given))
    assert (found.cost_usd.tolist(), found.judging_usd.tolist()) == ([11.5, 1.5], [0.5, 0.5])


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30))
def test_a_walk_in_parts_is_put_together_in_its_own_order(cube: Any, places: list[int]) -> None:
    n = len(places)
    outcomes = cube(np.linspace(0, 1, 2 * n).reshape(n, 2), cost_usd=np.arange(2.0 * n).reshape(n, 2))
    found = walk(plan_of([[i % 2] for i in range(n)], ["r"] * n), outcomes, [0, 1])
    parts = [(rows, found.take(rows)) for rows in (np.array(places) == k for k in range(5)) if rows.any()]
    again = joined(parts)
    for name in ARRAYS:
        assert np.array_equal(getattr(again, name), getattr(found, name), equal_nan=True)
