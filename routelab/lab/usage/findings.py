"""What the monitor finds: where tokens are spent that nothing needs, with what shows it, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from routelab.lab.statistics import Estimate, NonInferiority
from routelab.present import Table, bundle, percent, usd

Kind = Literal["template", "prefix", "reasoning", "output", "cut"]
ALL_TASKS, SEVERAL_TASKS = "all tasks", "several tasks"
SHOWN = 12
KINDS: dict[Kind, str] = {
    "template": "a leaner template is as good",
    "prefix": "the same beginning, paid each time",
    "reasoning": "reasoning",
    "output": "says far more than is scored",
    "cut": "answers cut at their limit",
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Tokens a call that may be spared, with the evidence. `task` None means all tasks.

    `shown`: that nothing is lost without them was measured (the template kind; `quality` is that verdict). The others are what was
    seen: how much it is, not whether it is needed. `usd_per_thousand` is None where no price says. `share` is the part of the
    cost (or of the tokens, where `of` says so) with its interval, None over several tasks; `n` is what it rests on, `unit` of what.
    """

    kind: Kind
    task: str | None
    template: str
    model: str
    simulated: bool
    says: str
    tokens: float
    usd_per_thousand: float | None
    share: Estimate | None
    of: str
    n: int
    unit: str
    next: str
    instead: str = ""
    shown: bool = False
    quality: NonInferiority | None = None


@dataclass(frozen=True, kw_only=True)
class Untold:
    """Something that might be a finding and is none: what is missing, or that the tokens are `earned` (less of them is worse)."""

    task: str | None
    template: str
    model: str
    simulated: bool
    why: str
    next: str
    earned: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Findings:
    """What was found, what was shown first and then by what it costs, and what was looked at and is none."""

    found: tuple[Finding, ...]
    untold: tuple[Untold, ...]
    margin: float

    def __len__(self) -> int:
        return len(self.found)

    def table(self, *, limit: int = SHOWN) -> Table:
        """Return the findings as a table, the first `limit` of them."""
        more = len(self.found) - limit
        rows = [
            (
                KINDS[f.kind] + ("" if f.shown else ", seen"),
                _whose(f.task, f.template, f.model, f.simulated, all_=ALL_TASKS if f.shown else SEVERAL_TASKS),
                f"{f.tokens:,.0f}",
                usd(f.usd_per_thousand),
                f"{f.says}; n = {f.n:,} {f.unit}",
                f.next,
            )
            for f in self.found[:limit]
        ]
        return Table(
            head=("found", "where", "tokens", "per 1,000", "what shows it", "next move"),
            rows=rows,
            numbers=frozenset((2, 3)),
            caption=f"what may be spared ({len(self.found)})"
            if rows
            else "nothing was found that uses more than it is shown to need",
            notes=(
                "tokens a call, and USD per 1,000 calls",
                f"a leaner template counts when its quality is non-inferior on the same prompts (margin {100 * self.margin:g} points, 95 %, Holm over the "
                "templates tried); “seen” says how much something takes, and not whether it is needed",
                *((f"{more:,} smaller ones are not shown: .found has all",) if more > 0 else ()),
            ),
        )

    def untold_table(self) -> Table:
        """Return what was looked at and is no finding as a table."""
        rows = [(_whose(u.task, u.template, u.model, u.simulated), u.why, u.next) for u in self.untold]
        return Table(
            head=("where", "no finding because", "next move"),
            rows=rows,
            caption=f"looked at, and no finding ({len(rows)})",
        )

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        parts: list[Table | str] = [self.table() if self.found else self.table().caption]
        return bundle(*parts, *([self.untold_table()] if self.untold else []))

    def __repr__(self) -> str:
        return f"<Findings: {len(self.found)}, {len(self.untold)} looked at>"


def sorted_findings(found: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return the findings that were shown before those that were seen, and each by what it costs; unpriced ones last."""
    return tuple(sorted(found, key=lambda f: (not f.shown, -(f.usd_per_thousand or 0.0), -f.tokens)))


def merged(seen: Sequence[Finding]) -> list[Finding]:
    """Return one finding a kind, template and model: that of the task where it takes most, with the sums over all tasks."""
    groups: dict[tuple[str, str, str, bool], list[Finding]] = {}
    for f in seen:
        groups.setdefault((f.kind, f.template, f.model, f.simulated), []).append(f)
    return [_together(held) for held in groups.values()]


def _together(held: Sequence[Finding]) -> Finding:
    most = max(held, key=lambda f: (f.usd_per_thousand or 0.0, f.tokens))
    if len(held) == 1:
        return most
    n = sum(f.n for f in held)
    priced = [f.usd_per_thousand for f in held]
    cost = None if None in priced else sum((p or 0.0) * f.n for p, f in zip(priced, held, strict=True)) / n
    return replace(
        most,
        task=None,
        says=f"in {len(held)} tasks; most in {most.task or 'prompts without one'}: {most.says}",
        tokens=sum(f.tokens * f.n for f in held) / n,
        usd_per_thousand=cost,
        share=None,
        n=n,
    )


def share_text(estimate: Estimate | None) -> str:
    """Return a share with its interval.

    >>> share_text(Estimate(value=0.4, low=0.35, high=0.45, se=None, n=9))
    '40.0 % [35.0, 45.0]'
    """
    if estimate is None:
        return "?"
    if estimate.low is None or estimate.high is None:
        return percent(estimate.value)
    return f"{percent(estimate.value)} [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]".replace("-", "−")


def _whose(task: str | None, template: str, model: str, simulated: bool, *, all_: str = ALL_TASKS) -> str:
    where = all_ if task is None else task or "no task"
    return f"{where} · {template or 'no template'} · {model}{' (simulated)' if simulated else ''}"
