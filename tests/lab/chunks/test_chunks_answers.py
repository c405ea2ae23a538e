"""Answers from contexts: measured question by question, failures counted, arms paired."""

from __future__ import annotations

import numpy as np
import pytest

from routelab.core.errors import ConfigError, ServerFailed
from routelab.core.values import Prompt
from routelab.fleet import Fleet
from routelab.lab.chunks.answers import (
    CORPUS,
    Agreement,
    Answers,
    Asking,
    answered,
    asking_of,
    drawn,
    prompts,
    reading,
    versus,
)
from routelab.lab.chunks.bench import Plan, bench
from routelab.lab.chunks.questions import Questions
from routelab.lab.chunks.settings import settings
from routelab.providers.reader import Reader
from routelab.retrieval import quoted
from routelab.retrieving import Retrieval
from routelab.testing import Scripted, fleet

WORDS = ("amber", "basalt", "cobalt", "dolomite", "emerald", "fluorite")


def made(sources: int = 6) -> Questions:
    """Questions about texts in which each mineral's price stands once."""
    texts, names, spans, corpora = [], [], [], {}
    for s in range(sources):
        text = ""
        for i, word in enumerate(WORDS):
            text += f"Something of little weight is written here on page {i}. "
            start = len(text)
            text += f"The {word} of house {s} is sold for {10 * s + i + 100} crowns."
            texts.append(f"What does house {s} take for {word}?")
            names.append(f"house-{s}")
            spans.append(((start, len(text)),))
            text += " Nobody knows why that is so, and nobody has asked.\n\n"
        corpora[f"house-{s}"] = text
    return Questions(texts=tuple(texts), sources=tuple(names), spans=tuple(spans), corpora=corpora)


def retrieval(**given: object) -> Retrieval:
    return Retrieval(corpus=CORPUS, by="words", chunker={"kind": "sentences", "size": 40}, **given)  # type: ignore[arg-type]


def scripted(*script: object, **given: object) -> Asking:
    return asking_of(fleet({"m": Scripted(*script)}), "m", **given)  # type: ignore[arg-type]


def test_every_question_is_asked_with_its_passages_and_measured() -> None:
    questions = made()
    asking = asking_of(Fleet.practice(latency=0, errors=0), "claude-opus")
    found = answered(questions, retrieval(k=2), asking)
    assert len(found) == len(questions) == len(found.texts)
    assert (found.failures, found.simulated) == (0, True)
    shown = quoted(found.runs[0].messages[-1].content)
    assert [q.number for q in shown] == list(range(1, len(shown) + 1))
    figures = found.figures()
    assert figures["answer_quality"] > 0.5
    assert figures["groundedness"] > 0.8
    assert figures["confidently_wrong"] + figures["abstained"] < 0.6
    assert figures["with_answer"]["n"] + figures["without_answer"]["n"] <= len(questions)
    assert figures["answer_usd_per_1000"] > 0
    low, high = figures["answer_quality_ci"]
    assert low < figures["answer_quality"] < high
    again = answered(questions, retrieval(k=2), asking)
    assert again.texts == found.texts


