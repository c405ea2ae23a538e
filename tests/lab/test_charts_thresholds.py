"""Curves over a threshold: each value is what a walk with it does, and the chart says which one was chosen."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.config import RouteConfig
from routelab.core.errors import ConfigError
from routelab.core.plan import Plan
from routelab.core.values import Prompt, Roster
from routelab.lab.charts import chart
from routelab.lab.charts.curve import curve, turning_of
from routelab.lab.charts.thresholds import rows_of
from routelab.lab.compare import against, figures_of
from routelab.lab.controls import single
from routelab.lab.outcomes import Judgements, Outcomes
from routelab.lab.replay import planned, replay, walked
from routelab.lab.walk import ARRAYS, Walked
from routelab.strategies import Cascade, Fixed, Split
from routelab.strategies.fitting.thresholds import Thresholds
from routelab.strategies.fitting.thresholds import thresholds as family_of

Cube = Callable[..., Outcomes]
N = 60


@dataclass(frozen=True)
class Foretold:
    """Predict what the prompts' numbers say, and ask the cheapest model that is predicted to reach `min_quality`."""

    min_quality: float = 0.6
    learned_on: int = 0
    blank: bool = False

    @property
    def knob(self) -> str:
        return "min_quality"

    def family(self, prompts: Sequence[Prompt], roster: Roster) -> Thresholds:
        at = np.array([int(p.id[1:]) for p in prompts]) + self.learned_on
        found = at[:, None] * np.array([7, 13, 29]) % 97 / 97
        found[at % 5 == 0] = np.nan if self.blank else found[at % 5 == 0]
        return family_of(found, np.arange(1.0, len(roster) + 1))

    def plan(self, prompts: Sequence[Prompt], roster: Roster) -> Plan:
        return self.family(prompts, roster).plan(self.min_quality)


@dataclass(frozen=True)
class Weighed(Foretold):
    """The same under a knob that has no bounds."""

    cost_weight: float = 0.5

    @property
    def knob(self) -> str:
        return "cost_weight"

    def plan(self, prompts: Sequence[Prompt], roster: Roster) -> Plan:
        return self.family(prompts, roster).plan(self.cost_weight)


def made(cube: Cube, n: int = N, **given: Any) -> Outcomes:
    rng = np.random.default_rng(3)
    quality = (rng.random((n, 3)) < np.array([0.4, 0.6, 0.9])).astype(float)
    failed = rng.random((n, 3)) < 0.05
    cost = rng.lognormal(0, 0.3, (n, 3)) * np.array([0.001, 0.004, 0.02])
    latency = rng.lognormal(0, 0.3, (n, 3))
    score = np.where(failed, np.nan, np.round(np.clip(0.5 * quality + 0.5 * rng.random((n, 3)), 0, 1), 2))
    values: dict[str, Any] = {"cost_usd": cost, "latency_s": latency, "failed": failed, "models": ("s", "m", "l")}
    outcomes = cube(quality, **{**values, **given})
    judged = Judgements(score=score, cost_usd=np.full((n, 3), 1e-4), latency_s=np.full((n, 3), 0.2))
    return dataclasses.replace(outcomes, gates={"g": judged})


def gated(at_least: Any = 0.7, order: tuple[str, ...] = ("s", "m", "l")) -> RouteConfig:
    return RouteConfig(
        name="gated",
        models=("s", "m", "l"),
        strategy=Cascade(gate={"recorded": "g", "at_least": at_least}, order=order),
        fallbacks={"m": ("l",)} if "l" not in order else {},
    )


def alike(one: Walked, other: Walked) -> bool:
    return all(
        np.allclose(getattr(one, name), getattr(other, name), rtol=1e-12, atol=1e-15, equal_nan=True) for name in ARRAYS
    )


@pytest.mark.parametrize("order", [("s", "m", "l"), ("s", "m"), ("m", "s", "l")])
@pytest.mark.parametrize("value", [0.0, 0.31, 0.5, 0.75, 0.99, 1.0])
def test_a_bar_on_the_curve_is_a_walk_behind_that_bar(cube: Cube, order: tuple[str, ...], value: float) -> None:
    outcomes = made(cube)
    knob = turning_of(gated(order=order), outcomes)
    assert knob is not None
    assert (knob.knob.key, knob.knob.start, knob.others) == ("gate.at_least", 0.7, ())
    assert alike(knob.walk(value), walked("", gated(value, order), outcomes, planned))


