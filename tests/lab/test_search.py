"""The search: what is tried, what is learned, what may win."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.config import RouteConfig
from routelab.core.values import Message, Prompt
from routelab.lab.nomination import folds, standings
from routelab.lab.outcomes import Outcomes
from routelab.lab.replay import baseline_of, halve, planned
from routelab.lab.search import Field, search
from routelab.lab.sources import PLAIN, SOURCES, Candidate, Ladder
from routelab.lab.sources.arbitrage import THRESHOLDS, WEIGHTS, Pupil, arbitrage
from routelab.lab.sources.mixes import mixes
from routelab.lab.sources.singles import fixed, singles
from routelab.lab.sources.tasktables import table, task_tables
from routelab.lab.targets.entries import entries_of
from routelab.lab.verdict import adoptable
from routelab.stages import Endpoint
from routelab.strategies import Fixed, Rules
from routelab.testing import Scripted


def specialists(cube: Any, n: int = 1500) -> Outcomes:
    """Return a dear model that is good at everything and a cheap one that is as good at x and poor at y."""
    rng = np.random.default_rng(4)
    tasks = [("x", "y", "z")[i % 3] for i in range(n)]
    dear = rng.random(n) < 0.9
    cheap = dear & np.array([t == "x" for t in tasks])
    made: Outcomes = cube(
        np.column_stack([cheap, dear]), tasks=tasks, cost_usd=[[1, 10]] * n, models=("cheap", "dear"), dataset="d"
    )
    return made


def test_a_table_sends_each_task_to_the_cheapest_model_that_is_good_enough(cube: Any) -> None:
    config = table(specialists(cube), ("cheap", "dear"), tolerance=0.02, shrinkage=10)
    assert isinstance(config.ranking, Rules)
    assert dict(config.ranking.table) == {"x": ("cheap", "dear"), "y": ("dear",), "z": ("dear",)}
    assert config.ranking.default == ("dear",)
    assert RouteConfig.from_text(config.to_text()) == config


def test_a_task_with_one_lucky_prompt_is_shrunk_to_what_is_known_of_the_model(cube: Any) -> None:
    quality = [[0.0, 1.0]] * 60 + [[1.0, 0.0]]
    outcomes = cube(quality, tasks=["common"] * 60 + ["rare"], cost_usd=[[1, 10]] * 61)
    shrunk = table(outcomes, ("a", "b"), tolerance=0.0, shrinkage=10)
    trusting = table(outcomes, ("a", "b"), tolerance=0.0, shrinkage=1e-9)
    assert isinstance(shrunk.ranking, Rules)
    assert isinstance(trusting.ranking, Rules)
    assert (shrunk.ranking.table["rare"][0], trusting.ranking.table["rare"][0]) == ("b", "a")


@given(st.lists(st.tuples(*[st.sampled_from([0.0, 1.0])] * 3), min_size=6, max_size=20), st.data())
def test_a_wider_tolerance_never_makes_a_table_dearer_on_what_it_was_fitted_on(cube: Any, rows: Any, data: Any) -> None:
    tasks = data.draw(st.lists(st.sampled_from("xyz"), min_size=len(rows), max_size=len(rows)))
    outcomes = cube(rows, tasks=tasks, cost_usd=[[1, 2, 4]] * len(rows))
    costs = {"a": 1, "b": 2, "c": 4}

    def chosen(tolerance: float) -> dict[str, int]:
        config = table(outcomes, outcomes.models, tolerance=tolerance, shrinkage=5)
        assert isinstance(config.ranking, Rules)
        return {task: costs[ranking[0]] for task, ranking in config.ranking.table.items()}

    tight, wide = chosen(0.0), chosen(0.1)
    assert all(wide[task] <= tight[task] for task in tight)


def test_the_search_finds_the_table_counts_what_it_tried_and_confirms_it(cube: Any) -> None:
    found = search(specialists(cube), sources=PLAIN)
    winner = found.winner()
    assert winner is not None
    assert winner.name.startswith("tasks-cheap-")
    assert found.terms.arms_tried == 2 + 10 + 3
    assert found.terms.nominated is not None
    assert winner.name in found.terms.nominated
    assert {arm.name for arm in found.arms} == {"cheap", "dear", *found.terms.nominated}
    assert winner.figures.cost_ratio is not None
    assert winner.figures.cost_ratio.value == pytest.approx(0.7, abs=0.05)
    assert found.controls is not None
    assert found.controls.shuffle.of == winner.name
    assert found.controls.shuffle.lift is not None
    assert found.controls.shuffle.lift.low > 0.1  # type: ignore[operator]


def test_the_tune_figures_of_the_search_never_meet_the_confirm_split(cube: Any) -> None:
    outcomes = specialists(cube, 300)
    seen: list[set[str]] = []

    def spying(tune: Outcomes) -> Iterator[Candidate]:
        def arm(rest: Outcomes) -> RouteConfig:
            seen.append({p.id for p in rest.prompts})
            return fixed("dear")

        yield Candidate(name="spy", arm=arm)

    found = search(outcomes, sources=(singles, spying))
    assert found.outcomes is not None
    confirm = {p.id for p in found.outcomes.prompts}
    assert all(ids.isdisjoint(confirm) for ids in seen)
    whole = {p.id for p in outcomes.prompts} - confirm
    assert len([ids for ids in seen if ids < whole]) == 5  # five folds, each without its own prompts


def test_another_strategy_joins_by_being_passed_in(cube: Any) -> None:
    def source(tune: Outcomes) -> Iterator[Candidate]:
        yield Candidate(name="mine", arm=lambda _: Fixed(model="dear"), learns=False)

    assert search(specialists(cube, 300), sources=(*PLAIN, source)).terms.arms_tried == 16


def test_random_mixes_are_tried_as_controls_and_never_win(cube: Any) -> None:
    rng = np.random.default_rng(0)
    dear = rng.random(4000) < 0.9
    cheap = dear & (rng.random(4000) < 0.99)
    outcomes = cube(np.column_stack([cheap, dear]), cost_usd=[[1, 10]] * 4000)
    assert [c.control for c in mixes(outcomes)] == [True] * 3
    found = search(outcomes, sources=PLAIN)
    assert all(not arm.name.startswith("mix-") for arm in found.arms)
    assert found.terms.arms_tried == 2 + 3


def test_prompts_without_tasks_have_no_tables(cube: Any) -> None:
    assert list(task_tables(cube(np.ones((20, 2)), cost_usd=1.0))) == []
    assert list(task_tables(cube(np.ones((20, 2)), cost_usd=1.0, tasks=["x"] * 20))) == []


def test_without_a_confirm_split_the_search_names_no_winner(cube: Any) -> None:
    found = search(specialists(cube), confirm=0, sources=PLAIN)
    assert (found.winner(), found.terms.tune) == (None, 0)


def test_equal_searches_give_equal_results(cube: Any) -> None:
    one, two = (
        search(specialists(cube, 400), seed=5, sources=PLAIN),
        search(specialists(cube, 400), seed=5, sources=PLAIN),
    )
    assert one.frame.equals(two.frame)
    assert one.why == two.why


def test_on_the_recorded_tasks_a_table_is_cheaper_and_not_worse(recorded: Callable[..., Outcomes]) -> None:
    found = search(recorded("llmrouter", priced=True), sources=PLAIN)
    winner = found.winner()
    assert winner is not None
    assert winner.figures.against is not None
    assert winner.figures.against.verdict == "non-inferior"
    assert winner.figures.cost_ratio is not None
    assert winner.figures.cost_ratio.high < 0.9  # type: ignore[operator]
    assert "(costs are estimated)" in found.why


def test_on_one_task_there_is_nothing_to_route_by_and_more_prompts_are_asked_for(
    recorded: Callable[..., Outcomes],
) -> None:
    found = search(recorded("gsm8k", priced=True), sources=PLAIN)
    assert found.winner() is None
    assert "keep the baseline" in found.why


def test_on_two_axes_won_by_one_model_the_search_says_do_not_route(recorded: Callable[..., Outcomes]) -> None:
    assert search(recorded("routerarena_sub10"), sources=PLAIN).why.startswith("do not route: gemini-2.0-flash-001")


def talkers(n: int = 500, seed: int = 0) -> Outcomes:
    """Return a cheap model that is as good as the dear one at sums and useless at verse; only the text tells which is which."""
    chance = np.random.default_rng(seed)
    sums = np.arange(n) % 2 == 0
    texts = [
        f"What is {a} plus {b} minus {a}?" if easy else f"Compose a poem about the moon, {a} swans and the river."
        for easy, a, b in zip(sums, chance.integers(2, 90, n), chance.integers(2, 90, n), strict=True)
    ]
    dear = chance.random(n) < 0.9
    cheap = dear & sums
    blank = np.full((n, 2), np.nan)
    return Outcomes(
        prompts=tuple(
            Prompt(id=f"{seed}-{i}", messages=(Message(role="user", content=t),)) for i, t in enumerate(texts)
        ),
        models=("cheap", "dear"),
        quality=np.column_stack([cheap, dear]).astype(float),
        cost_usd=np.tile([1e-4, 1e-3], (n, 1)) * chance.uniform(0.8, 1.2, (n, 1)),
        latency_s=blank,
        input_tokens=blank,
        output_tokens=blank,
        failed=np.zeros((n, 2), dtype=bool),
        cost_kind=("recorded", "recorded"),
    )


def ladders(outcomes: Outcomes) -> Iterator[Ladder]:
    """Yield both ladders of a predictor without a model for its vectors."""
    pupil = Pupil(spec={"kind": "logistic", "vectors": 0.0, "l2": 10.0}, tune=outcomes)
    yield Ladder(name="words min_quality", arm=pupil.arm("min_quality", "words"), values=THRESHOLDS)
    yield Ladder(name="words cost_weight", arm=pupil.arm("cost_weight", "words"), values=(0.0, 50.0, 200.0, 1000.0))


def test_the_winner_is_the_cheapest_nominated_that_confirm_certifies_and_its_tune_figures_are_those_it_was_chosen_by() -> (
    None
):
    outcomes = talkers(1200)
    found = search(outcomes, sources=(singles, ladders))
    winner, named = found.winner(), found.terms.nominated or ()
    assert winner is not None
    able = [found[name] for name in named if adoptable(found[name])]
    assert len(able) > 1
    assert winner.tune_cost_usd == min(arm.tune_cost_usd for arm in able if arm.tune_cost_usd is not None)
    halves = halve(outcomes, 0.4, 0)
    base = found.baseline.tune
    assert base is not None
    field = Field(tune=halves.tune, baseline=base, folds=halves.folds, planner=planned)
    tried = [*singles(halves.tune), *ladders(halves.tune)]
    sums = {rung.name: rung.sums for candidate in tried for rung in field.rungs(candidate)}
    for name in named:
        held = standings(sums[name].reshape(-1, 1))
        assert found[name].tune_quality == pytest.approx(held.delta[0] + base.quality.mean())
        assert found[name].tune_cost_usd == pytest.approx(held.cost_usd[0])


def test_a_ladder_is_found_counted_by_its_values_and_exported_fitted(tmp_path: Path) -> None:
    found = search(talkers(1200), sources=(singles, ladders))
    winner = found.winner()
    assert winner is not None
    assert winner.name.startswith("words ")
    assert winner.figures.cost_ratio is not None
    assert winner.figures.cost_ratio.value == pytest.approx(0.55, abs=0.05)
    assert found.terms.arms_tried == 2 + len(THRESHOLDS) + 4
    again = RouteConfig.from_yaml(winner.to_yaml(tmp_path / "w.yaml"))
    assert again == winner.config
    asked = [Prompt.of("What is 3 plus 4 minus 3?"), Prompt.of("Compose a poem about the moon, 3 swans and the river.")]
    assert [again.names[row[0]] for row in planned(again, asked, found.outcomes.roster).order] == ["cheap", "dear"]  # type: ignore[union-attr]


def test_every_rung_of_a_ladder_stands_as_it_would_alone() -> None:
    outcomes = talkers(300)
    tune = halve(outcomes, 0.4, 0).tune
    held = baseline_of("dear", (), halve(outcomes, 0.4, 0))
    field = Field(tune=tune, baseline=held.tune or held.walked, folds=tuple(folds(tune, 0)), planner=planned)
    for ladder in ladders(tune):
        rungs = field.rungs(ladder)
        assert len(rungs) == len(ladder.values)
        for i in range(0, len(rungs), 40):
            alone = Candidate(name="alone", arm=lambda rest, i=i, of=ladder: of.member(of.arm(rest), of.values[i]))
            assert np.allclose(field.rungs(alone)[0].sums, rungs[i].sums)


def test_a_ladder_is_fitted_once_a_fold_and_never_sees_the_confirm_split(cube: Any) -> None:
    outcomes, seen = talkers(300), []

    def spying(tune: Outcomes) -> Iterator[Ladder]:
        for ladder in ladders(tune):
            inner = ladder.arm

            def arm(rest: Outcomes, inner: Any = inner) -> RouteConfig:
                seen.append({p.id for p in rest.prompts})
                config: RouteConfig = inner(rest)
                return config

            yield dataclasses.replace(ladder, arm=arm)

    found = search(outcomes, sources=(singles, spying))
    assert found.outcomes is not None
    confirm = {p.id for p in found.outcomes.prompts}
    assert all(ids.isdisjoint(confirm) for ids in seen)
    whole = {p.id for p in outcomes.prompts} - confirm
    assert len([ids for ids in seen if ids < whole]) == 2 * 5


def test_the_source_of_arbitrage_has_two_ladders_a_predictor_in_the_costs_own_size(cube: Any) -> None:
    outcomes = cube(np.ones((20, 2)), cost_usd=[[0.1, 2.0]] * 20, tasks=["x", "y"] * 10)
    found = list(arbitrage(outcomes))
    assert [ladder.name for ladder in found][:4] == [
        "lookup min_quality",
        "lookup cost_weight",
        "knn min_quality",
        "knn cost_weight",
    ]
    assert found[1].values[0] == 0.0
    assert found[1].values[-1] == pytest.approx(WEIGHTS[-1] / 2.0, rel=0.01)
    one_task = list(arbitrage(cube(np.ones((20, 2)), cost_usd=1.0)))
    assert not any(ladder.name.startswith("lookup") for ladder in one_task)
    free = list(arbitrage(cube(np.ones((20, 2)))))
    assert {ladder.values for ladder in free} == {(1.0,)}
    assert list(arbitrage(cube(np.ones((20, 1)), cost_usd=1.0))) == []
    assert arbitrage in SOURCES


def test_a_table_that_arbitrage_learned_goes_to_a_gateway(cube: Any) -> None:
    tune = specialists(cube, 600)
    pupil = Pupil(spec={"kind": "lookup", "tasks": "given"}, tune=tune)
    config = dataclasses.replace(pupil.arm("min_quality", "lookup")(tune), name="t")
    config = Ladder(name="t", arm=pupil.arm("min_quality", "lookup"), values=(0.8,)).member(config, 0.8)
    endpoints = {m: Endpoint(provider=Scripted(), model=tune.roster.models[k]) for k, m in enumerate(tune.models)}
    table = entries_of(config, endpoints)
    assert {e.task: e.ranking for e in table.tasks} == {"x": ("cheap", "dear"), "y": ("dear",), "z": ("dear",)}
    assert table.default.ranking == ("dear",)
