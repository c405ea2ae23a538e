"""States: the answer is of the wanted kind, whatever it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from routelab.core.errors import ConfigError, suggest
from routelab.core.values import Prompt, Score
from routelab.scoring.exact import shown
from routelab.scoring.matching import Match, form

Stated = Literal["number", "choice", "calls", "json", "text"]


@dataclass(frozen=True, kw_only=True)
class States:
    """Gives 1 when the answer states a number, one choice, function calls, JSON or a short text, else 0.

    What counts as stated is what `matching` reads: a refusal states nothing, and an answer that names two options does not
    state a choice. Nothing is compared with a reference.
    """

    what: Stated

    def __post_init__(self) -> None:
        known = get_args(Stated)
        if self.what not in known:
            near = suggest(self.what, known) if isinstance(self.what, str) else None
            raise ConfigError(
                f"scorer.what: unknown {self.what!r}" + (f"; {near}" if near else ""), hint="one of " + ", ".join(known)
            )

    def __call__(self, answer: str, prompt: Prompt) -> Score:
        """Return 1 or 0 and what is stated."""
        match: Match = "json" if self.what == "calls" else self.what
        found = form(answer, prompt, match)
        if found is None or (self.what == "calls" and found.kind != "calls"):
            return Score(quality=0.0, reason=f"no {self.what} is stated" if answer.strip() else "the answer is empty")
        return Score(quality=1.0, reason=f"states {shown(str(found))}")
