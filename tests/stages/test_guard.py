"""A strategy that cannot decide leaves the prompt to the default, in both worlds alike, and says so."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.answer import Answer
from routelab.config import RouteConfig
from routelab.core.errors import ConfigError
from routelab.core.events import Remembered, Routed, payload
from routelab.core.plan import NOBODY, Gate, Plan, plan_of
from routelab.core.ports import Strategy, World
from routelab.core.run import Run
from routelab.core.values import Model, Prompt, Roster
from routelab.router import Router
from routelab.stages import Route
from routelab.stages.desk import MOST_LATE, Desk
from routelab.stages.guard import guarded, joined, said, told
from routelab.strategies import KINDS, Fixed
from routelab.testing import Notebook, Scripted, VirtualClock, fleet

NAMES = ("a", "b", "c")
ROSTER = Roster(models=tuple(Model(name=n, provider="p", upstream=n) for n in NAMES))


@dataclass(frozen=True)
class Own:
    """Rank the second model first, then hand the plan to `spoil` with the prompts."""

    spoil: Callable[[Plan, Sequence[Prompt]], Any]

    def plan(self, prompts: Sequence[Prompt], roster: Roster) -> Plan:
        n = len(prompts)
        plan = Plan(
            order=np.tile(np.array([1, 2], dtype=np.intp), (n, 1)),
            propensity=np.full(n, 0.5),
            reason=np.zeros(n, dtype=np.intp),
            reasons=("mine",),
            gate=Gate(scorer="judge", at_least=0.5),
            quality=np.tile([0.1, 0.9, 0.5], (n, 1)),
        )
        spoilt: Plan = self.spoil(plan, prompts)
        return spoilt


def bad(prompts: Sequence[Prompt]) -> list[int]:
    return [i for i, p in enumerate(prompts) if "bad" in p.text]


def changed(field: str, value: Any, column: Any = None) -> Callable[[Plan, Sequence[Prompt]], Plan]:
    def spoil(plan: Plan, prompts: Sequence[Prompt]) -> Plan:
        array = getattr(plan, field).copy()
        if column is None:
            array[bad(prompts)] = value
        else:
            array[bad(prompts), column] = value
        return dataclasses.replace(plan, **{field: array})

    return spoil


def raising(trouble: BaseException) -> Callable[[Plan, Sequence[Prompt]], Plan]:
    def spoil(plan: Plan, prompts: Sequence[Prompt]) -> Plan:
        if bad(prompts):
            raise trouble
        return plan

    return spoil


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def whole(change: Callable[[Plan], Any]) -> Callable[[Plan, Sequence[Prompt]], Any]:
    return lambda plan, prompts: change(plan) if bad(prompts) else plan


FAULTS: dict[str, tuple[Callable[[Plan, Sequence[Prompt]], Any], str]] = {
    "raises": (raising(ValueError("no\nsuch column")), "strategy own raised ValueError: no such column"),
    "raises without a text": (raising(KeyError()), "strategy own raised KeyError"),
    "raises what has no text": (raising(Unspeakable()), "strategy own raised Unspeakable"),
    "raises its own trouble": (
        raising(ConfigError("not fitted yet", hint="fit it")),
        "strategy own raised ConfigError: not fitted yet",
    ),
    "leaves": (raising(SystemExit(3)), "strategy own raised SystemExit: 3"),
    "stops an iteration": (raising(StopIteration()), "strategy own raised StopIteration"),
    "says a key": (
        raising(OSError("401 for key sk-abcdefghijklmnop")),
        "strategy own raised OSError: 401 for key ***",
    ),
    "gives NaN as propensity": (changed("propensity", np.nan), "strategy own gave its ranking a propensity of nan"),
    "gives no chance": (changed("propensity", 0.0), "strategy own gave its ranking a propensity of 0"),
    "gives more than a chance": (changed("propensity", 1.5), "strategy own gave its ranking a propensity of 1.5"),
    "predicts NaN": (
        changed("quality", np.nan, 1),
        "strategy own predicted a quality of nan for its own first choice",
    ),
    "predicts infinity": (
        changed("quality", np.inf, 1),
        "strategy own predicted a quality of inf for its own first choice",
    ),
    "names a model outside the roster": (changed("order", 7, 0), "strategy own named model number 7 of 3"),
    "names a model before the roster": (changed("order", -2, 1), "strategy own named model number -2 of 3"),
    "names a model twice": (changed("order", 2), "strategy own ranked c twice"),
    "ranks nobody": (changed("order", NOBODY), "strategy own ranked no model"),
    "leaves a hole": (changed("order", NOBODY, 0), "strategy own left a hole in its ranking"),
    "gives no reason": (changed("reason", 4), "strategy own gave a reason that it does not have"),
    "returns a list": (whole(lambda _: [1]), "strategy own returned a list"),
    "returns nothing": (whole(lambda _: None), "strategy own returned a NoneType"),
    "ranks with fractions": (
        whole(lambda p: dataclasses.replace(p, order=p.order.astype(float))),
        "strategy own returned an order of float64",
    ),
    "predicts for too few models": (
        whole(lambda p: dataclasses.replace(p, quality=np.zeros((len(p), 2)))),
        "strategy own returned qualities of shape (1, 2) for 1 prompts × 3 models",
    ),
    "has a wrong shape": (
        whole(lambda p: dataclasses.replace(p, propensity=np.ones(len(p) + 1))),
        "strategy own raised ValueError: a plan needs order",
    ),
    "returns too many rankings": (
        whole(lambda p: plan_of([[0]] * (len(p) + 1), ["x"] * (len(p) + 1))),
        "strategy own returned 2 rankings for 1 prompts",
    ),
}


def prompt(text: str) -> Prompt:
    return Prompt.of(text)


def route(strategy: Any, *, desk: Desk | None = None) -> Route:
    roster = Roster(models=(*ROSTER.models, Model(name="spare", provider="p", upstream="spare")))
    return Route(
        kind="own",
        strategy=strategy,
        roster=roster,
        ranked=3,
        fallbacks={"a": ["spare"]},
        desk=desk or Desk(30.0),
    )


def live(stage: Route, text: str) -> Routed:
    run = Run(id="r", prompt=prompt(text), started_at=datetime(2026, 1, 1))
    return asyncio.run(stage(run, World(clock=VirtualClock())))


@pytest.mark.parametrize("case", FAULTS)
def test_a_strategy_that_cannot_decide_costs_that_prompt_its_decision_and_no_other(case: str) -> None:
    spoil, why = FAULTS[case]
    stage = route(Own(spoil))
    texts = ["good 1", "bad 1", "good 2", "good 3", "bad 2"]
    plan = stage.plan([prompt(t) for t in texts])
    assert list(plan.errors) == [1, 4]
    assert all(error.startswith(why) for error in plan.errors.values())
    for i, text in enumerate(texts):
        alone = live(stage, text)
        ranked = [m for m in plan.order[i] if m != NOBODY]
        assert alone.order == tuple(stage.roster.names[m] for m in ranked)
        assert alone.reason == plan.why(i)
        assert alone.propensity == plan.propensity[i]
        assert alone.rungs == plan.ladder[i]
        assert alone.error == plan.errors.get(i)
    assert live(stage, "bad").order == ("a", "b", "c", "spare")
    assert live(stage, "bad").reason == f"default: {plan.errors[1]}"
    assert live(stage, "good").order == ("b", "c")
    assert live(stage, "good").error is None


def test_the_gate_of_a_plan_survives_and_does_not_judge_the_default() -> None:
    plan = route(Own(FAULTS["raises"][0])).plan([prompt("bad"), prompt("good")])
    assert plan.gate == Gate(scorer="judge", at_least=0.5)
    assert list(plan.ladder) == [1, 2]


def test_what_a_strategy_does_not_know_about_models_it_ranked_lower_is_no_fault() -> None:
    plan = route(Own(changed("quality", np.nan, 2))).plan([prompt("bad")])
    assert plan.errors == {}


def test_a_sound_plan_passes_untouched() -> None:
    made = Own(lambda plan, _: plan).plan([prompt("x")], ROSTER)

    class Same:
        def plan(self, prompts: Any, roster: Any) -> Plan:
            return made

    assert guarded("same", Same(), [prompt("x")], ROSTER) is made


def test_no_prompts_are_no_decisions_even_where_the_strategy_raises() -> None:
    def always(plan: Plan, prompts: Sequence[Prompt]) -> Plan:
        raise ValueError

    plan = guarded("own", Own(always), [], ROSTER, strict=True)
    assert len(plan) == 0
    assert plan.errors == {}


@given(wrong=st.lists(st.booleans(), min_size=1, max_size=40), name=st.sampled_from(sorted(FAULTS)))
def test_whatever_prompts_are_bad_the_others_are_planned_as_if_there_were_none(wrong: list[bool], name: str) -> None:
    prompts = [prompt(f"{'bad' if w else 'good'} {i}") for i, w in enumerate(wrong)]
    plan = guarded("own", Own(FAULTS[name][0]), prompts, ROSTER)
    assert sorted(plan.errors) == [i for i, w in enumerate(wrong) if w]
    assert len(plan) == len(prompts)
    for i, w in enumerate(wrong):
        assert [m for m in plan.order[i] if m != NOBODY] == ([0, 1, 2] if w else [1, 2])
        assert plan.why(i) == (f"default: {plan.errors[i]}" if w else "mine")


def test_a_strict_plan_raises_what_the_strategy_raised_when_nothing_could_be_planned() -> None:
    stage = route(Own(FAULTS["raises its own trouble"][0]))
    with pytest.raises(ConfigError, match="not fitted yet") as caught:
        stage.plan([prompt("bad 1"), prompt("bad 2")], strict=True)
    assert caught.value.hint == "fit it"
    with pytest.raises(ConfigError, match="gave its ranking a propensity of nan, and so for every prompt"):
        route(Own(FAULTS["gives NaN as propensity"][0])).plan([prompt("bad")], strict=True)
    assert list(stage.plan([prompt("bad"), prompt("good")], strict=True).errors) == [0]


class Waits:
    """Decide when the event is set."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.begun = 0

    def plan(self, prompts: Any, roster: Roster) -> Plan:
        self.begun += 1
        self.go.wait()
        return plan_of([[1]] * len(prompts), ["waited"] * len(prompts))


