"""What every kind of gate is: its settings as a value, the models it asks, and who judges by it live."""

from __future__ import annotations

from typing import Protocol

from routelab.core.ports import Judge
from routelab.judging import Ask


class Kind(Protocol):
    """A gate with its settings. One that only looks at what was said is also a `gates.seen.Look`."""

    @property
    def asks(self) -> tuple[str, ...]:
        """The models that judging asks, by their names in the fleet."""

    def judge(self, ask: Ask | None = None) -> Judge:
        """Return who judges live answers; `ask` reaches models. ConfigError when nobody can."""
