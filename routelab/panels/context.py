"""The Context tab: policies on a conversation, request by request, and what was fitted in the log."""

from __future__ import annotations

import ipywidgets

from routelab.lab.desk import Desk
from routelab.panels.contextlog import Fits
from routelab.panels.contextlook import Look
from routelab.panels.panel import Panel
from routelab.panels.parts import column

PARTS = {
    "On a conversation": "policies side by side: what is sent, folded and forgotten, turn by turn",
    "What was fitted": "every conversation of the log that a policy fitted, and what that cost",
}


class Context:
    """The tab's two parts; one is shown at a time."""

    def __init__(self, desk: Desk) -> None:
        self.look = Look(desk)
        self.fits = Fits(desk, self._show)
        self._parts = dict(zip(PARTS, (self.look.panel, self.fits.panel), strict=True))
        self.which = ipywidgets.ToggleButtons(
            options=list(PARTS), tooltips=list(PARTS.values()), style={"button_width": "auto"}
        )
        where = column(*(part.live for part in self._parts.values()))
        self.panel = Panel(column(self.which, where), self._still, name="context")
        for name, part in zip(("look", "fits"), self._parts.values(), strict=True):
            part.live.add_class(f"rl-context-{name}")
            part.heard(self.panel.refresh)
        self.which.observe(lambda _: self._turn(), "value")
        self._turn()

    def _show(self, run_id: str) -> bool:
        if not self.look.show_run(run_id):
            return False
        self.which.value = next(iter(PARTS))
        return True

    def _turn(self) -> None:
        for name, part in self._parts.items():
            part.live.layout.display = "" if name == self.which.value else "none"
        self.panel.refresh()

    def _still(self) -> dict[str, str]:
        return self._parts[str(self.which.value)].shown()


def context(desk: Desk) -> Panel:
    """Return the panel of the Context tab."""
    return Context(desk).panel
