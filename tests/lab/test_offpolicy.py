"""Logged choices: the three estimates by hand, their refusals, and a log that is read back."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.config import RouteConfig
from routelab.core.errors import DataError
from routelab.core.events import Answered, Routed, Scored, Unanswered
from routelab.core.plan import Gate
from routelab.core.run import Run
from routelab.core.values import Message, Prompt, Tokens
from routelab.lab.choices import Choices
from routelab.lab.logged import choices_of_query
from routelab.lab.offpolicy import EXACT, OFF_POLICY, crossfitted, evaluate, exact, target_of
from routelab.store import Log
from routelab.strategies import Fixed, Random, Split


def choices(rng: np.random.Generator, n: int = 400, **given: Any) -> Choices:
    facts = {
        "models": ("a", "b"),
        "action": rng.integers(0, 2, n),
        "reward": (rng.random(n) < 0.7).astype(float),
        "propensity": np.full(n, 0.5),
        **given,
    }
    return Choices(**facts)


def always(found: Choices, column: int) -> np.ndarray:
    target = np.zeros((len(found), len(found.models)))
    target[:, column] = 1.0
    return target


def test_the_three_estimates_are_their_formulas() -> None:
    rng = np.random.default_rng(0)
    logged = choices(rng, propensity=rng.uniform(0.3, 0.9, 400))
    target = np.tile([0.8, 0.2], (400, 1))
    predicted = rng.random((400, 2))
    found = evaluate(logged, target, predicted=predicted)
    w = target[np.arange(400), logged.action] / logged.propensity
    own = predicted[np.arange(400), logged.action]
    assert found.ips is not None
    assert found.snips is not None
    assert found.dr is not None
    assert found.ips.value == pytest.approx((w * logged.reward).mean())
    assert found.snips.value == pytest.approx((w * logged.reward).sum() / w.sum())
    assert found.dr.value == pytest.approx(((target * predicted).sum(axis=1) + w * (logged.reward - own)).mean())
    assert found.ess == pytest.approx(w.sum() ** 2 / (w**2).sum())
    assert (found.max_weight, found.how, found.refused) == (pytest.approx(w.max()), OFF_POLICY, None)
    assert "effective n" in str(found)


@given(st.integers(0, 99), st.floats(0.1, 1), st.floats(-0.1, 0.1))
def test_a_reward_that_is_everywhere_the_same_is_found_exactly_by_snips(seed: int, reward: float, off: float) -> None:
    logged = choices(np.random.default_rng(seed), reward=np.full(400, reward))
    found = evaluate(logged, np.tile([0.5 + off, 0.5 - off], (400, 1)))
    assert found.snips is not None
    assert found.dr is not None
    assert found.snips.value == pytest.approx(reward)
    assert found.dr.value == pytest.approx(reward)


def test_the_logging_router_is_worth_what_was_logged() -> None:
    logged = choices(np.random.default_rng(1))
    found = evaluate(logged, np.full((400, 2), 0.5))
    assert found.ips is not None
    assert found.ips.value == pytest.approx(logged.reward.mean())
    assert found.ess == pytest.approx(400)


def test_a_model_that_was_never_asked_is_refused() -> None:
    logged = choices(np.random.default_rng(2), models=("a", "b", "c"))
    found = evaluate(logged, always(logged, 2))
    assert (found.ips, found.snips, found.dr) == (None, None, None)
    assert found.refused is not None
    assert found.refused.startswith("no support: the target asks c on 400 prompts")
    assert str(found).startswith("refused: ")


def test_a_prompt_on_which_the_log_had_no_chance_is_refused_even_if_it_is_one() -> None:
    logged = choices(np.random.default_rng(3))
    chances = np.full((400, 2), 0.5)
    row = int(np.flatnonzero(logged.action == 1)[0])
    chances[row] = [0.0, 1.0]
    found = evaluate(dataclasses.replace(logged, chances=chances), always(logged, 0))
    assert found.refused is not None
    assert "on 1 prompts" in found.refused
    assert evaluate(dataclasses.replace(logged, chances=np.full((400, 2), 0.5)), always(logged, 0)).refused is None


def test_a_model_has_no_support_where_another_was_chosen_for_certain() -> None:
    rng = np.random.default_rng(12)
    action = np.where(np.arange(400) < 100, 0, rng.integers(0, 2, 400))
    logged = choices(rng, action=action, propensity=np.where(np.arange(400) < 100, 1.0, 0.5))
    found = evaluate(logged, always(logged, 1))
    assert found.refused is not None
    assert found.refused.startswith("no support: the target asks b on 100 prompts")
    assert evaluate(logged, always(logged, 0)).refused is None


def test_chances_that_are_not_those_of_the_draw_are_found_out() -> None:
    rng = np.random.default_rng(13)
    logged = choices(rng, 2000, action=(rng.random(2000) < 0.3).astype(np.intp))
    found = evaluate(logged, always(logged, 1))
    assert found.refused is not None
    assert found.refused.startswith("the weights average 0.6")


def test_a_log_without_chance_can_say_nothing_about_another_router_and_everything_about_its_own() -> None:
    logged = choices(np.random.default_rng(4), propensity=np.ones(400))
    found = evaluate(logged, always(logged, 0))
    assert found.refused is not None
    assert found.refused.startswith("not identifiable")
    own = np.eye(2)[logged.action]
    itself = evaluate(logged, own)
    assert itself.snips is not None
    assert itself.snips.value == pytest.approx(logged.reward.mean())


@pytest.mark.parametrize(("n", "refused", "notes"), [(80, True, 0), (300, False, 1), (1000, False, 0)])
def test_a_small_effective_sample_warns_and_a_smaller_one_refuses(n: int, refused: bool, notes: int) -> None:
    found = evaluate(logged := choices(np.random.default_rng(5), n), always(logged, 0))
    assert ((found.refused is not None), len(found.notes)) == (refused, notes)
    if refused:
        assert "effective sample size is" in str(found)


def test_a_reward_model_narrows_what_the_strata_explain() -> None:
    rng = np.random.default_rng(6)
    strata = rng.integers(0, 2, 4000)
    reward = (rng.random(4000) < np.where(strata == 0, 0.05, 0.95)).astype(float)
    plain = choices(rng, 4000, reward=reward)
    knowing = dataclasses.replace(plain, strata=strata)
    target = always(plain, 0)
    without, with_ = evaluate(plain, target).dr, evaluate(knowing, target).dr
    assert without is not None
    assert with_ is not None
    assert with_.se is not None
    assert without.se is not None
    assert with_.se < 0.9 * without.se


def test_what_is_expected_of_a_prompt_was_learned_without_it() -> None:
    rng = np.random.default_rng(7)
    logged = choices(rng, 100)
    flipped = dataclasses.replace(logged, reward=np.where(np.arange(100) == 0, 1 - logged.reward, logged.reward))
    before, after = crossfitted(logged), crossfitted(flipped)
    assert before[0].tolist() == after[0].tolist()
    assert before.tolist() != after.tolist()
    grouped = dataclasses.replace(logged, clusters=np.arange(100) // 2)
    paired = dataclasses.replace(flipped, clusters=np.arange(100) // 2)
    assert crossfitted(grouped)[:2].tolist() == crossfitted(paired)[:2].tolist()


def test_clusters_widen_the_estimates() -> None:
    rng = np.random.default_rng(8)
    logged = choices(rng, 1000, reward=(rng.random(100) < 0.5).astype(float).repeat(10))
    target = np.full((1000, 2), 0.5)
    one, many = (
        evaluate(logged, target),
        evaluate(dataclasses.replace(logged, clusters=np.arange(100).repeat(10)), target),
    )
    assert one.snips is not None
    assert many.snips is not None
    assert one.snips.se is not None
    assert many.snips.se is not None
    assert many.snips.se > 2 * one.snips.se


def test_where_all_models_answered_the_replay_is_exact_and_says_so(cube: Any) -> None:
    outcomes = cube([[1, 0]] * 50 + [[0, 1]] * 50)
    found = exact(outcomes, np.eye(2)[[0] * 50 + [1] * 50])
    assert found.snips is not None
    assert (found.how, found.snips.value, found.dr) == (EXACT, 1.0, None)
    assert str(found).endswith(f"({EXACT})")
    with pytest.raises(DataError, match="1 of 4 outcomes were not recorded"):
        exact(cube([[1, float("nan")], [1, 1]]), np.full((2, 2), 0.5))


def test_an_arms_first_choice_is_its_target() -> None:
    logged = choices(np.random.default_rng(9), 40)
    prompts = [Prompt(id=f"p{i}", messages=()) for i in range(40)]
    assert target_of(Fixed(model="b"), logged, prompts).tolist() == [[0.0, 1.0]] * 40
    # Whoever draws counts with its chances: the log may have drawn from the same numbers.
    assert target_of(Random(models=("a", "b")), logged, prompts).tolist() == [[0.5, 0.5]] * 40
    assert target_of(Split(weights={"b": 3, "a": 1}), logged, prompts).tolist() == [[0.25, 0.75]] * 40
    config = RouteConfig(name="c", models=["b", "a"], strategy={"kind": "random"})
    assert target_of(config, logged, prompts).tolist() == [[0.5, 0.5]] * 40
    with pytest.raises(DataError, match="'z' has no logged choices"):
        target_of(Split(weights={"a": 1, "z": 1}), logged, prompts)

    class Says:
        def plan(self, asked: Any, roster: Any) -> Any:
            return Random(models=("a", "b")).plan(asked, roster)

        def chances(self, asked: Any, roster: Any) -> Any:
            return np.tile([0.9, 0.1], (len(asked), 1))

    assert target_of(Says(), logged, prompts).tolist() == [[0.9, 0.1]] * 40

    class Silent:
        plan = Says.plan

    with pytest.raises(DataError, match="does not say the chances"):
        target_of(Silent(), logged, prompts)

    class Gated:
        def plan(self, asked: Any, roster: Any) -> Any:
            return dataclasses.replace(Fixed(model="a").plan(asked, roster), gate=Gate(scorer="judge", at_least=0.5))

    with pytest.raises(DataError, match="cascade"):
        target_of(Gated(), logged, prompts)


@pytest.mark.parametrize(
    "wrong",
    [
        {"reward": np.full(400, np.nan)},
        {"propensity": np.zeros(400)},
        {"propensity": np.full(400, 1.5)},
        {"propensity": np.full(3, 0.5)},
        {"action": np.full(400, 7)},
        {"chances": np.full((400, 3), 0.5)},
    ],
)
def test_choices_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=r"choices|chances"):
        choices(np.random.default_rng(10), **wrong)


def test_a_target_whose_chances_do_not_sum_to_1_is_refused() -> None:
    logged = choices(np.random.default_rng(11))
    with pytest.raises(ValueError, match="summing to 1"):
        evaluate(logged, np.full((400, 2), 0.4))


def run(k: int, *events: Any, propensity: float = 0.25) -> Run:
    prompt = Prompt(id=f"p{k}", messages=(Message(role="user", content="q"),), task="qa" if k % 2 else "code")
    made = Run(
        id=f"r{k}", prompt=prompt, started_at=datetime(2026, 1, 1) + timedelta(seconds=k), arm="x", experiment="e"
    )
    routed = Routed(strategy="split", order=("m",), reason="", propensity=propensity)
    return Run(**{**vars(made), "events": (routed, *events)})


def answered(model: str) -> Answered:
    return Answered(
        model=model,
        served_model=model,
        provider="p",
        text="t",
        cost_usd=0.1,
        latency_s=1.0,
        tokens=Tokens(input=1, output=1, source="usage"),
    )


def lost(model: str, error: str = "TimedOut") -> Unanswered:
    return Unanswered(model=model, provider="p", error=error, message="", retry=False, latency_s=1.0)


def test_a_log_gives_the_model_each_run_asked_first_with_its_chance_and_the_runs_quality(tmp_path: Path) -> None:
    path = tmp_path / "log.duckdb"
    with Log(path) as log:
        log.record_experiment("e", dataset="d")
        for one in (
            run(0, answered("a"), Scored(scorer="exact", quality=0.5, model="a")),
            run(
                1,
                dataclasses.replace(lost("b"), at_s=0.0),
                dataclasses.replace(answered("a"), at_s=5.0),
                Scored(scorer="exact", quality=1.0, model="a"),
                propensity=0.75,
            ),
            run(2, answered("a")),
            run(3, lost("a", "MissingKey")),
            run(4, lost("b", "Cancelled")),
        ):
            log.record(one)
        log.flush()
        found, ids = choices_of_query(log.query)
    assert ids == ("p0", "p1")
    assert found.models == ("a", "b")
    assert found.action.tolist() == [0, 1]
    assert found.reward.tolist() == [0.5, 1.0]
    assert found.propensity.tolist() == [0.25, 0.75]
    assert found.strata is not None
    assert found.strata.tolist() == [0, 1]
    assert found.clusters is None


def test_a_log_without_a_scored_choice_is_said_so() -> None:
    with pytest.raises(DataError, match="no scored choice"):
        choices_of_query(lambda sql, parameters: [])
