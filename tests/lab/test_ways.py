"""Which knobs the strategies of each kind have."""

from __future__ import annotations

import pytest

from routelab.lab.ways import way_of
from routelab.strategies import Arbitrage, Cascade, Fixed, Semantic, Split


@pytest.mark.parametrize(
    ("strategy", "keys"),
    [
        (Arbitrage(min_quality=0.5), ("min_quality",)),
        (Arbitrage(cost_weight=3.0), ("cost_weight",)),
        (Cascade(order=("a", "b"), gate={"scorer": "json", "at_least": 1}), ("gate.at_least",)),
        (Split(weights={"a": 1, "b": 1}), ("weights.b",)),
        (Split(weights={"a": 1}), ()),
        (Semantic(), ()),
        (Semantic(default=("gpt-5",), threshold=0.4), ("threshold",)),
        (Fixed(model="a"), ()),
    ],
)
def test_a_strategy_has_the_knobs_of_its_kind(strategy: object, keys: tuple[str, ...]) -> None:
    assert tuple(turn.key for turn in way_of(strategy).turns(strategy)) == keys
