"""One verdict over several data sets: what each adds, what an honest interval is, and who may not be chosen."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from routelab.core.errors import ConfigError, DataError
from routelab.lab.compare import Comparison
from routelab.lab.pooled import KEPT, pooled
from routelab.lab.replay import replay
from routelab.lab.search import search
from routelab.lab.sources import PLAIN
from routelab.strategies import Fixed


def compared(cube: Any, n: int, loss: float, ratio: float, rng: Any, *, margin: float = 0.05) -> Comparison:
    """Return a comparison of a cheap model with a baseline over n prompts, `loss` worse in truth."""
    base = (rng.random(n) < 0.7).astype(float)
    cheap = np.where(rng.random(n) < 0.3, (rng.random(n) < 0.7).astype(float), base)
    cheap = np.where(rng.random(n) < loss / 0.7, 0.0, cheap)
    cost = np.column_stack([ratio * rng.lognormal(0, 0.5, n), rng.lognormal(0, 0.5, n)])
    outcomes = cube(np.column_stack([cheap, base]), cost_usd=cost, models=("cheap", "base"))
    return replay(outcomes, {"cheap": Fixed(model="cheap")}, confirm=0, baseline="base", margin=margin)


def test_one_data_set_gives_what_its_own_comparison_says(cube: Any) -> None:
    one = compared(cube, 500, 0.02, 0.3, np.random.default_rng(1))
    found, own = pooled({"only": one}), one["cheap"].figures
    assert own.against is not None
    assert own.cost_ratio is not None
    assert found.against.difference.value == pytest.approx(own.against.difference.value)
    assert found.against.difference.interval == pytest.approx(own.against.difference.interval)
    assert found.against.verdict == own.against.verdict
    for ratio in (found.cost_share, found.cost_ratio):
        assert ratio is not None
        assert ratio.value == pytest.approx(own.cost_ratio.value)
        assert ratio.interval == pytest.approx(own.cost_ratio.interval, rel=0.01)


def test_two_data_sets_are_weighted_by_their_prompts_and_variances_add(cube: Any) -> None:
    rng = np.random.default_rng(2)
    both = {"small": compared(cube, 100, 0.0, 0.1, rng), "large": compared(cube, 900, 0.0, 0.5, rng)}
    found = pooled(both)
    parts = [c["cheap"].figures.against.difference for c in both.values()]  # type: ignore[union-attr]
    assert found.against.difference.value == pytest.approx(0.1 * parts[0].value + 0.9 * parts[1].value)
    assert found.against.difference.se == pytest.approx(np.hypot(0.1 * parts[0].se, 0.9 * parts[1].se))
    ratios = [c["cheap"].figures.cost_ratio.value for c in both.values()]  # type: ignore[union-attr]
    assert found.cost_share is not None
    assert found.cost_share.value == pytest.approx(0.1 * ratios[0] + 0.9 * ratios[1])
    assert found.adopt
    assert found.why.startswith("adopt")


def test_a_data_set_whose_baseline_is_kept_counts_with_no_difference(cube: Any) -> None:
    rng = np.random.default_rng(3)
    both = {"kept": compared(cube, 300, 0.0, 0.1, rng), "routed": compared(cube, 300, 0.0, 0.5, rng)}
    found = pooled(both, arms={"kept": None, "routed": "cheap"})
    assert found.strata[0].arm == KEPT
    assert (found.strata[0].difference.value, found.strata[0].cost_ratio.value) == (0.0, 1.0)  # type: ignore[union-attr]
    own = both["routed"]["cheap"].figures.against
    assert own is not None
    assert found.against.difference.value == pytest.approx(own.difference.value / 2)


def test_the_arm_is_the_first_that_tune_nominated(cube: Any) -> None:
    rng = np.random.default_rng(4)
    base = (rng.random(600) < 0.8).astype(float)
    outcomes = cube(np.column_stack([base, base]), cost_usd=[[1.0, 10.0]] * 600, models=("cheap", "base"))
    found = search(outcomes, baseline="base")
    assert found.terms.nominated
    assert pooled({"it": found}).strata[0].arm == found.terms.nominated[0]
    none = dataclasses.replace(found, terms=dataclasses.replace(found.terms, nominated=()))
    assert pooled({"it": none}).strata[0].arm == KEPT


def test_an_arm_that_was_nominated_for_its_quality_and_saves_nothing_leaves_the_baseline(cube: Any) -> None:
    rng = np.random.default_rng(4)
    base = (rng.random(600) < 0.8).astype(float)
    better = np.maximum(base, rng.random(600) < 0.5)
    outcomes = cube(np.column_stack([better, base]), cost_usd=[[20.0, 10.0]] * 600, models=("dear", "base"))
    found = search(outcomes, baseline="base", sources=PLAIN)
    assert found.terms.nominated == ("dear",)
    assert pooled({"it": found}).strata[0].arm == KEPT
    unpriced = search(dataclasses.replace(outcomes, cost_usd=np.full((600, 2), np.nan)), baseline="base", sources=PLAIN)
    assert pooled({"it": unpriced}).strata[0].arm == "dear"


def test_costs_that_are_not_known_make_nothing_cheaper(cube: Any) -> None:
    rng = np.random.default_rng(5)
    known = compared(cube, 400, 0.0, 0.1, rng)
    quality = np.ones((400, 2))
    blank = replay(
        cube(quality, models=("cheap", "base")),
        {"cheap": Fixed(model="cheap")},
        confirm=0,
        baseline="base",
        margin=0.05,
    )
    found = pooled({"known": known, "blank": blank})
    assert (found.cost_share, found.cost_ratio, found.adopt) == (None, None, False)
    assert "not known" in found.why


def test_margins_that_differ_and_arms_that_nobody_chose_are_refused(cube: Any) -> None:
    rng = np.random.default_rng(6)
    a, b = compared(cube, 100, 0, 1, rng), compared(cube, 100, 0, 1, rng, margin=0.02)
    with pytest.raises(ConfigError, match="different margins"):
        pooled({"a": a, "b": b})
    with pytest.raises(ConfigError, match="at least one"):
        pooled({})
    two = dataclasses.replace(a, arms=(*a.arms, *a.arms))
    with pytest.raises(ConfigError, match="several arms"):
        pooled({"a": two})
    unscored = dataclasses.replace(
        a,
        baseline=dataclasses.replace(
            a.baseline, walked=dataclasses.replace(a.baseline.walked, quality=np.full(100, np.nan))
        ),
    )
    with pytest.raises(DataError, match="'a' has no prompt"):
        pooled({"a": unscored})


@pytest.mark.parametrize("rounds", [300])
def test_the_pooled_interval_holds_the_truth_and_a_loss_of_the_margin_passes_rarely(cube: Any, rounds: int) -> None:
    rng = np.random.default_rng(7)
    held = passed = 0
    for _ in range(rounds):
        # base − cheap is in truth .03 in one stratum and .07 in the other: together the margin exactly
        found = pooled({"a": compared(cube, 150, 0.03, 0.4, rng), "b": compared(cube, 150, 0.07, 0.4, rng)})
        low, high = found.against.difference.interval or (0, 0)
        held += low <= -0.05 <= high
        passed += found.against.verdict == "non-inferior"
    assert 0.92 <= held / rounds <= 0.98
    assert passed / rounds <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / rounds)
