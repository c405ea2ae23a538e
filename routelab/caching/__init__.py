"""Caches of answers: exact and semantic, filled from the log; what may go in, and how long it is good."""

from __future__ import annotations

from routelab.caching.admission import Admission
from routelab.caching.entry import Entry, Lifetime
from routelab.caching.exact import Exact
from routelab.caching.memory import Memory
from routelab.caching.request import Asked, asked, scope_of
from routelab.caching.settings import CacheConfig, SemanticConfig
from routelab.caching.trouble import CacheTrouble

__all__ = [
    "Admission",
    "Asked",
    "CacheConfig",
    "CacheTrouble",
    "Entry",
    "Exact",
    "Lifetime",
    "Memory",
    "SemanticConfig",
    "asked",
    "scope_of",
]
