"""promptfoo's results: what its scores, errors and caches mean."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from routelab.lab.outcomes import Outcomes


@pytest.fixture
def results(files: Path, tmp_path: Path) -> Callable[..., Path]:
    """Write results, given as changes to the first one of the fixture."""
    first = json.loads((files / "promptfoo.json").read_text(encoding="utf-8"))["results"]["results"][0]

    def write(*changes: dict[str, Any], name: str = "results.json") -> Path:
        path = tmp_path / name
        rows = [{**first, **change} for change in changes]
        text = (
            "\n".join(map(json.dumps, rows)) if name.endswith(".jsonl") else json.dumps({"version": 3, "results": rows})
        )
        path.write_text(text)
        return path

    return write


def test_an_assertion_that_fails_is_a_wrong_answer_and_an_error_is_a_failure(files: Path) -> None:
    found = Outcomes.read(outcomes=files / "promptfoo.json")
    assert found.models == ("openai:chat:gpt-4o-mini", "haiku")
    np.testing.assert_array_equal(found.quality, [[1, 0], [1, 0]])
    assert found.failed.tolist() == [[False, False], [False, True]]
    assert [p.text for p in found.prompts] == ["Answer: What is 6 × 7?", "Answer: Name the largest ocean."]
    assert [p.group for p in found.prompts] == [None, None]
    assert found.output_tokens[0].tolist() == [3, 3]


def test_a_cached_answer_keeps_its_quality_and_loses_its_cost_and_wait(files: Path) -> None:
    found = Outcomes.read(outcomes=files / "promptfoo.json")
    assert (found.quality[1, 0], found.latency_s[0, 0]) == (1, 0.812)
    assert np.isnan([found.cost_usd[1, 0], found.latency_s[1, 0]]).all()
    assert "answers from promptfoo's cache keep their quality; their cost and latency are not known" in found.notes


def test_a_score_without_an_assertion_says_nothing(results: Callable[..., Path]) -> None:
    bare = {"testCase": {"vars": {}, "assert": []}, "gradingResult": {"pass": True, "score": 1, "componentResults": []}}
    found = Outcomes.read(outcomes=results(bare, {"testIdx": 1}))
    np.testing.assert_array_equal(found.quality, [[np.nan], [1]])
    assert "1 results had no assertion: their score of 1 says nothing and is left out" in found.notes


def test_templates_and_repeats_are_prompts_of_one_group(results: Callable[..., Path]) -> None:
    found = Outcomes.read(outcomes=results({}, {"prompt": {"raw": "Please: 6 × 7"}, "score": 0.5}, {"testIdx": 1}))
    assert len(found) == 3
    assert len({p.id for p in found.prompts}) == 3
    assert len({p.group for p in found.prompts}) == 1
    assert found.prompts[0].group is not None
    assert found.quality[:, 0].tolist() == [1, 0.5, 1]


def test_providers_with_a_template_each_answer_the_same_prompt(results: Callable[..., Path]) -> None:
    other = {"provider": {"id": "other"}, "prompt": {"raw": '[{"role": "user", "content": "6 × 7?"}]'}, "score": 0}
    found = Outcomes.read(outcomes=results({}, other))
    assert found.quality.tolist() == [[1, 0]]
    assert Outcomes.read(outcomes=results(other)).prompts[0].text == "6 × 7?"


def test_lines_of_results_are_read_too(results: Callable[..., Path]) -> None:
    path = results({}, {"testIdx": 1, "score": 2}, {"testIdx": 2, "provider": {}}, name="results.jsonl")
    found = Outcomes.read(outcomes=path)
    assert found.quality.tolist() == [[1]]
    assert [str(r) for r in found.rejected] == [
        "results.jsonl, line 2, score: 2 is not between 0 and 1",
        "results.jsonl, line 3, model: is blank",
    ]


def test_results_without_texts_are_kept_and_stay_apart(results: Callable[..., Path]) -> None:
    bare = {"prompt": {"raw": "[prompt stripped]"}, "vars": {}, "testCase": {"assert": [{"type": "equals"}]}}
    response = {"output": "[output stripped]"}
    changes = [{**bare, "testIdx": i, "gradingResult": None, "response": response} for i in (0, 1)]
    found = Outcomes.read(outcomes=results(*changes))
    assert [(p.messages, p.group) for p in found.prompts] == [((), None), ((), None)]
    assert found.quality.tolist() == [[1], [1]]
    assert found.texts is not None
    assert found.texts(found.prompts[0].id, found.models[0]) is None
