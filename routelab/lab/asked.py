"""What a recorded answer was given under, and what a replay over recorded answers can therefore not tell."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

from routelab import sections
from routelab.config import RouteConfig
from routelab.core.errors import UnavailableError

WORDED = ("prompt", "context", "retrieval")
"""The sections that change what a model is sent, so that its recorded answer says nothing about another value."""


def worded(config: Any) -> dict[str, Any]:
    """Return the sections of an arm that change what a model is sent; empty for a bare strategy.

    >>> worded(RouteConfig(name="a", models=["m"], strategy={"kind": "fixed", "model": "m"}, prompt={"system": "Be brief."}))
    {'prompt': {'system': 'Be brief.'}}
    """
    if not isinstance(config, RouteConfig):
        return {}
    said = {name: sections.plain(name, getattr(config, name, None)) for name in WORDED}
    return {name: values for name, values in said.items() if values}


def replayable(arms: Mapping[str, Any]) -> tuple[str, ...]:
    """Return notes on what a replay cannot tell about these arms.

    Raises UnavailableError for two arms that send a model other words and are alike in everything else: over recorded answers
    they are the same arm, and a comparison would call them equal.
    """
    said = {name: worded(arm) for name, arm in arms.items()}
    for one, other in combinations([name for name in arms if isinstance(arms[name], RouteConfig)], 2):
        differing = [key for key in WORDED if said[one].get(key) != said[other].get(key)]
        if differing and _rest(arms[one]) == _rest(arms[other]):
            raise UnavailableError(
                f"arms '{one}' and '{other}' differ in {', '.join(f'`{key}`' for key in differing)} only, and recorded answers "
                "were given under one of them",
                hint="lab.compare(data, arms) asks them live",
            )
    if len({repr(values) for values in said.values()}) < 2:
        return ()
    named = [f"{name} ({', '.join(values)})" for name, values in said.items() if values]
    return (
        f"arms differ in what they send a model: {', '.join(named)}; the recorded answers are taken as they are, so that only "
        "lab.compare, live, tells what that changes",
    )


def _rest(config: RouteConfig) -> dict[str, Any]:
    return {k: v for k, v in config.to_mapping().items() if k not in ("name", "evidence", *WORDED)}
