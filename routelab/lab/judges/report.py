"""A judge's own report: how far its verdicts can be trusted, and what about that was not measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from routelab.lab.judges.agreement import Agreement, agreement, between
from routelab.lab.judges.bias import first_position, length_slope, repeat_change, self_family, swap_flips
from routelab.lab.judges.families import family, kin
from routelab.lab.judges.judged import Judged
from routelab.lab.judges.powered import Corrected
from routelab.lab.statistics import Estimate
from routelab.present import Table, bundle, interval, percent

if TYPE_CHECKING:
    import pandas as pd

SHARES = ("swap flips", "first position wins", "accuracy", "sensitivity", "specificity")
"""Figures that are shares, shown in per cent; the others are shown as numbers."""


@dataclass(frozen=True, kw_only=True)
class JudgeReport:
    """What is known about one judge. Estimates that could not be made are NaN with the reason as their note."""

    judge: str
    judgements: int
    unread: int
    swap_flips: Estimate
    first_position: Estimate
    length_slope: Estimate
    self_family: Estimate
    repeat_change: Estimate
    agreement: Agreement
    between_judges: Estimate
    own_family: tuple[str, ...] = ()
    family: str | None = None
    corrected: Mapping[str, Corrected] = field(default_factory=dict)
    simulated: bool = False

    @property
    def figures(self) -> Mapping[str, Estimate]:
        """Every estimate under the name that the report gives it, in its order."""
        return {
            "swap flips": self.swap_flips,
            "first position wins": self.first_position,
            "length slope": self.length_slope,
            "self-family gap": self.self_family,
            "change on repeating": self.repeat_change,
            "accuracy": self.agreement.accuracy,
            "sensitivity": self.agreement.sensitivity,
            "specificity": self.agreement.specificity,
            "Cohen's κ": self.agreement.kappa,
            "Krippendorff's α between judges": self.between_judges,
            **{f"corrected {name}": c.estimate for name, c in self.corrected.items()},
        }

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know before believing the judge, the gravest first."""
        return tuple(_warnings(self))

    def frame(self) -> pd.DataFrame:
        """Return one row a figure: figure, value, low, high, se, n, clusters, method, note; what was not measured is NaN."""
        import pandas as pd

        rows = [
            {
                "figure": name,
                "value": e.value,
                "low": np.nan if e.low is None else e.low,
                "high": np.nan if e.high is None else e.high,
                "se": np.nan if e.se is None else e.se,
                "n": e.n,
                "clusters": e.clusters,
                "method": e.method,
                "note": e.note,
            }
            for name, e in self.figures.items()
        ]
        return pd.DataFrame(rows).astype({"clusters": "Int64"}).set_index("figure")

    def table(self) -> Table:
        """Return the report as a table."""
        rows = [[name, *_said(name, e)] for name, e in self.figures.items()]
        simulated = " · SIMULATED: says nothing about a real model" if self.simulated else ""
        kind = f", family {self.family}" if self.family else ""
        caption = f"judge {self.judge}{kind} · {self.judgements:,} judgements, {self.unread:,} unreadable{simulated}"
        notes = [f"warning: {w}" for w in self.warnings]
        notes += [f"corrected {name}: {_corrected(c)}" for name, c in self.corrected.items()]
        head = ("figure", "value", "95 % interval", "n", "how")
        return Table(head=head, rows=rows, numbers=frozenset((1, 2, 3)), caption=caption, notes=notes)

    def text(self) -> str:
        """Return the report as text."""
        return self.table().text(width=110)

    def html(self) -> str:
        """Return the report as HTML; everything in it is escaped."""
        return bundle(self.table())["text/html"]

    def __repr__(self) -> str:
        return self.text()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": self.text(), "text/html": self.html()}


def judge_report(
    judgements: Judged,
    judge: str | None = None,
    *,
    at_least: float = 0.5,
    families: Mapping[str, str] | None = None,
    corrected: Mapping[str, Corrected] | None = None,
) -> JudgeReport:
    """Return a judge's report; `judge` may be left out when there is only one.

    `at_least` is where its quality counts as a yes against exact scores; `families` overrules the families that names suggest; `corrected` are
    means that were corrected by labels (`powered`, `powered_difference`, `by_error_rates`), by name.
    """
    judge = judge if judge is not None else (judgements.judges[0] if len(judgements.judges) == 1 else "")
    mine = judgements.by(judge)
    kind = (families or {}).get(judge, family(judge))
    own = kin(judge, mine.models) if not families else tuple(m for m in mine.models if _kin(m, families) == kind)
    return JudgeReport(
        judge=judge,
        judgements=len(mine),
        unread=sum(m.quality is None for m in mine.marks) + sum(d.winner is None for d in mine.duels),
        swap_flips=swap_flips(mine),
        first_position=first_position(mine),
        length_slope=length_slope(mine),
        self_family=self_family(judgements, judge, families),
        repeat_change=repeat_change(mine),
        agreement=agreement(mine, at_least=at_least),
        between_judges=between(judgements),
        own_family=own if kind is not None else (),
        family=kind,
        corrected=corrected or {},
        simulated=judgements.simulated,
    )


def _kin(model: str, families: Mapping[str, str]) -> str | None:
    return families.get(model, family(model))


def _said(name: str, e: Estimate) -> tuple[str, str, str, str]:
    if np.isnan(e.value):
        return "not measured", "", f"{e.n:,}" if e.n else "", f"not measured: {e.note}"
    how = "; ".join(part for part in (e.method, e.note) if part)
    if name in SHARES:
        return percent(e.value), interval(e.low, e.high), f"{e.n:,}", how
    ends = "[?, ?]" if e.low is None or e.high is None else f"[{e.low:+.3f}, {e.high:+.3f}]".replace("-", "−")
    return f"{e.value:+.3f}".replace("-", "−"), ends, f"{e.n:,}", how


def _warnings(report: JudgeReport) -> Iterator[str]:
    if report.own_family:
        yield (
            f"{report.judge} judges its own family ({', '.join(report.own_family)}): judges tend to favour answers like their own; "
            "judge with another family, or correct by labels"
        )
    share = report.unread / report.judgements if report.judgements else 0.0
    if share > 0.01:
        yield f"{percent(share)} of the verdicts could not be read; they count as no verdict, never as a guess"
    first = report.first_position
    if first.low is not None and first.high is not None and not first.low <= 0.5 <= first.high:
        yield f"the answer shown {'first' if first.value > 0.5 else 'second'} wins too often: judge in both orders"
    slope = report.length_slope
    if slope.low is not None and slope.high is not None and not slope.low <= 0.0 <= slope.high:
        yield f"{'longer' if slope.value > 0 else 'shorter'} answers are preferred ({slope.note})"
    gap = report.self_family
    if gap.low is not None and gap.low > 0.0:
        yield "its own family gets more than it deserves"
    kappa = report.agreement.kappa
    if kappa.low is not None and kappa.low <= 0.0:
        yield "its agreement with exact scores is not clearly above chance"


def _corrected(c: Corrected) -> str:
    tuned = "" if c.tuning is None else f", λ {c.tuning:.2f}"
    said = f"{c.method}{tuned}; {c.labelled:,} labelled, {c.unlabelled:,} not; the judge alone says {c.naive.value:.3f}, the labels alone {c.people.value:.3f}"
    return "; ".join([said, *c.notes])
