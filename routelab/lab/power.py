"""How many prompts and dollars a verdict needs, from a pilot, before they are spent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from routelab.core.errors import DataError
from routelab.core.ports import Floats
from routelab.lab.compare import ALPHA, Arm, Comparison, same
from routelab.lab.sequential import anytime_needed
from routelab.lab.statistics import POWER, Estimate, paired_difference
from routelab.present.numbers import usd
from routelab.present.table import Table

MARGINS = (0.005, 0.01, 0.02, 0.03, 0.05)
FEW_DISCORDANT = 10
CAUTIOUS = 0.8
"""The pilot's variance is itself an estimate; the cautious figure uses its upper limit at this one-sided level."""


@dataclass(frozen=True, kw_only=True)
class Aim:
    """What a verdict is asked for: one-sided `alpha`, `power` at a true `loss` (0: none), at each of the margins.

    `confirm` is the part of the prompts that the verdict is taken on, 1 when nothing is tuned; `arms` how many are
    judged against the baseline, each at alpha / arms (Bonferroni, the first step of Holm).
    """

    margins: tuple[float, ...] = MARGINS
    alpha: float = ALPHA
    power: float = POWER
    loss: float = 0.0
    confirm: float = 1.0
    arms: int = 1

    def __post_init__(self) -> None:
        if not self.margins or any(not 0 < m <= 1 for m in self.margins):
            raise ValueError("margins: name at least one, each more than 0 and at most 1")
        if not 0 < self.alpha < 0.5 or not 0.5 <= self.power < 1:
            raise ValueError(f"alpha must lie in (0, 0.5) and power in [0.5, 1), not {self.alpha} and {self.power}")
        if not 0 < self.confirm <= 1 or self.arms < 1:
            raise ValueError(f"confirm must lie in (0, 1] and arms be at least 1, not {self.confirm} and {self.arms}")


@dataclass(frozen=True, kw_only=True)
class Need:
    """What one margin needs for one arm.

    `prompts` judge the verdict, `cautious_prompts` are those of a pilot whose variance was lucky, `all_prompts` count
    the tune split as well; `watched_prompts` are needed when the test is watched and may stop at any look. `usd` pays
    both arms for all prompts, None when a cost is not known. None everywhere: at this true loss nothing is enough.
    """

    arm: str
    margin: float
    prompts: int | None
    cautious_prompts: int | None
    all_prompts: int | None
    watched_prompts: int | None
    usd: float | None


@dataclass(frozen=True, kw_only=True, repr=False)
class Needs:
    """A plan before spending: one `Need` a row; prints itself as a table."""

    rows: tuple[Need, ...]
    pilots: tuple[tuple[str, Estimate, float], ...]
    """For each arm its name, the pilot's difference, and the sd of a pair that was planned with, NaN where it has none."""
    aim: Aim

    def __repr__(self) -> str:
        return self.table.text()

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        from routelab.present.table import bundle

        return bundle(self.table)

    @property
    def table(self) -> Table:
        """The rows for people, with what they rest on."""
        aim = self.aim
        return Table(
            head=("arm", "margin", "prompts", "if the pilot was lucky", "with tune", "if watched", "cost"),
            rows=[
                (
                    need.arm,
                    f"{100 * need.margin:g} points",
                    *(_count(n) for n in (need.prompts, need.cautious_prompts, need.all_prompts, need.watched_prompts)),
                    usd(need.usd),
                )
                for need in self.rows
            ],
            numbers=frozenset(range(1, 7)),
            caption=(
                f"prompts to certify “no worse than the margin” with power {100 * aim.power:g} % at a true loss of "
                f"{100 * aim.loss:g} points, one-sided {100 * aim.alpha:g} %"
                + (f", shared by {aim.arms} arms" if aim.arms > 1 else "")
            ),
            notes=[_rests(name, pilot, sd, aim) for name, pilot, sd in self.pilots],
        )

    def affordable(self, budget_usd: float, arm: str | None = None) -> Need | None:
        """Return the smallest margin that the budget decides, or None when it decides none (or costs are unknown)."""
        within = [n for n in self.rows if (arm is None or n.arm == arm) and n.usd is not None and n.usd <= budget_usd]
        return min(within, key=lambda n: (n.margin, n.usd), default=None)


