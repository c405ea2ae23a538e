"""A tab in parts, of which one is shown at a time."""

from __future__ import annotations

from collections.abc import Mapping

import ipywidgets

from routelab.panels.panel import Panel
from routelab.panels.parts import column


class Switch:
    """Buttons over panels by title; `says` are the buttons' tooltips, and the still is that of the part that is shown.

    Each part has the CSS class ``rl-NAME-PART``, with the names of `parts`.
    """

    def __init__(self, name: str, says: Mapping[str, str], parts: Mapping[str, Panel]) -> None:
        self._parts = dict(zip(says, parts.values(), strict=True))
        self.which = ipywidgets.ToggleButtons(
            options=list(says), tooltips=list(says.values()), style={"button_width": "auto"}
        )
        where = column(*(part.live for part in parts.values()))
        self.panel = Panel(column(self.which, where), self._still, name=name)
        for short, part in parts.items():
            part.live.add_class(f"rl-{name}-{short}")
            part.heard(self.panel.refresh)
        self.which.observe(lambda _: self._turn(), "value")
        self._turn()

    def _turn(self) -> None:
        for title, part in self._parts.items():
            part.live.layout.display = "" if title == self.which.value else "none"
        self.panel.refresh()

    def _still(self) -> dict[str, str]:
        return self._parts[str(self.which.value)].shown()
