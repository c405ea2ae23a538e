"""Which calls of the log the monitor looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol


class Log(Protocol):
    """What is asked."""

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a reading query."""


@dataclass(frozen=True, kw_only=True)
class Scope:
    """Which calls are looked at: None means all of them, the empty task those without one; `since` is in UTC, without a zone."""

    experiment: str | None = None
    task: str | None = None
    model: str | None = None
    since: datetime | None = None

    def where(self, model: str = "requested_model", *, row: str = "") -> tuple[str, list[Any]]:
        """Return the condition on a table of the log and its parameters; `model` is the column that names who was asked."""
        at = f"{row}." if row else ""
        parts: list[str] = ["true"]
        given: list[Any] = []
        for column, value in (("experiment", self.experiment), ("task", self.task)):
            if value is not None:
                parts.append(f"coalesce({at}{column}, '') = ?")
                given.append(value)
        if self.model is not None:
            parts.append(f"{model if '(' in model else at + model} = ?")
            given.append(self.model)
        if self.since is not None:
            parts.append(f"{at}started_at >= ?")
            given.append(self.since)
        return " and ".join(parts), given


def template_column(log: Log) -> str:
    """Return the expression for a call's template; a log of an earlier version that is only read has no such column."""
    known = "select count(*) from duckdb_columns() where table_name = 'calls' and column_name = 'template'"
    return "coalesce(c.template, '')" if log.query(known) == [(1,)] else "''"


def choices(log: Log) -> dict[str, list[str]]:
    """Return what a scope can be set to: experiments (the latest first), tasks and models of the log's calls."""
    return {
        name: [
            value
            for (value,) in log.query(
                f"""select {column} from calls where {column} is not null and {column} <> '' and not cached
                    group by 1 order by {"max(started_at) desc" if name == "experiment" else "1"} limit 500"""
            )
        ]
        for name, column in (("experiment", "experiment"), ("task", "task"), ("model", "requested_model"))
    }
