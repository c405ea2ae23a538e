"""Chunkers compared in the tab: the bench's figures, a baseline, equal contexts, prices, Stop, and a config to take away."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import yaml
from cached import elements, read
from chunked import HOSTILE, corpora, questions, settled, until

from routelab.config import RouteConfig
from routelab.core.errors import ConfigError
from routelab.embedding import vectors
from routelab.lab.charts.chart import PLOTLY_MIME
from routelab.lab.chunks.bench import Plan, bench
from routelab.lab.chunks.measures import difference, usd_per_1000
from routelab.lab.chunks.questions import Questions
from routelab.lab.chunks.settings import settings
from routelab.lab.session import Lab
from routelab.panels.chunkcompare import START, Compare
from routelab.panels.chunkfigures import retrieval_of_arm
from routelab.panels.chunktab import Chunking
from routelab.retrieval import whole
from routelab.testing import Scripted, fleet

KINDS = ("tokens", "markdown")


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab(fleet=fleet({"good": Scripted("four"), "small": Scripted("four")})) as lab:
        yield lab


def comparing(lab: Lab, value: Questions | None = None, *, kinds: Sequence[str] = KINDS) -> Compare:
    """Return the part that compares, with its boxes ticked for something quick."""
    made = Compare(lab.desk)
    made.take(questions() if value is None else value)
    for kind, box in made.kinds.items():
        box.value = kind in kinds
    made.sizes.value, made.overlaps.value, made.embedder.value = "40, 80", "0, 20", "lexical"
    return made


def compared(lab: Lab, value: Questions | None = None) -> Compare:
    made = comparing(lab, value)
    made.run.click()
    until(lambda: made._tables)
    settled(made.jobs)
    assert made.line.text == ""
    assert made.compared is not None
    return made


def test_the_figures_are_those_of_the_bench(lab: Lab) -> None:
    made = compared(lab)
    asked = questions()
    tried = settings(KINDS, (40, 80), (0.0, 0.2))
    plan = Plan(models=lab.fleet.models)
    wanted = bench(asked, tried, embedders={"lexical": whole("lexical")}, plan=plan)
    assert made.compared is not None
    found = made.compared.found
    assert [arm["name"] for arm in found.arms] == [setting.name for setting in tried]
    for one, other in zip(found.arms, wanted.arms, strict=True):
        timed = {"name", "mb_per_s", "same_as"}
        assert {k: v for k, v in one.items() if k not in timed} == {k: v for k, v in other.items() if k not in timed}
    assert found.why == wanted.why.replace(", lexical", "")
    shown = read(made._arms.value)
    for arm in found.arms:
        assert f"{100 * arm['recall']:.1f}" in shown
        assert "[{:.1f}, {:.1f}]".format(*(100 * v for v in arm["recall_ci"])) in shown
        assert f"{100 * arm['precision_omega']:.1f}" in shown
    assert "clustered by source (6)" in shown


def test_the_baseline_and_the_context_are_chosen(lab: Lab) -> None:
    made = compared(lab)
    assert made.compared is not None
    assert made.baseline.value == "tokens 80"
    scores, asked = made.compared.found.scores, questions()
    made.at.value, made.baseline.value = "500 tokens", "tokens 40"
    settled(made.jobs)
    gap = difference(scores["markdown 40"].recall_at[500], scores["tokens 40"].recall_at[500], asked.clusters)
    row = next(r for r in made._tables[1].rows if r[0] == "markdown 40")
    assert row[1] == f"{100 * gap.questions.value:+.1f} points".replace("-", "−")
    assert row[2] == f"[{100 * gap.questions.low:+.1f}, {100 * gap.questions.high:+.1f}]".replace("-", "−")  # type: ignore[operator]
    assert [r[5] for r in made._tables[1].rows].count("baseline") == 1
    assert "at 500 tokens" in made.panel.still()["text/plain"]


def test_the_context_is_priced_for_every_model_of_the_fleet(lab: Lab) -> None:
    made = compared(lab)
    assert made.compared is not None
    prices = made._tables[2]
    assert list(prices.head) == ["chunker", "tokens", *lab.fleet.names]
    tokens = float(np.mean(made.compared.found.scores["tokens 40"].context_tokens))
    paid = usd_per_1000(tokens, lab.fleet.models)
    assert len(prices.rows) == 8
    assert [cell == "?" for cell in prices.rows[0][2:]] == [paid[name] is None for name in lab.fleet.names]


def test_the_chart_shows_every_arm(lab: Lab) -> None:
    made = compared(lab)
    chart = made.picture.chart
    assert chart is not None
    data = chart._repr_mimebundle_()
    named = [t for t in data[PLOTLY_MIME]["data"] if t.get("name")]
    assert len(named) == 8
    assert all("error_y" in trace for trace in named)
    assert "<table" in data["text/html"]


def test_chunkings_that_are_the_same_are_named_as_one(lab: Lab) -> None:
    made = comparing(lab, kinds=("tokens", "recursive"))
    made.sizes.value, made.overlaps.value = "5000, 6000", "0"
    made.run.click()
    until(lambda: made._tables)
    settled(made.jobs)
    assert made.compared is not None
    assert [arm["same_as"] for arm in made.compared.found.arms] == [None, *["tokens 5000"] * 3]
    assert "3 of them cut as another one does" in made.panel.still()["text/plain"]
    assert "cuts as tokens 5000 does" in read(made._arms.value)
    assert [r[5] for r in made._tables[1].rows] == ["baseline"] * 4


def test_stop_keeps_what_is_finished(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    made = comparing(lab)
    two, go = threading.Event(), threading.Event()
    asked: list[int] = []

    def waits(spec: Any, texts: Sequence[str]) -> Any:
        asked.append(len(texts))
        job = made.jobs[0] if made.jobs else None
        if job is not None and job.progress.done == 2:
            two.set()
            assert go.wait(30)
        return vectors(spec, texts)

    monkeypatch.setattr("routelab.panels.chunkcut.vectors", waits)
    made.run.click()
    assert two.wait(30)
    assert str(made.jobs[0]).startswith("job 1 · chunkers on given")
    made.running.stop.click()
    made.jobs[0].settle()
    go.set()
    until(lambda: made._tables)
    settled(made.jobs)
    assert made.jobs[0].state == "stopped"
    assert made.compared is not None
    assert made.compared.names == ["tokens 40", "tokens 40 +20%"]
    assert "stopped before 6 more chunkings were tried" in made.panel.still()["text/plain"]


def test_what_cannot_be_read_is_said_before_anything_starts(lab: Lab) -> None:
    made = comparing(lab)
    for box, value, said in (
        (made.sizes, "two", "✗ sizes: numbers with commas between them are wanted, not 'two'"),
        (made.sizes, "", "✗ sizes: at least one number is wanted"),
        (made.sizes, "0", "size"),
        (made.overlaps, "100", "overlap"),
    ):
        before = box.value
        box.value = value
        made.run.click()
        assert said in made.line.text
        box.value = before
    for box in made.kinds.values():
        box.value = False
    made.run.click()
    assert made.line.text == "✗ tick at least one kind of chunker"
    assert made.jobs == []
    with pytest.raises(ConfigError, match="no questions with known answers"):
        made.take(corpora())


def test_the_config_is_copied_with_its_evidence_and_saved_as_an_arm(lab: Lab) -> None:
    made = compared(lab)
    made.arm.value = "markdown 40 +20%"
    made.copy.click()
    assert made.yaml.value.startswith("# markdown 40 +20%: 8 chunkings; 48 questions")
    assert "# against tokens 80 at 5 passages: recall " in made.yaml.value
    spec = yaml.safe_load(made.yaml.value)["retrieval"]
    assert spec == {
        "corpus": "given",
        "chunker": {"kind": "markdown", "size": 40, "overlap": 0.2},
        "embedder": "lexical",
    }
    made.base.value, made.named.value = "small", "from-docs"
    made.save.click()
    assert made.line.text.startswith("saved: cells and the other tabs know it as from-docs")
    assert made.compared is not None
    assert lab.arm("from-docs").retrieval == retrieval_of_arm(made.compared, "markdown 40 +20%")
    answer = lab.router("from-docs").route("What does the camera in the garage weigh?")
    [found] = [event for event in answer.run.events if type(event).__name__ == "Retrieved"]
    assert found.corpus == "given"
    assert any(chunk.startswith("garage:") for chunk in found.chunks)
    made.arm.value = "tokens 40"
    assert made.yaml.value == ""


def test_the_log_shows_what_was_retrieved(lab: Lab) -> None:
    tab = Chunking(lab.desk, begin=False)
    tab.which.value = "What was retrieved"
    assert "No run of this log has retrieved anything" in tab.panel.still()["text/plain"]
    lab.corpora["rooms"] = corpora()
    lab.arms["docs"] = RouteConfig(
        name="docs",
        models=["good"],
        strategy={"kind": "fixed", "model": "good"},
        retrieval={"corpus": "rooms", "chunker": {"kind": "markdown", "size": 60}, "embedder": "lexical", "k": 3},
    )
    lab.router("docs").route(f"What does the camera in the garage weigh? {HOSTILE}")
    tab.log.refresh.click()
    told = tab.panel.still()
    assert "retrievals by arm and corpus" in told["text/plain"]
    assert tab.log.tables[0].rows[0][:5] == ("docs", "rooms", "1", "0", "3.0")
    assert tab.log.tables[1].rows[0][5].count("garage:") >= 1
    assert elements(told["text/html"]) <= {
        "html",
        "head",
        "body",
        "style",
        "div",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    }


def test_before_anything_ran_it_says_what_to_do(lab: Lab) -> None:
    made = Compare(lab.desk)
    assert made.panel.still()["text/plain"] == START
    assert made.source.value == "handbook (shipped)"


def test_a_model_answers_from_each_arms_passages_within_a_budget(lab: Lab) -> None:
    made = comparing(lab, kinds=("tokens",))
    made.sizes.value = "80"
    assert made.limit.layout.display == "none"
    made.answered.value = "small"
    assert made.limit.layout.display == ""
    made.limit.value = 6
    made.run.click()
    until(lambda: made._tables)
    settled(made.jobs)
    answers = made._tables[3]
    assert answers.caption == "what small answered to 6 of the questions"
    assert [row[0] for row in answers.rows] == ["tokens 80", "tokens 80 +20%"]
    assert made.compared is not None
    for row, arm in zip(answers.rows, made.compared.found.arms, strict=True):
        assert row[1].startswith(f"{100 * arm['answer_quality']:.1f}")
        assert row[3].startswith(f"{100 * arm['confidently_wrong']:.1f}")
    assert lab.log.query("select count(*) from calls") == [(12,)]
    assert "what small answered" in made.panel.still()["text/plain"]
    made.budget.value = "a lot"
    made.run.click()
    assert "budget, USD: numbers" in made.line.text


def test_hostile_documents_and_questions_stay_text(lab: Lab) -> None:
    made = compared(lab, questions(hostile=True))
    for value in (made._arms.value, made._versus.value, made._prices.value, made.panel.still()["text/html"]):
        assert "<script" not in value