def plan(
    pilot: Comparison | Floats,
    aim: Aim | None = None,
    *,
    usd_per_prompt: float | None = None,
    clusters: NDArray[np.intp] | None = None,
) -> Needs:
    """Return the prompts and dollars that each margin needs, from a pilot.

    The pilot is a comparison (its nominated arms, or all of them, without those that answer like the baseline, at the
    recorded cost of both) or the paired differences new − base of one arm, with what one prompt costs in both. n =
    ((z_α + z_β)·sd/(margin − loss))² + z_α²/2: Miller, arXiv 2411.00640, with Guenther's correction for the t quantile
    (The American Statistician 1981, 35:243). The sd is that of the pilot's interval, so that clusters and few
    discordant pairs count; for rights and wrongs see `prompts_needed`.
    DataError when the pilot is too small to have an interval.
    """
    aim = aim or Aim()
    if isinstance(pilot, Comparison):
        chosen = pilot.terms.nominated
        arms = [a for a in pilot.arms if chosen is None or a.name in chosen]
        found = [_of_arm(arm, pilot) for arm in arms if not same(arm.walked, pilot.baseline.walked)]
        found = [entry for entry in found if entry is not None]
        if not found:
            raise DataError(
                "the pilot has no arm that differs from its baseline", hint="compare at least two ways to route"
            )
    else:
        d = np.asarray(pilot, dtype=float)
        found = [("arm", paired_difference(d, np.zeros_like(d), clusters), usd_per_prompt)]
    rows, pilots = [], []
    for name, difference, price in (entry for entry in found if entry is not None):
        # Of several arms one may be recorded on too few prompts; the others can still be planned.
        sd = math.nan if difference.interval is None and len(found) > 1 else pilot_sd(difference)
        pilots.append((name, difference, sd))
        rows += [_need(name, difference, sd, margin, price, aim) for margin in aim.margins if not math.isnan(sd)]
    return Needs(rows=tuple(rows), pilots=tuple(pilots), aim=aim)


def pilot_sd(difference: Estimate) -> float:
    """Return the standard deviation of a pair: SE·√n, or (high − low)/(2·t)·√n where too few pairs differ for an SE.

    DataError for a pilot without an interval.
    """
    if difference.low is None or difference.high is None:
        raise DataError(
            f"the pilot has no interval to plan with ({difference.note or 'too few prompts'})",
            hint="ask at least some 30 prompts, in at least 5 groups if they are grouped",
        )
    if difference.se is not None and (difference.se * difference.n) ** 2 >= FEW_DISCORDANT:
        return difference.se * math.sqrt(difference.n)
    t = float(stats.t.ppf(0.975, max(1, (difference.clusters or difference.n) - 1)))
    return (difference.high - difference.low) / (2 * t) * math.sqrt(difference.n)


def prompts_needed(sd: float, margin: float, aim: Aim | None = None, *, rates: bool = False) -> int | None:
    """Return the prompts of one verdict (see `plan` for the formula); None when the true loss reaches the margin.

    With `rates` the qualities are rights and wrongs, whose interval holds Tango's score interval as well. Its variance
    at the margin takes sd's place beside z_α (Liu, Hsueh, Hsieh and Chen, Statistics in Medicine 2002, 21:231).

    >>> prompts_needed(0.266, 0.02, Aim(alpha=0.05)), prompts_needed(0.266, 0.02), prompts_needed(0.266, 0.02, rates=True)
    (1095, 1391, 1452)
    """
    aim = aim or Aim()
    room = margin - aim.loss
    if room <= 0:
        return None
    z_alpha, z_beta = float(stats.norm.ppf(1 - aim.alpha / aim.arms)), float(stats.norm.ppf(aim.power))
    edge = max(sd, _sd_at_margin(sd, margin, aim.loss)) if rates else sd
    return max(2, math.ceil(((z_alpha * edge + z_beta * sd) / room) ** 2 + z_alpha**2 / 2))


