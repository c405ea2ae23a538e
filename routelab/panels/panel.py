"""A panel: controls that live, and a still of what they show that stays readable where no widget does."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets


class Panel:
    """Two outputs of one cell: the still (text and HTML, renewed after every change), and the live widget.

    A saved notebook, GitHub and front ends without widgets have the still. Where the widget lives, it carries a style that
    hides the still, so nobody sees both. `still` returns what is shown now as text/plain and text/html; it is called on
    every change, so it must be quick. After a page reload the widget comes back from the kernel, but the front end has forgotten
    which output the still was: that one is renewed when the cell runs again.
    """

    def __init__(self, live: ipywidgets.Widget, still: Callable[[], Mapping[str, str]], *, name: str) -> None:
        self.name = name
        self.live = live
        self._still = still
        self._id = uuid.uuid4().hex
        self._shell: Any = None
        self._listeners: list[Callable[[], None]] = []
        # Of JupyterLab's two rules the second takes away the empty line that a hidden output leaves.
        veil = ipywidgets.HTML(
            f"<style>.rl-still-{self._id}{{display:none}}"
            f".jp-OutputArea-child:has(> .jp-OutputArea-output .rl-still-{self._id}){{display:none}}"
            # A table in a widget would make its widget as wide as itself, and be cut off where the place is narrow.
            ".rl-panel .widget-html-content{min-width:0}</style>",
            layout=ipywidgets.Layout(display="none"),
        )
        self.widget = ipywidgets.VBox([veil, live])
        self.widget.add_class("rl-panel")

    def refresh(self) -> None:
        """Renew the still wherever the panel is shown, and that of the panel around it."""
        if self._shell is not None:
            self._publish(update=True)
        for listener in self._listeners:
            listener()

    def heard(self, listener: Callable[[], None]) -> None:
        """Call the listener after every change: a panel around this one renews its own still then."""
        self._listeners.append(listener)

    def shown(self) -> dict[str, str]:
        """Return what is shown now, to stand inside another panel's still."""
        return dict(self._still())

    def still(self) -> dict[str, str]:
        """Return what is shown now as text/plain and text/html."""
        found = self.shown()
        found["text/html"] = f'<div class="rl-still-{self._id}">{found["text/html"]}</div>'
        return found

    def _publish(self, *, update: bool) -> None:
        self._shell.display_pub.publish(
            data=self.still(), metadata={}, transient={"display_id": self._id}, update=update
        )

    def _ipython_display_(self) -> None:
        from IPython import get_ipython
        from IPython.display import display

        self._shell = get_ipython()
        if self._shell is None:
            print(self.still()["text/plain"])  # noqa: T201 -- a plain interpreter has no other way to show it
            return
        self._publish(update=False)
        if getattr(self._shell, "kernel", None) is not None:
            display(self.widget)  # type: ignore[no-untyped-call]

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return self.still()

    def __repr__(self) -> str:
        return f"<Panel {self.name}>"
