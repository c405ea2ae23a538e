"""The DuckDB log: `Log` keeps every run, and answers questions about them."""

from __future__ import annotations

from routelab.store.file import Loss
from routelab.store.health import Health
from routelab.store.log import Log, RowsMissing
from routelab.store.recall import Kept, Recorded
from routelab.store.summaries import KeptSummary
from routelab.store.templates import KeptTemplate

__all__ = ["Health", "Kept", "KeptSummary", "KeptTemplate", "Log", "Loss", "Recorded", "RowsMissing"]
