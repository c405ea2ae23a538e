"""The bench one chunking after the other: the same figures, and a result at any time."""

from __future__ import annotations

import pytest

from routelab.core.errors import ConfigError
from routelab.lab.chunks.bench import Plan, bench
from routelab.lab.chunks.onebyone import OneByOne
from routelab.lab.chunks.questions import Questions
from routelab.lab.chunks.settings import settings
from routelab.lab.datasets import shipped
from routelab.retrieval import whole

HANDBOOK = shipped("datasets") / "handbook"
PLAN = Plan(budgets=(500,))


@pytest.fixture(scope="module")
def handbook() -> Questions:
    return Questions.read(HANDBOOK / "questions.csv", HANDBOOK / "corpora")


def test_all_of_it_is_what_the_bench_says(handbook: Questions) -> None:
    tried = settings(("tokens", "recursive"), (150,), (0.0, 0.2))
    heard: list[str] = []
    made = OneByOne(handbook, tried, embedders={"lexical": whole("lexical")}, plan=PLAN, watched=heard.append)
    assert made.found() is None
    assert list(made) == heard == [setting.name for setting in tried]
    found, wanted = made.found(), bench(handbook, tried, embedders={"lexical": whole("lexical")}, plan=PLAN)
    assert found is not None
    assert found.why == wanted.why.replace(", lexical", "")
    assert [arm["recall"] for arm in found.arms] == [arm["recall"] for arm in wanted.arms]
    assert found.about["arms_tried"] == 4
    assert (found.recommended or {}).get("recall") == (wanted.recommended or {}).get("recall")


def test_what_is_finished_is_a_result_and_it_goes_on_where_it_was(handbook: Questions) -> None:
    tried = settings(("tokens", "recursive"), (150, 5000), (0.0,))
    made = OneByOne(handbook, tried, embedders={}, plan=Plan(by=("words",), budgets=()))
    steps = iter(made)
    next(steps)
    first = made.found()
    assert first is not None
    assert [arm["name"] for arm in first.arms] == ["tokens 150"]
    assert "stopped before 3 more chunkings were tried" in first.about["notes"]
    assert list(made) == ["tokens 5000", "recursive 150", "recursive 5000"]
    last = made.found()
    assert last is not None
    assert [arm["same_as"] for arm in last.arms] == [None, None, None, "tokens 5000"]
    assert [arm["chunker"] for arm in last.arms] == ["tokens", "tokens", "recursive", "recursive"]
    assert last.scores["recursive 5000"] is last.scores["tokens 5000"]
    assert last.about["arms_tried"] == 3


def test_two_embedders_or_two_ways_to_search_are_refused(handbook: Questions) -> None:
    both = {"lexical": whole("lexical"), "again": whole("lexical")}
    with pytest.raises(ConfigError, match="one embedder and one way to search"):
        OneByOne(handbook, settings(), embedders=both, plan=PLAN)
    with pytest.raises(ConfigError, match="one embedder and one way to search"):
        OneByOne(handbook, settings(), embedders={}, plan=Plan(by=("words", "vectors")))
