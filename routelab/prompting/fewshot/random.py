"""Random: other examples for every prompt, drawn by its id."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from routelab.core.values import Prompt, draw
from routelab.prompting.fewshot.ground import Ground
from routelab.prompting.fewshot.settings import settle


@dataclass(frozen=True, kw_only=True)
class Random:
    """Show `k` examples drawn without replacement from the pool, for each prompt anew, by the seed and the prompt's id.

    The draw is the same in every process. A larger `k` of the same seed keeps the draws of a smaller one.
    """

    examples: Any
    k: int = 4
    seed: int = 0
    per_answer: int | None = None
    duplicate_at: float | None = None
    embedder: Any = field(default="minilm", hash=False)

    def __post_init__(self) -> None:
        settle(self)

    def choose(self, ground: Ground, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Return k drawn examples that may be shown to each prompt, as drawn."""
        return ground.shown(prompts, (shuffled(len(self.examples), self.seed, p.id) for p in prompts), self.k)


def shuffled(n: int, seed: int, name: str) -> Iterator[int]:
    """Yield 0 to n − 1 in an order drawn by the seed and the name; what is not asked for is not drawn (Fisher and Yates)."""
    moved: dict[int, int] = {}
    for i in range(n):
        j = min(i + int(draw(seed, "few-shot", name, str(i)) * (n - i)), n - 1)
        here = moved.pop(i, i)
        if j == i:
            yield here
        else:
            yield moved.get(j, j)
            moved[j] = here
