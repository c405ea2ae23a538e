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
from routelab.lab.outcomes import Ints, Outcomes

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
    tune, with the same models left out there. Raises DataError for fewer than three models.
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
        self.usual: Floats = seen.quality - means
        self.of_tune = tune is not None

    def bands(self, answered: Sequence[Ints], usually: Sequence[Ints]) -> list[str]:
        """Return the bands (n,) without the models that answered: `answered` the prompts reported, `usually` those of tune.

        Each is one array of columns an arm; without a tune split both are the same.
        """
        return _banded(_ease(self.lead, answered), _cuts(_ease(self.usual, usually)))


def _ease(lead: Floats, answered: Sequence[Ints]) -> Floats:
    """Return the mean lead over the models that did not answer and are known, NaN where there are too few."""
    counted = ~np.isnan(lead)
    for columns in answered:
        rows = np.flatnonzero(columns != NOBODY)
        counted[rows, columns[rows]] = False
    n = counted.sum(axis=1)
    total = np.where(counted, lead, 0.0).sum(axis=1)
    return np.where(n >= LEAST_OTHERS, total / np.maximum(n, 1), np.nan)


def _cuts(ease: Floats) -> Floats:
    known = ease[~np.isnan(ease)]
    # Where nothing is known there are no bands either, so the cuts do not matter.
    found: Floats = np.quantile(known, (1 / 3, 2 / 3)) if len(known) else np.zeros(2)
    return found


def _banded(ease: Floats, cuts: Floats) -> list[str]:
    # Ties on a cut go to the easier side, the same on every split.
    place = np.where(ease >= cuts[1], 0, np.where(ease >= cuts[0], 1, 2))
    return [UNKNOWN if np.isnan(e) else BANDS[int(k)] for e, k in zip(ease, place, strict=True)]


def _mean(column: Floats) -> float:
    known = column[~np.isnan(column)]
    return float(known.mean()) if len(known) else float("nan")
