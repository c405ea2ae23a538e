"""A bandit learns live and over recorded outcomes, logs every chance, and keeps what there is when it is stopped."""

from __future__ import annotations

import _thread
import dataclasses
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from routelab.config import RouteConfig
from routelab.core.errors import AuthFailed, ConfigError, DataError, MissingKey
from routelab.core.values import Reply, Request
from routelab.lab.adapt import Course, bandit_replay
from routelab.lab.adaptation import Adaptation
from routelab.lab.allocation import BestArm
from routelab.lab.datasets import Dataset
from routelab.lab.outcomes import Outcomes
from routelab.lab.session import Lab
from routelab.lab.trial import Progress
from routelab.router import Router, Setting
from routelab.scoring import Function
from routelab.store import Log
from routelab.strategies import Bandit, Fixed
from routelab.testing import Scripted, VirtualClock, fleet

YES = {"kind": "exact", "answers": ["yes"]}


def data(n: int, **more: Any) -> Dataset:
    return Dataset.of(
        [{"id": f"p{i}", "prompt": f"question {i}", "scorer": YES, **more} for i in range(n)], name="quiz"
    )


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab(fleet=fleet({"good": Scripted("yes"), "bad": Scripted("no"), "down": Scripted(AuthFailed("401"))})) as lab:
        yield lab


def config(*models: str, **given: Any) -> RouteConfig:
    return RouteConfig(
        name="learning",
        models=models or ("good", "bad", "down"),
        strategy=Bandit(**given),
        limits={"retries": 0},  # type: ignore[arg-type]
    )


# Live


def test_a_bandit_finds_the_good_model_and_every_run_says_its_chance_and_its_posterior(lab: Lab) -> None:
    found = lab.adapt(data(120), config(), batch=20, seed=1)
    assert (found.ended, len(found), len(found.terms.rounds)) == ("prompts", 120, 6)
    assert np.bincount(found.action).argmax() == 0
    assert found.chances[-1].argmax() == 0
    assert found.config.ranking.outcomes == 120  # type: ignore[attr-defined]
    rows = lab.log.query(
        "select prompt_id, config, propensity, experiment, json_extract_string(e.payload, '$.order[0]') "
        "from runs join events e using (run_id) where e.kind = 'routed'"
    )
    logged = {row[0]: row[1:] for row in rows}
    starts = [first for first, _ in found.terms.rounds]
    for i, prompt in enumerate(found.prompts):
        fingerprint = found.terms.rounds[sum(s <= i for s in starts) - 1][1]
        chance = float(found.chances[i, found.action[i]])
        assert logged[prompt.id] == (fingerprint, chance, found.terms.experiment, found.models[found.action[i]])
    assert len({fingerprint for _, fingerprint in found.terms.rounds}) == 6


def test_every_posterior_is_in_the_log_under_the_fingerprint_that_its_runs_carry(lab: Lab) -> None:
    found = lab.adapt(data(40), config(), batch=10)
    details = lab.log.query(
        "select detail ->> '$.config', arms from experiments where experiment = ? order by (detail ->> '$.round')::int",
        [found.terms.experiment],
    )
    assert [row[0] for row in details] == [fingerprint for _, fingerprint in found.terms.rounds]
    assert ['"learned"' in row[1] for row in details] == [False, True, True, True]


def test_a_model_that_gives_no_answer_is_worth_nothing_whoever_stands_in(lab: Lab) -> None:
    found = lab.adapt(data(30), config("good", "down"), batch=10)
    assert found.quality[found.action == 1].tolist() == [0.0] * int((found.action == 1).sum())
    assert found.quality[found.action == 0].all()
    assert lab.log.query("select min(quality) from runs") == [(1.0,)]  # the good model stood in


def test_a_spent_budget_ends_it_with_what_there_is(lab: Lab) -> None:
    priced = fleet({"good": Scripted("yes"), "bad": Scripted("no")}, usd_per_mtok=1000.0, max_output_tokens=5)
    with Lab(fleet=priced) as poor:
        found = poor.adapt(data(40), config("good", "bad"), batch=10, budget_usd=0.4, jobs=1)
        assert found.ended == "budget"
        assert 0 < len(found) < 40
        assert found.terms.unfinished == -len(found) % 10 > 0
        assert float(np.nansum(found.cost_usd)) <= 0.4
        assert poor.log.query("select count(*) from runs where quality is not null") == [(len(found),)]


def test_rounds_end_it(lab: Lab) -> None:
    found = lab.adapt(data(40), config(), batch=7, rounds=2)
    assert (found.ended, len(found)) == ("rounds", 14)


