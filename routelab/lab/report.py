"""A comparison as `result.json` and as plain text; what is not known is null or a dash, never 0."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from routelab.core.errors import ConfigError
from routelab.lab.compare import Arm, Comparison, Figures
from routelab.lab.controls import LUCK, Shuffle
from routelab.lab.statistics import Estimate
from routelab.present import usd
from routelab.strategies import KINDS, spec_of
from routelab.strategies.fitting.learned import told
from routelab.version import __version__

DASH = "–"
TOO_SMALL = "n too small"


def result(comparison: Comparison) -> dict[str, Any]:
    """Return the plain values of `result.json`; costs are per call, figures those of the confirm split."""
    terms, winner = comparison.terms, comparison.winner()
    return {
        "routelab": __version__,
        "dataset": terms.dataset,
        "method": comparison.how,
        "seed": terms.seed,
        "margin": terms.margin,
        "split": {"tune": terms.tune, "confirm": terms.confirm},
        "arms_tried": terms.arms_tried,
        "baseline": comparison.baseline.name,
        "baseline_model": comparison.baseline.config if isinstance(comparison.baseline.config, str) else None,
        "baseline_arm": _figures(comparison.baseline.figures),
        "simulated": terms.simulated,
        "cost_kinds": list(terms.cost_kinds),
        "notes": list(terms.notes),
        "confirm_uses": terms.confirm_uses,
        "controls": _controls(comparison),
        "arms": [
            {
                "name": arm.name,
                "config": config_of(arm.config),
                **_figures(arm.figures),
                "tune_quality": _number(arm.tune_quality),
                "tune_cost_usd": _number(arm.tune_cost_usd),
                "optimism": _number(arm.optimism),
                "nominated": terms.nominated is None or arm.name in terms.nominated,
                **_off_policy(comparison, arm),
            }
            for arm in comparison.arms
        ],
        "winner": None if winner is None else winner.name,
        "why": comparison.why,
    }


def write(comparison: Comparison, path: str | Path) -> Path:
    """Write `result.json` and return its path; ConfigError when the place cannot be written."""
    path = Path(path)
    said = json.dumps(result(comparison), indent=1, ensure_ascii=False, allow_nan=False)
    try:
        path.write_text(said + "\n", encoding="utf-8")
    except OSError as trouble:
        raise ConfigError(
            f"{path}: cannot be written ({trouble.strerror})", hint="check that the folder exists"
        ) from None
    return path


def config_of(config: Any) -> dict[str, Any] | None:
    """Return a config as plain values: a RouteConfig's own, a strategy's mapping, or its class's name."""
    if config is None:
        return None
    if isinstance(config, str):
        return {"kind": "fixed", "model": config}
    if hasattr(config, "to_mapping"):
        mapping: dict[str, Any] = config.to_mapping()
        return mapping
    known = type(config) in KINDS.values()
    return {"strategy": told(spec_of(config)) if known else {"kind": type(config).__name__.lower()}}