def test_a_late_decision_is_the_defaults_and_the_loop_is_never_blocked() -> None:
    slow = Waits()
    stage = route(slow, desk=Desk(0.001))

    async def both() -> tuple[Routed, bool]:
        run = Run(id="r", prompt=prompt("x"), started_at=datetime(2026, 1, 1))
        deciding = asyncio.ensure_future(stage(run, World(clock=VirtualClock())))
        await asyncio.sleep(0)  # the loop turns while the strategy works
        turned = not deciding.done()
        return await deciding, turned

    try:
        event, turned = asyncio.run(both())
    finally:
        slow.go.set()
    assert turned
    assert event.order == ("a", "b", "c", "spare")
    assert event.error == "strategy own took longer than 0.01 s"  # ten times as long: nothing had been decided yet
    assert event.reason == f"default: {event.error}"
    assert event.rungs == 1


def test_only_the_decisions_until_the_first_one_get_more_time() -> None:
    desk = Desk(0.5)
    assert asyncio.run(desk.decide(lambda: 1)) == 1
    slow = Waits()
    desk.decide_s = 0.001
    event = live(route(slow, desk=desk), "x")
    slow.go.set()
    assert event.error == "strategy own took longer than 0.001 s"


def test_a_decision_leaves_time_for_whoever_is_asked() -> None:
    slow = Waits()
    run = Run(id="r", prompt=prompt("x"), started_at=datetime(2026, 1, 1))
    event = asyncio.run(route(slow)(run, World(clock=VirtualClock(), deadline=0.01)))
    slow.go.set()
    assert event.error == "strategy own took longer than 0.005 s"