def test_an_interrupt_keeps_everything_and_returns_what_there_is() -> None:
    class Stops(Scripted):
        async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
            if len(self.requests) == 12:
                _thread.interrupt_main()
            return await super().complete(request, emit)

    provider = Stops("yes")
    with Lab(fleet=fleet({"a": provider, "b": provider})) as lab:
        found = lab.adapt(data(500), config("a", "b"), batch=50, jobs=1)
        assert found.ended == "interrupted"
        assert 10 <= len(found) < 500
        assert len(found) + found.terms.unfinished == 50
        assert found.config.ranking.outcomes == len(found)  # type: ignore[attr-defined]


def test_nothing_finished_is_said_and_not_estimated() -> None:
    with Lab(fleet=fleet({"a": Scripted("yes"), "b": Scripted("no")}, usd_per_mtok=1000.0)) as lab:
        found = lab.adapt(data(5), config("a", "b"), budget_usd=1e-6)
        assert (found.ended, len(found), found.best()) == ("budget", 0, None)
        assert found.why == "no prompt was finished, so nothing is known"
        assert found.frame["asked"].tolist() == [0, 0]
        assert "no prompt was finished" in repr(found)
        with pytest.raises(DataError, match="no prompt was finished"):
            _ = found.draws


def test_the_best_model_ends_it_as_soon_as_it_is_known(lab: Lab) -> None:
    found = lab.adapt(data(400), config("good", "bad", algorithm="track"), batch=20, stop="best-arm")
    assert (found.ended, found.best()) == ("best-arm", "good")
    assert len(found) < 100
    assert found.why.startswith(
        f"good is the best of 2 models after {len(found)} prompts, with an error of at most 5 %"
    )


def test_progress_is_heard_over_all_batches(lab: Lab) -> None:
    heard: list[Progress] = []
    lab.adapt(data(30), config("good"), batch=10, heard=heard.append)
    assert [p.done for p in heard] == list(range(1, 31))
    assert {p.total for p in heard} == {30}


def test_a_key_that_is_not_there_ends_it_with_its_error() -> None:
    with (
        Lab(fleet=fleet({"a": Scripted(MissingKey("set A_KEY"))})) as lab,
        pytest.raises(MissingKey, match="set A_KEY"),
    ):
        lab.adapt(data(5), config("a"))


def test_a_session_scorer_scores_prompts_that_bring_none(lab: Lab) -> None:
    found = lab.adapt(data(20), config("good", "bad"), scorer=Function(lambda answer, prompt: float(answer == "no")))
    assert found.quality.tolist() == (found.action == 1).astype(float).tolist()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"config": RouteConfig(name="x", strategy=Fixed(model="good"))}, "arm 'x': Fixed does not learn"),
        ({"config": config(algorithm="linucb"), "stop": "best-arm"}, "choices that looked at the prompt"),
        ({"config": config(), "stop": "best"}, "stop: unknown 'best'"),
        ({"config": config(), "batch": 0}, "batch: must be at least 1"),
        ({"config": config(), "rounds": 0}, "rounds: must be at least 1"),
        ({"config": config(floor=0.4)}, "3 models with at least 0.4 each"),
        ({"config": config(), "data": Dataset.of([{"id": "p", "prompt": "q"}], name="q")}, "1 of 1 prompts bring no"),
    ],
)
def test_what_cannot_learn_is_refused_before_anything_is_asked(lab: Lab, given: dict[str, Any], said: str) -> None:
    given = {"data": data(5), **given}
    with pytest.raises(ConfigError) as caught:
        lab.adapt(given.pop("data"), given.pop("config"), **given)
    assert said in str(caught.value)
    assert lab.log.query("select count(*) from runs") == [(0,)]


# Recorded


def recorded(cube: Callable[..., Outcomes], n: int = 400, rates: tuple[float, ...] = (0.9, 0.6, 0.3)) -> Outcomes:
    rng = np.random.default_rng(0)
    quality = (rng.random((n, len(rates))) < np.array(rates)).astype(float)
    cost = np.tile(np.linspace(0.01, 0.001, len(rates)), (n, 1))
    return cube(quality, cost_usd=cost, dataset="made")


