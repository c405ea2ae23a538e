"""A comparison as a table: one row an arm, and the one place that names its columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from routelab.lab.statistics import Estimate
from routelab.lab.truncation import truncated_of

if TYPE_CHECKING:
    import pandas as pd

    from routelab.lab.compare import Arm, Comparison

COLUMNS = (
    "arm",
    "n",
    "failures",
    "truncated",
    "quality",
    "quality_low",
    "quality_high",
    "cost_usd",
    "cost_known",
    "latency_p50_s",
    "latency_p95_s",
    "quality_delta",
    "quality_delta_low",
    "quality_delta_high",
    "verdict",
    "worse_within_margin",
    "p_adjusted",
    "cost_ratio",
    "cost_ratio_low",
    "cost_ratio_high",
    "n_needed",
    "tune_quality",
    "cache_hits",
    "false_hits",
    "simulated",
)


def frame(comparison: Comparison) -> pd.DataFrame:
    """Return one row an arm; NaN and None for what is not known."""
    import pandas as pd

    rows = [_row(arm, truncated_of(comparison, arm), comparison.terms.simulated) for arm in comparison.arms]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _row(arm: Arm, cut: int | None, simulated: bool) -> tuple[Any, ...]:
    f = arm.figures
    verdict = f.against
    delta = None if verdict is None else verdict.difference
    return (
        arm.name,
        f.n,
        f.failures,
        np.nan if cut is None else cut,
        *_three(f.quality),
        np.nan if f.cost_usd is None else f.cost_usd,
        f.cost_known,
        np.nan if f.latency_p50 is None else f.latency_p50.value,
        np.nan if f.latency_p95 is None else f.latency_p95.value,
        *_three(delta),
        None if verdict is None else verdict.verdict,
        verdict is not None and verdict.worse_within_margin,
        np.nan if f.p_adjusted is None else f.p_adjusted,
        *_three(f.cost_ratio),
        np.nan if verdict is None or verdict.n_needed is None else verdict.n_needed,
        np.nan if arm.tune_quality is None else arm.tune_quality,
        *_recalled(arm),
        simulated,
    )


def _three(estimate: Estimate | None) -> tuple[float, float, float]:
    if estimate is None:
        return (np.nan, np.nan, np.nan)
    low, high = estimate.interval or (np.nan, np.nan)
    return (estimate.value, low, high)


def _recalled(arm: Arm) -> tuple[float, float]:
    """Return the share of prompts that were hits and that of false ones among them, NaN without a cache or where not known."""
    hits = arm.walked.hits
    if hits is None:
        return (np.nan, np.nan)
    rate, false = hits.rate, hits.false_rate
    return (np.nan if rate is None else rate, np.nan if false is None else false)
