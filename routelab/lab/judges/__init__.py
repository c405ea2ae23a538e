"""Judges as instruments: how far their verdicts can be trusted, and what remains of a result once that is allowed for."""

from __future__ import annotations

from routelab.lab.judges.agreement import Agreement, agreement, between, cohen, krippendorff
from routelab.lab.judges.bias import (
    WinRate,
    first_position,
    length_slope,
    repeat_change,
    self_family,
    swap_flips,
    win_rate,
)
from routelab.lab.judges.families import family, kin
from routelab.lab.judges.judged import Duel, Judged, Mark, Pair, pairs
from routelab.lab.judges.labels import corrected, corrected_difference, ratings, rogan_gladen
from routelab.lab.judges.logged import judged_in_log
from routelab.lab.judges.measured import measured_by
from routelab.lab.judges.mtbench import read_mtbench
from routelab.lab.judges.powered import Corrected, by_error_rates, powered, powered_difference
from routelab.lab.judges.report import JudgeReport, judge_report

__all__ = [
    "Agreement",
    "Corrected",
    "Duel",
    "JudgeReport",
    "Judged",
    "Mark",
    "Pair",
    "WinRate",
    "agreement",
    "between",
    "by_error_rates",
    "cohen",
    "corrected",
    "corrected_difference",
    "family",
    "first_position",
    "judge_report",
    "judged_in_log",
    "kin",
    "krippendorff",
    "length_slope",
    "measured_by",
    "pairs",
    "powered",
    "powered_difference",
    "ratings",
    "read_mtbench",
    "repeat_change",
    "rogan_gladen",
    "self_family",
    "swap_flips",
    "win_rate",
]
