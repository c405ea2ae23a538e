"""Who judges recorded answers for a gate: what was recorded when they were judged, or a rule that looks at them again."""

from __future__ import annotations

from dataclasses import dataclass

from routelab.core.errors import DataError
from routelab.core.plan import Gate
from routelab.lab.outcomes import Ints, Judgements, Outcomes
from routelab.lab.walk import Referee, Rulings


@dataclass(frozen=True, kw_only=True, eq=False)
class Recorded:
    """Gives what was recorded."""

    given: Judgements

    def __call__(self, rows: Ints, cells: Ints, before: Ints) -> Rulings:
        """Return the recorded rulings."""
        at = self.given.at(rows, cells)
        return Rulings(score=at.score, cost_usd=at.cost_usd, latency_s=at.latency_s)


def referee_of(arm: str, gate: Gate, outcomes: Outcomes) -> Referee | None:
    """Return who judges for a gate over these outcomes, None for a gate without a scorer; DataError when nobody can."""
    if gate.scorer is None:
        return None
    given = outcomes.gates.get(gate.key)
    if given is not None:
        return Recorded(given=given)
    raise DataError(
        f"arm '{arm}': its gate needs what '{gate.key}' gave, and that was not recorded",
        hint=f"gates recorded: {', '.join(outcomes.gates) or 'none'}",
    )
