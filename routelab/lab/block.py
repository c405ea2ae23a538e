"""The reporting block: everything a reader needs to judge a comparison, in one place and one order.

The same facts stand in the notebook (`Comparison.report()`) and in an export's `evidence`. What was not measured is None, never 0.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from routelab.lab.compare import Arm, Comparison
from routelab.lab.outcomes import Ints
from routelab.lab.sequential import anytime
from routelab.lab.spread import quantile
from routelab.lab.statistics import Estimate
from routelab.lab.walk import dependent
from routelab.present import Table
from routelab.version import __version__

QUANTILES = {"latency_p50_s": 0.5, "latency_p95_s": 0.95, "latency_p99_s": 0.99}
"""99 % needs 368 prompts for an interval; with fewer it is None."""


def block(comparison: Comparison, arm: Arm) -> dict[str, Any]:
    """Return the block of an arm as plain values, ready for YAML and JSON.

    `looks` counts how often the confirm split was used (None: not counted); `confidence_sequence` is the interval of the paired
    difference that stays valid however often it is looked at; `cache_hits` is a share of the prompts, `false_hits` (replays only) one of the hits.
    """
    f, terms = arm.figures, comparison.terms
    verdict, quality = f.against, f.quality
    return {
        "n": f.n,
        "clusters": None if quality is None else quality.clusters,
        "failures": f.failures,
        "arms": [a.name for a in comparison.arms],
        "baseline": _label(comparison.baseline),
        "seed": terms.seed,
        "arms_tried": terms.arms_tried,
        "looks": terms.confirm_uses,
        "split": {"tune": terms.tune, "confirm": terms.confirm},
        "method": comparison.how,
        **_support(comparison, arm),
        "margin": terms.margin,
        "quality": None if quality is None else quality.value,
        "quality_ci": _ends(quality),
        "optimism": arm.optimism,
        "quality_delta": None if verdict is None else verdict.difference.value,
        "quality_delta_ci": _ends(None if verdict is None else verdict.difference),
        "confidence_sequence": _ends(_sequence(comparison, arm)),
        "verdict": "inconclusive" if verdict is None else verdict.verdict,
        "n_needed": None if verdict is None else verdict.n_needed,
        "p_adjusted": f.p_adjusted,
        "p_adopt_adjusted": f.p_adopt_adjusted,
        "cost_usd": f.cost_usd,
        "cost_known": f.cost_known,
        "cost_ratio": None if f.cost_ratio is None else f.cost_ratio.value,
        "cost_ratio_ci": _ends(f.cost_ratio),
        "cost_kinds": list(terms.cost_kinds),
        "prices_as_of": _prices(comparison),
        **_latencies(arm),
        "cache_hits": _hits(comparison, arm),
        "false_hits": None if arm.walked.hits is None else arm.walked.hits.false_rate,
        "judge_calibration": _judge(comparison, arm),
        "models": _models(comparison, arm),
        "simulated": terms.simulated,
        "routelab": __version__,
        "code": code(),
    }


def table(comparison: Comparison, arm: Arm) -> Table:
    """Return the block as two columns; what was not measured says so."""
    rows = [[name, _said(value)] for name, value in block(comparison, arm).items()]
    caption = f"report of {arm.name}" + (
        " · SIMULATED: no figure here says anything about a real model" if comparison.terms.simulated else ""
    )
    return Table(head=("fact", "value"), rows=rows, caption=caption, notes=(comparison.why,))


@cache
def code() -> str:
    """Return 16 hexadecimal digits of the package's own source, so that a figure can be traced to the code that made it."""
    package = Path(__file__).parent.parent
    total = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        if "_shipped" not in path.parts:
            total.update(path.relative_to(package).as_posix().encode())
            total.update(path.read_bytes())
    return total.hexdigest()[:16]


def _support(comparison: Comparison, arm: Arm) -> dict[str, Any]:
    found = comparison.estimates.get(arm.name)
    if found is None:
        return {}
    return {"effective_n": found.ess, "largest_weight": found.max_weight, "refused": found.refused}


