"""Gates on token log-probabilities: asked of the provider, judged live, kept in the log, and replayed to the same decisions."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

import routelab as rl
from routelab.config import RouteConfig
from routelab.core.errors import ConfigError
from routelab.core.events import Answered, Routed, Scored
from routelab.core.ports import World
from routelab.core.run import Run
from routelab.core.values import Judgement, Prompt
from routelab.fleet import Fleet
from routelab.gates import gate_of, judge_of, needs_logprobs
from routelab.lab.outcomes import Outcomes
from routelab.lab.replay import fit, planned, walked
from routelab.lab.sources.cascades import cascades
from routelab.router import Router
from routelab.store import Log
from routelab.strategies import Cascade
from routelab.testing.fakes import VirtualClock
from routelab.testing.server import FakeProviders, Said, Seen

MODELS = ("qwen-local", "gemini-flash", "gpt-5")


def answered(mean: float | None, least: float | None) -> Run:
    made = Run(id="r", prompt=Prompt.of("What?"), started_at=datetime(2026, 1, 1))
    made = made.then(Routed(strategy="x", order=("a", "b"), reason=""))
    said = Answered(model="a", served_model="a", provider="acme", text="yes", mean_logprob=mean, min_logprob=least)
    return made.then(said)


@pytest.mark.parametrize(
    ("scorer", "mean", "least", "quality", "reason"),
    [
        ("mean_logprob", -0.5, -2.0, 0.60653066, "a gave its tokens a probability of 0.607"),
        ("min_logprob", -0.5, -2.0, 0.135335283, "a gave its least likely token a probability of 0.135"),
        ("mean_logprob", None, None, None, "acme gave no log-probabilities for this answer"),
    ],
)
def test_the_gate_gives_a_probability_and_none_where_nothing_is_known(
    scorer: str, mean: float | None, least: float | None, quality: float | None, reason: str
) -> None:
    judge = judge_of(gate_of({"scorer": scorer}))
    given = asyncio.run(judge(answered(mean, least), World(clock=VirtualClock())))
    assert given == Judgement(quality=quality, reason=reason)


@pytest.mark.parametrize("bar", [-0.5, 1.5])
def test_a_bar_that_is_no_probability_is_refused(bar: float) -> None:
    with pytest.raises(ConfigError, match=r"strategy\.gate\.at_least: must lie between 0 and 1: a probability"):
        RouteConfig(
            name="c",
            models=["a", "b"],
            strategy={"kind": "cascade", "gate": {"scorer": "mean_logprob", "at_least": bar}},
        )


def test_log_probabilities_are_needed_by_a_part_of_several_gates_too() -> None:
    parts = [{"scorer": "nonempty"}, {"scorer": "min_logprob", "at_least": 0.1}]
    specs = [{"all": parts}, {"all": parts[:1]}, {"scorer": "mean_logprob"}, {"recorded": "mean_logprob"}]
    assert [needs_logprobs(gate_of(spec)) for spec in specs] == [True, False, True, False]


# Live, against a server over a socket


@pytest.fixture
def fake() -> Iterator[FakeProviders]:
    def answer(seen: Seen) -> Said:
        return Said(text=f"{seen.model} says so", logprobs=(-0.1, -0.7, -0.1))

    with FakeProviders(answer) as server:
        yield server


def fleet(fake: FakeProviders, *, small: str = "vllm") -> Fleet:
    protocol: Any = {"vllm": "openai", "mistral": "openai"}.get(small, small)
    return Fleet.from_mapping(
        {
            "models": {"small": {"provider": "one"}, "large": {"provider": "two"}},
            "providers": {
                "one": {"kind": small, "base_url": fake.base_url(protocol)},
                "two": {"kind": "anthropic", "base_url": fake.base_url("anthropic")},
            },
        }
    )


def cascade(bar: float, *, order: Any = ("small", "large"), scorer: str = "mean_logprob") -> RouteConfig:
    return RouteConfig(name="c", strategy=Cascade(order=order, gate={"scorer": scorer, "at_least": bar}))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("bar", "model"), [(0.7, "small"), (0.8, "large")])
def test_the_provider_is_asked_for_log_probabilities_and_the_bar_decides(
    fake: FakeProviders, bar: float, model: str, stream: bool
) -> None:
    router = Router(cascade(bar), fleet=fleet(fake), log=Log(":memory:"))
    if stream:
        said = "".join(router.stream("hello"))
        [(found,)] = router.log.query("select model from runs")  # type: ignore[union-attr]
        assert found == model
        assert said.endswith(f"{model} says so")
    else:
        run = router.route("hello").run
        assert run.answered is not None
        assert run.answered.model == model
        scored = next(e for e in run.events if isinstance(e, Scored))
        assert scored.quality == pytest.approx(math.exp(-0.3))
    assert [seen.body.get("logprobs") for seen in fake.seen] == [True, None][: 1 if model == "small" else 2]


def test_without_such_a_gate_nobody_is_asked_for_log_probabilities(fake: FakeProviders) -> None:
    config = RouteConfig(name="c", models=["small"], strategy={"kind": "fixed", "model": "small"})
    run = Router(config, fleet=fleet(fake)).route("hello").run
    assert "logprobs" not in fake.seen[0].body
    assert run.answered is not None
    assert run.answered.mean_logprob is None


def test_a_model_that_gives_none_is_refused_before_anything_is_asked(fake: FakeProviders) -> None:
    with pytest.raises(ConfigError) as trouble:
        Router(cascade(0.5), fleet=fleet(fake, small="mistral"))
    assert trouble.value.message == "strategy.gate: needs the log-probabilities of small's tokens, and one gives none"
    with pytest.raises(ConfigError, match="needs the log-probabilities of large's tokens, and two gives none"):
        Router(cascade(0.5, order=("large", "small")), fleet=fleet(fake))
    assert fake.seen == []


# Kept, and replayed


def test_the_log_has_both_figures_and_the_gate_is_read_back(fake: FakeProviders, tmp_path: Path) -> None:
    with Log(tmp_path / "log.duckdb") as log:
        router = Router(cascade(0.8), fleet=fleet(fake), log=log)
        router.route("hello")
        log.flush()
        rows = log.query("select requested_model, mean_logprob, min_logprob from calls order by attempt")
        assert rows == [("small", pytest.approx(-0.3), -0.7), ("large", None, None)]
    read = Outcomes.read(outcomes=tmp_path / "log.duckdb")
    assert {key: g.score.tolist() for key, g in read.only(["small", "large"]).gates.items()} == {
        "mean_logprob": [[pytest.approx(math.exp(-0.3)), pytest.approx(np.nan, nan_ok=True)]],
        "min_logprob": [[pytest.approx(math.exp(-0.7)), pytest.approx(np.nan, nan_ok=True)]],
    }


def test_a_log_of_the_second_version_is_read_as_it_is_and_upgraded_when_it_is_written(
    fake: FakeProviders, tmp_path: Path
) -> None:
    path = tmp_path / "log.duckdb"
    with Log(path) as log:
        Router(cascade(0.8), fleet=fleet(fake), log=log).route("hello")
    with duckdb.connect(str(path)) as con:
        for column in ("mean_logprob", "min_logprob", "template"):
            con.execute(f"alter table calls drop column {column}")
        for column in ("cache_namespace", "cache_text", "cache_label"):
            con.execute(f"alter table answers drop column {column}")
        for table in ("templates", "summaries"):
            con.execute(f"drop table {table}")
        con.execute("delete from meta where key = 'schema'")
        con.execute("insert into meta values ('schema', '2', '', null)")
    # The live gate's own score is still there; what the calls said is gone.
    assert set(Outcomes.read(outcomes=path).gates) == {"mean_logprob"}
    with Log(path) as log:
        Router(cascade(0.8), fleet=fleet(fake), log=log).route("hello again")
        log.flush()
        assert log.query("select count(*), count(mean_logprob) from calls") == [(4, 1)]


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """What the practice fleet's models said of the workbench, with the log-probabilities of its tokens."""
    with Log(tmp_path_factory.mktemp("logprob") / "log.duckdb") as log:
        lab = rl.Lab(fleet=Fleet.practice(latency=0, errors=0.05), log=log)
        found: Outcomes = lab.collect("workbench", MODELS, logprobs=True, heard=lambda headway: None)
        return found


