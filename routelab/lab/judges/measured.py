"""Quality by a judge, where nothing exact can be had, and said so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from routelab.core.errors import DataError, suggest
from routelab.lab.outcomes import Outcomes


def measured_by(outcomes: Outcomes, key: str, *, everywhere: bool = False) -> Outcomes:
    """Return the outcomes with a judge's score as quality where none was recorded, or `everywhere`.

    `key` is one of `outcomes.gates`. A failed answer stays 0; where the judge failed, quality stays unknown. A note says how many answers
    have their quality from the judge, which every comparison of these outcomes then shows: judge the judge first (`judge_report`), and
    correct what it says (`corrected`, `corrected_difference`) where there are labels.
    """
    if key not in outcomes.gates:
        near = suggest(key, outcomes.gates)
        raise DataError(
            f"no verdicts of '{key}' in these outcomes{'' if near is None else '; ' + near}",
            hint=f"gates there: {', '.join(outcomes.gates) or 'none'}",
        )
    given = outcomes.gates[key].score
    wanted = ~outcomes.failed & (everywhere | np.isnan(outcomes.quality))
    score = np.where(np.isfinite(given), given, np.nan)
    quality = np.where(wanted, score, outcomes.quality)
    n = int((wanted & np.isfinite(score)).sum())
    note = f"quality of {n:,} of {quality.size:,} answers is the judge's ({key}), uncorrected: its errors are in every figure"
    return replace(outcomes, quality=quality, notes=(*outcomes.notes, note))
