"""Arms over logged choices: from a real log of a split to a verdict, and refusals where nothing can be told."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from routelab.cli import main
from routelab.config import RouteConfig
from routelab.core.errors import ConfigError, DataError, UnavailableError
from routelab.core.plan import Gate
from routelab.core.values import Message, Prompt, Reply, Request, Tokens, draw
from routelab.lab.choices import Choices
from routelab.lab.compare import Comparison
from routelab.lab.datasets import Dataset
from routelab.lab.outcomes import Outcomes
from routelab.lab.replay import replay
from routelab.lab.session import Lab
from routelab.lab.sweep import sweep
from routelab.strategies import Fixed, Random, Rules, Split
from routelab.testing import fleet

YES = {"kind": "exact", "answers": ["yes"]}
RATES = {("good", "code"): 0.9, ("good", "chat"): 0.8, ("bad", "code"): 0.3, ("bad", "chat"): 0.8}
TASKS = ("code", "chat")


def right(model: str, task: str, prompt_id: str) -> bool:
    """Say whether a model is right about a prompt: it always is, or never."""
    return draw(7, "right", model, prompt_id) < RATES[model, task]


@dataclasses.dataclass(frozen=True)
class Knows:
    """Answers right as often as its model does on the prompt's task; the dear one costs ten times as much."""

    async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
        name, prompt = request.model.name, request.prompt
        said = "yes" if right(name, prompt.task or "", prompt.id) else "no"
        cost = 0.01 if name == "good" else 0.001
        return Reply(
            text=said, served_model=name, tokens=Tokens(input=1, output=1, source="usage"), latency_s=0.1, cost_usd=cost
        )


def data(n: int) -> Dataset:
    return Dataset.of(
        [{"id": f"p{i}", "prompt": f"q {i}", "task": TASKS[i % 2], "scorer": YES} for i in range(n)], name="quiz"
    )


def truth(model: str, prompts: Any) -> float:
    return float(np.mean([right(model, p.task, p.id) for p in prompts]))


