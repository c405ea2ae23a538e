"""Agreement asks cheap models in turn and a strong one where they differ."""

from __future__ import annotations

import numpy as np
import pytest

from routelab.config import RouteConfig
from routelab.core.errors import ConfigError
from routelab.core.plan import Gate
from routelab.core.ports import Strategy
from routelab.strategies import Agreement, strategy_of
from routelab.testing import StrategyContract


class TestAgreement(StrategyContract):
    def strategy(self) -> Strategy:
        return Agreement(ask=("small", "local"), then=("large",))


def test_the_cheap_models_come_first_and_the_gate_wants_two_of_them() -> None:
    contract = TestAgreement()
    plan = contract.strategy().plan(contract.prompts(), contract.roster())
    assert np.array_equal(np.unique(plan.order, axis=0), [[1, 2, 0]])
    assert plan.gate == Gate(scorer="agreement", at_least=1.0, spec={"k": 2, "match": "auto"})
    assert plan.why(0) == "small and local in turn until they agree, else large"


def test_more_than_two_may_be_asked_until_some_of_them_agree() -> None:
    strategy = Agreement(ask=("a", "b", "c"), then=("d", "e"), k=2, match="number")
    assert strategy.models == ("a", "b", "c", "d", "e")
    assert strategy.accepts.spec == {"k": 2, "match": "number"}


def test_the_yaml_form_is_short() -> None:
    config = RouteConfig(name="x", strategy=Agreement(ask=("a", "b"), then=("c",)))
    assert config.to_mapping()["strategy"] == {"kind": "agreement", "ask": ["a", "b"], "then": ["c"]}
    assert RouteConfig.from_text(config.to_text()) == config
    assert config.models == ("a", "b", "c")


class TestAgreementInTheWordsOfTheFirst(StrategyContract):
    def strategy(self) -> Strategy:
        return Agreement(ask=("small", "local"), then=("large",), answer="first")


@pytest.mark.parametrize(("answer", "told"), [("first", "answer of the first"), ("small", "answer of small")])
def test_whose_answer_stands_is_said_and_comes_back_from_yaml(answer: str, told: str) -> None:
    config = RouteConfig(name="x", strategy=Agreement(ask=("small", "local"), then=("large",), answer=answer))
    assert config.to_mapping()["strategy"]["answer"] == answer
    assert RouteConfig.from_text(config.to_text()) == config
    contract = TestAgreement()
    plan = config.ranking.plan(contract.prompts(), contract.roster())
    assert plan.gate.spec == {"k": 2, "match": "auto", "answer": answer}
    assert plan.why(0) == f"small and local in turn until they agree ({told}), else large"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"ask": ["a"], "then": ["b"]}, "config: strategy.ask: name at least two models, the cheap ones"),
        ({"ask": ["a", "b"], "then": []}, "config: strategy.then: name who answers when they do not agree"),
        ({"ask": ["a", "b"], "then": ["a"]}, "config: strategy.then: 'a' is named twice"),
        ({"ask": ["a", "a"], "then": ["b"]}, "config: strategy.ask: 'a' is named twice"),
        ({"ask": ["a", "b"]}, "config: strategy.then: is missing"),
        (
            {"ask": ["a", "b"], "then": ["c"], "answer": "c"},
            "config: strategy.answer: must be first, last or a model in `ask`, not 'c'",
        ),
        (
            {"ask": ["a", "b"], "then": ["c"], "k": 3},
            "config: strategy.k: must be from 2 to 2, the number of models in `ask`, not 3",
        ),
    ],
)
def test_what_cannot_agree_is_refused(spec: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as trouble:
        strategy_of({"kind": "agreement", **spec})
    assert trouble.value.message == message
