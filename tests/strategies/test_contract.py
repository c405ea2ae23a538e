"""Every strategy passes the same class."""

from __future__ import annotations

import pytest

from routelab.core.ports import Strategy
from routelab.strategies import KINDS, Fixed, Random, Rules, Split
from routelab.testing import StrategyContract


class TestFixed(StrategyContract):
    def strategy(self) -> Strategy:
        return Fixed(model="small")


class TestRandom(StrategyContract):
    def strategy(self) -> Strategy:
        return Random(seed=3)


class TestRandomOfSome(StrategyContract):
    def strategy(self) -> Strategy:
        return Random(models=("local", "large"))


class TestSplit(StrategyContract):
    def strategy(self) -> Strategy:
        return Split(weights={"large": 1, "small": 3, "local": 0})


class TestRules(StrategyContract):
    def strategy(self) -> Strategy:
        return Rules(table={"translation": ("small", "large"), "research": ("large",)}, default=("local", "small"))


def test_every_kind_has_a_contract_test() -> None:
    tested = {type(cls().strategy()) for cls in (TestFixed, TestRandom, TestSplit, TestRules)}
    assert tested == set(KINDS.values())


@pytest.mark.parametrize("seed", [0, 1])
def test_a_split_gives_each_model_its_share(seed: int) -> None:
    from routelab.core.values import Model, Prompt, Roster

    roster = Roster(models=tuple(Model(name=n, provider="p", upstream=n) for n in ("a", "b")))
    plan = Split(weights={"a": 1, "b": 3}, seed=seed).plan([Prompt.of(str(i)) for i in range(4000)], roster)
    share = (plan.order[:, 0] == 1).mean()
    assert abs(share - 0.75) < 0.025  # 3.6 standard errors
    assert set(plan.propensity[plan.order[:, 0] == 1]) == {0.75}
