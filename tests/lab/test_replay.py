"""The split, the fitting, the verdict's family and the sentences, on cubes and on the recorded data."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.config import RouteConfig
from routelab.core.errors import ConfigError, DataError
from routelab.core.plan import Gate, Plan
from routelab.core.values import Prompt, Roster
from routelab.lab.compare import same
from routelab.lab.outcomes import Outcomes
from routelab.lab.replay import held_out, replay
from routelab.lab.statistics import mean, quality_mean
from routelab.strategies import Arbitrage, Fixed, Random, Rules

NAN = float("nan")
JUDGED = Gate(scorer="judge", at_least=0.5, spec={"model": "referee"})


@dataclasses.dataclass(frozen=True)
class Oracle:
    """Knows what was recorded; what it saw is the test's business."""

    seen: tuple[str, ...] = ()

    def fit(self, outcomes: Any) -> Oracle:
        return Oracle(seen=tuple(p.id for p in outcomes.prompts))

    def plan(self, prompts: Sequence[Prompt], roster: Roster) -> Plan:
        return Fixed(model=roster.names[0]).plan(prompts, roster)


@dataclasses.dataclass(frozen=True)
class Gated:
    """Cheapest first, with a judge."""

    def plan(self, prompts: Sequence[Prompt], roster: Roster) -> Plan:
        order = np.tile(np.arange(len(roster), dtype=np.intp), (len(prompts), 1))
        plan = Fixed(model=roster.names[0]).plan(prompts, roster)
        return dataclasses.replace(plan, order=order, gate=JUDGED)


def two_tiers(cube: Any, n: int = 1000, *, gap: float = 0.0, **given_: Any) -> Outcomes:
    """Return a cheap and a dear model; the cheap one is wrong on a share of `gap` of what the dear one gets right."""
    rng = np.random.default_rng(1)
    dear = (rng.random(n) < 0.8).astype(float)
    cheap = dear * (rng.random(n) >= gap)
    made: Outcomes = cube(
        np.column_stack([cheap, dear]), **{"cost_usd": [[1, 10]] * n, "models": ("cheap", "dear"), **given_}
    )
    return made


@given(st.integers(0, 99), st.floats(0.05, 0.95))
def test_a_prompts_side_depends_on_itself_and_the_seed_only(seed: int, confirm: float) -> None:
    prompts = [Prompt(id=f"p{i}", messages=(), group=f"g{i % 7}" if i % 3 else None) for i in range(60)]
    held = held_out(prompts, confirm, seed)
    assert held[::-1].tolist() == held_out(prompts[::-1], confirm, seed).tolist()
    by_group: dict[str, set[bool]] = {}
    for prompt, side in zip(prompts, held, strict=True):
        by_group.setdefault(prompt.group or prompt.id, set()).add(bool(side))
    assert all(len(sides) == 1 for sides in by_group.values())


def test_the_confirm_share_is_about_what_was_asked_for() -> None:
    prompts = [Prompt(id=str(i), messages=()) for i in range(4000)]
    assert held_out(prompts, 0.4, 0).mean() == pytest.approx(0.4, abs=0.02)


def test_what_learns_sees_the_tune_split_only(cube: Any) -> None:
    outcomes = two_tiers(cube, 200)
    found = replay(outcomes, {"o": Oracle()})
    assert found.outcomes is not None
    confirm = {p.id for p in found.outcomes.prompts}
    assert set(found["o"].config.seen) == {p.id for p in outcomes.prompts} - confirm
    assert (found.terms.tune, found.terms.confirm) == (200 - len(confirm), len(confirm))


def test_a_config_plans_as_its_live_route_does_and_falls_back_when_a_model_failed(cube: Any) -> None:
    failed = np.zeros((50, 3))
    failed[:, 1] = 1
    outcomes = cube(np.ones((50, 3)), failed=failed, cost_usd=[[1, 2, 4]] * 50)
    config = RouteConfig(name="x", models=["b"], strategy={"kind": "fixed", "model": "b"}, fallbacks={"b": ["c"]})
    found = replay(outcomes, {"x": config}, confirm=0)["x"]
    assert set(found.walked.model) == {2}
    assert set(found.walked.cost_usd) == {6.0}
    assert set(found.walked.attempts) == {2}


