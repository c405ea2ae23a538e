"""Fixed: the same examples for everybody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from routelab.core.errors import suggest
from routelab.core.values import Prompt
from routelab.prompting.fewshot.ground import Ground
from routelab.prompting.fewshot.settings import settle


@dataclass(frozen=True, kw_only=True)
class Fixed:
    """Show the first `k` examples of the pool, or of those with `ids`, in their order.

    With `ids` the default of `k` is all of them. When one is held out from a prompt, the next one takes its place: more ids
    than `k` are a bench of substitutes. All prompts begin alike, so a provider's prompt cache can serve what the examples cost.
    """

    examples: Any
    k: int | None = None
    ids: tuple[str, ...] = ()
    per_answer: int | None = None
    duplicate_at: float | None = None
    embedder: Any = field(default="minilm", hash=False)

    def __post_init__(self) -> None:
        if self.k is None:
            object.__setattr__(self, "k", len(self.ids) or 4)
        settle(self)
        if len(set(self.ids)) < len(self.ids):
            twice = next(name for i, name in enumerate(self.ids) if name in self.ids[:i])
            raise ValueError(f"ids: '{twice}' is named twice")
        for name in self.ids:
            if self.examples.position(name) is None:
                near = suggest(name, [e.id for e in self.examples])
                raise ValueError(f"ids: there is no example '{name}'{'' if near is None else '; ' + near}")
        if self.ids and (self.k or 0) > len(self.ids):
            raise ValueError(f"k: {self.k} are wanted, and `ids` names {len(self.ids)}")

    def choose(self, ground: Ground, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Return the first k that may be shown to each prompt."""
        order = [self.examples.position(name) for name in self.ids] or range(len(self.examples))
        return ground.shown(prompts, [order] * len(prompts), self.k or len(order))
