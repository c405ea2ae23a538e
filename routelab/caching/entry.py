"""What a cache keeps, and for how long it is good."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from routelab.core.events import Answered
from routelab.core.run import Run

if TYPE_CHECKING:
    from routelab.store.recall import Kept

State = Literal["fresh", "stale", "expired"]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An answer with the question that it was given to; `kept_at` is when that question's run began, in UTC."""

    key: str
    run_id: str
    asked: str
    text: str
    model: str
    simulated: bool | None
    kept_at: datetime
    label: str = ""

    def age_s(self, now: datetime) -> float:
        """Return how old the answer is; a clock that was put back makes nothing younger than new."""
        return max(0.0, (now - self.kept_at) / timedelta(seconds=1))


@dataclass(frozen=True, kw_only=True)
class Lifetime:
    """How long an answer is good: `ttl_s` seconds (None: for ever), then `stale_s` more while a fresh one is asked for."""

    ttl_s: float | None = None
    stale_s: float = 0.0

    @property
    def whole_s(self) -> float | None:
        """The age at which an answer has expired; None: never."""
        return None if self.ttl_s is None else self.ttl_s + self.stale_s

    def state(self, age_s: float) -> State:
        """Return what an answer of that age is."""
        if self.ttl_s is None or age_s < self.ttl_s:
            return "fresh"
        return "stale" if age_s < self.ttl_s + self.stale_s else "expired"


FOR_EVER = Lifetime()


def of_run(run: Run, key: str, label: str) -> Entry:
    """Return the entry of a run's answer."""
    answered: Answered | None = run.answered
    assert answered is not None
    return Entry(
        key=key,
        run_id=run.id,
        asked=run.prompt.text,
        text=answered.text,
        model=answered.model,
        simulated=answered.simulated,
        kept_at=run.started_at,
        label=label,
    )


def of_log(kept: Kept, key: str) -> Entry:
    """Return the entry of an answer in the log."""
    return Entry(
        key=key,
        run_id=kept.run_id,
        asked=kept.asked or "",
        text=kept.text,
        model=kept.model,
        simulated=kept.simulated,
        kept_at=kept.started_at,
        label=kept.label or "",
    )