def test_decisions_that_never_end_are_not_joined_by_ever_more() -> None:
    stuck = Waits()
    stage = route(stuck, desk=Desk(0.0001))
    errors = [live(stage, f"{i}").error for i in range(MOST_LATE + 2)]
    assert stuck.begun == MOST_LATE
    assert errors[-1] == f"strategy own is still busy with {MOST_LATE} decisions that took too long"
    stuck.go.set()
    for thread in threading.enumerate():
        if thread.name == "routelab-decision":
            thread.join()
    stage.desk.decide_s = 30.0
    assert live(stage, "again").order == ("b",)


def test_the_built_in_tables_are_asked_without_a_thread() -> None:
    seen: list[str] = []

    @dataclass(frozen=True)
    class Spy:
        instant: bool

        def plan(self, prompts: Any, roster: Any) -> Plan:
            seen.append(threading.current_thread().name)
            return plan_of([[0]], ["x"])

    live(route(Spy(instant=True)), "x")
    live(route(Spy(instant=False)), "x")
    assert seen == [threading.main_thread().name, "routelab-decision"]
    assert {kind for kind, cls in KINDS.items() if getattr(cls, "instant", False)} >= {
        "fixed",
        "rules",
        "split",
        "random",
    }


def dict_of(kinds: Any) -> dict[str, type]:
    # A live run's fingerprint needs a strategy that has a kind.
    assert isinstance(kinds, dict)
    return kinds


