"""Whether the items that had to be asked more than once differ from the others: a retry rolls the dice again."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from routelab.core.ports import Floats
from routelab.lab.outcomes import Bools, Ints


@dataclass(frozen=True, kw_only=True)
class Retried:
    """Items with at least one retry: how many, how many of them never answered, and the mean qualities of those that did.

    `p` is two-sided, for answers after a retry being as good as the same models' other answers; None when that cannot be told.
    """

    n: int
    unanswered: int
    quality: float | None
    others: float | None
    p: float | None

    def __str__(self) -> str:
        lost = f" ({self.unanswered:,} without an answer)" if self.unanswered else ""
        said = f"items with ≥ 1 retry: {self.n:,}{lost}"
        if self.quality is None or self.others is None:
            return said
        chance = "" if self.p is None else f" (p = {self.p:.2g})"
        return f"{said}, quality {100 * self.quality:.1f} % against {100 * self.others:.1f} % of the others{chance}"


def retried(quality: Floats, attempts: Ints, failed: Bools) -> Retried:
    """Return how answers after a retry compare with the others; arrays prompts × models, quality NaN where not known.

    The test is Cochran, Mantel and Haenszel's with the models as strata, exact moments of the permutation within each model
    (Mantel, JASA 1963, 58:690–700) and the normal limit: some models fail more often than others, and that alone is no effect.
    """
    again = attempts > 1
    scored = ~failed & ~np.isnan(quality)
    total = variance = 0.0
    for k in range(quality.shape[1]):
        values, chosen = quality[scored[:, k], k], again[scored[:, k], k]
        n, m = len(values), int(chosen.sum())
        if n < 2 or not 0 < m < n:
            continue
        total += float(values[chosen].sum() - m * values.mean())
        variance += m * (n - m) / (n - 1) * float(values.var())
    p = math.erfc(abs(total) / math.sqrt(2 * variance)) if variance > 0 else None
    return Retried(
        n=int(again.sum()),
        unanswered=int((again & failed).sum()),
        quality=_mean(quality[again & scored]),
        others=_mean(quality[~again & scored]),
        p=p,
    )


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None
