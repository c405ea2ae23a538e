"""Which answers a cache may keep: whole, willing ones of a model that was meant to answer, and nothing else.

What is kept is given to somebody else later, so whatever is doubtful stays out; that costs one call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from routelab.core.events import Unanswered
from routelab.core.run import Run

LONGEST = 80
_ENDED = {
    "length": "the answer was cut off at its longest",
    "refusal": "the model refused",
    "filter": "the answer was filtered",
    "tool": "the answer calls a tool",
    "other": "the answer did not end well",
}


@dataclass(frozen=True, kw_only=True)
class Admission:
    """Says why an answer must not be remembered, or "" when it may; `refused` finds the words of a refusal in a text."""

    refused: Callable[[str], str | None]

    def __call__(self, run: Run) -> str:
        """Return the first reason against the run's answer."""
        answered = run.answered
        if run.failed is not None:
            return f"the run failed: {run.failed.error}"
        if run.blocked is not None:
            return f"{run.blocked.guard} blocked it"
        if run.text is None or answered is None:
            return "there is no answer"
        if run.recalled is not None:
            return "a cache gave the answer"
        if run.routed is not None and run.routed.error is not None:
            # The strategy may well decide next time, and for somebody else.
            return "the strategy could not decide, and the default answered"
        if answered.finish != "stop":
            return _ENDED.get(answered.finish, _ENDED["other"])
        last = run.attempts[-1]
        if isinstance(last, Unanswered) and last.text:
            return "a stream broke off"
        if run.rejected:
            return "the gate did not accept it"
        if not answered.text.strip():
            return "the answer is empty"
        said = self.refused(answered.text)
        return "" if said is None else f"the answer refuses: {said[:LONGEST]}"
