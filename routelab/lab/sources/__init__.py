"""Where a search finds what to try: one file a family of strategies, one line each in `SOURCES`."""

from __future__ import annotations

from routelab.lab.sources.arbitrage import arbitrage
from routelab.lab.sources.candidate import Candidate, Ladder, Source
from routelab.lab.sources.cascades import cascades
from routelab.lab.sources.mixes import mixes
from routelab.lab.sources.semantic import semantic
from routelab.lab.sources.singles import singles
from routelab.lab.sources.tasktables import task_tables

__all__ = ["PLAIN", "SOURCES", "Candidate", "Ladder", "Source"]

PLAIN: tuple[Source, ...] = (singles, task_tables, mixes)
"""What needs no embedding: seconds, however many prompts there are."""
# Semantic routes cost 0 to 9 % of a search's time on four recorded data sets (vectors at hand, each model hashed once), and no
# winner or nomination there is another one for them; they are the only table that needs no task in production.
SOURCES: tuple[Source, ...] = (*PLAIN, cascades, arbitrage, semantic)
