"""LiteLLM: its standard logging payload, one JSON object a call (lines, a list, or a file each).

Fields after litellm 1.106, types/utils.py (StandardLoggingPayload): call_type, status, model, response_cost,
prompt_tokens, completion_tokens, startTime and endTime (seconds), cache_hit, messages, response, request_tags,
metadata {requester_metadata, spend_logs_metadata}, error_str.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from routelab.core.values import Message, Prompt, digest
from routelab.lab.formats.calls import NO_OBJECT, UNKNOWN, Place, Row, figure, mapping, records, text_of, turns

CHATS = ("completion", "responses", "anthropic_messages", "generate_content")
REDACTED = "redacted-by-litellm"
FACTS = ("prompt_id", "quality", "task", "group", "dataset")
"""What a log may say beyond LiteLLM's own fields: a tag such as "quality:0.5", or a key of the request's metadata."""


def read_litellm(path: Path) -> Iterator[Row]:
    """Yield the calls of a log, or of a folder of them.

    A prompt is known by its `prompt_id` fact, else by its messages, else (redacted) by its call. Recalled answers and
    calls that are no chat are rejected; a status "failure" is a failure. LiteLLM records no quality: it is NaN but for
    a `quality` fact.
    """
    for place, row in records(path):
        if row is None:
            yield place.rejected("payload", NO_OBJECT)
            continue
        inner = row.get("standard_logging_object")
        yield from _rows(place, inner if isinstance(inner, Mapping) else row)


def is_payload(row: object) -> bool:
    """Return whether a row has the form of a payload."""
    if isinstance(row, Mapping) and isinstance(row.get("standard_logging_object"), Mapping):
        row = row["standard_logging_object"]
    return isinstance(row, Mapping) and {"model", "response_cost", "startTime"} <= set(row)


def _rows(place: Place, row: Mapping[str, Any]) -> Iterator[Row]:
    kind = str(row.get("call_type") or "completion")
    if not any(chat in kind for chat in CHATS):
        yield place.rejected("call_type", f"'{kind[:40]}' is no chat")
        return
    if str(row.get("cache_hit")).lower() == "true":
        yield place.rejected("cache_hit", "was answered from a cache, by no model")
        return
    facts = _facts(row)
    asked = _readable(turns(row.get("messages")))
    if not asked and facts.get("prompt_id") is None:
        yield "messages were redacted or not logged, and no prompt_id names them: each such call is its own prompt"
    key = facts.get("prompt_id") or (digest(*((m.role, m.content) for m in asked)) if asked else _own(place, row))
    started, ended = (_seconds(row.get(name)) for name in ("startTime", "endTime"))
    waited = ended - started
    yield place.call(
        Prompt(
            id=str(key),
            messages=asked,
            task=text_of(facts.get("task")),
            group=text_of(facts.get("group")),
        ),
        row.get("model"),
        {
            "quality": ("quality", facts.get("quality")),
            "cost_usd": ("response_cost", row.get("response_cost")),
            "latency_s": ("endTime", waited if waited == waited else row.get("response_time")),
            "input_tokens": ("prompt_tokens", row.get("prompt_tokens")),
            "output_tokens": ("completion_tokens", row.get("completion_tokens")),
        },
        failed=row.get("status") == "failure",
        response=_answer(row.get("response")),
        dataset=text_of(facts.get("dataset")),
        at=0.0 if ended != ended else ended,
        same=str(key),
    )


def _own(place: Place, row: Mapping[str, Any]) -> str:
    return str(row.get("litellm_call_id") or row.get("id") or f"{place.file}:{place.line}")


def _readable(messages: tuple[Message, ...] | None) -> tuple[Message, ...]:
    return () if messages is None or any(m.content == REDACTED for m in messages) else messages


def _facts(row: Mapping[str, Any]) -> dict[str, object]:
    metadata = mapping(row.get("metadata"))
    found: dict[str, object] = {}
    for part in ("spend_logs_metadata", "requester_metadata"):
        found.update({k: v for k, v in mapping(metadata.get(part)).items() if k in FACTS})
    tags = row.get("request_tags")
    for tag in tags if isinstance(tags, list) else ():
        name, colon, value = str(tag).partition(":")
        if colon and name.strip() in FACTS:
            found[name.strip()] = value.strip()
    return found


def _seconds(value: object) -> float:
    """Return a moment in seconds since 1970, NaN when there is none; some sinks write it as ISO 8601 text."""
    number, reason = figure(value)
    if reason is None or not isinstance(value, str):
        return number
    try:
        moment = datetime.datetime.fromisoformat(value)
    except ValueError:
        return UNKNOWN
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()


def _answer(response: object) -> str | None:
    if isinstance(response, str) and not response.lstrip().startswith("{"):
        return response if response and response != REDACTED else None
    content = mapping(response)
    choices = content.get("choices")
    if isinstance(choices, list) and choices:
        first = mapping(choices[0])
        return text_of(mapping(first.get("message")).get("content")) or text_of(first.get("text"))
    parts = [
        part["text"]
        for item in (content.get("output") if isinstance(content.get("output"), list) else None) or ()
        for part in mapping(item).get("content") or ()
        if isinstance(part, Mapping) and isinstance(part.get("text"), str)
    ]
    return "\n".join(parts) or None
