"""Answers cut at their limit of tokens: how many there were, and which limit would have cut hardly any good one.

A cut answer counts against quality already where it is measured (`stages.measure`); here it is counted by itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy import stats

from routelab.core.ports import Floats, Log
from routelab.core.run import Run
from routelab.lab.statistics import Estimate, wilson
from routelab.present import Table, percent
from routelab.stages.measure import cut

if TYPE_CHECKING:
    from routelab.lab.compare import Arm, Comparison

AT_MOST = 0.01
AT_LEAST = 0.5
LEVEL = 0.95

_SAID = """
    select coalesce(c.task, ''), c.requested_model, coalesce(c.simulated, false), c.output_tokens, c.finish = 'length', r.quality
    from calls c join runs r on r.run_id = c.run_id join answers a on a.call_id = c.call_id and a.kept
    where c.status = 'answered' and not c.cached and c.output_tokens is not null and c.finish in ('stop', 'length')
      and ($1 is null or c.experiment = $1)
    order by all"""


class Played(Protocol):
    """An answer that has its run."""

    @property
    def run(self) -> Run: ...


def truncated(played: Iterable[Run | Played]) -> int:
    """Return how many of the runs, or answers, ended with an answer that was cut at its limit of tokens."""
    return sum(bool(cut(one if isinstance(one, Run) else one.run)) for one in played)


def truncated_share(played: Sequence[Run | Played]) -> Estimate | None:
    """Return the share of them with its Wilson interval; None when there are none."""
    return wilson(truncated(played), len(played)) if played else None


def truncated_of(comparison: Comparison, arm: Arm) -> int | None:
    """Return how many of an arm's answers were cut; None for a replay of recorded outcomes, which do not say."""
    answers = comparison.answers.get(arm.name)
    return None if answers is None else truncated(answers)


@dataclass(frozen=True, kw_only=True)
class Limit:
    """The smallest `max_output_tokens` that would have cut at most the share `at_most` of a task's good answers by a model.

    A good answer is one whose quality is not known to be below the bar; `unscored` of them have none. Those that were `cut` when they
    were given count as good and longer than any other, since nobody knows how long they would have been. `tokens` is None where so many
    were cut that no limit can be told. `low` and `high` are the ends of the interval for the tokens of the (1 − at_most) quantile;
    `high` is None where the answers are too few, or too often cut, to have one: it takes `needed` good answers. `saved` is the share of all
    output tokens of the task and model that the limit would have spared, good answers or not.
    """

    task: str
    model: str
    simulated: bool
    answers: int
    good: int
    cut: int
    unscored: int
    at_most: float
    tokens: int | None
    low: int | None
    high: int | None
    needed: int
    longest: int
    saved: float | None

    @property
    def advised(self) -> int | None:
        """What to write for `max_output_tokens`: the upper end, so that it holds for answers like these to come; None: not known."""
        return self.high


def limits_of(
    log: Log,
    *,
    at_most: float = AT_MOST,
    at_least: float = AT_LEAST,
    level: float = LEVEL,
    experiment: str | None = None,
) -> tuple[Limit, ...]:
    """Return a limit for each task and model in the log, simulated ones apart; of one `experiment`, or of all runs.

    Only answers count that were the run's own in the end, so that those which a gate refused do not, nor those from caches. The
    tokens are the provider's output tokens, reasoning among them, as limits count them. Answers are taken for independent; with
    several of one prompt the interval is too narrow.

    Raises ValueError for a share that is not between 0 and 1.
    """
    for name, value in (("at_most", at_most), ("level", level)):
        if not 0 < value < 1:
            raise ValueError(f"{name}: must lie between 0 and 1, not {value}")
    groups: dict[tuple[str, str, bool], list[tuple[int, bool, float | None]]] = {}
    for task, model, simulated, tokens, broken, quality in log.query(_SAID, [experiment]):
        groups.setdefault((task, model, simulated), []).append((tokens, bool(broken), quality))
    return tuple(
        _limit(key, rows, at_most=at_most, at_least=at_least, level=level) for key, rows in sorted(groups.items())
    )


