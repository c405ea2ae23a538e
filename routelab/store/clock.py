"""The time of day, which is all that the log asks of a clock."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol


class Timepiece(Protocol):
    """Tells the time of day; every `core.ports.Clock` is one."""

    def now(self) -> datetime:
        """Return the time of day, in UTC, without a time zone attached."""


class SystemTime:
    """The machine's own time of day."""

    def now(self) -> datetime:
        """Return the time of day, in UTC, without a time zone attached."""
        return datetime.now(UTC).replace(tzinfo=None)
