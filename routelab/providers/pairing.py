"""Which tool result answers which call, and the form in which every service accepts both: results right behind their calls.

A call without a result and a result without its call are refused by every service, so neither is ever sent as such.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, TypeAlias

from routelab.core.values import Message, ToolCall, digest

Place: TypeAlias = tuple[int, int]
"""A call: the position of its message, and which of its calls."""


def pairs(messages: Sequence[Message]) -> dict[int, Place]:
    """Return by the position of each tool result the call that it answers; results without one are not in it.

    A result that names an id answers the latest call of that id which is still open, wherever it stands. One that names none
    answers the next open call of the assistant's message that its row of results stands behind.
    """
    named: dict[str, list[Place]] = {}
    behind: list[Place] = []
    found: dict[int, Place] = {}
    for i, message in enumerate(messages):
        if message.role != "tool":
            behind = [(i, k) for k in range(len(message.calls))] if message.role == "assistant" else []
            for call in {messages[i].calls[k].id for _, k in behind} - {""}:
                named[call] = [place for place in behind if message.calls[place[1]].id == call]
            continue
        waiting = named.get(message.answers or "", [])
        if not waiting:
            # A named result can still belong to a call that got no id.
            open_ = [p for p in behind if not message.answers or not messages[p[0]].calls[p[1]].id]
            waiting = open_[:1]
        if waiting:
            place = found[i] = waiting[0]
            behind = [p for p in behind if p != place]
            own = named.get(messages[place[0]].calls[place[1]].id, [])
            if place in own:
                own.remove(place)
    return found


def paired(messages: Sequence[Message], ids: re.Pattern[str]) -> tuple[Message, ...]:
    """Return the conversation with each call's result right behind it and ids that are unique and as the service wants them.

    Calls without a result are left out, with their message where it says nothing else. A result without its call loses its
    id and stays where it is; dialects send it in the user's name. What needs no change stays as it is.
    """
    found = pairs(messages)
    results = {place: messages[i] for i, place in found.items()}
    used: dict[str, int] = {}
    sent: list[Message] = []
    for i, message in enumerate(messages):
        if i in found:
            continue
        if message.role == "tool":
            sent.append(Message(role="tool", content=message.content))
            continue
        answered = [(call, results[i, k]) for k, call in enumerate(message.calls) if (i, k) in results]
        if not answered:
            if not message.calls:
                sent.append(message)
            elif message.content.strip():
                sent.append(Message(role=message.role, content=message.content))
            continue
        names = [_name(call.id, ids, used) for call, _ in answered]
        calls = tuple(
            ToolCall(id=name, name=call.name, arguments=call.arguments)
            for name, (call, _) in zip(names, answered, strict=True)
        )
        sent.append(Message(role="assistant", content=message.content, calls=calls))
        sent += [
            Message(role="tool", content=result.content, answers=name)
            for name, (_, result) in zip(names, answered, strict=True)
        ]
    return tuple(sent)


def arguments(call: ToolCall) -> dict[str, Any]:
    """Return the arguments as an object, which Anthropic and Gemini want; text that is none stands under "arguments".

    >>> arguments(ToolCall(id="1", name="f", arguments='{"x": 1}')), arguments(ToolCall(id="1", name="f", arguments="[1"))
    ({'x': 1}, {'arguments': '[1'})
    """
    if not call.arguments.strip():
        return {}
    given = structure(call.arguments)
    return {"arguments": call.arguments} if given is None else given


def structure(text: str) -> dict[str, Any] | None:
    """Return the JSON object that a text is, or None when it is no strict one."""
    try:
        found = json.loads(text, parse_constant=_refused)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _refused(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _name(given: str, ids: re.Pattern[str], used: dict[str, int]) -> str:
    """Return an id of the service's form that no call before has; it depends on the given ones only."""
    nth = used[given] = used.get(given, 0) + 1
    if nth == 1 and ids.fullmatch(given):
        return given
    # Nine letters and digits are what the strictest service wants (Mistral), and others accept.
    return digest("call", given, nth)[:9]