def test_practice_is_surer_of_right_answers_than_of_wrong_ones(collected: Outcomes) -> None:
    there = ~collected.failed
    for name in ("mean_logprob", "min_logprob"):
        score = collected.gates[name].score
        assert (np.isfinite(score) == there).all()
        assert ((score[there] > 0) & (score[there] < 1)).all()
        right, wrong = (score[there & mask].mean() for mask in (collected.quality == 1, collected.quality == 0))
        assert right > wrong + 0.05
    assert (collected.gates["min_logprob"].score[there] <= collected.gates["mean_logprob"].score[there]).all()


@pytest.mark.parametrize("scorer", ["mean_logprob", "min_logprob"])
@pytest.mark.parametrize("answers", ["practice", "recorded"])
def test_a_live_run_decides_as_the_replay_does(collected: Outcomes, scorer: str, answers: str) -> None:
    config = fit(
        RouteConfig(name="c", strategy=Cascade(order=MODELS, gate={"scorer": scorer, "at_least": "fit"})), collected
    )
    replayed = walked("c", config, collected, planned)
    fleets: dict[str, Callable[[], Fleet]] = {
        "practice": lambda: Fleet.practice(latency=0, errors=0.05),
        "recorded": lambda: Fleet.recorded(collected),
    }
    router = Router(config, fleet=fleets[answers]())
    runs = [answer.run for answer in router.many(collected.prompts)]
    assert [run.answered and run.answered.model for run in runs] == [
        collected.models[k] if k >= 0 else None for k in replayed.model
    ]
    assert len(set(replayed.model.tolist())) > 1


def test_a_search_tries_the_gate_by_the_name_that_also_judges_live(collected: Outcomes) -> None:
    found = {c.name: c.arm(collected) for c in cascades(collected) if "logprob" in c.name}
    assert set(found) == {f"cascade-{name}_logprob-tol{tol:g}" for name in ("mean", "min") for tol in (0, 0.01)}
    for config in found.values():
        Router(config, fleet=Fleet.practice(latency=0))


def test_recorded_answers_without_log_probabilities_refuse_such_a_gate(collected: Outcomes) -> None:
    bare = dataclasses.replace(collected, gates={})
    with pytest.raises(
        ConfigError, match="needs the log-probabilities of qwen-local's tokens, and recorded gives none"
    ):
        Router(cascade(0.5, order=MODELS), fleet=Fleet.recorded(bare))
