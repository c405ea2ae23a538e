"""The Cache tab: choose a threshold, see why something was a hit, and what the caches did."""

from __future__ import annotations

from typing import Any

from routelab.lab.desk import Desk
from routelab.panels.cachechoose import Choose
from routelab.panels.cacheground import Place
from routelab.panels.cachelog import Did
from routelab.panels.cachewhy import Why
from routelab.panels.panel import Panel
from routelab.panels.switch import Switch

PARTS = {
    "Choose": "a threshold, from labelled pairs or from traffic",
    "Why was this a hit": "two questions, or one against the log's entries: what the cache would say",
    "What the caches did": "hits, misses and what was saved, out of the log",
}


class Cache:
    """The tab's three parts; one is shown at a time."""

    def __init__(self, desk: Desk) -> None:
        self.choose = Choose(desk)
        self.did = Did(desk)
        self.why = Why(desk, self._place)
        switch = Switch("cache", PARTS, {"choose": self.choose.panel, "why": self.why.panel, "did": self.did.panel})
        self.which, self.panel = switch.which, switch.panel

    def _place(self) -> tuple[str, Place] | None:
        ground = self.choose.ground
        return None if ground is None else (ground.embedder, self.choose.place)


def cache(desk: Desk, on: Any = None, *, embedder: str = "minilm", budget: float = 0.01) -> Panel:
    """Return the panel of the Cache tab; `on` is opened at once: Pairs, Traffic, outcomes, or a frame or list of labelled pairs.

    `budget` is the share of hits that may be false. Raises ConfigError for something else, and for an embedder that is none here.
    """
    made = Cache(desk)
    made.choose.budget.value = 100 * budget
    if on is not None:
        made.choose.take(on, embedder)
    return made.panel
