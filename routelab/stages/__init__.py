"""What acts on one prompt: each stage makes one decision and returns one event."""

from __future__ import annotations

from routelab.stages.admit import Admit
from routelab.stages.call import Call, Endpoint, Patience, Sampling
from routelab.stages.compress import Compress
from routelab.stages.measure import Measure
from routelab.stages.purse import Budget
from routelab.stages.recall import Confirm, Recall, Remember
from routelab.stages.render import Render
from routelab.stages.retrieve import Retrieve
from routelab.stages.route import Route

__all__ = [
    "Admit",
    "Budget",
    "Call",
    "Compress",
    "Confirm",
    "Endpoint",
    "Measure",
    "Patience",
    "Recall",
    "Remember",
    "Render",
    "Retrieve",
    "Route",
    "Sampling",
]
