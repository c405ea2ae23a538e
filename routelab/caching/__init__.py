"""Caches of answers."""

from __future__ import annotations

from routelab.caching.exact import Exact

__all__ = ["Exact"]