def test_a_cheaper_arm_that_loses_nothing_is_adopted(cube: Any) -> None:
    found = replay(two_tiers(cube, 2000, gap=0.002), {"cheap": Fixed(model="cheap"), "dear": Fixed(model="dear")})
    winner = found.winner()
    assert winner is not None
    assert winner.name == "cheap"
    assert found.why.startswith("adopt cheap: quality ")
    assert "at 10 % (10 to 10 %) of its cost" in found.why
    assert "it asks one model for everything, so there is nothing to route" in found.why


def test_a_cheaper_arm_that_loses_is_worse_and_the_baseline_is_kept(cube: Any) -> None:
    found = replay(two_tiers(cube, gap=0.2), {"cheap": Fixed(model="cheap")})
    assert found["cheap"].figures.against is not None
    assert found["cheap"].figures.against.verdict == "worse"
    assert (found.winner(), found.why[:40]) == (None, "keep the baseline dear (best-single): ev")


def test_too_few_prompts_say_about_how_many_more_are_needed(cube: Any) -> None:
    found = replay(two_tiers(cube, 150, gap=0.04), {"cheap": Fixed(model="cheap")})
    verdict = found["cheap"].figures.against
    assert verdict is not None
    assert (verdict.verdict, found.winner()) == ("inconclusive", None)
    assert found.why.startswith("you need about ")
    assert found.why.endswith("keep the baseline until then")


def test_without_costs_nothing_is_called_cheaper(cube: Any) -> None:
    found = replay(two_tiers(cube, 2000, cost_usd=NAN), {"cheap": Fixed(model="cheap")}, baseline="dear", margin=0.05)
    assert found.winner() is None
    assert "costs are not known, so no arm can be called cheaper" in found.why


def test_an_arm_with_one_unknown_cost_is_not_cheaper(cube: Any) -> None:
    costs = np.tile([1.0, 10.0], (400, 1))
    costs[::50, 0] = NAN
    found = replay(two_tiers(cube, 400, cost_usd=costs), {"cheap": Fixed(model="cheap")}, baseline="dear")
    figures = found["cheap"].figures
    assert 0 < figures.cost_known < figures.n
    assert (figures.cost_usd, figures.cost_ratio, found.winner()) == (1.0, None, None)
    assert "not every cost is known" in found.why


def test_one_model_that_is_best_and_cheapest_means_do_not_route(cube: Any) -> None:
    outcomes = two_tiers(cube, 500, gap=0.3, cost_usd=[[10, 1]] * 500)
    found = replay(outcomes, {"random": Random(models=("cheap", "dear"))})
    assert found.winner() is None
    assert found.why.startswith("do not route: dear is both the best (")
    assert found.why.endswith("; keep the baseline dear (best-single)")


def test_without_a_confirm_split_nothing_wins(cube: Any) -> None:
    found = replay(two_tiers(cube, 2000), {"cheap": Fixed(model="cheap")}, confirm=0, baseline="dear")
    assert (found.winner(), found.terms.tune, found.terms.confirm) == (None, 0, 2000)
    assert found.why.startswith("nothing is called a winner: there is no confirm split")


def test_what_is_simulated_is_called_so(cube: Any) -> None:
    found = replay(two_tiers(cube, 2000, simulated=True), {"cheap": Fixed(model="cheap")}, baseline="dear")
    assert found.why.startswith("simulated: adopt cheap")
    assert found.frame["simulated"].tolist() == [True]
    assert repr(found).startswith("SIMULATED data")


def test_better_quality_at_no_higher_cost_wins_too(cube: Any) -> None:
    rng = np.random.default_rng(0)
    tasks = ["x" if i % 2 else "y" for i in range(1000)]
    good = rng.random((1000, 1)) < 0.9
    knows_x = np.array([[t == "x"] for t in tasks])
    outcomes = cube(np.hstack([good & knows_x, good & ~knows_x]), tasks=tasks, cost_usd=1.0)
    rules = Rules(table={"x": ("a",), "y": ("b",)}, patterns={}, tasks="given")
    found = replay(outcomes, {"rules": rules})
    winner = found.winner()
    assert winner is not None
    assert winner.figures.cost_ratio is not None
    assert (winner.name, winner.figures.cost_ratio.value) == ("rules", 1.0)
    assert "it needs every prompt to come with its task" in found.why


