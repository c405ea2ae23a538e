"""What a replay tries when nobody names arms: candidates are judged on tune by cross-fitting, the best go to confirm.

A source is a function from the tune outcomes to candidates, so a new strategy joins by being passed in. Every
candidate counts as tried. Only the nominated ones can win, and the correction for several arms is over these: no
other candidate's confirm figures are looked at to choose.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np

from routelab.core.ports import Floats
from routelab.lab.compare import Comparison, same
from routelab.lab.nomination import NOMINATED, SUMS, contributions, folds, nominate, standings, whole
from routelab.lab.outcomes import Bools, Outcomes
from routelab.lab.replay import (
    CONTROL_NAMES,
    Planner,
    baseline_of,
    check,
    compare_entries,
    entry_of,
    halve,
    planned,
    terms_of,
    walked,
)
from routelab.lab.sources import SOURCES, Candidate, Source
from routelab.lab.walk import Walked

Parts: TypeAlias = Sequence[tuple[Bools, Outcomes]]


def search(
    outcomes: Outcomes,
    *,
    confirm: float = 0.4,
    margin: float = 0.02,
    seed: int = 0,
    baseline: str | None = None,
    sources: Sequence[Source] = SOURCES,
    plan_for: Planner | None = None,
) -> Comparison:
    """Return the comparison of every single model and of the candidates nominated on tune, reported on confirm.

    With `confirm=0` everything is tuned and looked at on all prompts, and nothing wins.
    """
    check(confirm, margin)
    halves = halve(outcomes, confirm, seed)
    planner = plan_for or planned
    candidates = [c for source in sources for c in source(halves.tune) if c.name not in CONTROL_NAMES]
    base = baseline_of(baseline, (), halves)
    on_tune = base.tune if base.tune is not None else base.walked
    able = [c for c in candidates if not c.control]
    parts = folds(halves.tune, seed)
    tried = [_tried(c, halves.tune, on_tune, parts if c.learns else whole(halves.tune), planner) for c in able]
    order = nominate(standings(np.reshape(tried, (-1, SUMS)).T), lambda i: able[i].name, margin=margin, confirm=len(halves.confirm))
    nominated = _distinct((able[i] for i in order), on_tune, halves.tune, planner)
    shown = [c for c in candidates if c.name in nominated or c.name in halves.tune.models]
    entries = [entry_of(c.name, c.arm(halves.tune), halves, planner) for c in shown]
    terms = dataclasses.replace(
        terms_of(outcomes, halves, margin=margin, seed=seed, arms_tried=len(candidates)), nominated=nominated
    )
    return compare_entries(halves, entries, base, terms)


def _distinct(candidates: Iterable[Candidate], baseline: Walked, tune: Outcomes, plan_for: Planner) -> tuple[str, ...]:
    """Return the first NOMINATED names, passing over those that decide every tune prompt like the baseline or another."""
    names: list[str] = []
    seen = [baseline]
    for candidate in candidates:
        if len(names) == NOMINATED:
            break
        walk = walked(candidate.name, candidate.arm(tune), tune, plan_for)
        if not any(same(walk, other) for other in seen):
            seen.append(walk)
            names.append(candidate.name)
    return tuple(names)


def _tried(candidate: Candidate, tune: Outcomes, baseline: Walked, parts: Parts, plan_for: Planner) -> Floats:
    """Return the candidate's sums on tune: every prompt is scored by a version that was fitted without its fold."""
    sums = np.zeros(SUMS)
    for rows, rest in parts:
        part = walked(candidate.name, candidate.arm(rest), tune.take(rows), plan_for)
        sums += contributions(part.quality, part.cost_usd, baseline.take(rows)).sum(axis=1)
    return sums
