"""Arms against a baseline: what is said follows from the differences, Holm's correction, and equal contexts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from routelab.core.errors import ConfigError
from routelab.core.ports import Floats
from routelab.lab.chunks.against import against, at_context, interval_of, table, tokens_of
from routelab.lab.chunks.bench import ChunksBench
from routelab.lab.chunks.measures import Scores
from routelab.lab.chunks.questions import Questions
from routelab.lab.statistics import quality_mean

N = 200


def scores(recall: Floats, tokens: float = 100.0) -> Scores:
    same = dict.fromkeys(("precision", "iou", "omega", "reciprocal_rank", "ndcg", "hit", "whole"), recall)
    return Scores(
        recall=recall,
        **same,
        context_tokens=np.full(N, tokens),
        retrieved_tokens=np.full(N, tokens),
        recall_at={500: recall / 2},
        tokens_at={500: np.full(N, 500.0)},
    )


def made(arms: Mapping[str, Scores], same: Mapping[str, str] | None = None) -> tuple[ChunksBench, Questions]:
    rows: tuple[dict[str, Any], ...] = tuple({"name": name, "same_as": (same or {}).get(name)} for name in arms)
    asked = Questions(
        texts=tuple(f"q{i}" for i in range(N)),
        sources=tuple(f"s{i % 10}" for i in range(N)),
        spans=(((0, 1),),) * N,
        corpora={f"s{i}": "text" for i in range(10)},
    )
    return ChunksBench(arms=rows, recommended=None, why="", scores=dict(arms)), asked


RNG = np.random.default_rng(4)
BASE = (RNG.random(N) < 0.7).astype(float)
MUCH = np.maximum(BASE, (RNG.random(N) < 0.5).astype(float))
ALIKE = np.where(RNG.random(N) < 0.01, 1 - BASE, BASE)
LESS = np.minimum(BASE, (RNG.random(N) < 0.6).astype(float))
OTHER = (RNG.random(N) < 0.7).astype(float)


def test_what_is_said_of_an_arm_follows_from_its_difference() -> None:
    found, asked = made(
        {
            "base": scores(BASE),
            "much": scores(MUCH, 50.0),
            "alike": scores(ALIKE),
            "less": scores(LESS),
            "other": scores(OTHER),
        }
    )
    rows = {row.arm: row for row in against(found, asked, "base", margin=0.05)}
    assert {name: row.told for name, row in rows.items()} == {
        "base": "baseline",
        "much": "better",
        "alike": "as good",
        "less": "worse",
        "other": "not told apart",
    }
    assert rows["much"].token_ratio == 0.5
    assert rows["much"].gap.questions.value == pytest.approx((MUCH - BASE).mean())
    assert rows["other"].n_needed is not None
    assert rows["much"].n_needed is None


def test_the_more_arms_the_more_each_must_show() -> None:
    # A difference whose p value is just below 0.025 alone, and not among twenty.
    slight = BASE.copy()
    slight[np.flatnonzero(BASE == 0)[:12]] = 1.0
    slight[np.flatnonzero(BASE == 1)[:3]] = 0.0
    alone, asked = made({"base": scores(BASE), "slight": scores(slight)})
    assert against(alone, asked, "base")[1].told == "better"
    many = {f"x{i}": scores((np.random.default_rng(i).random(N) < 0.7).astype(float)) for i in range(20)}
    among, _ = made({"base": scores(BASE), "slight": scores(slight), **many})
    assert against(among, asked, "base")[1].told != "better"


def test_an_arm_that_cuts_alike_counts_once() -> None:
    found, asked = made({"base": scores(BASE), "twin": scores(BASE), "much": scores(MUCH)}, {"twin": "base"})
    assert [row.told for row in against(found, asked, "base")] == ["baseline", "baseline", "better"]
    assert [row.told for row in against(found, asked, "twin")] == ["baseline", "baseline", "better"]


def test_equal_contexts_are_compared_where_they_were_filled() -> None:
    found, asked = made({"base": scores(BASE), "much": scores(MUCH, 50.0)})
    row = against(found, asked, "base", at=500)[1]
    assert row.gap.questions.value == pytest.approx((MUCH - BASE).mean() / 2)
    assert row.token_ratio == 1.0
    with pytest.raises(ConfigError, match="no context of 700 tokens was filled"):
        at_context(found.scores["base"], 700)
    with pytest.raises(ConfigError, match="there is no arm 'bsae'; did you mean 'base'"):
        against(found, asked, "bsae")


def test_intervals_are_clustered_where_there_are_sources_enough() -> None:
    _, asked = made({"base": scores(BASE)})
    assert interval_of(BASE, asked) == quality_mean(BASE, asked.clusters)
    few = Questions(texts=asked.texts, sources=("s0",) * N, spans=asked.spans, corpora=asked.corpora)
    assert interval_of(BASE, few) == quality_mean(BASE)
    assert tokens_of(np.full(N, 7.0), few).value == 7.0


def test_the_table_says_at_what_and_against_what() -> None:
    found, asked = made({"base": scores(BASE), "other": scores(OTHER)})
    shown = table(against(found, asked, "base"), baseline="base", what="5 passages").text(width=90)
    assert "against base, at 5 passages" in shown
    assert "questions would tell)" in shown
    assert "Holm's correction" in shown
