"""How sure it is that an arm is beaten: a point below the frontier may be there by chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from routelab.core.ports import Floats
from routelab.lab.controls import zero_router
from routelab.lab.outcomes import Ints

DRAWS = 500
SETTLED = 0.95
"""An arm counts as beaten when it is in at least this share of the draws."""
_BATCH = 2_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Field:
    """Arms over the same prompts: quality and cost_usd are prompts × arms without NaN; `clusters` (prompts,) or None."""

    quality: Floats
    cost_usd: Floats
    clusters: Ints | None = None


def hull_band(field: Field, at_usd: Floats, *, seed: int, draws: int = DRAWS) -> tuple[Floats, Floats]:
    """Return the 95 % band of the zero router's hull over single models at the given costs a call, as (low, high).

    Every draw weighs the prompts (or their clusters) as in `beaten` and makes the hull anew; left of a draw's cheapest
    model its line is level. The band is pointwise.
    """
    quality, cost, sizes = _sums(field)
    rng = np.random.default_rng(seed)
    names = [str(k) for k in range(quality.shape[1])]
    lines = np.empty((draws, len(at_usd)))
    for k in range(draws):
        weights = rng.exponential(size=len(sizes))
        total = float(weights @ sizes)
        hull = zero_router(names, weights @ cost / total, weights @ quality / total)
        assert hull is not None  # the field holds no NaN
        _, costs, qualities = zip(*hull.corners, strict=True)
        lines[k] = np.interp(at_usd, costs, qualities)
    low, high = np.quantile(lines, [0.025, 0.975], axis=0)
    return low, high


def beaten(field: Field, *, seed: int, draws: int = DRAWS) -> Floats:
    """Return for each arm the share of draws in which another arm is at least as good and as cheap, and not equal in both.

    A draw weighs the prompts (or their clusters) by independent exponentials, Rubin's Bayesian bootstrap (Annals of Statistics
    1981, 9:130–134), and all arms alike, so that what they share cancels. The seed fixes the draws.
    """
    n, arms = field.quality.shape
    if n == 0 or arms == 0:
        return np.zeros(arms)
    quality, cost, sizes = _sums(field)
    rng = np.random.default_rng(seed)
    units = len(sizes)
    step = max(1, _BATCH // units)
    count = np.zeros(arms)
    for start in range(0, draws, step):
        weights = rng.exponential(size=(min(step, draws - start), units))
        total = (weights @ sizes)[:, None]
        count += _worse(weights @ quality / total, weights @ cost / total).sum(axis=0)
    return count / draws


def _sums(field: Field) -> tuple[Floats, Floats, Floats]:
    if field.clusters is None:
        return field.quality, field.cost_usd, np.ones(len(field.quality))
    _, member = np.unique(field.clusters, return_inverse=True)
    member = member.reshape(-1)
    units = int(member.max()) + 1
    sums = [np.zeros((units, field.quality.shape[1])) for _ in range(2)]
    for target, values in zip(sums, (field.quality, field.cost_usd), strict=True):
        np.add.at(target, member, values)
    return sums[0], sums[1], np.bincount(member, minlength=units).astype(float)


def _worse(quality: Floats, cost: Floats) -> NDArray[np.bool_]:
    """Return draws × arms: whether some other arm beats the arm in that draw.

    Arms with the same answers differ by rounding only, so a difference in the last digits is none.
    """
    found = np.zeros(quality.shape, dtype=np.bool_)
    for k in range(quality.shape[1]):
        better = quality - quality[:, [k]]
        dearer = cost - cost[:, [k]]
        gain = better > 1e-12
        saving = dearer < -1e-12 * cost.max()
        found[:, k] = ((gain | saving) & (better > -1e-12) & (dearer < 1e-12 * cost.max())).any(axis=1)
    return found


def settled(share: float) -> bool:
    """Say that an arm is beaten beyond doubt."""
    return share >= SETTLED


def common(qualities: Sequence[Floats], costs: Sequence[Floats], clusters: Ints | None) -> Field:
    """Return the field of arms (each (prompts,)) over the prompts on which all of them are known."""
    quality, cost = np.column_stack(qualities), np.column_stack(costs)
    rows = ~np.isnan(quality).any(axis=1) & ~np.isnan(cost).any(axis=1)
    return Field(quality=quality[rows], cost_usd=cost[rows], clusters=None if clusters is None else clusters[rows])
