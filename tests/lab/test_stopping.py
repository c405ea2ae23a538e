"""A live comparison that stops when it is decided: it saves money, and it is not fooled by looking."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from routelab.core.errors import ConfigError
from routelab.core.values import Prompt, Reply, Request, Tokens, draw
from routelab.lab.datasets import Dataset
from routelab.lab.sequential import anytime_non_inferiority
from routelab.lab.session import Lab
from routelab.lab.stopping import Decided, beginning
from routelab.testing import Scripted, fleet

YES = {"kind": "exact", "answers": ["yes"]}


class Half:
    """Right on a share of the prompts, drawn by name; the dear one costs ten times as much."""

    def __init__(self, share: float, cost_usd: float) -> None:
        self.share, self.cost_usd, self.calls = share, cost_usd, 0

    async def complete(self, request: Request, emit: Callable[[str], None]) -> Reply:
        self.calls += 1
        said = "yes" if draw(3, request.model.name, request.prompt.id) < self.share else "no"
        return Reply(
            text=said,
            served_model=request.model.name,
            tokens=Tokens(input=1, output=1, source="usage"),
            latency_s=0.1,
            cost_usd=self.cost_usd,
        )


def data(n: int, **more: Any) -> Dataset:
    return Dataset.of(
        [{"id": f"p{i}", "prompt": f"question {i}", "scorer": YES, **more} for i in range(n)], name="quiz"
    )


def test_a_clear_difference_ends_the_trial_early_and_says_what_was_not_spent() -> None:
    dear, cheap = Half(0.9, 0.01), Half(0.2, 0.001)
    with Lab(fleet=fleet({"dear": dear, "cheap": cheap})) as lab:
        found = lab.compare(data(1000), ["dear", "cheap"], margin=0.1, stop="decided", jobs=4)
    assert dear.calls < 200
    n = found.terms.confirm
    assert 20 <= n <= dear.calls
    assert found.terms.final
    assert found.how == "live, arms interleaved; anytime-valid intervals"
    verdict = found["cheap"].figures.against
    assert verdict is not None
    assert verdict.verdict == "worse"
    assert verdict.difference.method == "confidence sequence"
    [note] = found.terms.notes
    assert f"decided after {n} of 1,000 prompts, about ${0.011 * (1000 - n):.2f} not spent" in note
    assert found.why.endswith("; anytime-valid: it holds although the trial was watched and could stop")


def test_an_arm_that_is_as_good_and_cheaper_is_adopted_at_an_early_look() -> None:
    with Lab(fleet=fleet({"dear": Half(1.0, 0.01), "cheap": Half(0.995, 0.001)})) as lab:
        found = lab.compare(data(2000), ["dear", "cheap"], margin=0.05, stop="decided", jobs=4)
    winner = found.winner()
    assert winner is not None
    assert (winner.name, found.terms.confirm < 1500) == ("cheap", True)
    assert winner.figures.cost_ratio is not None
    assert winner.figures.cost_ratio.method == "confidence sequence"


def test_what_is_never_decided_is_asked_to_the_end_and_says_so() -> None:
    arms = {"dear": Half(0.5, 0.01), "cheap": Half(0.5, 0.001)}
    with Lab(fleet=fleet(arms)) as lab:
        found = lab.compare(data(100), ["dear", "cheap"], margin=0.02, stop="decided")
    assert (found.terms.confirm, arms["dear"].calls) == (100, 100)
    assert "not decided after 100 prompts" in found.terms.notes[0]
    assert found.winner() is None


def test_without_the_word_every_prompt_is_asked_and_the_intervals_are_those_of_one_look() -> None:
    dear = Half(0.9, 0.01)
    with Lab(fleet=fleet({"dear": dear, "cheap": Half(0.2, 0.001)})) as lab:
        found = lab.compare(data(120), ["dear", "cheap"], margin=0.1)
        with pytest.raises(ConfigError, match="stop: unknown 'soon'"):
            lab.compare(data(1), ["dear"], stop="soon")  # type: ignore[arg-type]
    assert (dear.calls, found.terms.anytime) == (120, False)


class Played:
    """A trial whose answers are there, in its order, up to a point."""

    def __init__(self, **quality: Any) -> None:
        n = len(next(iter(quality.values())))
        self.prompts = tuple(Prompt(id=f"p{i}", messages=()) for i in range(n))
        self.order = list(range(n))
        self._had = {arm: [_answer(float(q)) for q in row] for arm, row in quality.items()}
        self.answers: dict[str, list[Any]] = {arm: [None] * n for arm in quality}

    def finish(self, n: int) -> None:
        for arm, row in self.answers.items():
            row[:n] = self._had[arm][:n]

    def rows(self, arm: str, which: Any) -> list[Any]:
        return [self._had[arm][i] for i in which]


def _answer(quality: float) -> Any:
    run = SimpleNamespace(id="", attempts=(), events=(), recalled=None)
    return SimpleNamespace(quality=quality, error=None, model=None, cost_usd=0.0, latency_s=0.0, cached=False, run=run)


def test_prompts_that_were_finished_out_of_order_wait_for_the_ones_before_them() -> None:
    trial: Any = Played(a=np.ones(5), b=np.ones(5))
    trial.finish(5)
    trial.answers["b"][2] = None
    assert beginning(trial) == (0, 1)
    trial.answers["b"][2] = 0
    assert beginning(trial) == (0, 1, 2, 3, 4)


def test_a_group_is_not_cut_in_two() -> None:
    with Lab(fleet=fleet({"a": Scripted("yes"), "b": Scripted("no")})) as lab:
        rows = [{"id": f"p{i}", "prompt": f"q {i}", "scorer": YES, "group": f"g{i // 5}"} for i in range(300)]
        found = lab.compare(Dataset.of(rows, name="g"), ["a", "b"], margin=0.1, stop="decided", jobs=3)
    groups = [p.group for p in found.prompts]
    assert {groups.count(g) for g in groups} == {5}
    assert found.terms.confirm < 300


def test_a_loss_of_the_margin_is_certified_at_any_look_as_rarely_as_stated() -> None:
    rounds = 150
    rng = np.random.default_rng(12)
    wrong = settled = 0
    for _ in range(rounds):
        pair = rng.random(600)
        trial: Any = Played(
            base=pair < 0.8, arm=np.where(rng.random(600) < 0.125, 0.0, pair < 0.8)
        )  # a true loss of 0.1
        rule = Decided(baseline="base", margin=0.1)
        for n in range(20, 601, 20):
            trial.finish(n)
            if rule(trial):
                break
        difference = np.array([a.quality for a in trial.rows("arm", rule.prompts)]) - np.array(
            [a.quality for a in trial.rows("base", rule.prompts)]
        )
        verdict = anytime_non_inferiority(difference, 0.1).verdict
        wrong += rule.decided and verdict == "non-inferior"
        settled += rule.decided
    assert wrong / rounds <= 0.065
    assert settled > 0.9 * rounds  # it is worse, and that is found out
