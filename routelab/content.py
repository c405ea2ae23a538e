"""What may be asked: a text, messages as values or in OpenAI's form, or a prompt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from routelab.core.errors import ConfigError
from routelab.core.values import Message, Prompt, ToolCall

Content = str | Sequence[Message] | Sequence[Mapping[str, Any]] | Prompt


def prompt_of(content: Content, *, task: str | None = None, system: str | None = None) -> Prompt:
    """Return the prompt in a text, a list of messages or a prompt.

    Messages are values or mappings in OpenAI's form: ``{"role": ..., "content": ...}``, an assistant's with `tool_calls` (its
    content may then be None), a tool's with `tool_call_id`.
    """
    if isinstance(content, (str, Prompt)):
        return Prompt.of(content, task=task, system=system)
    messages = [m if isinstance(m, Message) else _message(i, m) for i, m in enumerate(content)]
    if not messages:
        raise ConfigError("the list of messages is empty")
    return Prompt.of(messages, task=task, system=system)


def _message(i: int, given: object) -> Message:
    """Return a message from a mapping; ConfigError names the one that is none."""
    facts: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    role, text, calls = facts.get("role"), facts.get("content"), facts.get("tool_calls")
    if text is None and role == "assistant" and calls:
        text = ""
    if role not in ("system", "user", "assistant", "tool") or not isinstance(text, str):
        raise ConfigError(
            f"message {i}: must be a mapping with `role` and `content` (got {str(given)[:60]!r})",
            hint='roles: system, user, assistant, tool; for example [{"role": "user", "content": "hello"}]',
        )
    answers = facts.get("tool_call_id")
    if (calls and role != "assistant") or (answers is not None and (role != "tool" or not isinstance(answers, str))):
        raise ConfigError(
            f"message {i}: `tool_calls` belong to an assistant's message, and `tool_call_id`, a text, to a tool's",
            hint='{"role": "tool", "tool_call_id": "call_1", "content": "17 degrees"}',
        )
    return Message(role=role, content=text, calls=_calls(i, calls), answers=answers)


def _calls(i: int, given: object) -> tuple[ToolCall, ...]:
    calls = []
    for call in given if isinstance(given, (list, tuple)) else [given] if given else []:
        facts: Mapping[str, Any] = call if isinstance(call, Mapping) else {}
        function = facts.get("function")
        function = function if isinstance(function, Mapping) else {}
        name, wanted = function.get("name"), function.get("arguments", "{}")
        if isinstance(wanted, Mapping):
            wanted = json.dumps(wanted, ensure_ascii=False)
        if not isinstance(name, str) or not isinstance(wanted, str):
            raise ConfigError(
                f"message {i}: a tool call has `id` and `function` with `name` and `arguments` (got {str(call)[:60]!r})",
                hint='{"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}',
            )
        calls.append(ToolCall(id=str(facts.get("id") or ""), name=name, arguments=wanted))
    return tuple(calls)
