"""An evaluation as a frame and as tables: quality and money first, what lies beyond in a second one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from routelab.lab.charts.arms import sentence
from routelab.lab.evaluation import Evaluation, Part
from routelab.lab.grid import points, times
from routelab.lab.statistics import Estimate
from routelab.present import Table, interval, percent, seconds, usd

if TYPE_CHECKING:
    import pandas as pd

ROWS = 40
WIDEST = 30
SMALL = "n small"

# The figures of a row of the frame, by the name of their columns: an estimate becomes three, name, name_low and name_high.
FIGURES: Mapping[str, Callable[[Part], Estimate | float | None]] = MappingProxyType(
    {
        "quality": lambda p: p.figures.quality,
        "quality_delta": lambda p: p.difference,
        "p_adjusted": lambda p: p.p_adjusted,
        "cost_usd": lambda p: p.figures.cost_usd,
        "cost_ratio": lambda p: p.figures.cost_ratio,
        "latency_p50_s": lambda p: p.figures.latency_p50,
        "latency_p95_s": lambda p: p.figures.latency_p95,
        "macro_f1": lambda p: None if p.classified is None else p.classified.macro_f1,
        "micro_f1": lambda p: None if p.classified is None else p.classified.micro_f1,
        "token_f1": lambda p: p.token_f1,
        "abstained": lambda p: p.abstained,
        "confidently_wrong": lambda p: p.confidently_wrong,
        "ece": lambda p: None if p.calibration is None else p.calibration.ece,
        "ece_expected": lambda p: None if p.calibration is None else p.calibration.ece_expected,
        "brier": lambda p: None if p.calibration is None else p.calibration.brier,
        "aurc": lambda p: None if p.selective is None else p.selective.aurc,
    }
)
PLAIN = ("p_adjusted", "cost_usd", "ece", "ece_expected")


def frame_of(evaluation: Evaluation) -> pd.DataFrame:
    """Return one row a slice and arm."""
    import pandas as pd

    rows = []
    for part in evaluation.parts:
        row: dict[str, Any] = {
            "by": evaluation.by,
            "slice": part.slice,
            "arm": part.arm,
            "n": part.figures.n,
            "failures": part.figures.failures,
            "verdict": part.verdict,
            "cost_known": part.figures.cost_known,
            "confidence": part.confidence,
        }
        for name, figure in FIGURES.items():
            row |= _columns(name, figure(part))
        rows.append({**row, "simulated": evaluation.simulated})
    return pd.DataFrame(rows)


def _columns(name: str, value: Estimate | float | None) -> dict[str, float]:
    if name in PLAIN:
        return {name: np.nan if value is None or isinstance(value, Estimate) else value}
    ends = value.interval if isinstance(value, Estimate) else None
    low, high = ends or (np.nan, np.nan)
    return {name: value.value if isinstance(value, Estimate) else np.nan, f"{name}_low": low, f"{name}_high": high}


def tables_of(evaluation: Evaluation, *, limit: int = ROWS) -> tuple[Table, ...]:
    """Return the tables: quality, cost and wait; then F1, abstention, confidence, where any of it is known."""
    shown = evaluation.parts[:limit]
    hidden = len(evaluation.parts) - len(shown)
    caption = sentence(
        "SIMULATED: no figure here says anything about a real model" if evaluation.simulated else "",
        f"{evaluation.dataset or 'comparison'} by {evaluation.by}"
        if len(evaluation.slices) > 1
        else (evaluation.dataset or "comparison"),
        f"baseline {evaluation.baseline}",
        "[ ]: 95 % intervals",
    )
    more = (f"{hidden} more rows; .frame has all",) if hidden else ()
    notes = (*more, *evaluation.notes)
    money = {k: say for k, say in MONEY.items() if any(say(p) not in ("", "?") for p in shown)}
    first = _table(shown, money, caption, notes, evaluation)
    beyond = {k: say for k, say in BEYOND.items() if any(say(p) for p in shown)}
    if not beyond:
        return (first,)
    known = tuple(p for p in shown if any(say(p) for say in beyond.values()))
    return (
        _table(shown, money, caption, (), evaluation),
        _table(known, beyond, "beyond accuracy", notes, evaluation),
    )


def _table(
    parts: tuple[Part, ...],
    columns: Mapping[str, Callable[[Part], str]],
    caption: str,
    notes: tuple[str, ...],
    evaluation: Evaluation,
) -> Table:
    sliced = len(evaluation.slices) > 1
    slices, arms = _shortened(evaluation.slices), _shortened(evaluation.arms)
    rows, last = [], None
    for part in parts:
        # A slice's name stands once, above its arms.
        name = (slices[part.slice] if part.slice != last else "",) if sliced else ()
        last = part.slice
        rows.append((*name, arms[part.arm], f"{part.figures.n:,}", *(say(part) or "–" for say in columns.values())))
    first = 2 if sliced else 1
    return Table(
        head=(*([evaluation.by] if sliced else []), "arm", "n", *columns),
        rows=rows,
        numbers=frozenset(range(first, first + 1 + len(columns))),
        caption=caption,
        notes=notes,
    )


def _shortened(names: Sequence[str]) -> dict[str, str]:
    """Return names without their middle where they are long, unless two would then read alike."""
    short = {n: n if len(n) <= WIDEST else f"{n[: WIDEST - 13]}…{n[-12:]}" for n in names}
    taken = list(short.values())
    return {name: name if taken.count(text) > 1 else text for name, text in short.items()}


def _rate(estimate: Estimate | None) -> str:
    return "" if estimate is None else f"{percent(estimate.value)}\n{interval(estimate.low, estimate.high)}".strip()


def _quality(part: Part) -> str:
    quality = part.figures.quality
    if quality is None:
        return ""
    return percent(quality.value) if part.small else _rate(quality)


def _delta(part: Part) -> str:
    if part.small or part.alike:
        return SMALL if part.small else "same answers"
    return "" if part.difference is None else points(part.difference).replace(" [", "\n[")


def _p(part: Part) -> str:
    if part.p_adjusted is None:
        return ""
    word = "" if part.verdict == "no difference shown" else f" {part.verdict}"
    return ("<0.001" if part.p_adjusted < 0.001 else f"{part.p_adjusted:.3f}") + word


def _cost(part: Part) -> str:
    return "" if part.figures.cost_usd is None else usd(1000 * part.figures.cost_usd)


def _ratio(part: Part) -> str:
    return "" if part.figures.cost_ratio is None else times(part.figures.cost_ratio).replace(" [", "\n[")


def _waits(part: Part) -> str:
    """Return both quantiles, one below the other, each with the order statistics that bound it."""
    if not part.figures.latency_known:
        return ""
    pair = (part.figures.latency_p50, part.figures.latency_p95)
    said = [SMALL if q is None else f"{seconds(q.value)} [{seconds(q.low)}, {seconds(q.high)}]" for q in pair]
    return " /\n".join(said) if said[0] != SMALL else SMALL


def _f1(part: Part) -> str:
    found = part.classified
    return "" if found is None else f"{_points(found.macro_f1)} / {100 * found.micro_f1.value:.1f}"


def _points(estimate: Estimate) -> str:
    ends = "" if estimate.interval is None else f" [{100 * (estimate.low or 0):.1f}, {100 * (estimate.high or 0):.1f}]"
    return f"{100 * estimate.value:.1f}{ends}"


def _ece(part: Part) -> str:
    held = part.calibration
    if held is None:
        return ""
    return f"{100 * held.ece:.1f}" + (
        "" if held.ece_expected is None else f"\n({100 * held.ece_expected:.1f} if exact)"
    )


def _brier(part: Part) -> str:
    return "" if part.calibration is None else f"{part.calibration.brier.value:.3f}"


def _risk(part: Part) -> str:
    held = part.selective
    return "" if held is None else f"{held.aurc.value:.3f}\n({held.best:.3f} to {held.chance:.3f})"


def _best_half(part: Part) -> str:
    return "" if part.selective is None else _rate(part.selective.at(0.5))


MONEY: Mapping[str, Callable[[Part], str]] = MappingProxyType(
    {
        "quality": _quality,
        "Δ points": _delta,
        "p": _p,
        "cost / 1,000": _cost,
        "× baseline": _ratio,
        "p50 / p95": _waits,
    }
)
BEYOND: Mapping[str, Callable[[Part], str]] = MappingProxyType(
    {
        "F1 macro / micro": _f1,
        "token F1": lambda p: _rate(p.token_f1),
        "abstained": lambda p: _rate(p.abstained),
        "confidently wrong": lambda p: _rate(p.confidently_wrong),
        "ECE, points": _ece,
        "Brier": _brier,
        "AURC (best to chance)": _risk,
        "quality, surer half": _best_half,
    }
)
