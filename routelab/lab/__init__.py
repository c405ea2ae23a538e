"""Many runs at a time: sessions, data sets, outcomes, replay, statistics, comparisons, charts and exports.

Names are fetched on first use, so that a data set does not cost the import of pandas and scipy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from routelab.lab.charts import Chart
    from routelab.lab.compare import Comparison
    from routelab.lab.datasets import Dataset
    from routelab.lab.outcomes import Outcomes
    from routelab.lab.session import Lab

_WHERE = {"Chart": "charts", "Comparison": "compare", "Dataset": "datasets", "Lab": "session", "Outcomes": "outcomes"}

__all__ = ["Chart", "Comparison", "Dataset", "Lab", "Outcomes"]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f"routelab.lab.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'routelab.lab' has no attribute {name!r}")
