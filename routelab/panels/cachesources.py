"""What a cache can be tuned on: pairs that ship with the package, variables of the notebook, and this log's own runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from routelab.core.errors import DataError
from routelab.lab.caches.pairs import COLUMNS, Pairs
from routelab.lab.caches.traffic import Traffic
from routelab.lab.controls import best_single, single
from routelab.lab.datasets import shipped
from routelab.lab.desk import Desk
from routelab.lab.outcomes import Outcomes
from routelab.panels.cacheground import Ground
from routelab.panels.cachepairs import pairs_ground
from routelab.panels.cachetraffic import traffic_ground
from routelab.present import safe

SHIPPED = "cache_pairs"
FEW = 20
"""An arm with fewer runs is no traffic to tune on."""
LISTED = 500
"""How many rows of a list are looked at to see whether they are pairs."""
_RUNS = """
    select coalesce(arm, ''), count(*) from runs where prompt_id is not null group by 1 having count(*) >= ? order by 2 desc limit 8
"""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Something to tune on: its title, whether it is traffic, and how it is read and prepared, which may take a while."""

    title: str
    traffic: bool
    open: Callable[[str, float | None], Ground]


def sources(desk: Desk) -> dict[str, Source]:
    """Return everything there is to tune on, by title."""
    found = [*_variables(desk.names), *_shipped(), *_log(desk)]
    return {source.title: source for source in found}


def _variables(names: Mapping[str, Any]) -> list[Source]:
    found = (source_of(name, value) for name, value in names.items())
    return [source for source in found if source is not None]


def source_of(name: str, value: Any) -> Source | None:
    """Return a named value as something to tune on, None where it is nothing of that kind."""
    if isinstance(value, Pairs):
        return _pairs(f"{name}: {len(value):,} pairs", name, partial(_itself, value))
    if isinstance(value, Traffic):
        return _traffic(f"{name}: {len(value):,} requests", partial(_itself, value))
    if isinstance(value, Outcomes):
        best = None if value.single_choice else best_single(value)
        if best is None:
            return None
        title = f"{name}: {len(value):,} prompts as {value.models[best]} answered them"
        return _traffic(title, partial(_answered, value, best))
    if _labelled(value):
        return _pairs(f"{name}: {len(value):,} rows of labelled pairs", name, partial(pairs_of, value, name))
    return None


def _itself(value: Any) -> Any:
    return value


def _answered(outcomes: Outcomes, model: int) -> Traffic:
    return Traffic.of_outcomes(outcomes, single(outcomes, model))


def _log(desk: Desk) -> list[Source]:
    rows = desk.lab.log.query(_RUNS, [FEW])
    found = []
    if rows:
        runs = sum(n for _, n in rows)
        found.append(_traffic(f"this log: {runs:,} runs", lambda: Traffic.of_log(desk.lab.log)))
    if len(rows) > 1:
        for arm, n in rows:
            if arm:
                title = f"this log, {safe(arm, 40)}: {n:,} runs"
                found.append(_traffic(title, partial(Traffic.of_log, desk.lab.log, arm=arm)))
    return found


def _shipped() -> list[Source]:
    path = shipped("datasets") / SHIPPED / "pairs.csv"
    return [_pairs(f"{SHIPPED} (shipped)", SHIPPED, lambda: Pairs.read(path))] if path.is_file() else []


def _pairs(title: str, name: str, read: Callable[[], Pairs]) -> Source:
    return Source(
        title=safe(title, 120),
        traffic=False,
        open=lambda embedder, _: pairs_ground(read(), name=safe(name, 60), embedder=embedder),
    )


def _traffic(title: str, read: Callable[[], Traffic]) -> Source:
    return Source(
        title=safe(title, 120),
        traffic=True,
        open=lambda embedder, ttl_s: traffic_ground(read(), embedder=embedder, ttl_s=ttl_s),
    )


def _labelled(value: Any) -> bool:
    """Say whether a variable looks like labelled pairs: a frame with their columns, or a list of mappings with their keys."""
    if hasattr(value, "columns") and hasattr(value, "itertuples"):
        return set(COLUMNS) <= {str(c) for c in value.columns}
    return (
        isinstance(value, (list, tuple))
        and len(value) > 0
        and all(isinstance(row, Mapping) and set(COLUMNS) <= row.keys() for row in value[:LISTED])
    )


def pairs_of(value: Any, name: str) -> Pairs:
    """Return the pairs in a frame or a list of mappings: text_a, text_b, label (1: one answer serves both), slice or kind.

    DataError names the first row and column that cannot be used.
    """
    rows = _rows(value)
    slices = "slice" if any("slice" in row for row in rows) else "kind"
    asked: list[str] = []
    known: list[str] = []
    labels: list[int] = []
    for number, row in enumerate(rows, start=1):
        for column, texts in (("text_a", asked), ("text_b", known)):
            text = row.get(column)
            if not isinstance(text, str) or not text.strip():
                raise DataError(f"{name}, row {number}, {column}: a text is wanted, not {text!r}"[:200])
            texts.append(text)
        label = row.get("label")
        if label not in (0, 1):
            raise DataError(
                f"{name}, row {number}, label: {label!r} is neither 0 nor 1"[:200],
                hint="1 where one answer serves both questions, else 0",
            )
        labels.append(int(label))
    named = [text if isinstance(text := row.get(slices), str) else "" for row in rows]
    return Pairs.of(asked, known, labels, named)


def _rows(value: Any) -> Sequence[Mapping[str, Any]]:
    if hasattr(value, "itertuples"):
        columns = [str(c) for c in value.columns]
        return [dict(zip(columns, row, strict=True)) for row in value.itertuples(index=False, name=None)]
    return list(value)
