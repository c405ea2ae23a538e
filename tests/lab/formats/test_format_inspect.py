"""Inspect's two dataframes, with the column names that inspect_ai gives them."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from routelab.core.errors import DataError
from routelab.lab.formats.calls import Row
from routelab.lab.formats.gathered import gather
from routelab.lab.formats.inspectlogs import calls_of_frames
from routelab.lab.outcomes import Outcomes


def sample(eval_id: str, sample_id: str, score: Any, **given: Any) -> dict[str, Any]:
    """Return a row of samples_df."""
    usage = {
        "openai/small": {"input_tokens": 30, "output_tokens": 7, "total_tokens": 37},
        "openai/large": {"input_tokens": 31, "output_tokens": 9, "total_tokens": 40, "total_cost": 0.02},
        "openai/grader": {"input_tokens": 900, "output_tokens": 90, "total_tokens": 990},
    }
    return {
        "sample_id": f"{eval_id}{sample_id}",
        "eval_id": eval_id,
        "id": sample_id,
        "epoch": 1,
        "input": f"user:\nquestion {sample_id}\n",
        "target": "42",
        "score_match": score,
        "model_usage": json.dumps(usage),
        "total_time": 2.5,
        "error": "",
        "limit": None,
        **given,
    }


def evals(*rows: tuple[str, str, str]) -> pd.DataFrame:
    """Return an evals_df of (eval_id, model, created)."""
    return pd.DataFrame(
        [
            {"eval_id": e, "model": m, "task_name": "maths", "created": pd.Timestamp(c), "score_headline_name": "match"}
            for e, m, c in rows
        ]
    )


def outcomes(samples: list[dict[str, Any]], logs: pd.DataFrame) -> Outcomes:
    """Return the outcomes in frames."""

    def reader(path: Path) -> Iterator[Row]:
        return calls_of_frames(pd.DataFrame(samples), logs, name=path.name)

    return gather(Path("logs"), reader, kind="inspect")


LOGS = evals(("e1", "openai/small", "2026-01-01T00:00:00Z"), ("e2", "openai/large", "2026-01-02T00:00:00Z"))


def test_samples_become_prompts_of_a_task_and_grades_become_numbers() -> None:
    found = outcomes(
        [sample("e1", "a", "C"), sample("e1", "b", "P"), sample("e2", "a", "I"), sample("e2", "b", 0.25)], LOGS
    )
    assert (found.models, found.dataset) == (("openai/small", "openai/large"), "maths")
    assert found.quality.tolist() == [[1, 0], [0.5, 0.25]]
    np.testing.assert_array_equal(found.cost_usd, [[np.nan, 0.02], [np.nan, 0.02]])
    assert found.input_tokens.tolist() == [[30, 31], [30, 31]]
    assert found.latency_s.tolist() == [[2.5, 2.5], [2.5, 2.5]]
    assert [(p.id, p.text, p.task, p.reference, p.group) for p in found.prompts] == [
        ("maths/a", "question a", "maths", "42", None),
        ("maths/b", "question b", "maths", "42", None),
    ]


def test_an_error_is_a_failure_and_a_gap_stays_a_gap() -> None:
    found = outcomes([sample("e1", "a", None, error="boom"), sample("e1", "b", np.nan, total_time=pd.NA)], LOGS)
    np.testing.assert_array_equal(found.quality, [[0], [np.nan]])
    assert found.failed.tolist() == [[True], [False]]
    assert np.isnan(found.latency_s[1, 0])


def test_epochs_are_prompts_of_one_group() -> None:
    found = outcomes([sample("e1", "a", "C"), sample("e1", "a", "I", epoch=2), sample("e2", "a", "C")], LOGS)
    assert [(p.id, p.group) for p in found.prompts] == [("maths/a#1", "maths/a"), ("maths/a#2", "maths/a")]
    np.testing.assert_array_equal(found.quality, [[1, 1], [0, np.nan]])


def test_the_newest_log_of_a_model_counts() -> None:
    logs = evals(("e1", "m", "2026-02-01T00:00:00Z"), ("e2", "m", "2026-01-01T00:00:00Z"))
    found = outcomes([sample("e1", "a", "C"), sample("e2", "a", "I")], logs)
    assert found.quality.tolist() == [[1]]
    assert [r.reason for r in found.rejected] == ["a later answer of m to this prompt is in logs, line 1"]


def test_rows_without_an_eval_and_scores_that_are_no_number_are_rejected() -> None:
    found = outcomes(
        [sample("e1", "a", "C"), sample("e9", "a", "C"), sample("e1", "b", '{"x": 1}'), sample("e1", "c", 7)], LOGS
    )
    assert [str(r) for r in found.rejected] == [
        "logs, line 2, eval_id: 'e9' has no eval",
        "logs, line 3, score_match: '{\"x\": 1}' is not a number",
        "logs, line 4, score_match: 7 is not between 0 and 1",
    ]


def test_of_several_scores_the_headline_counts_and_the_others_are_named() -> None:
    found = outcomes([sample("e1", "a", "C", score_aaa="I"), sample("e1", "b", None, score_aaa="C")], LOGS)
    assert found.quality.tolist() == [[1], [1]]
    assert any(note.startswith("several scores: score_match, score_aaa") for note in found.notes)


def test_without_inspect_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "inspect_ai", None)
    (tmp_path / "run.eval").write_bytes(b"PK\x03\x04")
    with pytest.raises(DataError, match="inspect_ai, which is not installed") as trouble:
        Outcomes.read(outcomes=tmp_path / "run.eval")
    assert trouble.value.hint == "python -m pip install inspect_ai pyarrow"


def test_a_log_is_read_through_the_functions_of_inspect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    analysis = ModuleType("inspect_ai.analysis")
    asked: list[Any] = []

    def samples_df(logs: str, *, quiet: bool) -> pd.DataFrame:
        asked.append((logs, quiet))
        return pd.DataFrame([sample("e1", "a", "C")])

    vars(analysis).update(samples_df=samples_df, evals_df=lambda logs, *, quiet: LOGS)
    monkeypatch.setitem(sys.modules, "inspect_ai", ModuleType("inspect_ai"))
    monkeypatch.setitem(sys.modules, "inspect_ai.analysis", analysis)
    path = tmp_path / "run.eval"
    path.write_bytes(b"PK\x03\x04")
    assert Outcomes.read(outcomes=path).quality.tolist() == [[1]]
    assert asked == [(str(path), True)]


def test_a_log_that_inspect_cannot_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    analysis = ModuleType("inspect_ai.analysis")

    def samples_df(logs: str, *, quiet: bool) -> pd.DataFrame:
        raise ValueError("EOCD not found\nmore")

    vars(analysis).update(samples_df=samples_df, evals_df=samples_df)
    monkeypatch.setitem(sys.modules, "inspect_ai", ModuleType("inspect_ai"))
    monkeypatch.setitem(sys.modules, "inspect_ai.analysis", analysis)
    (tmp_path / "run.eval").write_bytes(b"PK\x03\x04")
    with pytest.raises(DataError) as trouble:
        Outcomes.read(outcomes=tmp_path / "run.eval")
    assert trouble.value.message == "run.eval: inspect_ai cannot read it (EOCD not found)"


def test_a_conversation_as_input_keeps_its_roles() -> None:
    said = "system:\nBe brief.\n\n\nuser:\nWhy?\nReally?\n"
    found = outcomes([sample("e1", "a", "C", input=said), sample("e1", "b", "C", input="user: no transcript")], LOGS)
    assert [(m.role, m.content) for m in found.prompts[0].messages] == [
        ("system", "Be brief."),
        ("user", "Why?\nReally?"),
    ]
    assert found.prompts[1].text == "user: no transcript"


@pytest.mark.skipif(importlib.util.find_spec("inspect_ai") is None, reason="inspect_ai is not installed here")
def test_the_columns_are_those_of_the_installed_inspect() -> None:
    analysis = importlib.import_module("inspect_ai.analysis")
    parts = (analysis.EvalModel, analysis.EvalTask, analysis.SampleSummary)
    there = {column.name for part in parts for column in part}
    assert {"model", "task_name", "id", "epoch", "input", "target", "score_*", "model_usage", "total_time"} <= there
