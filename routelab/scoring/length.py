"""Length: the answer is neither too short nor too long."""

from __future__ import annotations

from dataclasses import dataclass

from routelab.core.errors import ConfigError
from routelab.core.values import Prompt, Score
from routelab.scoring import demand
from routelab.scoring.contains import length


@dataclass(frozen=True, kw_only=True)
class Length:
    """Gives 1 when the answer has from `min_words` to `max_words` words and at most `max_characters` characters, else 0.

    Words are counted as in `contains`: in scripts without spaces each character is a word. An empty answer gives 0.
    """

    min_words: int = 1
    max_words: int | None = None
    max_characters: int | None = None

    def __post_init__(self) -> None:
        demand.whole("min_words", self.min_words, at_least=1)
        for name in ("max_words", "max_characters"):
            if (value := getattr(self, name)) is not None:
                demand.whole(name, value, at_least=1)
        if self.max_words is not None and self.max_words < self.min_words:
            raise ConfigError(f"scorer.max_words: must be at least min_words ({self.min_words}), not {self.max_words}")

    def __call__(self, answer: str, prompt: Prompt) -> Score:
        """Return 1 or 0 and how long the answer is."""
        words = length(answer)
        if self.max_characters is not None and len(answer) > self.max_characters:
            reason = f"{len(answer):,} characters, at most {self.max_characters:,} are allowed"
            return Score(quality=0.0, reason=reason)
        if words < self.min_words:
            return Score(quality=0.0, reason=f"{words:,} words, at least {self.min_words:,} are wanted")
        if self.max_words is not None and words > self.max_words:
            return Score(quality=0.0, reason=f"{words:,} words, at most {self.max_words:,} are allowed")
        return Score(quality=1.0, reason=f"{words:,} words")
