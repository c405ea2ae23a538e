"""Quality by several predictors together, weighed by how well each does on prompts it has not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from routelab.core.ports import Floats
from routelab.core.values import Prompt, draw
from routelab.strategies.predictors.features import Inputs
from routelab.strategies.predictors.lesson import Lesson, overall


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Adds up what the predictors `of` expect beyond a model's mean, each with a weight of at least 0.

    The weights are least squares against qualities that the predictors did not see: the tune split is cut into `folds`
    (clusters of prompts stay whole), each is predicted by versions fitted on the others (Wolpert 1992; non-negative as in
    Breiman 1996). The versions that are kept are fitted on everything.
    """

    of: tuple[str | Mapping[str, Any], ...] = ("lookup", "knn", "cluster", "logistic")
    folds: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        from routelab.strategies.predictors import predictor_of, spec_of

        if not self.of:
            raise ValueError("of: name at least one predictor")
        if isinstance(self.folds, bool) or self.folds < 2:
            raise ValueError(f"folds: must be at least 2, not {self.folds}")
        specs = []
        for i, spec in enumerate(self.of):
            try:
                specs.append(spec_of(predictor_of(spec)))
            except ValueError as trouble:
                raise ValueError(f"of.{i}.{trouble}") from None
        object.__setattr__(self, "of", tuple(specs))

    @property
    def members(self) -> tuple[Any, ...]:
        """The predictors."""
        from routelab.strategies.predictors import predictor_of

        return tuple(predictor_of(spec) for spec in self.of)

    def fit(self, inputs: Inputs, quality: Floats) -> Lesson:
        """Return the members' lessons and their weights."""
        members = self.members
        weights = self._weights(members, inputs, quality)
        arrays: dict[str, Any] = {"weights": weights, "general": overall(quality)}
        about: dict[str, Any] = {}
        for i, (member, weight) in enumerate(zip(members, weights, strict=True)):
            if weight > 0:
                more, facts = member.fit(inputs, quality).under(f"m{i}")
                arrays |= more
                about |= facts
        return Lesson(arrays=arrays, about=about)

    def predict(self, lesson: Lesson, inputs: Inputs) -> Floats:
        """Return the means plus the weighted leads, kept within [0, 1]."""
        general = lesson.arrays["general"]
        total = np.tile(general, (len(inputs), 1))
        for i, (member, weight) in enumerate(zip(self.members, lesson.arrays["weights"], strict=True)):
            if weight > 0:
                own = Lesson.within(lesson.arrays, lesson.about, f"m{i}")
                total += weight * (member.predict(own, inputs) - general)
        return np.asarray(np.clip(total, 0.0, 1.0))

    def _weights(self, members: Sequence[Any], inputs: Inputs, quality: Floats) -> Floats:
        from scipy.optimize import nnls

        fold = _folds(inputs.prompts, self.folds, self.seed)
        leads = np.full((len(members), *quality.shape), np.nan)
        missed = np.full(quality.shape, np.nan)
        for k in sorted(set(fold.tolist())):
            rest, held = fold != k, fold == k
            # A model that nobody scored in the rest is not predicted there, and not judged.
            seen = (~np.isnan(quality[rest])).any(axis=0) if rest.any() else np.zeros(quality.shape[1], dtype=bool)
            if not seen.any():
                continue
            learn, ask, known = inputs.part(rest), inputs.part(held), quality[rest][:, seen]
            general = overall(known)
            cells = np.ix_(held, seen)
            missed[cells] = quality[cells] - general
            for i, member in enumerate(members):
                leads[i][cells] = member.predict(member.fit(learn, known), ask) - general
        judged = ~np.isnan(missed) & ~np.isnan(leads).any(axis=0)
        if not judged.any():
            return np.full(len(members), 1.0 / len(members))
        # Rounded, because a digit that only the order of additions decides is not worth learning.
        return np.asarray(np.round(nnls(leads[:, judged].T, missed[judged])[0], 9))


def _folds(prompts: Sequence[Prompt], count: int, seed: int) -> Any:
    return np.array([int(draw(seed, "stack", p.group or p.id) * count) for p in prompts], dtype=np.intp)
