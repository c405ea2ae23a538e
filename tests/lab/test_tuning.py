"""Arms at a setting against replays of the same config: the same picks, means and verdicts, on tune and on confirm."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from routelab.config import RouteConfig
from routelab.core.errors import ConfigError, DataError
from routelab.core.plan import NOBODY
from routelab.core.values import Message
from routelab.lab.outcomes import Outcomes
from routelab.lab.replay import replay
from routelab.lab.sweep import scan
from routelab.lab.tuning import Field, Tuned, confirmed, field_of, prepared, shares, standard, steps
from routelab.lab.walk import ARRAYS, Walked
from routelab.strategies import Arbitrage, Cascade, Fixed, Rules, Semantic, Split

LEXICAL = {"kind": "lexical"}
N = 260
SAID = {
    "sums": "add {} and twelve please",
    "songs": "sing of the river number {}",
    "code": "write function {} in python",
}


@pytest.fixture(scope="module")
def outcomes(cube: Callable[..., Outcomes]) -> Outcomes:
    """Three models, the cheapest good at sums only, the dearest good at all; two gates, texts, groups, and some failures."""
    rng = np.random.default_rng(3)
    tasks = [("sums", "songs", "code")[i % 3] for i in range(N)]
    rate = np.array([[0.9, 0.9, 0.95] if t == "sums" else [0.3, 0.7, 0.95] for t in tasks])
    quality = (rng.random((N, 3)) < rate).astype(float)
    failed = rng.random((N, 3)) < 0.03
    score = np.round(np.clip(0.2 + 0.6 * quality + rng.normal(0, 0.15, (N, 3)), 0, 1), 3)
    second = np.round(rng.random((N, 3)), 2)
    made = cube(
        quality,
        failed=failed,
        tasks=tasks,
        groups=[f"g{i // 2}" for i in range(N)],
        cost_usd=rng.lognormal(0, 0.3, (N, 3)) * [0.0001, 0.001, 0.01],
        latency_s=rng.lognormal(0, 0.3, (N, 3)),
        models=("low", "mid", "top"),
        gates={"judge": np.where(failed, np.nan, score), "other": np.where(failed, np.nan, second)},
        dataset="made",
    )
    prompts = tuple(
        dataclasses.replace(p, messages=(Message(role="user", content=SAID[str(p.task)].format(i)),))
        for i, p in enumerate(made.prompts)
    )
    return dataclasses.replace(
        made, prompts=prompts, texts=lambda prompt, model: f"{model} says {ord(prompt[-1]) % 7} because of {prompt}"
    )


def config(strategy: Any, models: tuple[str, ...] = ()) -> RouteConfig:
    return RouteConfig(
        name="arm", models=models or getattr(strategy, "models", ()) or ("low", "mid", "top"), strategy=strategy
    )


ROUTES = {
    task: {"models": models} for task, models in (("sums", ["low", "top"]), ("songs", ["mid"]), ("code", ["top"]))
}
ARMS: dict[str, RouteConfig] = {
    "min_quality": config(Arbitrage(predictor={"kind": "lookup", "tasks": "given"}, min_quality=0.8)),
    "text": config(Arbitrage(predictor="cluster", min_quality=0.7, embedder=LEXICAL)),
    "lambda": config(Arbitrage(predictor={"kind": "lookup", "tasks": "given"}, cost_weight=20.0)),
    "fallbacks": dataclasses.replace(
        config(Arbitrage(predictor={"kind": "lookup", "tasks": "given"}, min_quality=0.8)), fallbacks={"low": ["mid"]}
    ),
    "bar": config(Cascade(order=("low", "top"), gate={"recorded": "judge", "at_least": 0.6})),
    "by cost": config(Cascade(gate={"recorded": "judge", "at_least": 0.6}), ("low", "mid", "top")),
    "bars": config(
        Cascade(order=("low", "mid", "top"), gate={"recorded": "judge", "at_least": {"low": 0.6, "mid": 0.3}})
    ),
    "fitted bars": config(Cascade(order=("low", "mid", "top"), gate={"recorded": "judge", "at_least": "fit"})),
    "learned": config(Cascade(order=("low", "top"), gate={"scorer": "learned", "at_least": 0.5})),
    "both": config(
        Cascade(
            order=("low", "top"),
            gate={"all": [{"recorded": "judge", "at_least": 0.5}, {"recorded": "other", "at_least": 0.3}]},
        )
    ),
    "two shares": config(Split(weights={"low": 1.0, "top": 3.0})),
    "three shares": config(Split(weights={"low": 0.2, "mid": 0.2, "top": 0.6}, seed=5)),
    "semantic": config(Semantic(routes=ROUTES, default=("mid",), vote="centroid", embedder=LEXICAL)),
    "reject": config(Semantic(routes=ROUTES, default=("mid",), vote="centroid", embedder=LEXICAL, reject=0.1)),
    "fixed": config(Fixed(model="mid")),
    "rules": config(Rules(table={"sums": ("low",)}, default=("top",), patterns={}, tasks="given")),
}
KNOBS = {
    "min_quality": ("min_quality",),
    "text": ("min_quality",),
    "lambda": ("cost_weight",),
    "fallbacks": ("min_quality",),
    "bar": ("gate.at_least",),
    "by cost": ("gate.at_least",),
    "bars": ("gate.at_least.low", "gate.at_least.mid"),
    "fitted bars": ("gate.at_least.low", "gate.at_least.mid"),
    "learned": ("gate.at_least",),
    "both": ("gate.all.0.at_least", "gate.all.1.at_least"),
    "two shares": ("weights.top",),
    "three shares": ("weights.low", "weights.mid", "weights.top"),
    "semantic": ("threshold",),
    "reject": ("threshold",),
    "fixed": (),
    "rules": (),
}


@pytest.fixture(scope="module")
def place(outcomes: Outcomes) -> Field:
    return field_of(outcomes, ARMS)


@pytest.fixture(scope="module")
def tuned(place: Field) -> Callable[[str], Tuned]:
    held: dict[str, Tuned] = {}

    def by_name(name: str) -> Tuned:
        if name not in held:
            held[name] = prepared(name, ARMS[name], place)
        return held[name]

    return by_name


def same(one: Walked, other: Walked) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True) for name in ARRAYS)


def some(arm: Tuned) -> list[dict[str, float]]:
    """The given setting, the ends of all knobs at once, and a few in between."""
    rng = np.random.default_rng(1)
    ends = [{k.key: k.values[at] for k in arm.knobs} for at in ((0, -1) if arm.knobs else ())]
    drawn = [{k.key: float(rng.choice(k.values)) for k in arm.knobs} for _ in range(3 if arm.knobs else 0)]
    return [dict(arm.start), *(s for s in [*ends, *drawn] if not (s and max(s.values()) == 0 and "weights" in min(s)))]


@pytest.mark.parametrize("name", ARMS)
def test_an_arm_has_the_knobs_that_its_strategy_has_and_stands_where_it_was_given(
    name: str, tuned: Callable[[str], Tuned]
) -> None:
    arm = tuned(name)
    assert tuple(k.key for k in arm.knobs) == KNOBS[name]
    assert all(k.start in k.values and list(k.values) == sorted(set(k.values)) for k in arm.knobs)
    assert all(2 <= len(k.values) <= 130 for k in arm.knobs)
    if name not in ("fitted bars", "reject", "two shares", "three shares", "semantic"):
        assert arm.at(arm.start) == dataclasses.replace(ARMS[name], name=name)


@pytest.mark.parametrize("name", ARMS)
def test_every_setting_does_on_tune_and_on_confirm_what_its_replay_does(
    name: str, tuned: Callable[[str], Tuned], place: Field, outcomes: Outcomes
) -> None:
    arm = tuned(name)
    for setting in some(arm):
        wanted = replay(outcomes, {name: arm.at(setting)})
        tune = wanted.arms[0].tune
        assert tune is not None
        assert same(arm.walk(setting), tune), setting
        found = confirmed(arm, setting, place)
        assert found.frame.equals(wanted.frame)
        assert found.why == wanted.why
        assert same(found.arms[0].walked, wanted.arms[0].walked)


@pytest.mark.parametrize("name", [name for name, keys in KNOBS.items() if keys])
def test_a_curve_is_the_means_of_the_walks_at_its_positions(name: str, tuned: Callable[[str], Tuned]) -> None:
    arm = tuned(name)
    for knob in arm.knobs:
        curve = arm.curve(knob, arm.start)
        for k in (0, len(knob.values) // 2, -1):
            walk = arm.walk({**arm.start, knob.key: knob.values[k]})
            assert curve.quality[k] == pytest.approx(np.nanmean(walk.quality), rel=1e-12)
            assert curve.cost_usd[k] == pytest.approx(np.nanmean(walk.cost_usd), rel=1e-12)


def test_the_means_are_those_that_a_sweep_over_the_same_values_finds_on_tune(
    tuned: Callable[[str], Tuned], outcomes: Outcomes
) -> None:
    arm = tuned("min_quality")
    values = arm.knobs[0].values
    found = scan(outcomes, arm.at(arm.start), {"strategy.min_quality": list(values)})
    costs = dict(zip(found.frame["strategy.min_quality"], found.frame["tune_cost_usd"], strict=True))
    curve = arm.curve(arm.knobs[0], arm.start)
    assert curve.cost_usd == pytest.approx([costs[v] for v in values], rel=1e-9)


def test_figures_on_tune_are_those_of_a_replay_of_the_tune_prompts(place: Field, tuned: Callable[[str], Tuned]) -> None:
    arm = tuned("bar")
    found = place.read("bar", arm.walk(arm.start))
    wanted = replay(place.tune, {"bar": arm.at(arm.start)}, confirm=0, baseline="top")
    assert place.baseline.config == "top"
    one, other = found.arms[0].figures, wanted.arms[0].figures
    assert (one.quality, one.cost_usd, one.cost_ratio, one.against) == (
        other.quality,
        other.cost_usd,
        other.cost_ratio,
        other.against,
    )
    assert found.winner() is None


def test_at_a_position_above_every_score_a_cascade_never_accepts(tuned: Callable[[str], Tuned]) -> None:
    arm = tuned("bar")
    last = arm.walk({"gate.at_least": arm.knobs[0].values[-1]})
    assert set(last.model.tolist()) <= {2, NOBODY, 0}
    assert (last.attempts == 2).all()


def test_shares_of_two_models_add_up_and_equal_weights_of_none_are_refused(tuned: Callable[[str], Tuned]) -> None:
    two, three = tuned("two shares"), tuned("three shares")
    assert two.start == {"weights.top": 0.75}
    assert dict(two.at({"weights.top": 0.3}).ranking.weights) == {"low": 0.7, "top": 0.3}  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="at least one must be more than 0"):
        three.at(dict.fromkeys(KNOBS["three shares"], 0.0))


def test_an_arm_that_was_fitted_before_is_judged_as_it_is_and_says_that_tune_may_flatter_it(
    place: Field, outcomes: Outcomes
) -> None:
    taught = Arbitrage(predictor={"kind": "lookup", "tasks": "given"}, min_quality=0.8).fit(outcomes)
    arm = prepared("taught", config(taught), place)
    assert arm.in_sample
    assert same(arm.walk(arm.start), replay(outcomes, {"taught": config(taught)}).arms[0].tune)  # type: ignore[arg-type]
    assert not prepared("fixed", ARMS["fixed"], place).in_sample


def test_the_baseline_may_be_one_of_the_arms_and_is_kept_as_it_was_given(outcomes: Outcomes) -> None:
    place = field_of(outcomes, ARMS, baseline="bar")
    arm = prepared("bar", ARMS["bar"], place)
    found = confirmed(arm, {"gate.at_least": 0.3}, place)
    assert [a.name for a in found.arms] == ["bar (tuned)"]
    wanted = replay(outcomes, {"bar": ARMS["bar"], "bar (tuned)": arm.at({"gate.at_least": 0.3})}, baseline="bar")
    assert found.arms[0].figures.against == wanted["bar (tuned)"].figures.against
    assert found.baseline.figures.quality == wanted.baseline.figures.quality


def test_the_work_comes_in_pieces_one_a_fold_and_the_arm_last(place: Field) -> None:
    made = list(steps("min_quality", ARMS["min_quality"], place))
    assert made[:-1] == [None] * len(place.halves.folds)
    assert isinstance(made[-1], Tuned)


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        (config(Fixed(model="lwo")), "'lwo' has no recorded outcomes"),
        (config(Cascade(order=("low", "top"), gate={"recorded": "jugde", "at_least": 0.5})), "'jugde'"),
    ],
)
def test_an_arm_that_cannot_be_replayed_says_so_in_one_line(arm: RouteConfig, message: str, place: Field) -> None:
    with pytest.raises((ConfigError, DataError), match=message):
        prepared("arm", arm, place)


def test_without_a_confirm_split_there_are_figures_and_nothing_to_confirm(outcomes: Outcomes) -> None:
    place = field_of(outcomes, {}, confirm=0.0)
    arm = prepared("bar", ARMS["bar"], place)
    assert len(arm.walk(arm.start)) == len(outcomes)
    with pytest.raises(ConfigError, match="no confirm split"):
        confirmed(arm, arm.start, place)


def test_logged_choices_are_refused(cube: Callable[..., Outcomes]) -> None:
    quality = np.where(np.arange(40)[:, None] % 2 == [0, 1], 1.0, np.nan)
    with pytest.raises(DataError, match="each prompt met one model only"):
        field_of(cube(quality, cost_usd=np.where(np.isnan(quality), np.nan, 1.0)), {})


def test_the_shares_of_the_models_that_answered_leave_out_nobody(place: Field, tuned: Callable[[str], Tuned]) -> None:
    walk = tuned("fixed").walk({})
    assert shares(walk, place.tune.models) == {"mid": pytest.approx((walk.model == 1).mean())}


def test_standard_arms_are_those_that_the_outcomes_allow(outcomes: Outcomes, cube: Callable[..., Outcomes]) -> None:
    assert list(standard(outcomes)) == [
        "by task",
        "cascade on judge",
        "cascade on other",
        "random mix",
        "by text",
        "cascade, learned gate",
        "top",
        "low",
    ]
    bare = cube(np.ones((9, 1)))
    assert list(standard(bare)) == ["a"]
    unpriced = cube(np.tile([1.0, 0.0], (9, 1)))
    assert list(standard(unpriced)) == ["by text", "a"]
    with pytest.raises(DataError, match="no quality"):
        standard(cube(np.full((4, 2), np.nan)))
