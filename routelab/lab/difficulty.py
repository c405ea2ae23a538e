"""How hard prompts are: as their authors say, or as other models found them.

An estimated band must not be made by the arm that it judges: whoever got a prompt right makes it look easy, so an arm would
look good on what is easy for it. Here the model that answered for the arm, and the one for the baseline, have no say in the
band of that prompt (leave-one-arm-out), and what is left is corrected for how good those models are in general.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from routelab.core.errors import DataError
from routelab.core.plan import NOBODY
from routelab.core.ports import Floats
from routelab.core.values import Prompt
from routelab.lab.outcomes import Bools, Ints, Outcomes

BANDS = ("easy", "medium", "hard")
UNKNOWN = "not known"
LEAST_OTHERS = 2
MOST_LEVELS = 5
"""Given difficulties of at most so many values are slices of their own; more are cut into three thirds."""


def given(prompts: Sequence[Prompt]) -> list[str] | None:
    """Return each prompt's band by its own `difficulty`, or None when hardly any (less than half) have one."""
    values = np.array([np.nan if p.difficulty is None else p.difficulty for p in prompts], dtype=float)
    known = values[~np.isnan(values)]
    if len(known) * 2 < len(values) or len(known) == 0:
        return None
    levels = np.unique(known)
    if len(levels) <= MOST_LEVELS:
        return [UNKNOWN if np.isnan(v) else f"{v:g}" for v in values]
    return _banded(-values, _cuts(-known))


class Others:
    """Bands of prompts by what models made of them; `tune`, where there is one, says what models usually make of prompts.

    A prompt's ease is the mean over models of quality minus the model's own mean; the bands are the thirds of that on
    tune, so that they mean the same for every split. Raises DataError for fewer than three models.
    """

    def __init__(self, reported: Outcomes, tune: Outcomes | None) -> None:
        if len(reported.models) < LEAST_OTHERS + 1:
            raise DataError(
                f"difficulty: no prompt says how hard it is, and {len(reported.models)} models are too few to tell",
                hint=f"give the prompts a `difficulty`, or record at least {LEAST_OTHERS + 1} models",
            )
        seen = reported if tune is None else tune
        means = np.array([_mean(column) for column in seen.quality.T])
        self.lead: Floats = reported.quality - means
        everyone = np.ones(seen.quality.shape, dtype=np.bool_)
        self.cuts = _cuts(_ease(seen.quality - means, everyone))
        self.of_tune = tune is not None

    def bands(self, *answered: Ints) -> list[str]:
        """Return the bands (n,) without the models that answered, one array (n,) of columns an arm."""
        allowed: Bools = np.ones(self.lead.shape, dtype=np.bool_)
        for columns in answered:
            rows = np.flatnonzero(columns != NOBODY)
            allowed[rows, columns[rows]] = False
        return _banded(_ease(self.lead, allowed), self.cuts)


def _ease(lead: Floats, allowed: Bools) -> Floats:
    """Return the mean lead over the models that are allowed and known, NaN where there are too few."""
    counted = allowed & ~np.isnan(lead)
    n = counted.sum(axis=1)
    total = np.where(counted, lead, 0.0).sum(axis=1)
    return np.where(n >= LEAST_OTHERS, total / np.maximum(n, 1), np.nan)


def _cuts(ease: Floats) -> Floats:
    known = ease[~np.isnan(ease)]
    if len(known) == 0:
        raise DataError(
            "difficulty: no prompt was answered by two models", hint="record more models for the same prompts"
        )
    found: Floats = np.quantile(known, (1 / 3, 2 / 3))
    return found


def _banded(ease: Floats, cuts: Floats) -> list[str]:
    # Ties on a cut go to the easier side, the same on every split.
    place = np.where(ease >= cuts[1], 0, np.where(ease >= cuts[0], 1, 2))
    return [UNKNOWN if np.isnan(e) else BANDS[int(k)] for e, k in zip(ease, place, strict=True)]


def _mean(column: Floats) -> float:
    known = column[~np.isnan(column)]
    return float(known.mean()) if len(known) else float("nan")
