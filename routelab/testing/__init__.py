"""For tests, ours and other people's: fakes, a local server that speaks the providers' protocols, and contract classes."""

from __future__ import annotations

from routelab.testing.fakes import Notebook, Scripted, VirtualClock, Words, fleet, prompts
from routelab.testing.server import FakeProviders, Raw, Said
from routelab.testing.strategies import StrategyContract

__all__ = [
    "FakeProviders",
    "Notebook",
    "Raw",
    "Said",
    "Scripted",
    "StrategyContract",
    "VirtualClock",
    "Words",
    "fleet",
    "prompts",
]
