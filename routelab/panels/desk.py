"""The desk of a lab, under the name that panels use."""

from __future__ import annotations

from routelab.lab.desk import Desk, News

__all__ = ["Desk", "News"]
