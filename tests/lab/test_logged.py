"""The log as outcomes: what was asked live can be replayed."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from routelab.core.errors import DataError, LogError
from routelab.core.events import Answered, Recalled, Routed, Scored, Unanswered
from routelab.core.run import Run
from routelab.core.values import Message, Prompt, Tokens
from routelab.lab.logged import outcomes_of_query
from routelab.lab.outcomes import Outcomes
from routelab.store import Log

PROMPTS = [
    Prompt(id=f"p{i}", messages=(Message(role="user", content=f"question {i}"),), task="qa", group="g")
    for i in range(2)
]


def run(prompt: Prompt, name: str, *events: Any, after_s: float = 0, experiment: str = "e") -> Run:
    began = datetime(2026, 1, 1) + timedelta(seconds=after_s)
    made = Run(id=name, prompt=prompt, started_at=began, arm="x", experiment=experiment)
    return Run(**{**vars(made), "events": (Routed(strategy="fixed", order=("m",), reason=""), *events)})


def answered(model: str, text: str = "yes", **given: Any) -> Answered:
    facts = {"cost_usd": 0.5, "latency_s": 1.0, "tokens": Tokens(input=3, output=4, source="usage"), **given}
    return Answered(model=model, served_model=model, provider="p", text=text, **facts)


def lost(model: str, error: str = "TimedOut", **given: Any) -> Unanswered:
    return Unanswered(model=model, provider="p", error=error, message="", retry=False, latency_s=2.0, **given)


def scored(model: str, quality: float, **given: Any) -> Scored:
    return Scored(scorer="exact", quality=quality, model=model, **given)


def logged(path: Path, *runs: Run, dataset: str = "d") -> Path:
    with Log(path) as log:
        log.record_experiment("e", dataset=dataset)
        for one in runs:
            log.record(one)
    return path


def test_every_model_asked_about_a_prompt_is_a_cell(tmp_path: Path) -> None:
    path = logged(
        tmp_path / "log.duckdb",
        run(PROMPTS[0], "r0", answered("a"), scored("a", 0.75)),
        run(PROMPTS[0], "r1", lost("b")),
        run(PROMPTS[1], "r2", answered("a", simulated=True), scored("a", 1.0)),
    )
    found = Outcomes.read(outcomes=path)
    assert (found.dataset, found.models, [p.id for p in found.prompts]) == ("d", ("a", "b"), ["p0", "p1"])
    assert found.prompts == tuple(PROMPTS)
    assert found.quality == pytest.approx(np.array([[0.75, 0.0], [1.0, np.nan]]), nan_ok=True)
    assert found.cost_usd == pytest.approx(np.array([[0.5, 0.0], [0.5, np.nan]]), nan_ok=True)
    assert found.latency_s == pytest.approx(np.array([[1.0, 2.0], [1.0, np.nan]]), nan_ok=True)
    assert found.failed.tolist() == [[False, True], [False, False]]
    assert found.simulated
    reply = found.reply("p0", "a")
    assert reply is not None
    assert (reply.text, reply.tokens.output) == ("yes", 4)
    assert found.reply("p0", "b") is None


def test_retries_add_up_and_an_unknown_cost_stays_unknown(tmp_path: Path) -> None:
    retried = Unanswered(
        model="a", provider="p", error="ServerFailed", message="", retry=True, latency_s=2.0, cost_usd=0.25
    )
    path = logged(
        tmp_path / "log.duckdb",
        run(PROMPTS[0], "r0", retried, answered("a", attempt=2), scored("a", 1.0)),
        run(PROMPTS[1], "r1", answered("a", cost_usd=None), scored("a", 1.0)),
    )
    found = Outcomes.read(outcomes=path)
    assert found.cost_usd[:, 0] == pytest.approx([0.75, np.nan], nan_ok=True)
    assert found.latency_s[:, 0] == pytest.approx([3.0, 1.0])


def test_a_cascade_gives_its_gate_scores_and_the_measure_of_the_answer_that_counted(tmp_path: Path) -> None:
    cascade = run(
        PROMPTS[0],
        "r0",
        answered("a"),
        Scored(scorer="judge", quality=0.2, model="a", accepted=False, at_least=0.5, cost_usd=0.5),
        answered("b"),
        Scored(scorer="judge", quality=0.9, model="b", accepted=True, at_least=0.5),
        scored("b", 1.0),
    )
    found = Outcomes.read(outcomes=logged(tmp_path / "log.duckdb", cascade))
    assert found.quality == pytest.approx(np.array([[np.nan, 1.0]]), nan_ok=True)
    assert found.gates["judge"].score.tolist() == [[0.2, 0.9]]
    assert found.gates["judge"].cost_usd.tolist() == [[0.5, 0.0]]


def test_the_latest_run_counts_and_a_recalled_answer_is_nobodys(tmp_path: Path) -> None:
    path = logged(
        tmp_path / "log.duckdb",
        run(PROMPTS[0], "r0", answered("a", "old"), scored("a", 0.0)),
        run(PROMPTS[0], "r1", answered("a", "new"), scored("a", 1.0), after_s=60),
        run(PROMPTS[0], "r2", Recalled(cache="exact", key="k", text="new", model="a"), after_s=90),
    )
    found = Outcomes.read(outcomes=path)
    reply = found.reply("p0", "a")
    assert reply is not None
    assert (found.quality.tolist(), reply.text) == ([[1.0]], "new")


def test_a_call_that_was_never_sent_is_not_recorded_as_a_failure(tmp_path: Path) -> None:
    path = logged(
        tmp_path / "log.duckdb",
        run(PROMPTS[0], "r0", answered("a"), scored("a", 1.0)),
        run(PROMPTS[1], "r1", lost("a", "MissingKey")),
    )
    assert [p.id for p in Outcomes.read(outcomes=path).prompts] == ["p0"]


def test_a_log_of_several_datasets_needs_a_name(tmp_path: Path) -> None:
    path = logged(tmp_path / "log.duckdb", run(PROMPTS[0], "r0", answered("a"), scored("a", 1.0)))
    with Log(path) as log:
        log.record_experiment("f", dataset="other")
        log.record(run(PROMPTS[1], "r1", answered("b"), scored("b", 1.0), experiment="f"))
    with pytest.raises(DataError, match="holds 2 datasets; name one"):
        Outcomes.read(outcomes=path)
    with pytest.raises(DataError, match="unknown dataset 'othr'; did you mean 'other'"):
        Outcomes.read(outcomes=path, dataset="othr")
    assert Outcomes.read(outcomes=path, dataset="other").models == ("b",)


def test_an_open_log_can_be_asked_too_and_a_veiled_one_has_no_texts() -> None:
    with Log(content="hash") as log:
        log.record_experiment("e", dataset="d")
        log.record(run(PROMPTS[0], "r0", answered("a"), scored("a", 1.0)))
        found = outcomes_of_query(log.query)
        assert (found.prompts[0].messages, found.quality.tolist(), found.reply("p0", "a")) == ((), [[1.0]], None)
        given_ = outcomes_of_query(log.query, prompts=PROMPTS)
        assert given_.prompts == (PROMPTS[0],)


def test_an_empty_or_foreign_log_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no answers"):
        Outcomes.read(outcomes=logged(tmp_path / "empty.duckdb"))
    with pytest.raises(DataError, match="no such file"):
        Outcomes.read(outcomes=tmp_path / "none.duckdb")
    (tmp_path / "text.duckdb").write_text("not a database, whatever its name says" * 100)
    with pytest.raises(LogError, match=r"text\.duckdb"):
        Outcomes.read(outcomes=tmp_path / "text.duckdb")
    with duckdb.connect(str(tmp_path / "other.duckdb")) as con:
        con.execute("create table t (x int)")
    with pytest.raises(LogError, match=r"other\.duckdb is a DuckDB database, but not a log"):
        Outcomes.read(outcomes=tmp_path / "other.duckdb")
