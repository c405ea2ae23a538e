"""The bench of few-shot examples: what it is worth to show some, which ones, and how many, on texts with labels.

Who answers is simulated (`providers.nearestlabel`): it answers by what its prompt shows, so that choices of examples differ
in a way that can be measured offline and exactly.
"""

from __future__ import annotations

from routelab.lab.fewshots.bench import Arm, Lengths, Played, Sheet, Versus, arms, played, shown, versus
from routelab.lab.fewshots.model import Reader, nearest_label
from routelab.lab.fewshots.task import Task, task_of

__all__ = [
    "Arm",
    "Lengths",
    "Played",
    "Reader",
    "Sheet",
    "Task",
    "Versus",
    "arms",
    "nearest_label",
    "played",
    "shown",
    "task_of",
    "versus",
]
