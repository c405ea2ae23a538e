"""Simulated judges: better ones judge better, and all of them have the failings that judges are measured for."""

from __future__ import annotations

import asyncio
import json
import statistics
from typing import Any

from routelab.core.values import Message, Prompt, Request
from routelab.judging import verdicts
from routelab.providers import opinions
from routelab.providers.catalog import CATALOG
from routelab.providers.practice import SAMPLE, Practice, insight, practice_models
from routelab.providers.prices import GenaiPrices

MODELS = {model.name: model for model in practice_models(GenaiPrices())}
QUIET = Practice(latency=0.0, errors=0.0)


def asked(i: int, wants: str, truths: str, **tags: str) -> Prompt:
    shown = {opinions.AUTHORS: "x" + ",x" * truths.count(","), opinions.CHARS: "9" + ",9" * truths.count(",")}
    return Prompt(
        id=f"j{i}",
        messages=(Message(role="user", content=f"judge number {i} about {truths}"),),
        task="simple_qa",
        difficulty=3.0,
        tags={opinions.WANTS: wants, opinions.TRUTHS: truths, opinions.LOW: "1", opinions.HIGH: "5", **shown, **tags},
    )


def said(prompt: Prompt, model: str = "claude-opus", **more: Any) -> str:
    request = Request(model=MODELS[model], prompt=prompt, messages=prompt.messages, **more)
    return asyncio.run(QUIET.complete(request, lambda _: None)).text


def passes(model: str, truth: str, n: int = 400, **tags: str) -> float:
    found = [verdicts.score(said(asked(i, "score", truth, **tags), model), 1, 5) for i in range(n)]
    read = [v.value >= 0.7 for v in found if v is not None]
    assert n * 0.9 < len(read) < n  # some replies are refusals or prose, so that asking again has something to do
    return statistics.mean(read)


def test_a_stronger_judge_is_right_more_often_about_right_and_about_wrong_answers() -> None:
    strong = passes("claude-opus", "1.0"), passes("claude-opus", "0.0")
    weak = passes("llama-local", "1.0"), passes("llama-local", "0.0")
    assert strong[0] > weak[0] > 0.6
    assert strong[1] < weak[1] < 0.55
    assert insight(asked(0, "score", "1"), CATALOG["claude-opus"]) > insight(
        asked(0, "score", "1"), CATALOG["llama-local"]
    )


def test_a_judge_is_kinder_to_its_own_family() -> None:
    own = passes("claude-opus", "0.0", 900, **{opinions.AUTHORS: "claude-sonnet"})
    other = passes("claude-opus", "0.0", 900, **{opinions.AUTHORS: "gpt-5"})
    assert 0.03 < own - other < 0.14


def test_the_first_answer_wins_too_often_and_most_with_weak_judges() -> None:
    def first(model: str) -> float:
        found = [verdicts.preference(said(asked(i, "preference", "1.0,1.0"), model)) for i in range(400)]
        return statistics.mean({"A": 1.0, "B": 0.0, "tie": 0.5}[v[0]] for v in found if v is not None)

    assert first("llama-local") > first("claude-opus") > 0.5


def test_a_better_answer_wins_from_both_places() -> None:
    for truths, winner in (("1.0,0.0", "A"), ("0.0,1.0", "B")):
        found = [verdicts.preference(said(asked(i, "preference", truths))) for i in range(200)]
        assert statistics.mean(v[0] == winner for v in found if v is not None) > 0.8


def test_stated_confidence_is_higher_for_right_answers_and_high_for_wrong_ones() -> None:
    def mean(truth: str) -> float:
        found = [verdicts.confidence(said(asked(i, "confidence", truth), "mistral-small")) for i in range(300)]
        return statistics.mean(v.value for v in found if v is not None)

    assert mean("1.0") > mean("0.0") + 0.1
    assert mean("0.0") > 0.5


def test_a_judgement_is_the_same_in_every_process_and_an_unknown_truth_is_no_obstacle() -> None:
    assert said(asked(1, "score", "1.0")) == said(asked(1, "score", "1.0"))
    assert json.loads(said(asked(1, "score", "")))["score"] in range(1, 6)


def test_another_sample_is_another_draw_that_mostly_agrees_and_none_at_a_temperature_of_zero() -> None:
    def prompt(i: int, **tags: str) -> Prompt:
        return Prompt(
            id=f"p{i}",
            messages=(Message(role="user", content=f"Question {i}?"),),
            reference="42",
            wrong=("41", "43"),
            scorer={"kind": "number", "answer": 42},
            difficulty=3.0,
            tags=tags,
        )

    def right(i: int, **more: Any) -> bool:
        tags = {SAMPLE: str(more.pop("sample"))} if "sample" in more else {}
        return "42" in said(prompt(i, **tags), "mistral-small", **more)

    first = [right(i) for i in range(300)]
    again = [right(i, sample=1000) for i in range(300)]
    agree = statistics.mean(a == b for a, b in zip(first, again, strict=True))
    assert 0.7 < agree < 0.98
    assert abs(statistics.mean(first) - statistics.mean(again)) < 0.08
    assert first[:60] == [right(i, sample=1000, temperature=0.0) for i in range(60)]
