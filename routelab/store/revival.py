"""Rows become events and prompts again: the way back from `rows`."""

from __future__ import annotations

import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from routelab.core.errors import LogError
from routelab.core.events import Candidate, Event
from routelab.core.values import Message, Prompt, Tokens, ToolCall

_KINDS: Mapping[str, type[Any]] = {cls.__name__.lower(): cls for cls in typing.get_args(Event)}
_HINTS: Mapping[str, Mapping[str, Any]] = {name: typing.get_type_hints(cls) for name, cls in _KINDS.items()}


def to_event(kind_: str, at_s: float, stored: str) -> Event:
    """Return the event of a row of `events`; under a content policy its texts are empty."""
    if kind_ not in _KINDS:
        raise LogError(f"unknown kind of event: {kind_!r}", hint="a later routelab knows it: pip install -U routelab")
    cls, hints = _KINDS[kind_], _HINTS[kind_]
    facts = json.loads(stored)
    given = {f.name: _revived(facts[f.name], hints[f.name]) for f in fields(cls) if f.name in facts}
    # `payload` leaves out what is empty; a field without a default was then the empty value of its type.
    empty = {f.name: _empty(hints[f.name]) for f in fields(cls) if f.name not in given and f.default is MISSING}
    return typing.cast(Event, cls(**{**empty, **given, "at_s": at_s}))


def to_prompt(prompt_id: str, task: str | None, stored: str) -> Prompt | None:
    """Return the prompt of a row of `prompts`, or None when only its hash was kept."""
    facts = json.loads(stored)
    messages = [m for m in facts["messages"] if isinstance(m, dict) and isinstance(m.get("content"), str)]
    if len(messages) < len(facts["messages"]):
        return None
    return Prompt(
        id=prompt_id,
        messages=tuple(_message(m) for m in messages),
        task=task,
        reference=facts["reference"],
        scorer=facts["scorer"],
        difficulty=facts["difficulty"],
        wrong=tuple(facts["wrong"]),
        group=facts["group"],
        tags=facts["tags"],
    )


def _revived(value: Any, hint: Any) -> Any:
    """Return a JSON value as the type that an event's field has."""
    if typing.get_origin(hint) is tuple:
        item = typing.get_args(hint)[0]
        return tuple(_revived(v, item) for v in value) if isinstance(value, list) else ()
    if hint in (Tokens, Candidate) and isinstance(value, Mapping):
        return hint(**value)
    if hint is Message and isinstance(value, Mapping):
        return _message(value)
    if hint is str and not isinstance(value, str):
        return ""
    if hint is float and value is None:
        # JSON has no word for a number that is not known.
        return math.nan
    return value


def _message(value: Mapping[str, Any]) -> Message:
    """Return a stored turn; what a content policy kept out is empty."""
    text, calls, answers = value.get("content"), value.get("calls"), value.get("answers")
    return Message(
        role=value["role"],
        content=text if isinstance(text, str) else "",
        calls=tuple(ToolCall(**{k: v if isinstance(v, str) else "" for k, v in call.items()}) for call in calls or ()),
        answers=answers if isinstance(answers, str) else None,
    )


def _empty(hint: Any) -> Any:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return None
    return () if typing.get_origin(hint) is tuple else ""
