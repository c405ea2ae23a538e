"""Caches in front of arms, by replay: what a hit is worth, what it costs, and what a comparison may say about it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from routelab.caching.settings import CacheConfig, SemanticConfig
from routelab.config import RouteConfig
from routelab.core.errors import ConfigError, UnavailableError
from routelab.core.values import Message, Prompt, digest
from routelab.lab.axes import axes_of
from routelab.lab.block import block
from routelab.lab.caches.recalled import ORDERS, every_recalled, recalled, told_hits
from routelab.lab.grid import summary
from routelab.lab.outcomes import Outcomes
from routelab.lab.replay import replay
from routelab.lab.sweep import scan, sweep
from routelab.lab.walk import Walked, connected, dependent, joined

SEMANTIC: dict[str, Any] = {"threshold": 0.8, "guard": "none", "embedder": {"kind": "lexical", "dimensions": 512}}
WORDS = ("please", "kindly", "now", "today", "again", "really")


def prompt(i: int, text: str, **given: Any) -> Prompt:
    return Prompt(id=f"p{i}", messages=(Message(role="user", content=text),), **given)


def made(prompts: list[Prompt], quality: Any, **given: Any) -> Outcomes:
    """Return outcomes of models a, b … at a cost of 1, 2 …, a second each."""
    q = np.array(quality, dtype=float)
    return Outcomes(
        prompts=tuple(prompts),
        models=tuple("abc"[: q.shape[1]]),
        quality=q,
        cost_usd=np.broadcast_to(np.arange(1.0, q.shape[1] + 1), q.shape).copy(),
        latency_s=np.ones(q.shape),
        input_tokens=np.full(q.shape, np.nan),
        output_tokens=np.full(q.shape, np.nan),
        failed=given.pop("failed", np.zeros(q.shape, dtype=np.bool_)),
        cost_kind=("recorded",) * q.shape[1],
        **given,
    )


def fixed(model: str = "a", **cache: Any) -> RouteConfig:
    return RouteConfig(name=f"cached {model}", strategy={"kind": "fixed", "model": model}, cache=CacheConfig(**cache))


def asked(outcomes: Outcomes, column: int = 0) -> Walked:
    n = len(outcomes)
    return Walked(
        model=np.where(outcomes.failed[:, column], -1, column).astype(np.intp),
        quality=outcomes.quality[:, column].copy(),
        cost_usd=outcomes.cost_usd[:, column].copy(),
        latency_s=outcomes.latency_s[:, column].copy(),
        attempts=np.ones(n, dtype=np.intp),
        escalations=np.zeros(n, dtype=np.intp),
        judging_usd=np.zeros(n),
    )


def at(times: list[float], texts: list[str], **given: Any) -> list[Prompt]:
    return [
        prompt(i, text, tags={"at_s": str(t)}, **given) for i, (t, text) in enumerate(zip(times, texts, strict=True))
    ]


def crowd(groups: int = 60, each: int = 4) -> Outcomes:
    """Return questions of which four say the same in nearly the same words; b is dearer and better."""
    rng = np.random.default_rng(0)
    prompts = [
        prompt(g * each + k, f"{digest(g)} {digest(g, g)} {WORDS[k]}", group=f"g{g}")
        for g in range(groups)
        for k in range(each)
    ]
    right = np.repeat(rng.random((groups, 2)) < (0.7, 0.9), each, axis=0)
    return made(prompts, right, dataset="crowd")


def test_an_arm_without_a_cache_is_walked_as_ever() -> None:
    outcomes = made([prompt(0, "x"), prompt(1, "x")], [[1], [0]])
    walk = asked(outcomes)
    assert recalled("a", fixed(), outcomes, walk) is walk
    assert recalled("a", "not a config", outcomes, walk) is walk


def test_the_same_request_is_asked_once_and_costs_nothing_then() -> None:
    outcomes = made(at([0, 1, 2], ["x", "x", "y"]), [[1], [0], [1]])
    found = recalled("a", fixed(exact=True), outcomes, asked(outcomes))
    assert found.cost_usd.tolist() == [1, 0, 1]
    # The answer to the first is what the second gets: it is right, although the second's own would not have been.
    assert found.quality.tolist() == [1, 1, 1]
    assert np.isnan(found.latency_s).tolist() == [False, True, False]
    assert found.attempts.tolist() == [1, 0, 1]
    assert found.hits is not None
    assert found.hits.exact.tolist() == [0, 1, 0]
    assert (found.hits.rate, found.hits.false_rate) == (pytest.approx(1 / 3), 0.0)


def test_a_hit_is_scored_with_the_asking_prompts_own_scorer() -> None:
    def scored(i: int, text: str, answer: int, t: float) -> Prompt:
        return prompt(
            i, text, scorer={"kind": "number", "answer": answer}, reference=str(answer), tags={"at_s": str(t)}
        )

    outcomes = made(
        [scored(0, "what is two and two", 4, 0), scored(1, "what is two and twο", 5, 1)],
        [[1], [1]],
        texts=lambda prompt_id, model: "4" if prompt_id == "p0" else "5",
    )
    found = recalled("a", fixed(semantic=SEMANTIC), outcomes, asked(outcomes))
    assert found.quality.tolist() == [1, 0]
    assert found.hits is not None
    assert found.hits.false.tolist() == [0, 1]
    assert found.hits.false_rate == 1.0


@pytest.mark.parametrize(
    ("facts", "worth"),
    [
        ([{"group": "g"}, {"group": "g"}], 0.5),
        ([{"task": "t", "reference": "r"}, {"task": "t", "reference": "r"}], 0.5),
        ([{"group": "g"}, {"group": "h"}], np.nan),
        ([{"task": "t", "reference": "r"}, {"task": "t", "reference": "s"}], np.nan),
        ([{}, {}], np.nan),
    ],
)
def test_without_a_text_a_hit_is_worth_what_it_was_only_if_the_right_answer_is_the_same(
    facts: list[dict[str, Any]], worth: float
) -> None:
    texts = ["say something about it please", "say something about it pleases"]
    prompts = [
        prompt(i, text, tags={"at_s": str(i)}, **given)
        for i, (text, given) in enumerate(zip(texts, facts, strict=True))
    ]
    outcomes = made(prompts, [[0.5], [1]])
    found = recalled("a", fixed(semantic=SEMANTIC), outcomes, asked(outcomes))
    assert found.hits is not None
    assert found.hits.semantic.tolist() == [0, 1]
    assert np.array_equal(found.quality, [0.5, worth], equal_nan=True)
    assert found.hits.unknown.tolist() == [0, float(np.isnan(worth))]
    assert (found.hits.false_rate is None) == bool(np.isnan(worth))


def test_what_failed_or_was_decided_by_the_default_is_not_remembered() -> None:
    prompts = at([0, 1, 2, 3], ["x", "x", "x", "x"])
    outcomes = made(prompts, [[0], [1], [1], [1]], failed=np.array([[True], [False], [False], [False]]))
    found = recalled("a", fixed(exact=True), outcomes, asked(outcomes), errors={1: "ValueError"})
    assert found.hits is not None
    assert found.hits.exact.tolist() == [0, 0, 0, 1]


def test_a_lifetime_is_replayed_with_arrival_times_and_refused_without() -> None:
    outcomes = made(at([0, 30, 90], ["x", "x", "x"]), [[1], [1], [1]])
    found = recalled("a", fixed(exact=True, ttl_s=60), outcomes, asked(outcomes))
    assert found.cost_usd.tolist() == [1, 0, 1]
    stale = recalled("a", fixed(exact=True, ttl_s=60, stale_s=60), outcomes, asked(outcomes))
    assert stale.hits is not None
    assert (stale.cost_usd.tolist(), stale.hits.stale.tolist()) == ([1, 0, 1], [0, 0, 1])
    timeless = made([prompt(0, "x"), prompt(1, "x")], [[1], [1]])
    with pytest.raises(
        UnavailableError, match="arm 'a': ttl_s = 60 cannot be replayed, the prompts have no arrival times"
    ):
        recalled("a", fixed(exact=True, ttl_s=60), timeless, asked(timeless))


def test_a_judges_objections_are_not_made_up() -> None:
    outcomes = made([prompt(0, "x"), prompt(1, "x")], [[1], [1]])
    config = fixed(semantic={**SEMANTIC, "guard": {"kind": "judge", "model": "a"}})
    with pytest.raises(UnavailableError, match="what the judge a would have objected to was not recorded"):
        recalled("a", config, outcomes, asked(outcomes))


def test_without_arrival_times_figures_are_means_over_orders() -> None:
    outcomes = made([prompt(0, "x"), prompt(1, "x"), prompt(2, "x")], [[1], [1], [1]])
    found = recalled("a", fixed(exact=True), outcomes, asked(outcomes))
    assert found.hits is not None
    assert found.hits.orders == ORDERS
    # Whatever the order, one of the three is asked.
    assert found.cost_usd.sum() == pytest.approx(1.0)
    assert (found.cost_usd > 0).all()
    assert found.hits.cost_usd == (pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert found.hits.tied.tolist() == [0, 0, 0]
    assert not np.isnan(found.latency_s).any()


def test_caches_together_are_each_cache_alone() -> None:
    outcomes = crowd(20)
    caches = [
        CacheConfig(exact=True),
        *(CacheConfig(exact=True, semantic=SemanticConfig(**{**SEMANTIC, "threshold": t})) for t in (0.95, 0.8, 0.6)),
        CacheConfig(exact=True, size=3, semantic=SemanticConfig(**SEMANTIC)),
        CacheConfig(semantic=SemanticConfig(**{**SEMANTIC, "embedder": "lexical", "guard": "lexical"})),
        CacheConfig(semantic=SemanticConfig(**{**SEMANTIC, "threshold": None, "per_entry": {"error": 0.05}})),
    ]
    walk = asked(outcomes)
    together = every_recalled("a", caches, outcomes, walk)
    for cache, found in zip(caches, together, strict=True):
        [alone] = every_recalled("a", [cache], dataclasses.replace(outcomes), walk)
        assert np.array_equal(alone.quality, found.quality, equal_nan=True)
        assert np.array_equal(alone.cost_usd, found.cost_usd)


def test_confirm_is_never_answered_from_tune() -> None:
    # Every question comes twice, once in each split: a warm cache would answer all of confirm.
    outcomes = made([prompt(i, f"question {i // 2}") for i in range(80)], [[1]] * 80)
    cmp = replay(outcomes, {"cached": fixed(exact=True)}, confirm=0.5)
    texts = [p.text for p in (cmp.outcomes or outcomes).prompts]
    again = len(texts) - len(set(texts))
    hits = cmp["cached"].walked.hits
    assert hits is not None
    assert round(float(hits.exact.sum())) == again < len(texts) / 2


def test_a_comparison_tells_hits_and_counts_tied_prompts_as_clusters() -> None:
    outcomes = crowd()
    plain = RouteConfig(name="plain", strategy={"kind": "fixed", "model": "b"})
    cmp = replay(outcomes, {"plain": plain, "cached": fixed("b", semantic=SEMANTIC)}, confirm=0.5, baseline="plain")
    arm = cmp["cached"]
    assert arm.figures.cost_ratio is not None
    assert arm.figures.cost_ratio.value < 0.5
    assert arm.figures.against is not None
    assert arm.figures.against.difference.clusters is not None
    frame = cmp.frame.set_index("arm")
    assert frame.loc["cached", "cache_hits"] > 0.5
    assert frame.loc["cached", "false_hits"] == 0.0
    assert np.isnan(frame.loc["plain", "cache_hits"])
    assert "cache hits" in summary(cmp).head
    assert "% false)" in summary(cmp).text()
    said = block(cmp, arm)
    assert (said["cache_hits"], said["false_hits"]) == (frame.loc["cached", "cache_hits"], 0.0)
    assert block(cmp, cmp["plain"])["cache_hits"] is None
    assert any(note.startswith("cached: cache, empty at the start of the split: ") for note in cmp.terms.notes)


def test_an_arm_whose_hits_nobody_can_judge_is_never_called_better() -> None:
    # The same questions, but nobody says that they are the same: what a hit is worth is not known.
    outcomes = crowd()
    outcomes = dataclasses.replace(
        outcomes, prompts=tuple(dataclasses.replace(p, group=None) for p in outcomes.prompts)
    )
    cmp = replay(outcomes, {"cached": fixed("b", semantic=SEMANTIC)}, confirm=0.5, baseline="b")
    verdict = cmp["cached"].figures.against
    assert verdict is None or (verdict.verdict, verdict.difference.low) == ("inconclusive", None)
    assert cmp.winner() is None
    assert np.isnan(cmp.frame.loc[0, "false_hits"])
    assert "worth here is not known" in told_hits("cached", cmp["cached"].walked)


def test_a_few_hits_that_nobody_can_judge_are_enough_for_no_verdict() -> None:
    n = 400
    prompts = [prompt(i, f"{i} is {i * 7919} words from {i * i}", group=f"g{i}") for i in range(n)]
    prompts[1] = prompt(1, prompts[0].text + " ", group="other")
    outcomes = made(prompts, [[1, 1]] * n)
    cached = RouteConfig(
        name="cached",
        models=["a"],
        strategy={"kind": "fixed", "model": "a"},
        cache=CacheConfig(semantic=SemanticConfig(**{**SEMANTIC, "threshold": 0.99})),
    )
    cmp = replay(outcomes, {"cached": cached}, confirm=0, baseline="b")
    verdict = cmp["cached"].figures.against
    assert verdict is not None
    assert verdict.difference.n >= 0.95 * n
    assert verdict.verdict == "inconclusive"
    assert verdict.difference.note.startswith("what the cache's answer is worth is not known for ")


# Sweeps


def test_a_sweep_of_caches_judges_every_setting_and_keeps_the_best() -> None:
    outcomes = crowd()
    base = RouteConfig(name="base", models=["a", "b"], strategy={"kind": "fixed", "model": "b"})
    grid = {
        "cache.semantic.threshold": [0.5, 0.8, 0.99],
        "cache.semantic.guard": ["none", "lexical"],
        "cache.semantic.embedder": [SEMANTIC["embedder"]],
    }
    found = scan(outcomes, base, grid, confirm=0.5, baseline="b")
    assert len(found) == 7
    cmp = sweep(outcomes, base, grid, confirm=0.5, margin=0.2, baseline="b")
    winner = cmp.winner()
    assert winner is not None
    assert winner.config.cache.semantic is not None
    assert winner.figures.cost_ratio is not None
    assert winner.figures.cost_ratio.value < 0.5
    held = found.frame.set_index("arm")
    # What the sweep saw on tune is what the arm says of tune.
    assert held.loc[winner.name, "tune_cost_usd"] == pytest.approx(winner.tune_cost_usd)


def test_strategies_that_learn_are_swept_behind_a_cache_over_all_of_tune() -> None:
    outcomes = crowd()
    base = RouteConfig(
        name="base",
        models=["a", "b"],
        strategy={"kind": "arbitrage", "predictor": {"kind": "lookup"}, "min_quality": 0.8},
    )
    grid = {"strategy.min_quality": [0.5, 0.95], "cache.semantic": [None, SEMANTIC]}
    found = scan(outcomes, base, grid, confirm=0.5, baseline="b").frame
    cheap = found[found["cache.semantic"].map(lambda v: v is not None)]["tune_cost_usd"]
    dear = found[found["cache.semantic"].map(lambda v: v is None)]["tune_cost_usd"]
    assert cheap.max() < dear.min()
    cmp = sweep(outcomes, base, grid, confirm=0.5, baseline="b")
    for arm in cmp.arms:
        if arm.name in set(found["arm"]) and arm.tune_cost_usd is not None:
            seen = found.set_index("arm").loc[arm.name, "tune_cost_usd"]
            assert seen == pytest.approx(arm.tune_cost_usd)


def test_settings_that_decide_alike_share_a_mark() -> None:
    outcomes = crowd(20)
    base = fixed("b", semantic=SEMANTIC)
    found = scan(outcomes, base, {"cache.semantic.threshold": [0.9990, 0.9991]}, confirm=0.5, baseline="b")
    assert found.marks[0] == found.marks[1] != found.marks[2]


@pytest.mark.parametrize(
    ("grid", "kind", "said"),
    [
        ({"cache.exakt": [True]}, ConfigError, "grid: cache.exakt: unknown key; did you mean 'cache.exact'?"),
        ({"cache.semantic.treshold": [0.9]}, ConfigError, "did you mean 'cache.semantic.threshold'?"),
        ({"cache.semantic.threshold": [1.5]}, ConfigError, "grid: cache.semantic.threshold = 1.5: "),
        ({"cache.semantic.threshold": ["high"]}, ConfigError, "grid: cache.semantic.threshold = 'high': "),
        ({"cache.semantic.guard": ["lexicl"]}, ConfigError, "did you mean 'lexical'?"),
        ({"cache.exact": [1]}, ConfigError, "grid: cache.exact = 1: must be true or false"),
        ({"cache.ttl_s": [60]}, UnavailableError, "ttl_s = 60 cannot be replayed, the prompts have no arrival times"),
        (
            {"cache.semantic.guard": [{"kind": "judge", "model": "a"}]},
            UnavailableError,
            "the judge a would have objected",
        ),
        ({"cache.namespace": ["x"]}, ConfigError, "grid: cache.namespace: decides nothing in a replay"),
        ({"cache.semantic.index": ["chroma"]}, ConfigError, "grid: cache.semantic.index: decides nothing in a replay"),
        ({"cache.exact.x": [True]}, ConfigError, "grid: cache.exact.x: cache.exact has no keys of its own"),
        ({"cache.semantic.per_entry.error": [0.1]}, ConfigError, "is swept as a whole"),
    ],
)
def test_a_cache_that_cannot_be_swept_is_refused_by_name(grid: dict[str, Any], kind: type, said: str) -> None:
    outcomes = made([prompt(0, "x"), prompt(1, "y")], [[1], [0]])
    with pytest.raises(kind) as trouble:
        axes_of(fixed(), grid, outcomes)
    assert said in str(trouble.value).splitlines()[0]


def test_a_threshold_and_learned_ones_replace_each_other_in_a_grid() -> None:
    outcomes = crowd(5)
    base = fixed(semantic=SEMANTIC)
    axes = axes_of(base, {"cache.semantic.per_entry": [{"error": 0.02}]}, outcomes)
    found = [axes.config(i).cache.semantic for i in range(len(axes))]
    assert [(s.threshold, s.per_entry) for s in found if s is not None] == [(None, {"error": 0.02}), (0.8, None)]


# Clusters


def test_groups_are_joined_by_whatever_ties_them() -> None:
    assert connected([np.array([0, 1, 2, 3, 4])]).tolist() == [0, 1, 2, 3, 4]
    assert connected([np.array([7, 7, 8, 8, 9]), np.array([0, 1, 1, 2, 3])]).tolist() == [0, 0, 0, 0, 4]


def test_hits_go_along_with_some_prompts_and_are_lost_when_parts_are_joined() -> None:
    outcomes = made(at([0, 1, 2, 3], ["x", "x", "y", "y"]), [[1]] * 4)
    found = recalled("a", fixed(exact=True), outcomes, asked(outcomes))
    part = found.take(np.array([False, True, True, True]))
    assert part.hits is not None
    assert (part.hits.exact.tolist(), part.hits.quality) == ([1, 0, 1], None)
    groups = dependent(None, part)
    assert groups is not None
    assert len(set(groups.tolist())) == 2
    assert dependent(None, asked(outcomes)) is None
    mask = np.array([True, True, False, False])
    assert joined([(mask, found.take(mask)), (~mask, found.take(~mask))]).hits is None


def test_a_semantic_cache_over_logged_choices_is_refused() -> None:
    quality = np.full((40, 2), np.nan)
    quality[np.arange(40), np.arange(40) % 2] = 1.0
    outcomes = made([prompt(i, f"q{i}") for i in range(40)], quality)
    cost = np.where(np.isnan(quality), np.nan, 1.0)
    outcomes = dataclasses.replace(outcomes, cost_usd=cost, latency_s=cost)
    assert outcomes.single_choice
    with pytest.raises(UnavailableError, match="arm 'cached': logged choices cannot tell"):
        replay(outcomes, {"cached": fixed(semantic=SEMANTIC)})
