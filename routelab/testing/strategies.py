"""What every strategy promises, as tests: subclass `StrategyContract` and say how to make one."""

from __future__ import annotations

import dataclasses

import numpy as np

from routelab.core.plan import NOBODY
from routelab.core.ports import Strategy
from routelab.core.values import Model, Price, Prompt, Roster
from routelab.strategies import KINDS, spec_of, strategy_of

NAMES = ("large", "small", "local")
TEXTS = (
    "Write a Python function that adds two numbers.",
    "What is the capital of Peru?",
    "Translate into French: the cat sleeps.",
    "",
    "x" * 20_000,
    "Was ist \N{SNOWMAN}? \ud800",
    "Summarise the text in two sentences: the sun rose.",
)


class StrategyContract:
    """The contract of `core.ports.Strategy`; pytest collects the subclass."""

    def strategy(self) -> Strategy:
        """Return the strategy under test, over the models large, small and local."""
        raise NotImplementedError

    def roster(self) -> Roster:
        """Return three models, dearest first."""
        prices = {"large": 10.0, "small": 1.0, "local": 0.0}
        return Roster(
            models=tuple(
                Model(
                    name=n, provider="p", upstream=n, price=Price(usd_per_mtok_in=prices[n], usd_per_mtok_out=prices[n])
                )
                for n in NAMES
            )
        )

    def prompts(self) -> list[Prompt]:
        """Return prompts of many shapes, with and without a task."""
        given = [Prompt.of(text) for text in TEXTS]
        return given + [
            dataclasses.replace(p, id=f"{p.id}-t", task=t)
            for p, t in zip(given, ("research", "other") * 4, strict=False)
        ]

    def test_a_batch_plans_each_prompt_as_it_would_be_planned_alone(self) -> None:
        batch = self.strategy().plan(self.prompts(), self.roster())
        for i, prompt in enumerate(self.prompts()):
            alone = self.strategy().plan([prompt], self.roster())
            width = alone.order.shape[1]
            assert list(batch.order[i][:width]) == list(alone.order[0])
            assert set(batch.order[i][width:]) <= {NOBODY}
            assert batch.propensity[i] == alone.propensity[0]
            assert batch.why(i) == alone.why(0)
            assert batch.gate == alone.gate

    def test_the_order_of_the_prompts_changes_nothing(self) -> None:
        prompts = self.prompts()
        there = self.strategy().plan(prompts, self.roster())
        back = self.strategy().plan(prompts[::-1], self.roster())
        assert np.array_equal(there.order, back.order[::-1])

    def test_every_prompt_gets_a_model_and_no_model_twice(self) -> None:
        plan = self.strategy().plan(self.prompts(), self.roster())
        for row in plan.order:
            ranked = [m for m in row if m != NOBODY]
            assert ranked
            assert len(set(ranked)) == len(ranked)
            assert all(0 <= m < len(NAMES) for m in ranked)

    def test_propensities_are_chances(self) -> None:
        plan = self.strategy().plan(self.prompts(), self.roster())
        assert ((plan.propensity > 0) & (plan.propensity <= 1)).all()

    def test_every_decision_has_a_reason(self) -> None:
        plan = self.strategy().plan(self.prompts(), self.roster())
        assert all(plan.why(i).strip() for i in range(len(plan)))

    def test_no_prompts_give_an_empty_plan(self) -> None:
        assert len(self.strategy().plan([], self.roster())) == 0

    def test_the_yaml_form_comes_back_equal(self) -> None:
        strategy = self.strategy()
        if type(strategy) in KINDS.values():
            assert strategy_of(spec_of(strategy)) == strategy