def test_what_is_said_is_scored_claimed_cited_and_paid() -> None:
    questions = made(1)
    gold = prompts(questions, [0])[0].reference or ""
    said = answered(questions, retrieval(k=1), scripted(f"{gold[:-1]} [1]."))
    assert said.quality[0] == 1.0
    assert (said.groundedness[0], said.cited[0], said.held[0]) == (1.0, 1.0, 1.0)
    assert said.confidently_wrong.tolist() == [0.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    assert said.cost_usd == pytest.approx(np.full(6, 15e-6))
    none = answered(questions, retrieval(k=1), scripted("The passages do not say this."))
    assert (none.abstained.tolist(), none.confidently_wrong.tolist()) == ([1.0] * 6, [0.0] * 6)
    assert np.isnan(none.groundedness).all()
    assert none.figures()["groundedness"] is None


def test_who_does_not_answer_is_wrong_but_not_confidently_and_nobody_at_all_is_an_error() -> None:
    questions = made(1)
    script = ["It is 999 crowns.", *[ServerFailed("down")] * 99]
    found = answered(questions, retrieval(), scripted(*script))
    assert found.failures == 5
    assert sorted(found.quality.tolist()) == [0.0] * 6
    assert found.confidently_wrong.sum() == 1.0
    with pytest.raises(ServerFailed):
        answered(questions, retrieval(), scripted(ServerFailed("down")))


def test_a_judge_scores_and_says_what_is_backed_and_what_that_cost_is_apart() -> None:
    verdict = '{"reason": "fine", "score": 5}'
    both = fleet({"m": Scripted("It is 100 crowns [1]."), "j": Scripted(verdict)})
    found = answered(made(1), retrieval(), asking_of(both, "m", judge="j", limit=3))
    assert (found.quality.tolist(), found.backed.tolist()) == ([1.0] * 3, [1.0] * 3)
    assert found.measuring_usd == pytest.approx(np.full(3, 30e-6))
    assert found.cost_usd == pytest.approx(np.full(3, 15e-6))
    judged = both.endpoints["j"].provider.requests  # type: ignore[attr-defined]
    assert any("<<passages" in m.content for r in judged for m in r.messages)
    with pytest.raises(ConfigError, match="unknown model 'x'"):
        asking_of(both, "m", judge="x")


def test_a_budget_is_kept() -> None:
    found = answered(made(), retrieval(), scripted("It is 100 crowns.", budget_usd=0.0045))
    assert 0 < found.failures < len(found)
    assert float(np.nansum(found.cost_usd)) <= 0.0045


def test_agreement_takes_short_and_long_answers_that_say_what_the_reference_says() -> None:
    prompt = Prompt(
        id="p",
        messages=Prompt.of("What does amber cost?").messages,
        reference="Amber is sold for 100 crowns in house 3.",
    )
    scorer = Agreement()
    qualities = {
        text: scorer(text, prompt).quality
        for text in (
            "100 crowns.",
            "Amber is sold for 100 crowns in house 3 [2].",
            "90 crowns",
            "The passages do not say.",
            "",
        )
    }
    assert list(qualities.values()) == [1.0, 1.0, 0.0, 0.0, 0.0]
    assert scorer("100 crowns", Prompt.of("?")).reason == "there is no reference"


def test_few_questions_are_spread_over_the_sources_whatever_their_order() -> None:
    questions = made()
    rows = drawn(questions, 12, seed=3)
    assert [int((questions.clusters[rows] == c).sum()) for c in range(6)] == [2] * 6
    assert len(drawn(questions, None)) == len(drawn(questions, 999)) == 36
    back = Questions(
        texts=questions.texts[::-1],
        sources=questions.sources[::-1],
        spans=questions.spans[::-1],
        corpora=questions.corpora,
    )
    assert {questions.texts[i] for i in rows} == {back.texts[i] for i in drawn(back, 12, seed=3)}
    assert {questions.texts[i] for i in rows} != {questions.texts[i] for i in drawn(questions, 12, seed=4)}


def test_arms_are_compared_by_question_and_by_source() -> None:
    questions = made()
    asking = asking_of(Fleet.practice(latency=0, errors=0), "claude-opus")
    one, two = (
        answered(questions, retrieval(k=3), asking),
        answered(questions, retrieval(k=1, sources=("house-0",)), asking),
    )
    gap = versus(one, two, "quality")
    assert gap is not None
    assert gap.questions.value == pytest.approx(float((one.quality - two.quality).mean()))
    assert gap.questions.value > 0.3
    assert gap.sources.clusters == 6
    silent = answered(questions, retrieval(), scripted("The passages do not say this."))
    assert versus(one, silent, "groundedness") is None
    with pytest.raises(ValueError, match="answered other questions"):
        versus(one, answered(questions, retrieval(), scripted("x", limit=5)), "quality")


def test_only_practice_models_become_readers() -> None:
    scripted_fleet = fleet({"m": Scripted()})
    assert reading(scripted_fleet) is scripted_fleet
    assert all(isinstance(e.provider, Reader) for e in reading(Fleet.practice(latency=0)).endpoints.values())


def test_impossible_askings_are_refused() -> None:
    with pytest.raises(ConfigError, match="limit: at least 2"):
        scripted(limit=1)
    with pytest.raises(ConfigError, match="right_at: "):
        scripted(right_at=0.0)
    with pytest.raises(ConfigError, match="unknown model 'gpt-6'"):
        asking_of("practice", "gpt-6")


def test_the_bench_tells_what_a_fleet_makes_of_every_arm() -> None:
    tried = settings(("sentences",), (40, 4000, 5000), (0.0,))
    asking = asking_of(Fleet.practice(latency=0, errors=0), "claude-opus", limit=10)
    found = bench(made(), tried, embedders={}, plan=Plan(by=("words",), budgets=(), k=2), asking=asking)
    assert isinstance(found.answers[str(found.arms[0]["name"])], Answers)
    assert [arm["answered"] for arm in found.arms] == [10, 10, 10]
    # The last two cut alike, and are asked once.
    assert found.arms[2]["same_as"] == found.arms[1]["name"]
    assert len(found.answers) == 2
    assert found.arms[2]["answer_quality"] == found.arms[1]["answer_quality"]
    assert "by simulated readers" in " ".join(found.about["notes"])
    assert "confidently wrong" in found.table().text()
    silent = bench(made(), tried[:1], embedders={}, plan=Plan(by=("words",), budgets=(), k=2))
    assert "confidently wrong" not in silent.table().text()
    assert "answer_quality" not in silent.arms[0]
