"""What a replay tries when nobody names arms: candidates are judged on tune by cross-fitting, the best go to confirm.

A source is a function from the tune outcomes to candidates, so a new strategy joins by being passed in. Every
candidate counts as tried. Only the nominated ones can win, and the correction for several arms is over these: no
other candidate's confirm figures are looked at to choose.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from routelab.core.ports import Floats
from routelab.lab.compare import Comparison, Entry, same
from routelab.lab.ladder import climbed
from routelab.lab.nomination import SUMS, contributions, nominate, standings, whole
from routelab.lab.outcomes import Bools, Outcomes
from routelab.lab.replay import (
    CONTROL_NAMES,
    Halves,
    Planner,
    baseline_of,
    check,
    compare_entries,
    entered,
    entry_of,
    halve,
    planned,
    terms_of,
    walked,
)
from routelab.lab.sources import SOURCES, Candidate, Ladder, Source
from routelab.lab.walk import Walked, joined


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
        folds=halves.folds,
        planner=planner,
    )
    rungs = [rung for c in candidates if isinstance(c, Ladder) or not c.control for rung in field.rungs(c)]
    chosen = {entry.name: entry for entry in nominated(rungs, field, halves, margin)}
    alone = {
        c.name: entry_of(c.name, c.arm(halves.tune), halves, planner)
        for c in candidates
        if isinstance(c, Candidate) and c.name in halves.tune.models and c.name not in chosen
    }
    entries = [*alone.values(), *chosen.values()]
    tried = sum(len(c.values) if isinstance(c, Ladder) else 1 for c in candidates)
    terms = dataclasses.replace(
        terms_of(outcomes, halves, margin=margin, seed=seed, arms_tried=tried), nominated=tuple(chosen)
    )
    return compare_entries(halves, entries, base, terms)


@dataclass(frozen=True, kw_only=True, eq=False)
class Rung:
    """One arm that was tried: its sums on tune, and which rungs of its ladder decide alike.

    `arm` returns it fitted on all of tune, `blind` its walk over tune by versions fitted without the prompts they decide; None
    where that cannot be had.
    """

    name: str
    sums: Floats
    arm: Callable[[], Any]
    blind: Callable[[], Walked | None]
    alike: Hashable = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Field:
    """Where candidates are judged: every prompt of tune by a version that was fitted without its fold."""

    tune: Outcomes
    baseline: Walked
    folds: tuple[tuple[Bools, Outcomes], ...]
    planner: Planner

    @cached_property
    def parts(self) -> tuple[Outcomes, ...]:
        """The prompts of every fold."""
        return tuple(self.tune.take(rows) for rows, _ in self.folds)

    def rungs(self, candidate: Candidate | Ladder) -> list[Rung]:
        """Return what was tried of a candidate: itself, or every value of a ladder."""
        if isinstance(candidate, Ladder):
            return self._climbed(candidate)
        given = (
            list(zip(self.folds, self.parts, strict=True)) if candidate.learns else [(whole(self.tune)[0], self.tune)]
        )
        walks = [
            (rows, walked(candidate.name, candidate.arm(rest), part, self.planner)) for (rows, rest), part in given
        ]
        sums = np.zeros(SUMS)
        for rows, walk in walks:
            sums += contributions(walk.quality, walk.cost_usd, self.baseline.take(rows)).sum(axis=1)
        blind = joined(walks) if len(walks) > 1 or not candidate.learns else None
        return [Rung(name=candidate.name, sums=sums, arm=lambda: candidate.arm(self.tune), blind=lambda: blind)]

    def _climbed(self, ladder: Ladder) -> list[Rung]:
        values = np.array(ladder.values, dtype=float)
        fitted = [ladder.arm(rest) for _, rest in self.folds]
        sums, marks = np.zeros((SUMS, len(values))), []
        for (rows, _), part, version in zip(self.folds, self.parts, fitted, strict=True):
            found, steps = climbed(version, values, part, self.baseline.take(rows))
            sums += found
            marks.append(steps)
        alike = np.stack(marks, axis=1).tolist()

        def arm(value: float) -> Callable[[], Any]:
            return lambda: ladder.member(ladder.arm(self.tune), value)

        def blind(value: float) -> Callable[[], Walked | None]:
            return lambda: self._joined(ladder.called(value), [ladder.member(version, value) for version in fitted])

        return [
            Rung(name=ladder.called(v), sums=sums[:, i], arm=arm(v), blind=blind(v), alike=(ladder.name, *alike[i]))
            for i, v in enumerate(ladder.values)
        ]

    def _joined(self, name: str, versions: Sequence[Any]) -> Walked | None:
        """Return the walk over tune of versions of an arm, one a fold; None where there is one fold only."""
        if len(versions) < 2:
            return None
        pairs = zip(self.folds, self.parts, versions, strict=True)
        return joined([(rows, walked(name, version, part, self.planner)) for (rows, _), part, version in pairs])


def nominated(rungs: Sequence[Rung], field: Field, halves: Halves, margin: float) -> list[Entry]:
    """Return those that may go to confirm, in the order of nomination, fitted on tune.

    Who decides tune like the baseline or like one before it is passed over.
    """
    held = standings(np.array([rung.sums for rung in rungs]).reshape(-1, SUMS).T)
    arms: dict[int, Any] = {}
    seen, met = [field.baseline], set()

    def differs(i: int) -> bool:
        rung = rungs[i]
        if rung.alike is not None and rung.alike in met:
            return False
        met.add(rung.alike)
        arm = rung.arm()
        walk = walked(rung.name, arm, field.tune, field.planner)
        if any(same(walk, other) for other in seen):
            return False
        seen.append(walk)
        arms[i] = arm
        return True

    order = nominate(held, lambda i: rungs[i].name, margin=margin, confirm=len(halves.confirm), differs=differs)
    return [entry_from(rungs[i], arms[i], halves, field.planner) for i in order]


def entry_from(rung: Rung, arm: Any, halves: Halves, planner: Planner) -> Entry:
    """Return the entry of a rung whose arm was fitted on tune."""
    blind = rung.blind() if halves.held_out else None
    return entered(rung.name, arm, halves, planner, tune=blind, in_sample=halves.held_out and blind is None)
