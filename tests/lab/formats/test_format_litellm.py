"""LiteLLM's logging payloads, among them the ones that its own program writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from routelab.core.values import Message
from routelab.lab.outcomes import Outcomes

Lines = Callable[..., Path]
Payload = Callable[..., dict[str, Any]]


def test_calls_are_told_apart_by_their_messages_and_the_latest_one_counts(files: Path) -> None:
    found = Outcomes.read(outcomes=files / "litellm.jsonl")
    nan = np.nan
    assert found.models == ("gpt-4o-mini", "gpt-4o")
    assert [p.text for p in found.prompts] == ["What is DNS?", "Prove it.", "Name a colour.", "Say hello."]
    np.testing.assert_array_equal(found.quality, [[0, nan], [nan, 0.5], [nan, nan], [nan, 0]])
    np.testing.assert_array_equal(found.cost_usd, [[2.5e-05, nan], [nan, 0.003], [nan, nan], [nan, 0]])
    np.testing.assert_array_equal(found.latency_s, [[2, nan], [nan, 4], [0.5, nan], [nan, 10]])
    assert found.failed.tolist() == [[False, False], [False, False], [False, False], [False, True]]
    assert [p.task for p in found.prompts] == ["qa", "math", None, None]
    assert [str(r) for r in found.rejected] == [
        "litellm.jsonl, line 1, model: a later answer of gpt-4o-mini to this prompt is in litellm.jsonl, line 4",
        "litellm.jsonl, line 5, cache_hit: was answered from a cache, by no model",
        "litellm.jsonl, line 6, call_type: 'aembedding' is no chat",
    ]
    assert found.texts is not None
    assert found.texts(found.prompts[0].id, "gpt-4o-mini") == "answer 4"


def test_the_latest_call_counts_whatever_the_order_of_the_lines(lines: Lines, payload: Payload) -> None:
    late, early = payload(startTime=100.0, endTime=103.0), payload(startTime=1.0, endTime=2.0)
    for rows in ((late, early), (early, late)):
        assert Outcomes.read(outcomes=lines(*rows)).latency_s.tolist() == [[3.0]]


def test_a_prompt_id_ties_calls_together_and_redacted_calls_without_one_stay_apart(
    lines: Lines, payload: Payload
) -> None:
    hidden = [{"role": "user", "content": "redacted-by-litellm"}]
    rows = [
        payload(messages=hidden, model="a", request_tags=["prompt_id:q7", "group:s1"]),
        payload(messages=hidden, model="b", metadata={"spend_logs_metadata": {"prompt_id": "q7", "quality": 1}}),
        payload(messages=hidden, model="a", litellm_call_id="x1"),
        payload(messages=hidden, model="b", litellm_call_id="x2"),
    ]
    found = Outcomes.read(outcomes=lines(*rows))
    assert [(p.id, p.messages, p.group) for p in found.prompts] == [
        ("q7", (), "s1"),
        ("x1", (), None),
        ("x2", (), None),
    ]
    np.testing.assert_array_equal(found.asked, [[True, True], [True, False], [False, True]])
    assert found.quality[0, 1] == 1
    assert any(note.startswith("messages were redacted") for note in found.notes)


@pytest.mark.parametrize("form", ["list", "object", "callback", "iso"])
def test_lists_single_objects_and_callback_arguments_are_read(
    tmp_path: Path, lines: Lines, payload: Payload, form: str
) -> None:
    row = payload()
    if form == "callback":
        path = lines({"standard_logging_object": row, "model": "outer"})
    elif form == "iso":
        path = lines({**row, "startTime": "2026-11-21T10:00:00Z", "endTime": "2026-11-21T10:00:01.500000+00:00"})
    else:
        path = tmp_path / "log.json"
        path.write_text(json.dumps([row] if form == "list" else row))
    found = Outcomes.read(outcomes=path)
    assert (found.models, found.latency_s.tolist()) == (("gpt-4o-mini",), [[1.5]])


def test_roles_parts_and_other_answers_are_understood(lines: Lines, payload: Payload) -> None:
    asked = [
        {"role": "developer", "content": "Be kind."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {}}],
        },
        {"role": "assistant", "content": None, "tool_calls": []},
    ]
    answer = {"output": [{"type": "message", "content": [{"type": "output_text", "text": "A cat."}]}]}
    found = Outcomes.read(outcomes=lines(payload(messages=asked, call_type="aresponses", response=answer)))
    assert found.prompts[0].messages == (
        Message(role="system", content="Be kind."),
        Message(role="user", content="What is this?\n[image_url]"),
        Message(role="assistant", content=""),
    )
    assert found.texts is not None
    assert found.texts(found.prompts[0].id, "gpt-4o-mini") == "A cat."


def test_the_fixture_has_only_fields_of_the_real_payload(files: Path) -> None:
    types = pytest.importorskip("litellm.types.utils", reason="LiteLLM is not installed here")
    real = set(types.StandardLoggingPayload.__annotations__)
    rows = [json.loads(line) for line in (files / "litellm.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {key for row in rows for key in row} - real == set()
