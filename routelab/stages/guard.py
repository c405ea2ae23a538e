"""The one place where somebody's bug must not lose a prompt: a strategy that cannot decide leaves it to the default.

The default is the config's first model, then its other models, each with its fallbacks. Live calls, dry runs and replays share
this, so what a strategy raises for one prompt costs the same prompt in a replay, and no other one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from routelab.core.errors import ConfigError, RoutelabError, visible
from routelab.core.plan import NOBODY, Plan
from routelab.core.ports import Strategy
from routelab.core.values import Prompt, Roster
from routelab.providers.refusals import snippet

SHOWN = 300
"""Characters of an exception's text that the log keeps."""
FORM = "plan(prompts, roster) returns a core.plan.Plan: order n × depth, propensity, reason, and quality n × models"


def guarded(kind: str, strategy: Strategy, prompts: Sequence[Prompt], roster: Roster, *, strict: bool = False) -> Plan:
    """Return the strategy's plan, with the default ranking wherever it raised or returned what cannot be used.

    `Plan.errors` says for which rows, and why, one line each. A batch that fails is halved until the prompts that make
    it fail stand alone (row i depends on prompt i only). With `strict`, what the strategy raised is raised when not one
    prompt could be planned: a strategy that was never fitted is no arm to compare.
    """
    parts: list[Plan] = []
    first: BaseException | None = None
    waiting = [(0, len(prompts))]
    while waiting:
        low, high = waiting.pop()
        try:
            plan = strategy.plan(prompts if high - low == len(prompts) else prompts[low:high], roster)
            wrong = _misshapen(plan, high - low, len(roster))
            error = f"strategy {kind} returned {wrong}"
        except (Exception, SystemExit) as trouble:  # noqa: BLE001
            # The one such place: a bug in somebody's strategy costs its decision, never the prompt.
            wrong = error = said(kind, trouble)
            first = first or trouble
        if wrong is None:
            parts.append(_mended(kind, plan, roster))
        elif high - low > 1:
            middle = (low + high) // 2
            waiting += [(middle, high), (low, middle)]
        else:
            parts.append(default(error, roster, n=high - low))
    plan = joined(parts)
    if strict and len(plan.errors) == len(plan) > 0:
        raise first or ConfigError(f"{plan.errors[0]}, and so for every prompt", hint=FORM)
    return plan


def default(error: str, roster: Roster, *, n: int = 1) -> Plan:
    """Return the plan for n prompts that were not decided: the roster in its order, the first answer taken, and why."""
    return Plan(
        order=np.tile(np.arange(len(roster), dtype=np.intp), (n, 1)),
        propensity=np.ones(n),
        reason=np.zeros(n, dtype=np.intp),
        reasons=(f"default: {error}",),
        # No gate judges the default: the others only stand in when a call fails.
        rungs=np.ones(n, dtype=np.intp),
        errors=dict.fromkeys(range(n), error),
    )


def said(kind: str, trouble: BaseException) -> str:
    """Return in one line what a strategy raised, without keys and without what a terminal obeys.

    >>> said("mine", ValueError("no such\\n column"))
    'strategy mine raised ValueError: no such column'
    """
    try:
        text = trouble.message if isinstance(trouble, RoutelabError) else str(trouble)
    except Exception:  # noqa: BLE001 - not even its text can be had
        text = ""
    line = snippet(visible(text))
    line = line if len(line) <= SHOWN else line[: SHOWN - 1] + "…"
    return f"strategy {kind} raised {type(trouble).__name__}" + (f": {line}" if line else "")


def _mended(kind: str, plan: Plan, roster: Roster) -> Plan:
    """Return the plan with the default in the place of rows that cannot be used."""
    faults = _faults(plan, roster)
    if not faults:
        return plan
    instead = {i: default(f"strategy {kind} {fault}", roster) for i, fault in faults.items()}
    # Runs of sound rows stay whole.
    ends = sorted({0, len(plan), *faults, *(i + 1 for i in faults)})
    return joined([instead[a] if a in instead else _rows(plan, a, b) for a, b in pairwise(ends)])


def joined(parts: Sequence[Plan]) -> Plan:
    """Return the plans one below the other; the gate is that of the first one that a strategy made."""
    if len(parts) == 1:
        return parts[0]
    depth = max(part.order.shape[1] for part in parts)
    starts = np.cumsum([0, *(len(part) for part in parts)])
    texts = {text: k for k, text in enumerate(dict.fromkeys(t for part in parts for t in part.reasons))}
    made = [part for part in parts if not part.errors] or [p for p in parts if len(p.errors) < len(p)]
    quality = None
    if any(part.quality is not None for part in parts):
        width = next(part.quality.shape[1] for part in parts if part.quality is not None)
        quality = np.concatenate(
            [np.full((len(part), width), np.nan) if part.quality is None else part.quality for part in parts]
        )
    return Plan(
        order=np.concatenate(
            [np.pad(p.order, ((0, 0), (0, depth - p.order.shape[1])), constant_values=NOBODY) for p in parts]
        ),
        propensity=np.concatenate([part.propensity for part in parts]),
        reason=np.concatenate(
            [np.array([texts[t] for t in part.reasons], dtype=np.intp)[part.reason] for part in parts]
        ),
        reasons=tuple(texts),
        gate=(made or list(parts))[0].gate,
        quality=quality,
        rungs=np.concatenate([part.ladder for part in parts]),
        errors={
            int(start) + i: error
            for start, part in zip(starts, parts, strict=False)
            for i, error in part.errors.items()
        },
    )


