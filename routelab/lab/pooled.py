"""One verdict over several data sets: each is its own stratum, with its own baseline and its own arm.

What is pooled is a policy, so the arm of a data set must have been chosen without its confirm split: by default the
first that the tune split nominated, and the baseline itself where nothing was nominated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from routelab.core.errors import ConfigError, DataError
from routelab.core.ports import Floats
from routelab.lab.compare import Arm, Comparison
from routelab.lab.spread import cost_ratio
from routelab.lab.statistics import Estimate, NonInferiority, mean, non_inferiority, paired_difference
from routelab.present import Table
from routelab.present.numbers import interval, percent, signed

KEPT = "the baseline is kept"


@dataclass(frozen=True, kw_only=True)
class Stratum:
    """A data set's part: the arm (or `KEPT`), its n prompts, its difference and its cost ratio, and the costs' sums in USD."""

    name: str
    arm: str
    n: int
    difference: Estimate
    cost_ratio: Estimate | None
    base_usd: float
    residual_se_usd: float | None


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """The stratified verdict.

    `against` is on the difference Σ w_s·d̄_s with w_s the share of prompts; `cost_share` is Σ w_s·R_s, in which every
    data set's own baseline costs 1; `cost_ratio` is the ratio of all dollars, in which dear data sets weigh more. The
    costs are None when a data set's are not known.
    """

    strata: tuple[Stratum, ...]
    against: NonInferiority
    cost_share: Estimate | None
    cost_ratio: Estimate | None

    @property
    def adopt(self) -> bool:
        """Whether the policy loses less than the margin and costs less than the baselines, each at 95 %."""
        share = self.cost_share
        cheaper = share is not None and share.high is not None and share.high < 1
        return self.against.verdict == "non-inferior" and cheaper

    @property
    def why(self) -> str:
        """One sentence."""
        d, margin = self.against.difference, f"{100 * self.against.margin:g} points"
        quality = (
            f"quality differs by {signed(d.value)} points (95 % interval {interval(d.low, d.high)}; margin {margin})"
        )
        where = f"over {d.n:,} confirm prompts of {len(self.strata)} data sets"
        if self.cost_share is None:
            return f"{self.against.verdict}: {quality} {where}; costs are not known, so nothing is called cheaper"
        cost = f"costs are {percent(self.cost_share.value)} of the baselines' ({interval(self.cost_share.low, self.cost_share.high)} %)"
        word = (
            "adopt" if self.adopt else "keep the baselines" if self.against.verdict != "inconclusive" else "undecided"
        )
        needed = self.against.n_needed
        more = "" if needed is None else f"; a verdict needs about {max(0, needed - d.n):,} more prompts"
        return f"{word}: {quality} and {cost}, {where}{more}"

    @property
    def table(self) -> Table:
        """One row a data set, and one for all."""
        rows = [(s.name, s.arm, f"{s.n:,}", _difference(s.difference), _ratio(s.cost_ratio)) for s in self.strata]
        d = self.against.difference
        rows.append(("all, stratified", "", f"{d.n:,}", _difference(d), _ratio(self.cost_share)))
        return Table(
            head=("data set", "arm", "n", "points vs baseline", "cost ratio"),
            rows=rows,
            numbers=frozenset({2, 3, 4}),
            notes=(self.why,),
        )

    def __repr__(self) -> str:
        return self.table.text()

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return self.table._repr_mimebundle_()


def pooled(
    comparisons: Mapping[str, Comparison], *, arms: Mapping[str, str | None] | None = None, margin: float | None = None
) -> Pooled:
    """Return the stratified verdict over comparisons by the name of their data set.

    `arms` names each data set's arm, None for its baseline; they must not have been chosen by the figures pooled here.
    The margin is the comparisons' own unless given. Each end of the interval lies √(Σ w_s²·(end_s − value_s)²) from the
    value, so that the parts' own intervals, lopsided ones too, are what is pooled (MOVER: Zou and Donner, Statistics in
    Medicine 2008, 27:1693–1702). ConfigError for margins that differ, DataError for a data set
    without scores.
    """
    if not comparisons:
        raise ConfigError("pooled: name at least one comparison")
    margins = {c.terms.margin for c in comparisons.values()}
    if margin is None and len(margins) > 1:
        raise ConfigError(f"pooled: the comparisons have different margins ({', '.join(f'{m:g}' for m in margins)})")
    strata = tuple(
        _stratum(name, cmp, _chosen(cmp) if arms is None else _named(cmp, arms.get(name)))
        for name, cmp in comparisons.items()
    )
    weights = np.array([s.n for s in strata], dtype=float)
    weights /= weights.sum()
    difference = _combined([s.difference for s in strata], weights, low=-1.0, high=1.0)
    ratios = [s.cost_ratio for s in strata]
    share = (
        None if any(r is None for r in ratios) else _combined([r for r in ratios if r is not None], weights, low=0.0)
    )
    return Pooled(
        strata=strata,
        against=non_inferiority(difference, margins.pop() if margin is None else margin),
        cost_share=share,
        cost_ratio=_dollars(strata),
    )


def _chosen(comparison: Comparison) -> Arm | None:
    named = comparison.terms.nominated
    if named is None:
        if len(comparison.arms) == 1:
            return comparison.arms[0]
        raise ConfigError(
            "pooled: nothing was nominated on tune, and there are several arms", hint="name one a data set: arms={...}"
        )
    if not named:
        return None
    first, base = comparison[named[0]], comparison.baseline
    # Whoever saves nothing on tune was nominated for its quality alone, and is nothing to save with.
    dearer = (
        first.tune_cost_usd is not None and base.tune_cost_usd is not None and first.tune_cost_usd >= base.tune_cost_usd
    )
    return None if dearer else first


def _named(comparison: Comparison, name: str | None) -> Arm | None:
    return None if name is None else comparison[name]


def _stratum(name: str, comparison: Comparison, arm: Arm | None) -> Stratum:
    base = comparison.baseline
    outcomes = comparison.outcomes
    one = base if arm is None else arm
    rows = np.flatnonzero(~np.isnan(one.walked.quality) & ~np.isnan(base.walked.quality))
    if len(rows) == 0:
        raise DataError(f"pooled: '{name}' has no prompt where both the arm and its baseline were scored")
    groups = None if outcomes is None or outcomes.clusters is None else outcomes.clusters[rows]
    new, old = one.walked.cost_usd[rows], base.walked.cost_usd[rows]
    known = not (np.isnan(new).any() or np.isnan(old).any())
    ratio = None
    if arm is None or arm.name == base.name:
        difference = Estimate(value=0.0, low=0.0, high=0.0, se=0.0, n=len(rows), method="the same answers")
        ratio = (
            Estimate(value=1.0, low=1.0, high=1.0, se=0.0, n=len(rows), method="the same answers") if known else None
        )
    else:
        difference = paired_difference(one.walked.quality[rows], base.walked.quality[rows], groups)
        ratio = cost_ratio(new, old, groups) if known else None
    return Stratum(
        name=name,
        arm=KEPT if arm is None else arm.name,
        n=len(rows),
        difference=difference,
        cost_ratio=ratio,
        base_usd=float(old.sum()),
        residual_se_usd=None if ratio is None else _residual(new, old, ratio.value),
    )


def _residual(new: Floats, old: Floats, ratio: float) -> float | None:
    se = mean(new - ratio * old).se
    return None if se is None else se * len(new)


def _combined(parts: list[Estimate], weights: Floats, *, low: float = -math.inf, high: float = math.inf) -> Estimate:
    value = float(weights @ np.array([p.value for p in parts]))
    n = sum(p.n for p in parts)
    if any(p.interval is None for p in parts):
        note = "a data set has too few prompts or clusters for an interval"
        return Estimate(value=value, low=None, high=None, se=None, n=n, method="stratified", note=note)
    ends = np.array([p.interval for p in parts], dtype=float)
    values = np.array([p.value for p in parts])
    below, above = (math.sqrt(float(((weights * (end - values)) ** 2).sum())) for end in ends.T)
    se = math.sqrt(float(((weights * np.array([p.se or 0.0 for p in parts])) ** 2).sum()))
    return Estimate(
        value=value,
        low=max(low, value - below),
        high=min(high, value + above),
        se=se,
        n=n,
        method="stratified, MOVER",
    )


def _dollars(strata: tuple[Stratum, ...]) -> Estimate | None:
    total = sum(s.base_usd for s in strata)
    if total <= 0 or any(s.cost_ratio is None or s.residual_se_usd is None for s in strata):
        return None
    paid = sum(s.base_usd * s.cost_ratio.value for s in strata if s.cost_ratio is not None)
    ratio = paid / total
    # Between strata the totals of the baselines are fixed by the mix, so only the spread within counts.
    se = math.sqrt(sum((s.residual_se_usd or 0.0) ** 2 for s in strata)) / total
    n = sum(s.n for s in strata)
    reach = float(stats.norm.ppf(0.975)) * se
    return Estimate(
        value=ratio, low=max(0.0, ratio - reach), high=ratio + reach, se=se, n=n, method="dollars of all, stratified"
    )


def _difference(estimate: Estimate) -> str:
    return f"{signed(estimate.value)} {interval(estimate.low, estimate.high)}"


def _ratio(estimate: Estimate | None) -> str:
    if estimate is None:
        return "not known"
    ends = "" if estimate.interval is None else f" [{estimate.interval[0]:.2f}, {estimate.interval[1]:.2f}]"
    return f"{estimate.value:.2f}{ends}"
