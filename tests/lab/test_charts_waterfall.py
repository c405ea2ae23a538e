"""The waterfall of savings: every step's sum, what cannot be told apart, and costs that are not known."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
from charted import NOON, compared, live, said
from hypothesis import given
from hypothesis import strategies as st

from routelab.core.errors import UnavailableError
from routelab.core.events import Answered, Compacted, Event, Recalled, Retrieved, Routed, Scored, Unanswered
from routelab.core.run import Run
from routelab.core.values import Message, Prompt
from routelab.lab.charts import chart
from routelab.lab.charts.listprice import Listed, listed
from routelab.lab.charts.savings import Savings, savings
from routelab.lab.choices import Choices
from routelab.lab.outcomes import Outcomes
from routelab.lab.replay import replay
from routelab.strategies import Cascade, Fixed

Cube = Callable[..., Outcomes]


def compacted(policy: str, before: int | None, after: int | None, i: int) -> Compacted:
    messages = (Message(role="user", content=f"{policy} {i}"),)
    return Compacted(policy=policy, messages=messages, tokens_before=before, tokens_after=after)


def steps(held: Savings) -> dict[str, float]:
    return {s.name: s.usd for s in held.steps}


def whole(held: Savings) -> bool:
    assert held.total is not None
    found = math.fsum(s.usd for s in held.steps)
    alike = math.isclose(found, held.total.value, rel_tol=1e-9, abs_tol=1e-12)
    return alike and math.isclose(held.base_usd + found, held.arm_usd, rel_tol=1e-9, abs_tol=1e-12)


BASE = [[said("large")] for _ in range(4)]
LARGE, SMALL = 100e-5 + 50 * 4e-5, 100e-6 + 50 * 2e-6


def test_a_replay_knows_routing_what_a_gate_refused_and_judging(cube: Cube) -> None:
    n = 40
    quality = np.ones((n, 2))
    score = np.array([[0.9, 1.0] if i % 4 else [0.1, 1.0] for i in range(n)])
    outcomes = cube(quality, cost_usd=[0.001, 0.01], gates={"g": score}, models=("small", "large"))
    priced = dataclasses.replace(outcomes.gates["g"], cost_usd=np.full((n, 2), 0.0002))
    outcomes = dataclasses.replace(outcomes, gates={"g": priced})
    cascade = Cascade(gate={"recorded": "g", "at_least": 0.5}, order=("small", "large"))
    held = savings(replay(outcomes, {"cascade": cascade}, confirm=0, baseline="large"))
    assert (held.arm, held.n, held.unknown, held.unseparated) == ("cascade", n, 0, ())
    assert steps(held) == pytest.approx({"routing": -0.75 * 9.0, "refused answers": 0.25 * 1.0, "judging": 0.2})
    assert [s.prompts for s in held.steps] == [30, 10, 40]
    assert (held.base_usd, held.arm_usd) == pytest.approx((10.0, 3.7))
    assert held.total is not None
    assert held.total.value == pytest.approx(-6.3)
    assert whole(held)


def test_the_interval_is_that_of_the_ratio_of_costs(cube: Cube) -> None:
    comparison = compared(cube)
    held = savings(comparison, "by-task")
    ratio = comparison["by-task"].figures.cost_ratio
    assert ratio is not None
    assert ratio.low is not None
    assert ratio.high is not None
    assert held.total is not None
    assert (held.total.low, held.total.high) == (held.base_usd * (ratio.low - 1), held.base_usd * (ratio.high - 1))
    assert held.total.value == pytest.approx(held.base_usd * (ratio.value - 1))


def test_a_failure_that_costs_nothing_is_no_saving_by_routing(cube: Cube) -> None:
    failed = np.zeros((20, 2), dtype=bool)
    failed[0, 0] = True
    cost = np.tile([0.001, 0.01], (20, 1))
    cost[0, 0] = 0.0
    outcomes = cube(np.ones((20, 2)), cost_usd=cost, failed=failed, models=("small", "large"))
    held = savings(replay(outcomes, {"s": Fixed(model="small")}, confirm=0, baseline="large"))
    assert steps(held) == pytest.approx({"routing": -19 * 0.009 * 50, "no answer": -0.01 * 50})


def test_costs_that_are_not_known_are_left_out_and_said(cube: Cube) -> None:
    cost = np.tile([0.001, 0.01], (20, 1))
    cost[3, 0] = np.nan
    comparison = replay(
        cube(np.ones((20, 2)), cost_usd=cost, models=("small", "large")),
        {"s": Fixed(model="small")},
        confirm=0,
        baseline="large",
    )
    held = savings(comparison)
    assert (held.n, held.unknown) == (19, 1)
    assert held.total is not None
    assert held.total.interval is None
    drawn = chart("waterfall", comparison)
    assert "costs not known for 1 prompt, which is left out" in drawn.caption
    assert "no interval" in drawn.caption


def test_without_any_cost_nothing_is_drawn_and_that_is_said(cube: Cube) -> None:
    comparison = replay(cube(np.ones((20, 2))), {"s": Fixed(model="a")}, confirm=0, baseline="b")
    drawn = chart("waterfall", comparison)
    assert savings(comparison).total is None
    assert "no prompt whose cost is known for both; costs not known for 20 prompts" in drawn.caption
    assert {row[1] for row in drawn.table.rows} == {"?"}


def test_the_same_messages_to_another_model_are_routing() -> None:
    held = savings(live(large=BASE, cheap=[[said("small")]] * 4))
    assert steps(held) == pytest.approx({"routing": 1000 * (SMALL - LARGE)})
    assert whole(held)


def test_a_cache_saves_what_its_answer_cost_when_it_was_first_given() -> None:
    hit = Recalled(cache="exact", key="k", text="x", model="small", source_run="cheap-0")
    held = savings(live(large=BASE, cheap=[[said("small")], [hit], [hit], [hit]]))
    assert steps(held) == pytest.approx({"routing": 1000 * (SMALL - LARGE), "cache": -750 * SMALL})
    assert [s.prompts for s in held.steps] == [4, 3]
    assert whole(held)


def test_a_cached_answer_from_elsewhere_is_not_separated() -> None:
    hit = Recalled(cache="exact", key="k", text="x", model="small", source_run="yesterday")
    comparison = live(large=BASE, cheap=[[said("small")], [said("small")], [hit], [hit]])
    held = savings(comparison)
    assert steps(held) == pytest.approx({"routing": 500 * (SMALL - LARGE), "not separated": -500 * LARGE})
    assert held.unseparated == (("a cached answer's first cost is not among these runs", 2),)
    assert "not separated on 2 prompts: a cached answer's first cost" in chart("waterfall", comparison).caption
    assert whole(held)


def test_judges_refused_answers_and_failed_calls_are_additions() -> None:
    routed = Routed(strategy="cascade", order=("small", "large"), reason="r")
    refused = Scored(scorer="judge", quality=0.1, model="small", accepted=False, at_least=0.5, cost_usd=0.001)
    broken = Unanswered(model="small", provider="p", error="E", message="m", retry=True, text="half", cost_usd=0.0005)
    rows: list[list[Event]] = [[routed, broken, said("small"), refused, said("large", attempt=3)]] * 4
    held = savings(live(large=BASE, gated=rows))
    assert steps(held) == pytest.approx({"refused answers": 1000 * SMALL, "failed calls": 0.5, "judging": 1.0})
    assert whole(held)


def test_context_and_prompt_are_their_tokens_at_the_models_price() -> None:
    rows: list[list[Event]] = [
        [compacted("system", 100, 120, i), compacted("window", 120, 40 + i, i), said("small", 40 + i, 50 + i * i)]
        for i in range(4)
    ]
    held = savings(live(large=BASE, thin=rows))
    left_out = sum(120 - 40 - i for i in range(4)) / 4
    assert steps(held) == pytest.approx(
        {
            "routing": 1000 * (sum((100) * 1e-6 + (50 + i * i) * 2e-6 for i in range(4)) / 4 - LARGE),
            "context": -1000 * left_out * 1e-6,
            "prompt": 1000 * 20 * 1e-6,
        }
    )
    assert whole(held)


def test_what_was_changed_together_and_not_counted_is_one_step() -> None:
    rows: list[list[Event]] = [[compacted("system", None, None, i), said("small")] for i in range(4)]
    held = savings(live(large=BASE, thin=rows))
    assert steps(held) == pytest.approx({"not separated": 1000 * (SMALL - LARGE)})
    assert held.unseparated == (("routing and prompt changed together, and their tokens were not counted", 4),)
    alone: list[list[Event]] = [[compacted("system", None, None, i), said("large", 90)] for i in range(4)]
    assert steps(savings(live(large=BASE, thin=alone))) == pytest.approx({"prompt": -1000 * 10 * 1e-5})
    found: list[list[Event]] = [
        [Retrieved(corpus="c", chunks=("x",), messages=(Message(role="user", content=f"x {i}"),)), said("large", 200)]
        for i in range(4)
    ]
    assert steps(savings(live(large=BASE, thin=found))) == pytest.approx({"context": 1000 * 100 * 1e-5})


def test_the_same_model_and_messages_differ_in_length_only() -> None:
    held = savings(live(large=BASE, again=[[said("large", 100, 60)]] * 4))
    assert steps(held) == pytest.approx({"answer length": 1000 * 10 * 4e-5})


def test_a_price_is_read_off_calls_that_it_explains_exactly_and_off_no_others() -> None:
    def runs(*events: Answered) -> list[Run]:
        return [Run(id=str(i), prompt=Prompt.of("q"), started_at=NOON, events=(e,)) for i, e in enumerate(events)]

    exact = listed(runs(said("small", 10, 5), said("small", 20, 7)))("small")
    assert exact is not None
    assert dataclasses.astuple(exact) == pytest.approx((1e-6, 2e-6, None))
    assert isinstance(exact, Listed)
    assert listed(runs(said("small", 10, 5)))("small") is None
    assert (
        listed(runs(said("small", 10, 5), said("small", 20, 10)))("small") is None
    )  # one direction cannot tell two prices
    odd = [said("small", 10, 5), said("small", 20, 7), said("small", 31, 9, cost_usd=0.5)]
    assert listed(runs(*odd))("small") is None
    assert listed(runs())("small") is None


def test_estimates_from_logged_choices_are_one_step(cube: Cube) -> None:
    n = 2000
    rng = np.random.default_rng(0)
    action = rng.integers(0, 2, n)
    quality, cost = np.full((n, 2), np.nan), np.full((n, 2), np.nan)
    quality[np.arange(n), action], cost[np.arange(n), action] = 1.0, np.array([0.001, 0.01])[action]
    choices = Choices(
        models=("a", "b"),
        action=action,
        reward=np.ones(n),
        propensity=np.full(n, 0.5),
        cost_usd=np.array([0.001, 0.01])[action],
        strata=np.zeros(n, dtype=np.intp),
        row=np.arange(n, dtype=np.intp),
    )
    outcomes = dataclasses.replace(cube(quality, cost_usd=cost), choices=choices)
    comparison = replay(outcomes, {"a": Fixed(model="a"), "b": Fixed(model="b")}, baseline="b")
    held = savings(comparison, "a")
    assert [s.name for s in held.steps] == ["not separated"]
    assert held.unseparated == (("estimated from logged choices", held.n),)
    assert whole(held)
    assert "not separated on" in chart("waterfall", comparison, arm="a").caption
    assert "no arm of this comparison has a threshold" in chart("thresholds", comparison).caption
    with pytest.raises(UnavailableError, match="off-policy, what a single prompt would have used"):
        chart("tokens", comparison)


def test_the_drawing_starts_at_the_baseline_and_ends_at_the_arm() -> None:
    hit = Recalled(cache="exact", key="k", text="x", model="small", source_run="cheap-0")
    judge = Scored(scorer="judge", quality=0.9, model="small", accepted=True, cost_usd=0.0001)
    rows: list[list[Event]] = [[said("small"), judge], [said("small"), judge], [hit], [hit]]
    comparison = live(large=BASE, cheap=rows)
    held, figure = savings(comparison), chart("waterfall", comparison).figure
    assert list(figure.layout.yaxis.ticktext) == ["large (baseline)", "routing", "cache", "judging", "cheap"]
    bars = [(t.base[0] if t.base else 0.0, t.x[0]) for t in figure.data]
    assert bars[0] == (0.0, held.base_usd)
    assert bars[-1] == (0.0, held.arm_usd)
    at = held.base_usd
    for step, (start, size) in zip(held.steps, bars[1:-1], strict=True):
        assert (start, size) == (min(at, at + step.usd), pytest.approx(abs(step.usd)))
        at += step.usd
    assert at == pytest.approx(held.arm_usd)
    shapes = {t.marker.pattern.shape for t, s in zip(figure.data[1:-1], held.steps, strict=True) if s.usd > 0}
    assert shapes == {"/"}
    table = chart("waterfall", comparison).table
    assert [row[0] for row in table.rows] == ["large (baseline)", "routing", "cache", "judging", "cheap", "in all"]


@given(st.data())
def test_steps_add_up_whatever_happened(data: st.DataObject) -> None:
    model = st.sampled_from(["small", "large"])
    tokens = st.integers(1, 500)

    def events(i: int) -> list[Event]:
        found: list[Event] = []
        if data.draw(st.booleans()):
            after = data.draw(st.none() | tokens)
            found.append(compacted(data.draw(st.sampled_from(["system", "window"])), 100, after, i))
        if data.draw(st.integers(0, 3)) == 0:
            source = data.draw(st.sampled_from(["arm-0", "large-0", "elsewhere"]))
            return [*found, Recalled(cache="exact", key="k", text="x", model="small", source_run=source)]
        if data.draw(st.booleans()):
            found.append(Unanswered(model="small", provider="p", error="E", message="m", retry=True, cost_usd=0.01))
        cost = data.draw(st.none() | st.floats(0, 1)) if data.draw(st.integers(0, 5)) == 0 else -1.0
        more = {} if cost == -1.0 else {"cost_usd": cost}
        found.append(said(data.draw(model), data.draw(tokens), data.draw(tokens), **more))
        if data.draw(st.booleans()):
            judge = Scored(scorer="j", quality=1.0, model="small", accepted=True, cost_usd=data.draw(st.floats(0, 1)))
            found.append(judge)
        return found

    held = savings(live(large=[events(i) for i in range(5)], arm=[events(i) for i in range(5)]), "arm")
    assert held.n + held.unknown == 5
    assert held.total is None if held.n == 0 else whole(held)
