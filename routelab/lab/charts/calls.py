"""Rows of the log's table `calls`, as dicts or as a pandas frame, read into values that charts understand."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import numpy as np

from routelab.core.errors import ConfigError, DataError, suggest
from routelab.core.ports import Floats
from routelab.core.values import Tokens, TokensSource

By = Literal["arm", "model"]
SIMULATED = " (simulated)"
SOURCES: tuple[TokensSource, ...] = get_args(TokensSource)


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One attempt at a model: `name` is the line or bar it belongs to, `used` its tokens; None is what the log does not know."""

    name: str
    model: str
    cost_usd: float | None = None
    latency_s: float | None = None
    answered: bool = True
    cached: bool = False
    timed_out: bool = False
    simulated: bool = False
    at: datetime | None = None
    task: str | None = None
    used: Tokens = Tokens()


@dataclass(frozen=True, kw_only=True)
class Calls:
    """Calls with what they were grouped by; names of simulated calls say so when real ones are among them."""

    calls: tuple[Call, ...]
    by: By

    @property
    def names(self) -> tuple[str, ...]:
        """The groups, in the order in which they first appear."""
        return tuple(dict.fromkeys(c.name for c in self.calls))

    @property
    def simulated(self) -> bool | None:
        """Whether the calls are simulated; None: some of them."""
        found = {c.simulated for c in self.calls}
        return None if len(found) == 2 else found == {True}

    def of(self, name: str) -> tuple[Call, ...]:
        """Return the calls of one group."""
        return tuple(c for c in self.calls if c.name == name)


def calls_of(rows: Any, *, needs: str, by: str | None = None) -> Calls:
    """Return the calls in rows of `calls`, grouped by arm where any row names one, else by model.

    `needs` is the column that the chart cannot do without. Raises DataError for rows that lack it or hold something else there.
    """
    found = list(_records(rows))
    if not found:
        raise DataError(
            "there are no calls to draw", hint="ask a model first, or take other rows of the log's table `calls`"
        )
    columns = dict.fromkeys(k for row in found for k in row)
    for column in dict.fromkeys((needs, "requested_model")):
        if column not in columns:
            near = suggest(column, [str(c) for c in columns])
            raise DataError(
                f"the rows have no column '{column}'" + ("" if near is None else f"; {near}"),
                hint='lab.sql("select * from calls") has them all',
            )
    if by not in (None, "arm", "model"):
        raise ConfigError(f"by: unknown '{by}'", hint="calls are grouped by 'arm' or by 'model'")
    group: By = "model" if by == "model" or (by is None and not any(row.get("arm") for row in found)) else "arm"
    calls = [_call(row, group, i) for i, row in enumerate(found)]
    if len({c.simulated for c in calls}) == 2:
        calls = [_renamed(c) if c.simulated else c for c in calls]
    return Calls(calls=tuple(calls), by=group)


def _records(rows: Any) -> Iterable[Mapping[str, Any]]:
    if hasattr(rows, "to_dict") and hasattr(rows, "columns"):
        records: list[Mapping[str, Any]] = rows.to_dict("records")
        return records
    if isinstance(rows, (Mapping, str)) or not isinstance(rows, Iterable):
        raise DataError(
            f"a chart is drawn from a comparison or from rows of `calls`, not from {type(rows).__name__}",
            hint='pass a Comparison, lab.sql("select * from calls"), or a list of dicts',
        )
    found = list(rows)
    for i, row in enumerate(found):
        if not isinstance(row, Mapping):
            raise DataError(
                f"row {i} is {type(row).__name__}, not a mapping", hint="each row is a dict with the columns of `calls`"
            )
    return found


def _call(row: Mapping[str, Any], group: By, index: int) -> Call:
    model = _text(row.get("requested_model")) or "unknown model"
    arm = _text(row.get("arm")) or f"no arm, {model}"
    status = _text(row.get("status")) or "answered"
    return Call(
        name=arm if group == "arm" else model,
        model=model,
        cost_usd=_number(row, "cost_usd", index),
        latency_s=_number(row, "latency_s", index),
        answered=status in ("answered", "recalled"),
        cached=_flag(row.get("cached")) or status == "recalled",
        timed_out=status == "TimedOut",
        simulated=_flag(row.get("simulated")),
        at=_moment(row.get("started_at"), index),
        task=_text(row.get("task")) or None,
        used=_tokens(row, index),
    )


def _tokens(row: Mapping[str, Any], index: int) -> Tokens:
    counts = [_number(row, f"{part}_tokens", index) for part in ("input", "output", "cached", "reasoning")]
    given, made, cached, thought = (None if count is None else int(count) for count in counts)
    source = _text(row.get("tokens_source"))
    kind = next((known for known in SOURCES if known == source), None)
    return Tokens(input=given, output=made, cached=cached, reasoning=thought, source=kind)


def _renamed(call: Call) -> Call:
    return Call(**{f: getattr(call, f) for f in Call.__dataclass_fields__} | {"name": call.name + SIMULATED})


def _missing(value: Any) -> bool:
    # pandas spells what is not known as None, NaN, NaT or NA; the last three are not equal to themselves, or refuse to say.
    return (
        value is None
        or type(value).__name__ in ("NAType", "NaTType")
        or (isinstance(value, float) and math.isnan(value))
    )


def _text(value: Any) -> str:
    return "" if _missing(value) else str(value)


def _flag(value: Any) -> bool:
    return False if _missing(value) else bool(value)


def _number(row: Mapping[str, Any], column: str, index: int) -> float | None:
    value = row.get(column)
    if _missing(value):
        return None
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise DataError(f"row {index}: {column} is {str(value)[:40]!r}, not a number") from None
    if number < 0:
        raise DataError(f"row {index}: {column} is {number:g}; it cannot be negative")
    return number if math.isfinite(number) else None


def _moment(value: Any, index: int) -> datetime | None:
    if _missing(value):
        return None
    if isinstance(value, np.datetime64):
        value = value.astype("datetime64[us]").item()
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise DataError(
                f"row {index}: started_at is {value[:40]!r}, not a time", hint="for example 2026-11-21 09:30:00"
            ) from None
    if not isinstance(value, datetime):
        raise DataError(f"row {index}: started_at is {type(value).__name__}, not a time")
    # The log is in UTC without saying so; what says otherwise is brought to the same clock.
    value = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
    # A pandas Timestamp is a datetime too, but one that is written with nanoseconds.
    plain: datetime = value.to_pydatetime() if hasattr(value, "to_pydatetime") else value
    return plain


def numbers(values: Iterable[float | None]) -> Floats:
    """Return an array with NaN for None."""
    return np.array([math.nan if v is None else v for v in values], dtype=float)
