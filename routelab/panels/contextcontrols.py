"""The controls of policies on a conversation: a model's room, who summarises, policies to choose, and one to write."""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets

from routelab.panels.contextplaying import QUOTES
from routelab.panels.parts import dropdown

LABEL = {"description_width": "initial"}


def room() -> ipywidgets.BoundedIntText:
    """Return the box for a smaller room than the model's."""
    return ipywidgets.BoundedIntText(
        value=0,
        min=0,
        max=10_000_000,
        description="room, tokens",
        tooltip="as if the model's window were so small; 0: its own",
        style=LABEL,
        layout={"width": "13em"},
    )


def writer(models: Sequence[str]) -> ipywidgets.Dropdown:
    """Return the list of who may write summaries."""
    return dropdown(
        "summaries", [QUOTES, *models], tip="who writes the summaries; a model that is no practice model is paid"
    )


def policies() -> ipywidgets.SelectMultiple:
    """Return the list of policies to choose from."""
    return ipywidgets.SelectMultiple(
        options=[],
        rows=8,
        description="policies",
        tooltip="at most four at once; hold Ctrl to choose several",
        style=LABEL,
        layout={"width": "30em"},
    )


def own() -> ipywidgets.Text:
    """Return the box for a policy that is written by hand."""
    return ipywidgets.Text(
        placeholder="{kind: window, turns: 12, pin: [user]}",
        description="own policy",
        tooltip="a policy as in a config's `context:`, played beside the chosen ones",
        continuous_update=False,
        style=LABEL,
        layout={"width": "30em"},
    )


def request() -> ipywidgets.IntSlider:
    """Return the slider of the request at which turns are looked at."""
    return ipywidgets.IntSlider(
        description="at request",
        min=1,
        max=1,
        continuous_update=False,
        layout={"width": "26em"},
        tooltip="what became of the turns by then",
    )
