"""What an answer of each model will cost and how long it will take, expected from recorded outcomes.

A model's level times the size of the prompt: the logarithm of the cost is linear in the prompt's surface and task, so that
a long question is expected to cost more, of every model in its own way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from routelab.core.ports import Floats
from routelab.core.values import Roster
from routelab.strategies.predictors.features import Design, Inputs
from routelab.strategies.predictors.lesson import Lesson

_ENOUGH = 50
"""Known costs of a model from which a prompt's size is worth looking at."""
_L2 = 30.0
_DIGITS = 12
ANSWER_TOKENS = 300
CHARACTERS_PER_TOKEN = 4.0


@dataclass(frozen=True, kw_only=True)
class Expense:
    """Expects costs in USD and times in seconds; by the model alone, or with `sizes` by the prompt as well."""

    sizes: bool = True

    def fit(self, inputs: Inputs, cost_usd: Floats, latency_s: Floats) -> Lesson:
        """Return the mean costs, the median times and how costs follow the prompt; NaN where nothing was recorded."""
        means, times = _columns(np.nanmean, cost_usd), _columns(np.nanmedian, latency_s)
        arrays: dict[str, Any] = {"mean_usd": means, "latency_s": times}
        sized = (np.isfinite(cost_usd) & (cost_usd > 0)).sum(axis=0)
        # A model that is sometimes free has no logarithm of its costs: its mean stands.
        sized = np.where((np.nan_to_num(cost_usd, nan=1.0) > 0).all(axis=0), sized, 0)
        if not self.sizes or not (sized >= _ENOUGH).any():
            return Lesson(arrays=arrays)
        design = Design.of(inputs, vectors=0.0)
        columns = design(inputs)
        slopes, levels, lifts = np.zeros((columns.shape[1], len(means))), np.zeros(len(means)), np.ones(len(means))
        for k in np.flatnonzero(sized >= _ENOUGH):
            known = np.isfinite(cost_usd[:, k])
            own, logs = columns[known], np.log(cost_usd[known, k])
            centre = own.mean(axis=0)
            held = own - centre
            slopes[:, k] = np.linalg.solve(held.T @ held + _L2 * np.eye(held.shape[1]), held.T @ (logs - logs.mean()))
            levels[k] = logs.mean() - centre @ slopes[:, k]
            # The mean of a cost is more than the exponential of its mean logarithm (Duan 1983).
            lifts[k] = cost_usd[known, k].mean() / np.exp(own @ slopes[:, k] + levels[k]).mean()
        sizes = {"slopes": slopes, "levels": levels, "lifts": lifts, "sized": sized >= _ENOUGH}
        return Lesson(arrays={**arrays, **design.arrays(), **sizes}, about={"tasks": list(design.tasks)})

    def predict(self, lesson: Lesson, inputs: Inputs, roster: Roster) -> Floats:
        """Return the costs expected in USD, n × models; `roster` holds the models in the lesson's order.

        Where no cost at all was recorded, the roster's prices are taken for the prompt's length and an answer of
        ANSWER_TOKENS; a cost that is still not known is NaN.
        """
        arrays = lesson.arrays
        means = arrays["mean_usd"]
        if np.isnan(means).all():
            return _listed(inputs, roster)
        out = np.tile(means, (len(inputs), 1))
        if "slopes" in arrays and len(inputs):
            columns = Design.read(arrays, lesson.about["tasks"])(inputs)
            sized = arrays["sized"]
            logs = columns @ arrays["slopes"] + arrays["levels"]
            out[:, sized] = (np.exp(np.clip(np.round(logs, _DIGITS), -50.0, 10.0)) * arrays["lifts"])[:, sized]
        return out


def _columns(middle: Any, values: Floats) -> Floats:
    """Return the middle of the known values of every column, NaN for one without."""
    known = np.isfinite(values)
    return np.array([middle(values[known[:, k], k]) if known[:, k].any() else np.nan for k in range(values.shape[1])])


def _listed(inputs: Inputs, roster: Roster) -> Floats:
    if not len(inputs):
        return np.zeros((0, len(roster)))
    given = np.array([sum(len(m.content) for m in p.messages) / CHARACTERS_PER_TOKEN for p in inputs.prompts])
    prices = [m.price for m in roster.models]
    return np.column_stack(
        [
            np.full(len(inputs), np.nan)
            if price is None
            else (given * price.usd_per_mtok_in + ANSWER_TOKENS * price.usd_per_mtok_out) / 1e6
            for price in prices
        ]
    )
