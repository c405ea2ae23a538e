"""What a policy does when nobody can write its summaries: the same within the same limits, and older turns are simply left out."""

from __future__ import annotations

import dataclasses

from routelab.context.fitted import Policy
from routelab.context.hybrid import Hybrid
from routelab.context.none import Whole
from routelab.context.summarise import Summarise
from routelab.context.window import Window

ALL = 2**62
"""More tokens than any window: only the room's own limit cuts."""


def unsummarised(policy: Policy) -> Policy:
    """Return the policy without its model: it folds where it would have, and what it would have summarised is gone.

    One that is not known here becomes a window of what fits.

    >>> unsummarised(Summarise(model="gemini-flash", keep_last=4))
    Hybrid(pin=(), facts=0, model=None, trigger=0.8, keep_last=4, max_tokens=400, limit=None)
    """
    if isinstance(policy, Hybrid):
        return dataclasses.replace(policy, model=None)
    if isinstance(policy, Summarise):
        return Hybrid(
            pin=(),
            facts=0,
            trigger=policy.trigger,
            keep_last=policy.keep_last,
            max_tokens=policy.max_tokens,
            limit=policy.limit,
        )
    return policy if isinstance(policy, (Whole, Window)) else Window(tokens=ALL)
