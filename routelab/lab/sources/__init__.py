"""Where a search finds what to try: one file a family of strategies, one line each in `SOURCES`."""

from __future__ import annotations

from routelab.lab.sources.candidate import Candidate, Source
from routelab.lab.sources.cascades import cascades
from routelab.lab.sources.mixes import mixes
from routelab.lab.sources.singles import singles
from routelab.lab.sources.tasktables import task_tables

__all__ = ["SOURCES", "Candidate", "Source"]

SOURCES: tuple[Source, ...] = (singles, task_tables, cascades, mixes)
