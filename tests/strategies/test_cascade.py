"""A cascade asks the cheapest first; its bars and its learned gate come from tune."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from routelab.config import RouteConfig
from routelab.core.errors import ConfigError
from routelab.core.plan import NOBODY, Gate
from routelab.core.ports import Strategy
from routelab.core.values import Message, Prompt
from routelab.lab.outcomes import Judgements, Outcomes
from routelab.strategies import Cascade, spec_of, strategy_of
from routelab.strategies.cascade import told
from routelab.strategies.fitting.acceptance import chances, learn
from routelab.strategies.fitting.learned import Learned
from routelab.testing import StrategyContract

Floats = NDArray[np.float64]


class TestCascade(StrategyContract):
    def strategy(self) -> Strategy:
        return Cascade(order=("local", "small", "large"), gate={"scorer": "nonempty"})


class TestCascadeByCost(StrategyContract):
    def strategy(self) -> Strategy:
        return Cascade(gate={"scorer": "agreement", "k": 2, "at_least": 1.0})


class TestFittedCascade(StrategyContract):
    def strategy(self) -> Strategy:
        outcomes = made(80, names=("local", "small", "large"))
        return Cascade(gate={"scorer": "learned"}).fit(outcomes)


def made(n: int, *, names: tuple[str, ...] = ("a", "b", "c"), seed: int = 0, texts: bool = True) -> Outcomes:
    """Return outcomes of three models, each dearer and better than the one before; who is right says 7, others say anything."""
    rng = np.random.default_rng(seed)
    right = rng.random((n, 3)) < np.array([0.6, 0.75, 0.95])
    said = {
        (f"p{i}", m): "Answer: 7" if right[i, k] else f"Answer: {int(rng.integers(1, 7))}"
        for i in range(n)
        for k, m in enumerate(names)
    }
    blank = np.full((n, 3), np.nan)
    return Outcomes(
        prompts=tuple(
            Prompt(id=f"p{i}", messages=(Message(role="user", content=f"q{i}"),), task=("x", "y")[i % 2])
            for i in range(n)
        ),
        models=names,
        quality=right.astype(float),
        cost_usd=np.broadcast_to([0.01, 0.1, 1.0], (n, 3)).copy(),
        latency_s=blank.copy(),
        input_tokens=blank.copy(),
        output_tokens=blank.copy(),
        failed=np.zeros((n, 3), dtype=bool),
        cost_kind=("recorded",) * 3,
        gates={"sure": Judgements.free(np.clip(right * 0.5 + rng.random((n, 3)) * 0.5, 0, 1))},
        texts=(lambda prompt, model: said.get((prompt, model))) if texts else None,
    )


def test_the_models_are_ranked_by_list_price_before_anything_was_recorded() -> None:
    contract = TestCascadeByCost()
    plan = contract.strategy().plan(contract.prompts(), contract.roster())
    assert np.array_equal(np.unique(plan.order, axis=0), [[2, 1, 0]])
    assert plan.gate == Gate(scorer="agreement", at_least=1.0, spec={"k": 2})
    assert plan.why(0) == "local; if agreement gives less than 1, small, then large"


def test_fitting_orders_the_models_by_what_they_cost() -> None:
    outcomes = made(20).only(("c", "a", "b"))
    fitted = Cascade(gate={"scorer": "nonempty"}).fit(outcomes)
    assert fitted == Cascade(gate={"scorer": "nonempty"}, order=("a", "b", "c"))
    assert fitted.fit(outcomes) == fitted


def test_bars_are_fitted_on_what_a_gate_gave() -> None:
    outcomes = made(400)
    fitted = Cascade(gate={"recorded": "sure", "at_least": "fit"}, tolerance=0.02).fit(outcomes)
    assert fitted.order == ("a", "b", "c")
    bars = fitted.gate["at_least"]
    # What was right got at least a half, what was wrong at most that; accepting some wrong answers saves more than it costs.
    assert set(bars) == {"a", "b"}
    assert all(0.2 < bar < 0.75 for bar in bars.values())
    assert fitted.accepts.bars == bars


def test_a_bar_is_fitted_among_few_models_chosen_along_with_it() -> None:
    fitted = Cascade(gate={"recorded": "sure", "at_least": "fit"}, most=2, tolerance=0.02).fit(made(400))
    assert fitted.order in (("a", "c"), ("b", "c"))
    assert fitted.most is None


def test_a_learned_gate_knows_that_agreement_is_a_good_sign() -> None:
    fitted = Cascade(gate={"scorer": "learned"}, tolerance=0.02).fit(made(600))
    assert fitted.learned is not None
    assert not fitted.unfitted
    from routelab.gates import kind_of
    from routelab.gates.seen import Seen

    look: Any = kind_of(fitted.accepts)
    prompt = made(1).prompts[0]
    same = look(Seen(prompt=prompt, answers=(("a", "It is 7."), ("b", "Answer: 7"))))
    other = look(Seen(prompt=prompt, answers=(("a", "It is 8."), ("b", "Answer: 7"))))
    assert same.quality > 0.9 > other.quality


def test_a_learned_gate_keeps_the_bar_that_it_is_given() -> None:
    outcomes = made(60)
    strategy = Cascade(gate={"scorer": "learned", "at_least": 0.8})
    fitted = strategy.fit(outcomes)
    assert (fitted.order, fitted.gate) == (("a", "b", "c"), strategy.gate)
    assert (
        fitted.learned
        == dataclasses.replace(strategy, gate={"scorer": "learned", "at_least": 0.3}).fit(outcomes).learned
    )
    assert (strategy.learns, fitted.learns) == (True, False)


def test_an_unfitted_cascade_says_so() -> None:
    contract = TestCascade()
    for gate in ({"scorer": "learned"}, {"recorded": "x", "at_least": "fit"}):
        with pytest.raises(ConfigError, match="cascade: not fitted yet"):
            Cascade(gate=gate).plan(contract.prompts(), contract.roster())


@pytest.mark.parametrize(
    ("gate", "outcomes", "message"),
    [
        ({"scorer": "learned"}, made(20, texts=False), "no answer of a was recorded with its text and quality"),
        ({"recorded": "other", "at_least": "fit"}, made(20), "what 'other' gives was not recorded"),
        (
            {"recorded": "sure", "at_least": "fit"},
            dataclasses.replace(made(20), cost_usd=np.full((20, 3), np.nan)),
            "no prompt has quality, cost and the gate's scores recorded for a, b, c",
        ),
    ],
)
def test_what_fitting_lacks_is_said(gate: dict[str, Any], outcomes: Outcomes, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Cascade(gate=gate).fit(outcomes)


@pytest.mark.parametrize(
    "strategy",
    [
        Cascade(gate={"scorer": "judge", "model": "flash", "at_least": 0.8}),
        Cascade(order=("a", "b"), gate={"scorer": "json", "schema": {"type": "object"}, "at_least": {"a": 0.5}}),
        Cascade(order=("a", "b"), gate={"all": [{"scorer": "nonempty"}, {"scorer": "length", "max_words": 9}]}),
        Cascade(gate={"recorded": "sure", "at_least": "fit"}, tolerance=0.01, most=3),
        Cascade(gate={"scorer": "learned"}).fit(made(60)),
    ],
    ids=lambda s: str(dict(s.gate))[:30],
)
def test_a_cascade_comes_back_from_yaml(strategy: Cascade) -> None:
    models = ("a", "b", "c")
    config = RouteConfig(name="x", models=models, strategy=strategy)
    back = RouteConfig.from_text(config.to_text())
    assert back == config
    assert back.fingerprint == config.fingerprint
    assert strategy_of(spec_of(strategy)) == strategy


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({}, "config: strategy.gate: is missing"),
        ({"gate": {"scorer": "json"}, "order": "price"}, "config: strategy.order: must be `cost` or a list of models"),
        ({"gate": {"scorer": "json"}, "order": ["a"]}, "config: strategy.order: name at least two models"),
        ({"gate": {"scorer": "json"}, "order": ["a", "a"]}, "config: strategy.order: 'a' is named twice"),
        ({"gate": {"scorer": "json"}, "most": 1}, "config: strategy.most: must be at least 2, not 1"),
        ({"gate": {"scorer": "json"}, "tolerance": 1.0}, "config: strategy.tolerance: must be at least 0"),
        ({"gate": {"at_least": 1}}, "config: strategy.gate.scorer: is missing"),
    ],
)
def test_what_is_no_cascade_is_refused(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as trouble:
        strategy_of({"kind": "cascade", **spec})
    assert trouble.value.message.startswith(message)


def test_a_gate_is_told_with_who_judges() -> None:
    assert told(("a", "b"), Gate(scorer="judge", spec={"model": "flash"}, at_least=0.8)) == (
        "a; if judge (flash) gives less than 0.8, b"
    )
    assert told(("a", "b", "c"), Gate(scorer="learned", bars={"a": 0.9, "b": 0.7})) == (
        "a; if learned gives it less than 0.9, b; if learned gives it less than 0.7, c"
    )
    several = Gate(scorer="all", spec={"all": [{"scorer": "nonempty"}, {"recorded": "logprob"}]}, at_least=1.0)
    assert told(("a", "b"), several) == "a; if nonempty and logprob gives less than 1, b"


def test_the_regression_is_that_of_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    from routelab.strategies.fitting.acceptance import STRENGTH, _logistic

    rng = np.random.default_rng(1)
    z = rng.normal(size=(300, 6))
    y = (rng.random(300) < 1 / (1 + np.exp(-z[:, 0] + z[:, 1] - 1))).astype(float)
    weights, bias = _logistic(z, y)
    theirs = LogisticRegression(C=STRENGTH, tol=1e-10, max_iter=1_000).fit(z, y)
    assert weights == pytest.approx(theirs.coef_[0], abs=1e-5)
    assert bias == pytest.approx(theirs.intercept_[0], abs=1e-5)


@given(st.integers(1, 40), st.integers(0, 3), st.sampled_from([0.0, 0.5, 1.0]))
def test_chances_are_chances_whatever_was_learned_from(n: int, seed: int, right: float) -> None:
    rng = np.random.default_rng(seed)
    signs = rng.normal(size=(n, 15))
    quality = np.column_stack([np.where(rng.random(n) < right, 1.0, 0.0), np.ones(n)])
    learned = learn([signs], quality, ["x" if i % 3 else None for i in range(n)], ("a", "b"))
    found = chances(learned, 0, signs, ["x"] * n)
    assert ((found > 0) & (found < 1)).all()
    alone = np.array([chances(learned, 0, signs[i : i + 1], ["x"])[0] for i in range(n)])
    assert np.array_equal(found, alone)


def test_what_was_learned_is_plain_arrays(tmp_path: Any) -> None:
    fitted = Cascade(gate={"scorer": "learned"}).fit(made(60))
    assert isinstance(fitted.learned, Learned)
    assert fitted.learned.small
    config = RouteConfig(name="x", strategy=fitted)
    assert RouteConfig.from_yaml(config.to_yaml(tmp_path / "x.yaml")) == config


def signed(outcomes: Outcomes, seen: Callable[[Floats], None]) -> Outcomes:
    """Return outcomes that tell what of them is looked at."""

    class Watched(Outcomes):
        def signs(self, rows: Any, cells: Any, before: Any, match: str = "auto") -> Floats:
            seen(before)
            return Outcomes.signs(self, rows, cells, before, match)

    return Watched(**{f.name: getattr(outcomes, f.name) for f in dataclasses.fields(outcomes)})


def test_each_rung_is_learned_with_the_answers_before_it() -> None:
    looked: list[Floats] = []
    Cascade(order=("a", "b", "c"), gate={"scorer": "learned"}).fit(signed(made(30), looked.append))
    assert {tuple(np.unique(before).tolist()) for before in looked} == {(NOBODY,), (0,)}


PROCESS = """
from test_cascade import made
from routelab.config import RouteConfig
from routelab.lab.replay import fit, planned, walked
from routelab.strategies import Cascade
outcomes = made(80)
config = fit(RouteConfig(name="x", models=outcomes.models, strategy=Cascade(gate={"scorer": "learned"}, most=2)), outcomes)
print(config.fingerprint, walked("x", config, outcomes, planned).model.tolist())
"""


def test_another_process_learns_and_picks_the_same(elsewhere: Callable[..., str]) -> None:
    assert elsewhere(PROCESS).strip()