@pytest.mark.parametrize(
    "arm", [Foretold(), RouteConfig(name="f", models=("s", "m", "l"), strategy=Foretold()), Foretold(blank=True)]
)
@pytest.mark.parametrize("value", [0.0, 0.4, 0.6, 1.0])
def test_a_knob_on_the_curve_is_a_walk_with_that_knob(cube: Cube, arm: Any, value: float) -> None:
    outcomes = made(cube)
    knob = turning_of(arm, outcomes)
    assert knob is not None
    assert (knob.knob.key, knob.knob.start) == ("min_quality", 0.6)
    config = isinstance(arm, RouteConfig)
    turned = dataclasses.replace(arm, **({"strategy": Foretold(value)} if config else {"min_quality": value}))
    assert alike(knob.walk(value), walked("", turned, outcomes, planned))


@given(value=st.floats(0, 1))
def test_values_of_equal_marks_decide_every_prompt_alike(cube: Cube, value: float) -> None:
    outcomes = made(cube)
    for arm in (Foretold(), gated()):
        knob = turning_of(arm, outcomes)
        assert knob is not None
        one, other = knob.marks(np.array([value, 0.5]))
        assert one != other or alike(knob.walk(value), knob.walk(0.5))


def test_every_figure_is_the_one_that_a_comparison_has(cube: Cube) -> None:
    outcomes = made(cube, groups=[f"g{i // 3}" for i in range(N)])
    held = curve(gated(), outcomes, [0.2, 0.7])
    base = single(outcomes, 2)
    walk = walked("", gated(0.7), outcomes, planned)
    terms: Any = {"margin": 0.02, "clusters": outcomes.clusters}
    told = against(figures_of(walk), (walk.quality, walk.cost_usd), (base.quality, base.cost_usd), **terms)
    assert told.against is not None
    assert told.cost_ratio is not None
    d = told.against.difference
    assert (held.delta[1], held.delta_low[1], held.delta_high[1]) == (d.value, d.low, d.high)
    ratio = told.cost_ratio
    assert (held.ratio[1], held.ratio_low[1], held.ratio_high[1]) == (ratio.value, ratio.low, ratio.high)
    assert (held.n, held.strongest, held.models) == (N, "l", ("s", "m", "l"))
    assert held.quality[1] == walk.quality.mean()
    assert held.cost_usd[1] == pytest.approx(walk.cost_usd.mean())
    assert held.strong_share[1] == (walk.model == 2).mean()
    assert held.base_quality == base.quality.mean()
    assert (held.low[1], held.high[1]) == pytest.approx((base.quality.mean() + d.low, base.quality.mean() + d.high))
    assert held.shares.sum(axis=1) + (walk.model < 0).mean() == pytest.approx(1, abs=0.1)


def test_the_arms_own_value_is_among_those_worth_a_look(cube: Cube) -> None:
    held = curve(Foretold(0.123456), made(cube))
    assert 90 <= len(held.values) <= 102
    assert held.values[held.nearest(0.123456)] == held.chosen == 0.123456


def test_a_knob_without_bounds_is_looked_at_where_decisions_change(cube: Cube) -> None:
    outcomes = made(cube)
    knob = turning_of(Weighed(), outcomes)
    assert knob is not None
    marks = knob.marks(knob.values)
    assert (marks[0], marks[-1]) == tuple(knob.marks(np.array([0, 1e9])))
    assert len(np.unique(marks)) > 20


def test_over_what_an_arm_learned_from_each_prompt_is_decided_by_a_version_that_did_not_see_it(cube: Cube) -> None:
    outcomes = made(cube)
    first = np.arange(N) < 20
    parts = [(first, Foretold(0.5, learned_on=1)), (~first, Foretold(0.5, learned_on=2))]
    knob = turning_of(Foretold(0.5), outcomes, versions=parts)
    assert knob is not None
    walks = [
        walked("", Foretold(0.3, learned_on=k), outcomes.take(rows), planned)
        for k, rows in enumerate((first, ~first), 1)
    ]
    assert np.array_equal(knob.walk(0.3).model, np.concatenate([w.model for w in walks]))
    assert curve(Foretold(0.5), outcomes, [0.3], versions=parts).n == N


