"""Put the prompt the way the config says: a system text in front of the conversation."""

from __future__ import annotations

from dataclasses import dataclass

from routelab.core.events import Compacted
from routelab.core.ports import World
from routelab.core.run import Run
from routelab.core.values import Message


@dataclass(frozen=True, kw_only=True)
class Render:
    """Set the system text; the prompt's own system text gives way to it."""

    system: str

    async def __call__(self, run: Run, world: World) -> Compacted:
        """Return the messages that the model will see."""
        rest = tuple(m for m in run.messages if m.role != "system")
        return Compacted(policy="system", messages=(Message(role="system", content=self.system), *rest))
