"""Function: a user's own function as a scorer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from routelab.core.errors import RoutelabError
from routelab.core.values import Prompt, Score


class ScoreError(RoutelabError):
    """A user's scorer gave something that is no quality from 0 to 1."""


@dataclass(frozen=True)
class Function:
    """Makes a scorer of ``f(answer, prompt)`` that returns a number from 0 to 1, a bool or a Score.

    Anything else, NaN included, is a ScoreError. What the function itself raises is not touched: it is a bug to be
    seen.
    """

    f: Callable[[str, Prompt], float | bool | Score]

    def __call__(self, answer: str, prompt: Prompt) -> Score:
        """Return the function's judgement as a Score; raises ScoreError."""
        judged = self.f(answer, prompt)
        score = judged if isinstance(judged, Score) else None
        quality: Any = judged if score is None else score.quality
        if hasattr(quality, "item") and getattr(quality, "ndim", None) == 0:  # NumPy's scalars: bool_, float32, int64
            quality = quality.item()
        name = getattr(self.f, "__name__", type(self.f).__name__)
        if not isinstance(quality, (bool, int, float)) or not 0 <= quality <= 1:
            raise ScoreError(
                f"scorer {name}: a quality from 0 to 1 is wanted, not {quality!r:.80}",
                hint="return a number from 0 to 1, a bool, or a routelab Score",
            )
        return Score(quality=float(quality), reason="" if score is None else score.reason)
