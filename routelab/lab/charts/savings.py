"""What each part of a config saved or added, in dollars per 1,000 prompts: the steps from the baseline's cost to an arm's.

Every step is a sum over the prompts of what one thing changed, and what is left of a prompt when the others are taken out
is never spread over them: it is a step of its own. So the steps add up to the difference of the two costs, prompt by prompt.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from routelab.answer import Answer
from routelab.core.plan import NOBODY
from routelab.core.ports import Floats
from routelab.lab.charts.listprice import Listed, listed
from routelab.lab.charts.pieces import Pieces, pieces_of
from routelab.lab.compare import Arm, Comparison
from routelab.lab.outcomes import Bools, Outcomes
from routelab.lab.statistics import Estimate

PER = 1000
STEPS: Mapping[str, str] = MappingProxyType(
    {
        "routing": "another model answered the same messages",
        "cache": "answers that a cache had, at what they cost when they were first given",
        "context": "tokens of the conversation that were left out or put in, at the model's price",
        "prompt": "tokens that the config's own prompt put in or saved, at the model's price",
        "answer length": "the same model answered at another length",
        "no answer": "nobody answered, so that no answer was paid for",
        "refused answers": "answers that a gate did not accept, or that another answer stood for",
        "failed calls": "calls that cost money and brought no answer",
        "summaries": "what it cost to have the conversation summarised",
        "judging": "what gates' judges cost",
        "scoring": "what it cost to measure the answers' quality",
        "not separated": "what several of these changed together, and nothing tells apart",
    }
)
"""The steps in the order in which they are drawn, and what each is."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """What one thing changed, in USD per 1,000 prompts (less than 0: saved), and on how many of the prompts."""

    name: str
    usd: float
    prompts: int

    @property
    def says(self) -> str:
        """What the step is, in words."""
        return STEPS[self.name]


@dataclass(frozen=True, kw_only=True)
class Savings:
    """From the baseline's cost to an arm's over the same `n` prompts, all in USD per 1,000 prompts.

    `total` is the difference, the sum of the steps; its interval is that of the comparison's ratio of costs, and is missing
    where there is none. `unknown` counts the prompts that are left out because what they cost either arm is not known;
    `unseparated` says why some of the difference could not be told apart, a reason with its number of prompts.
    """

    baseline: str
    arm: str
    n: int
    unknown: int
    base_usd: float
    arm_usd: float
    steps: tuple[Step, ...]
    total: Estimate | None
    unseparated: tuple[tuple[str, int], ...] = ()


def savings(comparison: Comparison, arm: str | None = None) -> Savings:
    """Return what led from the baseline's cost to that of an arm (default: the winner, else the first that is not the baseline).

    Live answers say it event by event; of a replay only routing, refused answers and judging are known; estimates from
    logged choices are one step that is not separated. Costs that are not known are left out and counted, never 0.
    """
    held = _arm(comparison, arm)
    base = comparison.baseline
    own, other = held.walked.cost_usd, base.walked.cost_usd
    rows = _rows(comparison, held)
    known = rows & ~np.isnan(own) & ~np.isnan(other)
    n = int(known.sum())
    parts, why = _parts(comparison, held)
    difference = own - other
    changes = {name: parts[name][known] for name in STEPS if name in parts}
    steps = [
        Step(name=name, usd=_mean(values), prompts=int(np.count_nonzero(values)))
        for name, values in changes.items()
        if values.any()
    ]
    base_usd, arm_usd = (_mean(other[known]), _mean(own[known])) if n else (math.nan, math.nan)
    return Savings(
        baseline=base.name,
        arm=held.name,
        n=n,
        unknown=int(rows.sum()) - n,
        base_usd=base_usd,
        arm_usd=arm_usd,
        steps=tuple(steps),
        total=_total(held, _mean(difference[known]), base_usd, n) if n else None,
        unseparated=tuple((reason, int((mask & known).sum())) for reason, mask in why.items() if (mask & known).any()),
    )


def _mean(values: Floats) -> float:
    return PER * math.fsum(values.tolist()) / len(values)


def _arm(comparison: Comparison, name: str | None) -> Arm:
    if name is not None:
        return comparison[name]
    others = [a for a in comparison.arms if a.name != comparison.baseline.name] or [comparison.baseline]
    return comparison.winner() or others[0]


def _rows(comparison: Comparison, arm: Arm) -> Bools:
    """Return the prompts that the comparison's own figures are about: scored for both, or all where nothing was scored."""
    both = ~np.isnan(arm.walked.quality) & ~np.isnan(comparison.baseline.walked.quality)
    return both if both.any() else np.ones(len(both), dtype=np.bool_)


def _total(arm: Arm, value: float, base_usd: float, n: int) -> Estimate:
    ratio = arm.figures.cost_ratio
    ends: tuple[float | None, float | None] = (None, None)
    if ratio is not None and ratio.n == n and ratio.interval is not None:
        ends = (base_usd * (ratio.interval[0] - 1), base_usd * (ratio.interval[1] - 1))
    method = "" if ratio is None or ends[0] is None else f"ratio of costs, {ratio.method}"
    return Estimate(value=value, low=ends[0], high=ends[1], se=None, n=n, method=method)


