"""Quality by task: the table that needs no embedding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from routelab.core.plan import Ints
from routelab.core.ports import Floats
from routelab.strategies.predictors.features import Inputs
from routelab.strategies.predictors.lesson import Lesson, at_least, grouped, overall


@dataclass(frozen=True, kw_only=True)
class Lookup:
    """Expects of a model what it did on the tune prompts of the same task, shrunk to its general standing.

    `shrinkage` is the weight of the general standing in prompts. The task is the prompt's own; with `tasks: auto` it is
    recognised by the patterns of `rules` where none is given. A task that was not seen has the general standing.
    """

    shrinkage: float = 10.0
    tasks: Literal["auto", "given"] = "auto"

    def __post_init__(self) -> None:
        at_least("shrinkage", self.shrinkage, 0.0)

    def fit(self, inputs: Inputs, quality: Floats) -> Lesson:
        """Return the table: one row a task."""
        found = self._found(inputs)
        known = sorted({t for t in found if t is not None})
        general = overall(quality)
        table = grouped(_places(found, known), len(known), quality, general, self.shrinkage)
        return Lesson(arrays={"general": general, "table": table}, about={"tasks": known})

    def predict(self, lesson: Lesson, inputs: Inputs) -> Floats:
        """Return the row of each prompt's task, or the general standing."""
        place = _places(self._found(inputs), lesson.about["tasks"])
        rows = np.concatenate([lesson.arrays["table"], lesson.arrays["general"][None, :]])
        return np.asarray(rows[place])

    def _found(self, inputs: Inputs) -> Sequence[str | None]:
        """Return the task under which each prompt is looked up."""
        given = inputs.tasks
        if self.tasks == "given" or None not in given:
            return given
        return [found if task is None else task for task, found in zip(given, inputs.recognised, strict=True)]


def _places(tasks: Sequence[str | None], known: Sequence[str]) -> Ints:
    at = {task: k for k, task in enumerate(known)}
    return np.array([at.get(t, -1) if t is not None else -1 for t in tasks], dtype=np.intp)
