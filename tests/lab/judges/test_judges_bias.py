"""What moves a judge besides the answer: order, length, family; against simulations and statsmodels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st

from routelab.core.errors import DataError
from routelab.lab.judges import (
    Duel,
    Judged,
    Mark,
    family,
    first_position,
    kin,
    length_slope,
    pairs,
    repeat_change,
    self_family,
    swap_flips,
    win_rate,
)
from routelab.lab.judges.robust import logistic, slope


def duel(prompt: str, first: str, second: str, winner: Any, **more: Any) -> Duel:
    return Duel(prompt_id=prompt, first=first, second=second, judge=more.pop("judge", "j"), winner=winner, **more)


def mark(prompt: str, model: str, quality: float | None, **more: Any) -> Mark:
    return Mark(prompt_id=prompt, model=model, judge=more.pop("judge", "j"), quality=quality, **more)


def biased(n: int, *, better: float, bias: float, seed: int) -> Judged:
    """Return both orders of n pairs; with probability `bias` the judge takes whatever stands first, else what is better."""
    rng = np.random.default_rng(seed)
    a_is_better = rng.random(n) < better
    blind = rng.random((n, 2)) < bias
    duels = []
    for i in range(n):
        for k, (first, second) in enumerate((("a", "b"), ("b", "a"))):
            honest = "first" if (first == "a") == a_is_better[i] else "second"
            duels.append(duel(f"p{i}", first, second, "first" if blind[i, k] else honest))
    return Judged(duels=tuple(duels))


@pytest.mark.parametrize(
    ("n", "worlds"), [(2_000, 20), pytest.param(20_000, 50, marks=pytest.mark.soak)], ids=["short", "soak"]
)
def test_thirty_percent_first_position_bias_moves_the_final_win_rate_by_less_than_a_point(
    n: int, worlds: int, request: pytest.FixtureRequest
) -> None:
    if worlds == 50 and "soak" not in request.config.getoption("markexpr"):
        pytest.skip("the full version runs with -m soak")
    found = [win_rate(biased(n, better=0.5, bias=0.3, seed=s), "a", "b") for s in range(worlds)]
    half, single = np.mean([w.half.value for w in found]), np.mean([w.single.value for w in found])
    assert abs(half - 0.5) < 0.01
    assert single - 0.5 > 0.13  # the test has teeth: one order alone is off by fifteen points


@pytest.mark.parametrize("better", [0.35, 0.6, 0.75])
def test_pairs_on_which_the_orders_agree_have_no_position_bias_where_disagreement_as_a_tie_shrinks(
    better: float,
) -> None:
    found = [win_rate(biased(3_000, better=better, bias=0.3, seed=s), "a", "b") for s in range(10)]
    assert abs(np.mean([w.agreed.value for w in found]) - better) < 0.01
    assert np.mean([w.half.value for w in found]) == pytest.approx(0.7 * better + 0.15, abs=0.01)


def test_the_flip_rate_and_the_first_position_rate_show_the_bias_that_was_put_in() -> None:
    judged = biased(4_000, better=0.6, bias=0.3, seed=1)
    flips, first = swap_flips(judged), first_position(judged)
    assert flips.low is not None
    assert flips.high is not None
    assert flips.low < 0.3 < flips.high
    assert first.low is not None
    assert first.high is not None
    assert first.low < 0.65 < first.high
    honest = biased(4_000, better=0.6, bias=0.0, seed=1)
    assert swap_flips(honest).value == 0.0
    assert first_position(honest).value == 0.5


def test_a_win_that_becomes_a_tie_is_a_flip_and_two_ties_are_not() -> None:
    judged = Judged(
        duels=(
            duel("p1", "a", "b", "first"),
            duel("p1", "b", "a", "tie"),
            duel("p2", "a", "b", "tie"),
            duel("p2", "b", "a", "tie"),
            duel("p3", "a", "b", "first"),
            duel("p3", "b", "a", "second"),
            duel("p4", "a", "b", None),
            duel("p4", "b", "a", "first"),
        )
    )
    assert swap_flips(judged).value == pytest.approx(1 / 3)
    assert [(p.share, p.agreed, p.both) for p in pairs(judged.duels)] == [
        (0.5, False, True),
        (0.5, True, True),
        (1.0, True, True),
        (0.0, True, False),
    ]
    rate = win_rate(judged, "b", "a")
    assert (rate.half.value, rate.agreed.value, rate.single.value, rate.one_order) == (
        pytest.approx(1 / 3),
        0.25,
        pytest.approx((0.5 + 0.5 + 0.0) / 3),
        1,
    )


def test_what_was_not_judged_in_both_orders_says_so_instead_of_giving_a_number() -> None:
    judged = Judged(duels=(duel("p1", "a", "b", "first"),), marks=(mark("p1", "a", 1.0),))
    for found in (swap_flips(judged), first_position(judged), win_rate(judged, "a", "b").half):
        assert math.isnan(found.value)
        assert found.interval is None
        assert "both orders" in found.note
    assert math.isnan(repeat_change(judged).value)
    with pytest.raises(DataError, match=r"'k' judged nothing here.*\n.*judges: j"):
        judged.by("k")


@given(st.lists(st.tuples(st.sampled_from(["first", "second", "tie"]), st.sampled_from(["first", "second", "tie"]))))
def test_the_rates_of_two_models_always_add_up_to_one(verdicts: list[tuple[Any, Any]]) -> None:
    duels = [d for i, (x, y) in enumerate(verdicts) for d in (duel(f"p{i}", "a", "b", x), duel(f"p{i}", "b", "a", y))]
    judged = Judged(duels=tuple(duels))
    mine, theirs = win_rate(judged, "a", "b").half, win_rate(judged, "b", "a").half
    assert math.isnan(mine.value) if not verdicts else mine.value + theirs.value == pytest.approx(1.0)


@pytest.mark.parametrize("seed", range(10))
def test_the_logistic_regression_equals_statsmodels_with_clusters(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 240
    design = np.column_stack([rng.normal(size=n), np.ones(n), rng.normal(size=n)])
    y = np.where(rng.random(n) < 0.1, 0.5, rng.random(n) < 1 / (1 + np.exp(-design @ [0.5, 0.2, -0.4])))
    groups = rng.integers(0, 40, n)
    ours = logistic(y, design, groups)
    # Shares are no counts, which statsmodels' Logit refuses and its GLM takes.
    theirs = sm.GLM(y, design, family=sm.families.Binomial()).fit(
        cov_type="cluster", cov_kwds={"groups": groups}, use_t=True
    )
    assert [e.value for e in ours] == pytest.approx(list(theirs.params), abs=1e-8)
    assert [e.se for e in ours] == pytest.approx(list(theirs.bse), rel=1e-8)


@pytest.mark.parametrize("seed", range(10))
def test_the_linear_slope_equals_statsmodels_with_clusters(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 150
    x, others = rng.normal(size=n), np.column_stack([np.ones(n), rng.normal(size=n)])
    y = 0.3 * x + others @ [1.0, -0.5] + rng.normal(size=n)
    groups = rng.integers(0, 35, n)
    ours = slope(y, x, others, groups)
    theirs = sm.OLS(y, np.column_stack([x, others])).fit(cov_type="cluster", cov_kwds={"groups": groups}, use_t=True)
    assert (ours.value, ours.se) == pytest.approx((theirs.params[0], theirs.bse[0]), rel=1e-9)
    assert ours.interval == pytest.approx(tuple(theirs.conf_int()[0]), rel=1e-9)


def test_separated_verdicts_and_constant_lengths_have_no_slope() -> None:
    x = np.arange(-10.0, 10.0) + 0.5
    design = np.column_stack([x, np.ones(20)])
    assert "separated" in logistic((x > 0).astype(float), design)[0].note
    assert math.isnan(logistic((x > 0).astype(float), np.ones((20, 2)))[0].value)
    assert "does not vary" in slope(x, np.ones(20), np.ones((20, 1))).note


def lengthy(seed: int, *, truth: bool) -> Judged:
    """Return duels in which better answers are longer, and the judge likes length besides: ½ in log-odds per doubling."""
    rng = np.random.default_rng(seed)
    duels = []
    for i in range(1_500):
        good = rng.integers(0, 2, 2)
        chars = (200 * 2 ** (good + rng.normal(size=2))).astype(int) + 1
        odds = 0.5 * math.log2(chars[0] / chars[1]) + 2.0 * (good[0] - good[1]) + 0.3
        winner = "first" if rng.random() < 1 / (1 + math.exp(-odds)) else "second"
        known = {"first_truth": float(good[0]), "second_truth": float(good[1])} if truth else {}
        more = {"first_chars": int(chars[0]), "second_chars": int(chars[1]), **known}
        duels.append(duel(f"p{i}", "a", "b", winner, **more))
    return Judged(duels=tuple(duels))


def test_the_length_slope_is_the_one_put_in_when_exact_quality_is_known_and_says_when_it_is_not() -> None:
    adjusted, raw = length_slope(lengthy(3, truth=True)), length_slope(lengthy(3, truth=False))
    assert adjusted.low is not None
    assert adjusted.high is not None
    assert adjusted.low < 0.5 < adjusted.high
    assert "at equal exact quality" in adjusted.note
    assert raw.low is not None
    assert raw.low > 0.6
    assert "not adjusted" in raw.note


def test_marks_give_a_slope_within_prompts_and_models() -> None:
    rng = np.random.default_rng(4)
    marks = []
    for i in range(300):
        level = rng.normal(0.5, 0.1)  # longer questions are harder: between prompts, length and quality go together
        for model, gain in (("a", 0.0), ("b", 0.1)):
            doublings = rng.normal(8 - 5 * level, 1)
            quality = level + gain + 0.02 * doublings + rng.normal(0, 0.05)
            marks.append(mark(f"p{i}", model, quality, chars=round(2**doublings)))
    found = length_slope(Judged(marks=tuple(marks)))
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.02 < found.high
    assert found.high - found.low < 0.02
    assert found.method == "quality per doubling of the length, within prompts and models"
    assert "no lengths" in length_slope(Judged(marks=(mark("p", "a", 0.5),))).note
    assert "no verdicts" in length_slope(Judged()).note


def test_repeated_marks_show_how_far_a_judge_moves() -> None:
    marks = [mark(f"p{i}", "a", q) for i in range(12) for q in ((0.2, 0.7) if i < 6 else (0.5, 0.5))]
    assert repeat_change(Judged(marks=tuple(marks))).value == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("gpt-4-1106-preview", "gpt"),
        ("openai/o4-mini", "gpt"),
        ("gpt-oss-120b", "gpt"),
        ("claude-haiku-4-5", "claude"),
        ("google/gemma-3-27b-it", "gemini"),
        ("accounts/fireworks/models/deepseek-v3", "deepseek"),
        ("deepseek-r1-distill-qwen-7b", "deepseek"),
        ("QwQ-32B", "qwen"),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", "mistral"),
        ("Meta-Llama-3.1-405B", "llama"),
        ("moonshot-v1-128k", "kimi"),
        ("command-r-plus", "command"),
        ("grok-3-mini", "grok"),
        ("my-own-model", None),
        ("foo1-bar", None),
    ],
)
def test_the_family_is_known_by_the_name(name: str, kind: str | None) -> None:
    assert family(name) == kind


def test_kin_are_the_models_of_the_judges_family() -> None:
    assert kin("claude-opus-4-1", ["claude-haiku-4-5", "gpt-5", "unknown"]) == ("claude-haiku-4-5",)
    assert kin("unknown", ["unknown"]) == ()
    assert family("prod-7", "openai") == "gpt"


def selfish(*, truth: bool, peer: bool, gift: float = 0.15) -> Judged:
    rng = np.random.default_rng(5)
    marks = []
    for i in range(400):
        for model, level in (("gpt-5", 0.7), ("claude-haiku-4-5", 0.5)):
            real = float(rng.random() < level)
            more = {"truth": real} if truth else {}
            noisy = 0.8 * real + rng.normal(0, 0.05)
            marks.append(mark(f"p{i}", model, noisy + gift * (model == "gpt-5"), judge="gpt-5-mini", **more))
            if peer:
                marks.append(mark(f"p{i}", model, 0.8 * real + rng.normal(0, 0.05), judge="gemini-2.5-flash"))
    return Judged(marks=tuple(marks))


def test_the_self_family_gap_is_what_a_judge_gives_its_own_beyond_the_truth_or_other_judges() -> None:
    by_peers = self_family(selfish(truth=False, peer=True), "gpt-5-mini")
    assert by_peers.low is not None
    assert by_peers.high is not None
    assert by_peers.low < 0.15 < by_peers.high
    assert by_peers.high - by_peers.low < 0.05
    fair = self_family(selfish(truth=False, peer=True, gift=0.0), "gpt-5-mini")
    assert fair.low is not None
    assert fair.high is not None
    assert fair.low < 0.0 < fair.high
    by_truth = self_family(selfish(truth=True, peer=False), "gpt-5-mini")
    assert by_truth.value == pytest.approx(0.15 - 0.2 * 0.2, abs=0.04)  # a timid judge gives the better model less


def test_without_anything_to_compare_with_the_gap_is_not_measured_and_the_raw_one_is_told() -> None:
    alone = self_family(selfish(truth=False, peer=False), "gpt-5-mini")
    assert math.isnan(alone.value)
    assert "raw gap is +0.3" in alone.note
    others = Judged(marks=(mark("p", "claude-x", 1.0, judge="gpt-5"),))
    assert "own family (gpt)" in self_family(others, "gpt-5").note
    assert "not known" in self_family(Judged(marks=(mark("p", "a", 1.0),)), "j").note
    assert "every answer" in self_family(Judged(marks=(mark("p", "a", 1.0),)), "j", {"j": "x", "a": "x"}).note


def test_duels_show_the_self_family_gap_too() -> None:
    rng = np.random.default_rng(6)
    duels = []
    for i in range(600):
        good = rng.integers(0, 2, 2)
        for first, second in (("gpt-5", "qwen-max"), ("qwen-max", "gpt-5")):
            mine, other = (good[0], good[1]) if first == "gpt-5" else (good[1], good[0])
            winner = "first" if mine > other else "second" if other > mine else "tie"
            if winner == "tie" and rng.random() < 0.4:
                winner = "first" if first == "gpt-5" else "second"
            more = {"first_truth": float(mine), "second_truth": float(other)}
            duels.append(duel(f"p{i}", first, second, winner, judge="gpt-5-mini", **more))
    found = self_family(Judged(duels=tuple(duels)), "gpt-5-mini")
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.2 < found.high