def _parts(comparison: Comparison, arm: Arm) -> tuple[dict[str, Floats], dict[str, Bools]]:
    """Return each step's change per prompt in USD, (n,), and where and why some of it could not be told apart."""
    base = comparison.baseline
    if comparison.outcomes is not None:
        return _replayed(arm, base, comparison.outcomes), {}
    if base.name in comparison.answers and arm.name in comparison.answers:
        return _live(comparison, comparison.answers[arm.name], comparison.answers[base.name])
    blank = np.ones(len(base.walked), dtype=np.bool_)
    reason = "estimated from logged choices" if comparison.estimates else "the answers were not kept"
    return {"not separated": arm.walked.cost_usd - base.walked.cost_usd}, {reason: blank}


def _replayed(arm: Arm, base: Arm, outcomes: Outcomes) -> dict[str, Floats]:
    """Return the steps of a replay: who answered, what was asked besides, and what judging cost."""
    own, other = _walked(arm, outcomes), _walked(base, outcomes)
    found = {name: own[name] - other[name] for name in own if name != "kept"}
    alone = (arm.walked.model == NOBODY) ^ (base.walked.model == NOBODY)
    moved = own["kept"] - other["kept"]
    return {"routing": np.where(alone, 0.0, moved), "no answer": np.where(alone, moved, 0.0), **found}


def _walked(arm: Arm, outcomes: Outcomes) -> dict[str, Floats]:
    """Return what the answer that counted cost, per prompt, and what else was paid for."""
    walked = arm.walked
    lost = walked.model == NOBODY
    kept = np.where(lost, 0.0, outcomes.cost_usd[np.arange(len(walked)), np.maximum(walked.model, 0)])
    rest = walked.cost_usd - walked.judging_usd - kept
    # Sums in another order differ in their last digits, and that is no call.
    rest = np.where(np.abs(rest) <= 1e-12 * np.abs(walked.cost_usd), 0.0, rest)
    failed = lost | (walked.escalations == 0)
    # A walk keeps one sum a prompt: where a gate refused and a call failed, nothing tells which of them cost it.
    mixed = ~failed & outcomes.failed.any(axis=1)
    return {
        "kept": kept,
        "failed calls": np.where(failed, rest, 0.0),
        "refused answers": np.where(failed | mixed, 0.0, rest),
        "not separated": np.where(mixed, rest, 0.0),
        "judging": walked.judging_usd,
    }


def _live(
    comparison: Comparison, own: Sequence[Answer], other: Sequence[Answer]
) -> tuple[dict[str, Floats], dict[str, Bools]]:
    """Return the steps of live answers, prompt by prompt."""
    every = [a for rows in comparison.answers.values() for a in rows]
    runs = {a.run.id: a.run for a in every}
    prices = listed([a.run for a in every])
    n = len(own)
    found = {name: np.zeros(n) for name in STEPS}
    why: dict[str, Bools] = {}
    for i, (one, two) in enumerate(zip(own, other, strict=True)):
        told, reason = _one(pieces_of(one.run, runs.get), pieces_of(two.run, runs.get), prices)
        for name, value in told.items():
            found[name][i] = value
        if reason:
            why.setdefault(reason, np.zeros(n, dtype=np.bool_))[i] = True
    return found, why


def _one(own: Pieces, base: Pieces, prices: Callable[[str], Listed | None]) -> tuple[dict[str, float], str]:
    """Return the steps of one prompt, and why some could not be told apart."""
    if math.isnan(own.total) or math.isnan(base.total):
        return dict.fromkeys(STEPS, math.nan), ""
    if own.kept is None or base.kept is None:
        # A cache had the answer, and nobody here knows what it cost when it was first given.
        return {"not separated": own.total - base.total}, "a cached answer's first cost is not among these runs"
    told = {name: own.parts[name] - base.parts[name] for name in own.parts}
    moved, reason = _kept(own, base, prices)
    return {**told, **moved}, reason


def _kept(own: Pieces, base: Pieces, prices: Callable[[str], Listed | None]) -> tuple[dict[str, float], str]:
    """Return the steps between the two calls whose answers counted."""
    one, two = own.kept, base.kept
    assert one is not None
    assert two is not None
    difference, alike = one.cost_usd - two.cost_usd, one.model == two.model
    if not (one.model and two.model):
        return {"no answer": difference}, ""
    if one.messages == two.messages:
        return {"answer length" if alike else "routing": difference}, ""
    mine, theirs = one.rewritten(prices), two.rewritten(prices)
    if mine is not None and theirs is not None:
        moved = {name: mine[name] - theirs[name] for name in mine}
        rest = difference - math.fsum(moved.values())
        return {**moved, ("answer length" if alike else "routing"): rest}, ""
    kinds = one.kinds | two.kinds
    if alike and len(kinds) == 1:
        return {next(iter(kinds)): difference}, ""
    changed = " and ".join(sorted(kinds or {"prompt"}))
    return {"not separated": difference}, f"routing and {changed} changed together, and their tokens were not counted"
