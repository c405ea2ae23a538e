"""A run's messages as a template puts them: the last user message anew, examples and system text in front, the conversation as it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from routelab.core.errors import ConfigError
from routelab.core.events import Compacted, Retrieved
from routelab.core.run import Run
from routelab.core.values import Message
from routelab.prompting.given import Example, Given

if TYPE_CHECKING:
    from routelab.prompting.template import Template


def framed(
    template: Template, run: Run, *, system: str | None = None, examples: Sequence[Example] = ()
) -> tuple[tuple[Message, ...], int]:
    """Return the messages that the model will see, and how many of the first are the template's own.

    `system` is the config's system text; without one the prompt's own holds. A template that says ``{{ context }}`` is given the bare
    question and what was retrieved for it; another one the last user message as it stands, with whatever was put in front of it.
    Raises ConfigError for a prompt without a user message, TemplateError for a template that cannot be filled.
    """
    messages = run.messages
    last = max((i for i, m in enumerate(messages) if m.role == "user"), default=None)
    if last is None:
        raise ConfigError(
            f"prompt.template: {template.reference} puts a question, and {run.prompt.id} has no user message",
            hint="a prompt needs at least one message of the user's; without a template it is sent as it is",
        )
    given = _given(template, run, messages[last].content, system=system, examples=examples)
    put = template.put(given)
    asked = dataclasses.replace(messages[last], content=put.user)
    rest = (*messages[:last], asked, *messages[last + 1 :])
    text = put.system if put.system is not None else system
    if text is not None:
        head: tuple[Message, ...] = (Message(role="system", content=text), *put.turns)
        return (*head, *(m for m in rest if m.role != "system")), len(head)
    if not put.turns:
        return rest, 0
    before = next((i for i, m in enumerate(rest) if m.role != "system"), 0)
    head = (*rest[:before], *put.turns)
    return (*head, *rest[before:]), len(head)


def _given(template: Template, run: Run, asked: str, *, system: str | None, examples: Sequence[Example]) -> Given:
    places = "context" in template.names
    own = next((m.content for m in run.messages if m.role == "system"), None)
    return Given(
        question=run.prompt.text if places else asked,
        context=_context(run, asked),
        examples=tuple(examples),
        task=run.prompt.task,
        tags=run.prompt.tags,
        system=own if system is None else system,
        schema=_schema(run.prompt.scorer),
    )


def _context(run: Run, asked: str) -> str:
    """Return what was retrieved for the question; where a compressor went over it since, what that left of it in front of the question."""
    place = next((i for i, e in reversed(list(enumerate(run.events))) if isinstance(e, Retrieved)), None)
    if place is None:
        return ""
    found, question = run.events[place], run.prompt.text
    assert isinstance(found, Retrieved)
    shorter = any(isinstance(e, Compacted) and e.policy == "compress" for e in run.events[place + 1 :])
    if found.context and shorter and asked.endswith(question):
        return asked.removesuffix(question).strip()
    return found.context


def _schema(scorer: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    # The form that is demanded may be told; what the answer should be (`equals`) may not.
    schema = scorer.get("schema") if scorer is not None and scorer.get("kind") == "json" else None
    return schema if isinstance(schema, Mapping) and schema else None
