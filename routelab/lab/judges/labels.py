"""What people said about answers (👍 and 👎 in the log's `ratings`), as labels for a correction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from routelab.core.errors import DataError, suggest
from routelab.core.ports import Floats
from routelab.lab.judges.powered import Corrected, by_error_rates, powered, powered_difference
from routelab.lab.judges.robust import Ints
from routelab.lab.outcomes import Bools, Outcomes

_RATINGS = """
    select r.prompt_id, r.model, arg_max(g.value, g.rated_at)
    from ratings g join runs r on r.run_id = g.run_id
    where g.value is not null and r.model is not null
    group by r.run_id, r.prompt_id, r.model
"""


def ratings(query: Callable[[str, Sequence[Any]], list[tuple[Any, ...]]], outcomes: Outcomes) -> Floats:
    """Return people's ratings of these prompts' answers, prompts × models: 👍 is 1, 👎 is 0, NaN where nobody said.

    `query` is such as `Log.query`. A rating is +1 or −1 in the log and anything between is taken in proportion; the latest of a run
    counts, and several runs of one prompt and model are averaged.
    """
    column = {model: k for k, model in enumerate(outcomes.models)}
    sums, counts = np.zeros(outcomes.quality.shape), np.zeros(outcomes.quality.shape)
    for prompt_id, model, value in query(_RATINGS, []):
        if prompt_id in outcomes.rows and model in column:
            cell = (outcomes.rows[prompt_id], column[model])
            sums[cell] += (min(max(float(value), -1.0), 1.0) + 1.0) / 2.0
            counts[cell] += 1.0
    return np.where(counts > 0, sums / np.maximum(counts, 1.0), np.nan)


def corrected(outcomes: Outcomes, gate: str, labels: Floats, model: str) -> Corrected:
    """Return a model's mean quality by a judge (`outcomes.gates[gate]`), corrected by labels (prompts × models, NaN unknown)."""
    k = outcomes.column(model)
    judged, truth = _verdicts(outcomes, gate)[:, k], labels[:, k]
    there = np.isfinite(judged) | np.isfinite(truth)
    return powered(judged[there], truth[there], _some(outcomes.clusters, there))


def corrected_difference(outcomes: Outcomes, gate: str, labels: Floats, new: str, base: str) -> Corrected:
    """Return the corrected mean of new − base over the prompts that the judge saw of both; labelled where both answers are."""
    columns = (outcomes.column(new), outcomes.column(base))
    judged, truth = _verdicts(outcomes, gate)[:, columns], labels[:, columns]
    there: Bools = np.asarray(np.isfinite(judged).all(axis=1) | np.isfinite(truth).all(axis=1))
    given, said = judged[there], truth[there]
    return powered_difference((given[:, 0], given[:, 1]), (said[:, 0], said[:, 1]), _some(outcomes.clusters, there))


def rogan_gladen(outcomes: Outcomes, gate: str, labels: Floats, model: str) -> Corrected:
    """Return the same mean as `corrected`, corrected by the judge's sensitivity and specificity instead."""
    k = outcomes.column(model)
    judged, truth = _verdicts(outcomes, gate)[:, k], labels[:, k]
    there = np.isfinite(judged) | np.isfinite(truth)
    return by_error_rates(judged[there], truth[there], _some(outcomes.clusters, there))


def _verdicts(outcomes: Outcomes, gate: str) -> Floats:
    if gate not in outcomes.gates:
        near = suggest(gate, outcomes.gates)
        raise DataError(
            f"no verdicts of '{gate}' in these outcomes{'' if near is None else '; ' + near}",
            hint=f"gates there: {', '.join(outcomes.gates) or 'none'}",
        )
    score = outcomes.gates[gate].score
    return np.where(np.isfinite(score), score, np.nan)


def _some(clusters: Ints | None, there: Bools) -> Ints | None:
    return None if clusters is None else clusters[there]
