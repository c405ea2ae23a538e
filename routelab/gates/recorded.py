"""The gate of a score that was recorded with the answers, such as their mean log-probability: for replays only."""

from __future__ import annotations

from dataclasses import dataclass

from routelab.core.errors import ConfigError
from routelab.core.ports import Judge
from routelab.judging import Ask


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """`recorded` names the score: a key of `Outcomes.gates`."""

    recorded: str

    def __post_init__(self) -> None:
        if not self.recorded.strip():
            raise ValueError("recorded: must be the name of a recorded score")

    @property
    def asks(self) -> tuple[str, ...]:
        """No model."""
        return ()

    def judge(self, ask: Ask | None = None) -> Judge:
        """Refuse: nobody gives that score to a new answer."""
        raise ConfigError(
            f"gate: '{self.recorded}' was recorded, and nothing gives it to new answers",
            hint="replay it (lab.replay), or use a gate that judges live: a rule, agreement, learned, judge",
        )
