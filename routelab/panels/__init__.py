"""Panels: controls in core ipywidgets over what the lab has, each with a still that stays readable where no widget lives.

Nothing lives only in a widget: a panel shows what is in the log or in the comparison it was given, and whatever it makes goes there.
"""

from __future__ import annotations

from routelab.panels.bench import bench
from routelab.panels.logview import logview
from routelab.panels.panel import Panel
from routelab.panels.tuner import tuner

__all__ = ["Panel", "bench", "logview", "tuner"]
