"""A bandit draws with true chances, learns what its log says, and is a value."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routelab.config import RouteConfig
from routelab.core.errors import ConfigError
from routelab.core.ports import Strategy
from routelab.core.values import Message, Model, Prompt, Roster
from routelab.strategies import Bandit, kind_of, spec_of, strategy_of
from routelab.strategies.bandit import Seen
from routelab.strategies.fitting.ridge import Features, Ridge
from routelab.strategies.fitting.tally import Tally, proportions, thompson, track, with_floor
from routelab.testing import StrategyContract

ALGORITHMS = ("thompson", "linucb", "track")
NAMES = ("large", "small", "local")


def roster(*names: str) -> Roster:
    return Roster(models=tuple(Model(name=n, provider="p", upstream=n) for n in names or NAMES))


def prompts(n: int, *, tasks: tuple[str | None, ...] = (None,), start: int = 0) -> list[Prompt]:
    return [
        dataclasses.replace(Prompt.of(f"question {i}"), id=f"p{i}", task=tasks[i % len(tasks)])
        for i in range(start, start + n)
    ]


def seen(n: int = 60, *, names: tuple[str, ...] = NAMES, seed: int = 0) -> list[Seen]:
    """Return outcomes in which the large model is right in nine of ten, the small one in six, the local one in two."""
    rng = np.random.default_rng(seed)
    rates = dict(zip(NAMES, (0.9, 0.6, 0.2), strict=True))
    return [
        Seen(
            prompt=prompt,
            model=(name := names[int(rng.integers(len(names)))]),
            quality=float(rng.random() < rates[name]),
            cost_usd=0.01 if name == "large" else 0.001,
        )
        for prompt in prompts(n, tasks=("research", "chat", None))
    ]


class TestBanditThatKnowsNothing(StrategyContract):
    def strategy(self) -> Strategy:
        return Bandit()


class TestThompson(StrategyContract):
    def strategy(self) -> Strategy:
        return Bandit(seed=2, reward={"quality": 1, "cost_weight": 3.0}, discount=0.99).update(seen())


class TestLinucb(StrategyContract):
    def strategy(self) -> Strategy:
        return Bandit(algorithm="linucb", floor=0.1).update(seen())


class TestLinucbWithEmbeddings(StrategyContract):
    def strategy(self) -> Strategy:
        return Bandit(algorithm="linucb", embedder="lexical", dimensions=3).update(seen())


class TestTrack(StrategyContract):
    def strategy(self) -> Strategy:
        return Bandit(algorithm="track", minimum=5).update(seen())


# Chances


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_without_experience_every_model_has_the_same_chance(algorithm: Any) -> None:
    plan = Bandit(algorithm=algorithm).plan(prompts(3000), roster())
    assert set(plan.propensity) == {1 / 3}
    assert np.abs(np.bincount(plan.order[:, 0]) / 3000 - 1 / 3).max() < 0.031  # 3.6 standard errors
    assert plan.quality is None


@settings(max_examples=60)
@given(
    algorithm=st.sampled_from(ALGORITHMS),
    rewards=st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1)), max_size=40),
    floor=st.floats(1e-4, 0.25),
    weight=st.sampled_from([0.0, 1.0, 500.0]),
    discount=st.sampled_from([1.0, 0.97, 0.5]),
)
def test_chances_sum_to_one_and_nobody_falls_below_the_floor(
    algorithm: Any, rewards: list[tuple[int, float]], floor: float, weight: float, discount: float
) -> None:
    names, asked = ("a", "b", "c", "d"), prompts(len(rewards) + 5, tasks=("x", None))
    discount = 1.0 if algorithm == "track" else discount
    bandit = Bandit(algorithm=algorithm, floor=floor, discount=discount, reward={"cost_weight": weight}).update(
        [Seen(prompt=asked[i], model=names[k], quality=q, cost_usd=0.01 * k) for i, (k, q) in enumerate(rewards)]
    )
    chances = bandit.chances(asked, roster(*names))
    plan = bandit.plan(asked, roster(*names))
    assert chances.shape == (len(asked), 4)
    np.testing.assert_allclose(chances.sum(axis=1), 1, rtol=0, atol=1e-12)
    assert (chances >= floor - 1e-12).all()
    assert np.array_equal(plan.propensity, chances[np.arange(len(asked)), plan.order[:, 0]])
    assert all(sorted(row) == [0, 1, 2, 3] for row in plan.order.tolist())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_models_are_drawn_as_often_as_their_chances_say(algorithm: Any) -> None:
    bandit = Bandit(algorithm=algorithm, minimum=5).update(seen(80))
    asked = prompts(20_000, tasks=("research", "chat", None), start=1000)
    chances, plan = bandit.chances(asked, roster()), bandit.plan(asked, roster())
    drawn = np.bincount(plan.order[:, 0], minlength=3)
    spread = np.sqrt((chances * (1 - chances)).sum(axis=0))
    assert (np.abs(drawn - chances.sum(axis=0)) < 4 * spread).all()


def test_a_floor_that_leaves_nothing_to_choose_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"3 models with at least 0\.4 each are more than everything"):
        Bandit(floor=0.4).plan(prompts(1), roster())


def test_after_the_draw_come_the_others_by_what_is_expected_of_them() -> None:
    plan = Bandit().update(seen(300)).plan(prompts(400), roster())
    rest = {int(row[0]): row[1:].tolist() for row in plan.order}
    assert rest == {0: [1, 2], 1: [0, 2], 2: [0, 1]}


def test_thompsons_chance_is_that_of_being_the_best_under_the_posterior() -> None:
    tally = Tally(
        count=np.array([40.0, 12.0, 3.0]), total=np.array([30.0, 8.0, 1.0]), squares=np.array([28.0, 7.5, 1.0])
    )
    held, shape = 1 + tally.count, 1 + tally.count / 2
    plain = tally.total / tally.count
    scale = 0.25 + (tally.squares - tally.total**2 / tally.count) / 2 + tally.count * (plain - 0.5) ** 2 / (2 * held)
    rng = np.random.default_rng(1)
    drawn = tally.mean + np.sqrt(scale / (shape * held)) * rng.standard_t(2 * shape, size=(400_000, 3))
    often = np.bincount(drawn.argmax(axis=1), minlength=3) / 400_000
    assert np.abs(thompson(tally) - often).max() < 0.004


def test_equal_posteriors_have_equal_chances() -> None:
    np.testing.assert_allclose(thompson(Tally.empty(4)), 0.25, atol=1e-12)


def test_linucb_learns_which_model_is_good_at_which_task() -> None:
    rng = np.random.default_rng(0)
    outcomes = [
        Seen(prompt=p, model=m, quality=float(rng.random() < (0.9 if (m == "large") == (p.task == "code") else 0.3)))
        for p in prompts(400, tasks=("code", "chat"))
        for m in ("large", "small")
    ]
    bandit = Bandit(algorithm="linucb", floor=0.05).update(outcomes)
    asked = prompts(40, tasks=("code", "chat"), start=900)
    best = bandit.chances(asked, roster("large", "small")).argmax(axis=1)
    assert best.tolist() == [0, 1] * 20
    assert {bandit.plan(asked, roster("large", "small")).why(i) for i in range(40)} <= {
        "large: the highest bound, linucb after 800 outcomes",
        "small: the highest bound, linucb after 800 outcomes",
        "drawn by the floor of 0.05, linucb after 800 outcomes",
    }


# Track


def test_proportions_beat_every_other_share_and_meet_the_characteristic_time() -> None:
    mean, variance = np.array([0.7, 0.75, 0.6, 0.5]), np.array([0.21, 0.1875, 0.24, 0.25])

    def worth(w: Any) -> float:
        return min((mean[1] - mean[j]) ** 2 / (2 * (variance[1] / w[1] + variance[j] / w[j])) for j in (0, 2, 3))

    shares, needed = proportions(mean, variance)
    assert abs(shares.sum() - 1) < 1e-12
    assert abs(worth(shares) * needed - 1) < 1e-6
    rng = np.random.default_rng(0)
    near = [w / w.sum() for w in shares * np.exp(rng.normal(0, 0.1, size=(2000, 4)))]
    assert max(worth(w) for w in near) <= worth(shares) * (1 + 1e-9)


def test_two_models_share_by_their_standard_deviations() -> None:
    shares, needed = proportions(np.array([0.7, 0.75]), np.array([0.21, 0.1875]))
    sd = np.sqrt([0.21, 0.1875])
    np.testing.assert_allclose(shares, sd / sd.sum(), rtol=1e-6)
    assert abs(needed - 2 * (sd.sum() / 0.05) ** 2) < 0.1


def test_models_with_too_few_answers_are_tracked_first() -> None:
    tally = Tally.empty(3).plus(np.repeat([0, 1], 20), np.tile([1.0, 0.0], 20))
    assert track(tally, minimum=20).tolist() == [0, 0, 1]
    assert track(tally, minimum=30).tolist() == [1 / 3, 1 / 3, 1 / 3]


def test_a_new_model_is_explored_although_the_others_are_known() -> None:
    bandit = Bandit(algorithm="track").update(seen(200, names=("small", "local")))
    assert bandit.chances(prompts(1), roster()).argmax() == 0


# Learning


@pytest.mark.parametrize(
    ("algorithm", "discount"),
    [("thompson", 1.0), ("thompson", 0.95), ("linucb", 1.0), ("linucb", 0.95), ("track", 1.0)],
)
def test_learning_in_two_steps_is_learning_in_one(algorithm: Any, discount: float) -> None:
    fresh, outcomes = Bandit(algorithm=algorithm, discount=discount), seen(50)
    once, twice = fresh.update(outcomes), fresh.update(outcomes[:20]).update(outcomes[20:])
    assert once.outcomes == twice.outcomes == 50
    np.testing.assert_allclose(
        once.chances(prompts(30), roster()), twice.chances(prompts(30), roster()), rtol=0, atol=1e-9
    )


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_fitting_a_log_of_choices_is_learning_them_one_by_one(algorithm: Any) -> None:
    outcomes = seen(40)
    quality, cost = np.full((40, 3), np.nan), np.full((40, 3), np.nan)
    for i, one in enumerate(outcomes):
        quality[i, NAMES.index(one.model)] = one.quality
        cost[i, NAMES.index(one.model)] = np.nan if one.cost_usd is None else one.cost_usd
    log = Cube(prompts=[o.prompt for o in outcomes], models=NAMES, quality=quality, cost_usd=cost, latency_s=cost)
    bandit = Bandit(algorithm=algorithm, reward={"cost_weight": 10.0}, discount=1.0 if algorithm == "track" else 0.98)
    fitted, updated = bandit.update(seen(7, seed=9)).fit(log), bandit.update(outcomes)
    assert fitted.outcomes == 40
    np.testing.assert_allclose(fitted.chances(prompts(9), roster()), updated.chances(prompts(9), roster()), atol=1e-9)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cube:
    prompts: Any
    models: Any
    quality: Any
    cost_usd: Any
    latency_s: Any


def test_what_is_not_known_teaches_nothing() -> None:
    prompt = prompts(1)[0]
    unpriced = Seen(prompt=prompt, model="large", quality=1.0)
    unscored = Seen(prompt=prompt, model="large", quality=float("nan"), cost_usd=0.1)
    assert Bandit(reward={"cost_weight": 1.0}).update([unpriced, unscored]).outcomes == 0
    assert Bandit().update([unpriced, unscored]).outcomes == 1


def test_a_discount_forgets_what_is_old() -> None:
    old = [Seen(prompt=p, model="small", quality=1.0) for p in prompts(200)]
    new = [Seen(prompt=p, model="small", quality=0.0) for p in prompts(40)]
    keeps, forgets = (Bandit(discount=d).update(old).update(new).tally for d in (1.0, 0.9))
    assert keeps.plain_mean[0] == 200 / 240
    assert forgets.plain_mean[0] < 0.02
    assert abs(forgets.count[0] - 10) < 1e-9


def test_cost_counts_as_much_as_its_weight_says() -> None:
    outcomes = [
        Seen(prompt=p, model=m, quality=q, cost_usd=c)
        for p in prompts(300)
        for m, q, c in (("large", 0.9, 0.01), ("small", 0.8, 0.001))
    ]
    quality_first = Bandit().update(outcomes).chances(prompts(1), roster("large", "small"))[0]
    cost_first = Bandit(reward={"cost_weight": 20.0}).update(outcomes).chances(prompts(1), roster("large", "small"))[0]
    assert quality_first.argmax() == 0
    assert cost_first.argmax() == 1


def test_models_may_come_and_go_and_stand_in_any_order() -> None:
    bandit = Bandit().update(seen(200))
    here = bandit.chances(prompts(1), roster("large", "small", "local"))[0]
    there = bandit.chances(prompts(1), roster("local", "large", "small"))[0]
    np.testing.assert_allclose(here, there[[1, 2, 0]], atol=1e-9)
    assert bandit.chances(prompts(1), roster("large", "local", "newcomer")).shape == (1, 3)


# A value


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_posterior_is_part_of_the_config_and_of_its_fingerprint(algorithm: Any, tmp_path: Any) -> None:
    fresh = Bandit(algorithm=algorithm, reward={"cost_weight": 2.5})
    configs = [
        RouteConfig(name="a", models=NAMES, strategy=bandit)
        for bandit in (fresh, fresh.update(seen(30)), fresh.update(seen(31)))
    ]
    assert len({config.fingerprint for config in configs}) == 3
    for k, config in enumerate(configs):
        back = RouteConfig.from_yaml(config.to_yaml(tmp_path / f"{k}.yaml"))
        assert back == config
        assert back.fingerprint == config.fingerprint
        asked = prompts(50)
        assert np.array_equal(back.ranking.plan(asked, roster()).order, config.ranking.plan(asked, roster()).order)


def test_a_large_posterior_lies_in_a_file_beside_the_yaml(tmp_path: Any) -> None:
    many = prompts(80, tasks=tuple(f"task {i}" for i in range(40)))
    outcomes = [Seen(prompt=p, model=m, quality=float(i % 3 == 0)) for i, p in enumerate(many) for m in NAMES]
    config = RouteConfig(name="a", models=NAMES, strategy=Bandit(algorithm="linucb").update(outcomes))
    path = config.to_yaml(tmp_path / "a.yaml")
    assert (tmp_path / "a.npz").is_file()
    back = RouteConfig.from_yaml(path)
    assert back == config
    assert back.fingerprint == config.fingerprint
    there, here = back.ranking.plan(many, roster()), config.ranking.plan(many, roster())
    assert np.array_equal(there.order, here.order)
    assert np.array_equal(there.propensity, here.propensity)


def test_a_prompt_that_comes_again_after_learning_is_drawn_anew() -> None:
    one, asked = Bandit(floor=1 / 3), prompts(600)
    two = one.update(seen(1))
    first, second = (b.plan(asked, roster()).order[:, 0] for b in (one, two))
    assert abs(float((first == second).mean()) - 1 / 3) < 0.07


def test_spec_and_kind() -> None:
    assert kind_of(Bandit()) == "bandit"
    assert spec_of(Bandit()) == {"kind": "bandit"}
    assert strategy_of({"kind": "bandit", "reward": {"quality": 1, "cost_weight": 4}}) == Bandit(
        reward={"cost_weight": 4.0}
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"algorithm": "ucb"}, "algorithm: "),
        ({"floor": 0.0}, "floor: must be more than 0 and at most 0.5, not 0.0"),
        ({"discount": 1.5}, "discount: must be more than 0 and at most 1, not 1.5"),
        ({"reward": {"latency": 1.0}}, "reward.latency: unknown key; keys here: quality, cost_weight"),
        (
            {"reward": {"quality": 2.0}},
            "reward.quality: must be 1; cost_weight says what a dollar is worth in qualities",
        ),
        ({"algorithm": "track", "discount": 0.9}, "discount: track tells models apart that stay as they are"),
        ({"dimensions": 0}, "dimensions: must be at least 1, not 0"),
        ({"width": -1.0}, "width: must be a number of at least 0, not -1.0"),
        ({"learned": {"arrays": {"mean": [1.0]}}}, "learned: is not what a bandit learned"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        strategy_of({"kind": "bandit", **given})
    assert said in str(caught.value)


def test_what_was_learned_on_other_terms_is_refused() -> None:
    learned = Bandit().update(seen(10)).learned
    with pytest.raises(ValueError, match="learned: was learned with another reward"):
        Bandit(reward={"cost_weight": 1.0}, learned=learned)
    with pytest.raises(ValueError, match="learned: was learned with another sums"):
        Bandit(algorithm="linucb", learned=learned)
    assert Bandit(algorithm="track", learned=learned).outcomes == 10


PICKS = """
import json, sys
from routelab.core.values import Model, Prompt, Roster, Message, digest
from routelab.strategies import strategy_of
roster = Roster(models=tuple(Model(name=n, provider="p", upstream=n) for n in ("large", "small", "local")))
prompts = [Prompt(id=f"p{i}", messages=(Message(role="user", content=f"question {i}" * (i % 7)),), task=("a", "b", None)[i % 3]) for i in range(10_000)]
for spec in json.load(sys.stdin):
    plan = strategy_of(spec).plan(prompts, roster)
    print(digest(plan.order.tolist(), [float(p).hex() for p in plan.propensity]))