def text(comparison: Comparison) -> str:
    """Return the comparison as an aligned table with its controls and its sentence, for a terminal."""
    terms = comparison.terms
    head = [
        *(["SIMULATED data: no figure here says anything about a real model"] if terms.simulated else []),
        f"{terms.dataset or 'comparison'}: {len(comparison.arms)} arms"
        + (f" of {terms.arms_tried} tried" if terms.arms_tried > len(comparison.arms) else "")
        + (
            f", chosen on {terms.tune:,} tune prompts, reported on {terms.confirm:,} confirm prompts"
            if terms.tune
            else f", {terms.confirm:,} prompts"
        ),
        f"baseline {_named(comparison.baseline)}; margin {100 * terms.margin:g} points; intervals 95 %; seed {terms.seed}"
        + (f"; costs {' and '.join(terms.cost_kinds)}" if terms.cost_kinds else "; no costs recorded"),
        *([] if comparison.answers else [comparison.how]),
        *terms.notes,
        "",
    ]
    waits = any(a.figures.latency_known for a in comparison.arms)
    header = [
        "",
        "quality",
        "n",
        "vs baseline",
        "verdict",
        "cost/call",
        "cost ratio",
        *(["p50 s", "p95 s"] if waits else []),
    ]
    winner = comparison.winner()
    body = [_line(("→ " if arm is winner else "  ") + arm.name, arm.figures, waits) for arm in comparison.arms]
    controls, base = comparison.controls, comparison.baseline
    shown = {arm.name for arm in comparison.arms} | ({"best-single"} if controls is not None else set())
    if base.name not in shown:
        body.append(_line(f"  baseline: {_named(base)}", base.figures, waits))
    if controls is not None:
        body.append(["controls", *[""] * (len(header) - 1)])
        for label, figures in (
            (f"  best-single: {controls.best_single.config}", controls.best_single.figures),
            *([(f"  cheapest: {controls.cheapest.config}", controls.cheapest.figures)] if controls.cheapest else []),
            *([(f"  shuffle of {controls.shuffle.of}", controls.shuffle.figures)] if _mixed(controls.shuffle) else []),
            ("  oracle (hindsight)", controls.oracle.figures),
        ):
            body.append(_line(label, figures, waits))
    foot = ["", *_optimism(comparison), *_lift(controls.shuffle if controls is not None else None), comparison.why]
    return "\n".join([*head, *aligned([header, *body]), *foot])


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines with columns of equal width, the first flush left and the others flush right.

    >>> aligned([["", "n"], ["a", "12"]])
    ['    n', 'a  12']
    """
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(w) if k == 0 else cell.rjust(w) for k, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _off_policy(comparison: Comparison, arm: Arm) -> dict[str, Any]:
    found = comparison.estimates.get(arm.name)
    if found is None:
        return {}
    said = {
        "snips": None if found.snips is None else _number(found.snips.value),
        "snips_ci": _ends(found.snips),
        "effective_n": _number(found.ess),
        "largest_weight": _number(found.max_weight),
        "refused": found.refused,
    }
    return {"off_policy": said}


def _controls(comparison: Comparison) -> dict[str, Any]:
    controls = comparison.controls
    if controls is None:
        return {"best-single": None, "cheapest": None, "shuffle": None, "oracle": None}
    return {
        "best-single": _single(controls.best_single),
        "cheapest": None if controls.cheapest is None else _single(controls.cheapest),
        "shuffle": _shuffle(controls.shuffle),
        "oracle": {**_figures(controls.oracle.figures), "note": LUCK},
        "zero-router": None
        if controls.hull is None
        else [{"model": m, "cost_usd": c, "quality": q} for m, c, q in controls.hull.corners],
    }


def _single(arm: Arm) -> dict[str, Any]:
    return {"model": arm.config, **_figures(arm.figures), "tune_quality": _number(arm.tune_quality)}


def _shuffle(shuffle: Shuffle) -> dict[str, Any]:
    return {
        "of": shuffle.of,
        "shares": dict(shuffle.shares),
        **_figures(shuffle.figures),
        "lift": None if shuffle.lift is None else _number(shuffle.lift.value),
        "lift_ci": _ends(shuffle.lift),
    }


def _figures(f: Figures) -> dict[str, Any]:
    verdict = f.against
    return {
        "n": f.n,
        "clusters": None if verdict is None else verdict.difference.clusters,
        "failures": f.failures,
        "quality": None if f.quality is None else _number(f.quality.value),
        "quality_ci": _ends(f.quality),
        "cost_usd": _number(f.cost_usd),
        "cost_known": f.cost_known,
        "latency_p50_s": None if f.latency_p50 is None else _number(f.latency_p50.value),
        "latency_p95_s": None if f.latency_p95 is None else _number(f.latency_p95.value),
        "latency_p50_ci": _ends(f.latency_p50),
        "latency_p95_ci": _ends(f.latency_p95),
        "vs_baseline": {
            "quality_delta": None if verdict is None else _number(verdict.difference.value),
            "quality_delta_ci": None if verdict is None else _ends(verdict.difference),
            "verdict": "inconclusive" if verdict is None else verdict.verdict,
            "worse_within_margin": verdict is not None and verdict.worse_within_margin,
            "p_adjusted": _number(f.p_adjusted),
            "cost_ratio": None if f.cost_ratio is None else _number(f.cost_ratio.value),
            "cost_ratio_ci": _ends(f.cost_ratio),
            "n_needed": None if verdict is None else verdict.n_needed,
            "note": (verdict.difference.note or None) if verdict is not None else "no quality was recorded",
        },
    }


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _ends(estimate: Estimate | None) -> list[float] | None:
    return None if estimate is None or estimate.interval is None else [float(x) for x in estimate.interval]


def _named(arm: Arm) -> str:
    return f"{arm.name} ({arm.config})" if isinstance(arm.config, str) and arm.config != arm.name else arm.name


def _line(label: str, f: Figures, waits: bool) -> list[str]:
    verdict = f.against
    word = DASH if verdict is None else verdict.verdict + (", yet below 0" if verdict.worse_within_margin else "")
    if verdict is not None and verdict.n_needed is not None:
        word += f" (n≈{verdict.n_needed:,})"
    cells = [
        label,
        DASH if f.quality is None else f"{100 * f.quality.value:.1f} %" + _range(f.quality, 100, ".1f"),
        f"{f.n:,}" + (f" ({f.failures} failed)" if f.failures else ""),
        DASH if verdict is None else f"{100 * verdict.difference.value:+.1f}" + _range(verdict.difference, 100, "+.1f"),
        word,
        DASH if f.cost_usd is None else usd(f.cost_usd) + (f" ({f.cost_known} known)" if f.cost_known < f.n else ""),
        DASH if f.cost_ratio is None else f"{f.cost_ratio.value:.2f}" + _range(f.cost_ratio, 1, ".2f"),
    ]
    if waits:
        none = TOO_SMALL if f.latency_known else DASH
        cells += [none if q is None else f"{q.value:.2f}" for q in (f.latency_p50, f.latency_p95)]
    return cells


def _range(estimate: Estimate, scale: float, form: str) -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    return f" [{scale * estimate.low:{form}}, {scale * estimate.high:{form}}]"


def _mixed(shuffle: Shuffle) -> bool:
    # One model's shuffle is that model: a control only for an arm that routes.
    return len(shuffle.shares) > 1


def _optimism(comparison: Comparison) -> list[str]:
    """Return the line on what choosing on tune promised and confirm kept: of the winner, else of the best on tune."""
    terms, winner = comparison.terms, comparison.winner()
    chosen = [a for a in comparison.arms if a.name in (terms.nominated or ()) and a.optimism is not None]
    if not terms.tune or not chosen:
        return []
    best = winner if winner in chosen else max(chosen, key=lambda a: a.tune_quality or 0.0)
    assert best is not None
    assert best.figures.quality is not None
    seen, kept = 100 * (best.tune_quality or 0.0), 100 * best.figures.quality.value
    return [f"{best.name}: tune {seen:.1f} → confirm {kept:.1f} (optimism {100 * (best.optimism or 0.0):.1f})"]


def _lift(shuffle: Shuffle | None) -> list[str]:
    if shuffle is None or shuffle.lift is None or shuffle.lift.interval is None or not _mixed(shuffle):
        return []
    low, high = shuffle.lift.interval
    verdict = "no better than chance could do" if low <= 0 else "better than chance"
    ends = f"[{100 * low:+.1f}, {100 * high:+.1f}]"
    return [f"{shuffle.of} against its own shares at random: {100 * shuffle.lift.value:+.1f} points {ends}, {verdict}"]
