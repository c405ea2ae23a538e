"""What a replay tries when nobody names arms: candidates are judged on tune by cross-fitting, the best go to confirm.

A source is a function from the tune outcomes to candidates, so a new strategy joins by being passed in. Every
candidate counts as tried. Only the nominated ones can win, and the correction for several arms is over these: no
other candidate's confirm figures are looked at to choose.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from routelab.core.ports import Floats
from routelab.lab.compare import Comparison, same
from routelab.lab.ladder import climbed
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
from routelab.lab.sources import SOURCES, Candidate, Ladder, Source
from routelab.lab.walk import Walked


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
    field = Field(
        tune=halves.tune,
        baseline=base.tune if base.tune is not None else base.walked,
        folds=tuple(folds(halves.tune, seed)),
        planner=planner,
    )
    rungs = [rung for c in candidates if isinstance(c, Ladder) or not c.control for rung in field.rungs(c)]
    held = standings(np.array([rung.sums for rung in rungs]).reshape(-1, SUMS).T)
    order = nominate(held, lambda i: rungs[i].name, margin=margin, confirm=len(halves.confirm))
    chosen = _distinct((rungs[i] for i in order), field)
    alone = {
        c.name: c.arm(halves.tune) for c in candidates if isinstance(c, Candidate) and c.name in halves.tune.models
    }
    entries = [entry_of(name, arm, halves, planner, fitted=name in chosen) for name, arm in {**alone, **chosen}.items()]
    tried = sum(len(c.values) if isinstance(c, Ladder) else 1 for c in candidates)
    terms = dataclasses.replace(
        terms_of(outcomes, halves, margin=margin, seed=seed, arms_tried=tried), nominated=tuple(chosen)
    )
    return compare_entries(halves, entries, base, terms)


@dataclass(frozen=True, kw_only=True, eq=False)
class Rung:
    """One arm that was tried: its sums on tune, how to have it fitted there, and which rungs of its ladder decide alike."""

    name: str
    sums: Floats
    arm: Callable[[], Any]
    alike: Hashable = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Field:
    """Where candidates are judged: every prompt of tune by a version that was fitted without its fold."""

    tune: Outcomes
    baseline: Walked
    folds: tuple[tuple[Bools, Outcomes], ...]
    planner: Planner

    def rungs(self, candidate: Candidate | Ladder) -> list[Rung]:
        """Return what was tried of a candidate: itself, or every value of a ladder."""
        if isinstance(candidate, Ladder):
            return self._climbed(candidate)
        sums = np.zeros(SUMS)
        for rows, rest in self.folds if candidate.learns else whole(self.tune):
            part = walked(candidate.name, candidate.arm(rest), self.tune.take(rows), self.planner)
            sums += contributions(part.quality, part.cost_usd, self.baseline.take(rows)).sum(axis=1)
        return [Rung(name=candidate.name, sums=sums, arm=lambda: candidate.arm(self.tune))]

    def _climbed(self, ladder: Ladder) -> list[Rung]:
        values = np.array(ladder.values, dtype=float)
        sums, marks = np.zeros((SUMS, len(values))), []
        for rows, rest in self.folds:
            found, steps = climbed(ladder.arm(rest), values, self.tune.take(rows), self.baseline.take(rows))
            sums += found
            marks.append(steps)
        alike = np.stack(marks, axis=1).tolist()

        def arm(value: float) -> Callable[[], Any]:
            return lambda: ladder.member(ladder.arm(self.tune), value)

        return [
            Rung(name=ladder.called(v), sums=sums[:, i], arm=arm(v), alike=(ladder.name, *alike[i]))
            for i, v in enumerate(ladder.values)
        ]


def _distinct(rungs: Iterable[Rung], field: Field) -> dict[str, Any]:
    """Return the first NOMINATED, fitted on tune, passing over those that decide it like the baseline or another."""
    chosen: dict[str, Any] = {}
    seen, met = [field.baseline], set()
    for rung in rungs:
        if len(chosen) == NOMINATED:
            break
        if rung.alike is not None and rung.alike in met:
            continue
        met.add(rung.alike)
        arm = rung.arm()
        walk = walked(rung.name, arm, field.tune, field.planner)
        if not any(same(walk, other) for other in seen):
            seen.append(walk)
            chosen[rung.name] = arm
    return chosen
