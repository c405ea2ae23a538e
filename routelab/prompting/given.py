"""What a template is filled with, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from routelab.core.values import Message

Example = tuple[str, str, str]
"""An example: its id, the question, the answer."""


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a template is filled with: the question, what was retrieved for it, examples, the prompt's task and tags, the system text
    that holds without the template, and the JSON Schema that the prompt's scorer demands, if it does.
    """

    question: str
    context: str = ""
    examples: Sequence[Example] = ()
    task: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    system: str | None = None
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Put:
    """A prompt as the template puts it: the system text (None: it has none), the turns of the examples, the user's text."""

    system: str | None
    turns: tuple[Message, ...]
    user: str