def test_the_baseline_under_another_name_is_no_question_and_no_winner(cube: Any) -> None:
    found = replay(two_tiers(cube, 300, gap=0.3), {"dear": Fixed(model="dear")})
    assert same(found["dear"].walked, found.baseline.walked)
    row = found.frame.iloc[0]
    assert (row.verdict, row.quality_delta, row.quality_delta_low, row.cost_ratio_high) == ("non-inferior", 0, 0, 1)
    assert (row.p_adjusted, found.winner()) == (1.0, None)


def test_clusters_widen_the_intervals(cube: Any) -> None:
    rng = np.random.default_rng(2)
    hard = np.repeat(rng.random(60) < 0.3, 10)
    quality = np.column_stack([~hard, np.ones(600)])
    alone = replay(cube(quality, cost_usd=[[1, 10]] * 600), {"a": Fixed(model="a")}, confirm=0)
    groups = [f"g{i // 10}" for i in range(600)]
    together = replay(cube(quality, cost_usd=[[1, 10]] * 600, groups=groups), {"a": Fixed(model="a")}, confirm=0)

    def width(comparison: Any) -> float:
        row = comparison.frame.iloc[0]
        return float(row.quality_delta_high - row.quality_delta_low)

    assert width(together) > 2 * width(alone)


def test_an_arm_that_was_hardly_recorded_gets_no_verdict(cube: Any) -> None:
    quality = np.ones((400, 2))
    quality[100:, 0] = NAN
    found = replay(cube(quality, cost_usd=[[1, 10]] * 400), {"a": Fixed(model="a")}, confirm=0)["a"].figures
    assert found.against is not None
    assert (found.n, found.against.verdict) == (100, "inconclusive")
    assert found.against.difference.note == "recorded for 100 of 400 prompts only"


def test_a_gate_uses_its_recorded_scores_and_needs_them(cube: Any) -> None:
    scores = np.column_stack([np.arange(40) % 2, np.ones(40)])
    outcomes = cube(np.ones((40, 2)), cost_usd=[[1, 10]] * 40, gates={JUDGED.key: scores})
    found = replay(outcomes, {"cascade": Gated()}, confirm=0)["cascade"].walked
    assert (found.cost_usd.tolist()[:2], found.escalations.tolist()[:2]) == ([11.0, 1.0], [1, 0])
    with pytest.raises(DataError, match="arm 'cascade': its gate needs what judge gave"):
        replay(cube(np.ones((40, 2))), {"cascade": Gated()}, confirm=0)


@pytest.mark.parametrize(
    ("given_", "error", "message"),
    [
        (
            {"arms": {"x": Fixed(model="deer")}},
            DataError,
            "arm 'x': model 'deer' has no recorded outcomes; did you mean 'dear'",
        ),
        ({"arms": {"oracle": Fixed(model="dear")}}, ConfigError, "arm 'oracle': is the name of a control"),
        ({"arms": {"x": 3}}, ConfigError, "int is neither a RouteConfig nor a strategy"),
        ({"baseline": "deer"}, ConfigError, "baseline: unknown 'deer'; did you mean 'dear'"),
        ({"confirm": 1.0}, ConfigError, "confirm: must be at least 0 and less than 1, not 1.0"),
        ({"confirm": -0.1}, ConfigError, "confirm: must be"),
        ({"confirm": NAN}, ConfigError, "confirm: must be"),
        ({"margin": 0.0}, ConfigError, "margin: must lie between 0 and 1, not 0.0"),
    ],
)
def test_what_cannot_be_replayed_is_said_in_one_line(cube: Any, given_: Any, error: type, message: str) -> None:
    arms = given_.pop("arms", {"dear": Fixed(model="dear")})
    with pytest.raises(error) as trouble:
        replay(two_tiers(cube, 30), arms, **given_)
    assert trouble.value.message.startswith(message)
    assert "\n" not in trouble.value.message


def test_too_few_prompts_to_split_are_said(cube: Any) -> None:
    with pytest.raises(DataError, match="1 prompts cannot be split"):
        replay(two_tiers(cube, 1), {"dear": Fixed(model="dear")})
    with pytest.raises(DataError, match="no quality was recorded"):
        replay(cube([[NAN]] * 9), {"a": Fixed(model="a")})


