"""Put the prompt the way the config says: a system text, a template, and examples in front of the conversation."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from routelab.core.errors import ConfigError
from routelab.core.events import Compacted
from routelab.core.ports import World
from routelab.core.run import Run
from routelab.core.values import Message

Example = tuple[str, str, str]
"""An example: its id, the question, the answer."""


class Form(Protocol):
    """How a prompt is put; `prompting.Template` is one."""

    @property
    def reference(self) -> str:
        """What the log calls it: "qa@3"."""

    @property
    def heeds(self) -> bool:
        """Whether a system text of the config's has a place in it."""

    def __call__(self, run: Run, *, system: str | None, examples: Sequence[Example]) -> tuple[tuple[Message, ...], int]:
        """Return the messages, and how many of the first are the config's own."""


@dataclass(frozen=True, kw_only=True)
class Render:
    """Set the system text, put the last user message by the template, and show examples.

    The prompt's own system text gives way to `system` and to the template's. `examples` chooses those for a run, on a thread of its
    own because it may embed. Without a template they are plain turns. The conversation before the last user message stays.
    """

    system: str | None = None
    template: Form | None = None
    examples: Callable[[Run], Sequence[Example]] | None = None
    count: Callable[[Sequence[Message]], int] | None = None
    """Counts the tokens of messages, so that the log knows what the config's own words cost."""

    def __post_init__(self) -> None:
        if self.system is not None and self.template is not None and not self.template.heeds:
            raise ConfigError(
                f"prompt.system: has no place in {self.template.reference}, which has a system text of its own",
                hint="leave one of them out, or say {{ system }} in the template",
            )

    async def __call__(self, run: Run, world: World) -> Compacted:
        """Return the messages that the model will see, with their tokens before and after where they are counted."""
        made = await self._made(run)
        if self.count is None:
            return made
        before, after = self.count(run.messages), self.count(made.messages)
        return dataclasses.replace(made, tokens_before=before, tokens_after=after)

    async def _made(self, run: Run) -> Compacted:
        if self.template is None and self.examples is None:
            return Compacted(policy="system", messages=_with(self.system, run.messages))
        shown = () if self.examples is None else tuple(await asyncio.to_thread(self.examples, run))
        if self.template is not None:
            messages, head = self.template(run, system=self.system, examples=shown)
            name = self.template.reference
        else:
            messages, head = _plain(run.messages, self.system, shown)
            name = ""
        return Compacted(
            policy="template", messages=messages, template=name, examples=tuple(id_ for id_, _, _ in shown), head=head
        )


def _with(system: str | None, messages: Sequence[Message]) -> tuple[Message, ...]:
    if system is None:
        return tuple(messages)
    return (Message(role="system", content=system), *(m for m in messages if m.role != "system"))


def _plain(
    messages: Sequence[Message], system: str | None, examples: Sequence[Example]
) -> tuple[tuple[Message, ...], int]:
    """Return the messages with the examples as turns behind the system text, and how many of the first are the config's own."""
    given = _with(system, messages)
    before = next((i for i, m in enumerate(given) if m.role != "system"), len(given))
    turns: list[Message] = []
    for _, question, answer in examples:
        turns += (Message(role="user", content=question), Message(role="assistant", content=answer))
    head = before + len(turns) if turns or system is not None else 0
    return (*given[:before], *turns, *given[before:]), head
