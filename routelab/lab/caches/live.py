"""What the cache of a live arm did, in the form of a replay's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from routelab.answer import Answer
from routelab.core.events import Missed
from routelab.lab.caches.recalled import tied
from routelab.lab.walk import Hits


def hits_of(answers: Sequence[Answer]) -> Hits | None:
    """Return the hits of one arm's answers; None when none of its prompts asked a cache.

    Whether a hit was false is told where its source is among the answers and both were scored, and is NaN elsewhere.
    """
    if not any(a.cached or any(isinstance(e, Missed) for e in a.run.events) for a in answers):
        return None
    rows = {a.run.id: i for i, a in enumerate(answers)}
    found = [a.run.recalled for a in answers]
    hit = np.array([r is not None for r in found], dtype=bool)
    alike = np.array([r is not None and r.cache == "semantic" for r in found], dtype=bool)
    quality = np.array([np.nan if a.quality is None else a.quality for a in answers], dtype=float)
    source = np.array([-1 if r is None else rows.get(r.source_run or "", -1) for r in found], dtype=np.intp)
    whole = np.where(source >= 0, quality[source], np.nan)
    false = np.where(hit, np.where(np.isnan(whole) | np.isnan(quality), np.nan, quality < whole), 0.0)
    here = np.flatnonzero(source >= 0)
    return Hits(
        exact=(hit & ~alike).astype(float),
        semantic=alike.astype(float),
        stale=np.array([r is not None and r.stale for r in found], dtype=float),
        false=false,
        unknown=(hit & np.isnan(quality)).astype(float),
        tied=tied(len(answers), [(here, source[here])]),
    )
