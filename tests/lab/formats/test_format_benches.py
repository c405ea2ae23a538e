"""The benchmarks' files: LLMRouterBench, RouterBench, FrugalGPT and RouterArena."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routelab.core.errors import DataError
from routelab.lab.formats.routerbench import listed
from routelab.lab.outcomes import Outcomes


def test_llmrouterbench_takes_the_newest_run_and_leaves_out_demos(files: Path) -> None:
    found = Outcomes.read(outcomes=files / "llmrouterbench")
    assert (found.models, found.dataset, found.cost_kind) == (
        ("large", "small"),
        "aime",
        ("tokens_x_listprice", "tokens_x_listprice"),
    )
    np.testing.assert_array_equal(found.quality, [[1, 1], [1, np.nan]])
    np.testing.assert_array_equal(found.cost_usd, [[0.004, 0.0002], [np.nan, 0.0002]])
    assert found.input_tokens.tolist() == [[20, 20], [20, 20]]
    first = found.prompts[0]
    assert (first.id, first.text, first.task, first.reference) == (
        "aime/test/1",
        "Answer briefly.\nWhat is 6 × 7?",
        "aime",
        "42",
    )
    assert sorted((r.file.rsplit("/", 1)[1], r.line, r.column) for r in found.rejected) == [
        ("aime-test-large-20250812_080000.json", 1, "demo"),
        ("aime-test-small-20250810_101500.json", 1, "model"),
        ("aime-test-small-20250810_101500.json", 2, "model"),
    ]
    reply = found.reply("aime/test/1", "small")
    assert reply is not None
    assert reply.text == "The answer is 42."


def test_llmrouterbench_rejects_an_answer_to_another_question_of_the_same_number(files: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bench"
    shutil.copytree(files / "llmrouterbench", folder)
    path = next(folder.rglob("aime-test-small-20250901_090000.json"))
    content = json.loads(path.read_text(encoding="utf-8"))
    content["records"][0]["origin_query"] = "What is 7 × 8?"
    path.write_text(json.dumps(content))
    (folder / "manifest.json").write_text("{}")
    reasons = [r.reason for r in Outcomes.read(outcomes=folder).rejected]
    assert any(r.startswith("differs from the one with the same id in aime/test/large/") for r in reasons)
    assert "is no result: model_name and records are needed" in reasons


def test_llmrouterbench_tells_a_failure_from_a_record_without_a_score(files: Path, tmp_path: Path) -> None:
    path = next(files.rglob("aime-test-small-20250901_090000.json"))
    content = json.loads(path.read_text(encoding="utf-8"))
    nothing = {"score": None, "prompt_tokens": 0, "completion_tokens": 0, "cost": 0.0, "prediction": ""}
    content["records"][0] |= {**nothing, "raw_output": "Processing failed: timed out"}
    (tmp_path / path.name).write_text(json.dumps(content))
    found = Outcomes.read(outcomes=tmp_path / path.name)
    np.testing.assert_array_equal(found.quality, [[0], [np.nan]])
    assert found.failed.tolist() == [[True], [False]]
    assert np.isnan(found.input_tokens[0, 0])


def test_routerbench_has_a_prompt_a_line_and_a_model_in_three_columns(files: Path) -> None:
    found = Outcomes.read(outcomes=files / "routerbench.csv")
    assert found.models == ("mistralai/mixtral-8x7b-chat", "gpt-4-1106-preview")
    np.testing.assert_array_equal(found.quality, [[1, 1], [0.6, 0.9], [np.nan, 0]])
    np.testing.assert_array_equal(found.cost_usd, [[4.38e-05, 0.00074], [0.0001, np.nan], [np.nan, 0.001]])
    assert [p.task for p in found.prompts] == ["mmlu-astronomy", "mtbench", "grade-school-math"]
    assert [m.content for m in found.prompts[1].messages] == ["Write one line about the sea.", 'Now say it\'s "grey".']
    assert found.texts is not None
    assert found.texts("mtbench.7", "mistralai/mixtral-8x7b-chat") == "The sea.\nGrey."
    assert found.texts("gsm8k.9", "mistralai/mixtral-8x7b-chat") is None


def test_routerbench_rejects_cells_and_lines_with_their_column(files: Path, tmp_path: Path) -> None:
    text = (files / "routerbench.csv").read_text(encoding="utf-8")
    path = tmp_path / "wide.csv"
    path.write_text(text.replace(",1.0,1.0,", ",7,1.0,").replace("0.00074", "cheap").replace("gsm8k.9", ""))
    found = Outcomes.read(outcomes=path)
    assert [str(r) for r in found.rejected] == [
        "wide.csv, line 2, mistralai/mixtral-8x7b-chat: 7 is not between 0 and 1",
        "wide.csv, line 2, gpt-4-1106-preview|total_cost: 'cheap' is not a number",
        "wide.csv, line 4, sample_id: is blank",
    ]
    assert [p.id for p in found.prompts] == ["mtbench.7"]


def test_routerbench_without_the_score_of_a_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_text("sample_id,prompt,eval_name,gpt|total_cost\na,b,c,0.1\n")
    with pytest.raises(DataError, match=r"wide\.csv, line 1: column 'gpt' is missing"):
        Outcomes.read(outcomes=path)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=4))
def test_a_list_that_python_printed_is_read_back_without_evaluating_it(texts: list[str]) -> None:
    assert listed(repr(texts)) == texts


@given(st.text())
def test_any_other_text_stays_what_it_is(text: str) -> None:
    if not text.strip().startswith("["):
        assert listed(text) == [text]


def test_code_in_a_list_is_text() -> None:
    assert listed("[__import__('os').system('true')]") == ["[__import__('os').system('true')]"]


def test_frugalgpt_has_a_file_for_each_model_and_na_is_not_measured(files: Path) -> None:
    found = Outcomes.read(outcomes=files / "frugalgpt")
    assert found.models == ("gpt-4-turbo", "gpt-4o-mini")
    np.testing.assert_array_equal(found.quality, [[1, 1], [1, 0]])
    np.testing.assert_array_equal(found.latency_s, [[1.2, 0.61], [np.nan, np.nan]])
    assert [(p.id, p.text, p.reference) for p in found.prompts] == [
        ("0", "Q: up or down? gold rises", "up"),
        ("1", "Q: up or down? gold flat", "none"),
    ]


def test_frugalgpt_without_quality_and_query_says_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "answers.csv"
    path.write_text(",_id,answer,ref_answer,cost,service\n0,7,up,up,0.1,a/b\n1,7,none,up,0.2,c/d\n2,,x,up,0.2,c/d\n")
    found = Outcomes.read(outcomes=path)
    assert (found.models, found.prompts[0].messages, found.prompts[0].reference) == (("a/b", "c/d"), (), "up")
    assert np.isnan(found.quality).all()
    assert "no quality was recorded: score the answers before comparing" in found.notes
    assert any("has no column 'query'" in note for note in found.notes)
    assert [str(r) for r in found.rejected] == ["answers.csv, line 4, _id: is blank"]


def test_routerarena_counts_failures_and_leaves_out_choices_without_a_result(files: Path) -> None:
    found = Outcomes.read(outcomes=files / "routerarena.json")
    assert found.models == ("gemini-2.0-flash-001", "gpt-4o-mini")
    np.testing.assert_array_equal(found.quality, [[1, 0], [np.nan, 0]])
    np.testing.assert_array_equal(found.cost_usd, [[3.6e-05, 0.0001], [np.nan, np.nan]])
    assert found.failed.tolist() == [[False, False], [False, True]]
    assert [(p.id, p.task) for p in found.prompts] == [("ArcMMLU_98", "ArcMMLU"), ("GSM8K_4", "GSM8K")]
    assert [str(r) for r in found.rejected] == [
        "routerarena.json, line 4, generated_result: is missing: the model was chosen, not asked"
    ]


def test_several_routers_fill_one_cube(files: Path, tmp_path: Path) -> None:
    rows = json.loads((files / "routerarena.json").read_text(encoding="utf-8"))
    (tmp_path / "one.json").write_text(json.dumps(rows[:2]))
    (tmp_path / "two.json").write_text(json.dumps([{**rows[0], "prediction": "third", "cost": 0.5}]))
    found = Outcomes.read(outcomes=tmp_path)
    assert found.models == ("gemini-2.0-flash-001", "gpt-4o-mini", "third")
    np.testing.assert_array_equal(found.quality, [[1, 0, 1]])


def test_the_cached_results_of_routerarena_are_one_file_a_model(tmp_path: Path) -> None:
    for model, score in (("small", 0.0), ("large", 1.0)):
        rows = [
            {
                "global_index": f"AIME_{i}",
                "question": f"question {i}",
                "llm_selected": model,
                "generated_answer": "42",
                "token_usage": {"input_tokens": 9, "output_tokens": 2, "total_tokens": 11},
                "success": True,
                "provider": "p",
                "error": None,
                "evaluation_result": {"score": score, "ground_truth": "42", "metric": "m", "inference_cost": 0.001},
            }
            for i in range(2)
        ]
        (tmp_path / f"{model}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = Outcomes.read(outcomes=tmp_path)
    assert found.models == ("large", "small")
    assert found.quality.tolist() == [[1, 0], [1, 0]]
    assert found.cost_usd.tolist() == [[0.001, 0.001]] * 2
    assert [(p.id, p.text, p.reference) for p in found.prompts] == [
        ("AIME_0", "question 0", "42"),
        ("AIME_1", "question 1", "42"),
    ]