@pytest.mark.parametrize("algorithm", ["thompson", "linucb", "track"])
def test_over_recorded_outcomes_it_sees_only_what_it_drew(cube: Callable[..., Outcomes], algorithm: Any) -> None:
    outcomes = recorded(cube)
    found = bandit_replay(outcomes, config("a", "b", "c", algorithm=algorithm), Course(batch=25))
    rows = [outcomes.rows[p.id] for p in found.prompts]
    assert sorted(rows) == list(range(400))
    assert np.array_equal(found.quality, outcomes.quality[rows, found.action])
    assert np.array_equal(found.cost_usd, outcomes.cost_usd[rows, found.action])
    # What it did not draw could not change it.
    hidden = outcomes.quality.copy()
    unseen = np.ones_like(hidden, dtype=bool)
    unseen[rows, found.action] = False
    hidden[unseen] = 1 - hidden[unseen]
    again = bandit_replay(
        dataclasses.replace(outcomes, quality=hidden), config("a", "b", "c", algorithm=algorithm), Course(batch=25)
    )
    assert np.array_equal(again.action, found.action)
    assert again.config == found.config


def test_a_replay_is_the_same_in_every_run_and_another_one_with_another_seed(cube: Callable[..., Outcomes]) -> None:
    outcomes = recorded(cube)
    one, two, other = (bandit_replay(outcomes, config("a", "b", "c"), Course(seed=s)) for s in (0, 0, 1))
    assert [p.id for p in one.prompts] == [p.id for p in two.prompts] != [p.id for p in other.prompts]
    assert np.array_equal(one.action, two.action)
    assert one.config.fingerprint == two.config.fingerprint


def test_models_of_the_config_may_be_some_of_the_recorded_ones_in_another_order(cube: Callable[..., Outcomes]) -> None:
    outcomes = recorded(cube)
    found = bandit_replay(outcomes, config("c", "a"), Course())
    assert found.models == ("c", "a")
    rows = [outcomes.rows[p.id] for p in found.prompts]
    assert np.array_equal(found.quality, outcomes.quality[rows, np.array([2, 0])[found.action]])
    with pytest.raises(DataError, match="model 'z' has no recorded outcomes"):
        bandit_replay(outcomes, config("a", "z"), Course())


def test_without_a_reward_that_is_known_it_says_so(cube: Callable[..., Outcomes]) -> None:
    unpriced = cube([[1.0, 0.0]] * 10)
    with pytest.raises(DataError, match="none of the first 10 prompts brought a reward that is known"):
        bandit_replay(unpriced, config("a", "b", reward={"cost_weight": 1.0}), Course())


def test_equal_models_are_played_to_the_end_and_told_how_far_they_can_differ(cube: Callable[..., Outcomes]) -> None:
    outcomes = recorded(cube, n=1500, rates=(0.6, 0.6))
    found = bandit_replay(outcomes, config("a", "b", algorithm="track"), Course(stop=BestArm(), seed=3))
    assert (found.ended, found.best()) == ("prompts", None)
    assert found.why.startswith("no difference of ")
    assert "points or more between" in found.why
    gap = found.against("a", "b")
    assert gap.low is not None
    assert gap.high is not None
    assert gap.low < 0 < gap.high


def test_models_far_apart_are_told_apart_without_a_rule(cube: Callable[..., Outcomes]) -> None:
    found = bandit_replay(recorded(cube, n=3000), config("a", "b", "c"), Course())
    assert found.best() == "a"
    assert "is the best of 3 models after 3,000 prompts: it brings +" in found.why


# What is shown


def shown(cube: Callable[..., Outcomes], **given: Any) -> Adaptation:
    return bandit_replay(recorded(cube), config("a", "b", "c", **given), Course(batch=50))


def test_the_frame_has_one_row_a_model(cube: Callable[..., Outcomes]) -> None:
    found = shown(cube)
    frame = found.frame
    assert frame["model"].tolist() == ["a", "b", "c"]
    assert frame["asked"].sum() == 400
    assert abs(frame["share"].sum() - 1) < 1e-12
    assert abs(frame["chance"].sum() - 1) < 1e-12
    assert (frame["quality_low"] <= frame["quality"]).all()
    assert frame["cost_usd"].round(6).tolist() == [0.01, 0.0055, 0.001]


def test_text_and_html_say_the_same_and_escape(cube: Callable[..., Outcomes]) -> None:
    outcomes = dataclasses.replace(recorded(cube), models=("<b>a</b>", "b", "c"), simulated=True)
    found = bandit_replay(outcomes, config("<b>a</b>", "b", "c", reward={"cost_weight": 2.0}), Course(batch=50))
    shown = found._repr_mimebundle_()
    assert "<b>a</b>" not in shown["text/html"]
    assert "&lt;b&gt;a&lt;/b&gt;" in shown["text/html"]
    assert "SIMULATED" in shown["text/plain"]
    assert "reward: quality − 2 × USD" in shown["text/plain"]
    assert found.why in repr(found)


