"""Judges that ask models: by a rubric, in pairs, by asking again, by asking how sure.

A judge's call is a call: it goes through the same stage as every other one, with retries, a price, a place in the budget and a wait. Nothing
here knows how; whoever builds the flow hands in an `Ask`. How far a judge can be trusted is measured in `routelab.lab.judges`.
"""

from __future__ import annotations

from routelab.judging.ask import Ask, Heard, Planned, Question
from routelab.judging.hearing import Hearing, Seat
from routelab.judging.kinds import Confidence, Consistency, Pairwise, Rubric
from routelab.judging.measuring import KINDS, Judging, is_judge, judging_of

__all__ = [
    "KINDS",
    "Ask",
    "Confidence",
    "Consistency",
    "Heard",
    "Hearing",
    "Judging",
    "Pairwise",
    "Planned",
    "Question",
    "Rubric",
    "Seat",
    "is_judge",
    "judging_of",
]
