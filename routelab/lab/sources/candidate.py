"""A way to route that a search may try."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from routelab.config import RouteConfig
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


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """Candidates that differ in one number: `arm` returns a RouteConfig fitted on some outcomes whose strategy has the
    knob (`family.Tunable`), and every one of the `values` is tried.

    It is fitted once for all values, because what a strategy with a knob learns does not depend on the knob.
    """

    name: str
    arm: Callable[[Outcomes], RouteConfig]
    values: tuple[float, ...]

    def member(self, fitted: RouteConfig, value: float) -> RouteConfig:
        """Return the candidate at a value."""
        knob: str = getattr(fitted.ranking, "knob")  # noqa: B009
        strategy: Any = dataclasses.replace(fitted.ranking, **{knob: value})  # type: ignore[type-var]
        return dataclasses.replace(fitted, name=self.called(value), strategy=strategy)

    def called(self, value: float) -> str:
        """Return the name of the candidate at a value."""
        return f"{self.name}={value:g}"


Source: TypeAlias = Callable[[Outcomes], Iterable[Candidate | Ladder]]


def always(arm: Any) -> Callable[[Outcomes], Any]:
    """Return the function that learns nothing and returns the arm."""
    return lambda outcomes: arm
