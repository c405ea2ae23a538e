"""The other stages: render, recall, route, remember, measure. Each returns one event."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import datetime
from typing import Any

import numpy as np
import pytest

from routelab.caching import Exact
from routelab.config import RouteConfig
from routelab.core.events import (
    Answered,
    Candidate,
    Compacted,
    Failed,
    Missed,
    Recalled,
    Remembered,
    Routed,
    Scored,
    Unanswered,
)
from routelab.core.plan import NOBODY, Plan
from routelab.core.ports import World
from routelab.core.run import Run
from routelab.core.values import Message, Model, Prompt, Roster, Score
from routelab.router import Router, Setting
from routelab.scoring import Function, scorer_of
from routelab.stages import Measure, Recall, Remember, Render, Route
from routelab.strategies import Fixed
from routelab.testing import Scripted, VirtualClock, fleet

WORLD = World(clock=VirtualClock())
ANSWER = Answered(model="m", served_model="m", provider="p", text="yes")


def a_run(*events: Any, **prompt: Any) -> Run:
    asked = dataclasses.replace(Prompt.of("hi", system="old"), **prompt)
    return Run(id="r", prompt=asked, started_at=datetime(2026, 1, 1), events=events)


def done(stage: Any, run: Run) -> Any:
    return asyncio.run(stage(run, WORLD))


def test_render_sets_the_system_text_and_keeps_the_conversation() -> None:
    turns = (
        Message(role="system", content="old"),
        Message(role="user", content="a"),
        Message(role="assistant", content="b"),
        Message(role="user", content="c"),
    )
    event = done(Render(system="new"), a_run(messages=turns))
    assert event == Compacted(policy="system", messages=(Message(role="system", content="new"), *turns[1:]))


def test_recall_finds_what_remember_kept_under_the_same_key() -> None:
    cache = Exact(clock=VirtualClock())
    missed = done(Recall(cache=cache, scope="s"), a_run())
    assert isinstance(missed, Missed)
    remember = Remember(cache=cache, admission=lambda run: "", label="mine")
    assert done(remember, a_run(missed, ANSWER)) == Remembered(cache="exact", key=missed.key, label="mine")
    found = done(Recall(cache=cache, scope="s"), a_run())
    assert found == Recalled(
        cache="exact",
        key=missed.key,
        text="yes",
        model="m",
        source_run="r",
        simulated=False,
        latency_s=0.0,
        age_s=0.0,
    )
    assert isinstance(done(Recall(cache=cache, scope="other"), a_run()), Missed)


def test_an_answer_that_is_not_admitted_is_not_remembered_and_the_event_says_why() -> None:
    cache = Exact(clock=VirtualClock())
    missed = done(Recall(cache=cache, scope="s"), a_run())
    remember = Remember(cache=cache, admission=lambda run: "it rhymes")
    refused = Remembered(cache="exact", key=missed.key, refused="it rhymes")
    assert done(remember, a_run(missed, ANSWER)) == refused
    assert isinstance(done(Recall(cache=cache, scope="s"), a_run()), Missed)


def test_what_is_to_be_replaced_is_not_looked_up() -> None:
    cache = Exact(clock=VirtualClock())
    missed = done(Recall(cache=cache, scope="s"), a_run())
    done(Remember(cache=cache, admission=lambda run: ""), a_run(missed, ANSWER))
    anew = done(Recall(cache=cache, scope="s", anew=True), a_run())
    assert anew == Missed(cache="exact", key=missed.key, why="what is remembered is stale")


def roster(*names: str) -> Roster:
    return Roster(models=tuple(Model(name=n, provider="p", upstream=n) for n in names))


def test_route_says_who_was_considered_and_why() -> None:
    route = Route(
        kind="fixed", strategy=Fixed(model="b"), roster=roster("a", "b", "c"), ranked=2, fallbacks={"b": ["c", "a"]}
    )
    assert done(route, a_run(task="t")) == Routed(
        strategy="fixed",
        order=("b", "c", "a"),
        reason="always b",
        task="t",
        considered=(Candidate(model="a"), Candidate(model="b"), Candidate(model="c")),
        rungs=1,
    )


class Guesses:
    """Predict the first model's quality, not know the second's, and rank only when told to."""

    def __init__(self, ranks: bool = True) -> None:
        self.ranks = ranks

    def plan(self, prompts: Any, roster: Any) -> Plan:
        n = len(prompts)
        return Plan(
            order=np.full((n, 1), 0 if self.ranks else NOBODY, dtype=np.intp),
            propensity=np.full(n, 0.5),
            reason=np.zeros(n, dtype=np.intp),
            reasons=("guessed",),
            quality=np.tile([0.75, np.nan], (n, 1)),
        )


def test_predictions_are_part_of_the_decision_and_unknown_ones_stay_unknown() -> None:
    route = Route(
        kind="own", strategy=Guesses(), roster=roster("a", "b", "spare"), ranked=2, fallbacks={"a": ["spare"]}
    )
    event = done(route, a_run())
    assert event.considered == (Candidate(model="a", quality=0.75), Candidate(model="b"), Candidate(model="spare"))
    assert (event.order, event.propensity) == (("a", "spare"), 0.5)


def fitted(*models: str) -> Compacted:
    return Compacted(policy="window", messages=(Message(role="user", content="hi"),), tokens_after=9_000, models=models)


def windows(**sizes: int | None) -> Roster:
    return Roster(
        models=tuple(Model(name=n, provider="p", upstream=n, context_window=size) for n, size in sizes.items())
    )


class Drawn:
    """Ranks its models in one order, as if drawn with a propensity, the first `rungs` of it its own."""

    def __init__(self, order: list[int], propensity: float = 1.0, rungs: int | None = None) -> None:
        self.order, self.propensity, self.rungs = order, propensity, rungs

    def plan(self, prompts: Any, roster: Roster) -> Plan:
        n = len(prompts)
        return Plan(
            order=np.array([self.order] * n, dtype=np.intp),
            propensity=np.full(n, self.propensity),
            reason=np.zeros(n, dtype=np.intp),
            reasons=("as drawn",),
            rungs=None if self.rungs is None else np.full(n, self.rungs, dtype=np.intp),
        )


def ranked(strategy: Any, *events: Any, fallbacks: Any = None, own: int = 3) -> Routed:
    roster = windows(small=8_000, middle=32_000, large=1_000_000, extra=None)
    stage = Route(kind="drawn", strategy=strategy, roster=roster, ranked=own, fallbacks=fallbacks or {})
    decided = done(stage, a_run(*events))
    assert isinstance(decided, Routed)
    return decided


def test_models_that_cannot_take_the_conversation_are_left_out_of_the_ranking() -> None:
    whole = ranked(Drawn([0, 2, 1], rungs=2))
    assert (whole.order, whole.rungs, whole.reason) == (("small", "large", "middle"), 2, "as drawn")
    assert ranked(Drawn([0, 2, 1], rungs=2), fitted()) == whole
    assert ranked(Drawn([0, 2, 1], rungs=2), fitted("small", "middle", "large")) == whole
    found = ranked(Drawn([0, 2, 1], rungs=2), fitted("middle", "large"))
    assert (found.order, found.rungs) == (("large", "middle"), 1)
    assert found.reason == "as drawn; 9,000 tokens are too many for small"
    assert found.propensity == 1.0


def test_where_none_of_the_ranking_can_take_it_those_that_can_are_asked_by_their_windows() -> None:
    found = ranked(Drawn([0, NOBODY, NOBODY]), fitted("extra", "large", "middle"))
    assert found.order == ("middle", "large", "extra")
    assert found.reason == "as drawn; 9,000 tokens are too many for small; asked instead by their windows"
    assert found.rungs is None
    assert ranked(Drawn([0, NOBODY, NOBODY], rungs=1), fitted("large", "middle")).rungs == 1


def test_a_fallback_that_can_take_it_comes_before_models_that_nobody_named() -> None:
    found = ranked(Drawn([0, NOBODY, NOBODY]), fitted("extra", "middle"), fallbacks={"small": ["extra"]})
    assert found.order == ("extra",)


def test_how_likely_a_shortened_ranking_was_is_not_known_unless_it_was_certain() -> None:
    assert ranked(Drawn([0, 1, 2], 0.5), fitted("small", "middle", "large")).propensity == 0.5
    assert np.isnan(ranked(Drawn([0, 1, 2], 0.5), fitted("middle", "large")).propensity)


def test_the_latest_word_on_who_can_take_it_counts() -> None:
    found = ranked(Drawn([0, 1, 2]), fitted("small"), fitted("large"), Compacted(policy="system", messages=()))
    assert found.order == ("large",)


def test_a_strategy_that_ranks_nobody_leaves_it_to_the_default() -> None:
    route = Route(kind="own", strategy=Guesses(ranks=False), roster=roster("a", "b"), ranked=2, fallbacks={})
    event = done(route, a_run())
    assert (event.order, event.error) == (("a", "b"), "strategy own ranked no model")


def test_measure_scores_with_the_prompts_scorer_or_the_given_one() -> None:
    run = a_run(ANSWER, scorer={"kind": "exact", "answers": ["yes"]})
    own = done(Measure(choose=lambda prompt: scorer_of(prompt.scorer or {})), run)
    assert (own.scorer, own.quality, own.model, own.accepted) == ("exact", 1.0, "m", None)
    judge = Function(lambda answer, prompt: Score(quality=0.25, reason="so so"))
    given = Measure(choose=lambda prompt: judge, name="mine")
    assert done(given, run) == Scored(scorer="mine", quality=0.25, model="m", reason="so so")


def test_a_missing_answer_scores_nothing_because_failures_count() -> None:
    lost = Unanswered(model="m", provider="p", error="TimedOut", message="late", retry=False)
    event = done(
        Measure(choose=lambda prompt: scorer_of({})), a_run(lost, scorer={"kind": "exact", "answers": ["yes"]})
    )
    assert event == Scored(scorer="exact", quality=0.0, model="", reason="no answer")


def test_a_cached_answer_is_scored_too_and_the_call_is_skipped() -> None:
    one = Scripted("yes", "no")
    config = RouteConfig(name="a", strategy={"kind": "fixed", "model": "m"}, cache={"exact": True})  # type: ignore[arg-type]
    router = Router(config, fleet=fleet({"m": one}))
    prompt = dataclasses.replace(Prompt.of("hi"), scorer={"kind": "exact", "answers": ["yes"]})
    answers = [router.route(prompt) for _ in range(3)]
    assert [(a.cached, a.quality, a.cost_usd) for a in answers] == [
        (False, 1.0, 15e-6),
        (True, 1.0, 0.0),
        (True, 1.0, 0.0),
    ]
    assert len(one.requests) == 1


def test_expected_trouble_in_a_scorer_is_an_event_and_a_bug_is_not() -> None:
    config = RouteConfig(name="a", strategy={"kind": "fixed", "model": "m"})

    def scored_by(judge: Any) -> Any:
        return Router(config, fleet=fleet({"m": Scripted("yes")}), setting=Setting(scorer=Function(judge))).route("hi")

    last = scored_by(lambda answer, prompt: float("nan")).events[-1]
    assert isinstance(last, Failed)
    assert last.error == "ScoreError"
    with pytest.raises(ZeroDivisionError):
        scored_by(lambda answer, prompt: 1 / 0)