@pytest.fixture(scope="module", params=["split", "random"])
def log(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of 1,000 prompts that chance sent to one of two models."""
    path = tmp_path_factory.mktemp("log") / "log.duckdb"
    drawn = Split(weights={"good": 7, "bad": 3}) if request.param == "split" else Random()
    config = RouteConfig(name="drawn", models=["good", "bad"], strategy=drawn)
    with Lab(path, fleet=fleet({"good": Knows(), "bad": Knows()})) as lab:
        lab.compare(data(1000), {"drawn": config}, jobs=32)
    return path


ARMS: dict[str, Any] = {
    "good": Fixed(model="good"),
    "bad": Fixed(model="bad"),
    "by task": Rules(table={"code": ("good",), "chat": ("bad",)}, default=("good",), tasks="given"),
    "half": Split(weights={"good": 1, "bad": 1}),
}


def test_a_log_of_a_drawing_arm_is_replayed_off_policy_and_says_so(log: Path) -> None:
    outcomes = Outcomes.read(outcomes=log)
    assert outcomes.single_choice
    found = replay(outcomes, ARMS)
    assert found.how == "off-policy: estimated from logged choices"
    assert found.how in str(found)
    assert found.how in found._repr_mimebundle_()["text/html"]
    assert found.baseline.config == "good"
    wanted = {m: truth(m, found.prompts) for m in ("good", "bad")}
    by_task = np.mean([right("good" if p.task == "code" else "bad", p.task or "", p.id) for p in found.prompts])
    wanted |= {"by task": float(by_task), "half": (wanted["good"] + wanted["bad"]) / 2}
    for arm in found.arms:
        estimate = found.estimates[arm.name]
        assert estimate.refused is None
        assert arm.figures.quality is not None
        assert estimate.dr is not None
        assert estimate.snips is not None
        assert arm.figures.quality.value == pytest.approx(estimate.dr.value)
        for one in (estimate.dr, estimate.snips):
            assert one.se is not None
            assert abs(one.value - wanted[arm.name]) < 4 * one.se
        assert f"{arm.name}: SNIPS " in str(found)
    costs = {arm.name: arm.figures.cost_usd for arm in found.arms}
    assert costs["good"] == pytest.approx(0.01, rel=1e-3)
    assert costs["bad"] == pytest.approx(0.001, rel=0.05)
    assert costs["half"] == pytest.approx(0.0055, rel=0.1)


def test_the_command_does_the_same_and_writes_the_diagnostics(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, best = tmp_path / "result.json", tmp_path / "winner.yaml"
    assert main(["replay", "--outcomes", str(log), "--out", str(out), "--export", str(best)]) == 0
    said = capsys.readouterr().out
    assert "off-policy: estimated from logged choices" in said
    values = json.loads(out.read_text())
    assert values["method"] == "off-policy: estimated from logged choices"
    assert {arm["name"] for arm in values["arms"]} == {"good", "bad"}
    for arm in values["arms"]:
        assert arm["off_policy"]["effective_n"] > 50
        assert arm["off_policy"]["refused"] is None
        assert arm["latency_p50_s"] is None
    assert values["controls"]["oracle"] is None


def test_what_all_models_answered_is_replayed_exactly_and_says_so() -> None:
    with Lab(fleet=fleet({"good": Knows(), "bad": Knows()})) as lab:
        found = lab.replay(lab.collect(data(60)), {"good": Fixed(model="good"), "bad": Fixed(model="bad")}, confirm=0)
    assert found.how == "exact replay of recorded outcomes"
    assert found.how in str(found)
    assert not found.estimates


def test_a_collection_beside_a_split_is_no_part_of_its_choices(tmp_path: Path) -> None:
    config = RouteConfig(name="drawn", models=["good", "bad"], strategy=Split(weights={"good": 1, "bad": 1}))
    with Lab(tmp_path / "log.duckdb", fleet=fleet({"good": Knows(), "bad": Knows()})) as lab:
        lab.compare(data(400), {"drawn": config}, jobs=32)
        lab.collect(Dataset(name="quiz", prompts=data(40).prompts), ["good"])
    choices = Outcomes.read(outcomes=tmp_path / "log.duckdb").choices
    assert choices is not None
    assert len(choices) == 400
    assert set(choices.propensity) == {0.5}


def logged(
    n: int = 2000,
    *,
    seed: int = 0,
    rates: tuple[float, float] = (0.7, 0.7),
    costs: tuple[float, float] = (0.001, 0.01),
    share: Callable[[Any], Any] = lambda task: np.full(len(task), 0.5),
) -> Outcomes:
    """Return choices between `a` and `b`; `share` gives the chance of `a` for each task (0 or 1)."""
    rng = np.random.default_rng(seed)
    task = np.arange(n) % 2
    chance = share(task)
    action = (rng.random(n) >= chance).astype(np.intp)
    reward = (rng.random(n) < np.array(rates)[action]).astype(float)
    cost = np.array(costs)[action]
    quality, cost_usd = np.full((n, 2), np.nan), np.full((n, 2), np.nan)
    quality[np.arange(n), action], cost_usd[np.arange(n), action] = reward, cost
    blank = np.full((n, 2), np.nan)
    return Outcomes(
        prompts=tuple(
            Prompt(id=f"{seed}-{i}", messages=(Message(role="user", content="q"),), task=TASKS[i % 2]) for i in range(n)
        ),
        models=("a", "b"),
        quality=quality,
        cost_usd=cost_usd,
        latency_s=blank,
        input_tokens=blank,
        output_tokens=blank,
        failed=np.zeros((n, 2), dtype=np.bool_),
        cost_kind=("recorded", "recorded"),
        choices=Choices(
            models=("a", "b"),
            action=action,
            reward=reward,
            propensity=np.where(action == 0, chance, 1 - chance),
            cost_usd=cost,
            strata=task.astype(np.intp),
            row=np.arange(n, dtype=np.intp),
        ),
    )


AB: dict[str, Any] = {"a": Fixed(model="a"), "b": Fixed(model="b")}


def test_over_many_logs_the_estimates_are_right_and_their_intervals_cover() -> None:
    deltas, covered = [], 0
    for seed in range(200):
        found = replay(
            logged(600, seed=seed, rates=(0.6, 0.8), share=lambda task: np.where(task == 0, 0.8, 0.3)),
            AB,
            confirm=0,
            baseline="b",
        )
        verdict = found["a"].figures.against
        assert verdict is not None
        assert verdict.difference.low is not None
        assert verdict.difference.high is not None
        deltas.append(verdict.difference.value)
        covered += verdict.difference.low <= -0.2 <= verdict.difference.high
    off = np.mean(deltas) + 0.2
    assert abs(off) < 2 * np.std(deltas, ddof=1) / np.sqrt(len(deltas))
    assert 0.90 <= covered / 200 <= 0.99


def test_a_cheaper_arm_that_is_as_good_wins_where_the_log_is_long_enough() -> None:
    found = replay(logged(30_000), AB, baseline="b", margin=0.03)
    winner = found.winner()
    assert winner is not None
    assert winner.name == "a"
    assert found.why.startswith("adopt a: ")
    assert winner.figures.cost_ratio is not None
    assert winner.figures.cost_ratio.value == pytest.approx(0.1)
    facts = dict(found.report().rows)
    assert facts["method"] == "off-policy: estimated from logged choices"
    assert int(facts["effective_n"]) > 5000


def test_without_overlap_everything_is_refused_and_nothing_wins() -> None:
    for seed in range(40):
        found = replay(
            logged(600, seed=seed, rates=(0.9, 0.1), share=lambda task: (task == 0).astype(float)), AB, seed=seed
        )
        assert found.winner() is None
        assert {str(e)[:26] for e in found.estimates.values()} == {"refused: not identifiable:"}
        assert found.why.startswith("nothing is called a winner: a is not identifiable: ")
        assert "at least 0.05" in found.why
        assert found.baseline.name == "logged"
        assert found["a"].figures.quality is None
        assert found["a"].figures.against is None


def test_a_task_that_was_never_left_to_chance_is_not_guessed_at() -> None:
    share = lambda task: np.where(task == 0, 1.0, 0.5)  # noqa: E731
    found = replay(logged(3000, rates=(0.9, 0.1), share=share), AB, margin=0.05)
    assert found.estimates["a"].refused is None
    refused = found.estimates["b"].refused
    assert refused is not None
    assert refused.startswith("no support: the target asks b on ")
    assert found.baseline.config == "a"
    assert found.winner() is None


def test_too_few_choices_like_an_arms_own_name_no_winner() -> None:
    found = replay(logged(500, share=lambda task: np.full(len(task), 0.1)), AB, baseline="b")
    assert found.winner() is None
    assert found.why.startswith("nothing is called a winner: the baseline b is estimated from an effective ")
    assert str(found.estimates["a"].refused).startswith("the effective sample size is ")


def test_choices_without_a_chance_are_refused() -> None:
    with pytest.raises(DataError, match="not identifiable: one model a prompt was recorded, and no chance"):
        replay(dataclasses.replace(logged(), choices=None), AB)


def test_a_cascade_an_unknown_model_and_a_controls_name_are_refused() -> None:
    class Gated:
        def plan(self, asked: Any, roster: Any) -> Any:
            return dataclasses.replace(Fixed(model="a").plan(asked, roster), gate=Gate(scorer="judge", at_least=0.5))

    found = replay(logged(), {"ladder": Gated(), "z": Fixed(model="z"), "b": Fixed(model="b")})
    assert str(found.estimates["ladder"].refused).startswith("not identifiable: a cascade cannot be estimated")
    assert str(found.estimates["z"].refused).startswith("not identifiable: model 'z' has no logged choices")
    with pytest.raises(ConfigError, match="'logged': is the name of a control"):
        replay(logged(), {"logged": Fixed(model="a")})
    with pytest.raises(ConfigError, match=r"baseline: unknown 'loged'; did you mean 'logged'"):
        replay(logged(), AB, baseline="loged")


def test_what_was_served_can_be_the_baseline() -> None:
    found = replay(logged(4000, rates=(0.5, 0.9)), AB, baseline="logged", confirm=0)
    verdict = found["b"].figures.against
    assert found.baseline.figures.quality is not None
    assert found.baseline.figures.quality.value == pytest.approx(0.7, abs=0.03)
    assert verdict is not None
    assert verdict.difference.value == pytest.approx(0.2, abs=0.04)


def test_a_sweep_and_charts_of_single_prompts_are_refused() -> None:
    outcomes = logged()
    with pytest.raises(DataError, match="each prompt met one model only"):
        sweep(
            outcomes,
            RouteConfig(name="x", models=["a", "b"], strategy=Fixed(model="a")),
            {"strategy.model": ["a", "b"]},
        )
    found: Comparison = replay(outcomes, AB)
    assert found.chart("frontier") is not None
    with pytest.raises(UnavailableError, match="off-policy"):
        found.chart("cost")
