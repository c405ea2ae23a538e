"""The Cache tab: choose a threshold, see why something was a hit, and what the caches did."""

from __future__ import annotations

from typing import Any

import ipywidgets

from routelab.lab.desk import Desk
from routelab.panels.cachechoose import Choose
from routelab.panels.cacheground import Place
from routelab.panels.cachelog import Did
from routelab.panels.cachewhy import Why
from routelab.panels.panel import Panel
from routelab.panels.parts import column

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
        parts = dict(zip(PARTS, (self.choose.panel, self.why.panel, self.did.panel), strict=True))
        self._parts = parts
        self.which = ipywidgets.ToggleButtons(
            options=list(PARTS), tooltips=list(PARTS.values()), style={"button_width": "auto"}
        )
        self._where = column(*(part.live for part in parts.values()))
        self.panel = Panel(column(self.which, self._where), self._still, name="cache")
        for name, part in zip(("choose", "why", "did"), parts.values(), strict=True):
            part.live.add_class(f"rl-cache-{name}")
            part.heard(self.panel.refresh)
        self.which.observe(lambda _: self._turn(), "value")
        self._turn()

    def _place(self) -> tuple[str, Place] | None:
        ground = self.choose.ground
        return None if ground is None else (ground.embedder, self.choose.place)

    def _turn(self) -> None:
        for name, part in self._parts.items():
            part.live.layout.display = "" if name == self.which.value else "none"
        self.panel.refresh()

    def _still(self) -> dict[str, str]:
        return self._parts[str(self.which.value)].shown()


def cache(desk: Desk, on: Any = None, *, embedder: str = "minilm", budget: float = 0.01) -> Panel:
    """Return the panel of the Cache tab; `on` is opened at once: Pairs, Traffic, outcomes, or a frame or list of labelled pairs.

    `budget` is the share of hits that may be false. Raises ConfigError for something else, and for an embedder that is none here.
    """
    made = Cache(desk)
    made.choose.budget.value = 100 * budget
    if on is not None:
        made.choose.take(on, embedder)
    return made.panel
