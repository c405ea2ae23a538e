"""`%config RouteLab`: what a notebook sets once for all its cells."""

from __future__ import annotations

from traitlets import Bool, Float, Int, Unicode
from traitlets.config import Configurable

LOG = ".routelab/log.duckdb"


class RouteLab(Configurable):
    """The notebook's defaults; a flag on a cell goes before them. (A subclass, because that is what `%config` looks for.)"""

    log = Unicode(LOG, help="the DuckDB file that every call is logged in; ':memory:' keeps nothing").tag(config=True)
    fleet = Unicode(
        "", help="'practice', or a fleet.yaml; empty: ./fleet.yaml if there is one, else the practice models"
    ).tag(config=True)
    arm = Unicode("rules", help="the arm that answers when a cell names none").tag(config=True)
    feedback = Int(
        1, min=0, max=2, help="0: results only; 1: also headers and progress; 2: also the trace of a single answer"
    ).tag(config=True)
    budget_usd = Float(None, allow_none=True, min=0, help="what one cell may spend unless --budget says otherwise").tag(
        config=True
    )
    jobs = Int(8, min=1, help="how many prompts are asked at once unless --jobs says otherwise").tag(config=True)
    limit = Int(20, min=1, help="how many rows a table shows").tag(config=True)
    short_errors = Bool(True, help="show expected errors as two lines; False: with their traceback").tag(config=True)
