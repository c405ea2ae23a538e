"""The pieces that panels are made of: text that is only text, charts, buttons whose trouble is one line, and a running job."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import ipywidgets

from routelab.core.errors import RoutelabError
from routelab.lab.charts import Chart
from routelab.lab.job import Job
from routelab.present import Table, escape, framed, note
from routelab.present.live import beside

# Plain values, of which every widget makes a Layout of its own: one that is shared is hidden for all when it is hidden for one.
WIDE = {"width": "100%"}
ROW = {"display": "flex", "flex_flow": "row wrap", "align_items": "center", "grid_gap": "6px 14px"}
MARGIN = "the largest loss of quality against the baseline that counts as none"


def html(body: str = "", *, more: str = "") -> ipywidgets.HTML:
    """Return a widget with HTML of ours; whoever makes `body` escapes what others said (`present.escape`, `present.pre`)."""
    return ipywidgets.HTML(framed(body, more=more) if body else "", layout=ipywidgets.Layout(width="auto", margin="0"))


def put(widget: ipywidgets.HTML, body: str | Table, *, more: str = "") -> None:
    """Show HTML of ours, or a table, in the widget."""
    body = body.html() if isinstance(body, Table) else body
    value = framed(body, more=more) if body else ""
    if widget.value != value:
        widget.value = value


def row(*children: ipywidgets.Widget) -> ipywidgets.Box:
    """Return the widgets beside each other, wrapping where the place is narrow."""
    return ipywidgets.Box(children, layout=ROW)


def column(*children: ipywidgets.Widget) -> ipywidgets.VBox:
    """Return the widgets below each other."""
    return ipywidgets.VBox(children, layout=WIDE)


def button(text: str, tip: str, *, icon: str = "", style: str = "") -> ipywidgets.Button:
    """Return a button as wide as its text; `tip` says what it does, `style` is one of ipywidgets' button styles."""
    return ipywidgets.Button(
        description=text, tooltip=tip, icon=icon, button_style=style, layout=ipywidgets.Layout(width="auto")
    )


def dropdown(label: str, options: Sequence[Any], *, tip: str = "", width: str = "auto") -> ipywidgets.Dropdown:
    """Return a dropdown whose label is as wide as its words."""
    return ipywidgets.Dropdown(
        options=options,
        description=label,
        tooltip=tip or label,
        style={"description_width": "initial"},
        layout=ipywidgets.Layout(width=width, min_width="8em"),
    )


def number(
    label: str, value: float, *, least: float, most: float, step: float, tip: str, width: str
) -> ipywidgets.BoundedFloatText:
    """Return a box for a number within bounds."""
    return ipywidgets.BoundedFloatText(
        value=value,
        min=least,
        max=most,
        step=step,
        description=label,
        tooltip=tip,
        style={"description_width": "initial"},
        layout={"width": width},
    )


def whole(
    label: str, value: int, least: int, most: int, tip: str, width: str, *, step: int = 1
) -> ipywidgets.BoundedIntText:
    """Return a box for a whole number within bounds."""
    return ipywidgets.BoundedIntText(
        value=value,
        min=least,
        max=most,
        step=step,
        description=label,
        tooltip=tip,
        style={"description_width": "initial"},
        layout={"width": width},
    )


def budget() -> ipywidgets.Text:
    """Return a box for a budget in USD, which may be empty."""
    return ipywidgets.Text(
        description="budget, USD",
        placeholder="none",
        tooltip="stop before it spends more; empty: no limit",
        style={"description_width": "initial"},
        layout={"width": "12em"},
        continuous_update=False,
    )


class Line:
    """A line of status: what happened, or what went wrong and the next move."""

    def __init__(self) -> None:
        self.widget = html()
        self.text = ""

    def say(self, text: str) -> None:
        """Show a line in the muted colour; nothing for the empty text."""
        self.text = text
        put(self.widget, note(text) if text else "")

    def fail(self, trouble: BaseException) -> None:
        """Show what went wrong in one line, with the hint below it."""
        if isinstance(trouble, RoutelabError):
            said, hint = trouble.message, trouble.hint
        else:
            said = f"{type(trouble).__name__}: {trouble}"
            hint = "this is a bug in routelab or in a function of yours; the log of the front end has its traceback"
        self.text = f"✗ {said}"
        put(self.widget, f"<div><b>✗</b> {escape(said)}</div>" + (note(f"hint: {hint}") if hint else ""))

    @asynccontextmanager
    async def told(self) -> AsyncIterator[None]:
        """Show what goes wrong in a job, and let it pass on to the job; being stopped is no trouble."""
        try:
            yield
        except asyncio.CancelledError:
            raise
        except BaseException as trouble:
            self.fail(trouble)
            raise


class Guard:
    """Runs callbacks one at a time, whatever thread they come on, and shows their trouble in the panel's line."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self._lock = threading.RLock()

    def __call__(self, work: Callable[..., Any]) -> Callable[..., None]:
        """Return the callback; expected trouble ends in the line, a bug is shown there too and goes on to the front end's log."""

        def called(*given: Any) -> None:
            with self._lock:
                try:
                    work(*given)
                except RoutelabError as trouble:
                    self.line.fail(trouble)
                except Exception as bug:
                    self.line.fail(bug)
                    raise

        return called


class Picture:
    """A chart in a panel: replaced in place, at a height that does not jump."""

    def __init__(self, *, height: int = 0) -> None:
        self.chart: Chart | None = None
        self.widget = ipywidgets.Output(layout=ipywidgets.Layout(width="100%", min_height=f"{height}px"))

    def show(self, chart: Chart | None) -> None:
        """Show the chart, or nothing."""
        self.chart = chart
        if chart is None:
            self.widget.outputs = ()
            return
        data = chart._repr_mimebundle_()
        # The state itself, and not `with output:`, which catches whatever any thread prints meanwhile.
        self.widget.outputs = ({"output_type": "display_data", "data": data, "metadata": {}},)


class Running:
    """A job's place in a panel: one line that moves, a bar, and Stop; it stays with the last state of the job."""

    def __init__(self) -> None:
        self.job: Job | None = None
        self._bar = ipywidgets.FloatProgress(min=0.0, max=1.0, layout=ipywidgets.Layout(width="12em", display="none"))
        self._text = html()
        self.stop = button("Stop", "stop it; what is finished is kept", icon="stop")
        self.stop.layout.display = "none"
        self.stop.on_click(lambda _: self.job.cancel() if self.job is not None else None)
        beside(self.stop)
        self.widget = row(self._bar, self._text, self.stop)

    def follow(
        self, job: Job, *, ended: Callable[[Job], None] | None = None, moved: Callable[[Job], None] | None = None
    ) -> None:
        """Show the job from now on; `moved` is called as it goes on, `ended` once, both on the engine's thread."""
        self.job = job
        self._bar.layout.display = self.stop.layout.display = ""

        def tell() -> None:
            if self.job is job:
                at = job.progress
                self._bar.value = at.done / at.total if at.total else 0.0
                put(self._text, note(str(job)))
                if job.done:
                    self._bar.layout.display = self.stop.layout.display = "none"
            if moved is not None and not job.done:
                moved(job)
            if ended is not None and job.done:
                ended(job)

        job.watch(tell)
