"""Which scorers see that an answer was cut: those that hold it against something it must have."""

from __future__ import annotations

from routelab.core.ports import Scorer
from routelab.scoring.contains import Contains
from routelab.scoring.length import Length
from routelab.scoring.nonempty import Nonempty
from routelab.scoring.refusal import Refusal
from routelab.scoring.regex import Regex
from routelab.scoring.states import States

_FORM = (Nonempty, Length, Regex, Refusal, States)


def sees_cut(scorer: Scorer) -> bool:
    """Say whether a scorer gives less to an answer whose end is missing and was needed.

    Those that look at an answer's form see nothing wrong in half of one: nonempty, length, regex, refusal, states, and contains where it
    demands no point. The others compare with a right answer, run the code or read the JSON. A function of one's own is trusted.
    """
    return not isinstance(scorer, _FORM) and not (isinstance(scorer, Contains) and not scorer.all)
