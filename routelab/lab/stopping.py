"""A live comparison that ends when it is decided: looks that are valid at any time, at prompts whose number the answers did not choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from routelab.core.values import Prompt
from routelab.lab.sequential import anytime_non_inferiority
from routelab.lab.trial import Trial, walked_of

FEWEST = 20
"""No look before so many prompts: the sequence is asymptotic."""
STEP = 0.02
"""A look at every so much more of what was seen at the look before."""


@dataclass(kw_only=True)
class Decided:
    """Says at each look whether every arm is decided against the baseline; `prompts` are those it was decided on.

    A look takes the longest beginning of the drawn order that every arm has finished and that cuts no group in two: which prompts are
    finished first would otherwise depend on how long their answers are. The level is divided by the number of arms.
    """

    baseline: str
    margin: float
    prompts: tuple[int, ...] = ()
    looks: int = 0
    decided: bool = False

    def __call__(self, trial: Trial) -> bool:
        """Look, if there is enough more to look at, and say whether to stop."""
        seen = beginning(trial)
        if self.decided or len(seen) < max(FEWEST, (1 + STEP) * len(self.prompts), len(self.prompts) + 1):
            return self.decided
        self.prompts, self.looks = seen, self.looks + 1
        self.decided = self._settled(trial, seen)
        return self.decided

    def _settled(self, trial: Trial, seen: Sequence[int]) -> bool:
        others = [arm for arm in trial.answers if arm != self.baseline]
        base = walked_of(trial.rows(self.baseline, seen), ()).quality
        clusters = _clusters([trial.prompts[i] for i in seen])
        for arm in others:
            difference = walked_of(trial.rows(arm, seen), ()).quality - base
            known = ~np.isnan(difference)
            if known.sum() < FEWEST:
                return False
            groups = None if clusters is None else clusters[known]
            level = 1 - 0.05 / len(others)
            if anytime_non_inferiority(difference[known], self.margin, groups, level=level).verdict == "inconclusive":
                return False
        return bool(others)


def beginning(trial: Trial) -> tuple[int, ...]:
    """Return the longest beginning of the trial's prompts, in its order, that every arm has finished; whole groups only."""
    rows = list(trial.answers.values())
    done: list[int] = []
    for i in trial.order:
        if any(row[i] is None for row in rows):
            break
        done.append(i)
    if len(done) < len(trial.order):
        following = trial.prompts[trial.order[len(done)]].group
        while done and following is not None and trial.prompts[done[-1]].group == following:
            done.pop()
    return tuple(done)


def _clusters(prompts: Sequence[Prompt]) -> np.ndarray[tuple[int], np.dtype[np.intp]] | None:
    if all(p.group is None for p in prompts):
        return None
    seen: dict[str, int] = {}
    return np.array([seen.setdefault(p.group or p.id, len(seen)) for p in prompts], dtype=np.intp)
