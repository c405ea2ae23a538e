"""The Prompts tab: the library of templates and their versions, a template filled in, and whether a new version is worse."""

from __future__ import annotations

from routelab.lab.desk import Desk
from routelab.panels.panel import Panel
from routelab.panels.promptlibrary import Shelf
from routelab.panels.promptregress import Regress
from routelab.panels.prompttry import Try
from routelab.panels.switch import Switch
from routelab.prompting import Version

PARTS = {
    "Library": "templates and their versions: what they say, what is different, what their calls used",
    "Try": "what a model would be sent for a question; nobody is asked",
    "Did it get worse": "one arm with two versions of a template, on the same prompts",
}


class Prompting:
    """The tab's three parts; one is shown at a time."""

    def __init__(self, desk: Desk) -> None:
        self.attempt = Try(desk)
        self.regress = Regress(desk)
        self.shelf = Shelf(desk, self._read)
        switch = Switch(
            "prompts", PARTS, {"library": self.shelf.panel, "try": self.attempt.panel, "regress": self.regress.panel}
        )
        self.which, self.panel = switch.which, switch.panel

    def _read(self, versions: list[Version]) -> None:
        self.attempt.renew(versions)
        self.regress.renew(versions)


def prompts(desk: Desk) -> Panel:
    """Return the panel of the Prompts tab."""
    return Prompting(desk).panel
