"""The tabs of the bench, in their order: one line each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from routelab.panels.desk import Desk
from routelab.panels.panel import Panel


@dataclass(frozen=True, kw_only=True)
class Tab:
    """A tab: its title, what it is for in one sentence, and how its panel is made, when it is opened first."""

    title: str
    says: str
    make: Callable[[Desk], Panel]


TABS: tuple[Tab, ...] = ()
