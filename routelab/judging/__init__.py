"""Judges that ask models: by a rubric, in pairs, by asking again, by asking how sure.

A judge's call is a call: it goes through the same stage as every other one, with retries, a price, a place in the budget and a wait. Nothing
here knows how; whoever builds the flow hands in an `Ask`. How far a judge can be trusted is measured in `routelab.lab.judges`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from routelab.judging.ask import Ask, Heard, Planned, Question
from routelab.judging.hearing import Hearing, Seat
from routelab.judging.kinds import Confidence, Consistency, Pairwise, Rubric

KINDS: Mapping[str, type] = MappingProxyType(
    {"judge": Rubric, "pairwise": Pairwise, "consistency": Consistency, "confidence": Confidence}
)
"""What a gate's mapping may say for `scorer` when a model is to be asked."""

__all__ = [
    "KINDS",
    "Ask",
    "Confidence",
    "Consistency",
    "Heard",
    "Hearing",
    "Pairwise",
    "Planned",
    "Question",
    "Rubric",
    "Seat",
]