def _limit(
    key: tuple[str, str, bool],
    rows: Sequence[tuple[int, bool, float | None]],
    *,
    at_most: float,
    at_least: float,
    level: float,
) -> Limit:
    tokens = np.array([row[0] for row in rows], dtype=np.float64)
    broken = np.array([row[1] for row in rows], dtype=bool)
    unscored = np.array([row[2] is None for row in rows], dtype=bool)
    quality = np.array([np.nan if row[2] is None else row[2] for row in rows], dtype=np.float64)
    good = ~broken & (unscored | (quality >= at_least))
    found, low, high = smallest(tokens[good], int(broken.sum()), at_most, level)
    return Limit(
        task=key[0],
        model=key[1],
        simulated=key[2],
        answers=len(rows),
        good=int(good.sum()),
        cut=int(broken.sum()),
        unscored=int((unscored & good).sum()),
        at_most=at_most,
        tokens=found,
        low=low,
        high=high,
        needed=math.ceil(math.log((1 - level) / 2) / math.log(1 - at_most)),
        longest=int(tokens[good].max()) if good.any() else 0,
        saved=_saved(tokens, found if high is None else high),
    )


def smallest(
    tokens: Floats, beyond: int, at_most: float, level: float = LEVEL
) -> tuple[int | None, int | None, int | None]:
    """Return the smallest limit that cuts at most that share of the answers, and the ends of its interval of order statistics.

    `tokens` are the lengths that are known; `beyond` more answers are longer than any limit. The limit is x_(n − ⌊s·n⌋) of all n; the
    interval's ends are the ranks that leave at most (1 − level)/2 of the binomial (n, 1 − s) on each side (Conover, Practical
    Nonparametric Statistics, §3.2). None for what lies beyond the known ones.
    """
    ordered = np.sort(tokens)
    n = len(ordered) + beyond
    if n == 0:
        return None, None, None
    tail = (1 - level) / 2
    lower = int(stats.binom.ppf(tail, n, 1 - at_most))
    lower -= stats.binom.cdf(lower - 1, n, 1 - at_most) > tail
    upper = int(stats.binom.ppf(1 - tail, n, 1 - at_most)) + 1

    def at(rank: int) -> int | None:
        return int(ordered[rank - 1]) if 1 <= rank <= len(ordered) else None

    # The share is a decimal: 0.07 × 100 is a little more than 7 in binary.
    return at(n - math.floor(at_most * n + 1e-9)), at(max(1, lower)), at(upper)


def _saved(tokens: Floats, limit: int | None) -> float | None:
    total = float(tokens.sum())
    return None if limit is None or total == 0 else float(np.maximum(tokens - limit, 0.0).sum()) / total


def table(limits: Sequence[Limit]) -> Table:
    """Return the limits as a table, the advised one first."""
    rows = [
        (
            found.task or "no task",
            found.model + (" (simulated)" if found.simulated else ""),
            f"{found.good:,}",
            f"{found.cut:,}",
            "–" if found.tokens is None else f"{found.tokens:,}",
            f"{_count(found.low)} to {_count(found.high)}",
            _count(found.advised),
            f"{found.longest:,}",
            "–" if found.saved is None else percent(found.saved),
            _said(found),
        )
        for found in limits
    ]
    share = percent(limits[0].at_most) if limits else ""
    head = (
        "task",
        "model",
        "good answers",
        "cut",
        f"limit that cuts {share}",
        "95 % interval",
        "advised",
        "longest",
        "saved",
        "",
    )
    notes = ("`advised` is the interval's upper end: write it as prompt.max_output_tokens.",) if limits else ()
    return Table(head=head, rows=rows, numbers=frozenset(range(2, 9)), notes=notes)


def _count(tokens: int | None) -> str:
    return "?" if tokens is None else f"{tokens:,}"


def _said(found: Limit) -> str:
    if found.tokens is None:
        return "too many were cut already: raise the limit, then look again" if found.cut else "no good answer"
    if found.high is None:
        fewer = found.good + found.cut < found.needed
        return f"{found.needed:,} good answers are needed" if fewer else "too many were cut already for an upper end"
    return f"{found.unscored:,} of them not scored" if found.unscored else ""
