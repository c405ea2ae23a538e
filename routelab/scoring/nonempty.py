"""Nonempty: the answer says something."""

from __future__ import annotations

from dataclasses import dataclass

from routelab.core.values import Prompt, Score


@dataclass(frozen=True, kw_only=True)
class Nonempty:
    """Gives 1 when a letter or digit stands in the answer, else 0."""

    def __call__(self, answer: str, prompt: Prompt) -> Score:
        """Return 1 or 0."""
        said = any(c.isalnum() for c in answer)
        return Score(quality=float(said), reason="says something" if said else "the answer is empty")