def told(errors: Mapping[int, str], n: int) -> str:
    """Return how many of n decisions fell back to the default, and the commonest reason; empty when none did.

    >>> told({3: "strategy mine raised ValueError: no", 5: "strategy mine raised ValueError: no"}, 100)
    '2 of 100 decisions fell back to the default (strategy mine raised ValueError: no)'
    """
    if not errors:
        return ""
    reasons = list(errors.values())
    often = max(dict.fromkeys(reasons), key=reasons.count)
    mostly = "" if len(set(reasons)) == 1 else "mostly: "
    plural = "decision" if n == 1 else "decisions"
    return f"{len(errors):,} of {n:,} {plural} fell back to the default ({mostly}{often})"


def _misshapen(plan: object, n: int, models: int) -> str | None:
    """Return what is wrong with a whole plan, or None."""
    if not isinstance(plan, Plan):
        return f"a {type(plan).__name__} instead of a Plan"
    if len(plan) != n:
        return f"{len(plan)} rankings for {n} prompts"
    if not np.issubdtype(plan.order.dtype, np.integer) or not np.issubdtype(plan.reason.dtype, np.integer):
        return f"an order of {plan.order.dtype} and reasons of {plan.reason.dtype} where positions are whole numbers"
    if not np.issubdtype(plan.propensity.dtype, np.floating):
        return f"propensities of {plan.propensity.dtype}"
    if plan.quality is not None and np.shape(plan.quality) != (n, models):
        return f"qualities of shape {np.shape(plan.quality)} for {n} prompts × {models} models"
    if plan.rungs is not None and np.shape(plan.rungs) != (n,):
        return f"rungs of shape {np.shape(plan.rungs)} for {n} prompts"
    return None


def _faults(plan: Plan, roster: Roster) -> dict[int, str]:
    """Return what is wrong with which rows, the first fault of each, in the order of the rows."""
    n, depth = plan.order.shape
    names, order = roster.names, plan.order
    found: dict[int, str] = {}

    def blame(rows: np.ndarray[tuple[int], np.dtype[np.bool_]], fault: str) -> None:
        for i in np.flatnonzero(rows):
            found.setdefault(int(i), fault)

    outside = ((order < NOBODY) | (order >= len(names))).any(axis=1)
    if outside.any():
        for i in np.flatnonzero(outside):
            position = next(int(m) for m in order[i] if not NOBODY <= m < len(names))
            found[int(i)] = f"named model number {position} of {len(names)}"
    named = order != NOBODY
    if depth == 0 or not named[:, 0].all():
        blame(~named.any(axis=1) if depth else np.ones(n, dtype=np.bool_), "ranked no model")
    if depth > 1:
        blame((named[:, 1:] & ~named[:, :-1]).any(axis=1), "left a hole in its ranking")
        held = np.sort(order, axis=1)
        twice = ((held[:, 1:] == held[:, :-1]) & (held[:, 1:] != NOBODY)).any(axis=1)
        for i in np.flatnonzero(twice & ~outside):
            row = [int(m) for m in order[i] if m != NOBODY]
            found.setdefault(int(i), f"ranked {names[next(m for m in row if row.count(m) > 1)]} twice")
    # Written so that NaN, which compares false, is not a chance either.
    chance = (plan.propensity > 0) & (plan.propensity <= 1)
    for i in np.flatnonzero(~chance):
        found.setdefault(int(i), f"gave its ranking a propensity of {plan.propensity[i]:g}")
    blame((plan.reason < 0) | (plan.reason >= len(plan.reasons)), "gave a reason that it does not have")
    if plan.quality is not None and depth:
        first = np.clip(order[:, 0], 0, len(names) - 1)
        for i in np.flatnonzero(~np.isfinite(plan.quality[np.arange(n), first])):
            found.setdefault(int(i), f"predicted a quality of {plan.quality[i, first[i]]:g} for its own first choice")
    return dict(sorted(found.items()))


def _rows(plan: Plan, low: int, high: int) -> Plan:
    return Plan(
        order=plan.order[low:high],
        propensity=plan.propensity[low:high],
        reason=plan.reason[low:high],
        reasons=plan.reasons,
        gate=plan.gate,
        quality=None if plan.quality is None else plan.quality[low:high],
        rungs=None if plan.rungs is None else plan.rungs[low:high],
    )
