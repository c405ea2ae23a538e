"""The Prompts tab: the library of templates and their versions, a template filled in, and whether a new version is worse."""

from __future__ import annotations

import ipywidgets

from routelab.lab.desk import Desk
from routelab.panels.panel import Panel
from routelab.panels.parts import column
from routelab.panels.promptlibrary import Shelf
from routelab.panels.promptregress import Regress
from routelab.panels.prompttry import Try
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
        parts = dict(zip(PARTS, (self.shelf.panel, self.attempt.panel, self.regress.panel), strict=True))
        self._parts = parts
        self.which = ipywidgets.ToggleButtons(
            options=list(PARTS), tooltips=list(PARTS.values()), style={"button_width": "auto"}
        )
        where = column(*(part.live for part in parts.values()))
        self.panel = Panel(column(self.which, where), self._still, name="prompts")
        for name, part in zip(("library", "try", "regress"), parts.values(), strict=True):
            part.live.add_class(f"rl-prompts-{name}")
            part.heard(self.panel.refresh)
        self.which.observe(lambda _: self._turn(), "value")
        self._turn()

    def _read(self, versions: list[Version]) -> None:
        self.attempt.renew(versions)
        self.regress.renew(versions)

    def _turn(self) -> None:
        for name, part in self._parts.items():
            part.live.layout.display = "" if name == self.which.value else "none"
        self.panel.refresh()

    def _still(self) -> dict[str, str]:
        return self._parts[str(self.which.value)].shown()


def prompts(desk: Desk) -> Panel:
    """Return the panel of the Prompts tab."""
    return Prompting(desk).panel
