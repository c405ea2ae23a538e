"""The chance that an answer is right, learned from what can be seen of it: one logistic regression a rung of a cascade.

After FrugalGPT (Chen, Zaharia and Zou, 2023), whose scorer is a language model that reads question and answer; here it is
a regression on signs of the answer (`scoring.signs`) that knows whether earlier models said the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from routelab.core.errors import ConfigError
from routelab.strategies.learned import Learned

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.intp]

STRENGTH = 0.3
"""scikit-learn's C: the inverse of the penalty on coefficients of standardised signs."""
SHRINKAGE = 20.0
CLIP = 8.0


def learn(rungs: Sequence[Floats], quality: Floats, tasks: Sequence[str | None], models: Sequence[str]) -> Learned:
    """Return what predicts the quality of each rung's answer but the last one's from its signs.

    `rungs` are the signs (n × names) of each rung's answers, NaN where an answer was not recorded; `quality` (n ×
    rungs) counts as the chance of being right. A task's lead or lag at a rung, shrunk as if 20 more prompts had had
    none, is one more sign. `models` are the rungs' models, in order.
    """
    names = sorted({t for t in tasks if t is not None})
    place = {t: k for k, t in enumerate(names)}
    task = np.array([place.get(t, len(names)) if t is not None else len(names) for t in tasks], dtype=np.intp)
    arrays: dict[str, list[Floats]] = {"length": [], "lead": [], "mean": [], "scale": [], "weights": [], "bias": []}
    for rung, signs in enumerate(rungs):
        known = np.isfinite(signs).all(axis=1) & np.isfinite(quality[:, rung])
        if not known.any():
            raise ConfigError(
                f"cascade: no answer of {models[rung]} was recorded with its text and quality",
                hint="a learned gate needs outcomes with responses; a rule or a judge does not",
            )
        x, y, t = signs[known], quality[known, rung], task[known]
        length = _by_task(x[:, 0], t, len(names))
        lead = _by_task(y - y.mean(), t, len(names))
        # Each row's own quality is left out of the lead that it is fitted with, or the task would seem to know it.
        count = np.bincount(t, minlength=len(names) + 1)[t]
        own = (lead[t] * (count + SHRINKAGE) - (y - y.mean())) / (count - 1 + SHRINKAGE)
        z = _design(x, length[t], own)
        mean, scale = z.mean(axis=0), z.std(axis=0)
        scale[scale < 1e-9] = 1.0
        weights, bias = _logistic((z - mean) / scale, np.clip(y, 0.0, 1.0))
        for key, value in zip(arrays, (length, lead, mean, scale, weights, np.array(bias)), strict=True):
            arrays[key].append(value)
    return Learned(
        arrays={key: np.stack(rows) for key, rows in arrays.items()}, about={"models": tuple(models), "tasks": names}
    )


def chances(learned: Learned, rung: int, signs: Floats, tasks: Sequence[str | None]) -> Floats:
    """Return the chance that each answer (n × names) of a rung is right, (n,); NaN where the signs are not known."""
    names = learned.about["tasks"]
    place = {t: k for k, t in enumerate(names)}
    task = np.array([len(names) if t is None else place.get(t, len(names)) for t in tasks], dtype=np.intp)
    z = _design(signs, learned["length"][rung][task], learned["lead"][rung][task])
    # Summed column after column, so that a prompt alone gets the very number that it gets among others.
    z = np.clip((z - learned["mean"][rung]) / learned["scale"][rung], -CLIP, CLIP) * learned["weights"][rung]
    total = np.full(len(signs), float(learned["bias"][rung]))
    for column in range(z.shape[1]):
        total = total + z[:, column]
    return np.asarray(1.0 / (1.0 + np.exp(-total)))


def _design(signs: Floats, length: Floats, lead: Floats) -> Floats:
    """Return the columns of the regression: the signs, with the length told from its task's, its distance, and the task's lead."""
    off = signs[:, 0] - length
    return np.column_stack([off, np.abs(off), lead, signs[:, 1:]])


def _by_task(values: Floats, task: Ints, count: int) -> Floats:
    """Return the mean of each task, shrunk towards the mean of all, which stands last for tasks that were not seen."""
    n = np.bincount(task, minlength=count + 1)
    total = np.bincount(task, weights=values, minlength=count + 1)
    mean = values.mean()
    shrunk = np.asarray((total + SHRINKAGE * mean) / (n + SHRINKAGE))
    shrunk[count] = mean if count else shrunk[count]
    return shrunk


def _logistic(z: Floats, y: Floats) -> tuple[Floats, float]:
    rate = float(np.clip(y.mean(), 1 / (len(y) + 2), 1 - 1 / (len(y) + 2)))
    sure = np.concatenate([np.ones(len(y)), np.zeros(len(y))])
    weight = np.concatenate([y, 1.0 - y])
    kept = weight > 0
    if len(np.unique(sure[kept])) < 2:
        return np.zeros(z.shape[1]), float(np.log(rate / (1 - rate)))
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=STRENGTH, max_iter=500)
    model.fit(np.concatenate([z, z])[kept], sure[kept], sample_weight=weight[kept])
    return np.asarray(model.coef_[0], dtype=float), float(model.intercept_[0])
