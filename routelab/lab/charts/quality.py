"""Quality by task, by difficulty or by a tag, the arms side by side, each rate with its own interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from routelab.lab.charts.arms import (
    caption,
    chosen,
    everyone,
    left_out,
    many,
    marks_of,
    prompts_of,
    quality_text,
    titled,
)
from routelab.lab.charts.chart import Chart
from routelab.lab.charts.look import Heading, Mark
from routelab.lab.charts.rows import Dot, Rows, figure, reach
from routelab.lab.compare import Comparison
from routelab.lab.evaluation import ALL, By
from routelab.lab.statistics import Estimate
from routelab.present import Table

ROWS = 12
ARMS = BESIDE = 5
"""With more arms neither the marks of a task nor the columns of the table stand side by side any more."""


@dataclass(frozen=True, kw_only=True)
class Rate:
    """An arm's quality on a slice of the prompts; the estimate is None where nothing was scored."""

    task: str
    name: str
    quality: Estimate | None


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Every arm's quality on all prompts and on each slice; `by` says what the slices are, `notes` how they were made."""

    by: str
    rates: tuple[Rate, ...]
    notes: tuple[str, ...] = ()

    @property
    def tasks(self) -> tuple[str, ...]:
        """The slices in order, all prompts first."""
        return tuple(dict.fromkeys(r.task for r in self.rates))


def rates(comparison: Comparison, by: By = "task") -> Rates:
    """Return every arm's quality on all prompts and on each slice, those with most prompts first, bands from easy to hard.

    Rates of right and wrong have Wilson's interval; other scores, and prompts in clusters, a t interval. Raises what
    `Comparison.by` raises for slices that cannot be had.
    """
    shown = everyone(comparison)
    whole = [Rate(task=ALL, name=item.name, quality=item.arm.figures.quality) for item in shown]
    if len(prompts_of(comparison)) != len(comparison.baseline.walked):
        return Rates(by=ALL, rates=tuple(whole), notes=("the prompts were not kept, so there are no slices",))
    held = comparison.by(by, beyond=False)
    if len(held.slices) < 2:
        return Rates(by=held.by, rates=tuple(whole))
    parts = {(p.slice, p.arm): p.figures.quality for p in held.parts}
    found = [Rate(task=s, name=item.name, quality=parts.get((s, item.arm.name))) for s in held.slices for item in shown]
    bands = tuple(note for note in held.notes if note.startswith("bands"))
    return Rates(by=held.by, rates=(*whole, *found), notes=bands)


def quality(comparison: Comparison, *, by: By = "task", limit: int = ARMS, tasks: int = ROWS) -> Chart:
    """Return the chart of quality by task, difficulty or tag; `limit` arms are in it, and `tasks` slices are drawn; the table has all."""
    return _chart("quality", comparison, rates(comparison, by), limit, tasks)


def difficulty(comparison: Comparison, *, limit: int = ARMS) -> Chart:
    """Return the chart of quality by difficulty, from easy to hard: the prompts' own, else as other models found them."""
    return _chart("difficulty", comparison, rates(comparison, "difficulty"), limit, ROWS)


def _chart(kind: str, comparison: Comparison, found: Rates, limit: int, tasks: int) -> Chart:
    drawn, hidden = chosen(comparison, limit)
    every = found.tasks
    kept = every[: tasks + 1]
    title = titled(f"Quality by {found.by}" if len(every) > 1 else "Quality", comparison.terms.simulated)
    words = caption(
        comparison,
        left_out(hidden, limit),
        f"{many(len(every) - len(kept), f'smaller {found.by}')} in the table only" if len(every) > len(kept) else "",
        *found.notes,
        costs=False,
    )
    held = marks_of(comparison)
    own = {s.name: held[s.name] for s in drawn}
    return Chart(
        kind=kind,
        title=title,
        caption=words,
        table=_table(found, tuple(own), title, words),
        draw=lambda: _figure(found, own, kept, Heading(title=title, caption=words)),
    )


def _table(found: Rates, names: Sequence[str], title: str, words: str) -> Table:
    """Return one row a slice and one column an arm when they fit side by side, else one row for each pair."""
    by = {(r.task, r.name): r.quality for r in found.rates}
    tasks = found.tasks
    if len(names) <= BESIDE:
        return Table(
            head=(found.by, "n", *names),
            rows=[
                (t, _beside(found, t).removeprefix("n = "), *(quality_text(by[t, name]) for name in names))
                for t in tasks
            ],
            numbers=frozenset(range(1, len(names) + 2)),
            caption=title,
            notes=(words,),
        )
    return Table(
        head=(found.by, "arm", "n", "quality [95 %]"),
        rows=[(t, name, f"{e.n:,}" if (e := by[t, name]) else "0", quality_text(e)) for t in tasks for name in names],
        numbers=frozenset({2, 3}),
        caption=title,
        notes=(words,),
    )


def _beside(found: Rates, task: str) -> str:
    # Estimated bands hold slightly different prompts for each arm.
    sizes = sorted({r.quality.n for r in found.rates if r.task == task and r.quality is not None} or {0})
    return f"n = {sizes[0]:,}–{sizes[-1]:,}" if len(sizes) > 1 and found.by == "difficulty" else f"n = {sizes[-1]:,}"


def _figure(found: Rates, own: Mapping[str, Mark], tasks: Sequence[str], heading: Heading) -> dict[str, Any]:
    dots = [
        Dot(
            name=r.name,
            row=r.task,
            estimate=r.quality,
            told=(
                f"quality {quality_text(r.quality)}",
                f"n = {r.quality.n:,}",
                r.quality.method and f"interval: {r.quality.method}",
            ),
        )
        for r in found.rates
        if r.quality is not None and r.name in own and r.task in tasks
    ]
    ends = reach(dots)
    low, high = (min(ends), max(ends)) if ends else (0.0, 100.0)
    pad = max(3.0, 0.05 * (high - low))
    plan = Rows(
        own=own,
        rows=tuple(tasks),
        beside=lambda row: _beside(found, row),
        x={"title": "quality", "ticksuffix": " %", "range": [max(-2, low - pad), min(102, high + pad)]},
        first_apart=True,
    )
    return figure(dots, plan, heading)
