"""Nearest: the examples most like what is asked ("dynamic" few-shot)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from routelab.core.values import Prompt
from routelab.prompting.fewshot.ground import Ground
from routelab.prompting.fewshot.settings import settle

Place = Literal["last", "first"]


@dataclass(frozen=True, kw_only=True)
class Nearest:
    """Show the `k` examples whose questions are nearest to the prompt's by the cosine of their vectors (kNN; Liu et al. 2022).

    `nearest` says where the nearest one stands: last, next to the question (the default), or first. `per_answer` keeps all
    of them from having one answer.
    """

    examples: Any
    k: int = 4
    embedder: Any = field(default="minilm", hash=False)
    nearest: Place = "last"
    per_answer: int | None = None
    duplicate_at: float | None = None

    def __post_init__(self) -> None:
        settle(self)

    def choose(self, ground: Ground, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Return the k nearest that may be shown to each prompt, the nearest where `nearest` says."""
        found = ground.nearest(prompts, self.k)
        return [row[::-1] for row in found] if self.nearest == "last" else found
