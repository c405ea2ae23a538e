"""The whole bench: every tab of `TABS`, each made when it is opened first."""

from __future__ import annotations

import ipywidgets

from routelab.core.errors import RoutelabError
from routelab.lab.desk import Desk
from routelab.panels.panel import Panel
from routelab.panels.parts import Line, column, html, put
from routelab.panels.tabs import TABS, Tab
from routelab.present import bundle, note

# Tabs are as wide as their titles: JupyterLab makes them all alike, and cuts titles off where the place is narrow.
LOOK = (
    "<style>.rl-panel .rl-bench.jupyter-widgets>.lm-TabBar .lm-TabBar-tab{flex:0 0 auto;min-width:0}"
    ".rl-panel .rl-bench.jupyter-widgets>.lm-TabBar .lm-TabBar-content{flex-wrap:wrap}</style>"
)


def bench(desk: Desk, tabs: tuple[Tab, ...] = TABS) -> Panel:
    """Return the panel of a lab with its tabs; the first one is made at once."""
    return _Bench(desk, tabs).panel


class _Bench:
    def __init__(self, desk: Desk, tabs: tuple[Tab, ...]) -> None:
        self.desk, self.tabs = desk, tabs
        self.made: dict[int, Panel] = {}
        self._places = [column() for _ in tabs]
        self.widget = ipywidgets.Tab(
            self._places, titles=[t.title for t in tabs], layout={"width": "auto", "margin": "0"}
        )
        self.widget.add_class("rl-bench")
        self._line = Line()
        look = ipywidgets.HTML(LOOK, layout=ipywidgets.Layout(display="none"))
        self.panel = Panel(column(look, self._line.widget, self.widget), self._still, name="bench")
        self._open(0)
        self.widget.observe(lambda change: self._open(change["new"]), "selected_index")

    def _open(self, place: int | None) -> None:
        if place is None:
            return
        if place not in self.made:
            tab, says = self.tabs[place], html()
            put(says, note(tab.says))
            try:
                made = tab.make(self.desk)
            except RoutelabError as trouble:
                self._line.fail(trouble)
                return
            made.heard(self.panel.refresh)
            self.made[place] = made
            self._places[place].children = (says, made.live)
        self.panel.refresh()

    def _still(self) -> dict[str, str]:
        place = self.widget.selected_index or 0
        made = self.made.get(place)
        return bundle(self._line.text or "nothing to show") if made is None else made.shown()
