"""A strategy behind a gate has no twin in another router's file."""

from __future__ import annotations

from typing import Any

import pytest

from routelab.config import RouteConfig
from routelab.core.errors import ConfigError
from routelab.lab.targets import TARGETS, export
from routelab.strategies import Agreement, Cascade


@pytest.mark.parametrize("to", TARGETS)
@pytest.mark.parametrize(
    "strategy",
    [Agreement(ask=("a", "b"), then=("c",)), Cascade(order=("a", "b"), gate={"scorer": "nonempty"})],
    ids=["agreement", "cascade"],
)
def test_what_looks_at_answers_is_not_exported_to_those_that_cannot(strategy: Any, to: str) -> None:
    with pytest.raises(
        ConfigError, match="looks at an answer before it decides whether to ask the next model"
    ) as trouble:
        export(RouteConfig(name="x", strategy=strategy), to=to)
    assert trouble.value.hint == "to='routelab' keeps it as it is"