def _judge(comparison: Comparison, arm: Arm) -> dict[str, Any] | None:
    """Return how far the judge behind the arm's gate agrees with the exact scores, on the answers that have both."""
    from routelab.core.plan import Gate
    from routelab.lab.judges.agreement import agreement
    from routelab.lab.judges.judged import Judged

    gate = getattr(getattr(arm.config, "ranking", arm.config), "accepts", None)
    outcomes = comparison.outcomes
    key = str(gate.spec.get("recorded", gate.key)) if isinstance(gate, Gate) else ""
    if not isinstance(gate, Gate) or outcomes is None or key not in outcomes.gates:
        return None
    bar = 0.5 if gate.at_least is None else gate.at_least
    found = agreement(Judged.of_outcomes(outcomes, [key]), at_least=bar)
    if found.accuracy.n == 0:
        return None
    parts = {name: getattr(found, name) for name in ("accuracy", "sensitivity", "specificity", "kappa")}
    return {
        "gate": key,
        "answers": found.accuracy.n,
        **{name: None if np.isnan(e.value) else float(e.value) for name, e in parts.items()},
        "accuracy_ci": _ends(found.accuracy),
    }


def _sequence(comparison: Comparison, arm: Arm) -> Estimate | None:
    mine, base = arm.walked.quality, comparison.baseline.walked.quality
    both = ~np.isnan(mine) & ~np.isnan(base)
    if both.sum() < 2:
        return None
    groups = dependent(_clusters(comparison), arm.walked, comparison.baseline.walked)
    return anytime(mine[both] - base[both], None if groups is None else groups[both])


def _clusters(comparison: Comparison) -> Ints | None:
    if comparison.outcomes is not None:
        return comparison.outcomes.clusters
    if not any(p.group for p in comparison.prompts):
        return None
    seen: dict[str, int] = {}
    return np.array([seen.setdefault(p.group or p.id, len(seen)) for p in comparison.prompts], dtype=np.intp)


def _latencies(arm: Arm) -> dict[str, Any]:
    waits = arm.walked.latency_s[~np.isnan(arm.walked.latency_s)]
    found = {name: quantile(waits, q) for name, q in QUANTILES.items()}
    return {
        key: value
        for name, estimate in found.items()
        for key, value in (
            (name, None if estimate is None else estimate.value),
            (f"{name.removesuffix('_s')}_ci", _ends(estimate)),
        )
    }


def _hits(comparison: Comparison, arm: Arm) -> float | None:
    if arm.walked.hits is not None:
        return arm.walked.hits.rate
    answers = comparison.answers.get(arm.name)
    return None if not answers else sum(bool(a.cached) for a in answers) / len(answers)


def _models(comparison: Comparison, arm: Arm) -> dict[str, list[str]]:
    """Return who was asked, and under which names the providers say they answered (empty for a replay without them)."""
    answers = comparison.answers.get(arm.name, ())
    served: dict[str, set[str]] = {}
    for answer in answers:
        for event in answer.run.attempts:
            if getattr(event, "served_model", None):
                served.setdefault(event.model, set()).add(event.served_model)
    if not served:
        asked = np.unique(arm.walked.model[arm.walked.model >= 0])
        return {comparison.models[int(k)]: [] for k in asked}
    return {model: sorted(names) for model, names in sorted(served.items())}


def _prices(comparison: Comparison) -> str | None:
    dates = [
        e.price_as_of
        for answers in comparison.answers.values()
        for a in answers
        for e in a.run.attempts
        if getattr(e, "price_as_of", None) is not None
    ]
    if comparison.outcomes is not None:
        dates += [p.as_of.isoformat() for p in comparison.outcomes.prices.values() if p.as_of is not None]
    return min(dates) if dates else None


def _label(arm: Arm) -> str:
    return f"{arm.name}: {arm.config}" if isinstance(arm.config, str) and arm.config != arm.name else arm.name


def _ends(estimate: Estimate | None) -> list[float] | None:
    return None if estimate is None or estimate.interval is None else [float(x) for x in estimate.interval]


def _said(value: Any) -> str:
    if value is None:
        return "not measured"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return (
            "[" + ", ".join(_said(v) for v in value) + "]"
            if value and isinstance(value[0], float)
            else ", ".join(map(str, value))
        )
    if isinstance(value, dict):
        return "; ".join(f"{k} {_said(v)}".strip() for k, v in value.items())
    return str(value)
