"""A way to route that a search may try."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from routelab.lab.outcomes import Outcomes


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A way to route that may have to learn: `arm` returns it fitted on some outcomes (a RouteConfig or a strategy).

    A `control` is tried and counted, but cannot be nominated: a random mix is what a strategy has to beat.
    """

    name: str
    arm: Callable[[Outcomes], Any]
    learns: bool = True
    control: bool = False


Source: TypeAlias = Callable[[Outcomes], Iterable[Candidate]]


def always(arm: Any) -> Callable[[Outcomes], Any]:
    """Return the function that learns nothing and returns the arm."""
    return lambda outcomes: arm
