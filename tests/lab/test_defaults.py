"""Prompts that a strategy could not decide: replayed as they would be live, and counted in what is reported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from routelab.config import RouteConfig
from routelab.core.errors import ConfigError
from routelab.core.plan import NOBODY, Plan, plan_of
from routelab.core.values import Prompt, Roster
from routelab.lab.block import table
from routelab.lab.compare import Comparison
from routelab.lab.datasets import Dataset
from routelab.lab.grid import comparison_bundle
from routelab.lab.outcomes import Outcomes
from routelab.lab.replay import planned, replay
from routelab.lab.session import Lab
from routelab.router import Router
from routelab.strategies import KINDS
from routelab.testing import Scripted, fleet

MODELS = ("first", "second", "third")


@dataclass(frozen=True)
class Brittle:
    """Ask the second model, and stumble over prompts whose id ends in one of these digits."""

    over: str = "7"

    def plan(self, prompts: Sequence[Prompt], roster: Roster) -> Plan:
        if any(p.id[-1] in self.over for p in prompts):
            raise ValueError("no such feature")
        return plan_of([[1, 2]] * len(prompts), ["second"] * len(prompts))


@dataclass(frozen=True)
class Unfitted:
    """Has learned nothing."""

    def plan(self, prompts: Sequence[Prompt], roster: Roster) -> Plan:
        raise ConfigError("mine: not fitted yet", hint="call fit")


def outcomes_of(cube: Callable[..., Any], n: int = 100) -> Outcomes:
    quality = np.tile([0.0, 1.0, 0.5], (n, 1))
    made: Outcomes = cube(quality, models=MODELS, cost_usd=np.tile([1.0, 2.0, 3.0], (n, 1)))
    return made


def config(strategy: Any) -> RouteConfig:
    return RouteConfig(name="mine", models=MODELS, strategy=strategy, fallbacks={})


def test_a_replay_asks_the_default_where_the_strategy_stumbles_and_nowhere_else(cube: Any) -> None:
    outcomes = outcomes_of(cube)
    stumbles = np.array([p.id.endswith("7") for p in outcomes.prompts])
    for arm in (Brittle(), config(Brittle())):
        arm_ = replay(outcomes, {"mine": arm}, confirm=0)["mine"]
        assert arm_.walked.model.tolist() == np.where(stumbles, 0, 1).tolist()
        assert sorted(arm_.errors) == np.flatnonzero(stumbles).tolist()
        assert set(arm_.errors.values()) == {"strategy brittle raised ValueError: no such feature"}


def test_a_live_call_and_a_replay_decide_alike_where_the_strategy_stumbles(cube: Any) -> None:
    outcomes = outcomes_of(cube, 30)
    router = Router(config(Brittle()), fleet=fleet({m: Scripted() for m in MODELS}))
    plan = planned(config(Brittle()), outcomes.prompts, outcomes.roster)
    for i, prompt in enumerate(outcomes.prompts):
        alone = router.plan([prompt])
        ranked = [[int(m) for m in row if m != NOBODY] for row in (alone.order[0], plan.order[i])]
        assert ranked[0] == ranked[1]
        assert alone.why(0) == plan.why(i)
        assert alone.errors.get(0) == plan.errors.get(i)


def test_a_comparison_counts_the_decisions_that_the_default_took(cube: Any) -> None:
    outcomes = outcomes_of(cube)
    held = replay(outcomes, {"mine": config(Brittle()), "sound": config(Brittle(over=""))}, confirm=0)
    count = sum(p.id.endswith("7") for p in outcomes.prompts)
    note = (
        f"mine: {count} of 100 decisions fell back to the default (strategy brittle raised ValueError: no such feature)"
    )
    assert [n for n in held.terms.notes if "default" in n] == [note]
    assert note in repr(held)
    assert note in comparison_bundle(held)["text/plain"]
    assert note in comparison_bundle(held)["text/html"]
    assert table(held, held["mine"]).rows  # the block of an arm with defaults is complete


def test_a_strategy_that_plans_nothing_is_an_error_and_no_arm(cube: Any) -> None:
    outcomes = outcomes_of(cube, 20)
    for arm in (Unfitted(), config(Unfitted())):
        with pytest.raises(ConfigError, match="mine: not fitted yet") as caught:
            replay(outcomes, {"mine": arm}, confirm=0)
        assert caught.value.hint == "call fit"
    with pytest.raises(ValueError, match="no such feature"):
        replay(outcomes, {"mine": Brittle(over="0123456789")}, confirm=0)


@pytest.fixture
def own_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    for cls in (Brittle, Unfitted):
        monkeypatch.setitem(KINDS, cls.__name__.lower(), cls)  # type: ignore[arg-type]


@pytest.mark.usefixtures("own_kind")
def test_live_arms_count_them_too_and_every_prompt_is_answered() -> None:
    yes = {"kind": "exact", "answers": ["first"]}
    data = Dataset.of([{"id": f"p{i}", "prompt": f"q{i}", "scorer": yes} for i in range(10)], name="quiz")
    with Lab(fleet=fleet({m: Scripted(m) for m in MODELS})) as lab:
        held: Comparison = lab.compare(data, {"mine": config(Brittle()), "never": config(Unfitted())})
        assert [n for n in held.terms.notes if "default" in n] == [
            "mine: 1 of 10 decisions fell back to the default (strategy brittle raised ValueError: no such feature)",
            "never: 10 of 10 decisions fell back to the default (strategy unfitted raised ConfigError: mine: not fitted yet)",
        ]
        assert [a.text for a in held.answers["mine"]] == ["second"] * 7 + ["first"] + ["second"] * 2
        assert [a.text for a in held.answers["never"]] == ["first"] * 10
        assert "⚠\N{NO-BREAK SPACE}default" in comparison_bundle(held)["text/plain"]
        found = lab.sql("select why, considered from decisions where arm = 'mine' and prompt_id = 'p7'")
        assert found.why.tolist() == ["default: strategy brittle raised ValueError: no such feature"]
        assert list(found.considered[0]) == list(MODELS)
        kept = lab.sql("select distinct payload ->> '$.error' as error from events where kind = 'routed' order by 1")
        assert [e for e in kept.error.tolist() if isinstance(e, str)] == [
            "strategy brittle raised ValueError: no such feature",
            "strategy unfitted raised ConfigError: mine: not fitted yet",
        ]