"""


def test_the_same_picks_in_every_process_and_under_every_hash_seed(elsewhere: Callable[..., str]) -> None:
    specs = [
        spec_of(Bandit(algorithm=algorithm, seed=5).update(seen(90)))  # type: ignore[arg-type]
        for algorithm in ALGORITHMS
    ]
    assert len(set(elsewhere(PICKS, json.dumps(specs)).split())) == 3


# Sums


def test_ridge_sums_come_back_from_their_triangles() -> None:
    rng = np.random.default_rng(0)
    ridge = Ridge.empty(2, 4).plus(rng.integers(0, 2, 20), rng.normal(size=(20, 4)), rng.random(20))
    back = Ridge.unpacked(ridge.packed, ridge.moment, ridge.count)
    assert np.allclose(back.gram, ridge.gram)
    assert np.array_equal(back.moment, ridge.moment)


def test_ridge_predicts_as_the_normal_equations_do() -> None:
    rng = np.random.default_rng(3)
    x, reward = np.concatenate([np.ones((50, 1)), rng.normal(size=(50, 3))], axis=1), rng.random(50)
    expected, width = Ridge.empty(1, 4).plus(np.zeros(50, dtype=int), x, reward).predict(x[:5], prior=0.5)
    theta = np.linalg.solve(np.eye(4) + x.T @ x, x.T @ (reward - 0.5))
    np.testing.assert_allclose(expected[:, 0], 0.5 + x[:5] @ theta)
    np.testing.assert_allclose(
        width[:, 0] ** 2, np.einsum("nd,de,ne->n", x[:5], np.linalg.inv(np.eye(4) + x.T @ x), x[:5])
    )


def test_features_grow_with_the_tasks_that_are_met_and_only_at_their_end() -> None:
    first = Features().met(prompts(2, tasks=("a", None)))
    more = first.met(prompts(2, tasks=("b", "a")))
    assert (first.tasks, more.tasks) == (("a",), ("a", "b"))
    one = [Prompt(id="x", messages=(Message(role="user", content="def f(): 1?"),), task="b")]
    assert more(one)[0].tolist() == [*first(one)[0].tolist(), 1.0]


def test_the_floor_lifts_everybody_and_keeps_the_order() -> None:
    assert with_floor(np.array([[1.0, 0.0]]), 0.1).tolist() == [[0.9, 0.1]]
    assert with_floor(np.array([0.5, 0.5]), 0.5).tolist() == [0.5, 0.5]