def margin_reached(sd: float, n: int, aim: Aim | None = None, *, rates: bool = False) -> float:
    """Return the smallest margin that n prompts certify with the aim's power: what a small notebook can say at best.

    Infinite where not even the whole range of qualities could be certified.

    >>> round(margin_reached(0.266, 200), 3)
    0.053
    """
    aim = aim or Aim()

    def enough(margin: float) -> bool:
        needed = prompts_needed(sd, margin, aim, rates=rates)
        return needed is not None and needed <= n

    low, high = aim.loss, 1.0
    if not enough(high):
        return math.inf
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def prompts_for_difference(
    difference: float, between_variance: float, answer_variances: Sequence[float] = (), *, repeats: int = 1
) -> int:
    """Return the prompts that show a difference, two-sided 5 %, power 80 %, when each prompt is answered K times.

    n = (z_{α/2} + z_β)²·(ω² + (σ²_A + σ²_B)/K)/δ²: Miller, arXiv 2411.00640. ω² is the variance between prompts of
    the paired difference of expected qualities, σ² the variance of answers to the same prompt.
    """
    z = float(stats.norm.ppf(0.975) + stats.norm.ppf(POWER))
    return math.ceil(z**2 * (between_variance + sum(answer_variances) / repeats) / difference**2)


def _sd_at_margin(sd: float, margin: float, loss: float) -> float:
    """Return the sd of a pair under a loss of the margin, at the restricted maximum-likelihood share of worse pairs."""
    discordant = sd**2 + loss**2
    b = -discordant - (2 + loss) * margin
    c = (discordant + loss) / 2 * margin * (1 + margin)
    worse = (math.sqrt(max(0.0, b * b - 8 * c)) - b) / 4
    return math.sqrt(max(0.0, 2 * worse - margin * (1 + margin)))


def _of_arm(arm: Arm, pilot: Comparison) -> tuple[str, Estimate, float | None] | None:
    if arm.figures.against is None:
        return None
    costs = (arm.figures.cost_usd, pilot.baseline.figures.cost_usd)
    known = arm.figures.cost_known >= arm.figures.n and pilot.baseline.figures.cost_known >= pilot.baseline.figures.n
    price = costs[0] + costs[1] if known and costs[0] is not None and costs[1] is not None else None
    return (arm.name, arm.figures.against.difference, price)


def _need(name: str, pilot: Estimate, sd: float, margin: float, price: float | None, aim: Aim) -> Need:
    rates = "score" in pilot.method
    needed = prompts_needed(sd, margin, aim, rates=rates)
    if needed is None:
        return Need(
            arm=name,
            margin=margin,
            prompts=None,
            cautious_prompts=None,
            all_prompts=None,
            watched_prompts=None,
            usd=None,
        )
    df = max(1, (pilot.clusters or pilot.n) - 1)
    lucky = math.sqrt(df / float(stats.chi2.ppf(1 - CAUTIOUS, df)))
    whole = math.ceil(needed / aim.confirm)
    watched = anytime_needed(sd**2, margin - aim.loss, level=1 - 2 * aim.alpha / aim.arms, power=aim.power)
    return Need(
        arm=name,
        margin=margin,
        prompts=needed,
        cautious_prompts=prompts_needed(sd * lucky, margin, aim, rates=rates),
        all_prompts=whole,
        watched_prompts=watched,
        usd=None if price is None else price * whole,
    )


def _rests(name: str, pilot: Estimate, sd: float, aim: Aim) -> str:
    if math.isnan(sd):
        return f"{name}: not planned, the pilot has no interval ({pilot.note or 'too few prompts'})"
    among = f" in {pilot.clusters} groups" if pilot.clusters is not None else ""
    reached = margin_reached(sd, pilot.n, aim, rates="score" in pilot.method)
    best = f"{100 * reached:.2g} points" if math.isfinite(reached) else "nothing"
    return (
        f"{name}: pilot of {pilot.n:,} prompts{among}, standard deviation of a pair {sd:.3f}; "
        f"as many prompts again certify {best} at best"
    )


def _count(n: int | None) -> str:
    return "never" if n is None else f"{n:,}"
