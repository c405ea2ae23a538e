"""The gate of agreement: an answer is accepted when enough models gave it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from routelab.core.ports import Judge
from routelab.core.values import Judgement
from routelab.gates.seen import Looked, Seen
from routelab.judging import Ask
from routelab.scoring.matching import MATCHES, Match, form
from routelab.strategies.agreement import FIRST, LAST


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Gives the share of `k` models that said what the latest answer says, at most 1; 1/k for an answer without a form.

    `match` says what kind of answer is compared (`scoring.matching`). `answer` says whose words stand when it is accepted:
    those of the "last" or of the "first" model to give it, or a model's, where it is among those who agree, else the last's.
    """

    k: int = 2
    match: Match = "auto"
    answer: str = LAST

    def __post_init__(self) -> None:
        if isinstance(self.k, bool) or not isinstance(self.k, int) or self.k < 2:
            raise ValueError(f"k: must be a whole number of at least 2, not {self.k!r}")
        if self.match not in MATCHES:
            raise ValueError(f"match: must be one of {', '.join(MATCHES)}, not {self.match!r}")
        if not isinstance(self.answer, str) or not self.answer.strip():
            raise ValueError(f"answer: must be {FIRST}, {LAST} or a model, not {self.answer!r}")

    @property
    def asks(self) -> tuple[str, ...]:
        """No model."""
        return ()

    def judge(self, ask: Ask | None = None) -> Judge:
        """Return the gate for live answers."""
        return Looked(look=self)

    def __call__(self, seen: Seen) -> Judgement:
        """Return the share, and with whom the model agrees."""
        said = form(seen.text, seen.prompt, self.match)
        if said is None:
            return Judgement(quality=1 / self.k, reason="says nothing that could be compared")
        others = [model for model, text in seen.answers[:-1] if form(text, seen.prompt, self.match) == said]
        if others:
            return Judgement(
                quality=min(1.0, (1 + len(others)) / self.k),
                reason=f"agrees with {', '.join(others)}",
                answered_by=self._stands(others),
            )
        before = [model for model, _ in seen.answers[:-1]]
        return Judgement(quality=1 / self.k, reason=f"differs from {', '.join(before)}" if before else "is the first")

    def _stands(self, others: Sequence[str]) -> str | None:
        if self.answer == FIRST:
            return others[0]
        return self.answer if self.answer in others else None
