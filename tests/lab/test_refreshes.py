"""What caches ask for again during an experiment: paid, told, in the budget, and no arm's answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from routelab.answer import Answer
from routelab.config import RouteConfig
from routelab.core.errors import ServerFailed
from routelab.core.events import Answered, Scored
from routelab.core.run import Run
from routelab.core.values import Message, Prompt, Reply, Request, Tokens
from routelab.lab import Dataset, Lab
from routelab.lab import trial as trials
from routelab.lab.logged import choices_of_query, outcomes_of_query
from routelab.lab.refreshes import Refreshes, refreshes_of
from routelab.panels.reopened import experiments, reopened
from routelab.testing import Scripted, fleet
from routelab.testing.logs import STARTED_AT

STALE = {"exact": True, "ttl_s": 1e-6, "stale_s": 3600}
QUESTION = (Message(role="user", content="the same question"),)
ASKED_TWICE = Dataset(
    name="twice", prompts=tuple(Prompt(id=f"p{i}", messages=QUESTION, reference="42") for i in range(2))
)
COST_USD = 15e-6


def config(**about: Any) -> RouteConfig:
    return RouteConfig(
        **{
            "name": "a",
            "strategy": {"kind": "fixed", "model": "m"},
            "cache": STALE,
            "prompt": {"max_output_tokens": 5},
            **about,
        }
    )


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab(fleet=fleet({"m": Scripted(*(f"answer {i}" for i in range(100)))})) as made:
        yield made


def note(comparison: Any) -> list[str]:
    return [n for n in comparison.terms.notes if n.startswith("stale answers")]


def test_a_comparison_says_what_refreshes_cost_and_no_arm_pays_for_them(lab: Lab) -> None:
    found = lab.compare(ASKED_TWICE, arms={"cached": config(), "plain": config(cache={})}, jobs=1)
    assert note(found) == [
        "stale answers of caches were asked for again in the background once: $0.0000150, in no arm's cost"
    ]
    costs = {arm: sum(a.cost_usd or 0.0 for a in rows) for arm, rows in found.answers.items()}
    assert costs == {"cached": pytest.approx(COST_USD), "plain": pytest.approx(2 * COST_USD)}
    assert lab.sql("select sum(cost_usd) as usd from runs")["usd"].tolist() == [pytest.approx(4 * COST_USD)]


def test_a_comparison_without_refreshes_says_nothing(lab: Lab) -> None:
    assert note(lab.compare(ASKED_TWICE, arms={"a": config(cache={"exact": True}), "b": "m"}, jobs=1)) == []


def test_refreshes_are_in_the_progress_and_in_the_budget(lab: Lab) -> None:
    arms = {"cached": config(), "plain": config(cache={})}
    made = lab.experiment(ASKED_TWICE, arms, budget_usd=1.0)
    asyncio.run_coroutine_threadsafe(made.play(jobs=1), _loop()).result(timeout=60)
    assert (made.progress.done, made.progress.unpriced) == (4, 0)
    assert made.progress.spent_usd == pytest.approx(4 * COST_USD)
    purse = next(iter(made.trial.routers.values())).setting.purse
    assert purse.spent_usd == pytest.approx(4 * COST_USD)  # type: ignore[union-attr]


def _loop() -> Any:
    from routelab.engine import shared

    engine = shared()
    engine.wait(asyncio.sleep(0))
    return engine._loop


class Slow:
    """Answers at once, and from the second time on never."""

    def __init__(self) -> None:
        self.asked = 0

    async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
        self.asked += 1
        if self.asked > 1:
            await asyncio.sleep(3600)
        return Reply(text="42", served_model="m", tokens=Tokens(input=10, output=5, source="usage"), latency_s=0.1)


def test_a_refresh_that_is_cut_off_at_the_end_costs_nobody_knows_how_much(monkeypatch: pytest.MonkeyPatch) -> None:
    settle = trials.Router.settle
    monkeypatch.setattr(trials.Router, "settle", lambda self: settle(self, 0.05))
    with Lab(fleet=fleet({"m": Slow(), "n": Scripted("x")})) as lab:
        plain = config(strategy={"kind": "fixed", "model": "n"}, cache={})
        found = lab.compare(ASKED_TWICE, arms={"cached": config(), "plain": plain}, jobs=1)
        said = (
            "stale answers of caches were asked for again in the background once: an unknown amount, in no arm's cost"
        )
        assert note(found) == [said]
        assert refreshes_of(lab.log, str(found.tags["experiment"])) == Refreshes(n=1, usd=0.0, unknown=1)


def test_a_comparison_that_is_read_back_has_the_requests_and_the_same_note(tmp_path: Path) -> None:
    with Lab(tmp_path / "log.duckdb", fleet=fleet({"m": Scripted(*"abcdefgh")})) as lab:
        found = lab.compare(ASKED_TWICE, arms={"cached": config(), "plain": config(cache={})}, jobs=1)
        [played] = experiments(lab.log)
        assert played.runs == 4
        again = reopened(lab.log, played.id)
        assert note(again) == note(found) != []
        told, live = ({arm: {a.id for a in rows} for arm, rows in c.answers.items()} for c in (again, found))
        assert told == live


def test_a_refresh_that_fails_is_nobodys_outcome(tmp_path: Path) -> None:
    drawn = {"kind": "split", "weights": {"m": 0.5, "n": 0.5}}
    provider = Scripted("42", *[ServerFailed("500")] * 9)
    with Lab(tmp_path / "log.duckdb", fleet=fleet({"m": provider, "n": provider})) as lab:
        router = lab.router(config(strategy=drawn, limits={"retries": 0}), scorer={"kind": "exact", "answers": ["42"]})
        for prompt in ASKED_TWICE.prompts[:1] * 2:
            router.route(prompt)
        router.close()
        lab.memory.close()
        assert lab.sql("select status from runs order by status")["status"].tolist() == [
            "answered", "recalled", "unanswered"
        ]  # fmt: skip
        [answer] = lab.log.answers_for()
        assert (answer.status, answer.quality) == ("answered", 1.0)
        outcomes = outcomes_of_query(lab.log.query)
        assert (outcomes.quality.tolist(), outcomes.failed.tolist()) == ([[1.0]], [[False]])
        choices, _ = choices_of_query(lab.log.query)
        assert choices.reward.tolist() == [1.0]


def an_answer(cost_usd: float | None, judging_usd: float | None = 0.0) -> Answer:
    said = Answered(model="m", served_model="m", provider="p", text="x", cost_usd=cost_usd)
    verdict = Scored(scorer="judge", quality=1.0, model="m", judge="j", cost_usd=judging_usd)
    run = Run(id="r", prompt=Prompt.of("q"), started_at=STARTED_AT, events=(said, verdict))
    return Answer(run)


def test_costs_add_up_with_measuring_and_unknown_ones_are_counted() -> None:
    seen = Refreshes()
    for cost, judging in ((0.5, 0.25), (None, 0.25), (1.0, None)):
        seen = seen.plus(an_answer(cost, judging))
    assert seen == Refreshes(n=3, usd=2.0, unknown=2)
    assert "3 times: at least $2.00 (2 not known)" in seen.notes[0]
    assert seen.plus(Answer(Run(id="r", prompt=Prompt.of("q"), started_at=STARTED_AT))) == seen
