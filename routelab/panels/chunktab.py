"""The Chunking tab: look at a text as it is cut, compare chunkers, and what was retrieved in this log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from routelab.lab.chunks.questions import Questions
from routelab.lab.desk import Desk
from routelab.panels.chunkcompare import Compare
from routelab.panels.chunklog import Retrieved
from routelab.panels.chunklook import Look
from routelab.panels.panel import Panel
from routelab.panels.switch import Switch

PARTS = {
    "Look": "a text with its chunks shaded, what a prompt finds in it, and where the answer stands",
    "Compare chunkers": "chunkers × sizes × overlaps on questions whose answers are known, with intervals and prices",
    "What was retrieved": "passages that runs of this log put in front of prompts",
}


class Chunking:
    """The tab's parts; one is shown at a time."""

    def __init__(self, desk: Desk, *, begin: bool = True) -> None:
        self.look = Look(desk, begin=begin)
        self.compare = Compare(desk)
        self.log = Retrieved(desk)
        switch = Switch(
            "chunking", PARTS, {"look": self.look.panel, "compare": self.compare.panel, "log": self.log.panel}
        )
        self.which, self.panel = switch.which, switch.panel


def chunking(
    desk: Desk, on: Any = None, *, chunker: Mapping[str, Any] | None = None, question: int | None = None
) -> Panel:
    """Return the panel of the Chunking tab; `on` is opened at once: a text, texts by name, Questions, or a Dataset.

    It is cut as `chunker` says, and shown at the answer to one of its questions (counted from 0). Raises ConfigError for
    something else.
    """
    made = Chunking(desk, begin=on is None)
    if on is not None:
        made.look.take(on, chunker=chunker, question=question)
    if isinstance(on, Questions):
        made.compare.take(on)
    return made.panel