@pytest.mark.parametrize(
    "arm",
    [
        Fixed(model="s"),
        RouteConfig(name="f", models=("s",), strategy={"kind": "fixed", "model": "s"}),
    ],
)
def test_an_arm_without_a_threshold_says_so(cube: Cube, arm: Any) -> None:
    assert turning_of(arm, made(cube)) is None
    with pytest.raises(ConfigError, match="this strategy has no threshold"):
        curve(arm, made(cube))


def test_the_chart_marks_the_value_that_was_chosen(cube: Cube) -> None:
    comparison = replay(made(cube, n=200), {"one": Fixed(model="m"), "gated": gated()}, confirm=0.4)
    drawn = chart("thresholds", comparison)
    assert drawn.title == "Quality and cost by threshold of gated"
    figure: Any = drawn.figure
    assert [s.x0 for s in figure.layout.shapes] == [0.7]
    assert [a.text for a in figure.layout.annotations] == [
        "chosen: 0.7",
        "quality (dashed: the baseline)",
        "cost ÷ the baseline's cost",
        "share answered by l",
    ]
    marks = [t for t in figure.data if t.mode == "markers"]
    arm = comparison["gated"]
    assert arm.figures.quality is not None
    assert arm.figures.cost_ratio is not None
    assert [t.x[0] for t in marks] == [0.7] * 3
    assert [t.y[0] for t in marks[:2]] == pytest.approx([100 * arm.figures.quality.value, arm.figures.cost_ratio.value])
    assert [t.yaxis for t in marks] == ["y", "y2", "y3"]
    chosen = [row for row in drawn.table.rows if row[0].endswith("← chosen")]
    assert len(chosen) == 1
    assert len(drawn.table.rows) in (21, 22)
    assert "95 % of the paired difference from best-single" in drawn.caption
    assert "whoever chooses by this chart has seen the prompts reported" in drawn.caption


def test_without_costs_there_is_no_panel_of_costs(cube: Cube) -> None:
    comparison = replay(made(cube, cost_usd=np.nan), {"f": Foretold()}, confirm=0)
    drawn = chart("thresholds", comparison)
    assert {t.yaxis for t in drawn.figure.data} == {"y", "y2"}
    assert {row[3:5] for row in drawn.table.rows} == {("?", "?")}


def test_of_several_bars_one_moves_and_the_others_stay(cube: Cube) -> None:
    outcomes = made(cube)
    comparison = replay(outcomes, {"g": gated({"s": 0.9, "m": 0.6})}, confirm=0)
    drawn = chart("thresholds", comparison)
    assert "as they are: gate.at_least.m" in drawn.caption
    assert [s.x0 for s in drawn.figure.layout.shapes] == [0.9]
    other = chart("thresholds", comparison, arm="g", knob="gate.at_least.m")
    assert [s.x0 for s in other.figure.layout.shapes] == [0.6]
    turned = turning_of(gated({"s": 0.9, "m": 0.6}), outcomes, "gate.at_least.m")
    assert turned is not None
    assert alike(turned.walk(0.2), walked("", gated({"s": 0.9, "m": 0.2}), outcomes, planned))
    with pytest.raises(ConfigError, match=r"this arm has no 'gate\.at_least\.l'; did you mean"):
        chart("thresholds", comparison, arm="g", knob="gate.at_least.l")


def test_the_shares_of_a_split_are_a_knob_too(cube: Cube) -> None:
    drawn = chart("thresholds", replay(made(cube), {"half": Split(weights={"s": 1, "l": 1})}, confirm=0))
    assert drawn.figure.layout.annotations[0].text == "chosen: 50 %"
    assert drawn.table.rows[0][0] == "0 %"
    assert drawn.table.rows[-1][5] == "96.7 %"  # two of 60 failed


def test_a_named_arm_without_a_threshold_is_an_error_and_no_arm_with_one_an_empty_chart(cube: Cube) -> None:
    comparison = replay(made(cube), {"one": Fixed(model="m")}, confirm=0)
    with pytest.raises(ConfigError, match="chart 'thresholds': arm 'one' has no threshold"):
        chart("thresholds", comparison, arm="one")
    drawn = chart("thresholds", comparison)
    assert drawn.table.rows[0][0] == "no arm of this comparison has a threshold over recorded outcomes"


def test_a_table_keeps_evenly_spaced_values_and_the_chosen_one(cube: Cube) -> None:
    held = curve(Foretold(0.333), made(cube))
    kept = rows_of(held, 5)
    assert (kept[0], kept[-1], len(kept)) == (0, len(held.values) - 1, 6)
    assert held.nearest(0.333) in kept
