"""A chart: a plotly figure with its static twin, so that a saved notebook still says something where no JavaScript runs."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from routelab.core.errors import ConfigError
from routelab.present import Table, bundle

if TYPE_CHECKING:
    import plotly.graph_objects as go

PLOTLY_MIME = "application/vnd.plotly.v1+json"
# Colab loads MathJax, which would take what stands between two dollar signs for a formula.
CONFIG = {"displaylogo": False, "typesetMath": False}
# A page of its own follows its window. JupyterLab's renderer does so by itself, and takes the height away before: there
# a "responsive" chart would fill a place without one, and shrink to a strip.
PAGE = {**CONFIG, "responsive": True}


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Chart:
    """A figure that is drawn when it is first looked at, and the table that says the same in numbers.

    `title` names the chart and says "simulated" when its data are; `caption` says what n is and what was left out.
    """

    kind: str
    title: str
    caption: str
    table: Table
    draw: Callable[[], dict[str, Any]]
    """Returns plotly's `data` and `layout` as plain lists and mappings."""

    @cached_property
    def figure(self) -> go.Figure:
        """The chart as a plain plotly figure, to change or to combine."""
        import plotly.graph_objects as go

        return go.Figure(self.draw())

    def to_html(self, path: str | Path) -> Path:
        """Write one file with the interactive chart and its table that needs no network, and return its path."""
        import plotly.io as pio

        path = Path(path)
        chart = pio.to_html(self.figure, config=PAGE, include_plotlyjs=True, full_html=False, include_mathjax=False)
        page = (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
            f"<title>{html.escape(self.title)}</title></head><body>{chart}{bundle(self.table)['text/html']}</body></html>\n"
        )
        try:
            path.write_text(page, encoding="utf-8")
        except OSError as error:
            raise ConfigError(
                f"{path}: cannot be written ({error.strerror})", hint="check that the folder exists"
            ) from None
        return path

    def __repr__(self) -> str:
        return f"<Chart {self.kind}: {self.title}; {self.caption}>"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        import plotly.io as pio

        shown: dict[str, Any] = dict(bundle(self.table))
        figure = json.loads(pio.to_json(self.figure, validate=False))
        if "COLAB_NOTEBOOK_ID" in os.environ:
            # Colab shows text/html and ignores plotly's own type.
            shown["text/html"] = pio.renderers["colab"].to_mimebundle(figure)["text/html"]
        return {PLOTLY_MIME: {**figure, "config": CONFIG}, **shown}