def config(strategy: Strategy, **more: Any) -> RouteConfig:
    return RouteConfig(name="arm", models=NAMES, strategy=strategy, **more)


def test_the_answer_says_that_the_default_decided_and_so_does_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(dict_of(KINDS), "own", Own)
    log = Notebook()
    router = Router(config(Own(FAULTS["raises"][0])), fleet=fleet({n: Scripted(f"I am {n}") for n in NAMES}), log=log)
    answer = router.route("bad luck")
    assert answer.text == "I am a"
    assert answer.why == "default: strategy own raised ValueError: no such column"
    assert answer.defaulted
    assert "⚠ default" in answer.header()
    routed = log.runs[0].routed
    assert routed is not None
    assert json.loads(json.dumps(payload(routed)))["error"] == "strategy own raised ValueError: no such column"
    good = router.route("good luck")
    assert (good.text, good.defaulted) == ("I am b", False)
    assert "⚠" not in good.header()
    assert "error" not in payload(good.run.routed)  # type: ignore[arg-type]


def test_a_dry_run_shows_the_decision_of_the_live_call() -> None:
    router = Router(config(Own(FAULTS["raises"][0])), fleet=fleet({n: Scripted() for n in NAMES}))
    assert router.pick("bad luck") == "a"
    assert [(m, why) for m, _, why in router.explain("bad luck")] == [
        (n, "default: strategy own raised ValueError: no such column") for n in NAMES
    ]


def test_the_time_for_a_decision_is_part_of_the_config() -> None:
    text = config(Fixed(model="a"), limits={"decide_s": 0.25}).to_text()
    assert RouteConfig.from_text(text).limits.decide_s == 0.25
    assert "decide_s" not in config(Fixed(model="a")).to_text()
    with pytest.raises(ConfigError, match="decide_s: must be more than 0"):
        config(Fixed(model="a"), limits={"decide_s": 0})


def test_the_defaults_answer_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(dict_of(KINDS), "own", Own)
    router = Router(
        config(Own(FAULTS["raises"][0]), cache={"exact": True}), fleet=fleet({n: Scripted(n) for n in NAMES})
    )
    assert [router.route("bad").cached for _ in range(2)] == [False, False]
    assert [router.route("good").cached for _ in range(2)] == [False, True]
    last = router.route("bad").events[-1]
    assert isinstance(last, Remembered)
    assert last.refused == "the strategy could not decide, and the default answered"


def test_joined_plans_keep_their_predictions_and_reasons() -> None:
    one = plan_of([[0]], ["x"])
    two = dataclasses.replace(plan_of([[1, 2], [2]], ["y", "x"]), quality=np.full((2, 3), 0.5))
    both = joined([one, two])
    assert both.order.tolist() == [[0, NOBODY], [1, 2], [2, NOBODY]]
    assert [both.why(i) for i in range(3)] == ["x", "y", "x"]
    assert both.reasons == ("x", "y")
    assert both.quality is not None
    assert np.isnan(both.quality[0]).all()
    assert both.ladder.tolist() == [1, 2, 1]


def test_a_count_of_defaults_names_the_commonest_reason() -> None:
    assert told({}, 5) == ""
    assert told({0: "x"}, 1) == "1 of 1 decision fell back to the default (x)"
    assert told({0: "x", 1: "y", 2: "y"}, 9) == "3 of 9 decisions fell back to the default (mostly: y)"


def test_a_long_text_is_cut_and_hostile_characters_are_shown_not_obeyed() -> None:
    line = said("own", ValueError("\x1b[31m" + "x" * 1000))
    assert "\x1b" not in line
    assert len(line) < 350
    assert "\n" not in line


def test_an_answer_without_a_decision_was_not_the_defaults() -> None:
    assert not Answer(Run(id="r", prompt=prompt("x"), started_at=datetime(2026, 1, 1))).defaulted