@pytest.mark.parametrize("kind", ["allocation", "reward"])
def test_charts_draw_every_model_and_have_a_table(cube: Callable[..., Outcomes], kind: str) -> None:
    chart = shown(cube).chart(kind)
    named = {trace.name for trace in chart.figure.data if trace.name}
    assert named == {"a", "b", "c"}
    assert [row[0] for row in chart.table.rows] == ["a", "b", "c"]


def test_an_unknown_chart_or_model_is_named(cube: Callable[..., Outcomes]) -> None:
    found = shown(cube)
    with pytest.raises(ConfigError, match=r"unknown kind 'alocation'; did you mean 'allocation'\?"):
        found.chart("alocation")
    with pytest.raises(DataError, match="no model 'z'"):
        found.against("a", "z")


# In production


def production(log: Log | None, clock: VirtualClock, *, experiment: str = "", **given: Any) -> Router:
    return Router(
        config("good", "bad", **given),
        fleet=fleet({"good": Scripted("yes"), "bad": Scripted("no")}),
        log=log,
        setting=Setting(experiment=experiment),
        clock=clock,
    )


def test_a_router_learns_from_its_log_each_run_once(tmp_path: Path) -> None:
    clock = VirtualClock()
    with Log(tmp_path / "log.duckdb") as log:
        router = production(log, clock)
        router.many(data(40).prompts)
        assert router.refit().config.ranking.outcomes == 0  # all began within the last minute
        clock.elapsed += 61
        learned = router.refit()
        assert learned.config.ranking.outcomes == 40
        assert learned.config.fingerprint != router.config.fingerprint
        learned.many(Dataset.of(data(60)).prompts[40:])
        clock.elapsed += 61
        again = learned.refit()
        assert again.config.ranking.outcomes == 60
        assert again.refit().config.ranking.outcomes == 60
        # The first one, asked again, learns the same from the start: nothing depends on who asks.
        assert production(log, clock).refit().config.ranking.learned == again.config.ranking.learned
        assert again.config.ranking.learned.about["until"] == (clock.now() - timedelta(seconds=60)).isoformat()
        assert {row[0] for row in log.query("select distinct config from runs")} == {
            router.config.fingerprint,
            learned.config.fingerprint,
        }
        back = RouteConfig.from_yaml(again.config.to_yaml(tmp_path / "again.yaml"))
        assert back == again.config


def test_refit_counts_ratings_and_failures_and_no_other_arms_runs(tmp_path: Path) -> None:
    clock = VirtualClock()
    with Log(tmp_path / "log.duckdb") as log:
        router = Router(
            config("good", "down"),
            fleet=fleet({"good": Scripted("yes"), "down": Scripted(AuthFailed("401"))}),
            log=log,
            clock=clock,
        )
        unscored = [dataclasses.replace(p, scorer=None) for p in data(30).prompts]
        answers = router.many(unscored)
        production(log, clock, experiment="elsewhere").many(data(5).prompts)
        rated = [a for a in answers if a.run.routed is not None and a.run.routed.order[0] == "good"]
        for answer in rated[:4]:
            log.rate(answer.id, 0.0)
            log.rate(answer.id, 1.0)
        log.rate(rated[4].id, 5.0)  # no rating from −1 to 1
        log.rate(rated[5].id, -1.0)  # a thumb down
        log.rate(rated[6].id, float("nan"))  # says nothing
        down = 30 - len(rated)
        tally = router.refit(settle_s=0).config.ranking.tally
        names = router.refit(settle_s=0).config.ranking.learned.about["models"]
        assert dict(zip(names, zip(tally.count, tally.total, strict=True), strict=True)) == {
            "good": (5, 4),
            "down": (down, 0),
        }


def test_refit_without_a_log_or_a_bandit_is_refused() -> None:
    with pytest.raises(ConfigError, match="there is no log to learn from"):
        production(None, VirtualClock()).refit()
    fixed = Router(RouteConfig(name="x", strategy=Fixed(model="good")), fleet=fleet({"good": Scripted("yes")}))
    with pytest.raises(ConfigError, match="x: fixed does not learn from a log"):
        fixed.refit()


def test_a_refit_router_goes_on_with_the_same_budget() -> None:
    clock = VirtualClock()
    with Log() as log:
        router = Router(
            dataclasses.replace(config("good", "bad"), limits={"budget_usd": 1.0}),  # type: ignore[arg-type]
            fleet=fleet({"good": Scripted("yes"), "bad": Scripted("no")}, max_output_tokens=5),
            log=log,
            clock=clock,
        )
        router.many(data(3).prompts)
        assert router.refit(settle_s=0).setting.purse is router._purse
