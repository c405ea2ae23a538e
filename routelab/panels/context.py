"""The Context tab: policies on a conversation, request by request, and what was fitted in the log."""

from __future__ import annotations

from routelab.lab.desk import Desk
from routelab.panels.contextlog import Fits
from routelab.panels.contextlook import Look
from routelab.panels.panel import Panel
from routelab.panels.switch import Switch

PARTS = {
    "On a conversation": "policies side by side: what is sent, folded and forgotten, turn by turn",
    "What was fitted": "every conversation of the log that a policy fitted, and what that cost",
}


class Context:
    """The tab's two parts; one is shown at a time."""

    def __init__(self, desk: Desk) -> None:
        self.look = Look(desk)
        self.fits = Fits(desk, self._show)
        switch = Switch("context", PARTS, {"look": self.look.panel, "fits": self.fits.panel})
        self.which, self.panel = switch.which, switch.panel

    def _show(self, run_id: str) -> bool:
        if not self.look.show_run(run_id):
            return False
        self.which.value = next(iter(PARTS))
        return True


def context(desk: Desk) -> Panel:
    """Return the panel of the Context tab."""
    return Context(desk).panel