def test_with_a_true_loss_of_the_margin_a_wrong_winner_is_rare_however_many_arms_are_tried(cube: Any) -> None:
    rng = np.random.default_rng(11)
    wrong = 0
    for trial in range(150):
        best = (rng.random((250, 1)) < 0.9).astype(float)
        rivals = np.where(rng.random((250, 8)) < 0.1 / 0.9, 0.0, best)  # each loses a tenth: the margin
        outcomes = cube(np.hstack([best, rivals]), cost_usd=[[10, *[1] * 8]] * 250)
        found = replay(
            outcomes,
            {m: Fixed(model=m) for m in outcomes.models[1:]},
            margin=0.1,
            baseline="a",
            confirm=0.5,
            seed=trial,
        )
        wrong += found.winner() is not None
    assert wrong / 150 <= 0.025 + 3 * (0.025 * 0.975 / 150) ** 0.5


def test_the_chosen_of_twenty_looks_too_good_on_tune_and_is_covered_on_confirm() -> None:
    """The winner's curse: 20 equal arms of true quality .8, correlated at .36, so that the best looks √.64·σ·1.87 better."""
    rng = np.random.default_rng(12)
    naive = honest = 0
    optimism = []
    for _ in range(600):
        easy = rng.random((400, 1))
        quality = (np.where(rng.random((400, 20)) < 0.6, easy, rng.random((400, 20))) < 0.8).astype(float)
        tune, confirm = quality[:200], quality[200:]
        chosen = int(tune.mean(axis=0).argmax())
        looks, holds = mean(tune[:, chosen]), quality_mean(confirm[:, chosen])
        naive += looks.low <= 0.8 <= looks.high  # type: ignore[operator]
        honest += holds.low <= 0.8 <= holds.high  # type: ignore[operator]
        optimism.append(looks.value - holds.value)
    assert np.mean(optimism) == pytest.approx(0.8 * (0.16 / 200) ** 0.5 * 1.87, abs=0.005)
    assert naive / 600 < 0.7
    assert 0.93 <= honest / 600 <= 0.975


def test_the_frame_has_a_row_an_arm_and_knows_what_it_does_not_know(recorded: Callable[..., Outcomes]) -> None:
    outcomes = recorded("gsm8k")
    frame = replay(outcomes, {m: Fixed(model=m) for m in outcomes.models}).frame
    assert frame["arm"].tolist() == list(outcomes.models)
    assert frame["cost_usd"].isna().all()
    assert frame["latency_p95_s"].isna().all()
    assert (frame["cost_known"] == 0).all()
    assert set(frame["verdict"]) <= {"non-inferior", "worse", "inconclusive"}


def test_the_regression_in_the_function_calls_is_flagged(recorded: Callable[..., Outcomes]) -> None:
    outcomes = recorded("bfcl_2024-08-11")
    found = replay(outcomes, {m: Fixed(model=m) for m in outcomes.models}, baseline="gpt-4o-2024-05-13")
    row = found.frame.set_index("arm").loc["gpt-4o-2024-08-06"]
    assert row.verdict == "worse"
    assert row.quality_delta_high < -0.5
    assert row.cost_ratio < 1
    winner = found.winner()
    assert winner is None or winner.name != "gpt-4o-2024-08-06"


def test_where_one_model_wins_on_both_axes_the_advice_is_not_to_route(recorded: Callable[..., Outcomes]) -> None:
    outcomes = recorded("routerarena_sub10")
    for seed in range(5):
        found = replay(outcomes, {m: Fixed(model=m) for m in outcomes.models}, seed=seed)
        assert found.winner() is None
        assert "do not route: gemini-2.0-flash-001 is both the best" in found.why


def test_what_was_fitted_before_is_judged_as_it_is_and_what_was_not_learns_on_tune(cube: Any) -> None:
    tasks = ["x", "y"] * 200
    right = np.array([[1.0, 0.0], [0.0, 1.0]] * 200)
    given = {"tasks": tasks, "cost_usd": [[1, 1]] * 400, "models": ("one", "two")}
    truth, wrong = cube(right, **given), cube(1 - right, **given)
    new = Arbitrage(predictor={"kind": "lookup", "tasks": "given"}, min_quality=0.5)
    config = RouteConfig(name="lookup", models=("one", "two"), strategy=new)
    misled = dataclasses.replace(config, strategy=new.fit(wrong))
    found = replay(truth, {"fresh": config, "exported": misled})
    assert [found[name].walked.quality.mean() for name in ("fresh", "exported")] == [1.0, 0.0]
    assert found["exported"].config == misled
